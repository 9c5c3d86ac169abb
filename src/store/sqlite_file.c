/*
 * sqlite_file.c: see sqlite_file.h.
 */
#include "store/sqlite_file.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/panic.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define HEADER "SQLite format 3"

/* The name of a new file is durable when its folder is. */
static int sync_folder(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL   ? need_strdup(".")
                   : slash == path ? need_strdup("/")
                                   : strndup(path, (size_t)(slash - path));
    NEED(folder != NULL);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int done = fd >= 0 && fsync(fd) == 0 ? 0 : error_errno(err, "folder %s", folder);
    fd_close(&fd);
    free(folder);
    return done;
}

/* A link that leads nowhere: what is missing may be a volume, so nothing is made behind it. */
static int refuse_link(const char *given, struct error *err)
{
    char to[PATH_MAX];
    ssize_t len = readlink(given, to, sizeof(to));
    if (len <= 0)
        return error_errno(err, "cannot read the symbolic link %s", given);
    return error_set(err, "%s is a symbolic link to %.*s, and no file is there", given, (int)len, to);
}

/* A file that is to be made: its name in the folder where it really is. */
static char *real_place(const char *given)
{
    const char *slash = strrchr(given, '/');
    struct buf path = {0};
    char *folder = slash == NULL ? need_strdup(".") : strndup(given, slash == given ? 1 : (size_t)(slash - given));
    NEED(folder != NULL);
    char *real = realpath(folder, NULL);
    if (real != NULL)
        buf_addf(&path, "%s/%s", strcmp(real, "/") == 0 ? "" : real, slash == NULL ? given : slash + 1);
    else /* opening it will say why */
        buf_add_text(&path, given);
    free(folder);
    free(real);
    return buf_take(&path);
}

/* SQLite puts its log beside the file itself, not beside a link to it: so do the lock and all that is looked at. */
static int resolve(struct sqlite_file *f, struct error *err)
{
    struct stat st;
    f->path = realpath(f->given, NULL);
    if (f->path == NULL && errno == ENOENT && lstat(f->given, &st) == 0 && S_ISLNK(st.st_mode))
        return refuse_link(f->given, err);
    if (f->path == NULL)
        f->path = real_place(f->given);
    struct buf log = {0};
    buf_addf(&log, "%s-wal", f->path);
    f->log_path = buf_take(&log);
    return 0;
}

static int open_file(struct sqlite_file *f, bool may_create, struct error *err)
{
    f->fd = open(f->path, O_RDWR | O_CLOEXEC | O_NOCTTY |
                              O_NONBLOCK); /* of a pipe in its place nobody waits for the other end */
    if (f->fd >= 0)
        return 0;
    if (errno != ENOENT)
        return error_errno(err, "cannot open %s to write", f->path);
    if (!may_create)
        return error_set(err, "%s has gone; it was there when the server started, so no empty one is made in its place",
                         f->path);
    f->fd = open(f->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (f->fd < 0)
        return error_errno(err, "cannot make %s", f->path);
    return sync_folder(f->path, err);
}

/* Who has an flock on it, by /proc/locks ("7: FLOCK  ADVISORY  WRITE 4711 08:02:1234 0 EOF"); 0: not known. */
static int holder(int fd)
{
    FILE *locks = fopen("/proc/locks", "re");
    struct stat st;
    char line[256];
    int found = 0;
    if (locks == NULL)
        return 0;
    while (found == 0 && fstat(fd, &st) == 0 && fgets(line, sizeof(line), locks) != NULL) {
        unsigned major_number, minor_number;
        unsigned long long inode;
        int pid;
        if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%llu", &pid, &major_number, &minor_number, &inode) == 4 &&
            inode == st.st_ino && makedev(major_number, minor_number) == st.st_dev)
            found = pid;
    }
    fclose(locks);
    return found > 0 ? found : 0;
}

