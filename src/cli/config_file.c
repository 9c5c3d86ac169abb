/*
 * config_file.c: crescent.lua → draft. It runs in a bare Lua state with base, table, string and math, os.getenv and no
 * way to a file; its table's fields are then looked up one by one, and what is not known is refused by name.
 * Owns: the state, for the call. Runs in: a process that may die (config child, check, routes). Fails: one line.
 */
#include "base/duration.h"
#include "base/fd.h"
#include "base/panic.h"
#include "cli/config_exec.h"
#include "cli/config_load.h"
#include "cli/config_ports.h"
#include "cli/config_proxies.h"
#include "cli/config_rate.h"
#include "load/limit.h"
#include "load/lines.h"
#include "script/table.h"
#include <ctype.h>
#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include <stdlib.h>

#define FILE_MAX (1u << 20)
#define MEMORY_MAX ((size_t)64 << 20)
#define RUN_MAX DUR_S(1)

/* Of the design, and not built yet. */
static const char *const later[] = {"smtp", "modules", "retention", "spool", "otlp", "admin_read_token"};
enum { LATER = sizeof later / sizeof *later };
static const char *const special[] = {
    "hooks",  "files",    "listen",          "store",         "admin",          "admin_token", "tls",       "log",
    "limits", "tls.cert", "tls.key",         "tls.client_ca", "tls.client",     "tls.ocsp",    "log.file",  "health",
    "exec",   "user",     "trusted_proxies", "public_url",    "proxy_protocol", "rate_limit",  "http_ports"};
enum { SPECIAL = sizeof special / sizeof *special };

const char *config_file_later(size_t i)
{
    return i < LATER ? later[i] : NULL;
}

struct file {
    lua_State *L;
    const char *shown;
    struct config_draft *draft;
    struct lines lines;
    struct buf text;
    size_t memory;
    unsigned fault_line; /* 0: none yet; the first one in the file is told */
    struct error fault;
};

/* --- evaluating --- */

static void *allocate(void *cookie, void *old, size_t old_size, size_t size)
{
    struct file *f = cookie;
    if (old == NULL)
        old_size = 0;
    if (size > old_size && f->memory - old_size + size > MEMORY_MAX)
        return NULL;
    f->memory = f->memory - old_size + size;
    if (size == 0) {
        free(old);
        return NULL;
    }
    void *memory = realloc(old, size);
    NEED(memory != NULL);
    return memory;
}

static int give_getenv(lua_State *L)
{
    lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
    return 1;
}

/* [-0,+1]: the value that the file returned. */
static int evaluate(lua_State *L)
{
    struct file *f = lua_touserdata(L, 1);
    static const lua_CFunction libraries[] = {luaopen_base, luaopen_table, luaopen_string, luaopen_math};
    static const char *const removed[] = {"dofile",   "loadfile", "load",    "loadstring", "collectgarbage", "print",
                                          "newproxy", "getfenv",  "setfenv", "module",     "require",        "gcinfo"};
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        lua_pushcfunction(L, libraries[i]);
        lua_call(L, 0, 0);
    }
    for (size_t i = 0; i < sizeof removed / sizeof *removed; i++) {
        lua_pushnil(L);
        lua_setglobal(L, removed[i]);
    }
    lua_getglobal(L, "string");
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    lua_newtable(L);
    lua_pushcfunction(L, give_getenv);
    lua_setfield(L, -2, "getenv");
    lua_setglobal(L, "os");
    char name[512];
    snprintf(name, sizeof name, "@%s", f->shown);
    if (luaL_loadbufferx(L, buf_text(&f->text), f->text.len, name, "t") != 0)
        lua_error(L);
    lua_call(L, 0, 1);
    return 1;
}

/* --- faults --- */

