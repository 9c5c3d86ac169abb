/*
 * examine.c: see examine.h. Only files whose stamp differs from the last time are read; a stamp so young that a second
 * write could hide behind it (the clock of file times ticks slower than files change) is not kept.
 */
#include "reload/examine.h"
#include "base/panic.h"
#include "reload/deps.h"
#include "reload/round.h"
#include <stdlib.h>
#include <sys/stat.h>

#define SCANS_MAX 10 /* until no new folder turns up; more are watched from the next change on */
#define STAMP_SETTLED DUR_MS(50)

struct examine {
    struct reload *r;
    struct scan scan;
    char **touched; /* names of modules that changed; owned */
    size_t touched_count;
};

static bool same_stamp(const uint64_t a[4], const uint64_t b[4])
{
    return memcmp(a, b, 4 * sizeof(uint64_t)) == 0;
}

static void keep_stamp(uint64_t kept[4], const uint64_t stamp[4])
{
    memcpy(kept, stamp, 4 * sizeof(uint64_t));
    if ((uint64_t)wall_now().ns < stamp[2] + (uint64_t)STAMP_SETTLED.ns)
        kept[0] = UINT64_MAX;
}

/* Its text, or NULL with why it has none. */
static struct catalog_text *read_text(const struct examine *e, const struct scan_file *f, struct error *err)
{
    struct buf bytes = {0};
    struct catalog_text *text = NULL;
    watch_file(e->r->watch, f->path);
    if (f->error != NULL)
        error_set(err, "%s: %s", f->path, f->error);
    else if (scan_read(e->r->host.config->hooks, f, &bytes, err) == 0)
        text = catalog_text_new(buf_slice(&bytes));
    buf_free(&bytes);
    return text;
}

/* --- modules ------------------------------------------------------------------------------------------------------ */

static void touch(struct examine *e, const char *path)
{
    e->touched = need_realloc(e->touched, (e->touched_count + 1) * sizeof(*e->touched));
    e->touched[e->touched_count++] = scan_module_name(path);
}

/* The record for a module's file; old: the one that was there, or NULL (its hold is taken over). */
static struct catalog_module *examine_module(struct examine *e, const struct scan_file *f, struct catalog_file *old,
                                             bool *changed_out)
{
    struct catalog *c = &e->r->catalog;
    struct catalog_module *before = old != NULL ? old->module : NULL;
    struct error err;
    if (old != NULL && same_stamp(old->stamp, f->stamp))
        return before;
    struct catalog_text *text = read_text(e, f, &err);
    if (text != NULL && before != NULL && catalog_text_is(before->text, catalog_text_slice(text))) {
        catalog_text_release(&text);
        return before;
    }
    *changed_out = text != NULL || before != NULL;
    char *name = scan_module_name(f->path);
    struct catalog_module *fresh =
        text != NULL ? catalog_module_new(name, f->path, text, c->next_version++, c->env) : NULL;
    free(name);
    catalog_text_release(&text);
    catalog_module_release(&before);
    return fresh;
}

static struct catalog_file *find_module(struct catalog_file *files, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++)
        if (files[i].path != NULL && strcmp(files[i].path, path) == 0)
            return &files[i];
    return NULL;
}

static void examine_modules(struct examine *e)
{
    struct catalog *c = &e->r->catalog;
    struct catalog_file *old = c->modules;
    size_t old_count = c->module_count, at = 0;
    bool *changed = need_zero(e->scan.count + 1, sizeof(bool));
    c->modules = need_zero(e->scan.count + 1, sizeof(*c->modules));
    c->module_count = 0;
    for (size_t i = 0; i < e->scan.count; i++) {
        const struct scan_file *f = &e->scan.files[i];
        if (!f->module)
            continue;
        struct catalog_file *was = find_module(old, old_count, f->path);
        struct catalog_file *now = &c->modules[c->module_count++];
        now->path = need_strdup(f->path);
        now->module = examine_module(e, f, was, &changed[at]);
        keep_stamp(now->stamp, f->stamp);
        if (was != NULL) {
            free(was->path);
            was->path = NULL;
        }
        at++;
    }
    for (size_t i = 0; i < old_count; i++)
        if (old[i].path != NULL) { /* gone from the folder */
            touch(e, old[i].path);
            catalog_module_release(&old[i].module);
            free(old[i].path);
        }
    free(old);
    if (e->touched_count != 0 || memchr(changed, true, at) != NULL)
        deps_spread(c, changed);
    for (size_t i = 0; i < at; i++)
        if (changed[i])
            touch(e, c->modules[i].path);
    free(changed);
}

