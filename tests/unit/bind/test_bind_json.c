/*
 * test_bind_json.c: the global json, in a real state; and what happens to it when Lua has no memory.
 */
#include "bind/bind_json.h"
#include "script/host.h"
#include "script/state.h"
#include <lauxlib.h>
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

static const struct script_host host = {.memory = (size_t)64 << 20, .jit = true};

static void open_globals(lua_State *L)
{
    bind_json_open(L);
    lua_setglobal(L, "json");
}

static void run_text(lua_State *L, void *text)
{
    if (luaL_loadstring(L, text) != 0)
        lua_error(L);
    lua_call(L, 0, 0);
}

/* Each promise is a Lua text whose asserts hold. */
static void run(const char *text)
{
    struct error err = {""};
    struct state *s = state_new(&host, open_globals, &err);
    if (s == NULL || state_protected(s, run_text, (void *)text, &err) != 0)
        fail_msg("%s", err.text);
    state_free(&s);
}

static void values_go_both_ways(void **state)
{
    run("local text = "
        "[[{\"n\":null,\"t\":true,\"i\":-12,\"d\":1.5,\"s\":\"\\u00e9\\u0000\",\"a\":[1,[],{}],\"o\":{\"\":1}}]]\n"
        "local v = json.decode(text)\n"
        "assert(v.n == json.null and v.t == true and v.i == -12 and v.d == 1.5 and v.s == \"é\\0\" and v.o[\"\"] == "
        "1)\n"
        "assert(#v.a == 3 and v.a[1] == 1)\n"
        "assert(json.encode(v.a) == \"[1,[],{}]\")\n"
        "assert(json.decode(\"null\") == json.null and json.decode(\" 3 \") == 3 and json.decode('\"x\"') == \"x\")\n"
        "assert(json.decode('{\"a\":1,\"a\":2}').a == 2)\n"
        "assert(json.encode(nil) == \"null\" and json.encode(json.null) == \"null\" and json.encode(-0.0) == \"0\")\n"
        "assert(json.encode(123456789012345) == \"123456789012345\" and json.encode(0.1) == \"0.1\")\n");
}

static void empty_tables_keep_their_kind(void **state)
{
    run("assert(json.encode({}) == \"{}\" and json.encode(json.array()) == \"[]\" and json.encode(json.object()) == "
        "\"{}\")\n"
        "assert(json.encode(json.array({})) == \"[]\" and json.encode(json.decode(\"[[],{}]\")) == \"[[],{}]\")\n"
        "local a = json.decode(\"[1]\")\n"
        "a[1] = nil\n"
        "assert(json.encode(a) == \"[]\")\n"
        "a[1], a[2] = \"x\", json.null\n"
        "assert(json.encode(a) == '[\"x\",null]')\n"
        "local function raises(words, f, ...)\n"
        "  local ok, err = pcall(f, ...)\n"
        "  assert(not ok, \"did not raise: \" .. words)\n"
        "  assert(tostring(err):find(words, 1, true), err)\n"
        "end\n"
        "\n"
        "raises(\"neither\", json.encode, json.array({ x = 1 }))\n"
        "raises(\"neither\", json.encode, json.object({ 1 }))\n"
        "raises(\"metatable of its own\", json.array, setmetatable({}, {}))\n"
        "raises(\"table expected\", json.array, 1)\n"
        "raises(\"protected\", setmetatable, json.decode(\"[]\"), {})\n");
}

static void arrays_are_positions_one_to_n(void **state)
{
    run("local function raises(words, f, ...)\n"
        "  local ok, err = pcall(f, ...)\n"
        "  assert(not ok, \"did not raise: \" .. words)\n"
        "  assert(tostring(err):find(words, 1, true), err)\n"
        "end\n"
        "\n"
        "local backwards = {}\n"
        "for i = 9, 1, -1 do backwards[i] = i end\n"
        "assert(json.encode(backwards) == \"[1,2,3,4,5,6,7,8,9]\")\n"
        "local mixed_order = { [2] = \"b\" }\n"
        "mixed_order[1] = \"a\"\n"
        "mixed_order[3] = \"c\"\n"
        "assert(json.encode(mixed_order) == '[\"a\",\"b\",\"c\"]')\n"
        "raises(\"holes\", json.encode, { 1, 2, nil, 4 })\n"
        "raises(\"holes\", json.encode, { [2] = 1 })\n"
        "raises(\"neither\", json.encode, { 1, x = 2 })\n"
        "raises(\"neither\", json.encode, { x = 2, [1] = 1 })\n"
        "raises(\"no position\", json.encode, { [0] = 1 })\n"
        "raises(\"no position\", json.encode, { [1.5] = 1 })\n"
        "raises(\"neither a string nor a position\", json.encode, { [true] = 1 })\n"
        "raises(\"holes\", json.encode, { [2 ^ 60] = 1 })\n");
}

