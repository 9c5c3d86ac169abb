/*
 * event_type.h: where a provider says the type of an event ("header:NAME" or a JSON pointer into the body), and whether
 * the script wants it.
 * Runs in: the worker. Never fails: what has no type has none.
 */
#ifndef CRESCENT_POLICY_EVENT_TYPE_H
#define CRESCENT_POLICY_EVENT_TYPE_H

#include "base/error.h"
#include "http/request.h"

struct json_reader;

/* 0 when `place` is "header:NAME" or "/pointer"; else words. */
int event_type_check(const char *place, struct error *err);
/* Whether the place is in the body. */
bool event_type_in_body(const char *place);
/*
 * The type, or at == NULL. A slice into the request, or into the reader. json: the body, parsed; NULL where the place
 * is a header, or there is no such body.
 */
struct slice event_type_read(const char *place, const struct http_request *req, const struct json_reader *json);
/* Whether it is one of the `count` wanted ("push", or "invoice.*": a star at the end stands for any rest). */
bool event_type_wanted(struct slice type, char *const *wanted, size_t count);

#endif