static void note(struct file *f, const char *field, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void note(struct file *f, const char *field, const char *format, ...)
{
    unsigned line = lines_of(&f->lines, field);
    struct error fault;
    struct buf words = {0};
    va_list args;
    va_start(args, format);
    buf_addv(&words, format, args);
    va_end(args);
    for (size_t i = 0; i < words.len; i++)
        if (iscntrl((unsigned char)words.at[i]))
            words.at[i] = ' '; /* one fault, one line */
    error_set(&fault, "%s:%u: %s", f->shown, line, buf_text(&words));
    buf_free(&words);
    /* Of two on one line the one that sorts first: Lua walks a table in another order each time. */
    if (f->fault_line != 0 &&
        (line > f->fault_line || (line == f->fault_line && strcmp(fault.text, f->fault.text) > 0)))
        return;
    f->fault_line = line;
    f->fault = fault;
}

static void note_unknown(struct file *f, const char *name)
{
    const char *known[SPECIAL + LATER + 256];
    size_t count = 0;
    for (size_t i = 0; i < LATER; i++)
        if (strcmp(name, later[i]) == 0) {
            note(f, name, "setting '%s' is not in this version of crescent", name);
            return;
        }
    for (size_t i = 0; i < SPECIAL; i++)
        known[count++] = special[i];
    for (size_t i = 0; i < config_setting_count && count < sizeof known / sizeof *known; i++)
        if (config_settings[i].settable)
            known[count++] = config_settings[i].name;
    const char *near = slice_nearest(slice_of(name), known, count);
    note(f, name, "unknown setting '%.80s'%s%s%s", name, near ? " (did you mean '" : "", near ? near : "",
         near ? "'?)" : "");
}

/* --- settings --- */

/* The value at the top of the stack as a setting's text: a number, boolean or string. False: of another kind. */
static bool value_text(lua_State *L, struct buf *text)
{
    size_t len;
    double n;
    switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN:
        buf_add_text(text, lua_toboolean(L, -1) ? "true" : "false");
        return true;
    case LUA_TNUMBER:
        n = lua_tonumber(L, -1);
        if (floor(n) == n && fabs(n) < 9e15)
            buf_addf(text, "%.0f", n);
        else
            buf_addf(text, "%.9f", n);
        return true;
    case LUA_TSTRING: {
        const char *at = lua_tolstring(L, -1, &len);
        buf_add(text, at, len);
        return true;
    }
    default:
        return false;
    }
}

static void read_scalar(struct file *f, const char *name, const struct config_setting *s)
{
    struct buf text = {0};
    struct error err;
    char room[128];
    bool boolean = lua_type(f->L, -1) == LUA_TBOOLEAN;
    if (!value_text(f->L, &text) || boolean != (s->kind == CONFIG_BOOL))
        note(f, name, "%s: expected %s, got a %s", name, config_expected(s, room), luaL_typename(f->L, -1));
    else if (config_set(f->draft->config, s, buf_slice(&text), &err) != 0)
        note(f, name, "%s: %s", name, err.text);
    buf_free(&text);
}

/* A string at the top of the stack that is not empty and holds no NUL, or NULL with a fault. */
static const char *need_text(struct file *f, const char *name, const char *expected)
{
    size_t len;
    const char *text = lua_type(f->L, -1) == LUA_TSTRING ? lua_tolstring(f->L, -1, &len) : NULL;
    if (text == NULL)
        note(f, name, "%s: expected %s, got a %s", name, expected, luaL_typename(f->L, -1));
    else if (len == 0 || strlen(text) != len)
        note(f, name, "%s: expected %s, got %s", name, expected, len == 0 ? "an empty one" : "one with a NUL byte");
    return text != NULL && len > 0 && strlen(text) == len ? text : NULL;
}

static void where_of(struct file *f, const char *name, char room[600])
{
    snprintf(room, 600, "%s:%u: %s", f->shown, lines_of(&f->lines, name), name);
}

static void read_text(struct file *f, const char *name, struct config_text *into)
{
    char where[600];
    where_of(f, name, where);
    const char *text = need_text(f, name, "a string");
    if (text != NULL)
        config_load_text(into, text, where, false);
}

static void read_listen(struct file *f)
{
    char where[600];
    where_of(f, "listen", where);
    config_load_no_listen(f->draft);
    if (lua_type(f->L, -1) != LUA_TTABLE) {
        const char *text = need_text(f, "listen", "an address or a list of addresses");
        if (text != NULL)
            config_load_listen(f->draft, text, where);
        return;
    }
    size_t count;
    struct error err;
    if (!table_is_list(f->L, -1, &count, &err)) {
        note(f, "listen", "listen: %s", err.text);
        return;
    }
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(f->L, -1, (int)i);
        const char *text = need_text(f, "listen", "an address or a list of addresses");
        if (text != NULL)
            config_load_listen(f->draft, text, where);
        lua_pop(f->L, 1);
    }
    if (count == 0)
        note(f, "listen", "listen: expected an address or a list of addresses, got an empty list");
}

