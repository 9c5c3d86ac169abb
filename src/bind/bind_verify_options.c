/*
 * bind_verify_options.c: see bind_verify_options.h. A provider's data (lua/crescent/providers.lua) and the options of
 * verify.hmac are two spellings of one struct scheme_spec.
 * All that may raise is read before the first C resource is made; what then fails is raised after it is freed.
 * Owns: nothing. Runs in: the state's thread. Fails: Lua errors in words, which never hold a secret.
 */
#include "bind/bind_verify_options.h"
#include "base/ascii.h"
#include "policy/event_type.h"
#include "policy/scheme.h"
#include "script/embedded.h"
#include "script/table.h"
#include <lauxlib.h>

/* --- secrets -------------------------------------------------------------------------------------------------------
 */

struct secrets {
    struct slice at[SCHEME_SECRETS_MAX];
    size_t count;
    bool by_function;
};

int bind_verify_options_push(const struct table_reader *t, const char *key)
{
    lua_pushstring(t->L, key);
    lua_rawget(t->L, t->index);
    return lua_type(t->L, -1);
}

static void add_secret(const struct table_reader *t, struct secrets *s, int position)
{
    struct slice *secret = &s->at[s->count];
    if (lua_type(t->L, -1) != LUA_TSTRING)
        luaL_error(t->L, "%s: secret[%d] is %s, not a string %s", t->what, position, luaL_typename(t->L, -1),
                   BIND_VERIFY_UNSET);
    secret->at = lua_tolstring(t->L, -1, &secret->len);
    if (slice_equal(*secret,
                    SLICE("handshake"))) /* a word with a meaning: taken for a secret, everybody would know it */
        luaL_error(t->L, "%s: secret = \"handshake\" is not in this version of crescent", t->what);
    if (secret->len > 0)
        s->count++;
    else if (!bind_verify_secrets_optional(t->L))
        luaL_error(t->L, "%s: secret is empty %s", t->what, BIND_VERIFY_UNSET);
}

static void add_secret_list(const struct table_reader *t, struct secrets *s, int list)
{
    size_t length;
    struct error err;
    if (!table_is_list_with_gaps(t->L, list, &length, &err)) /* a gap is a secret that is nil */
        luaL_error(t->L, "%s: secret: %s", t->what, err.text);
    if (length > SCHEME_SECRETS_MAX)
        luaL_error(t->L, "%s: secret must be a string, a list of at most %d, or a function", t->what,
                   SCHEME_SECRETS_MAX);
    if (length == 0 && !bind_verify_secrets_optional(t->L))
        luaL_error(t->L, "%s: secret is an empty list %s", t->what, BIND_VERIFY_UNSET);
    for (size_t i = 1; i <= length; i++) {
        lua_rawgeti(t->L, list, (int)i);
        if (!lua_isnil(t->L, -1) || !bind_verify_secrets_optional(t->L))
            add_secret(t, s, (int)i);
        lua_pop(t->L, 1);
    }
}

/* secret = a string, a list (rotation), or a function. The strings stay anchored in the option table. */
static void read_secrets(const struct table_reader *t, struct secrets *s)
{
    *s = (struct secrets){.count = 0};
    switch (bind_verify_options_push(t, "secret")) {
    case LUA_TNIL:
        if (!bind_verify_secrets_optional(t->L))
            luaL_error(t->L, "%s: secret is nil %s", t->what, BIND_VERIFY_UNSET);
        break;
    case LUA_TSTRING:
        add_secret(t, s, 1);
        break;
    case LUA_TTABLE:
        add_secret_list(t, s, lua_gettop(t->L));
        break;
    case LUA_TFUNCTION:
        s->by_function = true;
        break;
    default:
        luaL_error(t->L, "%s: secret must be a string, a list, or a function, not a %s", t->what,
                   luaL_typename(t->L, -1));
    }
    lua_pop(t->L, 1);
}

/* --- schemes -------------------------------------------------------------------------------------------------------
 */

static struct scheme *build_scheme(const struct scheme_spec *spec, const struct secrets *s, struct error *err)
{
    struct scheme *scheme = scheme_new(spec, err);
    for (size_t i = 0; scheme != NULL && i < s->count; i++)
        if (scheme_keys_add(scheme, scheme_own_keys(scheme), s->at[i], err) < 0) {
            if (s->count > 1)
                error_prefix(err, "secret[%zu]", i + 1);
            else
                error_prefix(err, "secret");
            scheme_free(&scheme);
        }
    return scheme;
}