static void a_fault_is_named_with_its_path(void **state)
{
    run("local function raises(words, f, ...)\n"
        "  local ok, err = pcall(f, ...)\n"
        "  assert(not ok, \"did not raise: \" .. words)\n"
        "  assert(tostring(err):find(words, 1, true), err)\n"
        "end\n"
        "\n"
        "raises(\"at /items/3: a function has no JSON form\", json.encode, { items = { 1, 2, print } })\n"
        "raises(\"at /a/b: NaN has no JSON form\", json.encode, { a = { b = 0 / 0 } })\n"
        "raises(\"at /1: an infinity\", json.encode, { 1 / 0 })\n"
        "raises(\"at /x: the string is not UTF-8 (byte 3)\", json.encode, { x = \"ab\\255\" })\n"
        "raises(\"the name is not UTF-8\", json.encode, { [\"\\255\"] = 1 })\n"
        "raises(\"a thread has no JSON form\", json.encode, coroutine.create(print))\n"
        "raises(\"at /a: an array with holes\", json.encode, { a = { [3] = 1 } })\n"
        "local t = { a = { b = {} } }\n"
        "t.a.b.c = t.a\n"
        "raises(\"at /a/b/c: the table contains itself\", json.encode, t)\n"
        "local deep = 1\n"
        "for _ = 1, 128 do deep = { deep } end\n"
        "assert(#json.encode(deep) == 257)\n"
        "raises(\"nested deeper than 128 tables\", json.encode, { deep })\n"
        "local wide = {}\n"
        "for _ = 1, 40 do wide = { wide, wide } end\n"
        "raises(\"too long\", json.encode, wide)\n"
        "raises(\"value expected\", json.encode)\n"
        "raises(\"prety\", json.encode, {}, { prety = true })\n"
        "assert(json.encode({ 1 }) == \"[1]\")\n");
}

static void a_text_that_is_not_json_gives_the_place(void **state)
{
    run("local function raises(words, f, ...)\n"
        "  local ok, err = pcall(f, ...)\n"
        "  assert(not ok, \"did not raise: \" .. words)\n"
        "  assert(tostring(err):find(words, 1, true), err)\n"
        "end\n"
        "\n"
        "local v, err = json.decode('{\"a\":\\n [1,}')\n"
        "assert(v == nil and err == \"line 2 column 5: expected a value\", err)\n"
        "assert(select(2, json.decode(\"\")) == \"line 1 column 1: the text is empty\")\n"
        "local deep = (\"[\"):rep(129) .. (\"]\"):rep(129)\n"
        "assert(select(2, json.decode(deep)) == \"line 1 column 129: nested too deep\")\n"
        "assert(json.decode(deep:sub(2, -2)))\n"
        "raises(\"string expected\", json.decode)\n"
        "raises(\"string expected\", json.decode, 5)\n"
        "raises(\"string expected\", json.decode, {})\n");
}

static void large_integers_keep_every_digit(void **state)
{
    run("local function raises(words, f, ...)\n"
        "  local ok, err = pcall(f, ...)\n"
        "  assert(not ok, \"did not raise: \" .. words)\n"
        "  assert(tostring(err):find(words, 1, true), err)\n"
        "end\n"
        "\n"
        "local text = '[9007199254740993,-9007199254740993,18446744073709551615,123456789012345678901234567890]'\n"
        "local v = json.decode(text)\n"
        "assert(json.encode(v) == text)\n"
        "assert(type(v[1]) == \"userdata\" and tostring(v[1]) == \"9007199254740993\" and v[1] .. \"!\" == "
        "\"9007199254740993!\")\n"
        "assert(\"#\" .. v[4] == \"#123456789012345678901234567890\" and v[1] .. v[2] == "
        "\"9007199254740993-9007199254740993\")\n"
        "assert(json.decode(\"9007199254740992\") == 2 ^ 53 and json.decode(\"-9007199254740992\") == -2 ^ 53)\n"
        "assert(v[1] == json.decode(\"9007199254740993\") and v[1] ~= v[2])\n"
        "assert(v[2] < v[1] and v[1] < v[3] and v[3] < v[4] and v[1] <= v[1] and not (v[3] < v[1]))\n"
        "local small = json.decode(\"[-9007199254740995,-18446744073709551615]\")\n"
        "assert(small[2] < small[1] and small[1] < v[2])\n"
        "raises(\"does not calculate\", function() return v[1] + 1 end)\n"
        "raises(\"does not calculate\", function() return -v[1] end)\n"
        "raises(\"concatenate\", function() return v[1] .. {} end)\n"
        "assert(tonumber(tostring(v[1])) == 9007199254740992)\n"
        "assert(json.encode(json.decode('{\"id\":9007199254740993}'), { pretty = true }) == '{\\n  \"id\": "
        "9007199254740993\\n}')\n");
}

