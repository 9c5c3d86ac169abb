/*
 * httpc_handle.c: libcurl's side of a call: its options, of which a handle keeps those that are the same for the next
 * request, and the callbacks, which only take notes: what they found is told from the loop. See httpc_internal.h.
 */
#include "base/panic.h"
#include "io/curl_rest.h"
#include "io/httpc_internal.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"
#define CA_CACHE_S 3600L /* then the file of authorities is read again */
#define DROPPED_MAX ((size_t)64 << 10)
#define HTTP2_BUFFER (64L << 10) /* with less than it reads at once, 32 KiB, libcurl 7.88 may lose a stream's end */

/* --- callbacks --------------------------------------------------------------------------------------------------- */

static size_t stop(struct httpc_call *call, enum httpc_stop why)
{
    call->stop = why;
    return 0;
}

/* "HTTP/1.1 200 OK" → 200; 0: none. */
static int status_of(const char *at, size_t len)
{
    const char *space = memchr(at, ' ', len);
    if (space == NULL || at + len < space + 4)
        return 0;
    int status = 0;
    for (int i = 1; i <= 3; i++) {
        if (space[i] < '0' || space[i] > '9')
            return 0;
        status = 10 * status + (space[i] - '0');
    }
    return status;
}

static bool replies_without_body(const struct httpc_call *call)
{
    int status = call->reply.status;
    return slice_equal(call->request.method, SLICE("HEAD")) || status == 204 || status == 304;
}

/* The header is whole. False: it is not worth going on. */
static bool on_head(struct httpc_call *call)
{
    struct httpc_reply *reply = &call->reply;
    call->head_done = true;
    outbound_answered(call->client->outbound, &call->turn);
    reply->head = buf_slice(&call->head);
    reply->unpacked = call->request.decompress && call->codings > 0;
    if (call->missized && !call->chunked && !replies_without_body(call))
        return stop(call, HTTPC_STOP_LENGTH) != 0;
    /* What lies behind a body of known length libcurl sees by itself. */
    if (!call->framed && (call->length == 0 || call->chunked || replies_without_body(call))) {
        call->handle.wary = true;
        io_curl_rest_guard(call->easy);
    }
    if (httpc_redirect_look(call) != 0)
        return false; /* it says why by itself */
    if (call->events.data != NULL && !call->following)
        httpc_tell(call);
    if (!call->following && call->length > call->request.max_body && !replies_without_body(call))
        return stop(call, HTTPC_STOP_BODY) != 0;
    return true;
}

/* Without the line's end. */
static struct slice value_of(struct slice rest)
{
    while (rest.len > 0 && (rest.at[rest.len - 1] == '\n' || rest.at[rest.len - 1] == '\r'))
        rest.len--;
    return slice_trim(rest);
}

/* The same length may be named more than once (RFC 9112 6.3, 5). Libcurl would take one of several that differ. */
static void note_length(struct httpc_call *call, struct slice value)
{
    struct slice one;
    unsigned long long number;
    while (slice_cut(&value, ',', &one)) {
        if (!slice_to_u64(slice_trim(one), UINT64_MAX, &number) || (call->sized && number != call->length)) {
            call->missized = true;
            return;
        }
        call->length = number;
        call->sized = true;
    }
}

/* What the header's end will be judged by; libcurl judges the rest. */
static void note(struct httpc_call *call, struct slice line)
{
    const struct slice coding = SLICE("content-encoding:"), length = SLICE("content-length:");
    const struct slice chunked = SLICE("transfer-encoding:");
    char first = (char)(line.at[0] | 0x20);
    call->reply.fields++;
    if (first == 't' && line.len > chunked.len && slice_equal_nocase((struct slice){line.at, chunked.len}, chunked))
        call->chunked = true;
    if (first != 'c')
        return;
    if (line.len > coding.len && slice_equal_nocase((struct slice){line.at, coding.len}, coding))
        call->codings++;
    if (line.len > length.len && slice_equal_nocase((struct slice){line.at, length.len}, length))
        note_length(call, value_of(slice_from(line, length.len)));
}

