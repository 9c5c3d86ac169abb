/*
 * tls.c: see tls.h. Here: the policy that every context has, and what OpenSSL asks in a handshake: which name, which
 * protocol, which stapled response. The site is chosen in the ClientHello callback, which comes before a session is
 * resumed; later, a session of another site would have been taken already (GHSA-5v5r-rghf-rm6q).
 */
#include "server/tls.h"
#include "base/panic.h"
#include "crypto/digest.h"
#include "crypto/identity.h"
#include "server/tls_internal.h"
#include <openssl/err.h>
#include <stdlib.h>

/* What has forward secrecy and authenticated encryption (RFC 9325 4.2, RFC 9113 9.2.2), in the server's order. */
#define CIPHERS_12                                                                             \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHERS_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256:P-384:P-521"
#define CLIENT_CHAIN (32 << 10) /* bytes of a client's certificates, at most */
/* Much less than a key's period, and what most clients keep sessions for. */
#define SESSION_LIFE 7200

static int fault(struct error *err, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return error_set(err, "%s: %s", what, reason != NULL ? reason : "not usable");
}

/* --- which site ------------------------------------------------------------------------------------------------- */

const struct tls_site *tls_site_of(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

const struct tls_site *tls_site_named(const struct tls *t, struct slice host)
{
    char wild[256] = "*";
    const struct tls_site *site = map_get(t->names, host);
    size_t dot = slice_find(host, '.');
    if (site != NULL || dot == SIZE_MAX || dot == 0 || host.len - dot >= sizeof(wild) - 1)
        return site;
    memcpy(wild + 1, host.at + dot, host.len - dot);
    return map_get(t->names, (struct slice){wild, 1 + host.len - dot});
}

/* What did not verify has not come to the end of its handshake; a session that is resumed was verified again. */
struct identity *tls_identity(const SSL *ssl)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    return certificate != NULL && SSL_get_verify_result(ssl) == X509_V_OK ? identity_new(certificate) : NULL;
}

static bool asks(const struct tls_site *site)
{
    return site != NULL && site->entries[0]->authorities != NULL;
}

bool tls_site_may(const struct tls_site *named, const struct tls_site *met)
{
    if (named == NULL && met != NULL)
        named = met->tls->sites[0];
    if (!asks(named))
        return true;
    return met != NULL && memcmp(named->entries[0]->rule, met->entries[0]->rule, TLS_DIGEST) == 0;
}

static struct slice lower_name(const char *name, size_t len, char room[256])
{
    for (size_t i = 0; i < len; i++)
        room[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + ('a' - 'A')) : name[i];
    if (len > 0 && room[len - 1] == '.')
        len--;
    return (struct slice){room, len};
}

/*
 * The host name of the server_name extension (RFC 6066 3), in small letters, into room; an empty one where there is
 * none or it is malformed, which OpenSSL refuses by itself when it comes to it.
 */
static struct slice asked_name(SSL *ssl, char room[256])
{
    const unsigned char *at;
    size_t len;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &at, &len) != 1 || len < 5)
        return SLICE("");
    size_t name = (size_t)at[3] << 8 | at[4];
    if (at[2] != TLSEXT_NAMETYPE_host_name || name != len - 5 || name > 255)
        return SLICE("");
    return lower_name((const char *)at + 5, name, room);
}

