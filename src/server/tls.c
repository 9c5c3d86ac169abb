/*
 * tls.c: see tls.h.
 */
#include "server/tls.h"
#include <h2o.h>
#include <h2o/http2.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

static int fault(struct error *err, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return error_set(err, "%s: %s", what, reason != NULL ? reason : "not usable");
}

/* A key under a passphrase is refused: nobody is there to type it. */
static int no_passphrase(char *room, int size, int writing, void *cookie)
{
    return -1;
}

static int use_chain(SSL_CTX *ctx, struct slice pem, struct error *err)
{
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
    X509 *cert = bio != NULL ? PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL) : NULL;
    bool ok = cert != NULL && SSL_CTX_use_certificate(ctx, cert) == 1;
    X509_free(cert);
    while (ok && (cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
        ok = SSL_CTX_add0_chain_cert(ctx, cert) == 1;
        if (!ok)
            X509_free(cert);
    }
    BIO_free(bio);
    if (!ok)
        return fault(err, "the TLS certificate");
    ERR_clear_error(); /* the end of the file is an error to the reader */
    return 0;
}

static int use_key(SSL_CTX *ctx, struct slice pem, struct error *err)
{
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    bool ok = key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    BIO_free(bio);
    return ok ? 0 : fault(err, "the TLS private key");
}

static void set_policy(SSL_CTX *ctx, bool http2)
{
    static const h2o_iovec_t only_http1[] = {{(char *)"http/1.1", 8}, {NULL, 0}};
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA);
    /* For TLS 1.2 only what has forward secrecy and authenticated encryption (RFC 7525 4.2, RFC 9113 9.2.2). */
    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20");
    /* Resumption by ticket needs no memory here; a cache of sessions would grow with every stranger. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"crescent", 8);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    h2o_ssl_register_alpn_protocols(ctx, http2 ? h2o_http2_alpn_protocols : only_http1);
}

struct ssl_ctx_st *tls_new(struct slice cert_pem, struct slice key_pem, bool http2, struct error *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL) {
        fault(err, "TLS");
        return NULL;
    }
    set_policy(ctx, http2);
    if (use_chain(ctx, cert_pem, err) != 0 || use_key(ctx, key_pem, err) != 0) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}
