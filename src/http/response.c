/*
 * response.c: all that libh2o does not check is checked here, once: status, header names and values, which statuses
 * have a body, and pieces small enough that TLS does not encrypt a large body into memory at once. See response.h.
 */
#include "http/response.h"
#include "base/ascii.h"
#include "base/panic.h"
#include <h2o.h>

#define PIECE 65536 /* bytes handed to the library at a time */

struct pieces { /* a large body on its way; lives in the request's pool */
    h2o_generator_t super;
    struct slice rest;
};

static const struct {
    int status;
    const char *phrase;
} phrases[] = {
    /* RFC 9110 15, RFC 6585 */
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {511, "Network Authentication Required"},
};

const char *http_response_reason(int status)
{
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
        if (phrases[i].status == status)
            return phrases[i].phrase;
    }
    return status < 400 ? "OK" : "Error";
}

void http_response_init(struct http_response *r)
{
    r->status = 204;
    r->body = SLICE_NONE;
    r->bytes = (struct buf){0};
    r->header_count = 0;
}

void http_response_clear(struct http_response *r)
{
    struct buf bytes = r->bytes;
    buf_clear(&bytes);
    http_response_init(r);
    r->bytes = bytes;
}

void http_response_free(struct http_response *r)
{
    buf_free(&r->bytes);
    http_response_init(r);
}

int http_response_status(struct http_response *r, long status, struct error *err)
{
    if (status < 200 || status > 599)
        return error_set(err, "status %ld is not between 200 and 599", status);
    r->status = (int)status;
    return 0;
}

/* Hop-by-hop and length headers belong to the library; a second one would break the framing. */
static bool reserved(struct slice name)
{
    static const struct slice names[] = {SLICE("connection"), SLICE("transfer-encoding"), SLICE("content-length"),
                                         SLICE("keep-alive"), SLICE("upgrade"),           SLICE("te"),
                                         SLICE("trailer"),    SLICE("proxy-connection"),  SLICE("date"),
                                         SLICE("server")};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (slice_equal(name, names[i]))
            return true;
    }
    return false;
}

static int check_value(struct slice name, struct slice value, struct error *err)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return error_set(err, "header %.*s: the value has a control character (byte 0x%02x at %zu)",
                             SLICE_ARG(name), c, i + 1);
    }
    return 0;
}

/* Behind its name, which lies in the bytes already. */
static void put_value(struct http_response *r, size_t name_len, struct slice value)
{
    buf_add_slice(&r->bytes, value);
    r->header[r->header_count].name_len = (uint32_t)name_len;
    r->header[r->header_count].value_len = (uint32_t)value.len;
    r->header_count++;
}

static int add(struct http_response *r, struct slice name, struct slice value, struct error *err)
{
    if (name.len == 0 || name.len > 256)
        return error_set(err, "a header's name has %zu bytes, not 1 to 256", name.len);
    size_t before = r->bytes.len;
    char *lower = buf_reserve(&r->bytes, name.len);
    NEED(lower != NULL);
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.at[i];
        c = c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
        if (!ascii_is_token_char((char)c))
            return error_set(err, "a header's name has byte 0x%02x at %zu, which no token has", c, i + 1);
        lower[i] = (char)c;
    }
    struct slice lowered = {lower, name.len};
    if (reserved(lowered))
        return error_set(err, "header %.*s is the server's own", SLICE_ARG(lowered));
    value = slice_trim(value);
    if (before + name.len + value.len > HTTP_RESPONSE_BYTES_MAX)
        return error_set(err, "header %.*s: with it the headers are larger than %zu KiB", SLICE_ARG(lowered),
                         HTTP_RESPONSE_BYTES_MAX >> 10);
    if (check_value(lowered, value, err) != 0)
        return -1;
    r->bytes.len = before + name.len;
    put_value(r, name.len, value);
    return 0;
}

int http_response_add(struct http_response *r, struct slice name, struct slice value, struct error *err)
{
    if (r->header_count >= HTTP_RESPONSE_HEADERS_MAX)
        return error_set(err, "more than %d headers", HTTP_RESPONSE_HEADERS_MAX);
    return add(r, name, value, err);
}

