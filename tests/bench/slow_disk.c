/*
 * slow_disk.c: preloaded, makes every wait for the disk longer by $SLOW_DISK_US: what an SSD without a battery takes,
 * or a network volume.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_longer(void)
{
    const char *us = getenv("SLOW_DISK_US");
    if (us != NULL)
        usleep((useconds_t)atoi(us));
}

int fdatasync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_longer();
    return real(fd);
}

int fsync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_longer();
    return real(fd);
}
