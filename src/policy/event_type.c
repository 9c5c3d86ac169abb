/*
 * event_type.c: see event_type.h.
 * Runs in: the worker. Fails: what has no type, or no text as its type, has SLICE_NONE.
 */
#include "policy/event_type.h"
#include "codec/json.h"

static const struct slice header_mark = {"header:", 7};

int event_type_check(const char *place, struct error *err)
{
    struct slice text = slice_of(place);
    if (slice_starts(text, header_mark)) {
        struct slice name = slice_from(text, header_mark.len);
        if (name.len > 0 && strcspn(name.at, " \t:\r\n") == name.len)
            return 0;
        return error_set(err, "'%s': header: and the name of a header", place);
    }
    if (text.len == 0 || text.at[0] != '/')
        return error_set(err, "'%s' must be \"header:NAME\" or a JSON pointer (\"/type\")", place);
    const char *wrong = pointer_check(text);
    return wrong == NULL ? 0 : error_set(err, "'%s': %s", place, wrong);
}

static struct slice read_header(struct slice name, const struct http_request *req)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (slice_equal_nocase(req->headers[i].name, name))
            return slice_trim(req->headers[i].value);
    return SLICE_NONE;
}

bool event_type_in_body(const char *place)
{
    return !slice_starts(slice_of(place), header_mark);
}

struct slice event_type_read(const char *place, const struct http_request *req, const struct json_reader *json)
{
    struct slice text = slice_of(place);
    struct json_walk walk;
    struct json_token token;
    if (!event_type_in_body(place))
        return read_header(slice_from(text, header_mark.len), req);
    if (json == NULL || !json_walk_at(json, text, &walk))
        return SLICE_NONE;
    json_next(&walk, &token);
    return token.kind == JSON_STRING ? token.text : SLICE_NONE;
}

bool event_type_wanted(struct slice type, char *const *wanted, size_t count)
{
    if (type.at == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct slice name = slice_of(wanted[i]);
        bool star = name.len > 0 && name.at[name.len - 1] == '*';
        if (star ? slice_starts(type, (struct slice){name.at, name.len - 1}) : slice_equal(type, name))
            return true;
    }
    return false;
}
