/*
 * floor.c: the least that the bench's main scenario can cost on libh2o: one loop, one handler in C that checks
 * x-hub-signature-256 (HMAC-SHA256 of the body, hex, constant time) and answers a small JSON text; /hello answers a
 * text. No routing, no limits, no counters, no deadlines, no log.
 * Usage: floor PORT, with the secret in GITHUB_WEBHOOK_SECRET. Owns: all, until it is killed. Fails: exits with words.
 */
#include <arpa/inet.h>
#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* The handler's state; h2o gives the handler back to its callback, so it needs no file-scope name. */
struct floor_handler {
    h2o_handler_t super;
    EVP_MAC_CTX *mac; /* keyed once; each request starts it again without a key */
};

static EVP_MAC_CTX *prepare_key(const char *secret)
{
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", "SHA256", 0), OSSL_PARAM_construct_end()};
    if (!ctx || !EVP_MAC_init(ctx, (const unsigned char *)secret, strlen(secret), params)) {
        fprintf(stderr, "floor: OpenSSL has no HMAC-SHA256\n");
        exit(1);
    }
    EVP_MAC_free(hmac);
    return ctx;
}

static int signature_holds(EVP_MAC_CTX *mac, h2o_req_t *req)
{
    static const char hex[] = "0123456789abcdef";
    ssize_t at = h2o_find_header_by_str(&req->headers, H2O_STRLIT("x-hub-signature-256"), -1);
    if (at == -1 || req->headers.entries[at].value.len != 71)
        return 0;
    unsigned char digest[32];
    char expected[71] = "sha256=";
    size_t len;
    EVP_MAC_init(mac, NULL, 0, NULL);
    EVP_MAC_update(mac, (const unsigned char *)req->entity.base, req->entity.len);
    EVP_MAC_final(mac, digest, &len, sizeof(digest));
    for (size_t i = 0; i < sizeof(digest); ++i) {
        expected[7 + 2 * i] = hex[digest[i] >> 4];
        expected[8 + 2 * i] = hex[digest[i] & 15];
    }
    return CRYPTO_memcmp(expected, req->headers.entries[at].value.base, sizeof(expected)) == 0;
}

static int on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    struct floor_handler *self = (struct floor_handler *)handler;
    int hello = h2o_memis(req->path_normalized.base, req->path_normalized.len, H2O_STRLIT("/hello"));
    int holds = hello || signature_holds(self->mac, req);
    h2o_iovec_t type = hello ? h2o_iovec_init(H2O_STRLIT("text/plain; charset=utf-8"))
                             : h2o_iovec_init(H2O_STRLIT("application/json"));
    h2o_iovec_t body = hello
                           ? h2o_iovec_init(H2O_STRLIT("hello"))
                           : h2o_iovec_init(H2O_STRLIT("{\"deploy\":false,\"repository\":\"Codertocat/Hello-World\"}"));
    req->res.status = holds ? 200 : 401;
    req->res.reason = holds ? "OK" : "Unauthorized";
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, type.base, type.len);
    h2o_send_inline(req, body.base, holds ? body.len : 0);
    return 0;
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
    if (err)
        return;
    for (int i = 0; i < 16; ++i) {
        h2o_socket_t *sock = h2o_evloop_socket_accept(listener);
        if (!sock)
            return;
        h2o_accept(listener->data, sock);
    }
}

static int listen_on(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 1024) != 0) {
        perror("floor: bind");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv)
{
    const char *secret = getenv("GITHUB_WEBHOOK_SECRET");
    if (argc != 2 || !secret) {
        fprintf(stderr, "usage: GITHUB_WEBHOOK_SECRET=... floor PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_accept_ctx_t accept_ctx = {.ctx = &context};
    h2o_config_init(&config);
    h2o_hostconf_t *host = h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    struct floor_handler *handler = (struct floor_handler *)h2o_create_handler(path, sizeof(*handler));
    handler->super.on_req = on_request;
    handler->mac = prepare_key(secret);
    h2o_context_init(&context, h2o_evloop_create(), &config);
    accept_ctx.hosts = config.hosts;
    h2o_socket_t *listener =
        h2o_evloop_socket_create(context.loop, listen_on(atoi(argv[1])), H2O_SOCKET_FLAG_DONT_READ);
    listener->data = &accept_ctx;
    h2o_socket_read_start(listener, on_accept);
    for (;;)
        h2o_evloop_run(context.loop, INT32_MAX);
}
