/*
 * bind_kv.c: each function reads its arguments into a message, asks the keeper, and waits; lua/crescent/kv.lua makes
 * the global of them. Each gives a problem to raise; or nil, and its results. See bind_kv.h. Owns: one struct per call,
 * freed when it is told or cancelled. Runs in: the state's thread, on its loop.
 */
#include "bind/bind_kv.h"
#include "base/panic.h"
#include "bind/bind_json_internal.h"
#include "ipc/calls.h"
#include "ipc/kv.h"
#include "script/await.h"
#include "script/embedded.h"
#include "script/error.h"
#include "script/failure.h"
#include "script/table.h"
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>

#define LIST_LIMIT 100 /* unless the script says another */
#define UNAVAILABLE 503

/* Where the arguments stand; the first one is the bucket. */
enum { BUCKET = 1, KEY, VALUE, OPTIONS, LIST_OPTIONS = 3 };

struct wait {
    struct await await;
    struct calls *calls;
    struct call *call;
    lua_State *L; /* the main one */
    int held;     /* registry reference: the texts that the call names, while they may be needed; or LUA_NOREF */
    bool changes;
    enum calls_end end;
    const struct message *answer; /* while it is told */
    char key[];
};

/* --- the answer --------------------------------------------------------------------------------------------------- */

static double number_of(const struct message *m)
{
    double number;
    memcpy(&number, &m->kv_done.number, sizeof(number));
    return number;
}

/* A table, as it was encoded. Gives how many values it has pushed: none where it is no such text. */
static int push_json(lua_State *L, struct slice text, struct error *why)
{
    struct json_fault fault;
    struct json_walk walk;
    struct json_reader *reader = bind_json_reader_deep(L);
    bool good = json_parse(reader, text, &fault) == 0;
    if (good) {
        json_walk_root(reader, &walk);
        bind_json_push_walk(L, &walk, false);
    } else {
        error_set(why, ": no JSON: line %zu column %zu: %s", fault.line, fault.column, fault.what);
    }
    json_reader_trim(reader);
    return good;
}

/* The list, marked as an array; and the last of it, where there are more. */
static int push_keys(lua_State *L, const struct message *m)
{
    struct slice rest = m->kv_done.value, key = SLICE_NONE;
    bool bad = false;
    lua_newtable(L);
    bind_json_push_meta(L, &bind_json_of(L)->array);
    lua_setmetatable(L, -2);
    for (int i = 1; rest.len > 0; i++) {
        key = buf_take_string(&rest, &bad);
        if (bad)
            return luaL_error(L, "kv.list: the store's answer cannot be read");
        lua_pushlstring(L, key.at, key.len);
        lua_rawseti(L, -2, i);
    }
    if (number_of(m) == 0)
        return 1;
    lua_pushlstring(L, key.at, key.len);
    return 2;
}

/* Gives how many values it has pushed: none where somebody has spoiled what was stored; why then has more words. */
static int push_value(lua_State *L, const struct message *m, struct error *why)
{
    switch ((enum kv_kind)m->kv_done.kind) {
    case KV_NOTHING:
        lua_pushnil(L);
        return 1;
    case KV_STRING:
        lua_pushlstring(L, m->kv_done.value.at, m->kv_done.value.len);
        return 1;
    case KV_NUMBER:
        lua_pushnumber(L, number_of(m));
        return 1;
    case KV_JSON:
        return push_json(L, m->kv_done.value, why);
    case KV_TRUE:
    case KV_FALSE:
        lua_pushboolean(L, m->kv_done.kind == KV_TRUE);
        return 1;
    case KV_FOREVER:
        lua_pushnumber(L, HUGE_VAL);
        return 1;
    case KV_KEYS:
        return push_keys(L, m);
    case KV_SPOILED:
        return 0;
    }
    return luaL_error(L, "kv: the store's answer cannot be read");
}

