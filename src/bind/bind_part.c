/*
 * bind_part.c: see bind_part.h. A part's userdata holds its texts and where its data is; its environment table holds
 * the req, so that the two go together. The body may move while a script waits: its place is asked for each time.
 */
#include "bind/bind_part.h"
#include "base/panic.h"
#include "bind/bind_arguments.h"
#include "bind/bind_content.h"
#include "bind/bind_limits.h"
#include "bind/bind_save.h"
#include "codec/multipart.h"
#include "script/error.h"
#include <lauxlib.h>
#include <stdlib.h>

/* What a state parsed last, and of which request: memory here survives a raise, so nothing leaks. */
struct parts {
    struct uuid of;
    bool there;
    struct multipart parsed;
    struct form_pairs fields; /* its `at` only; bytes stay NULL */
};

struct part { /* the userdata; the texts' bytes follow */
    void *req;
    size_t offset, size;
    struct slice name, filename_raw, filename, type;
    char texts[];
};

/* Registry keys: their addresses. */
static const char parts_key, part_meta;

static void parts_clear(struct parts *p)
{
    multipart_free(&p->parsed);
    form_free(&p->fields);
    p->there = false;
}

static void parts_free(void *pointer)
{
    parts_clear(pointer);
    free(pointer);
}

static struct parts *parts_of(lua_State *L)
{
    struct state *s = state_of(L);
    struct parts *p = state_pointer(s, &parts_key);
    if (p == NULL) {
        p = need_zero(1, sizeof(*p));
        state_set_pointer(s, &parts_key, p, parts_free);
    }
    return p;
}

void bind_part_forget(struct state *s, const struct uuid *id)
{
    struct parts *p = state_pointer(s, &parts_key);
    if (p != NULL && p->there && memcmp(&p->of, id, sizeof(*id)) == 0)
        parts_clear(p);
}

/* --- parsing --- */

bool bind_part_is_type(struct slice content_type)
{
    return multipart_is_type(content_type, SLICE("multipart/form-data"));
}

/* The parts of the body of the req at 1, parsed unless they are there already. */
static struct parts *read_parts(lua_State *L)
{
    struct bind_req *r = bind_req_check(L, 1);
    struct parts *p = parts_of(L);
    if (p->there && memcmp(&p->of, &r->http->id, sizeof(p->of)) == 0)
        return p;
    struct slice type = bind_content_type(L, r->http), boundary;
    char room[MULTIPART_BOUNDARY];
    const char *why;
    struct multipart_fault fault;
    if (!bind_part_is_type(type))
        script_error_problem(L, 415, "expected a form of type multipart/form-data");
    if (multipart_boundary(type, room, &boundary, &why) != 0)
        script_error_problem(L, 400, "the multipart form is malformed: %s", why);
    struct slice body = bind_content_bytes(L, r);
    parts_clear(p);
    if (multipart_parse(body, boundary, bind_limits_of(state_of(L))->parts, &p->parsed, &fault) != 0) {
        if (fault.many)
            bind_limits_passed(state_of(L), COUNTER_content_parts);
        script_error_problem(L, 400, "the multipart form is malformed in part %zu, at byte %zu: %s", fault.part,
                             fault.offset + 1, fault.what);
    }
    p->there = true;
    p->of = r->http->id;
    return p;
}

/* What browsers send for a file input in which nothing was chosen is no file. */
static bool is_file(const struct multipart_part *part)
{
    return part->filename_raw.len > 0 || (part->filename_raw.at != NULL && part->size > 0);
}

const struct form_pairs *bind_part_fields(lua_State *L)
{
    struct parts *p = read_parts(L);
    struct slice body = bind_content_bytes(L, bind_req_check(L, 1));
    if (p->fields.at == NULL)
        p->fields.at = need_alloc((p->parsed.count + 1) * sizeof(*p->fields.at));
    p->fields.count = 0; /* again each time: the body may have moved */
    for (size_t i = 0; i < p->parsed.count; i++) {
        const struct multipart_part *part = &p->parsed.at[i];
        if (part->filename_raw.at == NULL)
            p->fields.at[p->fields.count++] = (struct form_pair){part->name, {body.at + part->offset, part->size}};
    }
    return &p->fields;
}

/* --- objects --- */

static struct slice keep(char **to, struct slice s)
{
    if (s.at == NULL)
        return s;
    struct slice kept = {*to, s.len};
    memcpy(*to, s.at, s.len);
    *to += s.len;
    return kept;
}

