/*
 * proxy_request.c: the client's request as the upstream gets it. See proxy.h. What HTTP/2 carries and HTTP/1 cannot (a
 * line break in a value, a name that is no token) would be a second request there: it is refused here.
 */
#include "base/ascii.h"
#include "base/panic.h"
#include "http/proxy.h"

struct making { /* one request */
    const struct proxy_plan *plan;
    const struct http_request *from;
    struct proxy_room *room;
    size_t count; /* of room->headers */
    struct slice method, body;
    bool body_dropped; /* the client's: what its header says of it goes with it */
    struct proxy_refusal *refusal;
};

static int refuse(struct making *m, int status, const char *words)
{
    *m->refusal = (struct proxy_refusal){.status = status, .words = words};
    return -1;
}

/* --- the path ---------------------------------------------------------------------------------------------------- */

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : 0;
}

/* Whether a segment decodes to "." or "..": other readers than the router might resolve it in another way. */
static bool has_dots(struct slice path)
{
    size_t dots = 0, others = 0;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.at[i];
        if (c == '%' && i + 2 < path.len) {
            c = (char)(digit(path.at[i + 1]) << 4 | digit(path.at[i + 2]));
            i += 2;
        }
        if (c == '/') {
            if (others == 0 && (dots == 1 || dots == 2))
                return true;
            dots = others = 0;
        } else if (c == '.') {
            dots++;
        } else {
            others++;
        }
    }
    return others == 0 && (dots == 1 || dots == 2);
}

/* A decoded path, encoded: what is no pchar (RFC 3986 3.3) but for the slashes. */
static void add_encoded(struct slice path, struct buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.at[i];
        const char coded[3] = {'%', digits[c >> 4], digits[c & 15]};
        if (ascii_is_alnum(path.at[i]) || ascii_is_one_of(path.at[i], "-._~!$&'()*+,;=:@/"))
            buf_add_char(out, path.at[i]);
        else
            buf_add(out, coded, sizeof(coded));
    }
}

/* The rest behind the prefix, which ends where a segment does. at == NULL: it begins with something else. */
static struct slice behind(struct slice path, struct slice prefix)
{
    if (!slice_starts(path, prefix) || (path.len > prefix.len && path.at[prefix.len] != '/'))
        return SLICE_NONE;
    return slice_from(path, prefix.len);
}

/*
 * The request's path as it was sent, without the prefix that is stripped. Where it holds dot segments, or spells the
 * prefix in another way, it goes as it was routed, encoded anew. 0, or -1: it does not begin with the prefix.
 */
static int own_path(struct making *m, struct slice *path_out)
{
    const struct http_request *r = m->from;
    struct slice strip = m->plan->strip, rest = r->raw_path;
    bool resolved = has_dots(r->raw_path);
    if (strip.at != NULL && !resolved)
        rest = behind(r->raw_path, strip);
    if (!resolved && rest.at != NULL) {
        *path_out = rest;
        return 0;
    }
    rest = strip.at != NULL ? behind(r->path, strip) : r->path;
    if (rest.at == NULL)
        return -1;
    struct buf *text = &m->room->text;
    size_t begin = text->len;
    add_encoded(rest, text);
    if (r->raw_path.len > 1 && slice_ends(r->raw_path, SLICE("/")) && !slice_ends(rest, SLICE("/")))
        buf_add_char(text, '/');
    *path_out = (struct slice){text->at + begin, text->len - begin};
    return 0;
}

static int make_url(struct making *m, const struct proxy_upstream *to)
{
    struct url u = to->url;
    struct slice rest;
    struct buf *text = &m->room->text;
    if (u.path.len == 0 || m->plan->strip.at != NULL) {
        if (own_path(m, &rest) != 0) {
            *m->refusal =
                (struct proxy_refusal){.status = 500,
                                       .script = true,
                                       .words = "the request's path does not begin with what shall be stripped"};
            return -1;
        }
        size_t begin = text->len;
        struct slice base = u.path;
        while (base.len > 0 && base.at[base.len - 1] == '/')
            base.len--;
        if (base.len > 0 && rest.len > 0) {
            buf_add_slice(text, base);
            buf_add_slice(text, rest);
            rest = (struct slice){text->at + begin, text->len - begin};
        }
        u.path = rest.len > 0 ? rest : u.path;
    }
    if (u.query.at == NULL)
        u.query = m->from->query;
    url_write(&u, &m->room->url);
    return 0;
}

/* --- the body ----------------------------------------------------------------------------------------------------- */

