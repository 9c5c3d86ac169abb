/*
 * config_tls.h: one entry of the setting `tls` as plain data: the paths, for messages, and what was read there, so that
 * no process but the config child opens a certificate; and its text form within that of struct config.
 * Owns: all its bytes, wiped when freed (a private key is among them). Fails: with words.
 */
#ifndef CRESCENT_BASE_CONFIG_TLS_H
#define CRESCENT_BASE_CONFIG_TLS_H

#include "base/buf.h"
#include "base/error.h"

struct config_tls_file {
    char *path;  /* absolute; NULL: not given */
    char *bytes; /* of the file, with a NUL behind them */
    size_t len;
};

struct config_tls {
    struct config_tls_file cert, key;
    struct config_tls_file client_ca; /* who may issue client certificates; path == NULL: none is asked for */
    struct config_tls_file ocsp;      /* DER */
    bool client_optional;             /* a client may come without a certificate */
};

static inline struct slice config_tls_bytes(const struct config_tls_file *f)
{
    return (struct slice){f->bytes, f->len};
}

/* Gives the file its path and bytes (copied), in place of what was there. */
void config_tls_set(struct config_tls_file *f, struct slice path, struct slice bytes);
void config_tls_free(struct config_tls *t);
/* The text form: pairs of texts, named "tls" (a new entry) and "tls.cert" and so on (of the last entry). */
void config_tls_write(const struct config_tls *t, struct buf *out);
/* Whether the name is one of them; reading its value into t, where "tls" expects an empty entry. */
bool config_tls_knows(struct slice name);
int config_tls_read(struct config_tls *t, struct slice name, struct slice value, struct error *err);

#endif