static int push_problem(lua_State *L, bool known)
{
    if (known)
        script_error_push(L, UNAVAILABLE, "the store is not available");
    else
        script_error_push(L, UNAVAILABLE,
                          "the store is not available: whether what was asked of it was done is not known");
    return 1;
}

/* Why a number could not be counted up. */
static int push_failure(lua_State *L, const struct wait *w, const char *code, const char *words)
{
    struct error err;
    error_set(&err, "kv.incr: %s: %s", w->key, words);
    return failure_push(L, code, err.text);
}

/* It is there, so nil would be wrong; and only who reads it has to know. */
static int push_spoiled(lua_State *L, const struct wait *w, const char *why)
{
    lua_pushfstring(L, "kv.get: %s: what is stored there is no value%s", w->key, why);
    return 1;
}

static int push_result(lua_State *co, void *cookie)
{
    struct error why = {.text = ""};
    const struct wait *w = cookie;
    enum kv_end end = w->end == CALLS_ANSWERED ? (enum kv_end)w->answer->kv_done.end : KV_NOT_DONE;
    if (w->end == CALLS_UNKNOWN)
        end = KV_UNKNOWN;
    luaL_checkstack(co, 8, "kv");
    if (end == KV_NOT_DONE || end == KV_UNKNOWN)
        return push_problem(co, end == KV_NOT_DONE || !w->changes);
    lua_pushnil(co);
    if (end == KV_DONE) {
        int count = push_value(co, w->answer, &why);
        return count > 0 ? 1 + count : push_spoiled(co, w, why.text);
    }
    if (end == KV_NOT_A_NUMBER)
        return 1 + push_failure(co, w, "not_a_number", "the value there is not a number");
    return 1 + push_failure(co, w, "out_of_range", "the sum is beyond 2^53, where numbers no longer count");
}

static void wait_free(struct wait *w)
{
    luaL_unref(w->L, LUA_REGISTRYINDEX, w->held);
    free(w);
}

static void told(void *cookie, enum calls_end end, const struct message *answer)
{
    struct wait *w = cookie;
    w->end = end;
    w->answer = answer;
    w->call = NULL;
    await_complete(&w->await, push_result, w);
    wait_free(w);
}

