/*
 * request.c: libh2o's request as slices, and all that it lets through but should not: folded header lines, a missing
 * Host, absolute-form targets taken for paths, broken percent-encoding, NUL bytes. See request.h.
 */
#include "http/request.h"
#include "base/panic.h"
#include "codec/authority.h"
#include <h2o.h>
#include <stdlib.h>

static struct slice slice_iovec(h2o_iovec_t v)
{
    return (struct slice){v.base, v.len};
}

static struct slice lower_in_pool(h2o_mem_pool_t *pool, struct slice s)
{
    size_t i = 0;
    while (i < s.len && !(s.at[i] >= 'A' && s.at[i] <= 'Z'))
        i++;
    if (i == s.len)
        return s;
    char *lower = h2o_mem_alloc_pool(pool, s.len);
    for (i = 0; i < s.len; i++)
        lower[i] = s.at[i] >= 'A' && s.at[i] <= 'Z' ? (char)(s.at[i] + ('a' - 'A')) : s.at[i];
    return (struct slice){lower, s.len};
}

/* The host of "name:port", "[v6]:port"; a trailing dot (the DNS root) does not count. */
static struct slice host_of(h2o_mem_pool_t *pool, struct slice authority)
{
    struct slice host = authority;
    if (host.len > 0 && host.at[0] == '[') {
        size_t end = slice_find(host, ']');
        if (end != SIZE_MAX)
            host.len = end + 1;
    } else {
        size_t colon = slice_find(host, ':');
        if (colon != SIZE_MAX)
            host.len = colon;
        if (host.len > 1 && host.at[host.len - 1] == '.')
            host.len--;
    }
    return lower_in_pool(pool, host);
}

/* File-scope because each worker has one thread: the authority that was read last, valid and in lower case. Most
 * clients name the same one. */
static struct {
    char text[64];
    size_t len; /* 0: none */
    size_t host_len;
} known;

static bool is_known(struct slice authority)
{
    return known.len > 0 && authority.len == known.len && memcmp(authority.at, known.text, known.len) == 0;
}

static void note_known(struct slice authority, struct slice host)
{
    if (authority.len == 0 || authority.len > sizeof(known.text) || host.at != authority.at)
        return;
    memcpy(known.text, authority.at, authority.len);
    known.len = authority.len;
    known.host_len = host.len;
}

