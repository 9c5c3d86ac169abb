/*
 * api.h: /api/v1, the operator's questions and orders as JSON, for the command line:
 *   GET  /api/v1/quarantine                     {"quarantined": [{endpoint, file, seconds, period, probing}, ...]}
 *   POST /api/v1/scripts/NAME/unquarantine      {endpoint, was_quarantined}; 404: no such endpoint, with the nearest
 * Who may ask is admin's matter. Owns nothing. Runs in: the keeper's loop. Fails: a problem as the answer.
 */
#ifndef CRESCENT_ADMIN_API_H
#define CRESCENT_ADMIN_API_H

#include "base/buf.h"
#include "http/response.h"
#include "reload/reload.h"
#include "shm/area.h"

struct api { /* what it answers from */
    struct area *area;
    const struct reload *reload;
};

/* body: the answer's memory. name: what stands in the path for NAME, decoded. */
void api_quarantine(const struct api *api, struct slice name, struct http_response *r, struct buf *body);
void api_unquarantine(const struct api *api, struct slice name, struct http_response *r, struct buf *body);

#endif
