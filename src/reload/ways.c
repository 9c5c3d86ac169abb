/*
 * ways.c: see ways.h. As path_resolution(7) says, by hand.
 */
#include "reload/ways.h"
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as the kernel */

struct walk {
    char done[PATH_MAX]; /* without a link in it; "" is the root */
    char rest[PATH_MAX];
    unsigned links;
};

static void step_up(struct walk *w)
{
    char *slash = strrchr(w->done, '/');
    if (slash != NULL)
        *slash = '\0';
}

/* Takes the next name off the rest and puts it behind what is done; false at the end, or when it is too long. named:
 * it is neither "." nor "..". */
static bool step(struct walk *w, bool *named_out)
{
    const char *name = w->rest + strspn(w->rest, "/");
    size_t len = strcspn(name, "/"), done = strlen(w->done);
    if (len == 0 || done + 1 + len >= sizeof(w->done))
        return false;
    *named_out = true;
    if (len == 2 && memcmp(name, "..", 2) == 0) {
        step_up(w);
        *named_out = false;
    } else if (len == 1 && name[0] == '.') {
        *named_out = false;
    } else {
        w->done[done] = '/';
        memcpy(w->done + done + 1, name, len);
        w->done[done + 1 + len] = '\0';
    }
    memmove(w->rest, name + len, strlen(name + len) + 1);
    return true;
}

static bool follow(struct walk *w)
{
    char target[PATH_MAX], rest[PATH_MAX];
    ssize_t len = readlink(w->done, target, sizeof(target) - 1);
    if (len < 0 || ++w->links > LINKS_MAX)
        return false;
    target[len] = '\0';
    if (snprintf(rest, sizeof(rest), "%s/%s", target, w->rest) >= (int)sizeof(rest))
        return false;
    memcpy(w->rest, rest, strlen(rest) + 1);
    if (target[0] == '/')
        w->done[0] = '\0';
    else
        step_up(w);
    return true;
}

void ways_walk(const char *path, void (*meet)(void *cookie, const char *at, enum way_part part), void *cookie)
{
    struct walk w = {.links = 0};
    struct stat st;
    if (snprintf(w.rest, sizeof(w.rest), "%s", path) >= (int)sizeof(w.rest))
        return;
    for (bool named = true; step(&w, &named);) {
        bool last = w.rest[strspn(w.rest, "/")] == '\0';
        if (w.done[0] == '\0' || (!named && !last))
            continue;
        if (lstat(w.done, &st) != 0)
            return;
        if (S_ISLNK(st.st_mode)) {
            meet(cookie, w.done, WAY_LINK);
            if (!follow(&w))
                return;
        } else {
            meet(cookie, w.done, last ? WAY_END : WAY_FOLDER);
        }
    }
}
