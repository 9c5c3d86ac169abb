/*
 * sandbox.c: one environment per script and module; load, require; what is undeclared is an error. See sandbox.h.
 * Owns: the registry references it hands out. Runs in: the state's thread. Fails: words with file:line.
 */
#include "script/sandbox.h"
#include "base/buf.h"
#include "base/panic.h"
#include "script/error.h"
#include "script/nested.h"
#include "script/sandbox_globals.h"
#include "script/state_internal.h"
#include "script/stretch.h"

#include <lauxlib.h>
#include <stdlib.h>

/* --- load, as a script sees it: the environment is the upvalue --------------------------------------------------- */

/* load(function): its pieces, joined, replace it. */
static void join_pieces(lua_State *L)
{
    int pieces = 0;

    lua_newtable(L);
    for (;;) {
        lua_pushvalue(L, 1);
        lua_call(L, 0, 1);
        if (lua_isnil(L, -1) || (lua_isstring(L, -1) && lua_objlen(L, -1) == 0))
            break;
        if (!lua_isstring(L, -1))
            luaL_error(L, "reader function must return a string");
        lua_rawseti(L, -2, ++pieces);
    }
    lua_pop(L, 1);
    luaL_Buffer joined;
    luaL_buffinit(L, &joined);
    for (int i = 1; i <= pieces; i++) {
        lua_rawgeti(L, 5, i);
        luaL_addvalue(&joined);
    }
    luaL_pushresult(&joined);
    lua_replace(L, 1);
    lua_settop(L, 4);
}

/* load(text or function [, name [, mode [, env]]]): in the sandbox text only; without env, the script's own. */
static int load_text(lua_State *L)
{
    size_t len;
    bool sandbox = state_of(L)->host->sandbox;
    const char *text, *mode = luaL_optstring(L, 3, sandbox ? "t" : "bt");
    bool has_env = lua_gettop(L) >= 4;

    nested_check_stack(L);
    lua_settop(L, 4);
    if (lua_isfunction(L, 1))
        join_pieces(L);
    text = luaL_checklstring(L, 1, &len);
    if (sandbox && strchr(mode, 't') == NULL) {
        lua_pushnil(L);
        lua_pushliteral(L, "load: bytecode is not available to scripts");
        return 2;
    }
    if (luaL_loadbufferx(L, text, len, luaL_optstring(L, 2, text), sandbox ? "t" : mode) != 0) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    if (!has_env)
        lua_pushvalue(L, lua_upvalueindex(1));
    else if (lua_istable(L, 4))
        lua_pushvalue(L, 4);
    else
        return luaL_error(L, "bad argument #4 to 'load' (table expected, got %s)", luaL_typename(L, 4));
    lua_setfenv(L, -2);
    return 1;
}

/* --- require: upvalues are the environment and the table of what it has loaded ----------------------------------- */

/* A module of the folder. The environment must be the one that is loading now: later there is nobody to ask. */
static void require_module(lua_State *L, const char *name)
{
    struct state *s = state_of(L);
    lua_State *load_on = s->load_on;
    int ref, top = lua_gettop(L);

    if (s->modules == NULL || lua_topointer(L, lua_upvalueindex(1)) != s->load_env)
        script_error_words(L, "require \"%s\": modules are loaded while a script loads: require it at the top level",
                           name);
    s->load_on = L;
    ref = s->modules->require(s->modules, L, slice_of(name));
    s->load_on = load_on;
    if (ref == -1 && lua_gettop(L) > top)
        lua_error(L);
    lua_settop(L, top);
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, true);
    }
}

static int require_name(lua_State *L)
{
    static const char *const standard[] = {"string", "table", "math", "coroutine", "bit", "os", "io"};
    const char *name = luaL_checkstring(L, 1);

    nested_check_stack(L); /* package.loaded may have got an __index */
    lua_settop(L, 1);
    lua_getfield(L, lua_upvalueindex(2), name);
    if (!lua_isnil(L, -1))
        return 1;
    lua_pop(L, 1);
    if (strncmp(name, "_lib.", 5) == 0) {
        require_module(L, name);
    } else {
        for (size_t i = 0; i < sizeof(standard) / sizeof(standard[0]); i++)
            if (strcmp(name, standard[i]) == 0) {
                lua_getfield(L, lua_upvalueindex(1), name);
                return 1;
            }
        if (!sandbox_globals_library(L, name))
            return script_error_words(L, "require \"%s\": no such module (\"_lib.name\" is the file _lib/name.lua)",
                                      name);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, lua_upvalueindex(2), name);
    return 1;
}

