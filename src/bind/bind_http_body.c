/*
 * bind_http_body.c: see bind_http_body.h. Names are sorted, since Lua's own order of a table changes from one process
 * to the next.
 */
#include "bind/bind_http_body.h"
#include "codec/base64.h"
#include "codec/url.h"
#include "crypto/random.h"
#include "script/error.h"
#include "script/table.h"
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#define NAMES_MAX 1000

struct walk { /* over a table's names, sorted */
    lua_State *L;
    const char *what, *option;
    struct buf *out;
    const char *boundary; /* multipart */
};

static int fault(const struct walk *w, struct slice name, const char *words, const char *got)
{
    return script_error_words(w->L, "%s: %s: '%.*s%s': %s, got %s", w->what, w->option, SLICE_SHOWN(name, 80), words,
                              got);
}

/* The value at the top as text, made so in place. */
static struct slice value_text(const struct walk *w, struct slice name)
{
    lua_State *L = w->L;
    if (lua_type(L, -1) == LUA_TBOOLEAN) {
        lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false");
        lua_replace(L, -2);
    }
    if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
        fault(w, name, "expected a string, a number, true or false", luaL_typename(L, -1));
    return table_text(L, -1);
}

static int compare(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    size_t len = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->at, y->at, len);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

/* Calls `each` with every name in order, its value at the top of the stack. The names lie in the table. */
static void walk_sorted(const struct walk *w, void (*each)(const struct walk *w, struct slice name))
{
    lua_State *L = w->L;
    int table = lua_gettop(L);
    size_t count = 0;
    struct error err;
    if (!lua_istable(L, table))
        script_error_words(L, "%s: %s: expected a table, got %s", w->what, w->option, luaL_typename(L, table));
    if (!table_is_plain(L, table, &err))
        script_error_words(L, "%s: %s: %s", w->what, w->option, err.text);
    luaL_checkstack(L, 8, w->option);
    /* In Lua's memory: a raise cannot lose it. */
    struct slice *names = lua_newuserdata(L, NAMES_MAX * sizeof(struct slice));
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            script_error_words(L, "%s: %s: expected names as keys, got a %s", w->what, w->option, luaL_typename(L, -2));
        if (count == NAMES_MAX)
            script_error_words(L, "%s: %s: more than %d names", w->what, w->option, NAMES_MAX);
        names[count].at = lua_tolstring(L, -2, &names[count].len);
        count++;
    }
    qsort(names, count, sizeof(*names), compare);
    for (size_t i = 0; i < count; i++) {
        lua_pushlstring(L, names[i].at, names[i].len);
        lua_rawget(L, table);
        each(w, names[i]);
        lua_pop(L, 1);
    }
    lua_settop(L, table);
}

/* The value at the top, or each of the list that it is. */
static void each_value(const struct walk *w, struct slice name, void (*one)(const struct walk *w, struct slice name))
{
    lua_State *L = w->L;
    size_t count = lua_istable(L, -1) ? lua_objlen(L, -1) : 0;
    if (count == 0) {
        one(w, name);
        return;
    }
    struct error err;
    if (!table_is_list(L, -1, &count, &err))
        script_error_words(L, "%s: %s: '%.*s%s': %s", w->what, w->option, SLICE_SHOWN(name, 80), err.text);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, (int)i);
        one(w, name);
        lua_pop(L, 1);
    }
}

/* --- name=value& ------------------------------------------------------------------------------------------------- */

/* Nothing, or a URL's "?" (a later one is part of the query: RFC 3986 3.4), or "&". */
static bool begins_pair(struct slice text)
{
    return text.len == 0 || text.at[text.len - 1] == '&' ||
           (text.at[text.len - 1] == '?' && slice_find(text, '?') == text.len - 1);
}

static void write_pair(const struct walk *w, struct slice name)
{
    struct slice value = value_text(w, name);
    if (!begins_pair(buf_slice(w->out)))
        buf_add_char(w->out, '&');
    url_encode(name, w->out);
    buf_add_char(w->out, '=');
    url_encode(value, w->out);
}

static void pair_or_list(const struct walk *w, struct slice name)
{
    each_value(w, name, write_pair);
}

void bind_http_body_pairs(lua_State *L, const char *what, const char *option, struct buf *out)
{
    const struct walk w = {.L = L, .what = what, .option = option, .out = out};
    walk_sorted(&w, pair_or_list);
}

