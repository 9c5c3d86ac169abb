/*
 * folder.c: scan → candidate → trial → descriptions → clashes; see folder.h.
 * Owns: the texts and the candidate, for the call; the results. Runs in: check, routes. Fails: as folder.h says.
 */
#include "cli/folder.h"
#include "base/panic.h"
#include "load/limit.h"
#include "load/lines.h"
#include "load/scan.h"
#include "load/trial.h"
#include "route/router.h"
#include <stdlib.h>
#include <unistd.h>

struct loading {
    struct folder *folder;
    const struct config *config;
    const char *prefix; /* "hooks" */
    struct scan scan;
    struct buf *texts; /* of each scanned file */
    char **names;
    struct snapshot snap;
    struct buf env_room;
    struct buf words; /* for the case that a script gets stuck */
};

/* Each line once: a broken module is found by every script that requires it. */
static void add_error(struct folder *f, const char *line)
{
    for (size_t i = 0; i < f->error_count; i++)
        if (strcmp(f->errors[i], line) == 0)
            return;
    f->errors = need_realloc(f->errors, (f->error_count + 1) * sizeof *f->errors);
    f->errors[f->error_count++] = need_strdup(line);
}

static void add_errors(struct folder *f, struct slice lines)
{
    struct slice line;
    while (slice_cut(&lines, '\n', &line)) {
        char *text = slice_dup(line);
        if (line.len > 0)
            add_error(f, text);
        free(text);
    }
}

static void read_file(struct loading *l, size_t i)
{
    const struct scan_file *file = &l->scan.files[i];
    struct error err;
    l->names[i] = file->module ? scan_module_name(file->path) : scan_script_name(file->path);
    if (scan_read(l->config->hooks, file, &l->texts[i], &err) == 0) {
        buf_text(&l->texts[i]);
        return;
    }
    struct buf line = {0};
    buf_addf(&line, "%s/%s:1: %s", l->prefix, file->path, file->error != NULL ? file->error : err.text);
    add_error(l->folder, buf_text(&line));
    buf_free(&line);
}

static int by_name(const void *a, const void *b)
{
    const struct snapshot_script *x = a, *y = b;
    return strcmp(x->name.at, y->name.at);
}

static void make_candidate(struct loading *l)
{
    struct snapshot *s = &l->snap;
    uint64_t version = 0;
    s->modules = need_zero(l->scan.count + 1, sizeof *s->modules);
    s->scripts = need_zero(l->scan.count + 1, sizeof *s->scripts);
    for (size_t i = 0; i < l->scan.count; i++) {
        struct slice name = slice_of(l->names[i]), file = slice_of(l->scan.files[i].path);
        if (l->texts[i].at == NULL)
            continue;
        if (l->scan.files[i].module)
            s->modules[s->module_count++] = (struct snapshot_module){
                .name = name, .file = file, .text = buf_slice(&l->texts[i]), .version = ++version};
        else
            s->scripts[s->script_count++] = (struct snapshot_script){
                .name = name, .file = file, .text = buf_slice(&l->texts[i]), .version = ++version};
    }
    if (s->script_count > 1)
        qsort(s->scripts, s->script_count, sizeof *s->scripts, by_name);
}

static void on_trying(void *cookie, size_t script)
{
    struct loading *l = cookie;
    buf_clear(&l->words);
    buf_addf(&l->words, "%s/%.*s:1: the top level is stuck, and cannot be interrupted\n", l->prefix,
             SLICE_ARG(l->snap.scripts[script].file));
    limit_last_words(buf_text(&l->words));
}

static void on_tried(void *cookie, size_t script, const struct trial_result *r)
{
    struct loading *l = cookie;
    struct folder_script *s = &l->folder->scripts[script];
    struct error err;
    s->file = slice_dup(l->snap.scripts[script].file);
    add_errors(l->folder, r->errors);
    if (!r->good)
        return;
    buf_add_slice(&s->json, r->description);
    if (description_read(r->description, &s->description, &err) != 0)
        PANIC("our own description of %s: %s", s->file, err.text);
}