/* --- environments ------------------------------------------------------------------------------------------------ */

/* Puts require and package (its loaded) into the environment at 1. */
static void add_require(lua_State *L)
{
    lua_newtable(L);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, require_name, 2);
    lua_pushliteral(L, "require");
    lua_insert(L, -2);
    lua_rawset(L, 1);
    lua_pushliteral(L, "package");
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "loaded");
    lua_rawset(L, 1);
    lua_pop(L, 1);
}

static void add_load(lua_State *L)
{
    lua_pushvalue(L, 1);
    lua_pushcclosure(L, load_text, 1);
    lua_pushliteral(L, "load");
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    lua_pushliteral(L, "loadstring");
    lua_insert(L, -2);
    lua_rawset(L, 1);
}

/* The first read of a global by this script: it gets its own. */
static int read_global(lua_State *L)
{
    struct state *s = state_of(L);
    const char *name;

    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    lua_settop(L, 2);
    name = lua_tostring(L, 2);
    if (strcmp(name, "require") == 0 || (strcmp(name, "package") == 0 && s->host->sandbox)) {
        add_require(L);
    } else if (strcmp(name, "load") == 0 || strcmp(name, "loadstring") == 0) {
        add_load(L);
    } else {
        if (!sandbox_globals_push(L, name))
            return sandbox_globals_fault(L, name);
        lua_pushvalue(L, 2);
        lua_pushvalue(L, 3);
        lua_rawset(L, 1);
        return 1;
    }
    lua_settop(L, 2);
    lua_rawget(L, 1);
    return 1;
}

/* A known name may be given another meaning for this script; a new one is most often a forgotten `local`. */
static int write_global(lua_State *L)
{
    if (lua_type(L, 2) == LUA_TSTRING && sandbox_globals_known(L, lua_tostring(L, 2))) {
        lua_rawset(L, 1);
        return 0;
    }
    if (lua_type(L, 2) != LUA_TSTRING)
        return script_error_words(L, "assignment to an undeclared global: declare it with local");
    return script_error_words(L, "assignment to undeclared global '%s': declare it with local", lua_tostring(L, 2));
}

static void push_environment(lua_State *L, struct sandbox_modules *modules)
{
    lua_createtable(L, 0, 8);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "_G");
    if (modules != NULL && modules->push_env != NULL) {
        modules->push_env(modules, L);
        lua_setfield(L, -2, "env");
    }
    if (luaL_newmetatable(L, "crescent.environment")) {
        lua_pushcfunction(L, read_global);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, write_global);
        lua_setfield(L, -2, "__newindex");
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
}

/* --- loading ----------------------------------------------------------------------------------------------------- */

struct loading {
    struct slice text;
    const char *name;
    struct sandbox_modules *modules;
    struct sandbox_chunk *chunk;
};

/* Whether a message begins with "file:line: ". */
static bool has_place(const char *text)
{
    const char *colon = strchr(text, ':');

    while (colon != NULL) {
        const char *end = colon + 1 + strspn(colon + 1, "0123456789");
        if (end > colon + 1 && end[0] == ':' && end[1] == ' ')
            return true;
        colon = strchr(colon + 1, ':');
        if (colon != NULL && memchr(text, '\n', (size_t)(colon - text)) != NULL)
            return false;
    }
    return false;
}

/* The message handler: whatever was raised becomes "file:line: message", while the stack is still there. */
static int describe(lua_State *L)
{
    lua_Debug at;

    lua_settop(L, 1);
    if (lua_istable(L, 1)) {
        lua_getfield(L, 1, "detail");
        if (!lua_isstring(L, -1))
            lua_pop(L, 1);
    }
    if (!lua_isstring(L, -1)) {
        lua_pushfstring(L, "error raised with a %s", luaL_typename(L, -1));
    } else if (has_place(lua_tostring(L, -1))) {
        return 1;
    }
    for (int level = 1; lua_getstack(L, level, &at); level++) {
        lua_getinfo(L, "Sl", &at);
        if (at.currentline > 0 && at.source[0] == '@') {
            lua_pushfstring(L, "%s:%d: ", at.short_src, at.currentline);
            lua_insert(L, -2);
            lua_concat(L, 2);
            break;
        }
    }
    return 1;
}

/*
 * Names that the environment at 2 will refuse are faults now, wherever in the function at the top they stand. Only
 * where scripts are tried: what workers get has passed. Without the sandbox a script may change its environment: no
 * check.
 */
