/*
 * sandbox_globals.c: the allow-lists, as tables; and each script's own copies. See sandbox_globals.h.
 * A script that reads a global for the first time gets a copy of that library in its own environment: so it may change
 * it as in any Lua, nobody else sees that, and the next read is a plain table access.
 * Owns: registry references in the state. Runs in: the state's thread. Fails: Lua errors.
 */
#include "script/sandbox_globals.h"
#include "base/slice.h"
#include "script/error.h"
#include "script/sandbox_cjson.h"
#include "script/state_internal.h"

#include <errno.h>
#include <lauxlib.h>
#include <linux/magic.h>
#include <lualib.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define COPY_DEPTH 4
#define NAMES_MAX 96

static const char *const functions[] = {"assert",   "error",  "ipairs", "next",         "pairs",    "pcall",
                                        "rawequal", "rawget", "rawset", "select",       "tonumber", "tostring",
                                        "type",     "unpack", "xpcall", "setmetatable", "_VERSION", NULL};
static const char *const libraries[] = {"string", "table", "math", "coroutine", "bit", NULL};
static const char *const os_functions[] = {"clock", "date", "difftime", "time", NULL};
static const char *const removed[] = {"debug",  "ffi",      "jit",    "newproxy", "getfenv", "setfenv",
                                      "dofile", "loadfile", "module", "gcinfo",   NULL};
/* Made for each environment by sandbox.c. */
static const char *const own[] = {"_G", "env", "require", "package", "load", "loadstring"};
/* What `require` gives besides a script's own modules. */
static const char *const required[] = {"cjson",         "cjson.safe",  "table.new",     "table.clear", "table.nkeys",
                                       "table.isempty", "table.clone", "string.buffer", NULL};

static bool listed(const char *const *names, const char *name)
{
    while (*names != NULL && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

/* --- replacements ------------------------------------------------------------------------------------------------ */

/* collectgarbage "count" tells; the rest would let one script stop or stall all. */
static int count_garbage(lua_State *L)
{
    const char *option = luaL_optstring(L, 1, "collect");

    if (strcmp(option, "count") != 0)
        return script_error_words(L, "collectgarbage: only \"count\" is available to scripts");
    lua_pushnumber(L, (lua_Number)state_of(L)->memory.used / 1024);
    return 1;
}

/* The metatables of strings and of our own objects are shared by all scripts: they stay out of reach. */
static int get_metatable(lua_State *L)
{
    luaL_checkany(L, 1);
    if (!lua_getmetatable(L, 1)) {
        lua_pushnil(L);
    } else if (lua_istable(L, 1)) {
        lua_pushliteral(L, "__metatable");
        lua_rawget(L, -2);
        if (lua_isnil(L, -1))
            lua_pop(L, 1);
    } else {
        lua_pushboolean(L, false);
    }
    return 1;
}

/*
 * Files of the kernel say that they are regular, and are not: /proc/self/mem is this process's memory, a way out of any
 * sandbox.
 */
static bool of_the_kernel(const char *path)
{
    static const unsigned long kernel[] = {PROC_SUPER_MAGIC, SYSFS_MAGIC,        DEBUGFS_MAGIC,       TRACEFS_MAGIC,
                                           SECURITYFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, BPF_FS_MAGIC};
    struct statfs fs;

    if (statfs(path, &fs) != 0)
        return false;
    for (size_t i = 0; i < sizeof(kernel) / sizeof(kernel[0]); i++)
        if ((unsigned long)fs.f_type == kernel[i])
            return true;
    return false;
}

/*
 * Lua's own io.open, the upvalue, with the `count` arguments on the stack. A file that was not closed stays open until
 * the collector comes to it, which sees only the few bytes of its handle: where descriptors run out, it comes at once.
 */
static int call_open(lua_State *L, int count)
{
    for (bool again = false;; again = true) {
        lua_pushvalue(L, lua_upvalueindex(1));
        for (int i = 1; i <= count; i++)
            lua_pushvalue(L, i);
        lua_call(L, count, LUA_MULTRET);
        lua_Integer code = lua_isnil(L, count + 1) ? lua_tointeger(L, -1) : 0;
        if (again || (code != EMFILE && code != ENFILE))
            return lua_gettop(L) - count;
        lua_settop(L, count);
        lua_gc(L, LUA_GCCOLLECT, 0);
    }
}

/* A device or a pipe would block the loop. */
static int open_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct stat st;

    if (stat(path, &st) == 0 && (!S_ISREG(st.st_mode) || of_the_kernel(path))) {
        lua_pushnil(L);
        lua_pushfstring(L, "%s: not a regular file", path);
        lua_pushinteger(L, EINVAL);
        return 3;
    }
    return call_open(L, lua_gettop(L));
}

static int no_such_function(lua_State *L)
{
    static const char *const gone[] = {"execute", "exit",  "setlocale", "remove", "rename", "tmpname", "getenv",
                                       "popen",   "read",  "lines",     "stdin",  "input",  "output",  "tmpfile",
                                       "write",   "flush", "stdout",    "stderr", "close",  NULL};
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";

    if (listed(gone, name))
        return script_error_words(L,
                                  "%s.%s is not available to scripts (sandbox = false in crescent.lua gives it back)",
                                  lua_tostring(L, lua_upvalueindex(1)), name);
    return 0;
}

/* --- the table of globals ---------------------------------------------------------------------------------------- */

/* The fields `names` of Lua's own table at `from`, into the one at the top. */
static void copy_fields(lua_State *L, int from, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        lua_getfield(L, from, names[i]);
        lua_setfield(L, -2, names[i]);
    }
}

