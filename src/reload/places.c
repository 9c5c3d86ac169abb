/*
 * places.c: see places.h. Sorted by watch descriptor, which the kernel counts up.
 */
#include "reload/places.h"
#include "base/fd.h"
#include "base/panic.h"
#include "reload/ways.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#define SELF_EVENTS (IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)
#define FILE_EVENTS (SELF_EVENTS | IN_MODIFY | IN_CLOSE_WRITE)
#define NAME_EVENTS (SELF_EVENTS | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)
#define FOLDER_EVENTS (FILE_EVENTS | NAME_EVENTS)

struct places {
    int fd;
    struct place *all;
    size_t count;
    int fault; /* errno of the pass's first failure; 0: none */
    char *faulty;
};

struct places *places_new(void)
{
    struct places *p = need_zero(1, sizeof(*p));
    p->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    return p;
}

void places_free(struct places **p)
{
    struct places *gone = *p;
    *p = NULL;
    if (gone == NULL)
        return;
    for (size_t i = 0; i < gone->count; i++)
        free(gone->all[i].path);
    fd_close(&gone->fd);
    free(gone->all);
    free(gone->faulty);
    free(gone);
}

int places_fd(const struct places *p)
{
    return p->fd;
}

/* --- a pass ------------------------------------------------------------------------------------------------------- */

void places_begin(struct places *p)
{
    p->fault = p->fd == -1 ? EMFILE : 0;
    free(p->faulty);
    p->faulty = NULL;
    for (size_t i = 0; i < p->count; i++) {
        p->all[i].before = p->all[i].kinds;
        p->all[i].kinds = 0;
    }
}

static size_t place_of(const struct places *p, int wd)
{
    size_t low = 0, high = p->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->all[middle].wd < wd)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A folder that was renamed stays the inode that is watched. Of several paths to one inode the scan's counts: events of
 * scripts are told by it. */
static void rename_place(struct place *p, const char *path, enum place_kind kind)
{
    bool counts = p->kinds == 0 || (kind == PLACE_SCANNED && !(p->kinds & PLACE_SCANNED));
    if (!counts || strcmp(p->path, path) == 0)
        return;
    free(p->path);
    p->path = need_strdup(path);
}

static bool note(struct places *p, int wd, const char *path, enum place_kind kind)
{
    size_t at = place_of(p, wd);
    if (at == p->count || p->all[at].wd != wd) {
        if ((p->count & (p->count - 1)) == 0)
            p->all = need_realloc(p->all, (p->count != 0 ? p->count * 2 : 1) * sizeof(*p->all));
        memmove(p->all + at + 1, p->all + at, (p->count - at) * sizeof(*p->all));
        p->all[at] = (struct place){.wd = wd, .path = need_strdup(path)};
        p->count++;
    }
    rename_place(&p->all[at], path, kind);
    bool fresh = ((p->all[at].before | p->all[at].kinds) & kind) == 0;
    p->all[at].kinds |= kind;
    return fresh;
}

/* A path that is gone is no fault: its parent told, or will. */
static bool add(struct places *p, const char *path, enum place_kind kind, uint32_t events)
{
    int wd = p->fd == -1 ? -1 : inotify_add_watch(p->fd, path, events | IN_MASK_ADD);
    if (wd != -1)
        return note(p, wd, path, kind);
    if (p->fault == 0 && errno != ENOENT && errno != ENOTDIR && errno != EACCES && errno != ELOOP) {
        p->fault = errno;
        p->faulty = need_strdup(path);
    }
    return false;
}

bool places_add(struct places *p, const char *path, enum place_kind kind)
{
    return add(p, path, kind,
               kind == PLACE_FILE                  ? FILE_EVENTS
               : kind & (PLACE_ENV | PLACE_PARENT) ? NAME_EVENTS
                                                   : FOLDER_EVENTS);
}

struct way {
    struct places *places;
    enum place_kind end;
    bool fresh;
};

static void on_part(void *cookie, const char *at, enum way_part part)
{
    struct way *way = cookie;
    bool fresh = false;
    if (part != WAY_END)
        fresh = add(way->places, at, PLACE_WAY, SELF_EVENTS | IN_DONT_FOLLOW);
    else if (way->end != 0)
        fresh = places_add(way->places, at, way->end);
    way->fresh = way->fresh || fresh;
}

bool places_add_way(struct places *p, const char *path, enum place_kind end)
{
    struct way way = {.places = p, .end = end};
    if (p->fd != -1)
        ways_walk(path, on_part, &way);
    return way.fresh;
}

int places_end(struct places *p, struct error *err)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->all[i].kinds == 0)
            inotify_rm_watch(p->fd, p->all[i].wd); /* its IN_IGNORED takes it off the list */
    if (p->fd == -1)
        return error_set(err, "no inotify: the limit fs.inotify.max_user_instances is reached");
    if (p->fault == ENOSPC)
        return error_set(err, "%s: the limit fs.inotify.max_user_watches is reached", p->faulty);
    return p->fault == 0 ? 0 : error_set(err, "%s: %s", p->faulty, strerror(p->fault));
}

/* --- events ------------------------------------------------------------------------------------------------------- */

const struct place *places_find(const struct places *p, int wd)
{
    size_t at = place_of(p, wd);
    return at < p->count && p->all[at].wd == wd ? &p->all[at] : NULL;
}

void places_forget(struct places *p, int wd)
{
    size_t at = place_of(p, wd);
    if (at == p->count || p->all[at].wd != wd)
        return;
    free(p->all[at].path);
    p->count--;
    memmove(p->all + at, p->all + at + 1, (p->count - at) * sizeof(*p->all));
}