/* Pushes the verifier of a spec, with the secrets of the options under t. */
static int push_scheme(const struct table_reader *t, const struct scheme_spec *spec, const struct verify_facts *facts)
{
    struct secrets secrets;
    struct verify_function by = {.release = NULL};
    struct error err;
    read_secrets(t, &secrets);
    struct verifier **box = bind_verify_box(t->L);
    if (secrets.by_function) {
        bind_verify_options_push(t, "secret");
        by = bind_verify_ref(t->L);
    }
    struct scheme *scheme = build_scheme(spec, &secrets, &err);
    if (scheme != NULL) {
        *box = verify_new_scheme(&scheme, facts, by);
        return 1;
    }
    if (by.release != NULL)
        by.release(by.owner, by.ref);
    return luaL_error(t->L, "%s: %s", t->what, err.text);
}

static void read_algorithm(struct table_reader *t, struct scheme_spec *spec)
{
    struct slice name;
    spec->algorithm = DIGEST_SHA256;
    if (table_string(t, "algorithm", &name) && !digest_named(name, &spec->algorithm))
        table_fault(t, "algorithm", "'%.*s' is not one of sha256, sha1, sha384, sha512, md5", SLICE_ARG(name));
}

static void read_encoding(struct table_reader *t, struct scheme_spec *spec)
{
    struct slice name;
    spec->encoding = SCHEME_HEX;
    if (table_string(t, "encoding", &name) && !scheme_encoding_named(name, &spec->encoding))
        table_fault(t, "encoding", "'%.*s' is not one of hex, base64, base64url", SLICE_ARG(name));
}

static void read_tolerance(struct table_reader *t, struct scheme_spec *spec)
{
    dur_t tolerance;
    if (!table_duration(t, "tolerance", &tolerance))
        return;
    if (spec->timestamp.at.len == 0)
        table_fault(t, "tolerance", "there is no timestamp to hold it against");
    if (tolerance.ns <= 0)
        table_fault(t, "tolerance", "must be above zero");
    if (spec->timestamp.past.ns > 0)
        spec->timestamp.past = tolerance;
    if (spec->timestamp.future.ns > 0)
        spec->timestamp.future = tolerance;
}

/* verify.hmac { ... } */
static int make_hmac(lua_State *L)
{
    static const char *const known[] = {"secret",  "header",    "algorithm", "encoding", "prefix",
                                        "payload", "timestamp", "tolerance", NULL};
    struct scheme_spec spec = {.name = "hmac", .payload = SLICE("{body}"), .header_count = 1};
    struct table_reader t;
    table_begin(&t, L, 1, "verify.hmac", known, false);
    if (!table_string(&t, "header", &spec.headers[0]))
        table_fault(&t, "header", "which header carries the signature?");
    read_algorithm(&t, &spec);
    read_encoding(&t, &spec);
    table_string(&t, "prefix", &spec.prefix);
    table_string(&t, "payload", &spec.payload);
    if (table_string(&t, "timestamp", &spec.timestamp.at)) {
        spec.timestamp.unit = TIMESTAMP_ANY;
        spec.timestamp.past = spec.timestamp.future = DUR_S(300);
    }
    read_tolerance(&t, &spec);
    return push_scheme(&t, &spec, &(struct verify_facts){.event_type = NULL});
}

/* --- a provider's data ---------------------------------------------------------------------------------------------
 */

/* Begins the table under `key` of t and leaves it on the stack; false when there is none. */
static bool begin_part(const struct table_reader *t, const char *key, const char *const *known,
                       struct table_reader *part)
{
    if (bind_verify_options_push(t, key) == LUA_TNIL)
        return false;
    table_begin(part, t->L, lua_gettop(t->L), t->what, known, false);
    return true;
}

static char read_separator(struct table_reader *t, const char *key)
{
    struct slice text;
    if (!table_string(t, key, &text))
        return 0;
    if (text.len != 1 || !ascii_is_one_of(text.at[0], " ,;"))
        table_fault(t, key, "must be one of \" \", \",\", \";\"");
    return text.at[0];
}

static void read_headers(struct table_reader *t, struct scheme_spec *spec)
{
    if (bind_verify_options_push(t, "header") == LUA_TTABLE) {
        int list = lua_gettop(t->L);
        table_plain(t, "header", list);
        for (int i = 1; i <= SCHEME_HEADERS_MAX; i++) {
            lua_rawgeti(t->L, list, i);
            struct slice *name = &spec->headers[spec->header_count];
            if (lua_type(t->L, -1) == LUA_TSTRING) {
                name->at = lua_tolstring(t->L, -1, &name->len);
                spec->header_count++;
            }
            lua_pop(t->L, 1);
        }
        if (spec->header_count != lua_objlen(t->L, list))
            table_fault(t, "header", "must be a list of at most %d names", SCHEME_HEADERS_MAX);
    } else {
        spec->header_count = table_string(t, "header", &spec->headers[0]);
    }
    lua_pop(t->L, 1);
}

