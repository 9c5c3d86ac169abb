/*
 * error.c: reads what was raised. Words with a file and line are for the log; the client sees only what the script
 * said with error { status, detail, ... }.
 * Owns: nothing. Runs in: the state's thread. Fails: never; reading is protected, and a second error is logged as such.
 */
#include "script/error.h"
#include "base/panic.h"
#include "codec/json.h"
#include "script/interrupt.h"
#include "script/state_internal.h"
#include "script/stretch.h"
#include "script/task_internal.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define MEMBERS_MAX (64u << 10)
#define MEMBERS_DEPTH 16
#define WORDS_MAX 1024 /* of one raised message */

static const char problem_meta[] = "crescent.problem";

/* What RFC 9457 and we put there ourselves. */
static const char *const reserved[] = {"status", "detail", "type", "title", "request_id", "instance", NULL};

/* tostring(err) of a problem raised by C, when a script caught it. */
static int problem_tostring(lua_State *L)
{
    lua_getfield(L, 1, "detail");
    return 1;
}

/* The words come from vsnprintf: lua_pushvfstring knows few of printf's formats. */
static void push_problem(lua_State *L, int status, const char *words)
{
    lua_createtable(L, 0, 2);
    lua_pushstring(L, words);
    lua_setfield(L, -2, "detail");
    lua_pushinteger(L, status);
    lua_setfield(L, -2, "status");
    if (luaL_newmetatable(L, problem_meta)) {
        lua_pushcfunction(L, problem_tostring);
        lua_setfield(L, -2, "__tostring");
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
}

void script_error_push(lua_State *L, int status, const char *format, ...)
{
    char words[WORDS_MAX];
    va_list args;

    va_start(args, format);
    error_words(words, sizeof(words), format, args);
    va_end(args);
    push_problem(L, status, words);
}

int script_error_problem(lua_State *L, int status, const char *format, ...)
{
    char words[WORDS_MAX];
    va_list args;

    va_start(args, format);
    error_words(words, sizeof(words), format, args);
    va_end(args);
    push_problem(L, status, words);
    return lua_error(L);
}

int script_error_words(lua_State *L, const char *format, ...)
{
    lua_Debug at;
    va_list args;
    int level = 0;

    while (lua_getstack(L, level, &at)) {
        lua_getinfo(L, "Sl", &at);
        if (at.currentline > 0 && strncmp(at.source, "=crescent/", 10) != 0) /* our own Lua is not where it is wrong */
            break;
        level++;
    }
    luaL_where(L, level);
    char words[WORDS_MAX];
    va_start(args, format);
    error_words(words, sizeof(words), format, args);
    va_end(args);
    lua_pushstring(L, words);
    lua_concat(L, 2);
    return lua_error(L);
}

static bool is_reserved(struct slice name)
{
    for (size_t i = 0; reserved[i] != NULL; i++)
        if (slice_equal(name, slice_of(reserved[i])))
            return true;
    return false;
}

static bool write_value(lua_State *L, struct json_writer *w, int depth);

/* Tables may be long, and there may be many: no hook reaches what C does with them. */
static void check_time(lua_State *L)
{
    if (interrupt_due(L))
        luaL_error(L, "%s", interrupt_words());
}

/* An array: keys 1..n and no others. An empty table is an object. */
static bool is_array(lua_State *L, size_t *count_out)
{
    size_t count = 0;

    *count_out = lua_objlen(L, -1);
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        check_time(L);
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TNUMBER || lua_tonumber(L, -1) < 1 || lua_tonumber(L, -1) > (lua_Number)*count_out ||
            lua_tonumber(L, -1) != (lua_Number)lua_tointeger(L, -1)) {
            lua_pop(L, 1);
            return false;
        }
        count++;
    }
    return count > 0 && count == *count_out;
}

static bool write_object(lua_State *L, struct json_writer *w, int depth)
{
    bool all = true;

    json_write_object(w);
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        struct slice name;
        if (lua_type(L, -2) == LUA_TSTRING) {
            name.at = lua_tolstring(L, -2, &name.len);
            if (json_write_name(w, name))
                all = write_value(L, w, depth + 1) && all;
            else
                all = false;
        } else {
            all = false;
        }
        lua_pop(L, w->out->overflow ? 2 : 1);
        if (w->out->overflow)
            return false;
    }
    json_write_end(w, '}');
    return all;
}

