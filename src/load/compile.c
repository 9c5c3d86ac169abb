/*
 * compile.c: one script of a snapshot → an endpoint in a Lua state; see load.h. A module is loaded once for all scripts
 * that want the same version of it, and unloaded with the last of them. A script counts every module it used, direct or
 * not, so a module outlives whatever requires it.
 * Owns: modules by version, per script its environment. Runs in: the state's thread. Fails: per script.
 */
#include "base/map.h"
#include "base/panic.h"
#include "bind/bind_verify.h"
#include "load/declare.h"
#include "load/env_tables.h"
#include "load/load.h"
#include "script/interrupt.h"
#include "script/sandbox.h"
#include "script/stretch.h"
#include <lauxlib.h>
#include <stdlib.h>

struct module {
    uint64_t key;
    unsigned holds; /* scripts that used it, and the one that loads it now */
    bool loading;
    struct sandbox_chunk chunk;
    struct module **requires; /* direct ones; alive because every holder of this holds them too */
    size_t require_count;
    char *name;
};

/* A module that the last script used, under its index of that snapshot. */
struct use {
    uint32_t index;
    struct module *module; /* NULL: it did not load */
};

struct load {
    struct state *state;
    const struct config *config;
    unsigned holds; /* its owner, and each script */
    char *prefix;   /* "hooks": how the folder is called in messages */
    struct map *modules;
    struct env_tables envs;
    struct use *uses;
    uint32_t *used; /* the same indices, for load_modules_used */
    size_t use_count;
    uint32_t *requires; /* load_module_requires' answer */
};

/* The script's part of its endpoint. */
struct script {
    struct load *load;
    struct sandbox_chunk chunk;
    struct module **modules;
    size_t module_count;
};

/* One text being loaded: what sandbox_load is given. */
struct loading {
    struct sandbox_modules modules; /* first: sandbox.h gives its address back */
    struct load *load;
    const struct snapshot *snap;
    const struct snapshot_script *script;
    const struct snapshot_module *from; /* NULL: the script itself */
    struct module *module;              /* likewise */
    int env;
};

static void allow_no_secrets(lua_State *L, void *cookie)
{
    bind_verify_no_secrets(L, true);
}

struct load *load_new(struct state *s, const struct config *config, bool no_secrets)
{
    struct load *l = need_zero(1, sizeof *l);
    l->state = s;
    l->config = config;
    l->holds = 1;
    const char *slash = config->hooks != NULL ? strrchr(config->hooks, '/') : NULL;
    const char *base = slash != NULL ? slash + 1 : config->hooks;
    l->prefix = need_strdup(base != NULL && base[0] != '\0' ? base : "hooks");
    l->modules = map_new();
    env_tables_init(&l->envs, s);
    if (no_secrets && state_protected(s, allow_no_secrets, NULL, NULL) != 0)
        PANIC("no memory in a new Lua state");
    return l;
}

static void load_drop(struct load *l)
{
    if (--l->holds > 0)
        return;
    CHECK(map_count(l->modules) == 0);
    map_free(&l->modules);
    free(l->prefix);
    free(l->uses);
    free(l->used);
    free(l->requires);
    free(l);
}

void load_free(struct load **l)
{
    struct load *was = *l;
    *l = NULL;
    if (was == NULL)
        return;
    env_tables_clear(&was->envs);
    load_drop(was);
}

static void push_env(struct sandbox_modules *m, lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, ((struct loading *)m)->env);
}

/* --- modules --- */

static uint64_t module_key(const struct snapshot *snap, uint32_t index)
{
    /* A version is never 0; a candidate that gives none shares by place. */
    uint64_t version = snap->modules[index].version;
    return version != 0 ? version : UINT64_MAX - index;
}

static struct slice key_slice(const uint64_t *key)
{
    return (struct slice){(const char *)key, sizeof *key};
}

static void module_drop(struct load *l, struct module *m)
{
    if (--m->holds > 0)
        return;
    map_remove(l->modules, key_slice(&m->key));
    sandbox_unload(l->state, &m->chunk);
    free(m->requires);
    free(m->name);
    free(m);
}

static bool is_module(const struct snapshot *snap, uint32_t index, struct slice name)
{
    return slice_equal(snap->modules[index].name, name);
}

/* Which module of the snapshot a name means here: what it meant when this text was tried; else the newest of the name.
 */
static uint32_t resolve(const struct loading *at, struct slice name)
{
    const struct snapshot *snap = at->snap;
    uint32_t found = UINT32_MAX;
    for (size_t i = 0; at->from != NULL && i < at->from->require_count; i++)
        if (is_module(snap, at->from->requires[i], name))
            return at->from->requires[i];
    for (size_t i = 0; i < at->script->module_count; i++)
        if (is_module(snap, at->script->modules[i], name))
            return at->script->modules[i];
    for (uint32_t i = 0; i < snap->module_count; i++)
        if (is_module(snap, i, name) &&
            (found == UINT32_MAX || snap->modules[i].version > snap->modules[found].version))
            found = i;
    return found;
}

