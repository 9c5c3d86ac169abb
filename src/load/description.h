/*
 * description.h: a description read back (load_describe in load.h writes it): for check, routes and clash checks.
 * Owns: its texts. Runs in: any process but those that may not parse JSON. Fails: with words.
 */
#ifndef CRESCENT_LOAD_DESCRIPTION_H
#define CRESCENT_LOAD_DESCRIPTION_H

#include "base/error.h"
#include "base/slice.h"
#include "route/endpoint.h"

struct description {
    /* name, file, routes, methods, allow_ips (as written), events, cors, max_body, timeout, max_run, description as
     * described; no handlers, no verifier. */
    struct endpoint *endpoint;
    char *verify;      /* "github"; NULL: PUBLIC */
    char **rate_limit; /* "100/m by ip"; NULL: none */
    size_t rate_limit_count;
};

int description_read(struct slice json, struct description *d_out, struct error *err);
void description_free(struct description *d);

#endif
