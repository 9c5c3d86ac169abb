/*
 * bind_log.c: the global log, and print. Each record carries the script's line ("at") and its name.
 * Owns nothing between calls. Runs in: the state's thread. Fails: misuse raises; a value that has no JSON form is
 * written as its kind, since a log line shall not end a request.
 */
#include "bind/bind_log.h"
#include "base/log.h"
#include "bind/bind_json.h"
#include "http/redact.h"
#include "script/nested.h"
#include "script/state.h"
#include "script/table.h"
#include <lauxlib.h>
#include <math.h>

#define FIELDS_MAX 32
#define NAME_MAX_BYTES 64
#define TEXT_MAX 16384 /* bytes of all JSON values of one record */

/* "hooks/github.lua:12" of the script's call into room, or "". */
static void place_of(lua_State *L, char *room, size_t size)
{
    lua_Debug at;
    room[0] = '\0';
    if (lua_getstack(L, 1, &at) && lua_getinfo(L, "Sl", &at) && at.currentline > 0)
        snprintf(room, size, "%s:%d", at.short_src, at.currentline);
}

/*
 * The name of a field, as it may stand in a record. A script may log a table whose names a sender chose: they shall not
 * pass for the record's own, nor carry controls to a terminal, nor tell a secret. A changed one is kept in `values`.
 */
static const char *name_of(const struct redact *redact, struct slice name, struct buf *values)
{
    static const char *const ours[] = {"time",   "level",      "process",  "pid",      "message", "at",
                                       "script", "request_id", "trace_id", "endpoint", NULL};
    size_t start = values->len, i = 0;
    while (ours[i] != NULL && !slice_equal(name, slice_of(ours[i])))
        i++;
    bool clean = ours[i] == NULL;
    for (i = 0; i < name.len; i++)
        clean = clean && name.at[i] > ' ' && name.at[i] < 0x7f;
    if (redact_text(redact, name, values)) {
        values->len = start;
        values->overflow = false;
        return REDACT_WORD;
    }
    if (clean)
        return name.at;
    for (i = 0; i < name.len && i < NAME_MAX_BYTES; i++)
        buf_add_char(values, (char)(name.at[i] > ' ' && name.at[i] < 0x7f ? name.at[i] : '?'));
    buf_add(values, "_", 2); /* and its NUL */
    if (!values->overflow)
        return values->at + start;
    values->len = start;
    values->overflow = false;
    return "_";
}

/* What has no JSON form, or no room, in a word. */
static const char *word_for(lua_State *L)
{
    double number = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
    if (lua_type(L, -1) != LUA_TNUMBER || isfinite(number))
        return luaL_typename(L, -1);
    return isnan(number) ? "nan" : number > 0 ? "inf" : "-inf";
}

/* The text without what is secret; a changed one is kept in `values`. Nothing of it, where that has no room. */
static struct slice clean(const struct redact *redact, struct slice text, struct buf *values)
{
    size_t start = values->len;
    if (!redact_text(redact, text, values))
        return text;
    if (!values->overflow)
        return slice_from(buf_slice(values), start);
    values->len = start;
    values->overflow = false;
    return SLICE(REDACT_WORD);
}

/* The JSON text from `start` on, without what is secret. */
static struct log_field json_field(const struct redact *redact, const char *name, struct buf *values, size_t start)
{
    struct buf cleaned = {0};
    struct slice json = slice_from(buf_slice(values), start);
    if (redact_json(redact, json, &cleaned)) {
        values->len = start;
        buf_add_slice(values, buf_slice(&cleaned));
    }
    buf_free(&cleaned);
    if (!values->overflow)
        return LOG_JSON(name, slice_from(buf_slice(values), start));
    values->len = start;
    values->overflow = false;
    return LOG_STR(name, REDACT_WORD);
}