/* The entry of the module among those that the script being loaded uses; made, without module, if need be. */
static struct use *use_of(struct load *l, uint32_t index)
{
    for (size_t i = 0; i < l->use_count; i++)
        if (l->uses[i].index == index)
            return &l->uses[i];
    l->uses = need_realloc(l->uses, (l->use_count + 1) * sizeof *l->uses);
    l->used = need_realloc(l->used, (l->use_count + 1) * sizeof *l->used);
    l->used[l->use_count] = index;
    l->uses[l->use_count] = (struct use){index, NULL};
    return &l->uses[l->use_count++];
}

/* Notes that the script being loaded uses it, and all that it requires. */
static void note_use(struct load *l, const struct snapshot *snap, uint32_t index, struct module *m)
{
    struct use *use = use_of(l, index);
    if (use->module != NULL)
        return;
    use->module = m;
    m->holds++;
    for (size_t i = 0; i < m->require_count; i++)
        for (uint32_t k = 0; k < snap->module_count; k++)
            if (module_key(snap, k) == m->requires[i]->key) {
                note_use(l, snap, k, m->requires[i]);
                break;
            }
}

static void note_require(struct module *by, struct module *m)
{
    for (size_t i = 0; i < by->require_count; i++)
        if (by->requires[i] == m)
            return;
    by->requires = need_realloc(by->requires, (by->require_count + 1) * sizeof *by->requires);
    by->requires[by->require_count++] = m;
}

/* Loads module `index` for the text at `at`. Its failure leaves words on L's stack and NULL. */
static struct module *module_load(struct loading *at, lua_State *L, uint32_t index)
{
    struct load *l = at->load;
    const struct snapshot_module *text = &at->snap->modules[index];
    struct error err;
    struct loading next = *at;
    struct module *m = need_zero(1, sizeof *m);
    char *message = NULL;
    m->key = module_key(at->snap, index);
    m->holds = 1;
    m->loading = true;
    m->chunk = (struct sandbox_chunk){LUA_NOREF, LUA_NOREF, 0};
    m->name = slice_dup(text->name);
    map_set(l->modules, key_slice(&m->key), m);
    struct buf chunk = {0};
    buf_addf(&chunk, "%s/%.*s", l->prefix, SLICE_ARG(text->file));
    next.from = text;
    next.module = m;
    next.env = env_tables_get(&l->envs, at->snap, text->env, &err);
    int done = next.env == LUA_NOREF
                   ? -1
                   : sandbox_load(l->state, text->text, buf_text(&chunk), &next.modules, &m->chunk, &message);
    m->loading = false;
    buf_free(&chunk);
    if (done == 0) {
        note_use(l, at->snap, index, m);
        m->holds--; /* the loading's own */
        return m;
    }
    use_of(l, index); /* its failure is the script's: a change of it matters */
    module_drop(l, m);
    lua_pushstring(L, message != NULL ? message : err.text);
    free(message);
    return NULL;
}

/* Pushes the words, with the position of the call of `require`. */
static int refuse(lua_State *L, struct slice name, const char *words, const char *rest)
{
    luaL_where(L, 1);
    lua_pushliteral(L, "module ");
    lua_pushlstring(L, name.at, name.len);
    lua_pushstring(L, words);
    lua_pushstring(L, rest);
    lua_concat(L, 5);
    return -1;
}

static int require(struct sandbox_modules *modules, lua_State *L, struct slice name)
{
    struct loading *at = (struct loading *)modules;
    uint32_t index = resolve(at, name);
    if (index == UINT32_MAX)
        return refuse(L, name, " is not there: no such file under ", at->load->prefix);
    uint64_t key = module_key(at->snap, index);
    struct module *m = map_get(at->load->modules, key_slice(&key));
    if (m != NULL && m->loading)
        return refuse(L, name, " requires itself, by way of ", at->module != NULL ? at->module->name : "");
    if (m != NULL)
        note_use(at->load, at->snap, index, m);
    else
        m = module_load(at, L, index);
    if (m == NULL)
        return -1;
    if (at->module != NULL)
        note_require(at->module, m);
    return m->chunk.result;
}

const uint32_t *load_modules_used(const struct load *l, size_t *count_out)
{
    *count_out = l->use_count;
    return l->used;
}

const uint32_t *load_module_requires(const struct load *l, uint32_t m, size_t *count_out)
{
    struct load *own = (struct load *)l; /* the answer's room is no state that a caller sees */
    *count_out = 0;
    for (size_t i = 0; i < l->use_count; i++) {
        const struct module *module = l->uses[i].module;
        if (l->uses[i].index != m || module == NULL)
            continue;
        own->requires = need_realloc(own->requires, (module->require_count + 1) * sizeof *own->requires);
        for (size_t k = 0; k < module->require_count; k++)
            for (size_t n = 0; n < l->use_count; n++)
                if (l->uses[n].module == module->requires[k])
                    own->requires[(*count_out)++] = l->uses[n].index;
    }
    return l->requires;
}

