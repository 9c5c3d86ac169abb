/*
 * declare.c: fields, handlers, methods and routes of what a script returned; see declare.h.
 * Reads are raw, so a table that inherits is refused: a `verify` behind an __index would be none. The only Lua error
 * here is that of memory.
 * Owns: the noted faults. Runs in: the state's thread. Fails: by noted faults.
 */
#include "load/declare.h"
#include "base/ascii.h"
#include "base/panic.h"
#include "route/router.h"
#include "script/table.h"
#include <ctype.h>
#include <lauxlib.h>
#include <stdarg.h>
#include <stdlib.h>

static const char *const known[] = {"handle",        "methods",     "path",      "host",    "verify",
                                    "events",        "event_type",  "max_body",  "timeout", "max_run",
                                    "on_disconnect", "description", "allow_ips", "cors",    "rate_limit"};
/* Of the design, and not built yet: refused by name, never ignored. */
static const char *const later[] = {"process",  "dedupe",  "concurrency", "retry", "order_by",       "coalesce",
                                    "schedule", "on_dead", "internal",    "wait",  "process_timeout"};
enum { KNOWN = sizeof known / sizeof *known, LATER = sizeof later / sizeof *later };

/* --- faults --- */

static void __attribute__((format(printf, 4, 0)))
note_at(struct declare *d, unsigned line, const char *field, const char *format, va_list args)
{
    struct buf words = {0};
    buf_addf(&words, "%s:%u: ", d->file, line);
    if (field != NULL)
        buf_addf(&words, "%s: ", field);
    buf_addv(&words, format, args);
    for (size_t i = 0; i < words.len; i++)
        if (iscntrl((unsigned char)words.at[i]))
            words.at[i] = ' '; /* one fault, one line */
    d->faults = need_realloc(d->faults, (d->fault_count + 1) * sizeof *d->faults);
    d->faults[d->fault_count++] = (struct declare_fault){line, buf_take(&words)};
}

static unsigned line_of(struct declare *d, const char *field)
{
    if (!d->lines_known)
        lines_read(d->text, &d->lines);
    d->lines_known = true;
    return field != NULL ? lines_of(&d->lines, field) : d->lines.fallback;
}

void declare_note(struct declare *d, const char *field, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note_at(d, line_of(d, field), field, format, args);
    va_end(args);
}

/* As declare_note, on the field's line, without its name before the words. */
static void note_bare(struct declare *d, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void note_bare(struct declare *d, const char *field, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note_at(d, line_of(d, field), NULL, format, args);
    va_end(args);
}

static int by_line(const void *a, const void *b)
{
    const struct declare_fault *x = a, *y = b;
    return x->line != y->line ? (x->line < y->line ? -1 : 1) : strcmp(x->words, y->words);
}

bool declare_finish(struct declare *d, struct buf *errors)
{
    bool good = d->fault_count == 0;
    if (!good)
        qsort(d->faults, d->fault_count, sizeof *d->faults, by_line);
    for (size_t i = 0; i < d->fault_count; i++) {
        buf_addf(errors, "%s\n", d->faults[i].words);
        free(d->faults[i].words);
    }
    free(d->faults);
    lines_free(&d->lines);
    d->faults = NULL;
    d->fault_count = 0;
    return good;
}

/* --- reading --- */

bool declare_field(struct declare *d, int table, const char *name)
{
    lua_pushstring(d->L, name);
    lua_rawget(d->L, table);
    if (!lua_isnil(d->L, -1))
        return true;
    lua_pop(d->L, 1);
    return false;
}

bool declare_is_plain(struct declare *d, const char *field, int table)
{
    struct error err;
    if (table_is_plain(d->L, table, &err))
        return true;
    if (field != NULL)
        declare_note(d, field, "%s", err.text);
    else
        declare_note(d, NULL, "the table that the script returns: %s", err.text);
    return false;
}

/* The text at the top of the stack, or NULL: only a string counts, and none with a NUL. */
static const char *text_at_top(lua_State *L)
{
    size_t len;
    if (lua_type(L, -1) != LUA_TSTRING)
        return NULL;
    const char *text = lua_tolstring(L, -1, &len);
    return strlen(text) == len ? text : NULL;
}

bool declare_texts(struct declare *d, const char *field, bool lone, char ***texts_out, size_t *count_out)
{
    lua_State *L = d->L;
    int list = lua_gettop(L);
    const char *wanted = lone ? "expected a string or a list of strings" : "expected a list of strings";
    if (lone && text_at_top(L) != NULL) {
        *texts_out = need_alloc(sizeof **texts_out);
        (*texts_out)[0] = need_strdup(text_at_top(L));
        *count_out = 1;
        return true;
    }
    size_t count = 0;
    struct error err;
    if (lua_type(L, list) == LUA_TTABLE && !table_is_list(L, list, &count, &err)) {
        declare_note(d, field, "%s: %s", wanted, err.text);
        return false;
    }
    bool good = count > 0;
    for (size_t i = 1; i <= count; i++, lua_pop(L, 1)) {
        lua_rawgeti(L, list, (int)i);
        const char *text = text_at_top(L);
        good = good && text != NULL && text[0] != '\0';
    }
    if (!good) {
        declare_note(d, field, "%s, not empty", wanted);
        return false;
    }
    *texts_out = need_zero(count, sizeof **texts_out);
    *count_out = count;
    for (size_t i = 0; i < count; i++, lua_pop(L, 1)) {
        lua_rawgeti(L, list, (int)i + 1);
        (*texts_out)[i] = need_strdup(text_at_top(L));
    }
    return true;
}

/* --- unknown fields --- */

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static void check_field_names(struct declare *d, int table)
{
    lua_State *L = d->L;
    for (lua_pushnil(L); lua_next(L, table) != 0;) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING) {
            if (lua_type(L, -1) == LUA_TNUMBER)
                note_bare(d, NULL, "a value without a field name ([%g])", lua_tonumber(L, -1));
            else
                note_bare(d, NULL, "a field whose name is a %s", lua_typename(L, lua_type(L, -1)));
            continue;
        }
        const char *name = lua_tostring(L, -1);
        if (is_one_of(name, known, KNOWN))
            continue;
        if (is_one_of(name, later, LATER)) {
            note_bare(d, name, "field '%s' is not in this version of crescent", name);
            continue;
        }
        const char *near = slice_nearest(slice_of(name), known, KNOWN);
        if (near == NULL)
            near = slice_nearest(slice_of(name), later, LATER);
        note_bare(d, name, "unknown field '%.*s%s'%s%s%s", SLICE_SHOWN(slice_of(name), 80),
                  near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
    }
}