static struct slice body_of(const struct making *m)
{
    struct slice method = m->method;
    struct slice body = m->plan->has_body ? m->plan->body : m->from->body;
    if (slice_equal(method, SLICE("HEAD"))) /* RFC 9110 9.3.2: it has no meaning there */
        return SLICE_NONE;
    if (body.len > 0)
        return body;
    /* A method that is about a body says that its length is 0 (RFC 9110 8.6). */
    bool expected =
        slice_equal(method, SLICE("POST")) || slice_equal(method, SLICE("PUT")) || slice_equal(method, SLICE("PATCH"));
    return expected ? SLICE("") : SLICE_NONE;
}

/* --- header fields ----------------------------------------------------------------------------------------------- */

static void add(struct making *m, struct slice name, struct slice value)
{
    m->room->headers[m->count++] = (struct httpc_header){name, value};
}

static bool is_value(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool changes_it(const struct proxy_changes *c, struct slice name)
{
    for (size_t i = 0; i < c->count; i++)
        if (slice_equal(c->at[i].name, name))
            return true;
    return false;
}

/* Whether a Connection field names it (RFC 9110 7.6.1). */
static bool is_named(const struct http_request *r, struct slice name)
{
    for (size_t i = 0; i < r->header_count; i++) {
        struct slice rest = r->headers[i].value, token;
        if (!slice_equal(r->headers[i].name, SLICE("connection")))
            continue;
        while (slice_cut(&rest, ',', &token))
            if (slice_equal_nocase(slice_trim(token), name))
                return true;
    }
    return false;
}

/* What is set here, or must not be believed. */
static bool is_ours(struct slice name)
{
    static const struct slice names[] = {{"host", 4},      {"content-length", 14}, {"traceparent", 11},
                                         {"forwarded", 9}, {"x-real-ip", 9},       {"x-request-id", 12}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_equal(name, names[i]))
            return true;
    return slice_starts(name, SLICE("x-forwarded-"));
}

/* RFC 9110 8.3 to 8.7 */
static bool is_of_body(struct slice name)
{
    static const struct slice names[] = {SLICE("content-type"), SLICE("content-encoding"), SLICE("content-language"),
                                         SLICE("content-location")};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_equal(name, names[i]))
            return true;
    return false;
}

/* What does not go on as the client has sent it. */
static bool stays_here(const struct making *m, struct slice name)
{
    return proxy_is_of_connection(name) || is_ours(name) || changes_it(&m->plan->request, name);
}

/*
 * X_Forwarded_For: to an upstream that has header fields as variables of CGI (RFC 3875 4.1.18), and to others that mean
 * to be kind, it is the same as X-Forwarded-For.
 */
static bool is_twin(const struct making *m, struct slice name)
{
    char plain[PROXY_NAME_MAX];
    if (slice_find(name, '_') == SIZE_MAX || name.len > sizeof(plain))
        return false;
    for (size_t i = 0; i < name.len; i++)
        plain[i] = (char)(name.at[i] == '_' ? '-' : name.at[i]);
    return stays_here(m, (struct slice){plain, name.len});
}

/* RFC 9113 8.2.3: several fields of cookies are one outside of HTTP/2. */
static void add_cookies(struct making *m)
{
    const struct http_request *r = m->from;
    struct buf *text = &m->room->text;
    size_t begin = text->len, count = 0;
    struct slice one = SLICE_NONE;
    for (size_t i = 0; i < r->header_count; i++) {
        if (!slice_equal(r->headers[i].name, SLICE("cookie")))
            continue;
        one = r->headers[i].value;
        if (count++ > 0)
            buf_add_text(text, "; ");
        buf_add_slice(text, one);
    }
    if (count > 0)
        add(m, SLICE("cookie"), (struct slice){text->at + begin, text->len - begin});
}

static int add_clients(struct making *m)
{
    const struct http_request *r = m->from;
    bool any_named = http_request_header(r, SLICE("connection")).at != NULL, cookies = false;
    for (size_t i = 0; i < r->header_count; i++) {
        struct slice name = r->headers[i].name, value = r->headers[i].value;
        if (!ascii_is_token(name) || !is_value(value))
            return refuse(m, 400, "a header field of the request is malformed");
        if ((m->body_dropped && is_of_body(name)) || stays_here(m, name) || is_twin(m, name) ||
            (any_named && is_named(r, name)))
            continue;
        if (slice_equal(name, SLICE("cookie"))) {
            if (!cookies)
                add_cookies(m);
            cookies = true;
            continue;
        }
        add(m, name, value);
    }
    return 0;
}

static void add_unless_changed(struct making *m, struct slice name, struct slice value)
{
    if (value.len > 0 && !changes_it(&m->plan->request, name))
        add(m, name, value);
}