static void decode_until_no_memory(lua_State *L, void *cookie)
{
    struct json_reader *reader = bind_json_reader(L);
    struct json_walk walk;
    struct json_fault fault;
    assert_int_equal(json_parse(reader, *(struct slice *)cookie, &fault), 0);
    for (;;) {
        luaL_checkstack(L, 10, "test");
        json_walk_root(reader, &walk);
        bind_json_push_walk(L, &walk, true);
    }
}

/* The state's ceiling is met at another place each time; the sanitizer finds what would be lost. */
static void no_memory_is_an_error_and_loses_nothing(void **state)
{
    struct buf text = {0};
    buf_add_text(&text, "[18446744073709551616");
    for (int i = 0; i < 60; i++)
        buf_addf(&text, ",{\"name %d\":[\"text %d\",{\"x\":[[],{}]}]}", i, i);
    buf_add_char(&text, ']');
    struct slice whole = buf_slice(&text);
    for (size_t i = 0; i < 24; i++) {
        struct script_host small = {.memory = ((size_t)1 << 20) + i * 1000};
        struct error err;
        struct state *s = state_new(&small, open_globals, &err);
        assert_non_null(s);
        assert_int_equal(state_protected(s, decode_until_no_memory, &whole, &err), -1);
        assert_string_equal(err.text, "not enough memory");
        lua_gc(state_lua(s), LUA_GCCOLLECT, 0);
        if (state_protected(s, run_text, (void *)"assert(json.encode(json.decode('[1]')) == '[1]')", &err) != 0)
            fail_msg("%s", err.text);
        state_free(&s);
    }
    buf_free(&text);
}

static int refused; /* how often the encoder had no memory to work with */

static void encode_in_full_state(lua_State *L, void *cookie)
{
    struct buf *out = cookie;
    struct error err = {""};
    lua_newtable(L);
    for (int i = 1; i <= 100; i++) { /* deep enough that the encoder needs more stack */
        lua_newtable(L);
        lua_insert(L, -2);
        lua_rawseti(L, -2, 1);
    }
    lua_State *co = lua_newthread(L); /* a fresh stack, that must grow */
    lua_insert(L, -2);
    lua_xmove(L, co, 1);
    if (luaL_dostring(L, "t = {} pcall(function() for i = 1, 1e9 do t[i] = ('x'):rep(1000 + i % 100) .. i end end)") !=
        0)
        lua_error(L);
    for (int i = 0; i < 100; i++) {
        buf_clear(out);
        int result = bind_json_encode_protected(co, -1, out, &err);
        assert_true(result == 0 ? out->len == 202 : strstr(err.text, "not enough memory") != NULL);
        assert_int_equal(lua_gettop(co), 1);
        refused += result != 0;
    }
}

static void the_protected_encoder_never_raises(void **state)
{
    for (size_t i = 0; i < 16; i++) {
        struct script_host small = {.memory = ((size_t)2 << 20) + i * 1024};
        struct error err = {""};
        struct buf out = {0};
        struct state *s = state_new(&small, open_globals, &err);
        assert_non_null(s);
        if (state_protected(s, encode_in_full_state, &out, &err) != 0)
            fail_msg("%s", err.text);
        state_free(&s);
        buf_free(&out);
    }
    assert_true(refused > 0);
}

static void null_is_nil_only_at_the_top(lua_State *L, void *cookie)
{
    struct json_reader *reader = bind_json_reader(L);
    struct json_walk walk;
    struct json_fault fault;
    assert_int_equal(json_parse(reader, SLICE("{\"a\":null,\"b\":[null]}"), &fault), 0);
    assert_true(json_walk_at(reader, SLICE("/a"), &walk));
    bind_json_push_walk(L, &walk, true);
    assert_true(lua_isnil(L, -1));
    assert_true(json_walk_at(reader, SLICE("/b"), &walk));
    bind_json_push_walk(L, &walk, true);
    lua_rawgeti(L, -1, 1);
    assert_true(lua_type(L, -1) == LUA_TLIGHTUSERDATA && lua_touserdata(L, -1) == NULL);
    assert_int_equal(lua_gettop(L), 3);
}

static void picked_null_is_nil(void **state)
{
    struct error err;
    struct state *s = state_new(&host, open_globals, &err);
    assert_int_equal(state_protected(s, null_is_nil_only_at_the_top, NULL, &err), 0);
    state_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_go_both_ways),
        cmocka_unit_test(empty_tables_keep_their_kind),
        cmocka_unit_test(arrays_are_positions_one_to_n),
        cmocka_unit_test(a_fault_is_named_with_its_path),
        cmocka_unit_test(a_text_that_is_not_json_gives_the_place),
        cmocka_unit_test(large_integers_keep_every_digit),
        cmocka_unit_test(no_memory_is_an_error_and_loses_nothing),
        cmocka_unit_test(the_protected_encoder_never_raises),
        cmocka_unit_test(picked_null_is_nil),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
