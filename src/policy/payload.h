/*
 * payload.h: what a provider signs, as a template: literal text and places of the request, "{header:x-time}.{body}".
 * Places: {body} {method} {path} {query} (as sent), {url}, {header:NAME}, and {field:NAME}: a pair of the signature
 * header. {url} is the URL under which the sender knows us: public_url, or what the request says, and its path and
 * query as sent.
 * "{{" and "}}" stand for the braces themselves. The signed bytes are assembled as slices; the body is not copied.
 * Owns: a copy of its text. Runs in: the worker. Fails: a template that is none, with words.
 */
#ifndef CRESCENT_POLICY_PAYLOAD_H
#define CRESCENT_POLICY_PAYLOAD_H

#include "base/error.h"
#include "http/request.h"
#include "policy/policy.h"

#define PAYLOAD_PARTS_MAX 16

enum payload_place {
    PAYLOAD_LITERAL,
    PAYLOAD_BODY,
    PAYLOAD_METHOD,
    PAYLOAD_PATH,
    PAYLOAD_QUERY,
    PAYLOAD_HEADER,
    PAYLOAD_FIELD,
    PAYLOAD_BASE,      /* of {url}, which is these three with path and query: "https://", or all of public_url */
    PAYLOAD_AUTHORITY, /* nothing, where public_url has said it */
    PAYLOAD_MARK       /* "?", or nothing where there is no query */
};

struct payload_part {
    enum payload_place place;
    struct slice text; /* LITERAL: the bytes; HEADER (lower case), FIELD: the name */
};

struct payload { /* born as {0} */
    char *text;
    struct payload_part part[PAYLOAD_PARTS_MAX];
    size_t count;
};

/* Where {field:NAME} is looked up; cookie is the caller's. SLICE_NONE: not there. */
typedef struct slice payload_field_fn(const void *cookie, struct slice name);

/* Compiles a template; it must hold a place of the request at least. 0, or -1 with words. */
int payload_compile(struct slice text, struct payload *p_out, struct error *err);
void payload_free(struct payload *p);
/* Whether the template has this place. */
bool payload_has(const struct payload *p, enum payload_place place, struct slice name);
/*
 * The only header with this name. REASON_none and the value, trimmed; missing_header when there is none or it is empty;
 * malformed_header when there are several: which one the provider meant cannot be known.
 */
enum reason payload_header(const struct http_request *req, struct slice name, struct slice *value_out);
/* The bytes at one place: REASON_none, or as payload_header; a field that is not there is a malformed_header. */
enum reason payload_read(const struct payload_part *part, const struct http_request *req, payload_field_fn *field,
                         const void *cookie, struct slice *value_out);
/* All parts, in order, p->count of them. Borrowed from p and the request. */
enum reason payload_assemble(const struct payload *p, const struct http_request *req, payload_field_fn *field,
                             const void *cookie, struct slice parts_out[PAYLOAD_PARTS_MAX]);

#endif
