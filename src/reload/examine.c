/*
 * examine.c: see examine.h. Only files whose stamp differs from the last time, or has not settled, are read.
 */
#include "reload/examine.h"
#include "base/panic.h"
#include "reload/deps.h"
#include "reload/round.h"
#include <stdlib.h>

#define SCANS_MAX 10 /* until no new folder turns up; more are watched from the next change on */

struct examine {
    struct reload *r;
    struct scan scan;
    char **touched; /* names of modules that changed, sorted when all are there; owned */
    size_t touched_count;
    bool unsettled; /* something must be read again */
};

/* Whether to read a file. */
static bool is_news(struct examine *e, struct stamp *kept, const uint64_t stamp[4])
{
    bool news = stamp_is_news(kept, stamp, mono_now());
    e->unsettled = e->unsettled || !kept->settled;
    return news;
}

enum reading { READ_TEXT, READ_FAULT, READ_MOVING };

/*
 * Its text, or why it has none: then it is asked for at every look. A file that is being written, or was while it was
 * read, is as it was before: a further look comes. So is one that was emptied a moment ago (`old`: it had a text): who
 * saves in place does that first, and the kernel shows it before it tells of it.
 */
static enum reading read_text(struct examine *e, const struct scan_file *f, bool old, struct stamp *stamp,
                              struct catalog_text **text_out, struct error *err)
{
    const char *hooks = e->r->host.config->hooks;
    struct buf bytes = {0};
    int done = scan_read(hooks, f, &bytes, err);
    enum reading result = done == 0 ? READ_TEXT : READ_FAULT;
    if (f->error == NULL && (watch_is_written(e->r->watch, f->path) || !scan_is_same(hooks, f)))
        result = READ_MOVING;
    bool emptied = result == READ_TEXT && old && bytes.len == 0 && !stamp->settled;
    if (emptied)
        result = READ_MOVING; /* its stamp goes on to settle: then it is believed */
    else if (result == READ_TEXT)
        *text_out = catalog_text_new(buf_slice(&bytes));
    else
        stamp->known = false;
    if (result != READ_TEXT && f->error == NULL)
        e->unsettled = true; /* the scan saw no fault, so it would see no change either */
    buf_free(&bytes);
    return result;
}

/* --- modules ------------------------------------------------------------------------------------------------------ */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void touch(struct examine *e, const char *path)
{
    if ((e->touched_count & (e->touched_count - 1)) == 0)
        e->touched = need_realloc(e->touched, (e->touched_count != 0 ? e->touched_count * 2 : 1) * sizeof(char *));
    e->touched[e->touched_count++] = scan_module_name(path);
}

