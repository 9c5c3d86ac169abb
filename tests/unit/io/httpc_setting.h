/*
 * httpc_setting.h: what the tests of the HTTP client share: a resolver in the place of the system's (libcurl's lookups
 * meet this getaddrinfo), a host in threads of its own, and a client on a loop.
 */
#ifndef CRESCENT_TESTS_HTTPC_SETTING_H
#define CRESCENT_TESTS_HTTPC_SETTING_H

#include "base/panic.h"
#include "io/httpc.h"
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE DUR_S(30)

/* --- names ------------------------------------------------------------------------------------------------------- */

static atomic_int rebound, lookups;
static atomic_bool released; /* who looks stuck.test up */
static atomic_int came_back;

static void nap(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

typedef int lookup_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* The list for the first address, and behind it that for the second. */
static int numbers(const char *first, const char *second, const char *port, const struct addrinfo *hints,
                   struct addrinfo **out)
{
    lookup_fn *real = (lookup_fn *)dlsym(RTLD_NEXT, "getaddrinfo");
    struct addrinfo h = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    int done = real(first, port, &h, out);
    if (done != 0 || second == NULL)
        return done;
    struct addrinfo *last = *out;
    while (last->ai_next != NULL)
        last = last->ai_next;
    return real(second, port, &h, &last->ai_next);
}

int getaddrinfo(const char *name, const char *port, const struct addrinfo *hints, struct addrinfo **out)
{
    lookups++;
    if (strcmp(name, "plain.test") == 0)
        return numbers("127.0.0.1", NULL, port, hints, out);
    if (strcmp(name, "metadata.test") == 0)
        return numbers("169.254.169.254", NULL, port, hints, out);
    if (strcmp(name, "mapped.test") == 0)
        return numbers("::ffff:169.254.169.254", NULL, port, hints, out);
    if (strcmp(name, "both.test") == 0)
        return numbers("169.254.169.254", "127.0.0.1", port, hints, out);
    if (strcmp(name, "rebinds.test") == 0)
        return numbers(rebound++ == 0 ? "127.0.0.1" : "169.254.169.254", NULL, port, hints, out);
    if (strcmp(name, "hangs.test") == 0) {
        nap(3000);
        return EAI_AGAIN;
    }
    if (strcmp(name, "stuck.test") == 0) {
        for (int i = 0; i < 6000 && !released; i++)
            nap(10);
        came_back++;
        return EAI_AGAIN;
    }
    if (strcmp(name, "none.test") == 0)
        return EAI_NONAME;
    lookup_fn *real = (lookup_fn *)dlsym(RTLD_NEXT, "getaddrinfo");
    return real(name, port, hints, out);
}

/* --- a host ------------------------------------------------------------------------------------------------------ */

static int listener;
static uint16_t port;
static atomic_int requests, connections;

static void say(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) < 0)
        nap(1);
}

