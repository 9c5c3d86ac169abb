/*
 * env_tables.c: makes and keeps the tables of `env`; see env_tables.h.
 * Owns: what env_tables.h says. Runs in: the state's thread. Fails: memory, in words.
 */
#include "load/env_tables.h"
#include "http/redact.h"
#include <lauxlib.h>

struct env_job {
    const struct snapshot_env *env; /* NULL: no values */
    int ref;
};

static int env_readonly(lua_State *L)
{
    return luaL_error(L, "env cannot be written: it is what .env and the environment give");
}

/* Upvalue 1: name → why it has no value. */
static int env_absent(lua_State *L)
{
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (lua_type(L, -1) == LUA_TSTRING)
        return luaL_error(L, "%s", lua_tostring(L, -1));
    return 1;
}

/* The pairs that are faults, or those that are none, as a table. */
static int push_pairs(lua_State *L, const struct snapshot_env *env, bool faults)
{
    int count = 0;
    lua_createtable(L, 0, env != NULL && !faults ? (int)env->count : 0);
    for (size_t i = 0; env != NULL && i < env->count; i++) {
        if ((env->faults != NULL && env->faults[i]) != faults)
            continue;
        lua_pushlstring(L, env->names[i].at, env->names[i].len);
        lua_pushlstring(L, env->values[i].at, env->values[i].len);
        lua_rawset(L, -3);
        count++;
    }
    return count;
}

/* A proxy: the values are its metatable's __index, out of the script's reach. What is not among them is asked for among
 * the faults, if there are any. */
static void make_env(lua_State *L, void *cookie)
{
    struct env_job *job = cookie;
    lua_newtable(L);
    lua_newtable(L);
    push_pairs(L, job->env, false);
    lua_createtable(L, 0, 1);
    if (push_pairs(L, job->env, true) != 0) {
        lua_pushcclosure(L, env_absent, 1);
        lua_setfield(L, -2, "__index");
        lua_setmetatable(L, -2);
    } else {
        lua_pop(L, 2);
    }
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, env_readonly);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    job->ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

int env_tables_get(struct env_tables *t, const struct snapshot *snap, uint32_t index, struct error *err)
{
    struct env_job job = {.ref = LUA_NOREF};
    struct buf bytes = {0};
    if (index < snap->env_count) {
        job.env = &snap->envs[index];
        snapshot_env_write(job.env, &bytes);
    }
    for (size_t i = 0; i < ENV_TABLES_KEPT; i++)
        if (t->kept[i].ref != LUA_NOREF && slice_equal(buf_slice(&t->kept[i].bytes), buf_slice(&bytes))) {
            buf_free(&bytes);
            return t->kept[i].ref;
        }
    struct redact *redact = state_host(t->state)->redact;
    for (size_t i = 0; redact != NULL && job.env != NULL && i < job.env->count; i++)
        if (job.env->faults == NULL || !job.env->faults[i])
            redact_learn(redact, job.env->names[i], job.env->values[i]);
    if (state_protected(t->state, make_env, &job, err) != 0) {
        buf_free(&bytes);
        return LUA_NOREF;
    }
    unsigned turn = t->turn++ % ENV_TABLES_KEPT;
    luaL_unref(state_lua(t->state), LUA_REGISTRYINDEX, t->kept[turn].ref);
    buf_free(&t->kept[turn].bytes);
    t->kept[turn].bytes = bytes;
    t->kept[turn].ref = job.ref;
    return job.ref;
}

void env_tables_init(struct env_tables *t, struct state *s)
{
    *t = (struct env_tables){.state = s};
    for (size_t i = 0; i < ENV_TABLES_KEPT; i++)
        t->kept[i].ref = LUA_NOREF;
}

void env_tables_clear(struct env_tables *t)
{
    for (size_t i = 0; i < ENV_TABLES_KEPT; i++) {
        luaL_unref(state_lua(t->state), LUA_REGISTRYINDEX, t->kept[i].ref);
        t->kept[i].ref = LUA_NOREF;
        buf_free(&t->kept[i].bytes);
    }
}