static void cancel(struct await *a)
{
    struct wait *w = CONTAINER_OF(a, struct wait, await);
    calls_forget(w->calls, &w->call);
    wait_free(w);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

/* Puts the text into the table at the top, and names it where it stays then. [-0,+0,m] */
static void hold(lua_State *L, int at, struct slice *text)
{
    lua_pushlstring(L, text->at, text->len);
    text->at = lua_tolstring(L, -1, &text->len);
    lua_rawseti(L, -2, at);
}

/* A call that waits for its turn has no copy of its texts: they stay the script's, and count to its memory. [-0,+0,m]
 */
static int hold_all(lua_State *L, struct message_kv *kv)
{
    lua_createtable(L, 3, 0);
    hold(L, 1, &kv->bucket);
    hold(L, 2, &kv->key);
    hold(L, 3, &kv->value);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* The last thing a function does. */
static int ask(lua_State *L, const struct message_kv *kv)
{
    struct state *s = state_of(L);
    struct calls *calls = state_host(s)->calls;
    struct message m = {.type = MESSAGE_kv, .kv = *kv};
    bool changes = kv->what == KV_SET || kv->what == KV_ADD || kv->what == KV_INCR || kv->what == KV_DELETE;
    CHECK(calls != NULL);
    int held = calls_goes(calls, &m, !changes) ? LUA_NOREF : hold_all(L, &m.kv);
    struct wait *w = need_zero(1, sizeof(*w) + kv->key.len + 1); /* nothing raises from here on */
    w->calls = calls;
    w->changes = changes;
    w->L = state_lua(s);
    w->held = held;
    if (kv->key.len > 0)
        memcpy(w->key, kv->key.at, kv->key.len);
    w->call = calls_ask(calls, &m, !changes, told, w);
    return await_begin(L, &w->await, cancel);
}

/* --- arguments ---------------------------------------------------------------------------------------------------- */

static struct slice text_at(lua_State *L, int index)
{
    struct slice text;
    text.at = lua_tolstring(L, index, &text.len);
    return text;
}

/* The bucket, and the key where the function has one; `most` arguments in all. */
static struct message_kv begin(lua_State *L, const char *name, enum kv_what what, int most)
{
    struct message_kv kv = {.what = what, .bucket = text_at(L, BUCKET)};
    if (lua_type(L, KEY) == LUA_TTABLE)
        script_error_words(L, "%s: call it with a dot, not with a colon; the first argument is a string", name);
    if (lua_gettop(L) > most)
        script_error_words(L, "%s: expected at most %d arguments, got %d", name, most - 1, lua_gettop(L) - 1);
    if (what == KV_LIST && lua_isnoneornil(L, KEY)) {
        kv.key = SLICE("");
    } else {
        if (lua_type(L, KEY) != LUA_TSTRING)
            script_error_words(L, "%s: %s: expected a string, got %s", name, what == KV_LIST ? "prefix" : "key",
                               lua_isnone(L, KEY) ? "nothing" : luaL_typename(L, KEY));
        kv.key = text_at(L, KEY);
        if ((kv.key.len == 0 && what != KV_LIST) || kv.key.len > KV_KEY_MAX)
            script_error_words(L, "%s: a key has 1 to %u bytes, not %zu", name, KV_KEY_MAX, kv.key.len);
    }
    await_check(L, name);
    return kv;
}

static void read_ttl(lua_State *L, const char *name, int index, struct message_kv *kv)
{
    static const char *const known[] = {"ttl", NULL};
    struct table_reader options;
    dur_t ttl;
    if (lua_isnoneornil(L, index))
        return;
    table_begin(&options, L, index, name, known, false);
    if (!table_duration(&options, "ttl", &ttl))
        return;
    kv->ttl_ms = (uint64_t)dur_ms_up(ttl);
    if (kv->ttl_ms < 1 || kv->ttl_ms > KV_TTL_MAX_MS)
        table_fault(&options, "ttl", "expected at least 1ms, and at most 104166d");
}

static double read_number(lua_State *L, const char *name, int index)
{
    double number = lua_tonumber(L, index);
    if (!isfinite(number))
        script_error_words(L, "%s: expected a finite number, got %f", name, number);
    return number == 0 ? 0 : number; /* to a script -0 is 0 */
}

static void too_large(lua_State *L, const char *name)
{
    script_error_words(L, "%s: a value has at most %u bytes (a table: as JSON)", name, KV_VALUE_MAX);
}

/* A table, or a json.integer: its text takes its place, and is the state's from then on. */
static void encode(lua_State *L, const char *name, struct message_kv *kv)
{
    struct error err;
    struct buf *text = bind_json_text(L);
    text->limit = KV_VALUE_MAX;
    bool good = bind_json_encode_protected(L, VALUE, text, &err) == 0, large = text->overflow;
    text->limit = 0;
    text->overflow = false;
    if (large)
        too_large(L, name);
    if (!good)
        script_error_words(L, "%s: the value: %s", name, err.text);
    lua_pushlstring(L, text->at, text->len);
    lua_replace(L, VALUE);
    bind_json_text_trim(L);
    kv->kind = KV_JSON;
    kv->value = text_at(L, VALUE);
}

static void read_value(lua_State *L, const char *name, struct message_kv *kv)
{
    struct slice digits;
    switch (lua_type(L, VALUE)) {
    case LUA_TSTRING:
        kv->kind = KV_STRING;
        kv->value = text_at(L, VALUE);
        if (kv->value.len > KV_VALUE_MAX)
            too_large(L, name);
        return;
    case LUA_TNUMBER: {
        double number = read_number(L, name, VALUE);
        kv->kind = KV_NUMBER;
        memcpy(&kv->number, &number, sizeof(number));
        return;
    }
    case LUA_TTABLE:
        encode(L, name, kv);
        return;
    default:
        if (bind_json_integer(L, VALUE, &digits))
            encode(L, name, kv);
        else
            script_error_words(L, "%s: the value: expected a string, a number or a table, got %s%s", name,
                               lua_isnone(L, VALUE) ? "nothing" : luaL_typename(L, VALUE),
                               lua_isnil(L, VALUE) ? " (kv.delete removes a key)" : "");
    }
}

/* --- the functions ------------------------------------------------------------------------------------------------ */

static int kv_get(lua_State *L)
{
    struct message_kv kv = begin(L, "kv.get", KV_GET, KEY);
    return ask(L, &kv);
}

static int kv_set(lua_State *L)
{
    struct message_kv kv = begin(L, "kv.set", KV_SET, OPTIONS);
    read_ttl(L, "kv.set", OPTIONS, &kv);
    read_value(L, "kv.set", &kv);
    return ask(L, &kv);
}

static int kv_add(lua_State *L)
{
    struct message_kv kv = begin(L, "kv.add", KV_ADD, OPTIONS);
    read_ttl(L, "kv.add", OPTIONS, &kv);
    read_value(L, "kv.add", &kv);
    return ask(L, &kv);
}

static int kv_incr(lua_State *L)
{
    struct message_kv kv = begin(L, "kv.incr", KV_INCR, OPTIONS);
    double by = 1;
    if (lua_type(L, VALUE) == LUA_TNUMBER)
        by = read_number(L, "kv.incr", VALUE);
    else if (!lua_isnoneornil(L, VALUE))
        script_error_words(L, "kv.incr: expected a number to add, got %s", luaL_typename(L, VALUE));
    read_ttl(L, "kv.incr", OPTIONS, &kv);
    kv.kind = KV_NUMBER;
    memcpy(&kv.number, &by, sizeof(by));
    return ask(L, &kv);
}

static int kv_delete(lua_State *L)
{
    struct message_kv kv = begin(L, "kv.delete", KV_DELETE, KEY);
    return ask(L, &kv);
}

static int kv_ttl(lua_State *L)
{
    struct message_kv kv = begin(L, "kv.ttl", KV_TTL, KEY);
    return ask(L, &kv);
}

static int kv_list(lua_State *L)
{
    static const char *const known[] = {"limit", "after", NULL};
    struct message_kv kv = begin(L, "kv.list", KV_LIST, LIST_OPTIONS);
    struct table_reader options;
    long long limit = LIST_LIMIT;
    if (!lua_isnoneornil(L, LIST_OPTIONS)) {
        table_begin(&options, L, LIST_OPTIONS, "kv.list", known, false);
        table_integer(&options, "limit", 1, KV_LIST_MAX, &limit);
        if (table_string(&options, "after", &kv.value) && kv.value.len > KV_KEY_MAX)
            table_fault(&options, "after", "a key has at most %u bytes", KV_KEY_MAX);
    }
    kv.limit = (uint32_t)limit;
    return ask(L, &kv);
}

/* nearest(name, names) → one of them, or nil */
static int nearest_name(lua_State *L)
{
    const char *names[16];
    size_t count = 0;
    luaL_checktype(L, 2, LUA_TTABLE);
    for (; count < 16; count++) {
        lua_rawgeti(L, 2, (int)count + 1);
        names[count] = lua_tostring(L, -1);
        lua_pop(L, 1); /* the table holds it */
        if (names[count] == NULL)
            break;
    }
    lua_pushstring(L, slice_nearest(text_at(L, 1), names, count));
    return 1;
}

void bind_kv_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"get", kv_get},       {"set", kv_set}, {"add", kv_add},   {"incr", kv_incr},
                                         {"delete", kv_delete}, {"ttl", kv_ttl}, {"list", kv_list}, {NULL, NULL}};
    script_embedded_load(L, "kv");
    lua_createtable(L, 0, 8);
    luaL_setfuncs(L, functions, 0);
    lua_pushcfunction(L, nearest_name);
    lua_pushinteger(L, KV_BUCKET_MAX);
    lua_call(L, 3, 1);
}