static int on_client_hello(SSL *ssl, int *alert, void *cookie)
{
    const struct tls *t = cookie;
    char room[256];
    const struct tls_site *site = tls_site_named(t, asked_name(ssl, room));
    if (site == NULL)
        site = t->sites[0];
    if (site->context == SSL_get_SSL_CTX(ssl))
        return SSL_CLIENT_HELLO_SUCCESS;
    SSL_set_SSL_CTX(ssl, site->context);
    /* These two stay those of the first context otherwise. */
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(site->context), NULL);
    SSL_set_verify_depth(ssl, SSL_CTX_get_verify_depth(site->context));
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* The name was heard, and the client is told so where it was one of ours. */
static int on_server_name(SSL *ssl, int *alert, void *cookie)
{
    const struct tls *t = cookie;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    char room[256];
    if (name == NULL || strlen(name) >= sizeof(room))
        return SSL_TLSEXT_ERR_NOACK;
    return tls_site_named(t, lower_name(name, strlen(name), room)) != NULL ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* --- which protocol, which response ----------------------------------------------------------------------------- */

/* RFC 7301 3.2: where a client names protocols and none is ours, the handshake fails with no_application_protocol. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                   unsigned int in_len, void *cookie)
{
    static const unsigned char ours[] = "\x02h2\x08http/1.1\x08http/1.0";
    const struct tls *t = cookie;
    size_t skip = t->host.http2 ? 0 : 3;
    int found = SSL_select_next_proto((unsigned char **)out, out_len, ours + skip,
                                      (unsigned int)(sizeof(ours) - 1 - skip), in, in_len);
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* The client asks for a stapled response: that of the certificate which it is shown, as long as it is current. */
static int on_status(SSL *ssl, void *cookie)
{
    const struct tls_site *site = tls_site_of(ssl);
    for (size_t i = 0; i < site->count; i++) {
        const struct tls_entry *e = site->entries[i];
        const struct config_tls_file *file = &e->config->ocsp;
        if (certificate_leaf(e->certificate) != SSL_get_certificate(ssl))
            continue;
        if (file->path == NULL || !ocsp_current(&e->ocsp, wall_now()))
            break;
        unsigned char *copy = OPENSSL_memdup(file->bytes, file->len);
        if (copy == NULL || SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)file->len) != 1)
            break;
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/* --- contexts --------------------------------------------------------------------------------------------------- */

/* All of it is said, for what is not said the machine's openssl.cnf may say otherwise. */
static bool set_policy(SSL_CTX *ctx)
{
    SSL_CTX_set_security_level(ctx, TLS_SECURITY);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_clear_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
    /* Resumption by ticket needs no memory here; a cache of sessions would grow with every stranger. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ctx, SESSION_LIFE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_max_cert_list(ctx, CLIENT_CHAIN);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 && SSL_CTX_set_cipher_list(ctx, CIPHERS_12) == 1 &&
           SSL_CTX_set_ciphersuites(ctx, CIPHERS_13) == 1 && SSL_CTX_set1_groups_list(ctx, GROUPS) == 1;
}

static void set_callbacks(SSL_CTX *ctx, struct tls *t)
{
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, t);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, t);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, t);
    SSL_CTX_set_tlsext_status_cb(ctx, on_status);
    if (t->host.info != NULL)
        SSL_CTX_set_info_callback(ctx, t->host.info);
}

/*
 * A certificate of client_ca is an anchor even where it is an intermediate one: who names it means it, and not all that
 * its own issuer may issue.
 */
static void ask_clients(SSL_CTX *ctx, const struct tls_entry *e)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    for (int i = 0; i < sk_X509_num(e->authorities); i++) {
        NEED(X509_STORE_add_cert(store, sk_X509_value(e->authorities, i)) == 1);
        NEED(SSL_CTX_add_client_CA(ctx, sk_X509_value(e->authorities, i)) == 1);
    }
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (e->config->client_optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT), NULL);
    SSL_CTX_set_verify_depth(ctx, TLS_CLIENT_DEPTH);
}

/* A session belongs to the names and the rule that it was made under; a renewed certificate does not end it. */
static void bind_sessions(SSL_CTX *ctx, const struct tls_site *site)
{
    unsigned char id[DIGEST_MAX];
    struct buf all = {0};
    for (size_t i = 0; i < site->count; i++)
        for (size_t k = 0; k < certificate_name_count(site->entries[i]->certificate); k++)
            buf_add_string(&all, slice_of(certificate_name(site->entries[i]->certificate, k)));
    buf_add(&all, site->entries[0]->rule, TLS_DIGEST);
    digest_of(DIGEST_SHA256, &(struct slice){all.at, all.len}, 1, id);
    NEED(SSL_CTX_set_session_id_context(ctx, id, TLS_DIGEST) == 1);
    buf_free(&all);
}

