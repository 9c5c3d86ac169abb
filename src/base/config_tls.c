/*
 * config_tls.c: see config_tls.h. A file's value is its path, a NUL, and its bytes.
 * Owns: the bytes of an entry. Runs in: any process. Fails: with words.
 */
#include "base/config_tls.h"
#include "base/panic.h"
#include <stdlib.h>

static const struct {
    const char *name;
    size_t offset;
} files[] = {
    {"tls.cert", offsetof(struct config_tls, cert)},
    {"tls.key", offsetof(struct config_tls, key)},
    {"tls.client_ca", offsetof(struct config_tls, client_ca)},
    {"tls.ocsp", offsetof(struct config_tls, ocsp)},
};
enum { FILES = sizeof files / sizeof *files };

static struct config_tls_file *file_at(const struct config_tls *t, size_t i)
{
    return (struct config_tls_file *)((char *)t + files[i].offset);
}

static void free_file(struct config_tls_file *f)
{
    if (f->bytes != NULL)
        explicit_bzero(f->bytes, f->len);
    free(f->bytes);
    free(f->path);
    *f = (struct config_tls_file){0};
}

void config_tls_set(struct config_tls_file *f, struct slice path, struct slice bytes)
{
    struct config_tls_file made = {.path = slice_dup(path), .bytes = slice_dup(bytes), .len = bytes.len};
    free_file(f);
    *f = made;
}

void config_tls_free(struct config_tls *t)
{
    for (size_t i = 0; i < FILES; i++)
        free_file(file_at(t, i));
    *t = (struct config_tls){0};
}

void config_tls_write(const struct config_tls *t, struct buf *out)
{
    buf_add_string(out, SLICE("tls"));
    buf_add_string(out, t->client_optional ? SLICE("optional") : SLICE("required"));
    for (size_t i = 0; i < FILES; i++) {
        const struct config_tls_file *f = file_at(t, i);
        if (f->path == NULL)
            continue;
        size_t path = strlen(f->path) + 1;
        buf_add_string(out, slice_of(files[i].name));
        buf_add_u32(out, (uint32_t)(path + f->len));
        buf_add(out, f->path, path);
        buf_add(out, f->bytes, f->len);
    }
}

bool config_tls_knows(struct slice name)
{
    return slice_equal(name, SLICE("tls")) || slice_starts(name, SLICE("tls."));
}

int config_tls_read(struct config_tls *t, struct slice name, struct slice value, struct error *err)
{
    if (slice_equal(name, SLICE("tls"))) {
        t->client_optional = slice_equal(value, SLICE("optional"));
        return t->client_optional || slice_equal(value, SLICE("required")) ? 0 : error_set(err, "tls: malformed entry");
    }
    for (size_t i = 0; i < FILES; i++) {
        if (!slice_equal(name, slice_of(files[i].name)))
            continue;
        size_t end = slice_find(value, '\0');
        if (end == SIZE_MAX || end == 0 || file_at(t, i)->path != NULL)
            return error_set(err, "%s stands twice, or has no path", files[i].name);
        config_tls_set(file_at(t, i), (struct slice){value.at, end}, slice_from(value, end + 1));
        return 0;
    }
    return error_set(err, "unknown setting \"%.*s\"", name.len > 80 ? 80 : (int)name.len, name.at);
}