/* The req is at 1, the parts' type at 2. */
static void push_part(lua_State *L, const struct multipart_part *from)
{
    size_t texts = from->name.len + from->filename_raw.len + from->filename.len + from->type.len;
    struct part *part = lua_newuserdata(L, sizeof(*part) + texts);
    char *to = part->texts;
    part->req = lua_touserdata(L, 1);
    part->offset = from->offset;
    part->size = from->size;
    part->name = keep(&to, from->name);
    part->filename_raw = keep(&to, from->filename_raw);
    part->filename = keep(&to, from->filename);
    part->type = keep(&to, from->type);
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, -2);
    lua_pushvalue(L, 2);
    lua_setmetatable(L, -2);
}

int bind_part_files(lua_State *L)
{
    bind_arguments(L, 1, 0, "req:files");
    struct parts *p = read_parts(L);
    int count = 0;
    lua_settop(L, 1);
    lua_pushlightuserdata(L, (void *)&part_meta);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_createtable(L, 0, 0);
    for (size_t i = 0; i < p->parsed.count; i++)
        if (is_file(&p->parsed.at[i])) {
            push_part(L, &p->parsed.at[i]);
            lua_rawseti(L, 3, ++count);
        }
    return 1;
}

/* Argument 1 as a part, or a Lua error; its request lives. */
static struct part *check_part(lua_State *L)
{
    struct part *part = lua_touserdata(L, 1);
    bool ours = false;
    if (part != NULL && lua_getmetatable(L, 1)) {
        lua_pushlightuserdata(L, (void *)&part_meta);
        lua_rawget(L, LUA_REGISTRYINDEX);
        ours = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    if (!ours)
        luaL_argerror(L, 1, "expected a part of a form (call its methods as part:name())");
    if (bind_req_of(part->req) == NULL)
        script_error_words(L, "the request has ended: its parts cannot be used after handle has returned");
    return part;
}

/* The bytes of a part that check_part has passed, now; false: its request has ended. */
static bool part_bytes(void *object, struct slice *bytes_out)
{
    const struct part *part = object;
    struct slice body;
    if (!bind_req_bytes(part->req, &body))
        return false;
    CHECK(part->offset + part->size <= body.len);
    *bytes_out = (struct slice){body.at + part->offset, part->size};
    return true;
}

/* part:save(path [, { overwrite, mkdir }]) → path; or nil and why */
static int save(lua_State *L)
{
    check_part(L);
    return bind_save(L, "part:save", part_bytes);
}

static const char *const names[] = {"name", "filename", "filename_raw", "type", "size", "data", "save"};
enum { NAME, FILENAME, FILENAME_RAW, TYPE, SIZE, DATA, SAVE, NAMES };

static int push_text(lua_State *L, struct slice s)
{
    if (s.at != NULL)
        lua_pushlstring(L, s.at, s.len);
    else
        lua_pushnil(L);
    return 1;
}

static int push_field(lua_State *L, struct part *part, int which)
{
    struct slice bytes;
    switch (which) {
    case NAME:
        return push_text(L, part->name);
    case FILENAME:
        return push_text(L, part->filename);
    case FILENAME_RAW:
        return push_text(L, part->filename_raw);
    case TYPE:
        return push_text(L, part->type);
    case SIZE:
        lua_pushnumber(L, (double)part->size);
        return 1;
    case DATA:
        CHECK(part_bytes(part, &bytes));
        return push_text(L, bytes);
    default:
        lua_pushcfunction(L, save);
        return 1;
    }
}

static int part_index(lua_State *L)
{
    struct part *part = check_part(L);
    struct slice name;
    name.at = luaL_checklstring(L, 2, &name.len);
    for (int i = 0; i < NAMES; i++)
        if (slice_equal(name, slice_of(names[i])))
            return push_field(L, part, i);
    const char *nearest = slice_nearest(name, names, NAMES);
    return nearest != NULL ? luaL_error(L, "a part has no field '%s'; did you mean '%s'?", name.at, nearest)
                           : luaL_error(L, "a part has no field '%s'", name.at);
}

static int part_newindex(lua_State *L)
{
    return luaL_error(L, "a part is read-only: keep '%s' in a local variable",
                      lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "it");
}

static int part_tostring(lua_State *L)
{
    struct part *part = check_part(L);
    lua_pushliteral(L, "part ");
    push_text(L, part->name);
    lua_concat(L, 2);
    return 1;
}

void bind_part_register(lua_State *L)
{
    static const luaL_Reg meta[] = {
        {"__index", part_index}, {"__newindex", part_newindex}, {"__tostring", part_tostring}, {NULL, NULL}};
    lua_pushlightuserdata(L, (void *)&part_meta);
    lua_createtable(L, 0, 4);
    luaL_setfuncs(L, meta, 0);
    lua_pushliteral(L, "part");
    lua_setfield(L, -2, "__metatable");
    lua_rawset(L, LUA_REGISTRYINDEX);
}
