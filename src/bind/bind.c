/*
 * bind.c: the table of globals that a script sees. See bind.h. `env` and `require` differ by script: script/sandbox.
 * Runs in: the state's thread.
 */
#include "bind/bind.h"
#include "bind/bind_crypto.h"
#include "bind/bind_json.h"
#include "bind/bind_log.h"
#include "bind/bind_reply.h"
#include "bind/bind_req.h"
#include "bind/bind_sleep.h"
#include "bind/bind_verify.h"
#include <lauxlib.h>

/* In this order: verifiers use json. */
static const struct {
    const char *name;
    void (*open)(lua_State *L); /* pushes the value */
} globals[] = {
    {"json", bind_json_open}, {"crypto", bind_crypto_open},   {"verify", bind_verify_open}, {"reply", bind_reply_open},
    {"log", bind_log_open},   {"print", bind_log_open_print}, {"sleep", bind_sleep_open},
};

/* What the contract has and this version does not: any use names it, so that nothing is taken for granted. */
static const char *const later[] = {"http",     "exec", "kv",   "emit",  "sql", "mail",
                                    "parallel", "time", "uuid", "retry", "drop"};

/* Upvalue 1: the name. */
static int refuse(lua_State *L)
{
    return luaL_error(L, "%s is not in this version of crescent", lua_tostring(L, lua_upvalueindex(1)));
}

/* Pushes a stand-in that cannot be called, read or written without being told so. */
static void push_refusal(lua_State *L, const char *name)
{
    static const char *const uses[] = {"__index", "__newindex", "__call"};
    lua_newuserdata(L, 0);
    lua_createtable(L, 0, 4);
    for (int i = 0; i < 3; i++) {
        lua_pushstring(L, name);
        lua_pushcclosure(L, refuse, 1);
        lua_setfield(L, -2, uses[i]);
    }
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

void bind_open(lua_State *L)
{
    for (size_t i = 0; i < sizeof(globals) / sizeof(globals[0]); i++) {
        globals[i].open(L);
        lua_setfield(L, -2, globals[i].name);
    }
    for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
        push_refusal(L, later[i]);
        lua_setfield(L, -2, later[i]);
    }
    bind_req_register(L);
}
