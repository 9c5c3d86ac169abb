/*
 * tls_ticket.c: session tickets (RFC 5077, RFC 8446 4.6.1) under the keys that all workers share. A ticket holds for
 * its site only (the session id context); and where a client certificate is in it, that is verified again: a session
 * that is resumed has passed what a new one would.
 * Owns: a copy of the keys, in struct tls. Runs in: the worker. Fails: without a usable key or certificate the
 * handshake is a full one.
 */
#include "base/panic.h"
#include "crypto/random.h"
#include "server/tls_internal.h"
#include <openssl/core_names.h>
#include <openssl/err.h>

#define TICKETS 1 /* for a connection; webhook senders come with one connection after the other */

/* What OpenSSL's ticket callbacks return. */
enum { NO_KEY = 0, GOOD = 1, GOOD_BUT_RENEW = 2, BROKEN = -1 };

void tls_ticket_open(struct tls *t)
{
    t->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    NEED(t->ticket_cipher != NULL);
}

static int prepare(const struct tls *t, const struct tickets_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
                   EVP_MAC_CTX *mac, int making)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->mac, sizeof(key->mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex(cipher, t->ticket_cipher, NULL, key->cipher, iv, making) == 1 &&
                   EVP_MAC_CTX_set_params(mac, params) == 1
               ? GOOD
               : BROKEN;
}

static int on_key(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                  int making)
{
    struct tls *t = tls_site_of(ssl)->tls;
    if (!tickets_look(t->host.tickets, &t->keys))
        return NO_KEY;
    const struct tickets_key *key = &t->keys.newest;
    if (making) {
        memcpy(name, key->name, sizeof(key->name));
        random_fill(iv, (size_t)EVP_CIPHER_get_iv_length(t->ticket_cipher));
        return prepare(t, key, iv, cipher, mac, making);
    }
    bool old = memcmp(name, key->name, sizeof(key->name)) != 0;
    if (old) {
        key = &t->keys.previous;
        if (!t->keys.has_previous || memcmp(name, key->name, sizeof(key->name)) != 0)
            return NO_KEY;
    }
    int result = prepare(t, key, iv, cipher, mac, making);
    /* A client of TLS 1.3 should use a ticket once (RFC 8446 C.4), so it gets the next. */
    return result == GOOD && (old || SSL_version(ssl) >= TLS1_3_VERSION) ? GOOD_BUT_RENEW : result;
}

/* Directly under an authority of client_ca: a session keeps no chain. Otherwise a full handshake finds out. */
static bool verified_again(SSL_CTX *ctx, X509 *peer)
{
    X509_STORE_CTX *store = X509_STORE_CTX_new();
    NEED(store != NULL);
    bool good = X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(ctx), peer, NULL) == 1 &&
                X509_STORE_CTX_set_default(store, "ssl_client") == 1;
    X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(store), TLS_SECURITY);
    good = good && X509_verify_cert(store) == 1;
    X509_STORE_CTX_free(store);
    ERR_clear_error();
    return good;
}

static SSL_TICKET_RETURN on_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_len,
                                   SSL_TICKET_STATUS status, void *cookie)
{
    SSL_CTX *ctx = SSL_get_SSL_CTX(ssl);
    int mode = SSL_CTX_get_verify_mode(ctx);
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    X509 *peer = SSL_SESSION_get0_peer(session);
    if (mode != SSL_VERIFY_NONE && peer != NULL && !verified_again(ctx, peer))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    if ((mode & SSL_VERIFY_FAIL_IF_NO_PEER_CERT) != 0 && peer == NULL)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

void tls_ticket_use(const struct tls_site *site)
{
    SSL_CTX *ctx = site->context;
    if (site->tls->host.tickets == NULL) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
        return;
    }
    SSL_CTX_set_num_tickets(ctx, TICKETS);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_key);
    SSL_CTX_set_session_ticket_cb(ctx, NULL, on_opened, NULL);
}