/* "GET http://host/path HTTP/1.1" (RFC 9112 3.2.2): the authority of the target beats the Host header. */
static void cut_absolute_form(struct http_request *view)
{
    struct slice target = view->raw_path;
    size_t scheme = 0;
    if (target.len >= 7 && slice_equal_nocase((struct slice){target.at, 7}, SLICE("http://")))
        scheme = 7;
    else if (target.len >= 8 && slice_equal_nocase((struct slice){target.at, 8}, SLICE("https://")))
        scheme = 8;
    if (scheme == 0)
        return;
    struct slice rest = slice_from(target, scheme);
    size_t slash = slice_find(rest, '/');
    size_t end = slash == SIZE_MAX ? rest.len : slash;
    view->authority = (struct slice){rest.at, end};
    view->raw_path = end == rest.len ? SLICE("/") : slice_from(rest, end);
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decodes `from` into `to` (at least from.len bytes). The length, or SIZE_MAX and why. */
static size_t decode(struct slice from, char *to, const char **why_out)
{
    size_t len = 0;
    for (size_t i = 0; i < from.len; i++) {
        char c = from.at[i];
        if (c == '%') {
            int high = i + 2 < from.len ? hex(from.at[i + 1]) : -1;
            int low = high >= 0 ? hex(from.at[i + 2]) : -1;
            if (low < 0) {
                *why_out = "the path has a broken percent-encoding";
                return SIZE_MAX;
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0') {
            *why_out = "the path has a NUL byte";
            return SIZE_MAX;
        }
        to[len++] = c;
    }
    return len;
}

/* Takes "." and ".." out, in place (RFC 3986 5.2.4: not above the root). Returns the new length. */
static size_t resolve_dots(char *path, size_t len)
{
    size_t out = 0;
    for (size_t at = 0; at < len;) { /* path[at] is the '/' before a segment */
        size_t end = at + 1;
        while (end < len && path[end] != '/')
            end++;
        size_t segment = end - at - 1;
        if (segment == 2 && path[at + 1] == '.' && path[at + 2] == '.') {
            while (out > 0 && path[--out] != '/')
                ;
        } else if (!(segment == 1 && path[at + 1] == '.')) {
            memmove(path + out, path + at, end - at);
            out += end - at;
        }
        at = end;
    }
    return out;
}

/* Most paths are plain: nothing to decode, no dot segment, no slash at the end. */
static bool plain(struct slice path)
{
    if (path.len > 1 && path.at[path.len - 1] == '/')
        return false;
    for (size_t i = 0; i < path.len; i++) {
        if (path.at[i] == '%' || path.at[i] == '\0' || (path.at[i] == '.' && i > 0 && path.at[i - 1] == '/'))
            return false;
    }
    return true;
}

static int normalize(h2o_mem_pool_t *pool, struct http_request *view, const char **why_out)
{
    struct slice raw = view->raw_path;
    if (raw.len == 0 || raw.at[0] != '/') {
        *why_out = "the path does not begin with '/'";
        return -1;
    }
    view->path = raw;
    if (plain(raw))
        return 0;
    char *room = h2o_mem_alloc_pool(pool, raw.len);
    size_t len = decode(raw, room, why_out);
    if (len == SIZE_MAX)
        return -1;
    len = resolve_dots(room, len);
    while (len > 1 && room[len - 1] == '/')
        len--;
    view->path = len == 0 ? SLICE("/") : (struct slice){room, len};
    return 0;
}

/* Of the target as sent, in raw_path, and the authority: the query, and both without it. */
static void split_target(h2o_mem_pool_t *pool, struct http_request *view)
{
    size_t query = slice_find(view->raw_path, '?');
    if (query != SIZE_MAX) {
        view->query = slice_from(view->raw_path, query + 1);
        if (view->query.len == 0)
            view->query = SLICE("");
        view->raw_path.len = query;
    }
    if (view->version < 0x200)
        cut_absolute_form(view);
    view->host =
        is_known(view->authority) ? (struct slice){view->authority.at, known.host_len} : host_of(pool, view->authority);
}

int http_request_target(h2o_mem_pool_t *pool, struct http_request *view, const char **why_out)
{
    split_target(pool, view);
    return normalize(pool, view, why_out);
}

/* The peer of the connection: PROXY protocol has changed it there. */
static struct ip peer_of(h2o_conn_t *conn)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    struct ip ip = {.kind = IP_NONE};
    if (conn->callbacks->get_peername(conn, (struct sockaddr *)&peer) != 0)
        ip_of_sockaddr((struct sockaddr *)&peer, &ip);
    return ip;
}

static void add_header(struct http_request *view, struct http_header *headers, struct slice name, struct slice value)
{
    headers[view->header_count++] = (struct http_header){name, slice_trim(value)}; /* as RFC 9110 5.5 has it */
    view->header_bytes += name.len + value.len;
}

/*
 * HTTP/2 may name the host in a Host field instead of :authority; who names two must mean the same one (RFC 9113
 * 8.3.1). Of HTTP/1's header http1_guard has seen to that, and libh2o has taken the field out.
 */
static int view_host_field(h2o_req_t *req, struct http_request *view, const char **why_out)
{
    struct slice field = SLICE_NONE;
    for (size_t i = 0; i < req->headers.size; i++) {
        const h2o_header_t *h = &req->headers.entries[i];
        if (h->name != &H2O_TOKEN_HOST->buf)
            continue;
        if (field.at != NULL) {
            *why_out = "there is more than one Host header";
            return -1;
        }
        field = slice_iovec(h->value);
    }
    if (view->authority.at == NULL)
        view->authority = field;
    if (field.at == NULL || slice_equal_nocase(field, view->authority))
        return 0;
    *why_out = "Host and :authority are not the same";
    return -1;
}

/* libh2o keeps Host and Content-Length apart; a script (and a verifier) expects them among the others. */
static int view_headers(h2o_req_t *req, struct http_request *view, const char **why_out)
{
    struct http_header *headers = h2o_mem_alloc_pool(&req->pool, (req->headers.size + 2) * sizeof(*headers));
    bool length_seen = false, host_seen = false;
    view->headers = headers;
    for (size_t i = 0; i < req->headers.size; i++) {
        const h2o_header_t *h = &req->headers.entries[i];
        struct slice name = slice_iovec(*h->name);
        if (name.len == 0) {
            *why_out = "a header line is folded (obs-fold)";
            return -1;
        }
        length_seen |= h->name == &H2O_TOKEN_CONTENT_LENGTH->buf;
        host_seen |= h->name == &H2O_TOKEN_HOST->buf;
        add_header(view, headers, name, slice_iovec(h->value));
    }
    if (!host_seen && view->authority.at != NULL)
        add_header(view, headers, SLICE("host"), view->authority);
    if (!length_seen && view->body.at != NULL) {
        char *text = h2o_mem_alloc_pool(&req->pool, 24);
        size_t len = (size_t)(slice_put_u64(text, view->body.len) - text);
        add_header(view, headers, SLICE("content-length"), (struct slice){text, len});
        view->header_own = 1;
    }
    return 0;
}

int http_request_view(h2o_req_t *req, wall_t now, struct http_request *view, const char **why_out)
{
    h2o_socket_t *sock = req->conn->callbacks->get_socket(req->conn);
    *view = (struct http_request){
        .method = slice_iovec(req->input.method),
        .raw_path = slice_iovec(req->input.path),
        .authority = slice_iovec(req->input.authority),
        .scheme = sock != NULL && sock->ssl != NULL ? SLICE("https") : SLICE("http"),
        .body = slice_iovec(req->entity),
        .client = peer_of(req->conn),
        .version = req->version,
        .received_at = now,
        .id = uuid_new(now),
    };
    /* Where the client names no host, libh2o puts its own default there: the same pointer, so it can be told. */
    bool nameless = view->authority.at == NULL || view->authority.at == req->hostconf->authority.hostport.base;
    if (nameless)
        view->authority = SLICE_NONE;
    bool unclear = view->version >= 0x200 && view_host_field(req, view, why_out) != 0;
    split_target(&req->pool, view);
    if (unclear)
        return -1;
    if (nameless && view->version == 0x101) {
        *why_out = "there is no Host header"; /* RFC 9112 3.2 */
        return -1;
    }
    if (view->authority.at != NULL && !is_known(view->authority)) {
        if (!authority_valid(view->authority)) {
            *why_out = "what the request names is no host"; /* RFC 9112 3.2 */
            return -1;
        }
        note_known(view->authority, view->host);
    }
    if (view_headers(req, view, why_out) != 0)
        return -1;
    return normalize(&req->pool, view, why_out);
}

void http_request_forwarded(h2o_req_t *req, struct http_request *view, const struct ip *client, struct slice scheme,
                            struct slice authority)
{
    CHECK(view->own == NULL);
    if (client->kind != IP_NONE)
        view->client = *client;
    if (scheme.at != NULL)
        view->scheme = scheme;
    if (authority.at != NULL) {
        view->authority = authority;
        view->host = host_of(&req->pool, authority);
    }
}

static struct slice move(char **to, struct slice s)
{
    if (s.at == NULL)
        return s;
    struct slice moved = {*to, s.len};
    memcpy(*to, s.at, s.len);
    *to += s.len;
    return moved;
}

void http_request_detach(struct http_request *view)
{
    if (view->own != NULL)
        return;
    struct slice *parts[] = {&view->method,    &view->path, &view->raw_path, &view->query,
                             &view->authority, &view->host, &view->scheme,   &view->body};
    size_t count = sizeof(parts) / sizeof(parts[0]), need = view->header_count * sizeof(struct http_header);
    for (size_t i = 0; i < count; i++)
        need += parts[i]->len;
    need += view->header_bytes + 1; /* never nothing, so that `own` is not NULL */

    struct http_header *headers = need_alloc(need);
    char *to = (char *)(headers + view->header_count);
    for (size_t i = 0; i < count; i++)
        *parts[i] = move(&to, *parts[i]);
    for (size_t i = 0; i < view->header_count; i++) {
        headers[i].name = move(&to, view->headers[i].name);
        headers[i].value = move(&to, view->headers[i].value);
    }
    view->headers = headers;
    view->own = headers;
}

void http_request_free(struct http_request *view)
{
    free(view->own);
    *view = (struct http_request){0};
}

struct slice http_request_header(const struct http_request *view, struct slice name)
{
    for (size_t i = 0; i < view->header_count; i++) {
        if (slice_equal(view->headers[i].name, name))
            return view->headers[i].value;
    }
    return SLICE_NONE;
}
