/*
 * descendants.c: a walk down the tree of /proc/PID/task/TID/children. See descendants.h.
 * It stops everybody on its way down, and kills when it has seen all: who is stopped neither forks nor ends, so the
 * tree stands still, and there is nobody left to wake up who competes for the processor. Were each killed when met, its
 * children would be ours before they are listed, and would have forked before the next look.
 * A child of ours keeps its number until we collect its end, so the number is enough to kill it. Further down a number
 * may have been given to somebody else since it was read: there a pidfd is opened first, then the parent is looked at
 * again, and the signal goes to the pidfd.
 */
#include "exec/descendants.h"

#include "base/buf.h"
#include "base/fd.h"
#include "base/panic.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIST_MAX (4u << 20) /* bytes of one list of children: more than there are process numbers */

struct found {
    pid_t pid, parent;
    enum { MET, SPARED, ENDED } what;
};

struct walk {
    struct found *all; /* in the order they were found */
    size_t count, room;
    struct buf text;
};

void descendants_adopt(void)
{
    NEED(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
}

static void push(struct walk *w, pid_t pid, pid_t parent)
{
    if (w->count == w->room) {
        w->room = w->room == 0 ? 64 : w->room * 2;
        w->all = need_realloc(w->all, w->room * sizeof(*w->all));
    }
    w->all[w->count++] = (struct found){.pid = pid, .parent = parent};
}

/* The kernel calls it a file without a length: read until nothing comes. */
static bool read_text(const char *path, struct buf *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && fd_read_all(fd, LIST_MAX, text, NULL) == 0;

    fd_close(&fd);
    return good;
}

static void push_list(struct walk *w, const char *path, pid_t parent)
{
    char *rest;

    buf_clear(&w->text);
    if (!read_text(path, &w->text))
        return;
    rest = (char *)buf_text(&w->text);
    for (long pid = strtol(rest, &rest, 10); pid > 0; pid = strtol(rest, &rest, 10))
        push(w, (pid_t)pid, parent);
}

/* Each thread has a list of its own. */
static void push_children(struct walk *w, pid_t pid)
{
    char path[64];
    DIR *threads;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    if ((threads = opendir(path)) == NULL)
        return;
    for (struct dirent *e; (e = readdir(threads)) != NULL;) {
        long thread = strtol(e->d_name, NULL, 10);

        if (thread <= 0)
            continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%ld/children", (int)pid, thread);
        push_list(w, path, pid);
    }
    closedir(threads);
}

static void end_walk(struct walk *w)
{
    free(w->all);
    buf_free(&w->text);
}

pid_t *descendants_children(pid_t pid, size_t *count_out)
{
    struct walk w = {0};
    pid_t *list = NULL;

    push_children(&w, pid);
    *count_out = w.count;
    if (w.count > 0)
        list = need_zero(w.count, sizeof(*list));
    for (size_t i = 0; i < w.count; i++)
        list[i] = w.all[i].pid;
    end_walk(&w);
    return list;
}

/* 0: it has gone. The name in the line may hold anything, so the fields are counted from its last bracket. */
static pid_t parent_of(struct walk *w, pid_t pid)
{
    char path[32], *after;
    int parent = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    buf_clear(&w->text);
    if (!read_text(path, &w->text))
        return 0;
    after = strrchr(buf_text(&w->text), ')');
    return after != NULL && sscanf(after, ") %*c %d", &parent) == 1 ? parent : 0;
}

/* To one that is not our child; false: it has gone. What is pushed by it counts only if the number was still its own.
 */
static bool signal_below(struct walk *w, const struct found *f, int number, bool list)
{
    int fd = pidfd_open(f->pid, 0);
    size_t before = w->count;

    if (fd < 0)
        return false;
    pid_t parent = parent_of(w, f->pid);
    bool is_it = parent == f->parent || parent == getpid();
    if (is_it)
        pidfd_send_signal(fd, number, NULL, 0);
    if (is_it && list)
        push_children(w, f->pid);
    if (is_it && pidfd_send_signal(fd, 0, NULL, 0) != 0 && errno == ESRCH) {
        w->count = before;
        is_it = false;
    }
    fd_close(&fd);
    return is_it;
}

/* Stops number i of those that were found, and finds who is below it. */
static void stop(struct walk *w, size_t i, bool (*spare)(pid_t child, void *cookie), void *cookie)
{
    struct found f = w->all[i];

    if (f.parent != getpid()) {
        w->all[i].what = signal_below(w, &f, SIGSTOP, true) ? MET : ENDED;
    } else if (spare != NULL && spare(f.pid, cookie)) {
        w->all[i].what = SPARED;
    } else if (waitpid(f.pid, NULL, WNOHANG) == f.pid) {
        w->all[i].what = ENDED; /* what was below it has become ours, perhaps since this look began */
    } else {
        kill(f.pid, SIGSTOP);
        push_children(w, f.pid);
    }
}

static enum descendants_left kill_met(struct walk *w)
{
    size_t children = 0, forbidden = 0;

    for (size_t i = 0; i < w->count; i++) {
        struct found f = w->all[i];
        bool child = f.parent == getpid();

        children += child && f.what != SPARED;
        if (f.what == MET && child)
            forbidden += kill(f.pid, SIGKILL) != 0;
        else if (f.what == MET)
            signal_below(w, &f, SIGKILL, false);
    }
    if (children == 0)
        return DESCENDANTS_NONE;
    return forbidden == children ? DESCENDANTS_FORBIDDEN : DESCENDANTS_LEFT;
}

enum descendants_left descendants_kill(bool (*spare)(pid_t child, void *cookie), void *cookie)
{
    struct walk w = {0};
    enum descendants_left left;

    push_children(&w, getpid());
    for (size_t i = 0; i < w.count; i++)
        stop(&w, i, spare, cookie);
    left = kill_met(&w);
    end_walk(&w);
    return left;
}
