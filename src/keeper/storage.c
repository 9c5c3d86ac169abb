/*
 * storage.c: see storage.h.
 */
#include "keeper/storage.h"
#include "base/log.h"
#include "base/panic.h"
#include "store/open.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct storage {
    struct storage_host host;
    struct store *store;
    char *path;
    bool first;  /* nothing is served under this configuration yet */
    bool away;   /* it was so when the keeper before ended */
    bool judged; /* the first try to open it is over */
    struct loop_later serve;
};

/* FNV-1a of the path; never 0. */
static uint64_t number_of(const char *path)
{
    uint64_t n = 14695981039346656037u;
    for (; *path != '\0'; path++)
        n = (n ^ (unsigned char)*path) * 1099511628211u;
    return n | 1;
}

/* The default, which is not there and cannot be made: a folder that may only be read. A link there was made by
 * somebody.
 */
static bool may_do_without(const struct storage *s)
{
    if (s->host.config->store_given || faccessat(AT_FDCWD, s->path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
        return false;
    char *folder = need_strdup(s->path), *slash = strrchr(folder, '/');
    slash[slash == folder] = '\0';
    bool writable = access(folder, W_OK | X_OK) == 0;
    free(folder);
    return !writable;
}

static void judge(struct storage *s, bool up, const char *why)
{
    bool excused = !up && s->first && may_do_without(s);
    if (!up && (!s->first || excused))
        log_at(excused ? LOG_WARN : LOG_ERROR, "there is no store: what needs it is answered 503",
               LOG_STR("store", s->path), LOG_STR("error", why));
    if (s->first && !up && !excused)
        s->host.refused(s->host.cookie, why);
    else if (s->first)
        s->host.ready(s->host.cookie);
}

static void on_turned(void *cookie, bool up, const char *why)
{
    struct storage *s = cookie;
    if (up)
        atomic_store(&s->host.area->store, number_of(s->path));
    if (!s->judged && up && s->away) /* this store has not seen it go, and would not tell */
        log_at(LOG_INFO, "the store is back", LOG_STR("store", s->path));
    if (!s->judged)
        judge(s, up, why);
    s->judged = true;
}

static void on_serve(struct loop_later *later)
{
    struct storage *s = CONTAINER_OF(later, struct storage, serve);
    s->host.ready(s->host.cookie);
}

struct storage *storage_new(const struct storage_host *host, struct error *err)
{
    struct storage *s = need_zero(1, sizeof(*s));
    struct store_place place = {0};
    struct slice path;
    const struct store_host store = {
        .loop = host->loop, .counters = &host->area->keeper, .turned = on_turned, .cookie = s};
    s->host = *host;
    loop_later_init(&s->serve, on_serve);
    CHECK(store_open_read(host->config->store, &place.driver, &path, err) == 0); /* the config child has read it, too */
    s->path = slice_dup(path);
    s->first = atomic_load(area_generation(host->area)) == 0;
    place.path = s->path;
    place.may_create = atomic_load(&host->area->store) != number_of(s->path);
    s->away = !place.may_create && counters_get(&host->area->keeper, COUNTER_store_up) == 0;
    counters_set(&host->area->keeper, COUNTER_store_up, 0);
    s->store = store_new(&store, &place, err);
    if (s->store == NULL) {
        free(s->path);
        free(s);
        return NULL;
    }
    if (!s->first)
        loop_later(host->loop, &s->serve);
    return s;
}

struct store *storage_store(struct storage *s)
{
    return s->store;
}

void storage_free(struct storage **sp, dur_t most)
{
    struct storage *s = *sp;
    *sp = NULL;
    if (s == NULL || !store_free(&s->store, most))
        return;
    loop_later_cancel(&s->serve);
    free(s->path);
    free(s);
}
