/*
 * httpc_request.c: what a call sends: copies of the request's texts in one piece of memory, and the header's lines as
 * libcurl's own list, which lies in the call. See httpc_internal.h.
 */
#include "base/panic.h"
#include "codec/base64.h"
#include "codec/form.h"
#include "io/httpc_internal.h"
#include <stdlib.h>

#define EXPECT_FROM ((size_t)1 << 20) /* libcurl would ask for leave (100-continue) before a body of this size */

static size_t text_size(const struct httpc_request *r)
{
    size_t size = r->method.len + r->ca.len + r->cert.len + r->key.len + 8 + sizeof("traceparent: ") +
                  r->traceparent.len + sizeof("content-type:") + sizeof("expect:") + sizeof("accept:");
    for (size_t i = 0; i < r->header_count; i++)
        size += r->headers[i].name.len + r->headers[i].value.len + 4;
    return size;
}

/*
 * What every request says of us. As one line: libcurl writes a line that it was given once, byte by byte, and what it
 * makes of its options twice, which is a twentieth of a small request.
 */
#define AGENT "user-agent: crescent/" CRESCENT_VERSION
#define CODINGS "accept-encoding: gzip"
static char agent[] = AGENT, codings[] = CODINGS, both[] = AGENT "\r\n" CODINGS; /* never written to */

/* As a C string in the memory that was made for it. */
static struct slice keep(struct httpc_call *call, struct slice s)
{
    if (s.len == 0)
        return SLICE_NONE;
    struct slice kept = {call->text.at + call->text.len, s.len};
    buf_add_slice(&call->text, s);
    buf_add_char(&call->text, '\0');
    return kept;
}

static struct httpc_line *add_line(struct httpc_call *call)
{
    if (call->line_count == call->line_room) {
        call->line_room = call->line_room > 0 ? 2 * call->line_room : 16;
        call->lines = need_realloc(call->lines, call->line_room * sizeof(*call->lines));
    }
    struct httpc_line *line = &call->lines[call->line_count++];
    *line = (struct httpc_line){.list = {.data = call->text.at + call->text.len}};
    return line;
}

/* What a field needs by its name. */
enum kind {
    ORDINARY,
    ALONE,   /* libcurl looks for it by its name: a line of its own */
    PRIVATE, /* likewise, and not to another origin */
    OF_BODY  /* likewise, and not when a redirect has dropped the body */
};

static enum kind kind_of(struct slice name)
{
    static const struct {
        struct slice name;
        enum kind kind;
    } known[] = {{{"host", 4}, PRIVATE},
                 {{"cookie", 6}, PRIVATE},
                 {{"authorization", 13}, PRIVATE},
                 {{"proxy-authorization", 19}, PRIVATE},
                 {{"content-type", 12}, OF_BODY},
                 {{"content-encoding", 16}, OF_BODY},
                 {{"content-language", 16}, OF_BODY},
                 {{"content-location", 16}, OF_BODY},
                 {{"accept", 6}, ALONE},
                 {{"accept-encoding", 15}, ALONE},
                 {{"user-agent", 10}, ALONE},
                 {{"expect", 6}, ALONE}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].name.len == name.len && slice_equal_nocase(known[i].name, name))
            return known[i].kind;
    return ORDINARY;
}

/*
 * An ordinary field behind another one is written into its line: to libcurl they are one, which it copies as it is; a
 * line by itself costs it a fiftieth of a small request. An empty one must be a line of its own.
 */
static bool joins(const struct httpc_call *call, const struct httpc_header *h)
{
    return h->value.len > 0 && call->line_count > 0 && call->lines[call->line_count - 1].open;
}

static void add_header(struct httpc_call *call, const struct httpc_header *h)
{
    enum kind kind = kind_of(h->name);
    if (kind == ORDINARY && joins(call, h)) {
        call->text.at[call->text.len - 1] = '\r'; /* instead of the end of the line before */
        buf_add_char(&call->text, '\n');
    } else {
        struct httpc_line *line = add_line(call);
        line->origin_only = kind == PRIVATE;
        line->of_body = kind == OF_BODY && call->request.body.at != NULL;
        line->open = kind == ORDINARY && h->value.len > 0;
    }
    buf_add_slice(&call->text, h->name);
    buf_add_text(&call->text, h->value.len > 0 ? ": " : ";"); /* libcurl's way to say: it is there, and empty */
    buf_add_slice(&call->text, h->value);
    buf_add_char(&call->text, '\0');
}

