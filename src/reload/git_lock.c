/*
 * git_lock.c: see git_lock.h. A lock's age is what the wall clock says less its modification time. After a step of that
 * clock a fresh lock may look old, so for a while no lock is taken for a stale one; one from the future is fresh.
 */
#include "reload/git_lock.h"
#include "base/log.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STALE DUR_S(10) /* longer than a change is waited for: no command that a save may belong to */
#define STEP DUR_S(1)

static int64_t offset_now(void)
{
    return wall_now().ns - mono_now().ns;
}

void git_lock_init(struct git_lock *l, const char *folder)
{
    *l = (struct git_lock){.folder = folder, .offset = offset_now()};
}

/* The lock's path in the repository that the folder is in; false: it is in none. */
static bool find_path(const struct git_lock *l, char path_out[PATH_MAX])
{
    struct stat st;
    for (size_t len = strlen(l->folder);; len--) {
        if (len != 0 && l->folder[len] != '/' && l->folder[len] != '\0')
            continue;
        if (snprintf(path_out, PATH_MAX, "%.*s/.git", (int)len, l->folder) >= PATH_MAX)
            return false;
        if (stat(path_out, &st) == 0)
            return snprintf(path_out, PATH_MAX, "%.*s/.git/index.lock", (int)len, l->folder) < PATH_MAX;
        if (len == 0)
            return false;
    }
}

static bool clock_was_set(struct git_lock *l)
{
    int64_t offset = offset_now();
    if (llabs(offset - l->offset) > STEP.ns)
        l->set = mono_now();
    l->offset = offset;
    return mono_since(mono_now(), l->set).ns < STALE.ns;
}

static bool is_stale(struct git_lock *l, const struct stat *st)
{
    int64_t made = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
    return !clock_was_set(l) && wall_now().ns - made > STALE.ns;
}

static void tell(struct git_lock *l, const char *path)
{
    if (!l->told)
        log_at(LOG_WARN, "a stale lock of git is not waited for: remove it if no git command runs",
               LOG_STR("file", path));
    l->told = true;
}

bool git_lock_is_held(struct git_lock *l)
{
    char path[PATH_MAX];
    struct stat st;
    if (!find_path(l, path) || stat(path, &st) != 0) {
        l->told = false;
        return false;
    }
    if (!is_stale(l, &st))
        return true;
    tell(l, path);
    return false;
}
