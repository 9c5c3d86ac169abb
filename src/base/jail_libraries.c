/*
 * jail_libraries.c: see jail_libraries.h. The rules of the jail hold for opening, not for stat(2) and access(2). The
 * kernel keeps the inode of a rule, so that a new file never has its number.
 */
#include "base/jail_libraries.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const files[JAIL_LIBRARIES_FILES] = {"/etc/resolv.conf",
                                                        "/etc/hosts",
                                                        "/etc/nsswitch.conf",
                                                        "/etc/host.conf",
                                                        "/etc/gai.conf",
                                                        "/etc/localtime",
                                                        "/etc/ssl/certs/ca-certificates.crt"};

void jail_libraries_note(struct jail_libraries *j)
{
    struct stat st;

    *j = (struct jail_libraries){0};
    for (size_t i = 0; i < JAIL_LIBRARIES_FILES; i++)
        if (stat(files[i], &st) == 0) {
            j->at[i].device = st.st_dev;
            j->at[i].inode = st.st_ino;
        }
}

static bool is_shut_out(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool refused = fd < 0 && errno == EACCES;

    fd_close(&fd);
    return refused && faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0;
}

const char *jail_libraries_lost(const struct jail_libraries *j)
{
    struct stat st;

    for (size_t i = 0; i < JAIL_LIBRARIES_FILES; i++)
        if (stat(files[i], &st) == 0 && (st.st_dev != j->at[i].device || st.st_ino != j->at[i].inode) &&
            is_shut_out(files[i]))
            return files[i];
    return NULL;
}