static bool has_header(const struct httpc_request *r, struct slice name)
{
    for (size_t i = 0; i < r->header_count; i++)
        if (slice_equal_nocase(r->headers[i].name, name))
            return true;
    return false;
}

/* user:password of the URL, as Basic credentials (RFC 7617), in memory of its own: it is rare. */
static void add_credentials(struct httpc_call *call)
{
    struct url u;
    struct form_fault fault;
    struct buf pair = {0}, text = {0};
    if (memchr(call->request.url.at, '@', call->request.url.len) == NULL || url_parse(call->request.url, &u) != NULL ||
        u.user.at == NULL || has_header(&call->request, SLICE("authorization")))
        return;
    char *room = buf_reserve(&pair, u.user.len + 1);
    size_t len = form_percent_decode(u.user, room, &fault);
    if (len == SIZE_MAX) { /* broken encoding: as it was written */
        buf_add_slice(&pair, u.user);
    } else {
        pair.len = len;
    }
    if (memchr(pair.at, ':', pair.len) == NULL)
        buf_add_char(&pair, ':');
    buf_add_text(&text, "authorization: Basic ");
    base64_encode(buf_slice(&pair), &text);
    struct httpc_line *line = add_line(call);
    line->origin_only = true;
    line->list.data = call->credentials = buf_take(&text);
    buf_free(&pair);
}

static void add_fixed(struct httpc_call *call, const char *text, bool of_body)
{
    struct httpc_line *line = add_line(call);
    line->of_body = of_body;
    buf_add(&call->text, text, strlen(text) + 1);
}

void httpc_request_take(struct httpc_call *call, const struct httpc_request *r)
{
    call->request = *r;
    call->line_count = 0;
    buf_clear(&call->text);
    buf_reserve(&call->text, text_size(r)); /* from here on it does not move */
    const char *memory = call->text.at;
    bool named = r->bare || has_header(r, SLICE("user-agent"));
    call->request.decompress = r->decompress && !has_header(r, SLICE("accept-encoding"));
    if (!named || call->request.decompress)
        add_line(call)->list.data = named ? codings : call->request.decompress ? both : agent;
    for (size_t i = 0; i < r->header_count; i++)
        add_header(call, &r->headers[i]);
    add_credentials(call);
    if (r->body.at != NULL && !has_header(r, SLICE("content-type")))
        add_fixed(call, "content-type:", true); /* libcurl would say that it is a form */
    if (r->bare && !has_header(r, SLICE("accept")))
        add_fixed(call, "accept:", false); /* else libcurl has one of its own */
    if (r->body.len >= EXPECT_FROM)
        add_fixed(call, "expect:", true);
    if (r->traceparent.len > 0 && !has_header(r, SLICE("traceparent"))) {
        add_line(call);
        buf_add_text(&call->text, "traceparent: ");
        buf_add_slice(&call->text, r->traceparent);
        buf_add_char(&call->text, '\0');
    }
    call->request.method = keep(call, r->method);
    call->request.ca = keep(call, r->ca);
    call->request.cert = keep(call, r->cert);
    call->request.key = keep(call, r->key);
    CHECK(call->text.at == memory);
    call->request.headers = NULL;
    call->request.header_count = 0;
    call->request.traceparent = SLICE_NONE; /* the url goes where the caller parses it */
    if (r->body.at != NULL && !r->body_stays) {
        buf_clear(&call->body);
        buf_add_slice(&call->body, r->body); /* counted: httpc_hold */
        call->request.body = (struct slice){buf_text(&call->body), r->body.len};
    }
}

bool httpc_request_has_body(const struct httpc_call *call)
{
    return call->request.body.at != NULL;
}

struct curl_slist *httpc_request_lines(struct httpc_call *call)
{
    struct curl_slist *first = NULL, **end = &first;
    for (size_t i = 0; i < call->line_count; i++) {
        struct httpc_line *line = &call->lines[i];
        if ((line->origin_only && call->foreign) || (line->of_body && !httpc_request_has_body(call)))
            continue;
        *end = &line->list;
        end = &line->list.next;
    }
    *end = NULL;
    return first;
}
