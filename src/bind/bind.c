/*
 * bind.c: the table of globals that a script sees. See bind.h. `env` and `require` differ by script: script/sandbox.
 * Runs in: the state's thread.
 */
#include "bind/bind.h"
#include "bind/bind_crypto.h"
#include "bind/bind_exec.h"
#include "bind/bind_http.h"
#include "bind/bind_json.h"
#include "bind/bind_kv.h"
#include "bind/bind_log.h"
#include "bind/bind_reply.h"
#include "bind/bind_req.h"
#include "bind/bind_sleep.h"
#include "bind/bind_time.h"
#include "bind/bind_verify.h"
#include "script/error.h"
#include "script/parallel.h"
#include <lauxlib.h>
#include <string.h>

/* In this order: verifiers use json. */
static const struct {
    const char *name;
    void (*open)(lua_State *L); /* pushes the value */
} globals[] = {
    {"json", bind_json_open}, {"crypto", bind_crypto_open},   {"verify", bind_verify_open}, {"reply", bind_reply_open},
    {"log", bind_log_open},   {"print", bind_log_open_print}, {"sleep", bind_sleep_open},   {"parallel", parallel_open},
    {"time", bind_time_open}, {"uuid", bind_time_open_uuid},  {"exec", bind_exec_open},     {"kv", bind_kv_open},
    {"http", bind_http_open},
};

/* What the contract has and this version does not: to mention one raises, so that nothing is taken for granted. */
static const char *const later[] = {"emit", "sql", "mail", "retry", "drop"};

/* A global that is not there. nil for the rest: script/sandbox has the words for those. */
static int refuse_later(lua_State *L)
{
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
        if (strcmp(name, later[i]) == 0)
            return script_error_words(L, "%s is not in this version of crescent", name);
    return 0;
}

void bind_open(lua_State *L)
{
    bind_req_register(L); /* first: a reply's headers are as a request's */
    for (size_t i = 0; i < sizeof(globals) / sizeof(globals[0]); i++) {
        globals[i].open(L);
        lua_setfield(L, -2, globals[i].name);
    }
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, refuse_later);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
}
