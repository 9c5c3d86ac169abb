/*
 * disk.c: preloaded, a disk that stands still as long as the file disk-stands is in the current folder, and fails as
 * long as disk-fails is.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static int there(const char *name)
{
    struct stat st;
    return stat(name, &st) == 0;
}

int fdatasync(int fd)
{
    while (there("disk-stands"))
        usleep(5000);
    if (there("disk-fails")) {
        errno = EIO;
        return -1;
    }
    return 0;
}

int fsync(int fd)
{
    return fdatasync(fd);
}
