/*
 * bind_http_plan.c: the options of an outgoing request, one reader each, in the order in which they matter. See
 * bind_http_plan.h.
 */
#include "bind/bind_http_plan.h"
#include "base/ascii.h"
#include "base/duration.h"
#include "base/panic.h"
#include "bind/bind_http_body.h"
#include "bind/bind_json.h"
#include "codec/url.h"
#include "script/error.h"
#include "script/table.h"
#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>

#define TIMEOUT_MAX DUR_S(3600)
#define CONNECT_TIMEOUT_MAX DUR_S(300) /* libcurl's own */
#define MAX_BODY_MOST ((size_t)1 << 30)
#define REDIRECTS_MAX 50
#define REDIRECTS_UNSAID UINT_MAX
#define KEPT ((size_t)64 << 10)
/* No more is copied of a URL than what shows that it is too long, which it is told of as the call's outcome. */
#define URL_ROOM (URL_MAX + 1)
#define PEM_MAX ((size_t)1 << 20) /* each call copies it */

static const char slot; /* its address is the state's slot */

static const char *const names[] = {
    "method",          "url",      "headers",    "query",       "json",    "form", "multipart", "body", "timeout",
    "connect_timeout", "max_body", "redirects",  "expect",      "private", "ca",   "cert",      "key",  "sign",
    "retry",           "stream",   "decompress", "concurrency", NULL};
#define OF_REQUEST 2 /* so many at the front are http.request's alone */

static void release(void *pointer)
{
    struct bind_http_plan *p = pointer;
    buf_free(&p->url);
    buf_free(&p->text);
    buf_free(&p->body);
    bind_http_sign_free(&p->sign);
    free(p);
}

void bind_http_plan_open(lua_State *L)
{
    state_set_pointer(state_of(L), &slot, need_zero(1, sizeof(struct bind_http_plan)), release);
}

static void trim(struct buf *b)
{
    if (b->room > KEPT)
        buf_free(b);
    buf_clear(b);
}

/* --- method and url ---------------------------------------------------------------------------------------------- */

static bool is_one_of(struct slice s, const char *const *list)
{
    for (; *list != NULL; list++)
        if (slice_equal_nocase(s, slice_of(*list)))
            return true;
    return false;
}

