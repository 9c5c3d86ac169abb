/*
 * catalog_snapshot.c: the catalog to a snapshot and back. The newest env set is always the first one written, so that
 * a new keeper knows which it is.
 * Owns: nothing beyond a call. Runs in: the keeper's loop. Fails: see catalog.h.
 */
#include "base/panic.h"
#include "reload/catalog.h"
#include <stdlib.h>

/* --- out ---------------------------------------------------------------------------------------------------------- */

static uint32_t place_env(struct catalog *c, struct snapshot *snap, struct catalog_env *e)
{
    if (e->mark != c->mark) {
        e->mark = c->mark;
        e->index = (uint32_t)snap->env_count;
        snap->envs = need_realloc(snap->envs, (snap->env_count + 1) * sizeof(*snap->envs));
        struct snapshot_env *out = &snap->envs[snap->env_count++];
        out->count = e->count;
        out->names = need_zero(e->count + 1, sizeof(*out->names));
        out->values = need_zero(e->count + 1, sizeof(*out->values));
        out->faults = need_zero(e->count + 1, sizeof(*out->faults));
        memcpy(out->faults, e->faults, e->count * sizeof(*out->faults));
        memcpy(out->names, e->names, e->count * sizeof(*out->names));
        memcpy(out->values, e->values, e->count * sizeof(*out->values));
    }
    return e->index;
}

/* What a module requires stands before it. */
static uint32_t place_module(struct catalog *c, struct snapshot *snap, struct catalog_module *m)
{
    if (m->mark == c->mark)
        return m->index;
    m->mark = c->mark; /* before its requires: a circle must end, though none can have loaded */
    uint32_t *requires = need_zero(m->require_count + 1, sizeof(uint32_t));
    for (size_t i = 0; i < m->require_count; i++)
        requires[i] = place_module(c, snap, m->requires[i]);
    m->index = (uint32_t)snap->module_count;
    snap->modules = need_realloc(snap->modules, (snap->module_count + 1) * sizeof(*snap->modules));
    snap->modules[snap->module_count++] = (struct snapshot_module){
        .name = slice_of(m->name),
        .file = slice_of(m->file),
        .text = catalog_text_slice(m->text),
        .version = m->version,
        .env = place_env(c, snap, m->env),
        .requires = requires,
        .require_count = m->require_count,
    };
    return m->index;
}

static void place_script(struct catalog *c, struct snapshot *snap, const struct catalog_script *s)
{
    struct snapshot_script *out = &snap->scripts[snap->script_count++];
    *out = (struct snapshot_script){
        .name = slice_of(s->name),
        .file = slice_of(s->file),
        .error = catalog_is_broken(s) ? slice_of(s->error) : SLICE_NONE,
        .newer = catalog_is_broken(s) ? catalog_text_slice(s->newer) : SLICE_NONE,
        .clash = catalog_is_broken(s) && s->clash,
        .env_fault = catalog_is_broken(s) && s->env_fault,
    };
    const struct catalog_loaded *l = s->next;
    if (l == NULL)
        return;
    out->text = catalog_text_slice(l->text);
    out->version = l->version;
    out->env = place_env(c, snap, l->env);
    out->modules = need_zero(l->module_count + 1, sizeof(uint32_t));
    out->module_count = l->module_count;
    for (size_t i = 0; i < l->module_count; i++)
        out->modules[i] = place_module(c, snap, l->modules[i]);
    out->description = slice_of(l->description);
}

void catalog_snapshot(struct catalog *c, uint64_t generation, struct snapshot *snap_out)
{
    c->mark++;
    *snap_out = (struct snapshot){.generation = generation, .next_version = c->next_version};
    snap_out->scripts = need_zero(c->script_count + 1, sizeof(*snap_out->scripts));
    if (c->env != NULL)
        place_env(c, snap_out, c->env);
    for (size_t i = 0; i < c->script_count; i++)
        place_script(c, snap_out, c->scripts[i]);
}

/* --- back --------------------------------------------------------------------------------------------------------- */

struct restore { /* the records made so far, by their index in the snapshot */
    struct catalog_env **envs;
    struct catalog_module **modules;
};

