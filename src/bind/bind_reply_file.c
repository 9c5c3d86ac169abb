/*
 * bind_reply_file.c: reply.file(path, { status, headers, cookies, type, name }): a file beneath `files` as the answer.
 * Made here, and read here into a response whose body is the path; the server opens it. Runs in: the state's thread.
 * Fails: misuse raises, with the script's line; whether there is such a file shows when it is answered.
 */
#include "bind/bind_reply_internal.h"
#include "codec/utf8.h"
#include "http/media.h"
#include "script/error.h"
#include "script/table.h"
#include <lauxlib.h>

/* opts.name, of the reply at the top of the stack: under which name a browser shall keep it. */
static void take_name(lua_State *L, struct table_reader *t)
{
    struct slice name;
    if (!table_string(t, "name", &name))
        return;
    bool text = name.len > 0 && name.len <= 1024 && utf8_valid(name) == name.len;
    for (size_t i = 0; text && i < name.len; i++)
        text = (unsigned char)name.at[i] >= ' ' && name.at[i] != 0x7f;
    if (!text)
        table_fault(t, "name", "expected a file name: 1 to 1024 bytes of UTF-8 without control characters");
    lua_pushlstring(L, name.at, name.len);
    lua_rawseti(L, -2, REPLY_NAME);
}

int bind_reply_file(lua_State *L)
{
    static const char *const known[] = {"status", "headers", "cookies", "type", "name", NULL};
    if (lua_type(L, 1) != LUA_TSTRING)
        script_error_words(L, "reply.file: expected a path, got %s",
                           lua_isnone(L, 1) ? "nothing" : luaL_typename(L, 1));
    bind_reply_make(L, REPLY_KIND_FILE, 200, "reply.file", known);
    struct table_reader t = {L, 2, "reply.file"};
    if (lua_istable(L, 2))
        take_name(L, &t);
    return 1;
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

static int add_attachment(lua_State *L, int reply, struct http_response *r, struct error *err)
{
    struct slice name;
    struct buf value = {0};
    lua_rawgeti(L, reply, REPLY_NAME);
    if (lua_type(L, -1) != LUA_TSTRING)
        return 0;
    name.at = lua_tolstring(L, -1, &name.len);
    if (http_response_has(r, SLICE("content-disposition")))
        return error_set(err, "the reply has a name and a content-disposition header");
    media_attachment(name, &value);
    int done = http_response_add(r, SLICE("content-disposition"), buf_slice(&value), err);
    buf_free(&value);
    return done;
}

int bind_reply_file_read(lua_State *L, int index, struct http_response *r, struct error *err)
{
    static const char *const own[] = {"etag", "last-modified", "accept-ranges", "content-range"};
    if (r->status == 204 || r->status == 205 || r->status == 206 || r->status == 304)
        return error_set(err, "reply.file with status %d: that is for the server to say", r->status);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (http_response_has(r, slice_of(own[i])))
            return error_set(err, "reply.file has its own %s header", own[i]);
    if (add_attachment(L, index, r, err) != 0)
        return -1;
    lua_rawgeti(L, index, REPLY_BODY);
    if (lua_type(L, -1) != LUA_TSTRING) /* rawset reaches the fields */
        return error_set(err, "the reply's path is no longer a string");
    r->body.at = lua_tolstring(L, -1, &r->body.len);
    return 0;
}