static size_t on_header(char *at, size_t size, size_t count, void *cookie)
{
    struct httpc_call *call = cookie;
    size_t len = size * count;
    size_t bound = call->request.max_header > 0 ? call->request.max_header : HTTPC_HEADER_ROOM;
    call->head_size += len;
    if (call->head_size > bound)
        return stop(call, HTTPC_STOP_HEADER);
    if (call->head_done) /* a trailer */
        return len;
    if (len >= 5 && memcmp(at, "HTTP/", 5) == 0) {
        buf_clear(&call->head); /* after an interim response, too */
        call->codings = 0;
        call->chunked = call->sized = call->missized = false;
        call->framed = len > 5 && at[5] == '2';
        call->length = 0;
        call->reply.fields = 0;
        call->reply.status = status_of(at, len);
        return len;
    }
    bool blank = len <= 2 && (at[0] == '\r' || at[0] == '\n');
    if (blank && call->reply.status == 101) /* RFC 9110 15.2.2: behind it something else is spoken */
        return stop(call, HTTPC_STOP_SWITCH);
    if (blank && call->reply.status >= 200)
        return on_head(call) ? len : 0;
    if (!blank) {
        buf_add(&call->head, at, len);
        note(call, (struct slice){at, len});
    }
    return len;
}

bool httpc_handle_take(struct httpc_call *call, struct slice bytes)
{
    struct httpc *c = call->client;
    if (bytes.len > call->request.max_body - call->received)
        return stop(call, HTTPC_STOP_BODY) != 0;
    call->received += bytes.len;
    if (call->events.data == NULL && (bytes.len > c->host.memory || c->memory > c->host.memory - bytes.len))
        return stop(call, HTTPC_STOP_MEMORY) != 0;
    buf_add_slice(&call->data, bytes);
    if (call->events.data == NULL)
        c->memory += bytes.len;
    return true;
}

static size_t on_body(char *at, size_t size, size_t count, void *cookie)
{
    struct httpc_call *call = cookie;
    size_t len = size * count;
    if (call->following) {
        call->dropped += len;
        return call->dropped <= DROPPED_MAX ? len : stop(call, HTTPC_STOP_ENOUGH);
    }
    if (call->events.data != NULL) {
        httpc_tell(call);
        if (call->held || call->unpack_waits || call->data.len + len > HTTPC_PIECE) {
            call->paused = true;
            return CURL_WRITEFUNC_PAUSE;
        }
    }
    return httpc_unpack(call, (struct slice){at, len}) ? len : 0;
}

/* After the name was looked up, for every connection: here a host's address is judged. */
static curl_socket_t on_open(void *cookie, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct httpc_call *call = cookie;
    struct httpc *c = call->client;
    const char *why = address_refused(c->host.rules, &to->addr, call->request.public_only);
    if (why != NULL) {
        const void *address = to->family == AF_INET ? (void *)&((struct sockaddr_in *)&to->addr)->sin_addr
                                                    : (void *)&((struct sockaddr_in6 *)&to->addr)->sin6_addr;
        call->refused = why;
        if (inet_ntop(to->family, address, call->refused_ip, sizeof(call->refused_ip)) == NULL)
            call->refused_ip[0] = '\0';
        return CURL_SOCKET_BAD;
    }
    int fd = socket(to->family, to->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->protocol);
    if (fd < 0) {
        call->no_socket = errno;
        return CURL_SOCKET_BAD;
    }
    io_curl_opened(c->curl, fd);
    return fd;
}

/* Whether libcurl knows the address without a thread that looks it up. */
static bool is_number(struct slice host)
{
    struct in_addr v4;
    char text[INET_ADDRSTRLEN];
    if (host.len > 0 && host.at[0] == '[')
        return true;
    snprintf(text, sizeof(text), "%.*s", SLICE_ARG(host));
    return host.len < sizeof(text) && inet_pton(AF_INET, text, &v4) == 1;
}