void http_response_add_own(struct http_response *r, struct slice name, struct slice value)
{
    CHECK(r->header_count < HTTP_RESPONSE_HEADERS_MAX + HTTP_RESPONSE_HEADERS_OWN);
    buf_add_slice(&r->bytes, name);
    put_value(r, name.len, value);
}

void http_response_remove(struct http_response *r, struct slice name)
{
    size_t at = 0, kept = 0;
    for (size_t i = 0; i < r->header_count; i++) {
        size_t len = (size_t)r->header[i].name_len + r->header[i].value_len;
        if (slice_equal((struct slice){r->bytes.at + at, r->header[i].name_len}, name)) {
            memmove(r->bytes.at + at, r->bytes.at + at + len, r->bytes.len - at - len);
            r->bytes.len -= len;
        } else {
            r->header[kept++] = r->header[i];
            at += len;
        }
    }
    r->header_count = kept;
}

bool http_response_has(const struct http_response *r, struct slice name)
{
    size_t at = 0;
    for (size_t i = 0; i < r->header_count; i++) {
        struct slice this = {r->bytes.at + at, r->header[i].name_len};
        if (slice_equal(this, name))
            return true;
        at += r->header[i].name_len + r->header[i].value_len;
    }
    return false;
}

void http_response_copy(const struct http_response *r, h2o_req_t *req)
{
    CHECK(r->status >= 200 && r->status <= 599);
    req->res.status = r->status;
    req->res.reason = http_response_reason(r->status);
    if (r->header_count == 0)
        return;
    char *at = h2o_mem_alloc_pool(&req->pool, r->bytes.len);
    memcpy(at, r->bytes.at, r->bytes.len);
    for (size_t i = 0; i < r->header_count; i++) {
        const char *name = at;
        at += r->header[i].name_len;
        h2o_add_header_by_str(&req->pool, &req->res.headers, name, r->header[i].name_len, 1, NULL, at,
                              r->header[i].value_len);
        at += r->header[i].value_len;
    }
}

static void send_piece(h2o_generator_t *self, h2o_req_t *req)
{
    struct pieces *p = (struct pieces *)self;
    size_t len = p->rest.len < PIECE ? p->rest.len : PIECE;
    h2o_iovec_t v = h2o_iovec_init(p->rest.at, len);
    p->rest = slice_from(p->rest, len);
    h2o_send(req, &v, 1, p->rest.len == 0 ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
}

void http_response_send(struct http_response *r, h2o_req_t *req)
{
    static h2o_generator_t whole; /* const in effect: no callbacks, all is sent at once */
    http_response_copy(r, req);
    bool bodiless = r->status == 204 || r->status == 304;
    /* Always said but where RFC 9110 8.6 forbids it: without a length HTTP/1 would close the connection. */
    if (!bodiless)
        req->res.content_length = r->body.len;
    if (bodiless || r->body.len == 0 || h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD"))) {
        /* One empty vector, never none: with none the library would run the next pipelined request in here. */
        h2o_iovec_t empty = h2o_iovec_init("", 0);
        h2o_start_response(req, &whole);
        h2o_send(req, &empty, 1, H2O_SEND_STATE_FINAL);
        return;
    }
    char *body = h2o_mem_alloc_pool(&req->pool, r->body.len);
    memcpy(body, r->body.at, r->body.len);
    if (r->body.len <= PIECE) {
        h2o_iovec_t v = h2o_iovec_init(body, r->body.len);
        h2o_start_response(req, &whole);
        h2o_send(req, &v, 1, H2O_SEND_STATE_FINAL);
        return;
    }
    struct pieces *p = h2o_mem_alloc_pool(&req->pool, sizeof(*p));
    *p = (struct pieces){.super = {.proceed = send_piece, .stop = NULL}, .rest = {body, r->body.len}};
    h2o_start_response(req, &p->super);
    send_piece(&p->super, req);
}
