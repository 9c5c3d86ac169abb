/*
 * binary.c: see binary.h.
 */
#include "supervise/binary.h"

#include "base/buf.h"
#include "base/fd.h"
#include "base/panic.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#define DELETED " (deleted)" /* what proc(5) adds to the path of a file that was unlinked, or renamed over */

int binary_running(struct error *err)
{
    int fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);

    return fd >= 0 ? fd : error_errno(err, "cannot open the running binary (/proc/self/exe)");
}

static bool is_running(const struct stat *file)
{
    struct stat running;

    return stat("/proc/self/exe", &running) == 0 && file->st_dev == running.st_dev && file->st_ino == running.st_ino;
}

bool binary_runs(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && is_running(&st);
}

/* The path that exec was given, made absolute; NULL where that is not where the binary stands. malloc'ed. */
static char *called_path(void)
{
    const char *called = (const char *)getauxval(AT_EXECFN);
    char *here = getcwd(NULL, 0), *found = NULL;
    struct buf path = {0};
    struct stat st;

    if (called != NULL && (called[0] == '/' || here != NULL)) {
        if (called[0] != '/')
            buf_addf(&path, "%s/", here);
        buf_add_text(&path, called);
        /* started by a descriptor, it is called /dev/fd/N, which is another file tomorrow */
        if (stat(buf_text(&path), &st) == 0 && is_running(&st) && strncmp(buf_text(&path), "/dev/", 5) != 0 &&
            strncmp(buf_text(&path), "/proc/", 6) != 0)
            found = buf_take(&path);
    }
    buf_free(&path);
    free(here);
    return found;
}

char *binary_path(void)
{
    char *path = called_path(), room[PATH_MAX];
    ssize_t len;
    struct slice found;

    if (path != NULL)
        return path;
    len = readlink("/proc/self/exe", room, sizeof(room));
    if (len <= 0 || len == sizeof(room) || room[0] != '/')
        return NULL;
    found = (struct slice){room, (size_t)len};
    if (slice_ends(found, SLICE(DELETED)))
        found.len -= sizeof(DELETED) - 1;
    return slice_dup(found);
}

int binary_open(const char *path, struct error *err)
{
    struct stat st;
    int fd = open(path, O_PATH | O_CLOEXEC);

    if (fd < 0)
        return error_errno(err, "cannot open the binary %s", path);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0) {
        fd_close(&fd);
        return error_set(err, "the binary %s: not an executable file", path);
    }
    return fd;
}
