/*
 * bind_verify.c: the verifier object, groups (lists, any, all), and the global `verify`. What checks a request is in
 * bind_verify_run.c, what reads options in bind_verify_options.c and bind_verify_credential.c.
 * Owns: one hold per object; functions in the registry until their verifier goes. Runs in: the state's thread.
 * Fails: misuse by Lua errors at load; at a request by refusing.
 */
#include "bind/bind_verify.h"
#include "bind/bind_verify_credential.h"
#include "bind/bind_verify_mtls.h"
#include "bind/bind_verify_options.h"
#include "bind/bind_verify_run.h"
#include "script/state.h"
#include "script/table.h"
#include <lauxlib.h>
#include <stdlib.h>

#define GROUP_MAX 64
#define DEPTH_MAX 16

/* Registry keys: the addresses of these bytes. */
enum { KEY_METATABLE, KEY_TASK, KEY_MAKE, KEY_NO_SECRETS, KEY_COUNT };
static const char keys[KEY_COUNT];

static void registry_push(lua_State *L, int key)
{
    lua_pushlightuserdata(L, (void *)&keys[key]);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

/* Takes the value at the top. */
static void registry_set(lua_State *L, int key)
{
    lua_pushlightuserdata(L, (void *)&keys[key]);
    lua_insert(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

/* --- the object ----------------------------------------------------------------------------------------------------
 */

struct verifier **bind_verify_box(lua_State *L)
{
    struct verifier **box = lua_newuserdata(L, sizeof(struct verifier *));
    *box = NULL;
    registry_push(L, KEY_METATABLE);
    lua_setmetatable(L, -2);
    return box;
}

struct verifier *bind_verify_read(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
        return NULL;
    registry_push(L, KEY_METATABLE);
    bool ours = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return ours ? *(struct verifier **)lua_touserdata(L, index) : NULL;
}

static int box_gc(lua_State *L)
{
    verify_release(lua_touserdata(L, 1));
    return 0;
}

static int box_tostring(lua_State *L)
{
    struct verifier *v = bind_verify_read(L, 1);
    lua_pushfstring(L, "verifier: %s", v != NULL ? verify_describe(v) : "none");
    return 1;
}

static void release_ref(void *owner, int ref)
{
    luaL_unref(owner, LUA_REGISTRYINDEX, ref);
}

struct verify_function bind_verify_ref(lua_State *L)
{
    int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return (struct verify_function){ref, release_ref, state_lua(state_of(L))};
}

void bind_verify_no_secrets(lua_State *L, bool on)
{
    lua_pushboolean(L, on);
    registry_set(L, KEY_NO_SECRETS);
}

bool bind_verify_secrets_optional(lua_State *L)
{
    registry_push(L, KEY_NO_SECRETS);
    bool on = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return on;
}

/* --- groups: values to verifiers -----------------------------------------------------------------------------------
 */

static void push_verifier(lua_State *L, int index, int depth);

/* A list and nothing else: keys 1..n without a hole. Returns n. */
static size_t check_list(lua_State *L, int index)
{
    size_t count;
    struct error err;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING)
            luaL_error(L, "verify: a list of verifiers has no '%s' (verify.NAME { %s = ... }?)", lua_tostring(L, -2),
                       lua_tostring(L, -2));
    if (!table_is_list(L, index, &count, &err))
        luaL_error(L, "verify: a list of verifiers must be a list without holes: %s", err.text);
    if (count == 0)
        luaL_error(L, "verify: an empty list of verifiers");
    if (count > GROUP_MAX)
        luaL_error(L, "verify: more than %d verifiers in a list", GROUP_MAX);
    return count;
}

/* Pushes all (or any) of the list at `index`. Children are objects on the stack until the group holds them. */
static void push_group(lua_State *L, int index, bool any, int depth)
{
    struct verifier *children[GROUP_MAX];
    size_t count = check_list(L, index);
    luaL_checkstack(L, (int)count + 8, "verify");
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        push_verifier(L, lua_gettop(L), depth + 1);
        lua_remove(L, -2);
        children[i] = bind_verify_read(L, -1);
    }
    if (count == 1)
        return;
    struct verifier **box = bind_verify_box(L);
    *box = verify_new_group(any, children, count);
    lua_insert(L, -(int)count - 1);
    lua_pop(L, (int)count);
}

/* Pushes the verifier that the value at `index` means. [-0,+1,e] */
static void push_verifier(lua_State *L, int index, int depth)
{
    int kind = lua_type(L, index);
    if (depth > DEPTH_MAX)
        luaL_error(L, "verify: lists within lists, more than %d deep", DEPTH_MAX);
    if (kind == LUA_TUSERDATA && bind_verify_read(L, index) != NULL) {
        lua_pushvalue(L, index);
    } else if (lua_iscfunction(L, index)) { /* it would refuse every request */
        luaL_error(L, "verify: this is a function that verify gives: call it with its options, "
                      "verify.NAME { ... }");
    } else if (kind == LUA_TFUNCTION) {
        struct verifier **box = bind_verify_box(L);
        lua_pushvalue(L, index);
        struct verify_function f = bind_verify_ref(L);
        *box = verify_new_function(f.ref, f.release, f.owner);
    } else if (kind == LUA_TTABLE) {
        push_group(L, index, false, depth);
    } else if (kind == LUA_TSTRING && depth > 0) {
        luaL_error(L, "verify: '%s' cannot stand in a list of verifiers", lua_tostring(L, index));
    } else {
        luaL_error(L, "verify: expected a verifier, a function, or a list of these, not a %s", lua_typename(L, kind));
    }
}

static int verify_all(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    push_group(L, 1, false, 0);
    return 1;
}

static int verify_any(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    push_group(L, 1, true, 0);
    return 1;
}

/* (value, place for the hold): the protected part of bind_verify_make. */
static int make(lua_State *L)
{
    push_verifier(L, 1, 0);
    *(struct verifier **)lua_touserdata(L, 2) = verify_hold(bind_verify_read(L, -1));
    return 0;
}

struct verifier *bind_verify_make(lua_State *L, int index, struct error *err)
{
    struct verifier *made = NULL;
    index = index < 0 && index > LUA_REGISTRYINDEX ? lua_gettop(L) + index + 1 : index;
    registry_push(L, KEY_MAKE);
    lua_pushvalue(L, index);
    lua_pushlightuserdata(L, &made);
    if (lua_pcall(L, 2, 0, 0) == 0)
        return made;
    const char *words = lua_tostring(L, -1);
    error_set(err, "%s", words != NULL ? words : "verify: an error without words");
    lua_pop(L, 1);
    return NULL;
}

int bind_verify_push_task(lua_State *L, struct verifier *v, struct bind_req *r)
{
    registry_push(L, KEY_TASK);
    struct verifier **box = bind_verify_box(L);
    *box = verify_hold(v);
    bind_req_push(L, r);
    return 2;
}

/* --- the global ----------------------------------------------------------------------------------------------------
 */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* verify.NAME that is not there; `all` is the table of those that are. */
static int unknown(lua_State *L, int all)
{
    const char *names[GROUP_MAX * 4];
    size_t count = 0;
    struct slice wanted = SLICE_NONE;
    if (lua_type(L, 2) == LUA_TSTRING)
        wanted.at = lua_tolstring(L, 2, &wanted.len);
    for (lua_pushnil(L); lua_next(L, all); lua_pop(L, 1))
        if (count < sizeof names / sizeof *names && lua_type(L, -2) == LUA_TSTRING)
            names[count++] = lua_tostring(L, -2);
    qsort(names, count, sizeof *names, by_text);
    luaL_Buffer known;
    luaL_buffinit(L, &known);
    for (size_t i = 0; i < count; i++) {
        luaL_addstring(&known, i > 0 ? ", " : "");
        luaL_addstring(&known, names[i]);
    }
    luaL_pushresult(&known);
    const char *nearest = slice_nearest(wanted, names, count);
    return luaL_error(L, "verify.%s: not in this version%s%s%s; known: %s", wanted.at != NULL ? wanted.at : "?",
                      nearest != NULL ? " (did you mean verify." : "", nearest != NULL ? nearest : "",
                      nearest != NULL ? "?)" : "", lua_tostring(L, -1));
}

/* verify.NAME: upvalue 1 is the table of all. What a script sees is empty, so that nothing in it can be replaced. */
static int lookup(lua_State *L)
{
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    return lua_isnil(L, -1) ? unknown(L, lua_upvalueindex(1)) : 1;
}

static int read_only(lua_State *L)
{
    return luaL_error(L, "verify: cannot be changed");
}

static const luaL_Reg metamethods[] = {{"__gc", box_gc}, {"__tostring", box_tostring}, {NULL, NULL}};

static const luaL_Reg functions[] = {{"all", verify_all}, {"any", verify_any}, {NULL, NULL}};

/* The object's metatable, with verify.lua's call; and its task. */
static void open_object(lua_State *L)
{
    lua_newtable(L);
    luaL_setfuncs(L, metamethods, 0);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    bind_verify_run_open(L);
    lua_getfield(L, -1, "task");
    registry_set(L, KEY_TASK);
    lua_getfield(L, -1, "call");
    lua_setfield(L, -3, "__call");
    lua_pop(L, 1);
    registry_set(L, KEY_METATABLE);
    lua_pushcfunction(L, make);
    registry_set(L, KEY_MAKE);
}

void bind_verify_open(lua_State *L)
{
    open_object(L);
    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    bind_verify_options_open(L);
    bind_verify_credential_open(L);
    bind_verify_mtls_open(L);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushvalue(L, -3);
    lua_pushcclosure(L, lookup, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, read_only);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_remove(L, -2);
}
