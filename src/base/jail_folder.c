/*
 * jail_folder.c: see jail_folder.h. Landlock lets stat(2) and access(2) pass, and refuses to open: so a file without a
 * name is opened to try.
 */
#include "base/jail_folder.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder as it is now: its real path, and what stat says. */
static bool find(const struct jail_folder *f, char real[PATH_MAX], struct stat *st_out)
{
    char room[PATH_MAX];

    if (!f->of_file) {
        if (realpath(f->path, real) == NULL)
            return false;
    } else if (realpath(f->path, room) != NULL) {
        snprintf(real, PATH_MAX, "%s", dirname(room));
    } else { /* the file is not there, or is not yet */
        snprintf(room, sizeof(room), "%s", f->path);
        if (realpath(dirname(room), real) == NULL)
            return false;
    }
    return stat(real, st_out) == 0;
}

void jail_folder_note(struct jail_folder *f, const char *path, bool of_file)
{
    char real[PATH_MAX];
    struct stat st;

    *f = (struct jail_folder){.path = path, .of_file = of_file};
    if (find(f, real, &st)) {
        f->device = st.st_dev;
        f->inode = st.st_ino;
    }
}

/* Whether it can be read, and, where the user may, written to; errno. */
static bool is_open(const char *real)
{
    int fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return false;
    fd_close(&fd);
    if (faccessat(AT_FDCWD, real, W_OK, AT_EACCESS) != 0)
        return true;
    fd = open(real, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    fd_close(&fd);
    return true;
}

/* Where a file system knows no files without a name, nothing tells the jail from the rest: that the folder is another
 * one will do. */
static bool is_jail_that_refuses(const char *real)
{
    return (errno == EACCES || errno == EOPNOTSUPP) && faccessat(AT_FDCWD, real, R_OK | X_OK, AT_EACCESS) == 0;
}

bool jail_folder_lost(struct jail_folder *f, char real_out[PATH_MAX])
{
    struct stat st;

    if (!find(f, real_out, &st) || (st.st_dev == f->device && st.st_ino == f->inode))
        return false;
    if (!is_open(real_out))
        return is_jail_that_refuses(real_out);
    /* Else the user may be let in later, and the jail not. */
    if (faccessat(AT_FDCWD, real_out, W_OK, AT_EACCESS) == 0) {
        f->device = st.st_dev;
        f->inode = st.st_ino;
    }
    return false;
}
