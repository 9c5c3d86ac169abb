/*
 * tls_sites.c: from the entries of the setting `tls` to sites: for each name the entries whose certificate has it, one
 * of each kind of key; names with the same entries share a site. See tls.h.
 * Owns: see tls_internal.h. Runs in: the worker, the config child. Fails: with words that name both files of a clash.
 */
#include "base/panic.h"
#include "server/tls_internal.h"
#include <stdlib.h>

/* The sets of entries of one name, while they are gathered. */
struct named {
    struct tls_entry *entries[TLS_KINDS];
    size_t count;
};

static bool is_host(struct slice name)
{
    return !slice_starts(name, SLICE("IP:")); /* a client never asks for an address (RFC 6066 3) */
}

/* Whether one name cannot have both; with words. */
static bool clash(const char *name, const struct tls_entry *one, const struct tls_entry *other, struct error *err)
{
    const char *kind = certificate_kind(other->certificate);
    if (strcmp(certificate_kind(one->certificate), kind) == 0)
        error_set(err, "tls: %s and %s are both for %s, with the same kind of key (%s)", one->config->cert.path,
                  other->config->cert.path, name, kind);
    else if (memcmp(one->rule, other->rule, TLS_DIGEST) != 0)
        error_set(err, "tls: %s and %s are both for %s, but what they ask of clients (client_ca) differs",
                  one->config->cert.path, other->config->cert.path, name);
    else
        return false;
    return true;
}

/* Certificates may share an address, for it chooses nothing: the first keeps it, with what can stand beside it. */
static int add_entry(struct named *n, const char *name, struct tls_entry *e, struct error *err)
{
    for (size_t i = 0; i < n->count; i++) {
        if (n->entries[i] == e)
            return 0; /* its certificate says it twice */
        if (clash(name, n->entries[i], e, err))
            return is_host(slice_of(name)) ? -1 : 0;
    }
    CHECK(n->count < TLS_KINDS);
    n->entries[n->count++] = e;
    return 0;
}

static int gather(struct tls *t, struct map *all, struct error *err)
{
    for (size_t i = 0; i < t->entry_count; i++) {
        const struct certificate *c = t->entries[i].certificate;
        for (size_t k = 0; k < certificate_name_count(c); k++) {
            const char *name = certificate_name(c, k);
            struct named *n = map_get(all, slice_of(name));
            if (n == NULL) {
                n = need_zero(1, sizeof(*n));
                map_set(all, slice_of(name), n);
            }
            if (add_entry(n, name, &t->entries[i], err) != 0)
                return -1;
        }
    }
    return 0;
}

/* The site with just these entries; a new one where there is none yet. */
static struct tls_site *site_with(struct tls *t, const struct named *n)
{
    for (size_t i = 0; i < t->site_count; i++) {
        const struct tls_site *s = t->sites[i];
        if (s->count == n->count && memcmp(s->entries, n->entries, n->count * sizeof(*n->entries)) == 0)
            return t->sites[i];
    }
    struct tls_site *s = need_zero(1, sizeof(*s));
    s->tls = t;
    s->count = n->count;
    memcpy(s->entries, n->entries, sizeof(s->entries));
    for (size_t i = 0; i < n->count; i++)
        n->entries[i]->used = true;
    t->sites = need_realloc(t->sites, (t->site_count + 1) * sizeof(struct tls_site *));
    return t->sites[t->site_count++] = s;
}

static int make(struct tls *t, const struct map *all, struct error *err)
{
    const struct certificate *first = t->entries[0].certificate;
    const struct named alone = {.entries = {&t->entries[0]}, .count = 1};
    const struct named *n = NULL;
    struct slice name;
    void *value;
    if (certificate_name_count(first) > 0)
        n = map_get(all, slice_of(certificate_name(first, 0)));
    site_with(t, n != NULL ? n : &alone);
    for (size_t at = 0; map_next(all, &at, &name, &value);)
        if (is_host(name))
            map_set(t->names, name, site_with(t, value));
    for (size_t i = 0; i < t->entry_count; i++)
        if (!t->entries[i].used)
            return error_set(err, "tls: %s has no host name in it, so no client could choose it: only the first may",
                             t->entries[i].config->cert.path);
    return 0;
}

int tls_sites_make(struct tls *t, struct error *err)
{
    struct map *all = map_new();
    struct slice name;
    void *value;
    int done = gather(t, all, err);
    if (done == 0)
        done = make(t, all, err);
    for (size_t at = 0; map_next(all, &at, &name, &value);)
        free(value);
    map_free(&all);
    return done;
}