/* The table at the top says so when a name is read that the sandbox took out of this library. */
static void explain_missing(lua_State *L, const char *library)
{
    lua_createtable(L, 0, 2);
    lua_pushstring(L, library);
    lua_pushcclosure(L, no_such_function, 1);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

static void add_files(lua_State *L)
{
    lua_getglobal(L, "io");
    lua_createtable(L, 0, 2);
    lua_getfield(L, -2, "open");
    lua_pushcclosure(L, open_file, 1);
    lua_setfield(L, -2, "open");
    lua_getfield(L, -2, "type");
    lua_setfield(L, -2, "type");
    explain_missing(L, "io");
    lua_setfield(L, -3, "io");
    lua_pop(L, 1);
}

static void add_allowed(lua_State *L)
{
    copy_fields(L, LUA_GLOBALSINDEX, functions);
    lua_getglobal(L, "string"); /* methods of strings come from this very table */
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    lua_pop(L, 1);
    copy_fields(L, LUA_GLOBALSINDEX, libraries);
    lua_getglobal(L, "os");
    lua_createtable(L, 0, 4);
    copy_fields(L, lua_gettop(L) - 1, os_functions);
    explain_missing(L, "os");
    lua_setfield(L, -3, "os");
    lua_pop(L, 1);
    add_files(L);
    lua_pushcfunction(L, count_garbage);
    lua_setfield(L, -2, "collectgarbage");
    lua_pushcfunction(L, get_metatable);
    lua_setfield(L, -2, "getmetatable");
}

/* sandbox = false: everything, but what each environment has of its own. */
static void add_everything(lua_State *L)
{
    lua_pushnil(L);
    while (lua_next(L, LUA_GLOBALSINDEX) != 0) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (strcmp(own[i], "package") == 0)
            continue;
        lua_pushnil(L);
        lua_setfield(L, -2, own[i]);
    }
}

void sandbox_globals_open(lua_State *L, void (*open)(lua_State *L))
{
    struct state *s = state_of(L);

    lua_getglobal(L, "require");
    s->real_require = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    if (s->host->sandbox)
        add_allowed(L);
    else
        add_everything(L);
    open(L);
    s->globals = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* --- a script's own copies --------------------------------------------------------------------------------------- */

/* Replaces the table at the top by a copy; tables in it too. Its metatable is shared, and out of reach. */
static void copy_table(lua_State *L, int depth)
{
    int from = lua_gettop(L);

    luaL_checkstack(L, 8, "copy");
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, from) != 0) {
        if (lua_istable(L, -1) && depth < COPY_DEPTH)
            copy_table(L, depth + 1);
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, from + 1);
    }
    if (lua_getmetatable(L, from)) {
        lua_pushliteral(L, "__metatable");
        lua_pushboolean(L, false);
        lua_rawset(L, -3);
        lua_setmetatable(L, from + 1);
    }
    lua_replace(L, from);
}

bool sandbox_globals_push(lua_State *L, const char *name)
{
    struct state *s = state_of(L);

    lua_rawgeti(L, LUA_REGISTRYINDEX, s->globals);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return false;
    }
    if (lua_istable(L, -1) && s->host->sandbox)
        copy_table(L, 0);
    return true;
}

bool sandbox_globals_known(lua_State *L, const char *name)
{
    bool known;

    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (strcmp(own[i], name) == 0)
            return true;
    lua_rawgeti(L, LUA_REGISTRYINDEX, state_of(L)->globals);
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    known = !lua_isnil(L, -1);
    lua_pop(L, 2);
    return known;
}

int sandbox_globals_fault(lua_State *L, const char *name)
{
    const char *names[NAMES_MAX];
    const char *nearest;
    size_t count = 0;

    if (listed(removed, name))
        return script_error_words(L, "%s is not available to scripts (sandbox = false in crescent.lua gives it back)",
                                  name);
    for (; count < sizeof(own) / sizeof(own[0]); count++)
        names[count] = own[count];
    lua_rawgeti(L, LUA_REGISTRYINDEX, state_of(L)->globals);
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING && count < NAMES_MAX)
            names[count++] = lua_tostring(L, -1);
    }
    nearest = slice_nearest(slice_of(name), names, count);
    if (nearest != NULL)
        return script_error_words(L, "undeclared global '%s' (did you mean '%s'?)", name, nearest);
    return script_error_words(L, "undeclared global '%s'", name);
}

/* ref, reserve and the like hand out raw pointers (as cdata, even without ffi): with them all memory is open. */
static void tame_buffers(lua_State *L)
{
    static const char *const raw[] = {"ref", "reserve", "commit", "putcdata", NULL};

    lua_getfield(L, -1, "new");
    lua_call(L, 0, 1);
    if (lua_getmetatable(L, -1)) {
        lua_getfield(L, -1, "__index");
        for (size_t i = 0; raw[i] != NULL && lua_istable(L, -1); i++) {
            lua_pushnil(L);
            lua_setfield(L, -2, raw[i]);
        }
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
}

bool sandbox_globals_library(lua_State *L, const char *name)
{
    struct state *s = state_of(L);

    if (s->host->sandbox && !listed(required, name))
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->real_require);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    if (!s->host->sandbox)
        return true;
    if (strcmp(name, "string.buffer") == 0)
        tame_buffers(L);
    if (strncmp(name, "cjson", 5) == 0) { /* its settings belong to each instance */
        lua_getfield(L, -1, "new");
        lua_call(L, 0, 1);
        lua_remove(L, -2);
        sandbox_cjson_bound(L, strcmp(name, "cjson.safe") == 0);
    } else if (lua_istable(L, -1)) {
        copy_table(L, 0);
    }
    return true;
}
