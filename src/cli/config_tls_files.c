/*
 * config_tls_files.c: see config_tls_files.h. A private key is in memory here, in struct config, and nowhere else.
 */
#include "cli/config_tls_files.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/panic.h"
#include "crypto/ocsp.h"
#include "server/tls.h"
#include <stdlib.h>

#define FILE_MAX (1u << 20)

/* Where environment or flags name a certificate, or a key: the first entry's, which may be the only one. */
static int override(struct config_draft *d, struct error *err)
{
    struct config_text *cert = &d->tls_cert, *key = &d->tls_key;
    const char *where = cert->text != NULL ? cert->where : key->where;
    if (where == NULL)
        return 0;
    if (d->tls_count > 1)
        return error_set(err, "%s: the setting tls has %zu entries: change the certificate there", where, d->tls_count);
    struct config_draft_tls *t = d->tls_count > 0 ? &d->tls[0] : config_load_tls(d, where);
    if (cert->text != NULL)
        config_load_text(&t->cert, cert->text, cert->where, false);
    if (key->text != NULL)
        config_load_text(&t->key, key->text, key->where, false);
    return 0;
}

static int read_one(const struct config_text *t, const char *root, bool pem, struct config_tls_file *into,
                    struct error *err)
{
    struct buf bytes = {.secret = true}; /* of a private key, perhaps */
    if (t->text == NULL)
        return 0;
    char *path = config_load_path(root, t->text);
    int done = fd_read_file(path, FILE_MAX, &bytes, err);
    if (done != 0)
        error_prefix(err, "%s", t->where);
    else if (pem && slice_find(buf_slice(&bytes), '\0') != SIZE_MAX)
        done = error_set(err, "%s: %s: not PEM", t->where, path);
    else
        config_tls_set(into, slice_of(path), buf_slice(&bytes));
    buf_free(&bytes);
    free(path);
    return done;
}

/* tls.client: what is asked of clients, where client_ca says whose certificates are good. */
static int read_client(const struct config_draft_tls *t, struct config_tls *into, struct error *err)
{
    struct slice word = slice_of(t->client.text);
    if (word.at == NULL)
        return 0;
    if (t->client_ca.text == NULL)
        return error_set(err, "%s: it needs client_ca, the authorities of clients' certificates", t->client.where);
    into->client_optional = slice_equal(word, SLICE("optional"));
    if (into->client_optional || slice_equal(word, SLICE("required")))
        return 0;
    return error_set(err, "%s: expected \"required\" or \"optional\", got \"%.80s\"", t->client.where, word.at);
}

static int finish_entry(const struct config_draft_tls *t, const char *root, struct config_tls *into, struct error *err)
{
    const struct config_text *cert = &t->cert, *key = &t->key;
    if (cert->text == NULL && key->text == NULL)
        return error_set(err, "%s: an entry without cert and key", t->where);
    if (cert->text == NULL || key->text == NULL)
        return error_set(err, "%s: a certificate and a key belong together: the %s is missing",
                         cert->text != NULL ? cert->where : key->where, cert->text != NULL ? "key" : "certificate");
    if (read_one(cert, root, true, &into->cert, err) != 0 || read_one(key, root, true, &into->key, err) != 0 ||
        read_one(&t->client_ca, root, true, &into->client_ca, err) != 0 ||
        read_one(&t->ocsp, root, false, &into->ocsp, err) != 0)
        return -1;
    return read_client(t, into, err);
}

int config_tls_files_finish(struct config_draft *d, struct error *err)
{
    struct config *c = d->config;
    if (override(d, err) != 0)
        return -1;
    for (size_t i = 0; i < d->tls_count; i++)
        if (finish_entry(&d->tls[i], c->root, config_add_tls(c), err) != 0)
            return -1;
    if (c->tls_count == 0)
        return 0;
    struct tls *t = tls_new(c, &(struct tls_host){.http2 = true}, err);
    bool good = t != NULL;
    tls_free(&t);
    return good ? 0 : -1;
}

/* --- warnings --- */

static void warn_entry(const struct config_tls *t)
{
    struct error err;
    struct ocsp_times times;
    struct certificate *c = certificate_read(config_tls_bytes(&t->cert), config_tls_bytes(&t->key), &err);
    CHECK(c != NULL); /* as it was when the configuration was read */
    if (certificate_dates(c, wall_now(), &err) != 0)
        log_at(LOG_WARN, "TLS certificate out of date", LOG_STR("file", t->cert.path), LOG_STR("error", err.text));
    if (t->ocsp.path != NULL) {
        CHECK(ocsp_read(config_tls_bytes(&t->ocsp), c, &times, &err) == 0);
        if (!ocsp_current(&times, wall_now()))
            log_at(LOG_WARN, "OCSP response out of date: it is not stapled", LOG_STR("file", t->ocsp.path));
    }
    certificate_free(&c);
}

void config_tls_files_warn(const struct config *c)
{
    for (size_t i = 0; i < c->tls_count; i++)
        warn_entry(&c->tls[i]);
}