static void read_method(struct table_reader *t, struct bind_http_plan *p)
{
    static const char *const usual[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", NULL};
    static const char *const others[] = {"CONNECT", "TRACE", NULL};
    struct slice given = SLICE("GET");
    table_string(t, "method", &given);
    if (!ascii_is_token(given) || given.len > 32 || is_one_of(given, others))
        table_fault(t, "method", "expected a method such as \"POST\", got \"%.*s%s\"", SLICE_SHOWN(given, 40));
    p->request.method = given;
    for (size_t i = 0; usual[i] != NULL; i++) /* "post" is meant so, and would not be understood */
        if (slice_equal_nocase(given, slice_of(usual[i])))
            p->request.method = slice_of(usual[i]);
}

static void take_url(lua_State *L, int index, struct bind_http_plan *p)
{
    if (lua_type(L, index) != LUA_TSTRING)
        script_error_words(L, "%s: expected a URL, got %s", p->what,
                           lua_isnone(L, index) || lua_isnil(L, index) ? "nothing" : luaL_typename(L, index));
    p->request.url.at = lua_tolstring(L, index, &p->request.url.len);
    if (p->request.url.len > URL_ROOM)
        p->request.url.len = URL_ROOM;
}

/* What did not fit is missing in the middle: the rest is not to look like a URL that fits. */
static void fill(struct buf *url)
{
    size_t rest = url->limit - url->len;
    char *at = buf_reserve(url, rest);
    memset(at, 'x', rest);
    url->len += rest;
}

static void add_query(struct table_reader *t, struct bind_http_plan *p)
{
    if (!table_push(t, "query"))
        return;
    struct slice url = p->request.url;
    size_t fragment = slice_find(url, '#');
    if (fragment < url.len)
        url.len = fragment;
    bool first = slice_find(url, '?') == SIZE_MAX;
    p->url.limit = URL_ROOM;
    buf_add_slice(&p->url, url);
    if (first)
        buf_add_char(&p->url, '?');
    size_t before = p->url.len;
    bind_http_body_pairs(t->L, p->what, "query", &p->url);
    if (p->url.overflow)
        fill(&p->url);
    else if (first && p->url.len == before)
        p->url.len--;
    p->request.url = buf_slice(&p->url);
    lua_pop(t->L, 1);
}

/* --- bodies ------------------------------------------------------------------------------------------------------ */

static void take_encoded(struct bind_http_plan *p, struct slice type)
{
    p->request.body = (struct slice){p->body.len > 0 ? p->body.at : "", p->body.len};
    if (!bind_http_headers_has(&p->headers, SLICE("content-type")))
        bind_http_headers_add(&p->headers, SLICE("content-type"), type);
}

static void read_body(struct table_reader *t, struct bind_http_plan *p)
{
    static const char *const kinds[] = {"body", "json", "form", "multipart"};
    lua_State *L = t->L;
    const char *found = NULL;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (!table_push(t, kinds[i]))
            continue;
        if (found != NULL)
            table_fault(t, kinds[i], "there is '%s' as well: a request has one body", found);
        found = kinds[i];
    }
    if (found == NULL)
        return;
    p->body.limit = BIND_JSON_TEXT_MAX;
    switch (found[0]) {
    case 'b':
        if (lua_type(L, -1) != LUA_TSTRING)
            table_fault(t, "body", "expected a string, got %s", luaL_typename(L, -1));
        p->request.body.at = lua_tolstring(L, -1, &p->request.body.len);
        return;
    case 'j':
        bind_json_encode(L, lua_gettop(L), &p->body);
        take_encoded(p, SLICE("application/json"));
        break;
    case 'f':
        bind_http_body_pairs(L, p->what, "form", &p->body);
        take_encoded(p, SLICE("application/x-www-form-urlencoded"));
        break;
    default:
        if (bind_http_headers_has(&p->headers, SLICE("content-type"))) /* which could not name the boundary */
            script_error_words(L, "%s: headers: 'content-type' is set by multipart", p->what);
        bind_http_body_multipart(L, p->what, &p->body, p->multipart_type);
        take_encoded(p, slice_of(p->multipart_type));
    }
    if (p->body.overflow)
        table_fault(t, found, "the body is larger than 64MiB");
}

/* --- limits ------------------------------------------------------------------------------------------------------ */

static void read_time(struct table_reader *t, const char *name, dur_t most, dur_t *into)
{
    dur_t given;
    char room[32];
    if (!table_duration(t, name, &given))
        return;
    if (given.ns <= 0 || given.ns > most.ns)
        table_fault(t, name, "expected more than nothing, and at most %s", duration_text(most, room));
    *into = given;
}

static void read_limits(struct table_reader *t, struct bind_http_plan *p)
{
    struct httpc_request *r = &p->request;
    long long number;
    size_t size;
    read_time(t, "timeout", TIMEOUT_MAX, &r->timeout);
    read_time(t, "connect_timeout", CONNECT_TIMEOUT_MAX, &r->connect_timeout);
    if (table_size(t, "max_body", &size)) {
        if (size > MAX_BODY_MOST)
            table_fault(t, "max_body", "expected at most 1GiB");
        r->max_body = size;
        p->max_body_said = true;
    }
    if (table_integer(t, "redirects", 0, REDIRECTS_MAX, &number))
        r->redirects = (unsigned)number;
    if (table_integer(t, "concurrency", 1, OUTBOUND_CONCURRENCY_MAX, &number))
        r->concurrency = (unsigned)number;
    table_bool(t, "decompress", &r->decompress);
    table_bool(t, "stream", &p->stream);
}

static void read_private(struct table_reader *t, struct bind_http_plan *p, const struct script_host *host)
{
    bool allowed;
    if (!table_bool(t, "private", &allowed))
        return;
    if (allowed && !host->http_private)
        table_fault(t, "private", "the setting http_private forbids it");
    p->request.public_only = !allowed;
}

void bind_http_plan_check_pem(struct table_reader *t, const char *name, struct slice given)
{
    if (given.len == 0 || memchr(given.at, '\0', given.len) != NULL)
        table_fault(t, name, "expected PEM text, or the path of a file");
    if (given.len > PEM_MAX)
        table_fault(t, name, "expected at most 1MiB");
}