/* The record for a module's file; old: the one that was there, or NULL (its hold is taken over). */
static struct catalog_module *examine_module(struct examine *e, const struct scan_file *f, struct catalog_file *old,
                                             struct stamp *stamp, bool *changed_out)
{
    struct catalog *c = &e->r->catalog;
    struct catalog_module *before = old != NULL ? old->module : NULL;
    struct error err;
    if (old != NULL)
        *stamp = old->stamp;
    if (!is_news(e, stamp, f->stamp))
        return before;
    struct catalog_text *text = NULL;
    if (read_text(e, f, before != NULL, stamp, &text, &err) == READ_MOVING)
        return before;
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

/* A module that was there and is not in the scan; *f is left empty. */
static void lose_module(struct examine *e, struct catalog_file *f)
{
    struct catalog *c = &e->r->catalog;
    if (scan_is_closed(&e->scan, f->path)) { /* nobody knows: as it was */
        c->modules[c->module_count++] = *f;
        return;
    }
    touch(e, f->path);
    catalog_module_release(&f->module);
    free(f->path);
}

/* Both lists are sorted by path. changed: by place in the new one. */
static void merge_modules(struct examine *e, struct catalog_file *old, size_t old_count, bool *changed)
{
    struct catalog *c = &e->r->catalog;
    size_t was = 0;
    for (size_t i = 0; i < e->scan.count; i++) {
        const struct scan_file *f = &e->scan.files[i];
        if (!f->module || f->folder)
            continue;
        while (was < old_count && strcmp(old[was].path, f->path) < 0)
            lose_module(e, &old[was++]);
        bool there = was < old_count && strcmp(old[was].path, f->path) == 0;
        size_t at = c->module_count++;
        struct catalog_file *now = &c->modules[at];
        now->path = there ? old[was].path : need_strdup(f->path);
        now->module = examine_module(e, f, there ? &old[was] : NULL, &now->stamp, &changed[at]);
        was += there;
    }
    while (was < old_count)
        lose_module(e, &old[was++]);
}

static void examine_modules(struct examine *e)
{
    struct catalog *c = &e->r->catalog;
    struct catalog_file *old = c->modules;
    size_t old_count = c->module_count, most = old_count + e->scan.count + 1;
    bool *changed = need_zero(most, sizeof(bool));
    c->modules = need_zero(most, sizeof(*c->modules));
    c->module_count = 0;
    merge_modules(e, old, old_count, changed);
    free(old);
    if (e->touched_count != 0 || memchr(changed, true, c->module_count) != NULL)
        deps_spread(c, changed);
    for (size_t i = 0; i < c->module_count; i++)
        if (changed[i])
            touch(e, c->modules[i].path);
    free(changed);
    if (e->touched_count > 1)
        qsort(e->touched, e->touched_count, sizeof(*e->touched), by_text);
}

/* --- scripts ------------------------------------------------------------------------------------------------------ */

static void add_try(struct reload *r, struct catalog_script *s, struct catalog_text *text)
{
    if ((r->try_count & (r->try_count - 1)) == 0)
        r->tries = need_realloc(r->tries, (r->try_count != 0 ? r->try_count * 2 : 1) * sizeof(*r->tries));
    r->tries[r->try_count++] = (struct reload_try){s, catalog_text_hold(text)};
}

static struct catalog_script *script_of(struct reload *r, const char *file)
{
    char *name = scan_script_name(file);
    struct catalog_script *s = catalog_find(&r->catalog, name, NULL);
    if (s == NULL) {
        s = catalog_add(&r->catalog, name, file);
        r->changed = true;
    }
    free(name);
    return s;
}

/*
 * A new text, or the fault that there is none, of the script of a file; s: the one that is known, or NULL. False: what
 * is known of it stands.
 */
static bool take_news(struct examine *e, const struct scan_file *f, struct catalog_script *s, struct stamp stamp)
{
    struct catalog_text *text = NULL;
    struct error err;
    enum reading result = read_text(e, f, s != NULL, &stamp, &text, &err);
    if (s == NULL && result != READ_MOVING)
        s = script_of(e->r, f->path);
    if (s != NULL)
        s->stamp = stamp;
    if (result == READ_MOVING)
        return false;
    bool news = text == NULL || !catalog_text_is(catalog_newest(s), catalog_text_slice(text));
    if (text == NULL)
        round_broken(e->r, s, NULL, err.text);
    else if (news)
        add_try(e->r, s, text);
    catalog_text_release(&text);
    return news;
}

static void examine_script(struct examine *e, const struct scan_file *f)
{
    struct reload *r = e->r;
    char *name = scan_script_name(f->path);
    struct catalog_script *s = catalog_find(&r->catalog, name, NULL);
    struct stamp stamp = s != NULL ? s->stamp : (struct stamp){.known = false};
    free(name);
    if (is_news(e, &stamp, f->stamp)) {
        if (take_news(e, f, s, stamp) || s == NULL)
            return;
    }
    struct catalog_text *newest = catalog_newest(s);
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
            return !scan->files[middle].module && !scan->files[middle].folder;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct reload_try *)a)->script->name, ((const struct reload_try *)b)->script->name);
}

static void sort_tries(struct reload *r)
{
    if (r->try_count > 1)
        qsort(r->tries, r->try_count, sizeof(*r->tries), by_name);
}

/* A route may have become free; a new keeper may find `env` readable. */
static bool may_be_sound(const struct reload *r, const struct catalog_script *s, bool changes)
{
    return !s->mended && s->newer != NULL && ((s->clash && changes) || (s->env_fault && (changes || r->ask_env)));
}

static void retry_others(struct reload *r)
{
    sort_tries(r);
    size_t sorted = r->try_count;
    bool changes = r->changed || sorted != 0;
    for (size_t i = 0; i < r->catalog.script_count; i++) {
        struct catalog_script *s = r->catalog.scripts[i];
        struct reload_try key = {.script = s};
        bool tried = sorted != 0 && bsearch(&key, r->tries, sorted, sizeof(key), by_name) != NULL;
        if (!tried && may_be_sound(r, s, changes))
            add_try(r, s, s->newer);
    }
    sort_tries(r);
}

static void examine_scripts(struct examine *e)
{
    struct reload *r = e->r;
    struct catalog *c = &r->catalog;
    for (size_t i = c->script_count; i-- > 0;)
        if (!in_scan(&e->scan, c->scripts[i]->file) && !scan_is_closed(&e->scan, c->scripts[i]->file)) {
            catalog_remove(c, i);
            r->changed = true;
        }
    for (size_t i = 0; i < e->scan.count; i++)
        if (!e->scan.files[i].module && !e->scan.files[i].folder)
            examine_script(e, &e->scan.files[i]);
    retry_others(r);
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

static bool env_sources_changed(struct examine *e)
{
    uint64_t stamp[4];
    env_sources_stamp(&e->r->sources, stamp);
    return is_news(e, &e->r->env_stamp, stamp);
}

int examine_folder(struct reload *r, struct error *err)
{
    struct examine e = {.r = r};
    int result = scan_watched(&e, err);
    if (result != 0) {
        watch_folders(r->watch, NULL);
    } else {
        r->trying_all = r->all;
        r->all = false;
        r->ask_env = env_sources_changed(&e) || r->ask_env;
        counters_add(&r->host.area->keeper, COUNTER_reload_errors, unreadable_update(&r->unreadable, &e.scan));
        examine_modules(&e);
        examine_scripts(&e);
        watch_unsettled(r->watch, e.unsettled);
    }
    for (size_t i = 0; i < e.touched_count; i++)
        free(e.touched[i]);
    free(e.touched);
    scan_free(&e.scan);
    return result;
}