static int lock(struct sqlite_file *f, struct error *err)
{
    char who[48] = "";
    if (flock(f->fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return error_errno(err, "cannot lock %s", f->path);
    int pid = holder(f->fd);
    if (pid != 0)
        snprintf(who, sizeof(who), " (its process %d has it)", pid);
    return error_set(err, "%s is in use by another server%s: each needs a store of its own", f->path, who);
}

/* SQLite would find out, too, but only when it reads, and in fewer words. */
static int look_at(struct sqlite_file *f, struct error *err)
{
    struct stat st;
    char header[sizeof(HEADER)];
    if (fstat(f->fd, &st) != 0)
        return error_errno(err, "%s", f->path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, "%s is no regular file", f->path);
    if (st.st_size == 0)
        return 0;
    ssize_t got = pread(f->fd, header, sizeof(header), 0);
    if (got < 0)
        return error_errno(err, "cannot read %s", f->path);
    if (got != sizeof(header) || memcmp(header, HEADER, sizeof(header)) != 0)
        return error_set(err, "%s is no SQLite database, or its beginning was overwritten", f->path);
    return 0;
}

int sqlite_file_open(struct sqlite_file *f, const char *path, bool may_create, struct error *err)
{
    *f = (struct sqlite_file){.fd = -1, .log_fd = -1, .given = need_strdup(path)};
    if (resolve(f, err) == 0 && open_file(f, may_create, err) == 0 && lock(f, err) == 0 && look_at(f, err) == 0)
        return 0;
    sqlite_file_close(f);
    return -1;
}

int sqlite_file_note(struct sqlite_file *f, struct error *err)
{
    struct stat st;
    f->log_fd = open(f->log_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (f->log_fd < 0 || fstat(f->log_fd, &st) != 0)
        return error_errno(err, "%s", f->log_path);
    f->log_inode = st.st_ino;
    return 0;
}

int sqlite_file_sync(const struct sqlite_file *f, struct error *err)
{
    while (fdatasync(f->log_fd) != 0)
        if (errno != EINTR)
            return error_errno(err, "%s cannot be brought to the disk", f->log_path);
    return 0;
}

static bool leads_to(const char *path, const struct stat *here)
{
    struct stat there;
    return stat(path, &there) == 0 && there.st_ino == here->st_ino && there.st_dev == here->st_dev;
}

bool sqlite_file_there(const struct sqlite_file *f, struct error *err)
{
    struct stat here, log;
    CHECK(f->log_fd >= 0 && fstat(f->fd, &here) == 0);
    bool linked = strcmp(f->given, f->path) != 0;
    if (leads_to(f->path, &here) && (!linked || leads_to(f->given, &here)) && stat(f->log_path, &log) == 0 &&
        log.st_ino == f->log_inode)
        return true;
    error_set(err, "%s was moved, removed or replaced while it was open", f->path);
    return false;
}

/* --- who else may ---------------------------------------------------------------------------------------------------
 */

static void advise(const char *path, struct buf *words)
{
    struct stat st;
    if (stat(path, &st) != 0 || (st.st_uid == geteuid() && (st.st_mode & 077) == 0))
        return;
    if (words->len > 0)
        buf_add_text(words, "; ");
    if ((st.st_mode & 077) != 0)
        buf_addf(words, "%s has mode %04o, so others may %s it (chmod 600 %s)", path, st.st_mode & 07777,
                 (st.st_mode & 022) != 0 ? "change" : "read", path);
    if (st.st_uid != geteuid())
        buf_addf(words, "%s%s belongs to user %u, not to the server's, %u", (st.st_mode & 077) != 0 ? ", and " : "",
                 (st.st_mode & 077) != 0 ? "it" : path, st.st_uid, geteuid());
}

void sqlite_file_advise(const struct sqlite_file *f, struct buf *words)
{
    struct buf shared = {0};
    buf_addf(&shared, "%s-shm", f->path);
    advise(f->path, words);
    advise(f->log_path, words);
    advise(buf_text(&shared), words);
    buf_free(&shared);
}

void sqlite_file_close(struct sqlite_file *f)
{
    fd_close(&f->fd);
    fd_close(&f->log_fd);
    free(f->given);
    free(f->path);
    free(f->log_path);
    f->given = f->path = f->log_path = NULL;
}
