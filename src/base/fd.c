/*
 * fd.c: descriptors. See fd.h.
 */
#include "base/fd.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

void fd_close(int *fd)
{
    int kept = errno;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = kept;
}

static int set_flag(int fd, int get, int set, int flag, bool on)
{
    int flags = fcntl(fd, get);
    if (flags < 0)
        return -1;
    int wanted = on ? flags | flag : flags & ~flag;
    return wanted == flags ? 0 : fcntl(fd, set, wanted);
}

int fd_cloexec(int fd, bool on)
{
    return set_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

uint64_t fd_count(void)
{
    struct stat st;
    uint64_t count = 0;
    if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0) /* since Linux 6.2 */
        return (uint64_t)st.st_size;
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        count += e->d_name[0] != '.';
    closedir(dir);
    return count - 1; /* the folder itself */
}

int fd_write_all(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.at, bytes.len);
        if (n >= 0) {
            bytes = slice_from(bytes, (size_t)n);
        } else if (errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            poll(&wait, 1, -1);
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

int fd_read_all(int fd, size_t max, struct buf *into, struct error *err)
{
    size_t start = into->len;
    for (;;) {
        char *to = buf_reserve(into, 65536);
        if (to == NULL)
            return error_set(err, "more than %zu bytes", into->limit);
        ssize_t n = read(fd, to, 65536);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return error_errno(err, "cannot read");
        if (n > 0)
            into->len += (size_t)n;
        if (into->len - start > max)
            return error_set(err, "more than %zu bytes", max);
    }
}

int fd_read_file(const char *path, size_t max, struct buf *into, struct error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), result = -1;
    if (fd < 0)
        return error_errno(err, "%s", path);
    if (fstat(fd, &st) != 0)
        error_errno(err, "%s", path);
    else if (!S_ISREG(st.st_mode))
        error_set(err, "%s: not a regular file", path);
    else if (fd_read_all(fd, max, into, err) != 0)
        error_prefix(err, "%s", path);
    else
        result = 0;
    fd_close(&fd);
    return result;
}

int fd_sealed(const char *name, struct slice bytes, struct error *err)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return error_errno(err, "memory file %s", name);
    if (fd_write_all(fd, bytes) != 0 || fcntl(fd, F_ADD_SEALS, ALL_SEALS) != 0) {
        error_errno(err, "memory file %s", name);
        fd_close(&fd);
    }
    return fd;
}

int fd_map_sealed(int fd, struct slice *bytes_out, struct error *err)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & ALL_SEALS) != ALL_SEALS)
        return error_set(err, "not a sealed memory file");
    if (fstat(fd, &st) != 0)
        return error_errno(err, "memory file");
    *bytes_out = (struct slice){"", (size_t)st.st_size};
    if (st.st_size == 0)
        return 0;
    /* private: kernels before 6.7 refuse a shared mapping of a write-sealed file even for reading */
    void *at = mmap(NULL, bytes_out->len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED)
        return error_errno(err, "memory file");
    bytes_out->at = at;
    return 0;
}
