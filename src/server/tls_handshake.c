/*
 * tls_handshake.c: see tls_handshake.h. libh2o gathers what OpenSSL writes and forgets it when a handshake fails, so a
 * BIO before libh2o's keeps a copy of the last small record: the alert, which is then sent by hand.
 */
#include "server/tls_handshake.h"
#include "base/panic.h"
#include "server/server_internal.h"
#include "server/tls.h"
#include <errno.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>

#define ALERT_MOST 64 /* an alert as a record: 7 bytes in clear, 24 to 31 encrypted */

struct tls_handshake { /* of a connection, from accept to its end */
    struct server *server;
    SSL *ssl; /* NULL: nothing has come yet */
    bool failed;
    enum counter why;
    unsigned char alert[ALERT_MOST];
    size_t alert_len;
};

/* --- the last record written ------------------------------------------------------------------------------------ */

static int keep_record(BIO *bio, const char *bytes, int len)
{
    struct tls_handshake *h = BIO_get_data(bio);
    h->alert_len = len > 0 && len <= ALERT_MOST ? (size_t)len : 0;
    memcpy(h->alert, bytes, h->alert_len);
    return BIO_write(BIO_next(bio), bytes, len);
}

static long pass_on(BIO *bio, int command, long number, void *pointer)
{
    return BIO_ctrl(BIO_next(bio), command, number, pointer);
}

static void watch_writes(struct tls_handshake *h)
{
    /* File-scope would be no other: a method is made once in a process and never changes. */
    static BIO_METHOD *method;
    if (method == NULL) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_FILTER, "last record");
        NEED(method != NULL && BIO_meth_set_write(method, keep_record) == 1 && BIO_meth_set_ctrl(method, pass_on) == 1);
    }
    BIO *bio = BIO_new(method), *under = SSL_get_wbio(h->ssl);
    NEED(bio != NULL && BIO_up_ref(under) == 1);
    BIO_set_data(bio, h);
    BIO_set_init(bio, 1);
    SSL_set0_wbio(h->ssl, BIO_push(bio, under));
}

/* Back to libh2o's own, which also reads. */
static void watch_no_more(SSL *ssl)
{
    BIO *under = SSL_get_rbio(ssl);
    NEED(BIO_up_ref(under) == 1);
    SSL_set0_wbio(ssl, under);
}

/* --- why it failed ---------------------------------------------------------------------------------------------- */

/* What the peer will or may not speak; what it is not; what is wrong with its certificate. */
static enum counter class_of(int reason)
{
    switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_UNKNOWN_PROTOCOL:
        return COUNTER_tls_failed_version;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        return COUNTER_tls_failed_no_shared;
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return COUNTER_tls_failed_alpn;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return COUNTER_tls_failed_client_none;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return COUNTER_tls_failed_client_bad;
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
        return COUNTER_tls_failed_not_tls;
    default:
        return COUNTER_tls_failed_malformed;
    }
}

static void begun(h2o_socket_t *sock, SSL *ssl)
{
    struct connection *c = connections_of(sock);
    if (c == NULL || c->handshake == NULL || c->handshake->ssl != NULL)
        return;
    c->handshake->ssl = ssl;
    watch_writes(c->handshake);
}

void tls_handshake_info(const SSL *ssl, int where, int value)
{
    bool alert = (where & SSL_CB_ALERT) != 0 && value >> 8 == SSL3_AL_FATAL;
    if (where != SSL_CB_HANDSHAKE_START && !alert)
        return;
    /* libh2o's BIO, whose data is its socket: by it, OpenSSL's side finds ours. */
    h2o_socket_t *sock = BIO_get_data(SSL_get_rbio(ssl));
    if (where == SSL_CB_HANDSHAKE_START) {
        begun(sock, (SSL *)ssl);
        return;
    }
    struct connection *c = connections_of(sock);
    if (c == NULL || c->handshake == NULL)
        return;
    c->handshake->failed = true;
    if ((where & SSL_CB_READ) != 0) { /* it refuses us */
        c->handshake->why = COUNTER_tls_failed_refused;
        c->handshake->alert_len = 0;
    } else {
        c->handshake->why = class_of(ERR_GET_REASON(ERR_peek_last_error()));
    }
}

/* --- its end ---------------------------------------------------------------------------------------------------- */

static void count_failure(struct server *s, const struct tls_handshake *h)
{
    enum counter why = COUNTER_tls_failed_closed; /* the connection's end, or the sweep's */
    if (h->failed)
        why = h->why;
    else if (h->ssl != NULL && strcmp(SSL_state_string(h->ssl), "SSLERR") == 0) /* a fault that has no alert */
        why = class_of(ERR_GET_REASON(ERR_peek_last_error()));
    counters_add(s->counters, why, 1);
}

static void read_until_end(h2o_socket_t *sock, const char *err)
{
    char bytes[4096];
    ssize_t got = recv(h2o_socket_get_fd(sock), bytes, sizeof(bytes), MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        h2o_socket_close(sock);
}

/*
 * Best effort, for whoever is refused may be gone. Then its end is waited for, until header_time at the most: a client
 * of TLS 1.3 that lacks a certificate has sent its request already, and with that unread a close would be a reset,
 * which takes the alert with it.
 */
static void refuse(h2o_socket_t *sock, const struct tls_handshake *h)
{
    int fd = h2o_socket_get_fd(sock);
    if (!h->failed || h->alert_len == 0 ||
        send(fd, h->alert, h->alert_len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)h->alert_len ||
        shutdown(fd, SHUT_WR) != 0) {
        h2o_socket_close(sock);
        return;
    }
    h2o_socket_dont_read(sock, 1);
    h2o_socket_read_start(sock, read_until_end);
}

static void count_success(struct server *s, SSL *ssl)
{
    bool new = SSL_version(ssl) >= TLS1_3_VERSION, resumed = SSL_session_reused(ssl) == 1;
    counters_add(s->counters,
                 new       ? resumed ? COUNTER_tls_resumed_13 : COUNTER_tls_full_13
                 : resumed ? COUNTER_tls_resumed_12
                           : COUNTER_tls_full_12,
                 1);
}

static void hand_over(struct server *s, h2o_socket_t *sock, const SSL *ssl)
{
    const unsigned char *name;
    unsigned len;
    struct timeval now = *h2o_get_timestamp(&s->context, NULL, NULL);
    SSL_get0_alpn_selected(ssl, &name, &len);
    if (len == 2 && memcmp(name, "h2", 2) == 0)
        h2o_http2_accept(&s->secure, sock, now);
    else
        h2o_http1_accept(&s->secure, sock, now);
}

static void over(h2o_socket_t *sock, const char *err)
{
    struct connection *c = connections_of(sock);
    CHECK(c != NULL && c->handshake != NULL);
    struct tls_handshake h = *c->handshake;
    free(c->handshake);
    c->handshake = NULL;
    if (h.ssl != NULL)
        watch_no_more(h.ssl);
    if (err != NULL || h.ssl == NULL) {
        count_failure(h.server, &h);
        ERR_clear_error();
        refuse(sock, &h);
        return;
    }
    c->ssl = h.ssl;
    c->identity = tls_identity(h.ssl);
    count_success(h.server, h.ssl);
    hand_over(h.server, sock, h.ssl);
}

void tls_handshake_begin(struct server *s, struct connection *c)
{
    c->handshake = need_zero(1, sizeof(*c->handshake));
    c->handshake->server = s;
    h2o_socket_ssl_handshake(c->sock, s->secure.ssl_ctx, NULL, over);
}

bool tls_handshake_silent(const struct connection *c)
{
    return c->handshake->ssl == NULL;
}
