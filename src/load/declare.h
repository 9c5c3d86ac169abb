/*
 * declare.h: what a script returned → struct endpoint. Only between the files of load/. Every fault is collected, each
 * "file:line: field: words", one a line, in the order of the lines.
 * Owns: nothing beyond a call; the endpoint is the caller's from the start. Runs in: the state's thread.
 */
#ifndef CRESCENT_LOAD_DECLARE_H
#define CRESCENT_LOAD_DECLARE_H

#include "base/config.h"
#include "load/lines.h"
#include "route/endpoint.h"
#include <lua.h>

struct declare_fault {
    unsigned line;
    char *words;
};

struct declare {
    lua_State *L;
    const struct config *config;
    const char *file;  /* as messages name it: "hooks/github.lua" */
    struct slice text; /* read for lines when the first fault comes */
    struct endpoint *endpoint;
    struct lines lines;
    bool lines_known;
    bool verify_failed; /* its fault is noted: what depends on the verifier says nothing more */
    struct declare_fault *faults;
    size_t fault_count;
};

/* Reads the value at the top of the stack into d->endpoint, whose name and file are set. May raise (memory only). */
void declare_read(struct declare *d);
/* The faults, sorted, one a line; then frees what the faults needed. Returns whether there were none. */
bool declare_finish(struct declare *d, struct buf *errors);
/* Notes a fault of a field ("verify"; NULL: the whole script). */
void declare_note(struct declare *d, const char *field, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Pushes the raw field of the table at `table`; false (nothing pushed) when it is nil. */
bool declare_field(struct declare *d, int table, const char *name);
/*
 * Whether the table at `table`, which is this field's (NULL: the script's), is a plain one (script/table); false with a
 * fault noted.
 */
bool declare_is_plain(struct declare *d, const char *field, int table);
/* A list of texts at the top of the stack (a lone text too, where `lone`); false with a fault noted. */
bool declare_texts(struct declare *d, const char *field, bool lone, char ***texts_out, size_t *count_out);

/* declare_policy.c: the fields that decide before handle runs. `table`: the script's table, or 0 for a bare function.
 */
void declare_allow_ips(struct declare *d, int table);
void declare_verify(struct declare *d, int table);
void declare_events(struct declare *d, int table);
void declare_limits(struct declare *d, int table); /* max_body, timeout, on_disconnect, after verify */
/* declare_cors.c. */
void declare_cors(struct declare *d, int table);
/* declare_rate.c: rate_limit, after verify and the routes. */
void declare_rate_limit(struct declare *d, int table);

#endif
