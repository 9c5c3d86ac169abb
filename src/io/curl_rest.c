/*
 * curl_rest.c: see curl_rest.h. What libcurl finds in its own buffer it tells in words only, to who listens: that
 * costs it a good deal for some replies, so it talks no earlier than at the header's end. Mutable file-scope state:
 * recv has no argument for it; it is the thread's own.
 */
#include "io/curl_rest.h"
#include "base/slice.h"
#include "io/curl_real.h"
#include <openssl/ssl.h>
#include <sys/socket.h>

static _Thread_local struct {
    bool (*framed)(const void *cookie, int fd); /* NULL: no call is under way */
    const void *cookie;
} mine;

typedef ssize_t recv_fn(int, void *, size_t, int);

ssize_t recv(int fd, void *room, size_t size, int flags)
{
    static _Atomic(void *) found;
    recv_fn *real = (recv_fn *)io_curl_real_find(&found, "recv");
    ssize_t count = real(fd, room, size, flags);
    bool looks = flags == MSG_PEEK && size == 1 && mine.framed != NULL; /* libcurl peeks for nothing else */
    return looks && count > 0 && !mine.framed(mine.cookie, fd) ? 0 : count;
}

void io_curl_rest_begin(bool (*framed)(const void *cookie, int fd), const void *cookie)
{
    mine.framed = framed;
    mine.cookie = cookie;
}

void io_curl_rest_end(void)
{
    mine.framed = NULL;
}

static bool is_http2(const SSL *ssl)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(ssl, &name, &len);
    return slice_equal((struct slice){(const char *)name, len}, SLICE("h2"));
}

bool io_curl_rest_is_spoiled(CURL *easy)
{
    struct curl_tlssessioninfo *tls = NULL;
    long opened = 0;
    curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &opened);
    if (opened > 0 || curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &tls) != CURLE_OK ||
        tls->backend != CURLSSLBACKEND_OPENSSL || tls->internals == NULL)
        return false;
    return SSL_has_pending(tls->internals) == 1 && !is_http2(tls->internals);
}

static int on_words(CURL *easy, curl_infotype kind, char *at, size_t len, void *unused)
{
    struct slice words = {at, len};
    if (kind == CURLINFO_TEXT &&
        (slice_starts(words, SLICE("Excess found")) || slice_starts(words, SLICE("Leftovers after chunking"))))
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    return 0;
}

void io_curl_rest_guard(CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
}

void io_curl_rest_prepare(CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_words);
}
