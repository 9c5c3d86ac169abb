/*
 * deps.c: see deps.h. A module's record is immutable but for what it requires, which a trial tells: so "changed" is
 * a new record, and loads that used the old one keep it.
 */
#include "reload/deps.h"
#include "base/panic.h"
#include <stdlib.h>

/* A new record of the same text, in the place of the old one. */
static void renew(struct catalog *c, struct catalog_file *f, struct catalog_env *env)
{
    struct catalog_module *old = f->module;
    f->module = catalog_module_new(old->name, old->file, old->text, c->next_version++, env);
    catalog_module_requires(f->module, old->requires, old->require_count);
    catalog_module_release(&old);
}

static int by_path(const void *path, const void *file)
{
    return strcmp(path, ((const struct catalog_file *)file)->path);
}

static struct catalog_file *file_of(const struct catalog *c, const char *path)
{
    if (c->module_count == 0)
        return NULL;
    struct catalog_file *f = bsearch(path, c->modules, c->module_count, sizeof(*c->modules), by_path);
    return f != NULL && f->module != NULL ? f : NULL;
}

static bool requires_changed(const struct catalog *c, const struct catalog_module *m, const bool *changed)
{
    for (size_t i = 0; i < m->require_count; i++) {
        const struct catalog_file *f = file_of(c, m->requires[i]->file);
        if (f == NULL || changed[f - c->modules])
            return true;
    }
    return false;
}

void deps_spread(struct catalog *c, bool *changed)
{
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < c->module_count; i++) {
            struct catalog_file *f = &c->modules[i];
            if (changed[i] || f->module == NULL || !requires_changed(c, f->module, changed))
                continue;
            renew(c, f, f->module->env);
            changed[i] = more = true;
        }
    }
}

void deps_renew(struct catalog *c, struct catalog_env *env)
{
    for (size_t i = 0; i < c->module_count; i++)
        if (c->modules[i].module != NULL)
            renew(c, &c->modules[i], env);
}

static int by_name(const void *name, const void *other)
{
    return strcmp(name, *(char *const *)other);
}

bool deps_touch(const struct catalog_script *s, char *const *names, size_t count)
{
    if (count != 0 && s->error != NULL)
        return true;
    for (size_t m = 0; count != 0 && s->next != NULL && m < s->next->module_count; m++)
        if (bsearch(s->next->modules[m]->name, names, count, sizeof(*names), by_name) != NULL)
            return true;
    return false;
}
