/*
 * descendants.c: a walk down the tree of /proc/PID/task/TID/children. See descendants.h.
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
};

struct walk {
    struct found *next; /* still to be visited, a stack */
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
        w->next = need_realloc(w->next, w->room * sizeof(*w->next));
    }
    w->next[w->count++] = (struct found){pid, parent};
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
    free(w->next);
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
        list[i] = w.next[i].pid;
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

/* Returns whether it may be killed. What is below a dead one is ours by now, and met by the next look. */
static bool kill_child(struct walk *w, pid_t child)
{
    bool forbidden = kill(child, SIGKILL) != 0 && errno == EPERM;

    if (waitpid(child, NULL, WNOHANG) != child)
        push_children(w, child);
    return !forbidden;
}

/* What was read of its children counts only if the number was still its own afterwards. */
static void kill_below(struct walk *w, const struct found *f)
{
    int fd = pidfd_open(f->pid, 0);

    if (fd < 0)
        return;
    pid_t parent = parent_of(w, f->pid);
    if (parent == f->parent || parent == getpid()) {
        size_t before = w->count;

        pidfd_send_signal(fd, SIGKILL, NULL, 0);
        push_children(w, f->pid);
        if (pidfd_send_signal(fd, 0, NULL, 0) != 0 && errno == ESRCH)
            w->count = before;
    }
    fd_close(&fd);
}

enum descendants_left descendants_kill(bool (*spare)(pid_t child, void *cookie), void *cookie)
{
    struct walk w = {0};
    pid_t self = getpid();
    size_t children = 0, forbidden = 0;

    push_children(&w, self);
    while (w.count > 0) {
        struct found f = w.next[--w.count];

        if (f.parent == self) {
            if (spare != NULL && spare(f.pid, cookie))
                continue;
            children++;
            forbidden += !kill_child(&w, f.pid);
        } else {
            kill_below(&w, &f);
        }
    }
    end_walk(&w);
    if (children == 0)
        return DESCENDANTS_NONE;
    return forbidden == children ? DESCENDANTS_FORBIDDEN : DESCENDANTS_LEFT;
}