static int restore_modules(struct restore *back, const struct snapshot *snap, struct error *err)
{
    for (size_t i = 0; i < snap->module_count; i++) {
        const struct snapshot_module *m = &snap->modules[i];
        char *name = slice_dup(m->name), *file = slice_dup(m->file);
        struct catalog_text *text = catalog_text_new(m->text);
        back->modules[i] = catalog_module_new(name, file, text, m->version, back->envs[m->env]);
        catalog_text_release(&text);
        free(name);
        free(file);
    }
    struct catalog_module **requires = need_zero(snap->module_count + 1, sizeof(struct catalog_module *));
    int result = 0;
    for (size_t i = 0; i < snap->module_count && result == 0; i++) {
        const struct snapshot_module *m = &snap->modules[i];
        if (m->require_count > snap->module_count)
            result = error_set(err, "snapshot: module %.*s requires more than there is", SLICE_ARG(m->name));
        for (size_t k = 0; k < m->require_count && result == 0; k++)
            requires[k] = back->modules[m->requires[k]];
        if (result == 0)
            catalog_module_requires(back->modules[i], requires, m->require_count);
    }
    free(requires);
    return result;
}

static int restore_loaded(struct restore *back, const struct snapshot_script *from, struct catalog_script *s,
                          struct error *err)
{
    struct catalog_module **used = need_zero(from->module_count + 1, sizeof(struct catalog_module *));
    for (size_t i = 0; i < from->module_count; i++)
        used[i] = back->modules[from->modules[i]];
    struct catalog_text *text = catalog_text_new(from->text);
    s->next = catalog_loaded_new(text, from->version, back->envs[from->env], used, from->module_count,
                                 from->description, err);
    catalog_text_release(&text);
    free(used);
    if (s->next == NULL)
        return error_prefix(err, "snapshot: script %.*s", SLICE_ARG(from->name));
    s->live = catalog_loaded_hold(s->next);
    return 0;
}

static int restore_script(struct catalog *c, struct restore *back, const struct snapshot_script *from,
                          struct error *err)
{
    char *name = slice_dup(from->name), *file = slice_dup(from->file);
    struct catalog_script *s = catalog_add(c, name, file);
    free(name);
    free(file);
    if (from->error.at != NULL) {
        s->error = slice_dup(from->error);
        s->newer = from->newer.at != NULL ? catalog_text_new(from->newer) : NULL;
        s->clash = from->clash;
        s->env_fault = from->env_fault;
    }
    return from->text.at != NULL ? restore_loaded(back, from, s, err) : 0;
}

/* Of several records of one module the newest is what the folder had when the snapshot was made. */
static void restore_folder(struct catalog *c, struct restore *back, const struct snapshot *snap)
{
    for (size_t i = 0; i < snap->module_count; i++) {
        struct catalog_module *m = back->modules[i];
        size_t at = 0;
        while (at < c->module_count && strcmp(c->modules[at].path, m->file) < 0)
            at++;
        bool there = at < c->module_count && strcmp(c->modules[at].path, m->file) == 0;
        if (there && c->modules[at].module->version > m->version)
            continue;
        if (there) {
            catalog_module_release(&c->modules[at].module);
        } else {
            c->modules = need_realloc(c->modules, (c->module_count + 1) * sizeof(*c->modules));
            memmove(c->modules + at + 1, c->modules + at, (c->module_count - at) * sizeof(*c->modules));
            c->module_count++;
            c->modules[at] = (struct catalog_file){.path = need_strdup(m->file)};
        }
        c->modules[at].module = catalog_module_hold(m);
    }
}

int catalog_restore(struct catalog *c, const struct snapshot *snap, struct error *err)
{
    struct restore back = {
        .envs = need_zero(snap->env_count + 1, sizeof(struct catalog_env *)),
        .modules = need_zero(snap->module_count + 1, sizeof(struct catalog_module *)),
    };
    c->next_version = snap->next_version;
    for (size_t i = 0; i < snap->env_count; i++)
        back.envs[i] = catalog_env_new(&snap->envs[i]);
    int result = restore_modules(&back, snap, err);
    for (size_t i = 0; i < snap->script_count && result == 0; i++)
        result = restore_script(c, &back, &snap->scripts[i], err);
    if (result == 0) {
        restore_folder(c, &back, snap);
        c->env = snap->env_count > 0 ? back.envs[0] : NULL;
        if (c->env != NULL)
            c->env->holds++;
    }
    for (size_t i = 0; i < snap->module_count; i++)
        catalog_module_release(&back.modules[i]);
    for (size_t i = 0; i < snap->env_count; i++)
        catalog_env_release(&back.envs[i]);
    free(back.envs);
    free(back.modules);
    return result;
}
