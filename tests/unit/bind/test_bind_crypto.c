/*
 * test_bind_crypto.c: the global crypto, in a real state; expected values are those of the RFCs.
 */
#include "bind/bind_crypto.h"
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
    bind_crypto_open(L);
    lua_setglobal(L, "crypto");
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

static void digests_and_hmac(void **state)
{
    run("local hex = crypto.hex\n"
        "assert(hex(crypto.sha256(\"abc\")) == "
        "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\")\n"
        "assert(crypto.sha256(\"abc\", \"hex\") == hex(crypto.sha256(\"abc\", \"binary\")))\n"
        "assert(hex(crypto.md5(\"\")) == \"d41d8cd98f00b204e9800998ecf8427e\" and #crypto.sha1(\"x\") == 20)\n"
        "assert(crypto.sha1(\"abc\", \"base64\") == \"qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\")\n"
        "assert(crypto.sha1(\"abc\", \"base64url\") == \"qZk-NkcGgWq6PiVxeFDCbJzQ2J0\")\n"
        "assert(#crypto.sha384(\"\") == 48 and #crypto.sha512(\"\") == 64 and #crypto.sha512(\"\", \"hex\") == 128)\n"
        "local jefe = \"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843\"\n"
        "for i = 1, 60 do\n"
        "  assert(hex(crypto.hmac(\"sha256\", \"Jefe\", \"what do ya want for nothing?\")) == jefe)\n"
        "  crypto.hmac(\"sha256\", \"key \" .. i, \"x\") -- more keys than are kept prepared\n"
        "end\n"
        "assert(crypto.hmac(\"sha256\", \"Jefe\", \"what do ya want for nothing?\", \"hex\") == jefe)\n"
        "assert(hex(crypto.hmac(\"md5\", \"Jefe\", \"what do ya want for nothing?\")) == "
        "\"750c783e6ab0b503eaa86e310a5db738\")\n"
        "assert(crypto.hmac(\"sha1\", \"\", \"\", \"hex\") == \"fbdb1d1b18aa6c08324b7d64b71fb76370690e1d\")\n"
        "local function raises(words, f, ...)\n"
        "  local ok, err = pcall(f, ...)\n"
        "  assert(not ok, \"did not raise: \" .. words)\n"
        "  assert(tostring(err):find(words, 1, true), err)\n"
        "end\n"
        "\n"
        "raises(\"unknown algorithm\", crypto.hmac, \"sha2\", \"k\", \"m\")\n"
        "raises(\"string expected\", crypto.hmac, \"sha256\", nil, \"m\")\n"
        "raises(\"invalid option 'hax'\", crypto.sha256, \"x\", \"hax\")\n");
}

static void comparison_and_random(void **state)
{
    run("local function raises(words, f, ...)\n"
        "  local ok, err = pcall(f, ...)\n"
        "  assert(not ok, \"did not raise: \" .. words)\n"
        "  assert(tostring(err):find(words, 1, true), err)\n"
        "end\n"
        "\n"
        "assert(crypto.equals(\"abc\", \"abc\") == true and crypto.equals(\"abc\", \"abd\") == false and "
        "crypto.equals(\"\", \"a\") == false)\n"
        "assert(crypto.equals(\"abc\", nil) == false and crypto.equals(nil, nil) == false)\n"
        "raises(\"value expected\", crypto.equals, \"a\")\n"
        "raises(\"string expected\", crypto.equals, \"a\", {})\n"
        "assert(#crypto.random(16) == 16 and #crypto.random(16, \"hex\") == 32 and crypto.random(16) ~= "
        "crypto.random(16))\n"
        "assert(#crypto.random(300) == 300 and #crypto.random(300, \"binary\") == 300)\n"
        "assert(#crypto.random(32, \"base64url\") == 43)\n"
        "for _, n in ipairs({ 0, -1, 1.5, 65537, 0 / 0, 1 / 0 }) do raises(\"whole number\", crypto.random, n) end\n");
}

static void encodings(void **state)
{
    run("assert(crypto.hex(\"\\0\\255\") == \"00ff\" and crypto.unhex(\"00fF\") == \"\\0\\255\" and crypto.unhex(\"\") "
        "== \"\")\n"
        "assert(crypto.base64(\"foob\") == \"Zm9vYg==\" and crypto.base64_decode(\"Zm9vYg==\") == \"foob\")\n"
        "assert(crypto.base64url(\"\\251\\255\") == \"-_8\" and crypto.base64url_decode(\"-_8\") == \"\\251\\255\")\n"
        "local big = crypto.random(60000)\n"
        "assert(crypto.base64_decode(crypto.base64(big)) == big and crypto.unhex(crypto.hex(big)) == big)\n"
        "local v, err = crypto.unhex(\"0\")\n"
        "assert(v == nil and err == \"not hex\")\n"
        "assert(select(2, crypto.base64_decode(\"Zm9vYg\")) == \"not base64\")\n"
        "assert(select(2, crypto.base64url_decode(\"a+b\")) == \"not base64url\")\n");
}

