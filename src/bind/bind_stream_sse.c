/*
 * bind_stream_sse.c: send "text", or send { data, event, id, retry }: one server-sent event (http/sse).
 * Runs in: the state's thread. Fails: what a client would misread raises in words.
 */
#include "bind/bind_json.h"
#include "bind/bind_stream_internal.h"
#include "script/error.h"
#include "script/table.h"
#include <lauxlib.h>

/* The field of the table at 1, pushed: a string, or a number as its text. Not there: an absent slice. */
static struct slice take_text(lua_State *L, struct table_reader *t, const char *key, const char *expected)
{
    struct slice s = SLICE_NONE;
    lua_getfield(L, 1, key);
    if (lua_isnil(L, -1))
        return s;
    if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
        table_fault(t, key, "expected %s, got %s", expected, luaL_typename(L, -1));
    return table_text(L, -1);
}

/*
 * data: a string; a number; or a table, which goes as JSON. *anchor: where its text lies on the stack; 0: not there.
 */
static struct slice take_data(lua_State *L, struct table_reader *t, struct bind_stream *b, int *anchor)
{
    lua_getfield(L, 1, "data");
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        struct slice data = take_text(L, t, "data", "a string, or a table for JSON");
        *anchor = data.at != NULL ? lua_gettop(L) : 0;
        return data;
    }
    struct error err;
    *anchor = 0;
    buf_clear(&b->json);
    if (bind_json_encode_protected(L, lua_gettop(L), &b->json, &err) != 0) {
        buf_free(&b->json);
        script_error_words(L, "send: data: %s", err.text);
    }
    return buf_slice(&b->json);
}

static void take_table(lua_State *L, struct bind_stream *b, struct sse_event *e, int *anchor)
{
    static const char *const known[] = {"data", "event", "id", "retry", NULL};
    struct table_reader t;
    dur_t retry;
    table_begin(&t, L, 1, "send", known, false);
    if (table_duration(&t, "retry", &retry))
        e->retry_ms = dur_ms_up(retry);
    e->event = take_text(L, &t, "event", "a string");
    e->id = take_text(L, &t, "id", "a string or a number");
    e->data = take_data(L, &t, b, anchor);
}

int bind_stream_send(lua_State *L)
{
    struct bind_stream *b = bind_stream_check(L);
    struct sse_event e = {.event = SLICE_NONE, .id = SLICE_NONE, .data = SLICE_NONE, .retry_ms = -1};
    struct error err;
    int anchor = 1;
    if (lua_gettop(L) != 1 || (lua_type(L, 1) != LUA_TSTRING && lua_type(L, 1) != LUA_TTABLE))
        return script_error_words(L, "send: expected a string or { data, event, id, retry }, got %s",
                                  lua_gettop(L) == 0  ? "nothing"
                                  : lua_gettop(L) > 1 ? "several values"
                                                      : luaL_typename(L, 1));
    if (lua_type(L, 1) == LUA_TSTRING)
        e.data.at = lua_tolstring(L, 1, &e.data.len);
    else
        take_table(L, b, &e, &anchor);
    if (sse_check(&e, &err) != 0) {
        buf_free(&b->json);
        return script_error_words(L, "send: %s", err.text);
    }
    sse_fields(&e, &b->frame);
    sse_lines_begin(&b->lines, e.data);
    b->framing = true;
    return bind_stream_go(L, b, anchor);
}