static void read_tls(struct table_reader *t, struct bind_http_plan *p)
{
    struct httpc_request *r = &p->request;
    struct url u;
    const struct {
        const char *name;
        struct slice *into;
    } texts[] = {{"ca", &r->ca}, {"cert", &r->cert}, {"key", &r->key}};
    for (size_t i = 0; i < 3; i++) {
        if (!table_string(t, texts[i].name, texts[i].into))
            continue;
        bind_http_plan_check_pem(t, texts[i].name, *texts[i].into);
        if (url_parse(r->url, &u) == NULL && !u.tls) /* a broken one is told of as the call's outcome */
            table_fault(t, texts[i].name, "there is no TLS in which to use it: the URL begins with http://");
    }
    if ((r->cert.len > 0) != (r->key.len > 0))
        table_fault(t, r->cert.len > 0 ? "cert" : "key", "cert and key go together");
}

/* --- expect and retry -------------------------------------------------------------------------------------------- */

/* "2xx", or a number, at the top of the stack. */
static void read_range(struct table_reader *t, struct bind_http_plan *p)
{
    lua_State *L = t->L;
    struct bind_http_range range = {0, 0};
    long long status;
    if (table_whole(L, -1, 100, 599, &status)) {
        range.least = range.most = (int)status;
    } else if (lua_type(L, -1) == LUA_TSTRING) {
        struct slice text;
        text.at = lua_tolstring(L, -1, &text.len);
        if (text.len == 3 && slice_equal(slice_from(text, 1), SLICE("xx")) && text.at[0] >= '1' && text.at[0] <= '5')
            range = (struct bind_http_range){100 * (text.at[0] - '0'), 100 * (text.at[0] - '0') + 99};
    }
    if (range.least < 100 || range.most > 599)
        table_fault(t, "expect", "expected \"2xx\", a status such as 200, or a list of these");
    if (p->expect_count == BIND_HTTP_EXPECT_MAX)
        table_fault(t, "expect", "more than %d", BIND_HTTP_EXPECT_MAX);
    p->expect[p->expect_count++] = range;
}

static void read_expect(struct table_reader *t, struct bind_http_plan *p)
{
    lua_State *L = t->L;
    if (!table_push(t, "expect"))
        return;
    size_t count = lua_istable(L, -1) ? table_list(t, "expect", lua_gettop(L)) : 0;
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, (int)i);
        read_range(t, p);
        lua_pop(L, 1);
    }
    if (count == 0)
        read_range(t, p); /* an empty list is none */
    lua_pop(L, 1);
}

bool bind_http_plan_expects(const struct bind_http_range *expect, size_t count, int status)
{
    for (size_t i = 0; i < count; i++)
        if (status >= expect[i].least && status <= expect[i].most)
            return true;
    return count == 0;
}

/* --- all of it --------------------------------------------------------------------------------------------------- */

static void reset(struct bind_http_plan *p, const char *what, const struct script_host *host)
{
    trim(&p->url);
    trim(&p->body);
    trim(&p->text);
    p->max_body_said = false;
    bind_http_headers_clear(&p->headers);
    p->what = what;
    p->expect_count = 0;
    p->retry = (struct bind_http_retry){.attempts = 1};
    bind_http_sign_free(&p->sign);
    p->stream = false;
    p->request = (struct httpc_request){.connect_timeout = BIND_HTTP_CONNECT_TIMEOUT,
                                        .max_body = BIND_HTTP_MAX_BODY,
                                        .public_only = !host->http_private,
                                        .decompress = true,
                                        .http2 = true};
}

static void read_options(lua_State *L, int index, struct bind_http_plan *p, const struct script_host *host, bool whole)
{
    struct table_reader t;
    table_begin(&t, L, index, p->what, whole ? names : names + OF_REQUEST, false);
    if (whole) {
        read_method(&t, p);
        if (!table_push(&t, "url"))
            lua_pushnil(L);
        take_url(L, lua_gettop(L), p);
    }
    add_query(&t, p);
    bind_http_headers_read(&t, &p->headers);
    read_body(&t, p);
    read_limits(&t, p);
    read_private(&t, p, host);
    read_tls(&t, p);
    read_expect(&t, p);
    if (table_push(&t, "retry"))
        bind_http_retry_read(L, p->what, &p->retry);
    if (table_push(&t, "sign"))
        bind_http_sign_read(L, p->what, &p->sign);
}