/* A host is about to be looked up, whose address is not in libcurl's cache. */
static int on_lookup(void *state, void *reserved, void *cookie)
{
    struct httpc_call *call = cookie;
    struct url u;
    if (io_curl_lookups(call->client->curl) < IO_CURL_LOOKUPS_MAX ||
        (url_parse(buf_slice(&call->url), &u) == NULL && is_number(u.host)))
        return 0;
    call->stop = HTTPC_STOP_LOOKUPS;
    return 1;
}

/* A connection that another request opened, which was allowed more: judged again before anything is sent. */
static bool is_public(struct httpc_call *call, const char *ip)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } to = {.any = {.sa_family = AF_INET}};
    if (inet_pton(AF_INET, ip, &to.v4.sin_addr) != 1) {
        to.any.sa_family = AF_INET6;
        if (inet_pton(AF_INET6, ip, &to.v6.sin6_addr) != 1)
            return false;
    }
    call->refused = address_refused(call->client->host.rules, &to.any, true);
    snprintf(call->refused_ip, sizeof(call->refused_ip), "%s", ip);
    return call->refused == NULL;
}

/* Connected, and about to be sent. */
static int on_ask(void *cookie, char *ip, char *local_ip, int port, int local_port)
{
    struct httpc_call *call = cookie;
    if (call->handle.tls && io_curl_rest_is_spoiled(call->easy)) {
        call->stop = HTTPC_STOP_SPOILED;
        call->handle.wary = true;
        curl_easy_setopt(call->easy, CURLOPT_FORBID_REUSE, 1L);
        return CURL_PREREQFUNC_ABORT;
    }
    if (call->asked++ > 0) {
        if (!call->request.repeatable) {
            call->stop = HTTPC_STOP_TWICE;
            return CURL_PREREQFUNC_ABORT;
        }
        call->handle.special = true; /* a handle repeats five times, counted until its next reset */
    }
    if (call->handle.tls && call->request.http2 &&
        io_curl_asked(call->client->curl, call->easy, (uint16_t)local_port)) {
        call->handle.special = true;
        curl_easy_setopt(call->easy, CURLOPT_FORBID_REUSE, 1L);
    }
    return !call->request.public_only || is_public(call, ip) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

/* --- options ----------------------------------------------------------------------------------------------------- */

/* What every request of this server has. */
static void set_basics(struct httpc_call *call)
{
    CURL *e = call->easy;
    call->handle = (struct httpc_handle){.how = HTTPC_GET};
    curl_easy_setopt(e, CURLOPT_PRIVATE, call);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* else the end of a call would wait for its lookup, on the loop */
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, call);
    curl_easy_setopt(e, CURLOPT_RESOLVER_START_FUNCTION, on_lookup);
    curl_easy_setopt(e, CURLOPT_RESOLVER_START_DATA, call);
    curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_ask);
    curl_easy_setopt(e, CURLOPT_PREREQDATA, call);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, call->detail);
    buf_clear(&call->known);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(e, CURLOPT_CAINFO, SYSTEM_CA);
    curl_easy_setopt(e, CURLOPT_CAPATH, NULL); /* with a folder libcurl would parse all again for each connection */
    curl_easy_setopt(e, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_S);
    io_curl_rest_prepare(e);
}

void httpc_handle_open(struct httpc_call *call)
{
    call->easy = curl_easy_init();
    call->parsed = curl_url();
    NEED(call->easy != NULL && call->parsed != NULL);
    set_basics(call);
}

static void set_how(struct httpc_call *call)
{
    CURL *e = call->easy;
    const struct httpc_request *r = &call->request;
    enum httpc_how how = httpc_request_has_body(call)            ? HTTPC_BODY
                         : slice_equal(r->method, SLICE("GET"))  ? HTTPC_GET
                         : slice_equal(r->method, SLICE("HEAD")) ? HTTPC_HEAD
                                                                 : HTTPC_PLAIN;
    if (how == HTTPC_GET && call->handle.how == HTTPC_GET)
        return;
    call->handle.how = how;
    if (how == HTTPC_BODY) {
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, r->body.at);
        curl_easy_setopt(e, CURLOPT_POST, 1L);
    } else {
        curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
        curl_easy_setopt(e, CURLOPT_NOBODY, how == HTTPC_HEAD ? 1L : 0L);
    }
    curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, how == HTTPC_BODY || how == HTTPC_PLAIN ? r->method.at : NULL);
}

