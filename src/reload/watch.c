/*
 * watch.c: inotify behind watch.h. Watches: every folder of the scan; the folder of .env and the parent of the hooks
 * folder, for that one name; the targets of links to files.
 */
#include "reload/watch.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/panic.h"
#include "io/timeout.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUIET DUR_MS(20)
#define AT_MOST DUR_S(5)
#define LOOK_EVERY DUR_S(1) /* where inotify cannot be had */

#define FOLDER_EVENTS \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)
#define FILE_EVENTS (IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)

enum place_kind { PLACE_SCANNED = 1, PLACE_ENV = 2, PLACE_PARENT = 4, PLACE_FILE = 8 };

struct place { /* one watched inode; may be of several kinds */
    int wd;
    unsigned kinds;
    bool seen; /* by the watch_folders under way */
};

struct watch {
    struct loop *loop;
    const char *hooks, *env_name, *hooks_name;
    char *env_folder, *parent;
    int fd;
    struct loop_watch events;
    struct place *places;
    size_t place_count;
    bool unrest;
    mono_t latest; /* when an unrest must end */
    struct timeout settle, look;
    bool blind; /* looks by the clock */
    void (*changed)(void *cookie);
    void *cookie;
};

static void on_events(struct loop_watch *watched, unsigned events);
static void on_settled(struct timeout *t);
static void on_look(struct timeout *t);

/* --- what is watched ---------------------------------------------------------------------------------------------- */

static char *folder_of(const char *path, const char **name_out)
{
    const char *slash = strrchr(path, '/');
    CHECK(slash != NULL); /* configuration makes them absolute */
    *name_out = slash + 1;
    return slash == path ? need_strdup("/") : slice_dup((struct slice){path, (size_t)(slash - path)});
}

static void go_blind(struct watch *w, const char *path, int why)
{
    if (!w->blind)
        log_at(LOG_WARN, "cannot watch for changes, looking every second instead", LOG_STR("path", path),
               LOG_STR("error", strerror(why)));
    w->blind = true;
    timeout_set(w->loop, &w->look, mono_add(loop_now(w->loop), LOOK_EVERY), on_look);
}

/* True when this inode was not watched as that before. A path that is gone is no fault: its parent told, or will. */
static bool add_place(struct watch *w, const char *path, enum place_kind kind, uint32_t events)
{
    int wd = w->fd == -1 ? -1 : inotify_add_watch(w->fd, path, events | IN_MASK_ADD);
    if (wd == -1) {
        if (w->fd == -1 || (errno != ENOENT && errno != ENOTDIR && errno != EACCES))
            go_blind(w, path, w->fd == -1 ? EMFILE : errno);
        return false;
    }
    for (size_t i = 0; i < w->place_count; i++)
        if (w->places[i].wd == wd) {
            bool fresh = (w->places[i].kinds & kind) == 0;
            w->places[i].kinds |= kind;
            w->places[i].seen = true;
            return fresh;
        }
    w->places = need_realloc(w->places, (w->place_count + 1) * sizeof(*w->places));
    w->places[w->place_count++] = (struct place){.wd = wd, .kinds = kind, .seen = true};
    return true;
}

static void add_fixed(struct watch *w)
{
    add_place(w, w->env_folder, PLACE_ENV, FOLDER_EVENTS | IN_ONLYDIR);
    add_place(w, w->parent, PLACE_PARENT, FOLDER_EVENTS | IN_ONLYDIR);
}

struct watch *watch_new(struct loop *loop, const char *hooks, const char *env_file, void (*changed)(void *cookie),
                        void *cookie)
{
    struct watch *w = need_zero(1, sizeof(*w));
    w->loop = loop;
    w->hooks = hooks;
    w->changed = changed;
    w->cookie = cookie;
    w->env_folder = folder_of(env_file, &w->env_name);
    w->parent = folder_of(hooks, &w->hooks_name);
    w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (w->fd != -1)
        loop_watch(loop, &w->events, w->fd, LOOP_READ, on_events);
    add_fixed(w);
    return w;
}

void watch_free(struct watch **w)
{
    struct watch *gone = *w;
    *w = NULL;
    if (gone == NULL)
        return;
    timeout_clear(&gone->settle);
    timeout_clear(&gone->look);
    loop_unwatch(&gone->events);
    fd_close(&gone->fd);
    free(gone->places);
    free(gone->env_folder);
    free(gone->parent);
    free(gone);
}