/* --- scripts --- */

static void script_release(struct endpoint *e)
{
    struct script *s = e->script;
    struct load *l = s->load;
    for (size_t i = 0; i < e->handler_count; i++)
        luaL_unref(state_lua(l->state), LUA_REGISTRYINDEX, e->handlers[i].function);
    sandbox_unload(l->state, &s->chunk);
    for (size_t i = 0; i < s->module_count; i++)
        module_drop(l, s->modules[i]);
    free(s->modules);
    free(s);
    load_drop(l);
}

static struct endpoint *endpoint_of(struct load *l, const struct snapshot_script *script)
{
    struct endpoint *e = endpoint_new();
    struct script *s = need_zero(1, sizeof *s);
    e->name = slice_dup(script->name);
    e->file = slice_dup(script->file);
    e->version = script->version;
    s->load = l;
    s->chunk = (struct sandbox_chunk){LUA_NOREF, LUA_NOREF, 0};
    l->holds++;
    e->script = s;
    e->release = script_release;
    return e;
}

static void read_declaration(lua_State *L, void *cookie)
{
    struct declare *d = cookie;
    struct script *s = d->endpoint->script;
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->chunk.result);
    d->L = L;
    declare_read(d);
}

static void collect(lua_State *L, void *cookie)
{
    lua_gc(L, LUA_GCCOLLECT, 0);
}

/* What sandbox_load said, always with a line; takes the message. */
static void add_message(struct load *l, const char *chunk, char *message, struct buf *errors)
{
    size_t len = strlen(chunk);
    if (strncmp(message, chunk, len) == 0 && strncmp(message + len, ": ", 2) == 0)
        buf_addf(errors, "%s:1: %s\n", chunk, message + len + 2);
    else
        buf_addf(errors, "%s\n", message);
    /* LuaJIT does not collect for an allocation that fails: the next script must not find the state full. */
    if (strstr(message, "not enough memory") != NULL)
        state_protected(l->state, collect, NULL, NULL);
    free(message);
}

/* Runs the text and reads what it returned. */
static bool load_endpoint(struct load *l, const struct snapshot *snap, const struct snapshot_script *script,
                          struct endpoint *e, struct buf *errors)
{
    struct script *s = e->script;
    struct error err;
    char *message = NULL;
    struct buf chunk = {0};
    buf_addf(&chunk, "%s/%s", l->prefix, e->file);
    struct loading at = {
        {require, push_env}, l, snap, script, NULL, NULL, env_tables_get(&l->envs, snap, script->env, &err)};
    bool good = at.env != LUA_NOREF;
    if (!good) {
        buf_addf(errors, "%s:1: %s\n", buf_text(&chunk), err.text);
    } else if (sandbox_load(l->state, script->text, buf_text(&chunk), &at.modules, &s->chunk, &message) != 0) {
        good = false;
        add_message(l, buf_text(&chunk), message, errors);
    } else {
        struct declare d = {.config = l->config, .file = buf_text(&chunk), .text = script->text, .endpoint = e};
        if (state_protected(l->state, read_declaration, &d, &err) != 0)
            declare_note(&d, NULL, "%s", err.text);
        if (s->chunk.count > 1)
            declare_note(&d, NULL, "a script returns one value; this one returned %d", s->chunk.count);
        good = declare_finish(&d, errors);
    }
    buf_free(&chunk);
    return good;
}

/* The script holds the modules it used; the load keeps their indices for who asks. */
static void hand_over_modules(struct load *l, struct script *s)
{
    s->modules = need_zero(l->use_count + 1, sizeof(struct module *));
    for (size_t i = 0; i < l->use_count; i++)
        if (l->uses[i].module != NULL)
            s->modules[s->module_count++] = l->uses[i].module;
}

struct endpoint *load_script(struct load *l, const struct snapshot *snap, size_t script, struct buf *errors_out)
{
    CHECK(script < snap->script_count && snap->scripts[script].text.at != NULL);
    l->use_count = 0;
    struct endpoint *e = endpoint_of(l, &snap->scripts[script]);
    stretch_begin(l->state, e->name, e->version, state_host(l->state)->max_run, true);
    bool good = load_endpoint(l, snap, &snap->scripts[script], e, errors_out);
    if (stretch_end(l->state) && good) { /* a pcall has caught it */
        buf_addf(errors_out, "%s\n", interrupt_words());
        good = false;
    }
    hand_over_modules(l, e->script);
    if (good)
        return e;
    endpoint_release(&e);
    /* Indices stay: a script that failed depends on them all the same. Their modules may be gone. */
    for (size_t i = 0; i < l->use_count; i++)
        l->uses[i].module = NULL;
    return NULL;
}