bool httpc_handle_path(const struct httpc_call *call, struct slice given, struct buf *path_out)
{
    if (slice_starts(given, SLICE("-----BEGIN")))
        return false;
    if (given.at[0] != '/')
        buf_addf(path_out, "%s/", call->client->host.root);
    buf_add_slice(path_out, given);
    return true;
}

static void set_blob_or_file(struct httpc_call *call, CURLoption blob, CURLoption file, struct slice given)
{
    struct buf path = {0};
    if (given.len == 0)
        return;
    call->handle.special = true;
    if (httpc_handle_path(call, given, &path)) {
        curl_easy_setopt(call->easy, file, buf_text(&path));
    } else {
        struct curl_blob b = {.data = (void *)given.at, .len = given.len, .flags = CURL_BLOB_COPY};
        curl_easy_setopt(call->easy, blob, &b);
    }
    buf_free(&path);
}

static void set_tls(struct httpc_call *call, bool tls)
{
    const struct httpc_request *r = &call->request;
    if (tls != call->handle.tls) {
        call->handle.tls = tls;
        curl_easy_setopt(call->easy, CURLOPT_HTTP_VERSION,
                         (long)(tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
        curl_easy_setopt(call->easy, CURLOPT_BUFFERSIZE, tls ? HTTP2_BUFFER : (long)CURL_MAX_WRITE_SIZE);
    }
    if (tls && !r->http2) {
        call->handle.special = true;
        curl_easy_setopt(call->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    }
    set_blob_or_file(call, CURLOPT_CAINFO_BLOB, CURLOPT_CAINFO, r->ca);
    if (call->foreign) {
        curl_easy_setopt(call->easy, CURLOPT_SSLCERT, NULL);
        curl_easy_setopt(call->easy, CURLOPT_SSLKEY, NULL);
        curl_easy_setopt(call->easy, CURLOPT_SSLCERT_BLOB, NULL);
        curl_easy_setopt(call->easy, CURLOPT_SSLKEY_BLOB, NULL);
        return;
    }
    set_blob_or_file(call, CURLOPT_SSLCERT_BLOB, CURLOPT_SSLCERT, r->cert);
    set_blob_or_file(call, CURLOPT_SSLKEY_BLOB, CURLOPT_SSLKEY, r->key);
}

/* Parsing a URL is a tenth of what a small request costs: the same one again is not parsed again. */
static void set_url(struct httpc_call *call)
{
    if (slice_equal(buf_slice(&call->url), buf_slice(&call->known)))
        return;
    const char *text = buf_text(&call->url);
    bool read = curl_url_set(call->parsed, CURLUPART_URL, text, 0) == CURLUE_OK;
    curl_easy_setopt(call->easy, CURLOPT_URL, text);
    curl_easy_setopt(call->easy, CURLOPT_CURLU, read ? call->parsed : NULL); /* NULL: it says what is wrong */
    buf_clear(&call->known);
    if (read)
        buf_add_slice(&call->known, buf_slice(&call->url));
}

void httpc_handle_set(struct httpc_call *call)
{
    call->detail[0] = '\0';
    if (call->handle.wary) {
        call->handle.wary = false;
        curl_easy_setopt(call->easy, CURLOPT_VERBOSE, 0L);
        curl_easy_setopt(call->easy, CURLOPT_FORBID_REUSE, 0L);
    }
    set_url(call);
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, httpc_request_lines(call));
    set_how(call);
    set_tls(call, slice_starts(buf_slice(&call->url), SLICE("https:")));
}

void httpc_handle_rest(struct httpc_call *call)
{
    if (call->handle.special) {
        curl_easy_reset(call->easy); /* connections and sessions stay */
        set_basics(call);
    } else if (call->handle.how != HTTPC_GET) {
        curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, NULL);
        curl_easy_setopt(call->easy, CURLOPT_HTTPGET, 1L);
        curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, NULL);
        call->handle.how = HTTPC_GET;
    }
}
