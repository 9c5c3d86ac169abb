/*
 * logfile.c: see logfile.h. As the user first: what root alone may do is left for what that cannot.
 */
#include "base/logfile.h"

#include "base/fd.h"
#include "base/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOW (O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define MODE 0640

/* denied_out: whether it is the user's rights that do not suffice. */
static int open_as(const char *path, const struct jail_user *user, bool *denied_out, struct error *err)
{
    struct jail_own own;
    int fd;

    *denied_out = false;
    if (jail_borrow(user, &own, err) != 0)
        return -1;
    fd = open(path, HOW, MODE);
    jail_give_back(&own);
    *denied_out = fd < 0 && errno == EACCES;
    return fd >= 0 ? fd : error_errno(err, "cannot open the log file %s as user %s", path, user->name);
}

/* --- what root makes ---------------------------------------------------------------------------------------------- */

/*
 * Whether nobody but root can change what stands in the folder. With the sticky bit everybody may add to it, but nobody
 * moves or removes what is root's: that will do for a folder on the way, which the next look finds to be root's.
 */
static bool is_roots(int folder, bool on_the_way)
{
    struct stat st;

    return fstat(folder, &st) == 0 && st.st_uid == 0 &&
           ((st.st_mode & (S_IWGRP | S_IWOTH)) == 0 || (on_the_way && (st.st_mode & S_ISVTX) != 0));
}

/* The next folder on the way, in place of the one before; a link is none. */
static int go_on(int *at, struct slice name)
{
    char text[NAME_MAX + 1];
    int next = -1;

    if (name.len < sizeof(text)) {
        memcpy(text, name.at, name.len);
        text[name.len] = '\0';
        next = openat(*at, text, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    fd_close(at);
    *at = next;
    return next >= 0 ? 0 : -1;
}

/* The folder, from the root on by what is root's alone; or -1: it is not so. */
static int open_roots_folder(struct slice path)
{
    struct slice rest = path, name;
    int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

    while (at >= 0 && slice_cut(&rest, '/', &name))
        if (name.len > 0 && (!is_roots(at, true) || go_on(&at, name) != 0))
            fd_close(&at);
    if (at >= 0 && !is_roots(at, false))
        fd_close(&at);
    return at;
}

/* A new file of the user's; errno. */
static int make_for(int folder, const char *name, const struct jail_user *user)
{
    int fd = openat(folder, name, HOW | O_EXCL | O_NOFOLLOW, MODE), why;

    if (fd < 0 || fchown(fd, user->uid, user->gid) == 0)
        return fd;
    why = errno;
    unlinkat(folder, name, 0);
    fd_close(&fd);
    errno = why;
    return -1;
}

static int make(const char *path, const struct jail_user *user, struct error *err)
{
    const char *name = strrchr(path, '/') + 1;
    struct slice before = {path, (size_t)(name - path)};
    int folder = open_roots_folder(before), fd;

    if (folder < 0)
        return error_set(err,
                         "cannot open the log file %s as user %s: Permission denied; root makes no log where others "
                         "can change %.*s, or a link leads there",
                         path, user->name, SLICE_ARG(before));
    fd = make_for(folder, name, user);
    fd_close(&folder);
    if (fd < 0 && errno == EEXIST) /* and not for this user: nobody gives it away */
        errno = EACCES;
    return fd >= 0 ? fd : error_errno(err, "cannot open the log file %s as user %s", path, user->name);
}

/* --- */

int logfile_open(const char *path, const struct jail_user *user, struct error *err)
{
    bool denied;
    int fd;

    if (user == NULL || user->name == NULL || user->uid == 0 || geteuid() != 0) {
        fd = open(path, HOW, MODE);
        return fd >= 0 ? fd : error_errno(err, "cannot open the log file %s", path);
    }
    fd = open_as(path, user, &denied, err);
    return denied ? make(path, user, err) : fd;
}