/* The field at the top of the stack. `values` has fixed room, so nothing is owned when something raises. */
static struct log_field field_of(lua_State *L, const char *name, struct buf *values)
{
    const struct redact *redact = state_host(state_of(L))->redact;
    struct error why;
    size_t start = values->len;
    int type = lua_type(L, -1);
    if ((type == LUA_TSTRING || type == LUA_TTABLE) && redact_name(slice_of(name)))
        return LOG_STR(name, REDACT_WORD);
    if (type == LUA_TSTRING)
        return LOG_SLICE(name, clean(redact, table_text(L, -1), values));
    if (bind_json_encode_protected(L, -1, values, &why) == 0 && !values->overflow)
        return json_field(redact, name, values, start);
    values->len = start;
    values->overflow = false;
    return LOG_STR(name, word_for(L));
}

/* Reads the fields of the table at `index`; their texts stay alive with it. Returns how many. */
static size_t read_fields(lua_State *L, int index, struct buf *values, struct log_field *fields)
{
    const struct redact *redact = state_host(state_of(L))->redact;
    size_t count = 0, omitted = 0;
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_argerror(L, index, "expected fields with names: { name = value }");
        if (count < FIELDS_MAX) {
            fields[count] = field_of(L, name_of(redact, table_text(L, -2), values), values);
            count++;
        } else {
            omitted++;
        }
        lua_pop(L, 1);
    }
    if (omitted > 0)
        fields[count++] = LOG_INT("fields_omitted", omitted);
    return count;
}

static void write_record(lua_State *L, enum log_level level, struct slice message, int fields_at)
{
    char place[LUA_IDSIZE + 16], room[TEXT_MAX];
    struct log_field fields[FIELDS_MAX + 3 + HOST_LABELS_MAX];
    struct host_labels labels;
    struct buf values = {.at = room, .room = sizeof(room), .limit = sizeof(room) - 1}; /* never grows */
    const char *script = state_script(state_of(L));
    size_t count = 0;
    place_of(L, place, sizeof(place));
    if (place[0] != '\0')
        fields[count++] = LOG_STR("at", place);
    if (script != NULL)
        fields[count++] = LOG_STR("script", script);
    size_t labelled = state_labels(state_of(L), &labels);
    for (size_t i = 0; i < labelled; i++)
        fields[count++] = labels.fields[i];
    if (fields_at != 0)
        count += read_fields(L, fields_at, &values, fields + count);
    log_write(level, clean(state_host(state_of(L))->redact, message, &values), fields, count);
}

/* Upvalue 1: the level. */
static int bind_log(lua_State *L)
{
    enum log_level level = (enum log_level)lua_tointeger(L, lua_upvalueindex(1));
    luaL_checkstring(L, 1);
    if (!lua_isnoneornil(L, 2))
        luaL_checktype(L, 2, LUA_TTABLE);
    if (lua_gettop(L) > 2)
        return luaL_error(L, "log.%s: expected a message and a table of fields, got %d values", log_level_name(level),
                          lua_gettop(L));
    if (log_wanted(level))
        write_record(L, level, table_text(L, 1), lua_istable(L, 2) ? 2 : 0);
    return 0;
}

/* print(...): the values as tostring gives them, with tabs between. Upvalue 1: tostring. */
static int bind_print(lua_State *L)
{
    int count = lua_gettop(L);
    luaL_Buffer line;
    nested_check_stack(L); /* a __tostring that prints: 8 KiB of stack for each level */
    luaL_buffinit(L, &line);
    for (int i = 1; i <= count; i++) {
        if (i > 1)
            luaL_addchar(&line, '\t');
        lua_pushvalue(L, lua_upvalueindex(1));
        lua_pushvalue(L, i);
        lua_call(L, 1, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            return luaL_error(L, "print: __tostring must return a string");
        luaL_addvalue(&line);
    }
    luaL_pushresult(&line);
    if (log_wanted(LOG_INFO))
        write_record(L, LOG_INFO, table_text(L, -1), 0);
    return 0;
}

void bind_log_open(lua_State *L)
{
    lua_createtable(L, 0, 4);
    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        lua_pushinteger(L, level);
        lua_pushcclosure(L, bind_log, 1);
        lua_setfield(L, -2, log_level_name((enum log_level)level));
    }
}

void bind_log_open_print(lua_State *L)
{
    lua_getglobal(L, "tostring");
    lua_pushcclosure(L, bind_print, 1);
}
