/*
 * path.c: see path.h. ".." stays: what it means depends on links.
 */
#include "base/path.h"

#include "base/buf.h"

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
