/*
 * bind_content.c: see bind_content.h.
 */
#include "bind/bind_content.h"
#include "bind/bind_limits.h"
#include "script/error.h"

static void count_fault(struct state *s, const struct content *c)
{
    if (c->status == 413)
        bind_limits_passed(s, COUNTER_content_inflated);
    else if (c->status == 503)
        bind_limits_passed(s, c->past_share ? COUNTER_content_body_memory_per_ip : COUNTER_content_body_memory);
}

int bind_content_read(struct state *s, struct bind_req *r)
{
    bool first = r->content.state == CONTENT_UNREAD;
    int result = content_read(&r->content, r->http, r->max_body, r->memory, r->peer);
    if (result != 0 && first)
        count_fault(s, &r->content);
    return result;
}

struct slice bind_content_bytes(lua_State *L, struct bind_req *r)
{
    if (bind_content_read(state_of(L), r) != 0)
        script_error_problem(L, r->content.status, "%s", r->content.words);
    return content_bytes(&r->content, r->http);
}

struct slice bind_content_type(lua_State *L, const struct http_request *http)
{
    struct slice type = SLICE_NONE;
    for (size_t i = 0; i < http->header_count; i++) {
        if (!slice_equal(http->headers[i].name, SLICE("content-type")))
            continue;
        if (type.at != NULL)
            script_error_problem(L, 400, "the request has two Content-Type header fields");
        type = http->headers[i].value;
    }
    return type;
}

static struct slice media_of(struct slice type)
{
    struct slice media = SLICE_NONE;
    slice_cut(&type, ';', &media);
    return slice_trim(media);
}

bool bind_content_is_json(struct slice type)
{
    struct slice media = media_of(type);
    if (media.len > 5 && slice_equal_nocase(slice_from(media, media.len - 5), SLICE("+json")))
        return true;
    return slice_equal_nocase(media, SLICE("application/json")) || slice_equal_nocase(media, SLICE("text/json"));
}

bool bind_content_is_form(struct slice type)
{
    return slice_equal_nocase(media_of(type), SLICE("application/x-www-form-urlencoded"));
}