static bool write_table(lua_State *L, struct json_writer *w, int depth)
{
    size_t count;
    bool all = true;

    luaL_checkstack(L, 4, "members");
    if (!is_array(L, &count))
        return write_object(L, w, depth);
    json_write_array(w);
    for (size_t i = 1; i <= count && !w->out->overflow; i++) {
        lua_rawgeti(L, -1, (int)i);
        all = write_value(L, w, depth + 1) && all;
        lua_pop(L, 1);
    }
    json_write_end(w, ']');
    return all;
}

/* The value at the top of the stack; what JSON cannot say is null, and false is returned. */
static bool write_value(lua_State *L, struct json_writer *w, int depth)
{
    struct slice text;

    check_time(L);
    if (w->out->overflow || depth > MEMBERS_DEPTH) {
        json_write_null(w);
        return false;
    }
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        text.at = lua_tolstring(L, -1, &text.len);
        json_write_text(w, text);
        return true;
    case LUA_TNUMBER:
        if (json_write_double(w, lua_tonumber(L, -1)))
            return true;
        break;
    case LUA_TBOOLEAN:
        json_write_bool(w, lua_toboolean(L, -1));
        return true;
    case LUA_TTABLE:
        return write_table(L, w, depth);
    case LUA_TLIGHTUSERDATA: /* json.null */
        json_write_null(w);
        return lua_touserdata(L, -1) == NULL;
    default:
        break;
    }
    json_write_null(w);
    return false;
}

/* The further members of the problem at the top of the stack. */
static void read_members(lua_State *L, struct script_error *e)
{
    struct json_writer w;
    bool all = true;

    e->members.limit = MEMBERS_MAX;
    json_write_begin(&w, &e->members);
    json_write_object(&w);
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        struct slice name;
        if (lua_type(L, -2) == LUA_TSTRING) {
            name.at = lua_tolstring(L, -2, &name.len);
            if (!is_reserved(name))
                all = json_write_name(&w, name) && write_value(L, &w, 1) && all;
        } else {
            all = false;
        }
        lua_pop(L, e->members.overflow ? 2 : 1);
        if (e->members.overflow)
            break;
    }
    if (!all)
        buf_add_text(&e->log, " (a member that JSON cannot say was left out or is null)");
    if (e->members.overflow) {
        buf_clear(&e->members);
        buf_add_text(&e->log, " (its members are too large and were left out)");
    } else {
        buf_drop(&e->members, 1); /* the opening brace: members stand within another object */
    }
}

/* Appends the detail of the table at the top of the stack; false where it has none that is words. */
static bool read_detail(lua_State *L, struct buf *into)
{
    struct slice detail;
    bool is_words;

    lua_pushliteral(L, "detail");
    lua_rawget(L, -2);
    is_words = lua_type(L, -1) == LUA_TSTRING || lua_type(L, -1) == LUA_TNUMBER;
    if (is_words) {
        detail.at = lua_tolstring(L, -1, &detail.len);
        buf_add_slice(into, detail);
    }
    lua_pop(L, 1);
    return is_words;
}

/* The status of the table at the top of the stack: 400 to 599; 0: none; -1: something else. */
static int read_status(lua_State *L)
{
    lua_Number status;
    bool none;

    lua_pushliteral(L, "status");
    lua_rawget(L, -2);
    none = lua_isnil(L, -1);
    status = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
    lua_pop(L, 1);
    if (none)
        return 0;
    return status >= 400 && status <= 599 && status == (lua_Number)(int)status ? (int)status : -1;
}

/* Whether the problem at the top of the stack was made here: no script has its metatable. */
static bool is_ours(lua_State *L)
{
    if (!lua_getmetatable(L, -1))
        return false;
    luaL_getmetatable(L, problem_meta);
    bool ours = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return ours;
}

/* error { status = 422, detail = "...", ... }: the table at the top of the stack is such an answer. */
static void read_problem(lua_State *L, struct script_error *e, int status)
{
    buf_addf(&e->log, "problem %d", status);
    if (read_detail(L, &e->detail))
        buf_addf(&e->log, ": %.*s", SLICE_ARG(buf_slice(&e->detail)));
    read_members(L, e);
    e->status = status;
    e->raised_problem = true;
    e->passing = status == 503 && is_ours(L);
}

