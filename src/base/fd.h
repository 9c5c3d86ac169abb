/*
 * fd.h: descriptors: opened close-on-exec, read and written whole, closed once.
 * Runs in: any thread. Fails: -1 with words in the error, never half silently.
 */
#ifndef CRESCENT_BASE_FD_H
#define CRESCENT_BASE_FD_H

#include "base/buf.h"
#include "base/error.h"

/* Closes *fd if it is not -1, and leaves -1. Keeps errno. */
void fd_close(int *fd);
int fd_cloexec(int fd, bool on);
/* How many descriptors this process has open. Newer kernels know; on older ones /proc is read. 0: no /proc. */
uint64_t fd_count(void);
/* Writes all, through EINTR and EAGAIN (waiting). Returns 0, or -1 with errno. */
int fd_write_all(int fd, struct slice bytes);
/* Appends all that is left to read. At most `max` bytes: more is an error. Returns 0 or -1 (words in err). */
int fd_read_all(int fd, size_t max, struct buf *into, struct error *err);
/* Appends a regular file's bytes; a directory, device, or more than `max` bytes is an error that names the path. */
int fd_read_file(const char *path, size_t max, struct buf *into, struct error *err);
/* A new memory file with these bytes, sealed against any change; the caller closes it. -1 with words. */
int fd_sealed(const char *name, struct slice bytes, struct error *err);
/* Maps a memory file read-only. It must carry all seals (what another process still may change is refused). The
 * caller munmaps bytes_out (an empty file gives an empty slice, nothing to unmap). */
int fd_map_sealed(int fd, struct slice *bytes_out, struct error *err);

#endif