/* What is answered by path. */
static const struct {
    const char *path, *text;
    bool ends;
} fixed[] = {
    {"/half-said", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", true},
    {"/half-moved", "HTTP/1.1 302 Found\r\nlocation: /there\r\ncontent-length: 100\r\n\r\nhalf", true},
    {"/bad-moved", "HTTP/1.1 302 Found\r\nlocation: /there\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nx", false},
    {"/switch", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nxx", false},
};

/* By its path. False: the connection ends. */
static bool answer(int fd, const char *request, int count)
{
    requests++;
    if (strstr(request, "/drops-second") != NULL && count > 1)
        return false;
    if (strstr(request, "/gone") != NULL)
        return false;
    if (strstr(request, "/quiet") != NULL) {
        say(fd, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n");
        nap(20000);
        return false;
    }
    if (strstr(request, "/silent") != NULL) {
        nap(20000);
        return false;
    }
    if (strstr(request, "/stream") != NULL) {
        static const char piece[] = "10000\r\n";
        char body[65536 + 2];
        memset(body, 'x', 65536);
        memcpy(body + 65536, "\r\n", 2);
        say(fd, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        for (int i = 0; i < 64; i++)
            if (write(fd, piece, 7) != 7 || write(fd, body, sizeof(body)) != (ssize_t)sizeof(body))
                return false;
        say(fd, "0\r\n\r\n");
        return true;
    }
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        if (strstr(request, fixed[i].path) != NULL) {
            say(fd, fixed[i].text);
            return !fixed[i].ends;
        }
    say(fd, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    return true;
}

static void *serve(void *cookie)
{
    int fd = (int)(intptr_t)cookie, count = 0;
    char text[8192];
    ssize_t len;
    bool on = true;
    while (on && (len = read(fd, text, sizeof(text) - 1)) > 0) { /* each request comes in one piece here */
        text[len] = '\0';
        on = answer(fd, text, ++count);
    }
    close(fd);
    return NULL;
}

static void *serve_all(void *cookie)
{
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        pthread_t thread;
        if (fd < 0 && errno != EMFILE)
            return NULL;
        if (fd < 0) { /* a test of that */
            nap(5);
            continue;
        }
        connections++;
        pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
}

static void serve_begin(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    pthread_t thread;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    NEED(bind(listener, (struct sockaddr *)&at, len) == 0 && listen(listener, 256) == 0);
    NEED(getsockname(listener, (struct sockaddr *)&at, &len) == 0);
    port = ntohs(at.sin_port);
    signal(SIGPIPE, SIG_IGN);
    NEED(pthread_create(&thread, NULL, serve_all, NULL) == 0);
}

/* --- the client -------------------------------------------------------------------------------------------------- */

static struct loop *loop;
static struct httpc *client;
static struct address_rules rules;

struct result {
    int ends, status;
    enum httpc_code code;
    char words[600], body[256];
    bool sent;
    size_t pieces, bytes;
    bool hold;
};

static void on_end(struct httpc_call *call, void *cookie)
{
    struct result *r = cookie;
    const struct httpc_reply *reply = httpc_reply(call);
    r->ends++;
    r->code = reply->code;
    r->status = reply->status;
    r->sent = reply->sent;
    snprintf(r->words, sizeof(r->words), "%s", reply->words);
    snprintf(r->body, sizeof(r->body), "%.*s", SLICE_ARG(reply->body));
}

static bool on_data(struct httpc_call *call, struct slice piece, void *cookie)
{
    struct result *r = cookie;
    r->pieces++;
    r->bytes += piece.len;
    return !r->hold;
}

static const struct httpc_events whole = {.end = on_end};
static const struct httpc_events streamed __attribute__((unused)) = {.data = on_data, .end = on_end};

static struct httpc_request request_of(const char *host, const char *path)
{
    static char url[256];
    snprintf(url, sizeof(url), "http://%s:%u%s", host, port, path);
    return (struct httpc_request){.method = SLICE("GET"),
                                  .url = slice_of(url),
                                  .timeout = DUR_S(20),
                                  .connect_timeout = DUR_S(20),
                                  .max_body = 1000,
                                  .repeatable = true};
}

static void wait_for(const struct result *r)
{
    mono_t end = mono_add(mono_now(), PATIENCE);
    while (r->ends == 0 && mono_before(mono_now(), end))
        loop_pass(loop, DUR_MS(20));
    assert_int_equal(r->ends, 1);
}

static struct result ask(const struct httpc_request *request)
{
    struct result r = {0};
    size_t others = httpc_calls(client);
    httpc_start(client, request, &whole, &r);
    assert_int_equal(r.ends, 0); /* never from within */
    wait_for(&r);
    assert_int_equal(httpc_calls(client), others);
    return r;
}

static void expect_code(const char *host, bool public_only, enum httpc_code code)
{
    struct httpc_request request = request_of(host, "/");
    request.public_only = public_only;
    struct result r = ask(&request);
    if (r.code != code)
        print_message("%s: %s %s\n", host, httpc_code_name(r.code), r.words);
    assert_int_equal(r.code, code);
}

static int set_up(void **state)
{
    const struct httpc_host host = {.rules = &rules, .root = "/", .memory = 1 << 20};
    loop = loop_new();
    struct httpc_host it = host;
    it.loop = loop;
    client = httpc_new(&it);
    requests = connections = lookups = rebound = 0;
    released = false;
    came_back = 0;
    return 0;
}

static int tear_down(void **state)
{
    httpc_free(&client);
    loop_free(&loop);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
