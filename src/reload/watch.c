/*
 * watch.c: see watch.h. Of the folders of scripts every event counts that may concern a script; of the folders of .env
 * and above the hooks folder those with that name; of what lies on the way to them, only what happens to itself.
 */
#include "reload/watch.h"
#include "base/log.h"
#include "base/panic.h"
#include "io/timeout.h"
#include "reload/git_lock.h"
#include "reload/patrol.h"
#include "reload/places.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUIET DUR_MS(20)
#define AT_MOST DUR_S(5)
#define WRITERS_MAX 64 /* files being written at one time that are told from others; more are not waited for */

#define SELF_EVENTS (IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)
#define NAME_EVENTS (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define WRITE_EVENTS (IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO)

struct writer { /* a file that was changed and not closed since */
    int wd;
    uint64_t name; /* its sum */
    mono_t since;
};

struct watch {
    struct loop *loop;
    const char *hooks, *env_name, *hooks_name;
    const struct env_sources *sources;
    char *env_folder, *parent;
    struct places *places;
    struct loop_watch events;
    struct writer writers[WRITERS_MAX];
    size_t writer_count;
    bool unrest;
    mono_t latest; /* when an unrest must end */
    struct timeout settle;
    struct git_lock git;
    struct patrol patrol;
    bool blind;   /* said that something cannot be watched */
    bool written; /* among the events just read */
    struct watch_host host;
};

static void on_events(struct loop_watch *watched, unsigned events);
static void on_settled(struct timeout *t);
static void on_patrol(struct patrol *s);
static bool is_busy(struct patrol *s);

/* --- what is watched ---------------------------------------------------------------------------------------------- */

static char *folder_of(const char *path, const char **name_out)
{
    const char *slash = strrchr(path, '/');
    CHECK(slash != NULL); /* configuration makes them absolute */
    *name_out = slash + 1;
    return slash == path ? need_strdup("/") : slice_dup((struct slice){path, (size_t)(slash - path)});
}

static void add_fixed(struct watch *w)
{
    const struct env_sources *s = w->sources;
    places_add(w->places, w->env_folder, PLACE_ENV);
    places_add(w->places, w->parent, PLACE_PARENT);
    places_add_way(w->places, w->hooks, PLACE_NONE);
    places_add_way(w->places, s->env_file, PLACE_FILE);
    for (size_t i = 0; i < s->file_count; i++)
        places_add_way(w->places, s->files[i].path, PLACE_FILE);
    if (s->credentials != NULL)
        places_add_way(w->places, s->credentials, PLACE_CREDENTIALS);
}

struct watch *watch_new(struct loop *loop, const char *hooks, const struct env_sources *sources,
                        const struct watch_host *host)
{
    struct watch *w = need_zero(1, sizeof(*w));
    w->loop = loop;
    w->hooks = hooks;
    w->sources = sources;
    w->host = *host;
    w->env_folder = folder_of(sources->env_file, &w->env_name);
    w->parent = folder_of(hooks, &w->hooks_name);
    w->places = places_new();
    git_lock_init(&w->git, hooks);
    if (places_fd(w->places) != -1)
        loop_watch(loop, &w->events, places_fd(w->places), LOOP_READ, on_events);
    w->patrol =
        (struct patrol){.loop = loop, .hooks = hooks, .sources = sources, .differs = on_patrol, .busy = is_busy};
    patrol_begin(&w->patrol);
    watch_folders(w, NULL);
    return w;
}

void watch_free(struct watch **w)
{
    struct watch *gone = *w;
    *w = NULL;
    if (gone == NULL)
        return;
    timeout_clear(&gone->settle);
    patrol_end(&gone->patrol);
    loop_unwatch(&gone->events);
    places_free(&gone->places);
    free(gone->env_folder);
    free(gone->parent);
    free(gone);
}

/* Below the hooks folder; false when no path can be that long: the scan could not have opened it either. */
static bool path_below(const struct watch *w, const char *name, char path_out[PATH_MAX])
{
    return snprintf(path_out, PATH_MAX, "%s%s%s", w->hooks, name[0] != '\0' ? "/" : "", name) < PATH_MAX;
}

static bool add_scanned(struct watch *w, const struct scan *scan)
{
    bool fresh = false;
    char path[PATH_MAX];
    for (size_t i = 0; i < scan->folder_count; i++)
        if (path_below(w, scan->folders[i], path) && places_add(w->places, path, PLACE_SCANNED))
            fresh = true;
    for (size_t i = 0; i < scan->link_count; i++)
        if (path_below(w, scan->links[i], path) && places_add_way(w->places, path, PLACE_FILE))
            fresh = true;
    return fresh;
}

static void say_blind(struct watch *w, bool blind, const char *why)
{
    if (blind && !w->blind)
        log_at(LOG_WARN, "cannot watch for changes, looking every second instead", LOG_STR("error", why));
    else if (!blind && w->blind)
        log_at(LOG_INFO, "watching for changes again");
    w->blind = blind;
    patrol_blind(&w->patrol, blind);
}

bool watch_folders(struct watch *w, const struct scan *scan)
{
    struct error err;
    places_begin(w->places);
    add_fixed(w);
    bool fresh = scan != NULL && add_scanned(w, scan);
    bool blind = places_end(w->places, &err) != 0;
    if (scan != NULL || blind) /* the way to a folder alone says nothing about what can be watched below it */
        say_blind(w, blind, err.text);
    patrol_saw(&w->patrol, scan);
    return fresh;
}

void watch_unsettled(struct watch *w, bool unsettled)
{
    w->patrol.unsettled = unsettled;
}

