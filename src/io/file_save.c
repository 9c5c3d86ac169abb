/*
 * file_save.c: a file that is there as a whole or not at all. It is written without a name (O_TMPFILE), so that nothing
 * is left of one whose process dies, synced, and only then linked; where the file system cannot do that (some network
 * and FUSE ones), under a name of its own that begins with ".crescent-". See file.h.
 */
#include "base/fd.h"
#include "base/panic.h"
#include "crypto/random.h"
#include "io/file_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOT_NAME "the folder of the setting files"

/* --- the folder ------------------------------------------------------------------------------------------------- */

/* Makes the root, so that it outlasts a crash. */
static int make_root(const char *root)
{
    char *copy = need_strdup(root);
    int parent = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int done = parent == -1 ? -1 : mkdir(root, 0777) == 0 ? fsync(parent) : errno == EEXIST ? 0 : -1;
    int why = errno;
    fd_close(&parent);
    free(copy);
    errno = why;
    return done;
}

/* Makes the folder `name` in `parent`, so that it outlasts a crash. One that is there already is fine. */
static int make_folder(int parent, const char *name)
{
    if (mkdirat(parent, name, 0777) != 0)
        return errno == EEXIST ? 0 : -1;
    return fsync(parent);
}

/*
 * The folder `path` beneath root, made where it is missing. Each part is looked up from the root again: a link in the
 * part before it is resolved there. -1 with errno.
 */
static int open_folder_making(int root, char *path)
{
    int parent = file_open_beneath(root, ".", O_RDONLY | O_DIRECTORY), fd = -1;
    char *part = path;
    while (parent != -1) {
        char *slash = strchr(part, '/');
        if (slash != NULL)
            *slash = '\0';
        fd = file_open_beneath(root, path, O_RDONLY | O_DIRECTORY);
        if (fd == -1 && errno == ENOENT && make_folder(parent, part) == 0)
            fd = file_open_beneath(root, path, O_RDONLY | O_DIRECTORY);
        fd_close(&parent);
        if (slash == NULL)
            break;
        *slash = '/';
        part = slash + 1;
        parent = fd;
        fd = -1;
    }
    return fd;
}

/* Opens the folder that the file shall stand in, and takes its name. */
static int open_folder(struct file_save *s, int root, const char *path, bool make)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    CHECK(strlen(name) < sizeof(s->name)); /* file_check_path */
    strcpy(s->name, name);
    if (slash == NULL) {
        s->folder = file_open_beneath(root, ".", O_RDONLY | O_DIRECTORY);
    } else {
        char *before = slice_dup((struct slice){path, (size_t)(slash - path)});
        s->folder = make ? open_folder_making(root, before) : file_open_beneath(root, before, O_RDONLY | O_DIRECTORY);
        free(before);
    }
    return s->folder == -1 ? -1 : 0;
}

/* --- the file --------------------------------------------------------------------------------------------------- */

static void name_temp(struct file_save *s)
{
    unsigned char bytes[12];
    random_fill(bytes, sizeof(bytes));
    int at = snprintf(s->temp, sizeof(s->temp), ".crescent-");
    for (size_t i = 0; i < sizeof(bytes); i++)
        at += snprintf(s->temp + at, sizeof(s->temp) - (size_t)at, "%02x", bytes[i]);
}

static int open_new(struct file_save *s)
{
    s->fd = openat(s->folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (s->fd != -1 ||
        (errno != EOPNOTSUPP && errno != EISDIR)) /* EISDIR: kernels and systems that know no such flag */
        return s->fd == -1 ? -1 : 0;
    name_temp(s);
    s->fd = openat(s->folder, s->temp, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (s->fd == -1)
        s->temp[0] = '\0';
    return s->fd == -1 ? -1 : 0;
}

/* What will certainly fail is said before a byte is written; the link at the end decides. */
static int look_ahead(const struct file_save *s)
{
    struct stat st;
    if (fstatat(s->folder, s->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : -1;
    errno = S_ISDIR(st.st_mode) ? EISDIR : EEXIST;
    return s->overwrite && !S_ISDIR(st.st_mode) ? 0 : -1;
}

enum file_code file_save_open(struct file_save *s, const char *root, const char *path, bool overwrite, bool mkdir,
                              struct error *err)
{
    *s = (struct file_save){.folder = -1, .fd = -1, .overwrite = overwrite};
    enum file_code code = file_check_path(slice_of(path), err);
    if (code != FILE_OK)
        return code;
    int folder = file_open_root(root);
    bool none = folder == -1 && errno == ENOENT;
    if (none && make_root(root) == 0)
        folder = file_open_root(root);
    if (folder == -1)
        return file_fault(none ? ROOT_NAME " is not there, and cannot be made" : ROOT_NAME, err);
    if (open_folder(s, folder, path, mkdir) != 0 || look_ahead(s) != 0 || open_new(s) != 0)
        code = file_fault(path, err);
    fd_close(&folder);
    if (code != FILE_OK)
        file_save_drop(s);
    return code;
}

enum file_code file_save_write(struct file_save *s, struct slice bytes, struct error *err)
{
    return fd_write_all(s->fd, bytes) == 0 ? FILE_OK : file_fault(s->name, err);
}

/* --- its name --------------------------------------------------------------------------------------------------- */

/* Gives what has no name this one, in the folder; fails when there is one. */
static int link_as(struct file_save *s, const char *name)
{
    char self[64];
    snprintf(self, sizeof(self), "/proc/self/fd/%d", s->fd);
    if (linkat(AT_FDCWD, self, s->folder, name, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    /* Without /proc the kernel takes the descriptor itself, from 6.10 on or from root. */
    return errno == ENOENT ? linkat(s->fd, "", s->folder, name, AT_EMPTY_PATH) : -1;
}

static int rename_new(struct file_save *s)
{
    if (renameat2(s->folder, s->temp, s->folder, s->name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    return linkat(s->folder, s->temp, s->folder, s->name, 0) != 0 || unlinkat(s->folder, s->temp, 0) != 0 ? -1 : 0;
}

static int publish(struct file_save *s)
{
    if (!s->overwrite && s->temp[0] == '\0')
        return link_as(s, s->name);
    if (s->temp[0] == '\0') { /* a link never replaces: a name for the time between two calls */
        name_temp(s);
        if (link_as(s, s->temp) != 0) {
            s->temp[0] = '\0';
            return -1;
        }
    }
    int done = s->overwrite ? renameat(s->folder, s->temp, s->folder, s->name) : rename_new(s);
    if (done == 0)
        s->temp[0] = '\0';
    return done;
}

enum file_code file_save_finish(struct file_save *s, struct error *err)
{
    enum file_code code = FILE_OK;
    if (fsync(s->fd) != 0 || publish(s) != 0) {
        code = file_fault(s->name, err);
    } else if (fsync(s->folder) != 0) {
        code = file_fault(s->name, err);
        error_prefix(err, "saved, but it may not outlast a crash");
    }
    file_save_drop(s);
    return code;
}

void file_save_drop(struct file_save *s)
{
    if (s->temp[0] != '\0')
        unlinkat(s->folder, s->temp, 0);
    s->temp[0] = '\0';
    fd_close(&s->fd);
    fd_close(&s->folder);
}
