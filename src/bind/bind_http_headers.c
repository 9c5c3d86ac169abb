/*
 * bind_http_headers.c: see bind_http_headers.h.
 */
#include "bind/bind_http_headers.h"
#include "base/ascii.h"
#include "base/panic.h"
#include "script/table.h"
#include <lauxlib.h>

static bool is_one_of(struct slice s, const char *const *list)
{
    for (; *list != NULL; list++)
        if (slice_equal_nocase(s, slice_of(*list)))
            return true;
    return false;
}

bool bind_http_headers_has(const struct bind_http_headers *h, struct slice name)
{
    for (size_t i = 0; i < h->count; i++)
        if (slice_equal_nocase(h->at[i].name, name))
            return true;
    return false;
}

void bind_http_headers_clear(struct bind_http_headers *h)
{
    h->count = h->bytes = 0;
}

void bind_http_headers_add(struct bind_http_headers *h, struct slice name, struct slice value)
{
    CHECK(h->count < HTTPC_HEADERS_MAX);
    h->at[h->count++] = (struct httpc_header){name, value};
}

/*
 * Fields that a request has one of (RFC 9110 5.3, 7.2): of two, in two spellings or a list, each reader takes the one
 * that it likes.
 */
static bool is_single(struct slice name)
{
    static const char *const known[] = {"host", "authorization", "content-type", "user-agent", "traceparent", NULL};
    return is_one_of(name, known);
}

/* The value at the top of the stack, which stays there: what the plan borrows must not be collected. */
static void read_header(struct table_reader *t, struct bind_http_headers *h, struct slice name)
{
    lua_State *L = t->L;
    if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
        table_fault(t, "headers", "'%.*s': expected a string, got %s", SLICE_ARG(name), luaL_typename(L, -1));
    struct slice value = slice_trim(table_text(L, -1));
    h->bytes += name.len + value.len;
    if (h->bytes > BIND_HTTP_HEADERS_BYTES)
        table_fault(t, "headers", "more than %zu KiB", BIND_HTTP_HEADERS_BYTES >> 10);
    for (size_t i = 0; i < value.len; i++)
        if (((unsigned char)value.at[i] < ' ' && value.at[i] != '\t') || value.at[i] == 0x7f)
            table_fault(t, "headers", "'%.*s' holds a control character", SLICE_ARG(name));
    if (is_single(name) && bind_http_headers_has(h, name))
        table_fault(t, "headers", "'%.*s' has two values: a request has one", SLICE_ARG(name));
    if (h->count >= HTTPC_HEADERS_MAX - 8) /* room for our own */
        table_fault(t, "headers", "more than %d", HTTPC_HEADERS_MAX - 8);
    luaL_checkstack(L, 8, "headers");
    bind_http_headers_add(h, name, value);
}

static void check_name(struct table_reader *t, struct slice name)
{
    /* RFC 9110 7.6.1, and what the body and the connection decide. */
    static const char *const ours[] = {"content-length",
                                       "transfer-encoding",
                                       "connection",
                                       "keep-alive",
                                       "proxy-connection",
                                       "te",
                                       "trailer",
                                       "upgrade",
                                       "expect",
                                       "http2-settings",
                                       NULL};
    if (!ascii_is_token(name))
        table_fault(t, "headers", "'%.*s%s' is no name of a header", SLICE_SHOWN(name, 80));
    if (is_one_of(name, ours))
        table_fault(t, "headers", "'%.*s' is set by the client itself", SLICE_ARG(name));
}

/* The list at the top of the stack; its values stay above it. */
static void read_header_list(struct table_reader *t, struct bind_http_headers *h, struct slice name)
{
    lua_State *L = t->L;
    int list = lua_gettop(L);
    size_t count;
    struct error err;
    if (!table_is_list(L, list, &count, &err))
        table_fault(t, "headers", "'%.*s': %s", SLICE_ARG(name), err.text);
    if (count == 0)
        table_fault(t, "headers", "'%.*s' has an empty list: nil leaves it out", SLICE_ARG(name));
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, list, (int)i);
        read_header(t, h, name);
    }
}

void bind_http_headers_read(struct table_reader *t, struct bind_http_headers *h)
{
    lua_State *L = t->L;
    if (!table_push(t, "headers"))
        return;
    int table = lua_gettop(L);
    if (!lua_istable(L, table))
        table_fault(t, "headers", "expected a table, got %s", luaL_typename(L, table));
    table_plain(t, "headers", table);
    for (lua_pushnil(L); lua_next(L, table) != 0;) {
        /* key, value: the key moves up, the value stays below it */
        struct slice name;
        if (lua_type(L, -2) != LUA_TSTRING)
            table_fault(t, "headers", "expected names as keys, got a %s", luaL_typename(L, -2));
        name.at = lua_tolstring(L, -2, &name.len);
        check_name(t, name);
        if (lua_istable(L, -1)) {
            int list = lua_gettop(L);
            read_header_list(t, h, name);
            lua_pushvalue(L, list - 1);
        } else {
            read_header(t, h, name);
            lua_insert(L, -2);
        }
    }
}
