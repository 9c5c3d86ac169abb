/*
 * file.c: from a path that a stranger may have chosen to a file beneath the root. See file.h; file_save.c saves.
 */
#include "io/file.h"
#include "base/fd.h"
#include "io/file_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH_BYTES 4095 /* PATH_MAX without its NUL */
#define NAME_BYTES 255
#define RACES_MAX 16 /* openat2 says EAGAIN while others rename what it walks through */

const char *file_code_name(enum file_code code)
{
    static const char *const names[] = {
        [FILE_OK] = "ok",
        [FILE_BAD_PATH] = "bad_path",
        [FILE_OUTSIDE] = "outside",
        [FILE_NOT_FOUND] = "not_found",
        [FILE_NO_FOLDER] = "not_found",
        [FILE_EXISTS] = "exists",
        [FILE_NOT_A_FILE] = "not_a_file",
        [FILE_DENIED] = "denied",
        [FILE_READ_ONLY] = "read_only",
        [FILE_NO_SPACE] = "no_space",
        [FILE_TOO_LARGE] = "too_large",
        [FILE_BUSY] = "busy",
        [FILE_UNSUPPORTED] = "unsupported",
        [FILE_IO] = "io",
    };
    return names[code];
}

/* --- faults ----------------------------------------------------------------------------------------------------- */

static const struct {
    int number;
    enum file_code code;
    const char *words; /* NULL: strerror's */
} faults[] = {
    {ENOENT, FILE_NOT_FOUND, NULL},
    {EEXIST, FILE_EXISTS, "there is a file of this name already"},
    {ENOTEMPTY, FILE_NOT_A_FILE, "it is a folder"},
    {EISDIR, FILE_NOT_A_FILE, "it is a folder"},
    {ENOTDIR, FILE_NOT_A_FILE, "a part of the path is no folder"},
    {ENXIO, FILE_NOT_A_FILE, "it is no regular file"},
    {EXDEV, FILE_OUTSIDE, "a symbolic link leads out of the folder"},
    {ELOOP, FILE_OUTSIDE, "its symbolic links lead nowhere"},
    {EACCES, FILE_DENIED, NULL},
    {EPERM, FILE_DENIED, NULL},
    {EROFS, FILE_READ_ONLY, NULL},
    {ENOSPC, FILE_NO_SPACE, NULL},
    {EDQUOT, FILE_NO_SPACE, NULL},
    {EFBIG, FILE_TOO_LARGE, NULL},
    {ENAMETOOLONG, FILE_BAD_PATH, NULL},
    {EMFILE, FILE_BUSY, NULL},
    {ENFILE, FILE_BUSY, NULL},
    {ENOSYS, FILE_UNSUPPORTED, "this kernel cannot open files safely beneath a folder (openat2 is missing)"},
};

enum file_code file_fault(const char *path, struct error *err)
{
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        if (faults[i].number != errno)
            continue;
        if (faults[i].words != NULL)
            error_set(err, "%.*s%s: %s", SLICE_SHOWN(slice_of(path), 200), faults[i].words);
        else
            error_errno(err, "%.*s%s", SLICE_SHOWN(slice_of(path), 200));
        return faults[i].code;
    }
    error_errno(err, "%.*s%s", SLICE_SHOWN(slice_of(path), 200));
    return FILE_IO;
}

/* --- paths ------------------------------------------------------------------------------------------------------ */

static enum file_code bad_path(struct error *err, const char *words)
{
    error_set(err, "the path %s", words);
    return FILE_BAD_PATH;
}

enum file_code file_check_path(struct slice path, struct error *err)
{
    struct slice rest = path, part;
    if (path.len == 0)
        return bad_path(err, "is empty");
    if (path.len > PATH_BYTES)
        return bad_path(err, "is longer than 4095 bytes");
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)path.at[i] < 0x20 || path.at[i] == 0x7f)
            return bad_path(err, "has a control character");
    if (path.at[0] == '/')
        return bad_path(err, "is absolute: it begins at the folder of the setting files");
    while (slice_cut(&rest, '/', &part)) {
        if (part.len == 0)
            return bad_path(err, "has an empty part, or ends in a slash");
        if (part.len > NAME_BYTES)
            return bad_path(err, "has a name of more than 255 bytes");
        if (slice_equal(part, SLICE(".")) || slice_equal(part, SLICE("..")))
            return bad_path(err, "has a part \".\" or \"..\"");
    }
    return FILE_OK;
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

int file_open_root(const char *root)
{
    return open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int file_open_beneath(int root, const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC | O_NOCTTY),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long fd = -1;
    for (int i = 0; i < RACES_MAX; i++) {
        fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
        if (fd != -1 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return (int)fd;
}

/* Of the file's time, which may be any: what int64_t has no room for is its end. */
static int64_t time_ns(struct timespec at)
{
    int64_t most = INT64_MAX / 1000000000 - 1;
    int64_t seconds = at.tv_sec > most ? most : at.tv_sec < -most ? -most : at.tv_sec;
    return seconds * 1000000000 + at.tv_nsec;
}

static enum file_code take_facts(int fd, const char *path, struct file_facts *facts_out, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return file_fault(path, err);
    if (!S_ISREG(st.st_mode)) {
        error_set(err, "%.*s%s: %s", SLICE_SHOWN(slice_of(path), 200),
                  S_ISDIR(st.st_mode) ? "it is a folder" : "it is no regular file");
        return FILE_NOT_A_FILE;
    }
    *facts_out = (struct file_facts){
        .size = (uint64_t)st.st_size, .inode = (uint64_t)st.st_ino, .modified_ns = time_ns(st.st_mtim)};
    return FILE_OK;
}

enum file_code file_open(const char *root, const char *path, int *fd_out, struct file_facts *facts_out,
                         struct error *err)
{
    *fd_out = -1;
    enum file_code code = file_check_path(slice_of(path), err);
    if (code != FILE_OK)
        return code;
    int folder = file_open_root(root);
    if (folder == -1) {
        code = file_fault("the folder of the setting files", err);
        return code == FILE_NOT_FOUND ? FILE_NO_FOLDER : code;
    }
    int fd = file_open_beneath(folder, path, O_RDONLY | O_NONBLOCK);
    code = fd == -1 ? file_fault(path, err) : take_facts(fd, path, facts_out, err);
    if (code != FILE_OK)
        fd_close(&fd);
    fd_close(&folder);
    *fd_out = fd;
    return code;
}

bool file_read(int fd, uint64_t offset, char *into, size_t len)
{
    while (len > 0) {
        ssize_t got = pread(fd, into, len, (off_t)offset);
        if (got == -1 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        into += got;
        offset += (uint64_t)got;
        len -= (size_t)got;
    }
    return true;
}

bool file_read_cached(int fd, uint64_t offset, char *into, size_t len)
{
    struct iovec v = {into, len};
    return preadv2(fd, &v, 1, (off_t)offset, RWF_NOWAIT) == (ssize_t)len;
}