/* Anything else: a 500, and words for the log. */
static void read_words(lua_State *L, struct script_error *e, int status)
{
    struct slice text;

    if (status < 0)
        buf_add_text(&e->log, "error raised with a table whose status is not 400 to 599: ");
    if (lua_type(L, -1) == LUA_TSTRING || lua_type(L, -1) == LUA_TNUMBER ||
        (luaL_callmeta(L, -1, "__tostring") && lua_type(L, -1) == LUA_TSTRING)) {
        text.at = lua_tolstring(L, -1, &text.len);
        e->memory = slice_equal(text, SLICE("not enough memory"));
        buf_add_slice(&e->log, text);
    } else if (!lua_istable(L, -1) || !read_detail(L, &e->log)) {
        buf_addf(&e->log, "error raised with a %s", luaL_typename(L, -1));
    }
}

struct reading {
    lua_State *co;
    struct script_error *e;
};

/* Appends what was kept for the task whose end is told, if the error value at `index` is the one that it belongs to. */
static void add_kept_trace(lua_State *L, int index, struct buf *text)
{
    const struct task *t = state_of(L)->ending;

    if (t == NULL || t->traced == LUA_NOREF)
        return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->traced);
    if (lua_rawequal(L, -1, index))
        buf_add_slice(text, buf_slice(&t->trace));
    lua_pop(L, 1);
}

struct keeping {
    lua_State *co;
    struct task *whole;
};

static void keep_trace(lua_State *L, void *cookie)
{
    struct keeping *k = cookie;
    struct task *whole = k->whole;

    luaL_unref(L, LUA_REGISTRYINDEX, whole->traced);
    whole->traced = LUA_NOREF;
    buf_clear(&whole->trace);
    luaL_traceback(L, k->co, NULL, 0);
    buf_add_text(&whole->trace, "\nraised in a function of parallel, ");
    buf_add_text(&whole->trace, lua_tostring(L, -1));
    lua_pushvalue(k->co, -1);
    lua_xmove(k->co, L, 1);
    add_kept_trace(L, lua_gettop(L), &whole->trace);
    whole->traced = luaL_ref(L, LUA_REGISTRYINDEX);
}

void script_error_keep_trace(lua_State *co, struct task *whole)
{
    struct keeping k = {co, whole};
    struct error unheard; /* without memory for it the log has the caller's trace alone */

    state_protected(state_of(co), keep_trace, &k, &unheard);
}

struct place {
    struct task *task;
    struct buf *out;
};

static void read_place(lua_State *L, void *cookie)
{
    struct place *p = cookie;

    luaL_traceback(L, p->task->co, NULL, 0);
    buf_add_text(p->out, lua_tostring(L, -1));
}

void script_error_where(struct task *t, struct buf *out)
{
    struct place p = {t, out};
    struct error unheard;

    state_protected(t->state, read_place, &p, &unheard);
}

static void read_error(lua_State *L, void *cookie)
{
    struct reading *r = cookie;
    int status;

    lua_pushvalue(r->co, -1);
    lua_xmove(r->co, L, 1);
    int value = lua_gettop(L);
    status = lua_istable(L, -1) ? read_status(L) : 0;
    if (status > 0) {
        read_problem(L, r->e, status);
        return;
    }
    read_words(L, r->e, status);
    luaL_traceback(L, r->co, NULL, 0);
    buf_add_char(&r->e->log, '\n');
    buf_add_text(&r->e->log, lua_tostring(L, -1));
    add_kept_trace(L, value, &r->e->log);
}

void script_error_read(lua_State *co, struct script_error *error_out)
{
    struct reading r = {co, error_out};
    struct state *s = state_of(co);
    struct error second;

    *error_out = (struct script_error){.status = 500, .interrupted = s->interrupted};
    stretch_again(s); /* __tostring is the script's, still */
    if (state_protected(s, read_error, &r, &second) != 0)
        buf_addf(&error_out->log, " (while this was read: %s)", second.text);
    if (stretch_end(s))
        error_out->interrupted = true;
    if (!error_out->raised_problem) {
        buf_clear(&error_out->detail);
        buf_clear(&error_out->members);
    }
}

void script_error_free(struct script_error *e)
{
    buf_free(&e->detail);
    buf_free(&e->members);
    buf_free(&e->log);
}