/* An address, or false for none. */
static void read_address(struct file *f, const char *name, struct config_text *into)
{
    char where[600];
    where_of(f, name, where);
    if (lua_type(f->L, -1) == LUA_TBOOLEAN && !lua_toboolean(f->L, -1))
        config_load_text(into, "off", where, false);
    else
        read_text(f, name, into);
}

/* { cert = F, key = F, … } at the top of the stack. */
static void read_tls_entry(struct file *f)
{
    lua_State *L = f->L;
    char where[600];
    where_of(f, "tls", where);
    if (lua_type(L, -1) != LUA_TTABLE) {
        note(f, "tls", "tls: expected { cert = FILE, key = FILE }, got a %s", luaL_typename(L, -1));
        return;
    }
    struct error err;
    if (!table_is_plain(L, -1, &err)) {
        note(f, "tls", "tls: %s", err.text);
        return;
    }
    struct config_draft_tls *t = config_load_tls(f->draft, where);
    const struct {
        const char *name;
        struct config_text *text;
    } fields[] = {{"tls.cert", &t->cert},
                  {"tls.key", &t->key},
                  {"tls.client_ca", &t->client_ca},
                  {"tls.client", &t->client},
                  {"tls.ocsp", &t->ocsp}};
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        char name[64];
        size_t i = 0;
        snprintf(name, sizeof name, "tls.%.40s", lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "");
        while (i < sizeof fields / sizeof *fields && strcmp(fields[i].name, name) != 0)
            i++;
        if (i < sizeof fields / sizeof *fields)
            read_text(f, name, fields[i].text);
        else
            note_unknown(f, name);
    }
}

/* An entry, or a list of them. */
static void read_tls(struct file *f)
{
    lua_State *L = f->L;
    size_t count = lua_type(L, -1) == LUA_TTABLE ? lua_objlen(L, -1) : 0;
    if (count == 0) {
        read_tls_entry(f);
        return;
    }
    struct error err;
    if (!table_is_list(L, -1, &count, &err)) {
        note(f, "tls", "tls: expected an entry or a list of entries: %s", err.text);
        return;
    }
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, (int)i);
        read_tls_entry(f);
        lua_pop(L, 1);
    }
}

static void read_exec(struct file *f)
{
    struct error err;
    if (config_exec_value(f->L, f->draft->config, &err) != 0)
        note(f, "exec", "exec: %s", err.text);
}

static void read_http_ports(struct file *f)
{
    struct error err;
    if (config_ports_value(f->L, f->draft->config, &err) != 0)
        note(f, "http_ports", "http_ports: %s", err.text);
}

static void read_trusted_proxies(struct file *f)
{
    struct error err;
    if (config_proxies_trusted_value(f->L, f->draft->config, &err) != 0)
        note(f, "trusted_proxies", "trusted_proxies: %s", err.text);
}

static void read_public_url(struct file *f)
{
    struct error err;
    const char *text = need_text(f, "public_url", "a URL like \"https://hooks.example.com\"");
    if (text != NULL && config_proxies_url(slice_of(text), f->draft->config, &err) != 0)
        note(f, "public_url", "public_url: %s", err.text);
}

static void read_proxy_protocol(struct file *f)
{
    struct error err;
    char where[600];
    where_of(f, "proxy_protocol", where);
    if (config_proxies_protocol_value(f->L, f->draft, where, &err) != 0)
        note(f, "proxy_protocol", "proxy_protocol: %s", err.text);
}

static void read_rate_limit(struct file *f)
{
    struct error err;
    if (config_rate_value(f->L, f->draft->config, &err) != 0)
        note(f, "rate_limit", "rate_limit: %s", err.text);
}

static void read_table(struct file *f, const char *prefix);

