/*
 * path.c: see path.h. ".." stays: what it means depends on links.
 */
#include "base/path.h"

#include "base/buf.h"
#include "base/panic.h"

#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINKS_MAX 40 /* behind each other, as the kernel follows them */

char *path_join(const char *base, const char *path)
{
    struct buf joined = {0}, clean = {0};
    if (path[0] != '/')
        buf_addf(&joined, "%s/", base);
    buf_add_text(&joined, path);
    struct slice rest = buf_slice(&joined), part;
    while (slice_cut(&rest, '/', &part))
        if (part.len > 0 && !slice_equal(part, SLICE(".")))
            buf_addf(&clean, "/%.*s", SLICE_ARG(part));
    if (clean.len == 0)
        buf_add_char(&clean, '/');
    buf_free(&joined);
    return buf_take(&clean);
}

/* Of what is not there. */
static char *real_missing(const char *path, int links)
{
    char to[PATH_MAX], *folder = need_strdup(path), *name = need_strdup(path), *real;
    char *parent = realpath(dirname(folder), NULL);
    ssize_t len = readlink(path, to, sizeof(to) - 1);

    if (parent == NULL) {
        real = need_strdup(path);
    } else if (len > 0 && links > 0) {
        to[len] = '\0';
        char *next = path_join(parent, to);
        real = real_missing(next, links - 1);
        free(next);
    } else {
        real = path_join(parent, basename(name));
    }
    free(parent);
    free(folder);
    free(name);
    return real;
}

char *path_real(const char *path)
{
    char *real = realpath(path, NULL);

    return real != NULL ? real : real_missing(path, LINKS_MAX);
}

bool path_is_in(const char *inner, const char *outer)
{
    size_t len = strcmp(outer, "/") == 0 ? 0 : strlen(outer);

    return strncmp(inner, outer, len) == 0 && (inner[len] == '\0' || inner[len] == '/');
}

bool path_overlap(const char *a, const char *b)
{
    char *x = path_real(a), *y = path_real(b);
    bool overlap = path_is_in(x, y) || path_is_in(y, x);

    free(x);
    free(y);
    return overlap;
}