/* --- handle and methods --- */

static const char *method_fault(const char *method)
{
    if (strcmp(method, "CONNECT") == 0)
        return "CONNECT has no path and cannot be handled";
    if (method[0] == '\0' || strlen(method) > 32)
        return "a method's name has 1 to 32 letters";
    for (const char *c = method; *c != '\0'; c++)
        if (!isupper((unsigned char)*c) && *c != '-' && *c != '_')
            return "methods are written in capitals";
    return NULL;
}

/* Pops the function. */
static void add_handler(struct declare *d, const char *method)
{
    struct endpoint *e = d->endpoint;
    e->handlers = need_realloc(e->handlers, (e->handler_count + 1) * sizeof *e->handlers);
    int function = luaL_ref(d->L, LUA_REGISTRYINDEX);
    e->handlers[e->handler_count++] = (struct endpoint_handler){method != NULL ? need_strdup(method) : NULL, function};
}

static void add_method(struct endpoint *e, const char *method)
{
    e->methods = need_realloc(e->methods, (e->method_count + 1) * sizeof *e->methods);
    e->methods[e->method_count++] = need_strdup(method);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* handle = { GET = f, POST = g }: at the top of the stack. */
static void read_handle_table(struct declare *d)
{
    lua_State *L = d->L;
    int table = lua_gettop(L);
    if (!declare_is_plain(d, "handle", table))
        return;
    for (lua_pushnil(L); lua_next(L, table) != 0;) {
        const char *method = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        const char *fault = method != NULL ? method_fault(method) : "expected { METHOD = function, ... }";
        char field[64];
        snprintf(field, sizeof field, "handle%s%.*s%s", method ? "." : "", SLICE_SHOWN(slice_of(method), 40));
        if (fault == NULL && lua_type(L, -1) == LUA_TFUNCTION) {
            add_method(d->endpoint, method);
            add_handler(d, method);
        } else {
            declare_note(d, field, "%s", fault != NULL ? fault : "expected a function");
            lua_pop(L, 1);
        }
    }
    if (d->endpoint->method_count > 1)
        qsort(d->endpoint->methods, d->endpoint->method_count, sizeof(char *), by_text);
    if (d->endpoint->method_count == 0 && d->fault_count == 0)
        declare_note(d, "handle", "expected a function, or { METHOD = function, ... }");
}

static void read_methods(struct declare *d, int table, bool handle_table)
{
    struct endpoint *e = d->endpoint;
    if (!declare_field(d, table, "methods")) {
        if (!handle_table)
            add_method(e, "POST");
        return;
    }
    if (handle_table) {
        declare_note(d, "methods", "'methods' and a table of functions in 'handle' say the same: give one of them");
    } else if (declare_texts(d, "methods", false, &e->methods, &e->method_count)) {
        for (size_t i = 0; i < e->method_count; i++) {
            const char *fault = method_fault(e->methods[i]);
            if (fault != NULL)
                declare_note(d, "methods", "\"%.*s%s\": %s", SLICE_SHOWN(slice_of(e->methods[i]), 40), fault);
            for (size_t k = 0; k < i; k++)
                if (strcmp(e->methods[k], e->methods[i]) == 0)
                    declare_note(d, "methods", "\"%.*s%s\" stands twice", SLICE_SHOWN(slice_of(e->methods[i]), 40));
        }
    }
    lua_pop(d->L, 1);
}

static void read_handle(struct declare *d, int table)
{
    bool handle_table = false;
    if (!declare_field(d, table, "handle")) {
        declare_note(d, NULL, "field 'handle' is missing: a script answers with handle = function(req) ... end");
    } else if (lua_type(d->L, -1) == LUA_TFUNCTION) {
        add_handler(d, NULL);
    } else if (lua_type(d->L, -1) == LUA_TTABLE) {
        handle_table = true;
        read_handle_table(d);
        lua_pop(d->L, 1);
    } else {
        declare_note(d, "handle", "expected a function, or { METHOD = function, ... }, got a %s",
                     luaL_typename(d->L, -1));
        lua_pop(d->L, 1);
    }
    read_methods(d, table, handle_table);
}

static bool lists(const struct endpoint *e, const char *method)
{
    for (size_t i = 0; i < e->method_count; i++)
        if (strcmp(e->methods[i], method) == 0)
            return true;
    return false;
}

/* RFC 9110 10.2.1, 9.3.2: HEAD goes with GET, and the server answers OPTIONS itself. */
static void make_allow(struct endpoint *e)
{
    struct buf allow = {0};
    e->options = e->methods == NULL || lists(e, "OPTIONS");
    if (e->methods == NULL)
        return;
    for (size_t i = 0; i < e->method_count; i++)
        buf_addf(&allow, "%s%s", i > 0 ? ", " : "", e->methods[i]);
    if (lists(e, "GET") && !lists(e, "HEAD"))
        buf_add_text(&allow, ", HEAD");
    if (!e->options)
        buf_add_text(&allow, ", OPTIONS");
    e->allow = buf_take(&allow);
}

/* --- routes --- */

/* The host in lower case, or NULL with a fault noted. */
static char *read_host(struct declare *d, int table)
{
    if (table == 0 || !declare_field(d, table, "host"))
        return NULL;
    const char *text = text_at_top(d->L);
    bool good = text != NULL && text[0] != '\0' && strlen(text) <= 253;
    for (const char *c = text; good && *c != '\0'; c++)
        good = ascii_is_alnum(*c) || *c == '-' || *c == '.' || *c == '_';
    char *host = good ? need_strdup(text) : NULL;
    for (char *c = host; c != NULL && *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    if (!good)
        declare_note(d, "host", "expected a host name without port, like \"hooks.example.com\"");
    lua_pop(d->L, 1);
    return host;
}

static void read_paths(struct declare *d, int table, char ***paths_out, size_t *count_out)
{
    if (table != 0 && declare_field(d, table, "path")) {
        declare_texts(d, "path", true, paths_out, count_out);
        lua_pop(d->L, 1);
        return;
    }
    const char *why;
    char *path = endpoint_route_of_file(d->endpoint->file, &why);
    if (path == NULL) {
        declare_note(d, NULL, "this file's name gives no route: %s", why != NULL ? why : "it begins with '_' or '.'");
        return;
    }
    *paths_out = need_alloc(sizeof **paths_out);
    (*paths_out)[0] = path;
    *count_out = 1;
}

static void read_routes(struct declare *d, int table)
{
    struct endpoint *e = d->endpoint;
    char **paths = NULL, *host = read_host(d, table);
    size_t count = 0;
    struct error err;
    read_paths(d, table, &paths, &count);
    e->routes = need_zero(count + 1, sizeof *e->routes);
    for (size_t i = 0; i < count; i++) {
        if (router_check_pattern(paths[i], &err) != 0)
            declare_note(d, "path", "%s", err.text);
        e->routes[e->route_count++] = (struct endpoint_route){host != NULL ? need_strdup(host) : NULL, paths[i]};
    }
    free(paths);
    free(host);
}

static void read_description(struct declare *d, int table)
{
    if (!declare_field(d, table, "description"))
        return;
    const char *text = text_at_top(d->L);
    if (text != NULL)
        d->endpoint->description = need_strdup(text);
    else
        declare_note(d, "description", "expected a string, got a %s", luaL_typename(d->L, -1));
    lua_pop(d->L, 1);
}

void declare_read(struct declare *d)
{
    lua_State *L = d->L;
    int table = lua_gettop(L);
    luaL_checkstack(L, 16, "declaration");
    if (lua_type(L, table) == LUA_TTABLE) {
        if (!declare_is_plain(d, NULL, table))
            return;
        check_field_names(d, table);
        read_handle(d, table);
        read_description(d, table);
    } else if (lua_type(L, table) == LUA_TFUNCTION) {
        lua_pushvalue(L, table);
        add_handler(d, NULL);
        table = 0;
    } else {
        declare_note(d, NULL, "a script returns its handler function, or a table with 'handle'; this one returned %s",
                     lua_isnil(L, table) ? "nothing" : luaL_typename(L, table));
        return;
    }
    read_routes(d, table);
    declare_allow_ips(d, table);
    declare_verify(d, table);
    declare_events(d, table);
    declare_cors(d, table);
    declare_limits(d, table);
    declare_rate_limit(d, table);
    make_allow(d->endpoint);
}
