/*
 * allowed.c: see allowed.h.
 */
#include "exec/allowed.h"

#include "base/panic.h"
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void allowed_write(const struct config *c, struct buf *out)
{
    for (size_t i = 0; i < c->exec_count; i++) {
        char *name = allowed_name(c->root, c->exec[i]);

        buf_add_string(out, slice_of(name));
        free(name);
    }
}

char *allowed_name(const char *root, const char *name)
{
    return strchr(name, '/') != NULL ? path_join(root, name) : need_strdup(name);
}

bool allowed_has(struct slice list, const char *name)
{
    bool bad = false;

    while (list.len > 0 && !bad)
        if (slice_equal(buf_take_string(&list, &bad), slice_of(name)))
            return !bad;
    return false;
}

const char *allowed_path(void)
{
    const char *path = getenv("PATH");

    return path != NULL && path[0] != '\0' ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* 0: it can be run, as far as its mode says. -1: with errno; a folder is EISDIR. */
static int look(const char *file)
{
    struct stat st;

    if (stat(file, &st) != 0)
        return -1;
    if (!S_ISREG(st.st_mode)) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : EACCES;
        return -1;
    }
    return faccessat(AT_FDCWD, file, X_OK, AT_EACCESS);
}

static char *refuse(const char *name, const char **code_out, struct error *err)
{
    bool missing = errno == ENOENT || errno == ENOTDIR;

    *code_out = missing ? "not_found" : "not_executable";
    error_set(err, "%s: %s", name,
              missing           ? "there is no such program"
              : errno == EACCES ? "it is not executable"
                                : strerror(errno));
    return NULL;
}

char *allowed_file(const char *name, const char *path, const char **code_out, struct error *err)
{
    struct slice rest = slice_of(path), folder;
    int seen = ENOENT; /* one that is there and cannot be run says more than that there is none */

    if (strchr(name, '/') != NULL)
        return look(name) == 0 ? need_strdup(name) : refuse(name, code_out, err);
    while (slice_cut(&rest, ':', &folder)) {
        if (!slice_starts(folder, SLICE("/")))
            continue;
        char *place = slice_dup(folder), *file = path_join(place, name);
        int found = look(file);

        free(place);
        if (found == 0)
            return file;
        seen = errno == EACCES ? EACCES : seen;
        free(file);
    }
    errno = seen;
    return refuse(name, code_out, err);
}