static void read_setting(struct file *f, const char *name)
{
    const struct config_setting *s = config_load_setting(name);
    if (s != NULL && s->settable)
        read_scalar(f, name, s);
    else if (strcmp(name, "hooks") == 0)
        read_text(f, name, &f->draft->hooks);
    else if (strcmp(name, "files") == 0)
        read_text(f, name, &f->draft->files);
    else if (strcmp(name, "log.file") == 0)
        read_text(f, name, &f->draft->log_file);
    else if (strcmp(name, "store") == 0)
        read_text(f, name, &f->draft->store);
    else if (strcmp(name, "user") == 0)
        read_text(f, name, &f->draft->user);
    else if (strcmp(name, "admin_token") == 0)
        read_text(f, name, &f->draft->admin_token);
    else if (strcmp(name, "listen") == 0)
        read_listen(f);
    else if (strcmp(name, "admin") == 0)
        read_address(f, name, &f->draft->admin);
    else if (strcmp(name, "health") == 0)
        read_address(f, name, &f->draft->health);
    else if (strcmp(name, "tls") == 0)
        read_tls(f);
    else if (strcmp(name, "exec") == 0)
        read_exec(f);
    else if (strcmp(name, "http_ports") == 0)
        read_http_ports(f);
    else if (strcmp(name, "trusted_proxies") == 0)
        read_trusted_proxies(f);
    else if (strcmp(name, "public_url") == 0)
        read_public_url(f);
    else if (strcmp(name, "proxy_protocol") == 0)
        read_proxy_protocol(f);
    else if (strcmp(name, "rate_limit") == 0)
        read_rate_limit(f);
    else if (strcmp(name, "log") == 0 || strcmp(name, "limits") == 0)
        read_table(f, name);
    else
        note_unknown(f, name);
}

/* The table at the top of the stack: its settings, named "prefix.key" where there is a prefix. */
static void read_table(struct file *f, const char *prefix)
{
    lua_State *L = f->L;
    struct error err;
    if (lua_type(L, -1) != LUA_TTABLE) {
        note(f, prefix, "%s: expected a table, got a %s", prefix, luaL_typename(L, -1));
        return;
    }
    if (!table_is_plain(L, -1, &err)) {
        note(f, prefix, "%s: %s", prefix[0] != '\0' ? prefix : "the table of settings", err.text);
        return;
    }
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        char name[128];
        if (lua_type(L, -2) != LUA_TSTRING) {
            note(f, prefix, "a value without a name%s%s", prefix[0] != '\0' ? " in " : "", prefix);
            continue;
        }
        snprintf(name, sizeof name, "%s%s%.80s", prefix, prefix[0] != '\0' ? "." : "", lua_tostring(L, -2));
        read_setting(f, name);
    }
}

static int read_settings(lua_State *L)
{
    struct file *f = lua_touserdata(L, 1);
    lua_settop(L, 2);
    if (lua_type(L, 2) != LUA_TTABLE)
        return luaL_error(L, "%s:%d: it must return a table of settings, got %s", f->shown, f->lines.fallback,
                          lua_isnil(L, 2) ? "nothing" : luaL_typename(L, 2));
    read_table(f, "");
    return 0;
}

static int run(struct file *f, struct error *err)
{
    lua_State *L = f->L;
    lua_pushcfunction(L, evaluate);
    lua_pushlightuserdata(L, f);
    limit_begin(L, "the configuration", RUN_MAX);
    int failed = lua_pcall(L, 1, 1, 0);
    limit_end(L);
    if (failed == 0) {
        lua_pushcfunction(L, read_settings);
        lua_pushlightuserdata(L, f);
        lua_pushvalue(L, -3);
        failed = lua_pcall(L, 2, 0, 0);
    }
    if (failed != 0) {
        if (failed == LUA_ERRMEM)
            return error_set(err, "%s: it needs more than 64MiB of memory", f->shown);
        if (lua_type(L, -1) != LUA_TSTRING)
            return error_set(err, "%s: it raised an error that is no text", f->shown);
        return error_set(err, "%s", lua_tostring(L, -1));
    }
    if (f->fault_line == 0)
        return 0;
    *err = f->fault;
    return -1;
}

int config_file_read(const char *path, const char *shown, struct config_draft *d, struct error *err)
{
    struct file f = {.shown = shown, .draft = d};
    int done = fd_read_file(path, FILE_MAX, &f.text, err);
    if (done == 0) {
        char words[600];
        snprintf(words, sizeof words, "crescent: %s: stuck for longer than 2s\n", shown);
        limit_last_words(words);
        lines_read(buf_slice(&f.text), &f.lines);
        f.L = lua_newstate(allocate, &f);
        NEED(f.L != NULL);
        done = run(&f, err);
        limit_last_words(NULL);
        lua_close(f.L);
        lines_free(&f.lines);
    }
    buf_free(&f.text);
    return done;
}
