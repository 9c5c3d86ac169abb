/*
 * payload.c: see payload.h. Compiled once when a script loads; assembling allocates nothing.
 * Owns: nothing beyond struct payload. Runs in: the worker, the trial. Fails: words at compile time, a reason after.
 */
#include "policy/payload.h"
#include "base/ascii.h"
#include "base/panic.h"
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>

/* What stands between braces. */
static int parse_place(struct slice text, struct payload_part *part_out, struct error *err)
{
    static const struct {
        const char *name;
        enum payload_place place;
        bool named;
    } places[] = {{"body", PAYLOAD_BODY, false},   {"method", PAYLOAD_METHOD, false}, {"path", PAYLOAD_PATH, false},
                  {"query", PAYLOAD_QUERY, false}, {"url", PAYLOAD_BASE, false},      {"header", PAYLOAD_HEADER, true},
                  {"field", PAYLOAD_FIELD, true}};
    size_t colon = slice_find(text, ':');
    struct slice kind = {text.at, colon == SIZE_MAX ? text.len : colon};
    struct slice name = colon == SIZE_MAX ? SLICE_NONE : slice_from(text, colon + 1);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (!slice_equal(kind, slice_of(places[i].name)) || places[i].named != (colon != SIZE_MAX))
            continue;
        if (places[i].named && !ascii_is_token(name))
            return error_set(err, "'%.*s' is no name", SLICE_ARG(name));
        *part_out = (struct payload_part){places[i].place, name};
        return 0;
    }
    return error_set(err, "'%.*s' is no place (known: body, method, path, query, url, header:NAME)", SLICE_ARG(text));
}

static int add_part(struct payload *p, struct payload_part part, struct error *err)
{
    if (part.place == PAYLOAD_LITERAL && part.text.len == 0)
        return 0;
    if (p->count == PAYLOAD_PARTS_MAX)
        return error_set(err, "more than %d parts", PAYLOAD_PARTS_MAX);
    p->part[p->count++] = part;
    return 0;
}

/* {url}: each of its parts is a slice of its own, so nothing has to be copied together. */
static int add_url(struct payload *p, struct error *err)
{
    static const enum payload_place rest[] = {PAYLOAD_AUTHORITY, PAYLOAD_PATH, PAYLOAD_MARK, PAYLOAD_QUERY};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        if (add_part(p, (struct payload_part){.place = rest[i]}, err) != 0)
            return -1;
    return 0;
}

/* Cuts one part off the front of *rest: literal text up to the next brace, a doubled brace, or a place. */
static int take_part(struct slice *rest, struct payload_part *part_out, struct error *err)
{
    char c = rest->at[0];
    if (c == '{' || c == '}') {
        if (rest->len > 1 && rest->at[1] == c) {
            *part_out = (struct payload_part){PAYLOAD_LITERAL, {rest->at, 1}};
            *rest = slice_from(*rest, 2);
            return 0;
        }
        size_t end = slice_find(*rest, '}');
        if (c == '}' || end == SIZE_MAX)
            return error_set(err, "a single '%c': write it twice to mean itself", c);
        if (parse_place((struct slice){rest->at + 1, end - 1}, part_out, err) < 0)
            return -1;
        *rest = slice_from(*rest, end + 1);
        return 0;
    }
    size_t len = 0;
    while (len < rest->len && rest->at[len] != '{' && rest->at[len] != '}')
        len++;
    *part_out = (struct payload_part){PAYLOAD_LITERAL, {rest->at, len}};
    *rest = slice_from(*rest, len);
    return 0;
}

int payload_compile(struct slice text, struct payload *p_out, struct error *err)
{
    struct payload p = {.text = slice_dup(text)};
    struct slice rest = {p.text, text.len};
    struct payload_part part;
    bool any = false;
    while (rest.len > 0) {
        if (take_part(&rest, &part, err) < 0 || add_part(&p, part, err) < 0 ||
            (part.place == PAYLOAD_BASE && add_url(&p, err) < 0))
            goto failed;
        any = any || part.place != PAYLOAD_LITERAL;
    }
    for (size_t i = 0; i < p.count; i++) /* header names are compared in lower case */
        if (p.part[i].place == PAYLOAD_HEADER)
            for (size_t at = (size_t)(p.part[i].text.at - p.text), n = p.part[i].text.len; n > 0; at++, n--)
                p.text[at] = (char)tolower((unsigned char)p.text[at]);
    if (any) {
        *p_out = p;
        return 0;
    }
    error_set(err, "nothing of the request is in it: it would sign every request alike");
failed:
    payload_free(&p);
    return -1;
}

void payload_free(struct payload *p)
{
    free(p->text);
    *p = (struct payload){0};
}

bool payload_has(const struct payload *p, enum payload_place place, struct slice name)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->part[i].place == place && (name.at == NULL || slice_equal_nocase(p->part[i].text, name)))
            return true;
    return false;
}

enum reason payload_header(const struct http_request *req, struct slice name, struct slice *value_out)
{
    size_t found = 0;
    for (size_t i = 0; i < req->header_count; i++)
        if (slice_equal(req->headers[i].name, name)) {
            *value_out = slice_trim(req->headers[i].value);
            found++;
        }
    if (found == 0 || value_out->len == 0)
        return REASON_missing_header;
    return found == 1 ? REASON_none : REASON_malformed_header;
}

enum reason payload_read(const struct payload_part *part, const struct http_request *req, payload_field_fn *field,
                         const void *cookie, struct slice *value_out)
{
    switch (part->place) {
    case PAYLOAD_LITERAL:
        *value_out = part->text;
        return REASON_none;
    case PAYLOAD_BODY:
        *value_out = req->body;
        return REASON_none;
    case PAYLOAD_METHOD:
        *value_out = req->method;
        return REASON_none;
    case PAYLOAD_PATH:
        *value_out = req->raw_path;
        return REASON_none;
    case PAYLOAD_QUERY:
        *value_out = req->query;
        return REASON_none;
    case PAYLOAD_HEADER:
        return payload_header(req, part->text, value_out);
    case PAYLOAD_FIELD:
        *value_out = field != NULL ? field(cookie, part->text) : SLICE_NONE;
        return value_out->at != NULL ? REASON_none : REASON_malformed_header;
    case PAYLOAD_BASE:
        *value_out = req->published != NULL                     ? req->published->base
                     : slice_equal(req->scheme, SLICE("https")) ? SLICE("https://")
                                                                : SLICE("http://");
        return REASON_none;
    case PAYLOAD_AUTHORITY:
        *value_out = req->published != NULL ? SLICE("") : req->authority;
        return REASON_none;
    case PAYLOAD_MARK:
        *value_out = req->query.at != NULL ? SLICE("?") : SLICE("");
        return REASON_none;
    }
    PANIC("payload: no place %d", (int)part->place);
}

enum reason payload_assemble(const struct payload *p, const struct http_request *req, payload_field_fn *field,
                             const void *cookie, struct slice parts_out[PAYLOAD_PARTS_MAX])
{
    for (size_t i = 0; i < p->count; i++) {
        enum reason why = payload_read(&p->part[i], req, field, cookie, &parts_out[i]);
        if (why != REASON_none)
            return why;
    }
    return REASON_none;
}
