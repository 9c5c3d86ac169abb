/*
 * bind_body.c: req:json, pick, form, data. See bind_body.h.
 */
#include "bind/bind_body.h"
#include "base/panic.h"
#include "bind/bind_json.h"
#include "codec/form.h"
#include "script/error.h"
#include <lauxlib.h>
#include <stdlib.h>

/* What a state parsed last, and of which request: memory here survives a raise, so nothing leaks. */
struct bodies {
    struct json_reader *reader;
    struct uuid json_of, form_of;
    bool json_there, form_there;
    struct form_pairs form;    /* of form_of's body */
    struct form_pairs scratch; /* of the query or cookie being pushed */
};

static const char bodies_key;

static void bodies_free(void *pointer)
{
    struct bodies *b = pointer;
    json_reader_free(&b->reader);
    form_free(&b->form);
    form_free(&b->scratch);
    free(b);
}

static struct bodies *bodies_of(lua_State *L)
{
    struct state *s = state_of(L);
    struct bodies *b = state_pointer(s, &bodies_key);
    if (b == NULL) {
        b = need_zero(1, sizeof(*b));
        b->reader = json_reader_new();
        state_set_pointer(s, &bodies_key, b, bodies_free);
    }
    return b;
}

void bind_body_forget(lua_State *L, const struct uuid *id)
{
    struct bodies *b = state_pointer(state_of(L), &bodies_key);
    if (b == NULL)
        return;
    if (b->json_there && memcmp(&b->json_of, id, sizeof(*id)) == 0) {
        b->json_there = false;
        json_reader_trim(b->reader);
    }
    if (b->form_there && memcmp(&b->form_of, id, sizeof(*id)) == 0) {
        b->form_there = false;
        form_free(&b->form);
    }
}

/* --- content types --- */

static bool is_form(const struct http_request *http)
{
    struct slice type = http_request_header(http, SLICE("content-type")), media;
    return slice_cut(&type, ';', &media) &&
           slice_equal_nocase(slice_trim(media), SLICE("application/x-www-form-urlencoded"));
}

/* application/json, text/json and the +json suffix (RFC 6839 3.1). */
static bool is_json(const struct http_request *http)
{
    struct slice type = http_request_header(http, SLICE("content-type")), media;
    if (!slice_cut(&type, ';', &media))
        return false;
    media = slice_trim(media);
    if (media.len > 5 && slice_equal_nocase(slice_from(media, media.len - 5), SLICE("+json")))
        return true;
    return slice_equal_nocase(media, SLICE("application/json")) || slice_equal_nocase(media, SLICE("text/json"));
}

/* --- forms --- */

/* Parses the body into b->form, unless it is there already. */
static int read_form(struct bodies *b, const struct http_request *http, struct form_fault *fault_out)
{
    if (b->form_there && memcmp(&b->form_of, &http->id, sizeof(http->id)) == 0)
        return 0;
    b->form_there = false;
    form_free(&b->form);
    if (form_parse(http->body, &b->form, fault_out) != 0)
        return -1;
    b->form_there = true;
    b->form_of = http->id;
    return 0;
}

/* Pushes name → first value; of repeated names the later ones are in the lists. */
static void push_firsts(lua_State *L, const struct form_pairs *pairs)
{
    lua_createtable(L, 0, (int)pairs->count);
    for (size_t i = pairs->count; i-- > 0;) { /* backwards: the first is written last */
        lua_pushlstring(L, pairs->at[i].name.at, pairs->at[i].name.len);
        lua_pushlstring(L, pairs->at[i].value.at, pairs->at[i].value.len);
        lua_rawset(L, -3);
    }
}

static void push_lists(lua_State *L, const struct form_pairs *pairs)
{
    lua_createtable(L, 0, (int)pairs->count);
    for (size_t i = 0; i < pairs->count; i++) {
        lua_pushlstring(L, pairs->at[i].name.at, pairs->at[i].name.len);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            lua_createtable(L, 1, 0);
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, -5);
        }
        lua_pushlstring(L, pairs->at[i].value.at, pairs->at[i].value.len);
        lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
        lua_pop(L, 2);
    }
}

