/*
 * bind_time.c: see bind_time.h. Points in time are seconds since 1970 as Lua numbers: a double tells microseconds
 * apart. Owns nothing. Runs in: the state's thread. Fails: misuse raises; a text that is no time is nil and words.
 */
#include "bind/bind_time.h"
#include "base/time.h"
#include "base/uuid.h"
#include "bind/bind_arguments.h"
#include "codec/date.h"
#include "codec/rfc3339.h"
#include "crypto/random.h"
#include <lauxlib.h>
#include <math.h>

/* --- time --------------------------------------------------------------------------------------------------------- */

static int bind_time_now(lua_State *L)
{
    bind_arguments(L, 0, 0, "time.now");
    lua_pushnumber(L, (double)wall_now().ns / 1e9);
    return 1;
}

static int bind_time_monotonic(lua_State *L)
{
    bind_arguments(L, 0, 0, "time.monotonic");
    lua_pushnumber(L, (double)mono_now().ns / 1e9);
    return 1;
}

/* The last ones of 9999 are not rounded up to what time.format refuses. */
static double number_of(int64_t seconds, int32_t ns)
{
    return fmin((double)seconds + ns / 1e9, nextafter((double)DATE_LAST + 1, 0));
}

/*
 * time.parse(text) → seconds, or nil and why not. A date of HTTP begins with a letter, one of RFC 3339 with a digit;
 * with a year 0, an offset or a leap second that one may be of a year that time.format does not write.
 */
static int bind_time_parse(lua_State *L)
{
    struct slice text;
    int64_t seconds;
    int32_t ns = 0;
    luaL_checktype(L, 1, LUA_TSTRING);
    text.at = lua_tolstring(L, 1, &text.len);
    bind_arguments(L, 0, 1, "time.parse");
    if (!rfc3339_parse(text, &seconds, &ns) && !date_parse(text, wall_now().ns / 1000000000, &seconds)) {
        lua_pushnil(L);
        lua_pushliteral(L, "not a time: expected RFC 3339 (2024-02-29T12:00:00Z) or a date of HTTP");
        return 2;
    }
    if (seconds < DATE_FIRST || seconds > DATE_LAST) {
        lua_pushnil(L);
        lua_pushliteral(L, "not a time of the years 1 to 9999 (in UTC)");
        return 2;
    }
    lua_pushnumber(L, number_of(seconds, ns));
    return 1;
}

/* Whole seconds and milliseconds, to the nearest; the last millisecond of all is not rounded up. */
static void push_rfc3339(lua_State *L, double seconds)
{
    char text[RFC3339_TEXT + 1];
    double whole = floor(seconds);
    long ms = lround((seconds - whole) * 1000);
    if (ms == 1000) {
        ms = whole < (double)RFC3339_LAST ? 0 : 999;
        whole += ms == 0;
    }
    rfc3339_text((int64_t)whole, (unsigned)ms, text);
    lua_pushstring(L, text);
}

/* time.format(seconds [, "rfc3339" | "http"]) → text, in UTC. */
static int bind_time_format(lua_State *L)
{
    static const char *const forms[] = {"rfc3339", "http", NULL};
    char text[DATE_TEXT + 1];
    double seconds = luaL_checknumber(L, 1);
    bool http = luaL_checkoption(L, 2, "rfc3339", forms) == 1;
    bind_arguments(L, 0, 2, "time.format");
    luaL_argcheck(L, floor(seconds) >= (double)DATE_FIRST && floor(seconds) <= (double)DATE_LAST, 1,
                  "expected seconds of the years 1 to 9999");
    if (!http) {
        push_rfc3339(L, seconds);
        return 1;
    }
    date_text((int64_t)floor(seconds), text);
    lua_pushstring(L, text);
    return 1;
}

void bind_time_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"now", bind_time_now},
                                         {"monotonic", bind_time_monotonic},
                                         {"parse", bind_time_parse},
                                         {"format", bind_time_format},
                                         {NULL, NULL}};
    lua_createtable(L, 0, 4);
    luaL_register(L, NULL, functions);
}

/* --- uuid --------------------------------------------------------------------------------------------------------- */

/* Bits from the system's generator: a script may use one as a token. RFC 9562 4.1, 4.2: variant and version. */
static int push_uuid(lua_State *L, unsigned version)
{
    struct uuid id;
    char text[UUID_TEXT];
    random_fill(id.bytes, sizeof(id.bytes));
    if (version == 7) { /* RFC 9562 5.7: milliseconds first */
        uint64_t ms = (uint64_t)wall_now().ns / 1000000;
        for (int i = 0; i < 6; i++)
            id.bytes[i] = (unsigned char)(ms >> (40 - 8 * i));
    }
    id.bytes[6] = (unsigned char)((id.bytes[6] & 0x0f) | (version << 4));
    id.bytes[8] = (unsigned char)((id.bytes[8] & 0x3f) | 0x80);
    uuid_text(&id, text);
    lua_pushlstring(L, text, sizeof(text));
    return 1;
}

static int bind_uuid_v4(lua_State *L)
{
    bind_arguments(L, 0, 0, "uuid.v4");
    return push_uuid(L, 4);
}

static int bind_uuid_v7(lua_State *L)
{
    bind_arguments(L, 0, 0, "uuid.v7");
    return push_uuid(L, 7);
}

static int bind_uuid(lua_State *L)
{
    bind_arguments(L, 1, 0, "uuid");
    return push_uuid(L, 7);
}

void bind_time_open_uuid(lua_State *L)
{
    static const luaL_Reg functions[] = {{"v4", bind_uuid_v4}, {"v7", bind_uuid_v7}, {NULL, NULL}};
    lua_createtable(L, 0, 2);
    luaL_register(L, NULL, functions);
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, bind_uuid);
    lua_setfield(L, -2, "__call");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}