static int add_ours(struct making *m, const struct trace *trace)
{
    const struct http_request *r = m->from;
    struct proxy_room *room = m->room;
    bool pass = m->plan->host_how == PROXY_HOST_PASS;
    if (!is_value(r->authority))
        return refuse(m, 400, "the request's host is malformed");
    if (pass || m->plan->host_how == PROXY_HOST_SET) {
        struct slice host = pass ? r->authority : m->plan->host;
        if (host.len > 0) /* HTTP/1.0 may name none: then it is the upstream's */
            add(m, SLICE("host"), host);
    }
    if (r->client.kind != IP_UNIX) /* a peer without an address */
        add_unless_changed(m, SLICE("x-forwarded-for"), ip_text(&r->client, room->ip));
    add_unless_changed(m, SLICE("x-forwarded-proto"), r->scheme);
    add_unless_changed(m, SLICE("x-forwarded-host"), r->authority);
    uuid_text(&r->id, room->id);
    add_unless_changed(m, SLICE("x-request-id"), (struct slice){room->id, UUID_TEXT});
    if (trace->carried) {
        trace_text(trace, room->trace);
        add_unless_changed(m, SLICE("traceparent"), (struct slice){room->trace, TRACE_TEXT});
    }
    add_unless_changed(m, SLICE("via"),
                       r->version >= 0x200   ? SLICE("2 crescent")
                       : r->version == 0x101 ? SLICE("1.1 crescent")
                                             : SLICE("1.0 crescent"));
    for (size_t i = 0; i < m->plan->request.count; i++)
        if (m->plan->request.at[i].value.at != NULL)
            add(m, m->plan->request.at[i].name, m->plan->request.at[i].value);
    return 0;
}

/* --- what does not go on ----------------------------------------------------------------------------------------- */

static size_t times_by_here(const struct http_request *r)
{
    size_t times = 0;
    for (size_t i = 0; i < r->header_count; i++) {
        struct slice rest = r->headers[i].value, part;
        if (!slice_equal(r->headers[i].name, SLICE("via")))
            continue;
        while (slice_cut(&rest, ',', &part))
            times += slice_ends(slice_trim(part), SLICE(" crescent"));
    }
    return times;
}

static int check(struct making *m)
{
    struct slice method = m->method;
    if (!ascii_is_token(method))
        return refuse(m, 400, "the request's method is malformed");
    if (slice_equal(method, SLICE("TRACE")) || slice_equal(method, SLICE("CONNECT")))
        return refuse(m, 501, "this method is not passed on");
    if (http_request_header(m->from, SLICE("sec-websocket-key")).at != NULL) /* libh2o keeps Upgrade to itself */
        return refuse(m, 501, "WebSocket is not passed on");
    if (m->from->header_count + m->plan->request.count + 16 > HTTPC_HEADERS_MAX)
        return refuse(m, 431, "the request has too many header fields");
    if (times_by_here(m->from) >= PROXY_LOOP)
        return refuse(m, 508, "the request goes in circles");
    return 0;
}

int proxy_request(const struct proxy_plan *plan, const struct proxy_upstream *to, const struct http_request *request,
                  const struct trace *trace, struct proxy_room *room, struct httpc_request *out,
                  struct proxy_refusal *refusal)
{
    struct making m = {.plan = plan, .from = request, .room = room, .refusal = refusal};
    m.method = plan->method.at != NULL ? plan->method : request->method;
    m.body = body_of(&m);
    m.body_dropped = m.body.at == NULL && (plan->has_body || request->body.len > 0);
    buf_clear(&room->url);
    buf_clear(&room->text);
    /* From here on it does not move: a path in three spellings, and cookies. */
    size_t need = to->url.path.len + 6 * request->path.len + request->raw_path.len + 3 * request->header_bytes + 16;
    buf_reserve(&room->text, need);
    const char *memory = room->text.at;
    if (check(&m) != 0 || make_url(&m, to) != 0 || add_clients(&m) != 0 || add_ours(&m, trace) != 0)
        return -1;
    CHECK(room->text.at == memory && m.count <= HTTPC_HEADERS_MAX);
    *out = (struct httpc_request){
        .method = m.method,
        .url = buf_slice(&room->url),
        .headers = room->headers,
        .header_count = m.count,
        .body = m.body,
        .body_stays = true,
        .concurrency = plan->concurrency,
        .connect_timeout = plan->connect_timeout,
        .idle = plan->idle,
        .max_body = SIZE_MAX,
        .public_only = plan->public_only,
        .bare = true,
        .upstream = true,
        .ca = plan->ca,
        .cert = plan->cert,
        .key = plan->key,
    };
    out->repeatable = proxy_repeatable(out);
    return 0;
}
