/*
 * unreadable.c: see unreadable.h.
 */
#include "reload/unreadable.h"
#include "base/log.h"
#include "base/panic.h"
#include <stdlib.h>
#include <string.h>

static const struct unreadable_place *find(const struct unreadable *u, const char *path)
{
    for (size_t i = 0; i < u->count; i++)
        if (strcmp(u->places[i].path, path) == 0)
            return &u->places[i];
    return NULL;
}

static void add(struct unreadable *u, const struct scan_file *f)
{
    if ((u->count & (u->count - 1)) == 0)
        u->places = need_realloc(u->places, (u->count != 0 ? u->count * 2 : 1) * sizeof(*u->places));
    u->places[u->count++] = (struct unreadable_place){need_strdup(f->path), need_strdup(f->error)};
}

static void say(const struct scan_file *f)
{
    log_at(LOG_ERROR, f->folder ? "folder not read, what is live of it stays" : "module not read",
           LOG_STR("file", f->path), LOG_STR("error", f->error));
}

size_t unreadable_update(struct unreadable *u, const struct scan *s)
{
    struct unreadable now = {0};
    size_t news = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct scan_file *f = &s->files[i];
        if (f->error == NULL || !(f->folder || f->module))
            continue;
        const struct unreadable_place *before = find(u, f->path);
        add(&now, f);
        if (before == NULL || strcmp(before->error, f->error) != 0) {
            say(f);
            news++;
        }
    }
    for (size_t i = 0; i < u->count; i++)
        if (find(&now, u->places[i].path) == NULL)
            log_at(LOG_INFO, "folder or module no longer unreadable", LOG_STR("file", u->places[i].path));
    unreadable_free(u);
    *u = now;
    return news;
}

void unreadable_free(struct unreadable *u)
{
    for (size_t i = 0; i < u->count; i++) {
        free(u->places[i].path);
        free(u->places[i].error);
    }
    free(u->places);
    *u = (struct unreadable){0};
}