static void check_globals(lua_State *L, const char *name)
{
    struct state *s = state_of(L);

    if (s->host->jit || !s->host->sandbox)
        return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->check_globals);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, 2);
    lua_pushstring(L, name);
    lua_call(L, 3, 1);
    if (lua_isstring(L, -1))
        lua_error(L);
    lua_pop(L, 1);
}

/* Of what is no Lua: bytecode, or a program, picture, archive in place of a script. */
static bool is_binary(struct slice text)
{
    size_t head = text.len < 512 ? text.len : 512;

    return head > 0 && (text.at[0] == LUA_SIGNATURE[0] || memchr(text.at, '\0', head) != NULL);
}

static int load_chunk(lua_State *L)
{
    struct loading *l = lua_touserdata(L, 1);
    struct state *s = state_of(L);

    push_environment(L, l->modules);
    lua_pushvalue(L, -1);
    l->chunk->env = luaL_ref(L, LUA_REGISTRYINDEX);
    s->load_env = lua_topointer(L, -1);
    lua_pushfstring(L, "@%s", l->name);
    if (luaL_loadbufferx(L, l->text.at, l->text.len, lua_tostring(L, -1), "t") != 0)
        return is_binary(l->text) ? luaL_error(L, "%s:1: not Lua text, but a binary file", l->name) : lua_error(L);
    lua_pushvalue(L, 2);
    lua_setfenv(L, -2);
    check_globals(L, l->name);
    int base = lua_gettop(L) - 1;
    lua_call(L, 0, LUA_MULTRET);
    l->chunk->count = lua_gettop(L) - base;
    lua_settop(L, base + 1);
    l->chunk->result = luaL_ref(L, LUA_REGISTRYINDEX);
    holdings_add(&s->loaded, l->name, l->chunk->env, l->chunk->result, s->loading > 1);
    return 0;
}

/* The error at the top of the stack, as a string of the caller's. */
static char *take_message(lua_State *L, const char *name)
{
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "error raised with no message";
    struct buf message = {0};

    if (!has_place(text))
        buf_addf(&message, "%s: ", name);
    buf_add_text(&message, text);
    lua_pop(L, 1);
    return buf_take(&message);
}

/* Runs load_chunk protected, under the ceiling and in a stretch (unless a caller began one). */
static int run_protected(struct state *s, lua_State *L, struct loading *l)
{
    bool mine = !s->inside;
    bool outermost = s->loading == 1;
    int result, handler;

    NEED(lua_checkstack(L, LUA_MINSTACK));
    lua_pushcfunction(L, describe);
    handler = lua_gettop(L);
    lua_pushcfunction(L, load_chunk);
    lua_pushlightuserdata(L, l);
    if (mine)
        stretch_begin(s, l->name, 0, s->host->max_run, true);
    if (outermost)
        memory_load(&s->memory);
    result = lua_pcall(L, 1, 0, handler);
    if (outermost)
        memory_inside(&s->memory, false);
    if (mine)
        stretch_end(s);
    lua_remove(L, handler);
    return result;
}

int sandbox_load(struct state *s, struct slice text, const char *name, struct sandbox_modules *modules,
                 struct sandbox_chunk *chunk_out, char **message_out)
{
    struct loading l = {text, name, modules, chunk_out};
    struct sandbox_modules *outer_modules = s->modules;
    const void *outer_env = s->load_env;
    const char *outer_name = s->load_name;
    lua_State *L = s->load_on;
    int result;

    CHECK(s->current == NULL);
    *chunk_out = (struct sandbox_chunk){LUA_NOREF, LUA_NOREF, 0};
    s->loading++;
    s->modules = modules;
    s->load_name = name;
    result = run_protected(s, L, &l);
    s->loading--;
    s->modules = outer_modules;
    s->load_env = outer_env;
    s->load_name = outer_name;
    fullness_loaded(s);
    if (result == 0)
        return 0;
    *message_out = take_message(L, name);
    sandbox_unload(s, chunk_out);
    return -1;
}

void sandbox_unload(struct state *s, struct sandbox_chunk *chunk)
{
    holdings_remove(&s->loaded, chunk->env);
    luaL_unref(s->L, LUA_REGISTRYINDEX, chunk->env);
    luaL_unref(s->L, LUA_REGISTRYINDEX, chunk->result);
    *chunk = (struct sandbox_chunk){LUA_NOREF, LUA_NOREF, 0};
    state_collect(s);
}
