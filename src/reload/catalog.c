/*
 * catalog.c: every script and module that the keeper knows, as counted immutable records. See catalog.h.
 * Owns: the records. Runs in: the keeper's loop. Fails: see catalog.h; memory by NEED.
 */
#include "reload/catalog.h"
#include "base/panic.h"
#include "load/description.h"
#include <stdlib.h>

/* --- texts and env sets ------------------------------------------------------------------------------------------- */

struct catalog_text *catalog_text_new(struct slice bytes)
{
    struct catalog_text *t = need_alloc(sizeof(*t) + bytes.len + 1);
    t->holds = 1;
    t->len = bytes.len;
    if (bytes.len != 0)
        memcpy(t->at, bytes.at, bytes.len);
    t->at[bytes.len] = '\0';
    return t;
}

struct catalog_text *catalog_text_hold(struct catalog_text *t)
{
    if (t != NULL)
        t->holds++;
    return t;
}

void catalog_text_release(struct catalog_text **t)
{
    if (*t != NULL && --(*t)->holds == 0)
        free(*t);
    *t = NULL;
}

struct catalog_env *catalog_env_new(const struct snapshot_env *set)
{
    struct catalog_env *e = need_zero(1, sizeof(*e));
    size_t bytes = 0;
    for (size_t i = 0; i < set->count; i++)
        bytes += set->names[i].len + set->values[i].len;
    e->holds = 1;
    e->count = set->count;
    e->bytes = need_alloc(bytes + 1);
    e->names = need_zero(set->count + 1, sizeof(*e->names));
    e->values = need_zero(set->count + 1, sizeof(*e->values));
    e->faults = need_zero(set->count + 1, sizeof(*e->faults));
    char *at = e->bytes;
    for (size_t i = 0; i < set->count; i++) {
        const struct slice pair[2] = {set->names[i], set->values[i]};
        struct slice *copies[2] = {&e->names[i], &e->values[i]};
        e->faults[i] = set->faults != NULL && set->faults[i];
        for (size_t k = 0; k < 2; k++) {
            *copies[k] = (struct slice){at, pair[k].len};
            if (pair[k].len != 0)
                memcpy(at, pair[k].at, pair[k].len);
            at += pair[k].len;
        }
    }
    return e;
}

static struct catalog_env *env_hold(struct catalog_env *e)
{
    if (e != NULL)
        e->holds++;
    return e;
}

void catalog_env_release(struct catalog_env **e)
{
    if (*e != NULL && --(*e)->holds == 0) {
        free((*e)->names);
        free((*e)->values);
        free((*e)->faults);
        free((*e)->bytes);
        free(*e);
    }
    *e = NULL;
}

bool catalog_env_is(const struct catalog_env *e, const struct snapshot_env *set)
{
    if (e == NULL || e->count != set->count)
        return false;
    for (size_t i = 0; i < set->count; i++)
        if (!slice_equal(e->names[i], set->names[i]) || !slice_equal(e->values[i], set->values[i]) ||
            e->faults[i] != (set->faults != NULL && set->faults[i]))
            return false;
    return true;
}

/* --- modules and loads -------------------------------------------------------------------------------------------- */

struct catalog_module *catalog_module_new(const char *name, const char *file, struct catalog_text *text,
                                          uint64_t version, struct catalog_env *env)
{
    struct catalog_module *m = need_zero(1, sizeof(*m));
    m->holds = 1;
    m->name = need_strdup(name);
    m->file = need_strdup(file);
    m->text = catalog_text_hold(text);
    m->version = version;
    m->env = env_hold(env);
    return m;
}

struct catalog_module *catalog_module_hold(struct catalog_module *m)
{
    if (m != NULL)
        m->holds++;
    return m;
}

/* Modules that require each other in a circle do not load, so counts alone free them. */
void catalog_module_release(struct catalog_module **m)
{
    struct catalog_module *gone = *m;
    *m = NULL;
    if (gone == NULL || --gone->holds != 0)
        return;
    catalog_module_requires(gone, NULL, 0);
    catalog_text_release(&gone->text);
    catalog_env_release(&gone->env);
    free(gone->name);
    free(gone->file);
    free(gone);
}

static struct catalog_module **hold_modules(struct catalog_module *const *modules, size_t count)
{
    struct catalog_module **held = need_zero(count + 1, sizeof(struct catalog_module *));
    for (size_t i = 0; i < count; i++)
        held[i] = catalog_module_hold(modules[i]);
    return held;
}