/* --- scripts ------------------------------------------------------------------------------------------------------ */

static void add_try(struct reload *r, struct catalog_script *s, struct catalog_text *text)
{
    if ((r->try_count & (r->try_count - 1)) == 0)
        r->tries = need_realloc(r->tries, (r->try_count != 0 ? r->try_count * 2 : 1) * sizeof(*r->tries));
    r->tries[r->try_count++] = (struct reload_try){s, catalog_text_hold(text)};
}

static void examine_script(struct examine *e, const struct scan_file *f)
{
    struct reload *r = e->r;
    struct error err;
    char *name = scan_script_name(f->path);
    struct catalog_script *s = catalog_find(&r->catalog, name, NULL);
    bool fresh = s == NULL;
    if (fresh) {
        s = catalog_add(&r->catalog, name, f->path);
        r->changed = true;
    }
    free(name);
    struct catalog_text *newest = catalog_newest(s);
    if (fresh || !same_stamp(s->stamp, f->stamp)) { /* what has a fault may have no stamp */
        struct catalog_text *text = read_text(e, f, &err);
        keep_stamp(s->stamp, f->stamp);
        if (text == NULL) {
            round_broken(r, s, NULL, err.text);
            return;
        }
        bool same = catalog_text_is(newest, catalog_text_slice(text));
        if (!same)
            add_try(r, s, text);
        catalog_text_release(&text);
        if (!same)
            return;
    }
    if (newest != NULL && (r->trying_all || deps_touch(s, e->touched, e->touched_count)))
        add_try(r, s, newest);
}

static bool in_scan(const struct scan *scan, const char *path)
{
    size_t low = 0, high = scan->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(scan->files[middle].path, path);
        if (order == 0)
            return !scan->files[middle].module;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool is_tried(const struct reload *r, const struct catalog_script *s)
{
    for (size_t i = 0; i < r->try_count; i++)
        if (r->tries[i].script == s)
            return true;
    return false;
}

/* A route may have become free. */
static void retry_clashes(struct reload *r)
{
    for (size_t i = 0; i < r->catalog.script_count; i++) {
        struct catalog_script *s = r->catalog.scripts[i];
        if (s->clash && s->newer != NULL && !is_tried(r, s))
            add_try(r, s, s->newer);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct reload_try *)a)->script->name, ((const struct reload_try *)b)->script->name);
}

static void examine_scripts(struct examine *e)
{
    struct reload *r = e->r;
    struct catalog *c = &r->catalog;
    for (size_t i = c->script_count; i-- > 0;)
        if (!in_scan(&e->scan, c->scripts[i]->file)) {
            catalog_remove(c, i);
            r->changed = true;
        }
    for (size_t i = 0; i < e->scan.count; i++)
        if (!e->scan.files[i].module)
            examine_script(e, &e->scan.files[i]);
    if (r->changed || r->try_count != 0)
        retry_clashes(r);
    if (r->try_count != 0)
        qsort(r->tries, r->try_count, sizeof(*r->tries), by_name);
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

/* A folder that is new may have changed before it was watched: scan once more. */
static int scan_watched(struct examine *e, struct error *err)
{
    for (unsigned i = 0;; i++) {
        if (scan_folder(e->r->host.config->hooks, &e->scan, err) != 0)
            return -1;
        if (!watch_folders(e->r->watch, &e->scan) || i == SCANS_MAX)
            return 0;
        scan_free(&e->scan);
    }
}

static bool env_file_changed(struct reload *r)
{
    struct stat st;
    uint64_t stamp[4] = {0};
    if (stat(r->host.config->env_file, &st) == 0) {
        stamp[0] = st.st_dev;
        stamp[1] = st.st_ino;
        stamp[2] = (uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec;
        stamp[3] = (uint64_t)st.st_size;
    }
    if (same_stamp(stamp, r->env_stamp))
        return false;
    memcpy(r->env_stamp, stamp, sizeof(stamp));
    return true;
}

int examine_folder(struct reload *r, struct error *err)
{
    struct examine e = {.r = r};
    int result = scan_watched(&e, err);
    if (result == 0) {
        /* The first look of a new keeper knows no earlier stamp: there the trial tells whether the values differ. */
        bool env = env_file_changed(r) && !r->ask_env;
        r->trying_all = r->all || env;
        r->all = false;
        examine_modules(&e);
        examine_scripts(&e);
    }
    for (size_t i = 0; i < e.touched_count; i++)
        free(e.touched[i]);
    free(e.touched);
    scan_free(&e.scan);
    return result;
}