static bool is_idempotent(struct slice method)
{
    static const char *const known[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", NULL}; /* RFC 9110 9.2.2 */
    return is_one_of(method, known);
}

/*
 * Without a timeout of its own a request leaves the script some of the endpoint's time: it learns of a host that hangs,
 * and may answer. A round number, which reads well in an error.
 */
static dur_t default_timeout(mono_t until)
{
    dur_t left = mono_since(until, mono_now());
    int64_t ms = left.ns / 1000000 * BIND_HTTP_SHARE / 100;
    ms = ms >= 1000 ? (ms + 9) / 10 * 10 : ms > 1 ? ms : 1;
    return ms >= BIND_HTTP_TIMEOUT.ns / 1000000 ? BIND_HTTP_TIMEOUT : DUR_MS(ms);
}

static void set_times(lua_State *L, struct bind_http_plan *p)
{
    struct httpc_request *r = &p->request;
    r->until = state_deadline(state_of(L));
    r->idle = r->timeout.ns > 0 ? r->timeout : BIND_HTTP_TIMEOUT;
    if (r->timeout.ns == 0)
        r->timeout = default_timeout(r->until);
}

/* What only the whole of the options says. */
static void check(lua_State *L, const struct bind_http_plan *p)
{
    const struct httpc_request *r = &p->request;
    for (size_t i = 0; p->sign.count > 0 && i < BIND_HTTP_SIGN_HEADERS; i++)
        if (bind_http_headers_has(&p->headers, slice_of(bind_http_sign_headers[i])))
            script_error_words(L, "%s: headers: '%s' is set by sign", p->what, bind_http_sign_headers[i]);
    if (p->retry.statuses_said && !r->repeatable)
        script_error_words(
            L,
            "%s: retry: statuses: a %.*s that was answered is not sent again, since it may have been done; "
            "where that does no harm, say so with retry.idempotent = true",
            p->what, SLICE_ARG(r->method));
}

static void finish(lua_State *L, struct bind_http_plan *p, bool redirects_given)
{
    struct httpc_request *r = &p->request;
    bool get = slice_equal(r->method, SLICE("GET")), head = slice_equal(r->method, SLICE("HEAD"));
    if (head && r->body.at != NULL)
        script_error_words(L, "%s: a HEAD request has no body", p->what);
    if (r->body.at == NULL && (slice_equal(r->method, SLICE("POST")) || slice_equal(r->method, SLICE("PUT")) ||
                               slice_equal(r->method, SLICE("PATCH"))))
        r->body = SLICE(""); /* of length 0, and said so (RFC 9110 8.6) */
    if (!redirects_given && (get || head))
        r->redirects = BIND_HTTP_REDIRECTS;
    r->repeatable = is_idempotent(r->method) || p->retry.idempotent;
    check(L, p);
    r->headers = p->headers.at;
    r->header_count = p->headers.count;
    if (state_trace(state_of(L), p->trace))
        r->traceparent = (struct slice){p->trace, sizeof(p->trace)};
    set_times(L, p);
    if (p->stream) {
        r->http2 = false; /* see httpc.h */
        if (!p->max_body_said)
            r->max_body = SIZE_MAX;
    }
}

struct bind_http_plan *bind_http_plan_read(lua_State *L, const char *what, const char *method)
{
    const struct script_host *host = state_host(state_of(L));
    struct bind_http_plan *p = state_pointer(state_of(L), &slot);
    CHECK(p != NULL);
    reset(p, what, host);
    if (lua_gettop(L) > (method != NULL ? 2 : 1))
        script_error_words(L, "%s: expected %s, got %d values", what,
                           method != NULL ? "a URL and options" : "one table", lua_gettop(L));
    p->request.redirects = REDIRECTS_UNSAID;
    if (method == NULL) {
        read_options(L, 1, p, host, true);
    } else {
        p->request.method = slice_of(method);
        take_url(L, 1, p);
        if (!lua_isnoneornil(L, 2))
            read_options(L, 2, p, host, false);
    }
    bool redirects_given = p->request.redirects != REDIRECTS_UNSAID;
    if (!redirects_given)
        p->request.redirects = 0;
    finish(L, p, redirects_given);
    return p;
}
