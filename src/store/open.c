/*
 * open.c: see open.h.
 */
#include "store/open.h"
#include "store/driver.h"
#include "store/sqlite_kv.h"
#include <stdint.h>

/* Of the contract, and not built yet. */
static const char *const later[] = {"postgres:", "postgresql:"};

static const struct {
    const char *scheme;
    const struct store_driver *driver;
} drivers[] = {{"sqlite:", &sqlite_kv_driver}};

static int check_path(const char *url, struct slice path, struct error *err)
{
    if (path.len == 0)
        return error_set(err, "\"%.80s\" names no file: sqlite:PATH", url);
    /* sqlite://x would be read as a host here and as a path there; sqlite:///x is a path to all. */
    if (slice_starts(path, SLICE("//")) && !slice_starts(path, SLICE("///")))
        return error_set(err, "\"%.80s\": a store in a file has no host: sqlite:PATH", url);
    if (slice_equal(path, SLICE(":memory:")))
        return error_set(err, "\"%.80s\": a store must outlive the process: sqlite:PATH", url);
    if (slice_find(path, '?') != SIZE_MAX)
        return error_set(err, "\"%.80s\": no options are known behind the path", url);
    if (path.at[path.len - 1] == '/')
        return error_set(err, "\"%.80s\" names a folder: sqlite:PATH of a file", url);
    return 0;
}

int store_open_read(const char *url, const struct store_driver **driver_out, struct slice *path_out, struct error *err)
{
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
        if (slice_starts(slice_of(url), slice_of(drivers[i].scheme))) {
            *driver_out = drivers[i].driver;
            *path_out = slice_from(slice_of(url), strlen(drivers[i].scheme));
            return check_path(url, *path_out, err);
        }
    for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
        if (slice_starts(slice_of(url), slice_of(later[i])))
            return error_set(err, "PostgreSQL is not in this version of crescent: sqlite:PATH");
    if (slice_find(slice_of(url), ':') == SIZE_MAX)
        return error_set(err, "expected sqlite:PATH, got \"%.80s\" (did you mean sqlite:%.80s?)", url, url);
    int scheme = (int)slice_find(slice_of(url), ':'); /* what is behind it may hold a password */
    return error_set(err, "expected sqlite:PATH, got \"%.*s:...\"", scheme < 40 ? scheme : 40, url);
}