/* --- files being written ------------------------------------------------------------------------------------------ */

/* FNV-1a. Two names with one sum would end each other's wait, no more. */
static uint64_t sum_of(const char *name)
{
    uint64_t sum = 0xcbf29ce484222325u;
    for (; *name != '\0'; name++)
        sum = (sum ^ (unsigned char)*name) * 0x100000001b3u;
    return sum;
}

/* Made this moment, and empty: its maker has it open (a link to another file is never both). */
static bool just_made(const struct place *p, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    return snprintf(path, sizeof(path), "%s/%s", p->path, name) < (int)sizeof(path) && lstat(path, &st) == 0 &&
           S_ISREG(st.st_mode) && st.st_size == 0 && st.st_nlink == 1;
}

static void note_writer(struct watch *w, const struct place *p, const struct inotify_event *e, const char *name)
{
    w->written = w->written || (e->mask & WRITE_EVENTS);
    struct writer who = {e->wd, sum_of(name), mono_now()};
    size_t at = 0;
    while (at < w->writer_count && (w->writers[at].wd != who.wd || w->writers[at].name != who.name))
        at++;
    if (e->mask & (IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_UNMOUNT)) {
        if (at < w->writer_count)
            w->writers[at] = w->writers[--w->writer_count];
    } else if (at == w->writer_count && at < WRITERS_MAX &&
               ((e->mask & IN_MODIFY) || ((e->mask & IN_CREATE) && just_made(p, name)))) {
        w->writers[w->writer_count++] = who;
    }
}

/* A file that is kept open for longer is taken as it is. */
static bool is_waited_for(const struct writer *who, mono_t now)
{
    return mono_since(now, who->since).ns < AT_MOST.ns;
}

static bool any_writes(const struct watch *w)
{
    mono_t now = mono_now();
    for (size_t i = 0; i < w->writer_count; i++)
        if (is_waited_for(&w->writers[i], now))
            return true;
    return false;
}

bool watch_is_written(struct watch *w, const char *path)
{
    char whole[PATH_MAX];
    if (places_fd(w->places) != -1)
        on_events(&w->events, LOOP_READ);
    if (w->writer_count == 0 || !path_below(w, path, whole))
        return false;
    mono_t now = mono_now();
    char *slash = strrchr(whole, '/');
    uint64_t name = sum_of(slash + 1);
    *slash = '\0';
    for (size_t i = 0; i < w->writer_count; i++) {
        const struct place *p = places_find(w->places, w->writers[i].wd);
        if (w->writers[i].name == name && p != NULL && strcmp(p->path, whole) == 0)
            return is_waited_for(&w->writers[i], now);
    }
    return false;
}

/* --- what happens ------------------------------------------------------------------------------------------------- */

static bool concerns_scripts(struct watch *w, const struct place *p, const struct inotify_event *e, const char *name)
{
    if (name[0] == '\0' || (e->mask & IN_ISDIR))
        return true;
    if (slice_ends(slice_of(name), SLICE(".lua"))) {
        note_writer(w, p, e, name);
        return true;
    }
    return e->mask & NAME_EVENTS; /* a link to a folder has any name */
}

/* Whether an event may have to do with what is served. */
static bool concerns(struct watch *w, const struct inotify_event *e)
{
    if (e->mask & IN_Q_OVERFLOW) {
        w->writer_count = 0; /* their end may be among what was lost */
        return true;
    }
    const struct place *p = places_find(w->places, e->wd);
    const char *name = e->len != 0 ? e->name : "";
    if (p == NULL || (e->mask & IN_IGNORED))
        return false;
    if ((p->kinds & PLACE_SCANNED) && concerns_scripts(w, p, e, name))
        return true;
    if ((p->kinds & PLACE_FILE) && name[0] == '\0') {
        note_writer(w, p, e, name);
        return true;
    }
    return (p->kinds & PLACE_CREDENTIALS) || ((p->kinds & PLACE_WAY) && name[0] == '\0' && (e->mask & SELF_EVENTS)) ||
           ((p->kinds & PLACE_ENV) && strcmp(name, w->env_name) == 0) ||
           ((p->kinds & PLACE_PARENT) && strcmp(name, w->hooks_name) == 0);
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
    w->written = false;
    for (ssize_t got; (got = read(places_fd(w->places), room, sizeof(room))) > 0;)
        for (char *at = room; at < room + got;) {
            const struct inotify_event *e = (const struct inotify_event *)(void *)at;
            ours = concerns(w, e) || ours;
            if (e->mask & IN_IGNORED)
                places_forget(w->places, e->wd);
            at += sizeof(*e) + e->len;
        }
    if (ours)
        stir(w);
    if (w->written)
        w->host.written(w->host.cookie);
}

bool watch_restless(struct watch *w)
{
    if (places_fd(w->places) != -1)
        on_events(&w->events, LOOP_READ); /* what the loop has not come to yet */
    return w->unrest || patrol_restless(&w->patrol);
}

static void on_settled(struct timeout *t)
{
    struct watch *w = CONTAINER_OF(t, struct watch, settle);
    if (mono_before(loop_now(w->loop), w->latest) && (any_writes(w) || git_lock_is_held(&w->git))) {
        stir(w);
        return;
    }
    w->unrest = false;
    w->patrol.trusts = true;
    w->host.changed(w->host.cookie);
}

static void on_patrol(struct patrol *s)
{
    struct watch *w = CONTAINER_OF(s, struct watch, patrol);
    w->host.changed(w->host.cookie);
}

static bool is_busy(struct patrol *s)
{
    return CONTAINER_OF(s, struct watch, patrol)->unrest;
}