void bind_body_push_pairs(lua_State *L, struct slice text, const char *what, bool lists)
{
    struct bodies *b = bodies_of(L);
    struct form_fault fault;
    form_free(&b->scratch);
    if (form_parse(text, &b->scratch, &fault) != 0)
        script_error_problem(L, 400, "the %s is malformed at byte %zu: %s", what, fault.offset + 1, fault.what);
    push_firsts(L, &b->scratch);
    if (lists)
        push_lists(L, &b->scratch);
}

void bind_body_push_cookies(lua_State *L, struct slice header)
{
    struct bodies *b = bodies_of(L);
    struct form_fault fault;
    form_free(&b->scratch);
    if (form_parse_cookies(header, &b->scratch, &fault) != 0)
        script_error_problem(L, 400, "the cookie header is malformed at byte %zu: %s", fault.offset + 1, fault.what);
    push_firsts(L, &b->scratch);
}

int bind_body_form(lua_State *L)
{
    const struct http_request *http = bind_req_check(L, 1)->http;
    if (!is_form(http))
        return script_error_problem(L, 415, "expected a form of type application/x-www-form-urlencoded");
    struct bodies *b = bodies_of(L);
    struct form_fault fault;
    if (read_form(b, http, &fault) != 0)
        return script_error_problem(L, 400, "the form is malformed at byte %zu: %s", fault.offset + 1, fault.what);
    push_firsts(L, &b->form);
    push_lists(L, &b->form);
    return 2;
}

/* --- JSON --- */

/*
 * The JSON text of a request: the body, whatever its type says (curl -d sends JSON as a form); but where a provider
 * sends JSON inside a form (GitHub, Slack), the field named payload.
 */
static struct slice json_text(lua_State *L, const struct http_request *http)
{
    struct form_fault fault;
    if (!is_form(http) || read_form(bodies_of(L), http, &fault) != 0)
        return http->body;
    struct slice payload = form_first(&bodies_of(L)->form, SLICE("payload"));
    return payload.at != NULL ? payload : http->body;
}

static const struct json_reader *json_of(lua_State *L, const struct http_request *http)
{
    struct bodies *b = bodies_of(L);
    struct json_fault fault;
    if (b->json_there && memcmp(&b->json_of, &http->id, sizeof(http->id)) == 0)
        return b->reader;
    b->json_there = false;
    if (json_parse(b->reader, json_text(L, http), &fault) != 0) {
        json_reader_trim(b->reader);
        script_error_problem(L, 400, "the body is not valid JSON: line %zu, column %zu: %s", fault.line, fault.column,
                             fault.what);
    }
    b->json_there = true;
    b->json_of = http->id;
    return b->reader;
}

int bind_body_json(lua_State *L)
{
    struct json_walk walk;
    json_walk_root(json_of(L, bind_req_check(L, 1)->http), &walk);
    bind_json_push_walk(L, &walk, false);
    return 1;
}

int bind_body_pick(lua_State *L)
{
    const struct http_request *http = bind_req_check(L, 1)->http;
    int count = lua_gettop(L) - 1;
    luaL_argcheck(L, count > 0, 2, "expected a JSON pointer such as \"/a/b\"");
    luaL_checkstack(L, count + 8, "too many pointers");
    for (int i = 2; i <= count + 1; i++) {
        struct slice pointer;
        pointer.at = luaL_checklstring(L, i, &pointer.len);
        const char *wrong = pointer_check(pointer);
        if (wrong != NULL)
            return luaL_argerror(L, i, wrong);
    }
    const struct json_reader *reader = json_of(L, http);
    for (int i = 2; i <= count + 1; i++) {
        struct json_walk walk;
        struct slice pointer;
        pointer.at = lua_tolstring(L, i, &pointer.len);
        if (json_walk_at(reader, pointer, &walk))
            bind_json_push_walk(L, &walk, true);
        else
            lua_pushnil(L);
    }
    return count;
}

int bind_body_data(lua_State *L)
{
    const struct http_request *http = bind_req_check(L, 1)->http;
    if (is_json(http))
        return bind_body_json(L);
    if (is_form(http))
        return bind_body_form(L);
    lua_pushlstring(L, http->body.at, http->body.len);
    return 1;
}