static void signatures(void **state)
{
    run("local function raises(words, f, ...)\n"
        "  local ok, err = pcall(f, ...)\n"
        "  assert(not ok, \"did not raise: \" .. words)\n"
        "  assert(tostring(err):find(words, 1, true), err)\n"
        "end\n"
        "\n"
        "local seed = crypto.unhex(\"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60\")\n"
        "local key = crypto.unhex(\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\")\n"
        "local signature = crypto.sign(\"ed25519\", seed, \"\", \"hex\")\n"
        "assert(signature == "
        "\"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595b"
        "be24655141438e7a100b\")\n"
        "assert(crypto.verify(\"ed25519\", key, \"\", crypto.unhex(signature)) == true)\n"
        "assert(crypto.verify(\"ed25519\", key, \"x\", crypto.unhex(signature)) == false)\n"
        "assert(crypto.verify(\"ed25519\", key, \"\", \"\") == false and crypto.verify(\"ed25519\", key, \"\", "
        "signature) == false)\n"
        "local v, err = crypto.verify(\"RS256\", key, \"\", \"\")\n"
        "assert(v == nil and err == \"RS256 needs an RSA key, this is an Ed25519 key\")\n"
        "v, err = crypto.sign(\"RS256\", \"no key\", \"\")\n"
        "assert(v == nil and err:find(\"not a key\", 1, true))\n"
        "raises(\"unknown algorithm\", crypto.sign, \"none\", seed, \"x\")\n");
}

static void json_web_tokens(void **state)
{
    run("local function raises(words, f, ...)\n"
        "  local ok, err = pcall(f, ...)\n"
        "  assert(not ok, \"did not raise: \" .. words)\n"
        "  assert(tostring(err):find(words, 1, true), err)\n"
        "end\n"
        "\n"
        "local jwt = crypto.jwt\n"
        "local now = os.time()\n"
        "local token = jwt.sign({ sub = \"x\", exp = now + 60, big = json.decode(\"9007199254740993\") }, { secret = "
        "\"s\", kid = \"1\" })\n"
        "local claims = jwt.verify(token, { secret = \"s\" })\n"
        "assert(claims.sub == \"x\" and tostring(claims.big) == \"9007199254740993\")\n"
        "assert(select(2, jwt.verify(token, { secret = \"t\" })) == \"the signature is wrong\")\n"
        "assert(select(2, jwt.verify(token, { secret = \"s\", algorithm = \"HS512\" })):find(\"HS512\", 1, true))\n"
        "assert(select(2, jwt.verify(token, { secret = \"s\", issuer = \"me\" })) == \"another issuer (iss)\")\n"
        "assert(select(2, jwt.verify(token, { secret = \"s\", audience = \"me\" })) == \"another audience (aud)\")\n"
        "assert(select(2, jwt.verify(nil, { secret = \"s\" })) == \"no token\")\n"
        "assert(select(2, jwt.verify(\"a.b\", { secret = \"s\" })):find(\"three parts\", 1, true))\n"
        "local old = jwt.sign({ exp = now - 30 }, { secret = \"s\" })\n"
        "assert(select(2, jwt.verify(old, { secret = \"s\" })) == \"expired\")\n"
        "assert(jwt.verify(old, { secret = \"s\", leeway = \"60s\" }).exp == now - 30)\n"
        "local none = crypto.base64url('{\"alg\":\"none\"}') .. \".\" .. crypto.base64url(\"{}\") .. \".\"\n"
        "assert(select(2, jwt.verify(none, { secret = \"s\" })):find(\"algorithm\", 1, true))\n"
        "local seed = (\"0123456789abcdef\"):rep(2)\n"
        "local signed = jwt.sign({ a = 1 }, { key = seed })\n"
        "assert(signed:find(\"^eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9%.\"))\n"
        "assert(select(2, jwt.sign({}, { key = \"no key\" })):find(\"not a key\", 1, true))\n"
        "assert(select(2, jwt.verify(token, { key = \"no key\" })):find(\"not a key\", 1, true))\n"
        "raises(\"expected either secret or key\", jwt.sign, {}, {})\n"
        "raises(\"expected either secret or key\", jwt.verify, token, { secret = \"s\", key = \"k\" })\n"
        "raises(\"algorithm\", jwt.verify, token, { secret = \"s\", algorithm = \"none\" })\n"
        "raises(\"secrt\", jwt.verify, token, { secrt = \"s\" })\n"
        "raises(\"claims are a table of names\", jwt.sign, { 1 }, { secret = \"s\" })\n"
        "raises(\"table expected\", jwt.sign, \"x\", { secret = \"s\" })\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_and_hmac), cmocka_unit_test(comparison_and_random), cmocka_unit_test(encodings),
        cmocka_unit_test(signatures),       cmocka_unit_test(json_web_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
