/*
 * file.h: files beneath one folder, whatever path is asked for. The kernel resolves the path (openat2(2),
 * RESOLVE_BENEATH): symbolic links that stay inside are followed, what leads out is refused, and nothing that others
 * rename meanwhile changes that. A kernel without openat2 (before 5.6) is an error, never a weaker check.
 * Every call may wait on a disk, unless it says that it never does: it belongs on a helper thread (io/pool).
 * Runs in: any thread; a struct belongs to one at a time. Fails: a code for programs, and words that name the path as
 * it was asked for, never where the folder is.
 */
#ifndef CRESCENT_IO_FILE_H
#define CRESCENT_IO_FILE_H

#include "base/error.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

enum file_code {
    FILE_OK,
    FILE_BAD_PATH,    /* empty, absolute, "..", a control character, too long, ... */
    FILE_OUTSIDE,     /* a symbolic link leads out of the folder, or in a circle */
    FILE_NOT_FOUND,   /* the file, or a folder before it */
    FILE_NO_FOLDER,   /* the folder of the setting files itself is not there */
    FILE_EXISTS,      /* and is not to be overwritten */
    FILE_NOT_A_FILE,  /* a folder, FIFO, socket or device; or a file where a folder should be */
    FILE_DENIED,      /* permissions */
    FILE_READ_ONLY,   /* the file system */
    FILE_NO_SPACE,    /* disk or quota is full */
    FILE_TOO_LARGE,   /* for the file system, or the process's limit */
    FILE_BUSY,        /* too much is waiting for the disk, or too many files are open */
    FILE_UNSUPPORTED, /* by this kernel */
    FILE_IO           /* the disk failed */
};

/* "no_space": what scripts see as err.code. */
const char *file_code_name(enum file_code code);
/* FILE_OK, or FILE_BAD_PATH: whether this can be the path of a file beneath any folder. Pure, needs no disk. */
enum file_code file_check_path(struct slice path, struct error *err);

/* --- reading --- */

struct file_facts {
    uint64_t size, inode;
    int64_t modified_ns; /* since 1970 */
};

/* Opens a regular file for reading; the caller closes *fd_out. It does not wait for a FIFO's other end. */
enum file_code file_open(const char *root, const char *path, int *fd_out, struct file_facts *facts_out,
                         struct error *err);
/* Reads exactly `len` bytes at `offset`. False: the disk failed, or the file has become shorter. */
bool file_read(int fd, uint64_t offset, char *into, size_t len);

/*
 * The same for bytes that are in memory already: never waits, so it may be called on a loop. False: they are not (or
 * anything else): then it is file_read, on a helper thread, that knows.
 */
bool file_read_cached(int fd, uint64_t offset, char *into, size_t len);

/* --- saving: open, write pieces, then finish or drop --- */

struct file_save {  /* born by file_save_open */
    int folder, fd; /* where it will be; what is written */
    bool overwrite;
    char name[256]; /* in the folder */
    char temp[48];  /* of what is written, in the folder; "": it has no name yet, and is gone when its descriptor is */
};

/*
 * Begins a new file; nobody sees it before file_save_finish. mkdir: makes the folders before it that are missing; the
 * root itself is made if only it is missing. Mode 0666 and 0777, less the umask. After a failure there is nothing to
 * drop.
 */
enum file_code file_save_open(struct file_save *s, const char *root, const char *path, bool overwrite, bool mkdir,
                              struct error *err);
enum file_code file_save_write(struct file_save *s, struct slice bytes, struct error *err);
/* Brings bytes, name and folder to the disk: after FILE_OK the file outlasts a crash. Ends s in any case. */
enum file_code file_save_finish(struct file_save *s, struct error *err);
/* Nothing is left of it. Ends s; an ended one is fine. */
void file_save_drop(struct file_save *s);

#endif