/* --- multipart --------------------------------------------------------------------------------------------------- */

/* Within quotes, as browsers write it (HTML 4.10.21.8): what would end the name or the line is encoded. */
static void add_quoted(struct slice text, struct buf *out)
{
    buf_add_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        switch (text.at[i]) {
        case '"':
            buf_add_text(out, "%22");
            break;
        case '\r':
            buf_add_text(out, "%0D");
            break;
        case '\n':
            buf_add_text(out, "%0A");
            break;
        default:
            buf_add_char(out, text.at[i]);
        }
    }
    buf_add_char(out, '"');
}

static void write_head(const struct walk *w, struct slice name, struct slice filename, struct slice type)
{
    buf_addf(w->out, "--%s\r\ncontent-disposition: form-data; name=", w->boundary);
    add_quoted(name, w->out);
    if (filename.at != NULL) {
        buf_add_text(w->out, "; filename=");
        add_quoted(filename, w->out);
    }
    if (type.at != NULL)
        buf_addf(w->out, "\r\ncontent-type: %.*s", SLICE_ARG(type));
    buf_add_text(w->out, "\r\n\r\n");
}

/* { data, filename, type } at the top; name: SLICE_NONE: it has one of its own. */
static void write_file(const struct walk *w, struct slice name)
{
    static const char *const known[] = {"name", "data", "filename", "type", NULL};
    lua_State *L = w->L;
    struct table_reader t;
    struct slice data = SLICE_NONE, filename = SLICE_NONE, type = SLICE_NONE;
    char what[96];
    snprintf(what, sizeof(what), "%s: multipart", w->what);
    table_begin(&t, L, lua_gettop(L), what, name.at != NULL ? known + 1 : known, false);
    if (name.at == NULL && !table_string(&t, "name", &name))
        table_fault(&t, "name", "expected a string, got nothing");
    if (!table_string(&t, "data", &data))
        table_fault(&t, "data", "expected a string, got nothing");
    table_string(&t, "filename", &filename);
    if (table_string(&t, "type", &type))
        for (size_t i = 0; i < type.len; i++)
            if ((unsigned char)type.at[i] < ' ' || type.at[i] == 0x7f)
                table_fault(&t, "type", "it holds a control character");
    if (type.at == NULL && filename.at != NULL)
        type = SLICE("application/octet-stream");
    write_head(w, name, filename, type);
    buf_add_slice(w->out, data);
    buf_add_text(w->out, "\r\n");
}

static void write_part(const struct walk *w, struct slice name)
{
    if (lua_istable(w->L, -1)) {
        write_file(w, name);
        return;
    }
    struct slice value = value_text(w, name);
    write_head(w, name, SLICE_NONE, SLICE_NONE);
    buf_add_slice(w->out, value);
    buf_add_text(w->out, "\r\n");
}

static void part_or_list(const struct walk *w, struct slice name)
{
    each_value(w, name, write_part);
}

/* 128 random bits: nobody who knows what will be sent can write it into a part. */
static void make_boundary(char boundary_out[48])
{
    unsigned char bytes[16];
    memcpy(boundary_out, "crescent-", 9);
    random_fill(bytes, sizeof(bytes));
    base64_hex((struct slice){(const char *)bytes, sizeof(bytes)}, boundary_out + 9);
    boundary_out[9 + 2 * sizeof(bytes)] = '\0';
}

void bind_http_body_multipart(lua_State *L, const char *what, struct buf *out, char type_out[96])
{
    char boundary[48];
    const struct walk w = {.L = L, .what = what, .option = "multipart", .out = out, .boundary = boundary};
    make_boundary(boundary);
    size_t count = lua_istable(L, -1) ? lua_objlen(L, -1) : 0;
    struct error err;
    if (count == 0)
        walk_sorted(&w, part_or_list);
    else if (!table_is_list(L, -1, &count, &err))
        script_error_words(L, "%s: multipart: %s", what, err.text);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, (int)i);
        if (!lua_istable(L, -1))
            script_error_words(L, "%s: multipart: expected a list of { name, data }, got a %s in it", what,
                               luaL_typename(L, -1));
        write_file(&w, SLICE_NONE);
        lua_pop(L, 1);
    }
    buf_addf(out, "--%s--\r\n", boundary);
    snprintf(type_out, 96, "multipart/form-data; boundary=%s", boundary);
}