static void read_signature(struct table_reader *t, struct scheme_spec *spec)
{
    static const char *const known[] = {"header", "prefix", "encoding", "list", "pairs", "field", NULL};
    struct table_reader part;
    if (!begin_part(t, "signature", known, &part))
        table_fault(t, "signature", "is missing");
    read_headers(&part, spec);
    table_string(&part, "prefix", &spec->prefix);
    table_string(&part, "field", &spec->field);
    spec->list = read_separator(&part, "list");
    spec->pairs = read_separator(&part, "pairs");
    read_encoding(&part, spec);
}

static enum scheme_key_form read_form(struct table_reader *t, const char *key, enum scheme_key_form otherwise)
{
    struct slice name;
    enum scheme_key_form form = otherwise;
    if (table_string(t, key, &name) && !scheme_key_form_named(name, &form))
        table_fault(t, key, "'%.*s' is not one of utf8, base64, hex", SLICE_ARG(name));
    return form;
}

static void read_key(struct table_reader *t, struct scheme_spec *spec)
{
    static const char *const known[] = {"form", "prefix", "bare", NULL};
    struct table_reader part;
    if (!begin_part(t, "key", known, &part))
        return;
    spec->key.form = read_form(&part, "form", SCHEME_KEY_UTF8);
    spec->key.bare = read_form(&part, "bare", spec->key.form);
    table_string(&part, "prefix", &spec->key.prefix);
}

static void read_timestamp(struct table_reader *t, struct scheme_spec *spec)
{
    static const char *const known[] = {"at", "unit", "past", "future", NULL};
    struct table_reader part;
    struct slice unit;
    if (!begin_part(t, "timestamp", known, &part))
        return;
    if (!table_string(&part, "at", &spec->timestamp.at) || !table_string(&part, "unit", &unit) ||
        !timestamp_unit_named(unit, &spec->timestamp.unit))
        table_fault(t, "timestamp", "needs at, and a unit: s, ms, rfc3339, any");
    table_duration(&part, "past", &spec->timestamp.past);
    table_duration(&part, "future", &spec->timestamp.future);
}

/* A place of the event type or delivery id, as a C string that the data anchors; NULL: not known. */
static const char *read_place(struct table_reader *t, const char *key)
{
    struct slice place;
    struct error err;
    if (!table_string(t, key, &place))
        return NULL;
    if (event_type_check(place.at, &err) < 0)
        table_fault(t, key, "%s", err.text);
    return place.at;
}

static void read_provider(struct table_reader *t, struct scheme_spec *spec, struct verify_facts *facts)
{
    long long ack = 0;
    read_algorithm(t, spec);
    read_signature(t, spec);
    read_key(t, spec);
    read_timestamp(t, spec);
    spec->payload = SLICE("{body}");
    table_string(t, "payload", &spec->payload);
    facts->event_type = read_place(t, "event_type");
    facts->delivery = read_place(t, "delivery");
    table_integer(t, "ack", 200, 299, &ack);
    facts->ack_status = (int)ack;
    table_size(t, "max_body", &facts->max_body);
}

/* verify.PROVIDER { ... }: upvalue 1 "verify.PROVIDER", 2 its name, 3 its data. */
static int make_provider(lua_State *L)
{
    static const char *const known[] = {"secret", "tolerance", NULL};
    static const char *const words[] = {"algorithm", "signature",  "payload", "key",      "timestamp",
                                        "delivery",  "event_type", "ack",     "max_body", NULL};
    struct scheme_spec spec = {.name = lua_tostring(L, lua_upvalueindex(2))};
    struct verify_facts facts = {.event_type = NULL};
    struct table_reader options, data;
    table_begin(&options, L, 1, lua_tostring(L, lua_upvalueindex(1)), known, false);
    lua_pushvalue(L, lua_upvalueindex(3));
    table_begin(&data, L, lua_gettop(L), lua_tostring(L, lua_upvalueindex(1)), words, false);
    read_provider(&data, &spec, &facts);
    read_tolerance(&options, &spec);
    return push_scheme(&options, &spec, &facts);
}

static const luaL_Reg functions[] = {{"hmac", make_hmac}, {NULL, NULL}};

void bind_verify_options_open(lua_State *L)
{
    int verify = lua_gettop(L);
    luaL_setfuncs(L, functions, 0);
    script_embedded_load(L, "providers");
    int providers = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, providers); lua_pop(L, 1)) {
        const char *name = lua_tostring(L, -2);
        lua_pushfstring(L, "verify.%s", name);
        lua_pushvalue(L, -3);
        lua_pushvalue(L, -3);
        lua_pushcclosure(L, make_provider, 3);
        lua_setfield(L, verify, name);
    }
    lua_settop(L, verify);
}