static int make_context(struct tls_site *site, struct error *err)
{
    SSL_CTX *ctx = site->context = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL || !set_policy(ctx))
        return fault(err, "TLS");
    SSL_CTX_set_app_data(ctx, site);
    set_callbacks(ctx, site->tls);
    for (size_t i = 0; i < site->count; i++) {
        const struct certificate *c = site->entries[i]->certificate;
        if (SSL_CTX_use_cert_and_key(ctx, certificate_leaf(c), certificate_key(c), certificate_chain(c), 1) != 1)
            return fault(err, site->entries[i]->config->cert.path);
    }
    if (asks(site))
        ask_clients(ctx, site->entries[0]);
    bind_sessions(ctx, site);
    tls_ticket_use(site);
    return 0;
}

/* --- the whole -------------------------------------------------------------------------------------------------- */

static int read_clients(struct tls_entry *e, struct error *err)
{
    const struct config_tls_file *ca = &e->config->client_ca;
    unsigned char id[DIGEST_MAX];
    if (ca->path == NULL)
        return 0;
    if ((e->authorities = certificate_authorities(config_tls_bytes(ca), err)) == NULL)
        return error_prefix(err, "%s", ca->path);
    const struct slice parts[] = {e->config->client_optional ? SLICE("optional") : SLICE("required"),
                                  config_tls_bytes(ca)};
    digest_of(DIGEST_SHA256, parts, 2, id);
    memcpy(e->rule, id, TLS_DIGEST);
    return 0;
}

static int read_entry(struct tls_entry *e, struct error *err)
{
    const struct config_tls *c = e->config;
    e->certificate = certificate_read(config_tls_bytes(&c->cert), config_tls_bytes(&c->key), err);
    if (e->certificate == NULL)
        return error_prefix(err, "%s and %s", c->cert.path, c->key.path);
    if (c->ocsp.path != NULL && ocsp_read(config_tls_bytes(&c->ocsp), e->certificate, &e->ocsp, err) != 0)
        return error_prefix(err, "%s", c->ocsp.path);
    return read_clients(e, err);
}

struct tls *tls_new(const struct config *config, const struct tls_host *host, struct error *err)
{
    struct tls *t = need_zero(1, sizeof(*t));
    CHECK(config->tls_count > 0);
    t->host = *host;
    t->names = map_new();
    t->entry_count = config->tls_count;
    t->entries = need_zero(t->entry_count, sizeof(*t->entries));
    tls_ticket_open(t);
    int done = 0;
    for (size_t i = 0; done == 0 && i < t->entry_count; i++) {
        t->entries[i].config = &config->tls[i];
        done = read_entry(&t->entries[i], err);
    }
    if (done == 0)
        done = tls_sites_make(t, err);
    for (size_t i = 0; done == 0 && i < t->site_count; i++)
        done = make_context(t->sites[i], err);
    if (done != 0)
        tls_free(&t);
    return t;
}

void tls_free(struct tls **t)
{
    struct tls *old = *t;
    if (old == NULL)
        return;
    for (size_t i = 0; i < old->site_count; i++) {
        SSL_CTX_free(old->sites[i]->context);
        free(old->sites[i]);
    }
    for (size_t i = 0; i < old->entry_count; i++) {
        certificate_free(&old->entries[i].certificate);
        certificate_authorities_free(&old->entries[i].authorities);
    }
    free(old->sites);
    free(old->entries);
    map_free(&old->names);
    EVP_CIPHER_free(old->ticket_cipher);
    explicit_bzero(&old->keys, sizeof(old->keys));
    free(old);
    *t = NULL;
}

SSL_CTX *tls_context(const struct tls *t)
{
    return t->sites[0]->context;
}
