/*
 * bind_http_sign.c: see bind_http_sign.h. Source: the specification's "Signature scheme": HMAC-SHA256 over
 * "id.timestamp.body", base64 behind "v1,"; several signatures are parted by spaces; a secret is base64 behind
 * "whsec_".
 */
#include "bind/bind_http_sign.h"
#include "base/uuid.h"
#include "codec/base64.h"
#include "crypto/secret.h"
#include "script/error.h"
#include "script/table.h"
#include <lauxlib.h>
#include <stdio.h>

const char *const bind_http_sign_headers[BIND_HTTP_SIGN_HEADERS] = {"webhook-id", "webhook-timestamp",
                                                                    "webhook-signature"};

void bind_http_sign_free(struct bind_http_sign *s)
{
    for (size_t i = 0; i < s->count; i++)
        digest_key_free(&s->keys[i]);
    s->count = 0;
}

/* NULL, or what is wrong with it; the words do not hold it. */
static const char *add_secret(struct bind_http_sign *s, struct slice secret)
{
    const char *fault = NULL;
    struct buf key = {0};
    struct error err;
    if (slice_starts(secret, SLICE("whsec_")))
        secret = slice_from(secret, 6);
    if (secret.len == 0 || !base64_decode(secret, &key) || key.len == 0) {
        fault = "expected base64, with or without \"whsec_\" before it";
    } else if (s->count == BIND_HTTP_SIGN_SECRETS) {
        fault = "too many secrets";
    } else {
        s->keys[s->count] = digest_key_new(DIGEST_SHA256, buf_slice(&key), &err);
        if (s->keys[s->count] != NULL)
            s->count++;
        else
            fault = "cannot be used as a key";
    }
    secret_wipe(key.at, key.len);
    buf_free(&key);
    return fault;
}

static void read_secret(struct table_reader *t, struct bind_http_sign *s)
{
    lua_State *L = t->L;
    struct slice text;
    if (lua_type(L, -1) != LUA_TSTRING)
        table_fault(t, "secret", "expected a string, or a list of them, got %s", luaL_typename(L, -1));
    text.at = lua_tolstring(L, -1, &text.len);
    const char *fault = add_secret(s, text);
    if (fault != NULL)
        table_fault(t, "secret", "%s", fault);
}

static void read_secrets(struct table_reader *t, struct bind_http_sign *s)
{
    lua_State *L = t->L;
    if (!table_push(t, "secret"))
        lua_pushnil(L);
    if (lua_istable(L, -1)) {
        size_t count = table_list(t, "secret", lua_gettop(L));
        for (size_t i = 1; i <= count; i++) {
            lua_rawgeti(L, -1, (int)i);
            read_secret(t, s);
            lua_pop(L, 1);
        }
        if (count == 0)
            table_fault(t, "secret", "expected a string, or a list of them, got an empty list");
    } else {
        read_secret(t, s);
    }
    lua_pop(L, 1);
}

static void read_id(struct table_reader *t, struct bind_http_sign *s)
{
    struct slice id;
    if (!table_string(t, "id", &id)) {
        char text[UUID_TEXT];
        struct uuid made = uuid_new(wall_now());
        uuid_text(&made, text);
        snprintf(s->id, sizeof(s->id), "msg_%.*s", UUID_TEXT, text);
        return;
    }
    if (id.len == 0 || id.len > BIND_HTTP_SIGN_ID)
        table_fault(t, "id", "expected 1 to %d bytes", BIND_HTTP_SIGN_ID);
    for (size_t i = 0; i < id.len; i++) /* a full stop parts it from what is signed behind it */
        if (id.at[i] <= ' ' || id.at[i] >= 0x7f || id.at[i] == '.')
            table_fault(t, "id", "expected visible ASCII characters without '.'");
    memcpy(s->id, id.at, id.len);
    s->id[id.len] = '\0';
}

void bind_http_sign_read(lua_State *L, const char *what, struct bind_http_sign *s)
{
    static const char *const known[] = {"scheme", "secret", "id", NULL};
    static const char *const schemes[] = {"standard"};
    struct table_reader t;
    struct slice scheme;
    char name[64];
    bind_http_sign_free(s);
    snprintf(name, sizeof(name), "%s: sign", what);
    table_begin(&t, L, lua_gettop(L), name, known, false);
    if (!table_string(&t, "scheme", &scheme))
        table_fault(&t, "scheme", "expected \"standard\", got nothing");
    if (!slice_equal(scheme, slice_of(schemes[0])))
        table_fault(&t, "scheme", "unknown scheme '%.*s'%s", SLICE_ARG(scheme),
                    slice_nearest(scheme, schemes, 1) != NULL ? " (did you mean 'standard'?)"
                                                              : ": there is \"standard\"");
    read_secrets(&t, s);
    read_id(&t, s);
}

void bind_http_sign_make(struct bind_http_sign *s, struct slice body, wall_t now, struct buf *out,
                         struct slice values_out[BIND_HTTP_SIGN_HEADERS])
{
    unsigned char digest[DIGEST_MAX];
    char stamp[24];
    int len = snprintf(stamp, sizeof(stamp), "%lld", (long long)(now.ns / 1000000000));
    const struct slice parts[] = {slice_of(s->id), SLICE("."), {stamp, (size_t)len}, SLICE("."), body};
    size_t at[BIND_HTTP_SIGN_HEADERS + 1] = {out->len};
    buf_add_text(out, s->id);
    at[1] = out->len;
    buf_add(out, stamp, (size_t)len);
    at[2] = out->len;
    for (size_t i = 0; i < s->count; i++) {
        size_t size = digest_hmac(s->keys[i], parts, sizeof(parts) / sizeof(parts[0]), digest);
        buf_add_text(out, i > 0 ? " v1," : "v1,");
        base64_encode((struct slice){(const char *)digest, size}, out);
    }
    at[3] = out->len;
    for (int i = 0; i < BIND_HTTP_SIGN_HEADERS; i++)
        values_out[i] = (struct slice){out->at + at[i], at[i + 1] - at[i]};
}