bool watch_folders(struct watch *w, const struct scan *scan)
{
    bool fresh = false;
    for (size_t i = 0; i < w->place_count; i++)
        w->places[i].seen = (w->places[i].kinds & PLACE_FILE) != 0;
    add_fixed(w);
    for (size_t i = 0; i < scan->folder_count; i++) {
        char path[PATH_MAX];
        const char *folder = scan->folders[i];
        if (snprintf(path, sizeof(path), "%s%s%s", w->hooks, folder[0] != '\0' ? "/" : "", folder) >= (int)sizeof(path))
            continue; /* the scan could not have opened it either */
        if (add_place(w, path, PLACE_SCANNED, FOLDER_EVENTS | IN_ONLYDIR))
            fresh = true;
    }
    for (size_t i = 0; i < w->place_count; i++)
        if (!w->places[i].seen)
            inotify_rm_watch(w->fd, w->places[i].wd); /* its IN_IGNORED takes it off the list */
    return fresh;
}

void watch_file(struct watch *w, const char *path)
{
    char whole[PATH_MAX];
    struct stat st;
    if (snprintf(whole, sizeof(whole), "%s/%s", w->hooks, path) < (int)sizeof(whole) && lstat(whole, &st) == 0 &&
        S_ISLNK(st.st_mode))
        add_place(w, whole, PLACE_FILE, FILE_EVENTS);
}

/* --- what happens ------------------------------------------------------------------------------------------------- */

static void forget_place(struct watch *w, int wd)
{
    for (size_t i = 0; i < w->place_count; i++)
        if (w->places[i].wd == wd) {
            w->places[i] = w->places[--w->place_count];
            return;
        }
}

/* Whether an event may have to do with what is served. */
static bool concerns(const struct watch *w, const struct inotify_event *e)
{
    if (e->mask & IN_Q_OVERFLOW)
        return true;
    const char *name = e->len != 0 ? e->name : "";
    for (size_t i = 0; i < w->place_count; i++) {
        unsigned kinds = w->places[i].wd == e->wd ? w->places[i].kinds : 0;
        if ((kinds & (PLACE_SCANNED | PLACE_FILE)) || ((kinds & PLACE_ENV) && strcmp(name, w->env_name) == 0) ||
            ((kinds & PLACE_PARENT) && strcmp(name, w->hooks_name) == 0))
            return true;
    }
    return false;
}

static void stir(struct watch *w)
{
    mono_t now = loop_now(w->loop);
    if (!w->unrest)
        w->latest = mono_add(now, AT_MOST);
    w->unrest = true;
    mono_t quiet = mono_add(now, QUIET);
    timeout_set(w->loop, &w->settle, mono_before(w->latest, quiet) ? w->latest : quiet, on_settled);
}

static void on_events(struct loop_watch *watched, unsigned events)
{
    struct watch *w = CONTAINER_OF(watched, struct watch, events);
    _Alignas(struct inotify_event) char room[16 << 10];
    bool ours = false;
    for (ssize_t got; (got = read(w->fd, room, sizeof(room))) > 0;)
        for (char *at = room; at < room + got;) {
            const struct inotify_event *e = (const struct inotify_event *)(void *)at;
            ours = concerns(w, e) || ours;
            if (e->mask & IN_IGNORED)
                forget_place(w, e->wd);
            at += sizeof(*e) + e->len;
        }
    if (ours)
        stir(w);
}

bool watch_restless(struct watch *w)
{
    if (w->fd != -1)
        on_events(&w->events, LOOP_READ); /* what the loop has not come to yet */
    return w->unrest;
}

/* A git command is changing files: in the hooks folder's repository, if it is in one. */
static bool git_at_work(const struct watch *w)
{
    char path[PATH_MAX];
    struct stat st;
    for (size_t len = strlen(w->hooks);; len--) {
        if (len != 0 && w->hooks[len] != '/' && w->hooks[len] != '\0')
            continue;
        if (snprintf(path, sizeof(path), "%.*s/.git", (int)len, w->hooks) >= (int)sizeof(path))
            return false;
        if (stat(path, &st) == 0)
            return snprintf(path, sizeof(path), "%.*s/.git/index.lock", (int)len, w->hooks) < (int)sizeof(path) &&
                   stat(path, &st) == 0;
        if (len == 0)
            return false;
    }
}

static void on_settled(struct timeout *t)
{
    struct watch *w = CONTAINER_OF(t, struct watch, settle);
    if (mono_before(loop_now(w->loop), w->latest) && git_at_work(w)) {
        stir(w);
        return;
    }
    w->unrest = false;
    w->changed(w->cookie);
}

static void on_look(struct timeout *t)
{
    struct watch *w = CONTAINER_OF(t, struct watch, look);
    timeout_set(w->loop, &w->look, mono_add(loop_now(w->loop), LOOK_EVERY), on_look);
    w->changed(w->cookie);
}