/* "orders/[id].lua: route ... claimed by ..." → with folder and line, as every other error. */
static void add_clash(struct loading *l, size_t script, const char *words)
{
    const struct snapshot_script *s = &l->snap.scripts[script];
    struct lines lines;
    struct buf line = {0};
    lines_read(s->text, &lines);
    buf_addf(&line, "%s/%.*s:%u: %s", l->prefix, SLICE_ARG(s->file), lines_of(&lines, "path"),
             strncmp(words, s->file.at, s->file.len) == 0 ? words + s->file.len + 2 : words);
    add_error(l->folder, buf_text(&line));
    lines_free(&lines);
    buf_free(&line);
}

static void check_clashes(struct loading *l)
{
    struct router *router = router_new();
    struct error err;
    for (size_t i = 0; i < l->folder->script_count; i++) {
        struct endpoint *e = l->folder->scripts[i].description.endpoint;
        if (e != NULL && router_add(router, e, &err) != 0)
            add_clash(l, i, err.text);
    }
    router_free(&router);
}

static int by_text(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    size_t file = strcspn(x, ":");
    if (file == strcspn(y, ":") && strncmp(x, y, file) == 0) {
        long left = atol(x + file + (x[file] == ':')), right = atol(y + file + (y[file] == ':'));
        if (left != right)
            return left < right ? -1 : 1;
    }
    return strcmp(x, y);
}

static int read_all(struct loading *l, struct error *err)
{
    if (scan_folder(l->config->hooks, &l->scan, err) != 0)
        return -1;
    l->texts = need_zero(l->scan.count + 1, sizeof *l->texts);
    l->names = need_zero(l->scan.count + 1, sizeof *l->names);
    for (size_t i = 0; i < l->scan.count; i++)
        read_file(l, i);
    return 0;
}

/* What root may read tells nothing of what the server will, as its user. */
static int read_as_user(struct loading *l, struct error *err)
{
    const struct jail_user *user = &l->config->user;
    struct jail_own own;
    if (user->name == NULL || user->uid == geteuid())
        return read_all(l, err);
    if (jail_borrow(user, &own, err) != 0)
        return -1;
    int done = read_all(l, err);
    jail_give_back(&own);
    return done;
}

static int try_all(struct loading *l, bool no_secrets, struct error *err)
{
    struct folder *f = l->folder;
    l->snap.envs = need_zero(1, sizeof *l->snap.envs);
    l->snap.env_count = 1;
    if (trial_read_env(l->config->env_file, &l->env_room, &l->snap.envs[0], err) != 0)
        return -1;
    make_candidate(l);
    f->script_count = l->snap.script_count;
    f->module_count = l->snap.module_count;
    f->scripts = need_zero(f->script_count + 1, sizeof *f->scripts);
    trial_run(&l->snap, l->config, no_secrets, on_trying, on_tried, l);
    limit_last_words(NULL);
    check_clashes(l);
    if (f->error_count > 1)
        qsort(f->errors, f->error_count, sizeof *f->errors, by_text);
    return 0;
}

int folder_load(const struct config *config, bool no_secrets, struct folder *f_out, struct error *err)
{
    const char *slash = strrchr(config->hooks, '/');
    struct loading l = {
        .folder = f_out, .config = config, .prefix = slash[1] != '\0' ? slash + 1 : "hooks", .env_room.secret = true};
    *f_out = (struct folder){0};
    int done = read_as_user(&l, err);
    if (done == 0)
        done = try_all(&l, no_secrets, err);
    for (size_t i = 0; l.texts != NULL && i < l.scan.count; i++) {
        buf_free(&l.texts[i]);
        free(l.names[i]);
    }
    free(l.texts);
    free(l.names);
    snapshot_free(&l.snap);
    scan_free(&l.scan);
    buf_free(&l.env_room);
    buf_free(&l.words);
    if (done != 0)
        folder_free(f_out);
    return done;
}

void folder_free(struct folder *f)
{
    for (size_t i = 0; i < f->script_count && f->scripts != NULL; i++) {
        free(f->scripts[i].file);
        buf_free(&f->scripts[i].json);
        description_free(&f->scripts[i].description);
    }
    free(f->scripts);
    for (size_t i = 0; i < f->error_count; i++)
        free(f->errors[i]);
    free(f->errors);
    *f = (struct folder){0};
}
