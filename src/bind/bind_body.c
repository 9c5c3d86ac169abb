/*
 * bind_body.c: req:json, pick, form, data. See bind_body.h.
 */
#include "bind/bind_body.h"
#include "base/panic.h"
#include "bind/bind_arguments.h"
#include "bind/bind_content.h"
#include "bind/bind_json.h"
#include "bind/bind_limits.h"
#include "bind/bind_part.h"
#include "codec/form.h"
#include "script/error.h"
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

/* What a state parsed last, and of which request: memory here survives a raise, so nothing leaks. */
struct bodies {
    struct state *state;
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

static struct bodies *bodies_of(struct state *s)
{
    struct bodies *b = state_pointer(s, &bodies_key);
    if (b == NULL) {
        b = need_zero(1, sizeof(*b));
        b->state = s;
        b->reader = json_reader_new();
        json_reader_bound(b->reader, (unsigned)bind_limits_of(s)->json_depth);
        state_set_pointer(s, &bodies_key, b, bodies_free);
    }
    return b;
}

void bind_body_forget(struct state *s, const struct uuid *id)
{
    struct bodies *b = state_pointer(s, &bodies_key);
    bind_part_forget(s, id);
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

/* --- forms --- */

static size_t most_fields(const struct bodies *b)
{
    return bind_limits_of(b->state)->form_fields;
}

static void count_fields(const struct bodies *b, const struct form_fault *fault)
{
    if (fault->many)
        bind_limits_passed(b->state, COUNTER_content_form_fields);
}

/* Parses the unpacked body into b->form, unless it is there already. */
static int read_form(struct bodies *b, const struct bind_req *r, struct form_fault *fault_out)
{
    const struct http_request *http = r->http;
    if (b->form_there && memcmp(&b->form_of, &http->id, sizeof(http->id)) == 0)
        return 0;
    b->form_there = false;
    form_free(&b->form);
    if (form_parse(content_bytes(&r->content, http), most_fields(b), &b->form, fault_out) != 0) {
        count_fields(b, fault_out);
        return -1;
    }
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
    struct bodies *b = bodies_of(state_of(L));
    struct form_fault fault;
    form_free(&b->scratch);
    if (form_parse(text, most_fields(b), &b->scratch, &fault) != 0) {
        count_fields(b, &fault);
        script_error_problem(L, 400, "the %s is malformed at byte %zu: %s", what, fault.offset + 1, fault.what);
    }
    push_firsts(L, &b->scratch);
    if (lists)
        push_lists(L, &b->scratch);
}

void bind_body_push_cookies(lua_State *L, struct slice header)
{
    struct bodies *b = bodies_of(state_of(L));
    struct form_fault fault;
    form_free(&b->scratch);
    if (form_parse_cookies(header, most_fields(b), &b->scratch, &fault) != 0) {
        count_fields(b, &fault);
        script_error_problem(L, 400, "the cookie header is malformed at byte %zu: %s", fault.offset + 1, fault.what);
    }
    push_firsts(L, &b->scratch);
}

int bind_body_form(lua_State *L)
{
    bind_arguments(L, 1, 0, "req:form");
    struct bind_req *r = bind_req_check(L, 1);
    struct slice type = bind_content_type(L, r->http);
    struct bodies *b = bodies_of(state_of(L));
    struct form_fault fault;
    const struct form_pairs *pairs = &b->form;
    if (bind_part_is_type(type)) {
        pairs = bind_part_fields(L);
    } else if (!bind_content_is_form(type)) {
        return script_error_problem(L, 415,
                                    "expected a form of type application/x-www-form-urlencoded or multipart/form-data");
    } else {
        bind_content_bytes(L, r);
        if (read_form(b, r, &fault) != 0)
            return script_error_problem(L, 400, "the form is malformed at byte %zu: %s", fault.offset + 1, fault.what);
    }
    push_firsts(L, pairs);
    push_lists(L, pairs);
    return 2;
}

/* --- JSON --- */

/*
 * The JSON text of a request: the body, whatever its type says (curl -d sends JSON as a form); but where a provider
 * sends JSON inside a form (GitHub, Slack), the field named payload.
 */
static struct slice json_text(struct bodies *b, const struct bind_req *r)
{
    struct form_fault fault;
    struct slice body = content_bytes(&r->content, r->http);
    if (!bind_content_is_form(http_request_header(r->http, SLICE("content-type"))) || read_form(b, r, &fault) != 0)
        return body;
    struct slice payload = form_first(&b->form, SLICE("payload"));
    return payload.at != NULL ? payload : body;
}

const struct json_reader *bind_body_reader(struct state *s, struct bind_req *r, struct bind_body_fault *fault_out)
{
    struct bodies *b = bodies_of(s);
    struct json_fault fault;
    if (b->json_there && memcmp(&b->json_of, &r->http->id, sizeof(b->json_of)) == 0)
        return b->reader;
    if (bind_content_read(s, r) != 0) {
        fault_out->status = r->content.status;
        snprintf(fault_out->words, sizeof(fault_out->words), "%s", r->content.words);
        return NULL;
    }
    b->json_there = false;
    if (json_parse(b->reader, json_text(b, r), &fault) != 0) {
        json_reader_trim(b->reader);
        if (fault.deep)
            bind_limits_passed(s, COUNTER_content_json_depth);
        fault_out->status = 400;
        snprintf(fault_out->words, sizeof(fault_out->words), "the body is not valid JSON: line %zu, column %zu: %s",
                 fault.line, fault.column, fault.what);
        return NULL;
    }
    b->json_there = true;
    b->json_of = r->http->id;
    return b->reader;
}

static const struct json_reader *json_of(lua_State *L, struct bind_req *r)
{
    struct bind_body_fault fault;
    const struct json_reader *reader = bind_body_reader(state_of(L), r, &fault);
    if (reader == NULL)
        script_error_problem(L, fault.status, "%s", fault.words);
    return reader;
}

int bind_body_json(lua_State *L)
{
    bind_arguments(L, 1, 0, "req:json");
    struct json_walk walk;
    json_walk_root(json_of(L, bind_req_check(L, 1)), &walk);
    bind_json_push_walk(L, &walk, false);
    return 1;
}

int bind_body_pick(lua_State *L)
{
    struct bind_req *r = bind_req_check(L, 1);
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
    const struct json_reader *reader = json_of(L, r);
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
    bind_arguments(L, 1, 0, "req:data");
    struct bind_req *r = bind_req_check(L, 1);
    struct slice type = bind_content_type(L, r->http);
    if (bind_content_is_json(type))
        return bind_body_json(L);
    if (bind_content_is_form(type))
        return bind_body_form(L);
    if (bind_part_is_type(type)) {
        bind_body_form(L);
        lua_pushcfunction(L, bind_part_files);
        lua_pushvalue(L, 1);
        lua_call(L, 1, 1);
        return 3;
    }
    struct slice body = bind_content_bytes(L, r);
    lua_pushlstring(L, body.at, body.len);
    return 1;
}