static void release_modules(struct catalog_module **modules, size_t count)
{
    for (size_t i = 0; i < count; i++)
        catalog_module_release(&modules[i]);
    free(modules);
}

void catalog_module_requires(struct catalog_module *m, struct catalog_module *const *requires, size_t count)
{
    struct catalog_module **old = m->requires;
    size_t old_count = m->require_count;
    m->requires = count == 0 ? NULL : hold_modules(requires, count);
    m->require_count = count;
    release_modules(old, old_count);
}

struct catalog_loaded *catalog_loaded_new(struct catalog_text *text, uint64_t version, struct catalog_env *env,
                                          struct catalog_module *const *modules, size_t module_count,
                                          struct slice description, struct error *err)
{
    struct description d;
    if (description_read(description, &d, err) != 0)
        return NULL;
    struct catalog_loaded *l = need_zero(1, sizeof(*l));
    l->holds = 1;
    l->text = catalog_text_hold(text);
    l->version = version;
    l->env = env_hold(env);
    l->modules = hold_modules(modules, module_count);
    l->module_count = module_count;
    l->description = slice_dup(description);
    l->is_public = d.verify == NULL;
    l->routes = endpoint_hold(d.endpoint);
    description_free(&d);
    return l;
}

struct catalog_loaded *catalog_loaded_hold(struct catalog_loaded *l)
{
    if (l != NULL)
        l->holds++;
    return l;
}

void catalog_loaded_release(struct catalog_loaded **l)
{
    struct catalog_loaded *gone = *l;
    *l = NULL;
    if (gone == NULL || --gone->holds != 0)
        return;
    release_modules(gone->modules, gone->module_count);
    catalog_text_release(&gone->text);
    catalog_env_release(&gone->env);
    endpoint_release(&gone->routes);
    free(gone->description);
    free(gone);
}

void catalog_loaded_set(struct catalog_loaded **slot, struct catalog_loaded *l)
{
    catalog_loaded_hold(l);
    catalog_loaded_release(slot);
    *slot = l;
}

/* --- scripts ------------------------------------------------------------------------------------------------------ */

struct catalog_script *catalog_find(const struct catalog *c, const char *name, size_t *place_out)
{
    size_t low = 0, high = c->script_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(c->scripts[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (place_out != NULL)
        *place_out = low;
    bool found = low < c->script_count && strcmp(c->scripts[low]->name, name) == 0;
    return found ? c->scripts[low] : NULL;
}

struct catalog_script *catalog_add(struct catalog *c, const char *name, const char *file)
{
    size_t place;
    CHECK(catalog_find(c, name, &place) == NULL);
    struct catalog_script *s = need_zero(1, sizeof(*s));
    s->name = need_strdup(name);
    s->file = need_strdup(file);
    c->scripts = need_realloc(c->scripts, (c->script_count + 1) * sizeof(*c->scripts));
    memmove(c->scripts + place + 1, c->scripts + place, (c->script_count - place) * sizeof(*c->scripts));
    c->scripts[place] = s;
    c->script_count++;
    return s;
}

static void script_free(struct catalog_script *s)
{
    catalog_loaded_release(&s->next);
    catalog_loaded_release(&s->live);
    catalog_loaded_release(&s->before);
    catalog_text_release(&s->newer);
    free(s->error);
    free(s->name);
    free(s->file);
    free(s);
}

void catalog_remove(struct catalog *c, size_t place)
{
    CHECK(place < c->script_count);
    script_free(c->scripts[place]);
    c->script_count--;
    memmove(c->scripts + place, c->scripts + place + 1, (c->script_count - place) * sizeof(*c->scripts));
}

struct catalog_text *catalog_newest(const struct catalog_script *s)
{
    if (catalog_is_broken(s))
        return s->newer;
    return s->next != NULL ? s->next->text : NULL;
}

void catalog_free(struct catalog *c)
{
    for (size_t i = 0; i < c->script_count; i++)
        script_free(c->scripts[i]);
    for (size_t i = 0; i < c->module_count; i++) {
        catalog_module_release(&c->modules[i].module);
        free(c->modules[i].path);
    }
    free(c->scripts);
    free(c->modules);
    catalog_env_release(&c->env);
    *c = (struct catalog){0};
}
