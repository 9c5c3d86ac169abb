/*
 * http1_guard.c: see http1_guard.h. The parser's functions have no header that is installed: their prototypes, and that
 * libh2o passes the address of a request's own method to the first, are those of exactly the version the build asks
 * for; so is that it waits for a body only where it finds one of the two fields that announce it, and that it reads
 * nothing of the chunks' decoder, which it fills with zeros.
 */
#include "server/http1_guard.h"
#include "codec/chunked.h"
#include "server/body_wanted.h"
#include "server/connections.h"
#include <dlfcn.h>
#include <h2o.h>
#include <h2o/version.h>
#include <stdint.h>

_Static_assert(H2O_VERSION_MAJOR == 2 && H2O_VERSION_MINOR == 2 && H2O_VERSION_PATCH == 5,
               "the guard knows the inside of libh2o 2.2.5 only");

struct phr_header { /* name NULL: the line goes on with the value before it */
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};

/* The length of the header section; -1: it is none; -2: it is not whole yet. */
typedef int parse_fn(const char *, size_t, const char **, size_t *, const char **, size_t *, int *, struct phr_header *,
                     size_t *, size_t);
int phr_parse_request(const char *buf, size_t len, const char **method, size_t *method_len, const char **path,
                      size_t *path_len, int *minor_version, struct phr_header *headers, size_t *num_headers,
                      size_t last_len);

#define CROWD 4096 /* fields of a section that is told from a malformed one */

struct phr_chunked_decoder { /* as large as the library has it, which sets consume_trailer only */
    uint64_t left;
    char consume_trailer; /* 0: what libh2o's client asks for, which nobody here uses */
    uint8_t state, digits;
    uint32_t aside;
};
_Static_assert(sizeof(struct phr_chunked_decoder) == 16 && offsetof(struct phr_chunked_decoder, consume_trailer) == 8,
               "libh2o has room for it, and sets what it means to");
ssize_t phr_decode_chunked(struct phr_chunked_decoder *decoder, char *buf, size_t *size);

/* File-scope because the library calls these with arguments of its own only. */
static struct {
    parse_fn *parse;
    uint64_t calls, chunk_calls;
    struct phr_header crowd[CROWD]; /* of one section, within a call */
} guard;

struct seen { /* fields that say where a request ends, and for whom it is; NULL: not there */
    const struct phr_header *length, *coding, *host;
};

static bool named(const struct phr_header *h, const char *name, size_t len)
{
    return h->name_len == len && h2o_lcstris(h->name, len, name, len);
}

static bool note(const struct phr_header *h, const char *name, size_t len, const struct phr_header **field_out)
{
    if (!named(h, name, len))
        return false;
    *field_out = h;
    return true;
}

/* Whether the line ends with CR LF. A reader that asks for both takes a lone LF for a part of the value. */
static bool ends_well(const struct phr_header *h)
{
    const char *end = h->value + h->value_len;
    while (*end == ' ' || *end == '\t')
        end++;
    return *end == '\r';
}

/* What is wrong with a whole header section, or NULL. It reads no byte twice that is not a field's name or end. */
static const char *fault_of(const char *section, size_t len, int minor_version, const struct phr_header *h,
                            size_t count, struct seen *seen_out)
{
    unsigned lengths = 0, codings = 0, hosts = 0;
    if (section[len - 2] != '\r' || (count > 0 && h[0].name != NULL && h[0].name[-2] != '\r'))
        return "a line does not end with CR LF"; /* RFC 9112 2.2 leaves it to us */
    for (size_t i = 0; i < count; i++) {
        if (h[i].name == NULL)
            return "a header line is folded (obs-fold)"; /* RFC 9112 5.2 */
        if (!ends_well(&h[i]))
            return "a line does not end with CR LF";
        lengths += note(&h[i], H2O_STRLIT("content-length"), &seen_out->length);
        codings += note(&h[i], H2O_STRLIT("transfer-encoding"), &seen_out->coding);
        hosts += note(&h[i], H2O_STRLIT("host"), &seen_out->host);
    }
    if (hosts > 1)
        return "there is more than one Host header"; /* RFC 9112 3.2 */
    if (lengths > 1)
        return "there is more than one Content-Length"; /* RFC 9112 6.3, 5.; equal ones are no honest client's either */
    if (codings > 1)
        return "there is more than one Transfer-Encoding"; /* "chunked" twice: RFC 9112 6.1 */
    if (codings > 0 && lengths > 0)
        return "there are Content-Length and Transfer-Encoding"; /* RFC 9112 6.1: may be refused, must end here */
    if (codings > 0 && minor_version == 0)
        return "there is a Transfer-Encoding in HTTP/1.0"; /* RFC 9112 6.1 */
    return NULL;
}

/* Blanks around a value are none of it (RFC 9110 5.5); the parser leaves those behind it. */
static void trim(struct phr_header *h, size_t count)
{
    for (size_t i = 0; i < count; i++)
        while (h[i].value_len > 0 && (h[i].value[h[i].value_len - 1] == ' ' || h[i].value[h[i].value_len - 1] == '\t'))
            h[i].value_len--;
}

static void drop(struct phr_header *h, size_t *count, const char *name, size_t len)
{
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++)
        if (!named(&h[i], name, len))
            h[kept++] = h[i];
    *count = kept;
}

/* Without the fields that announce its body it is a request like any other, but that its connection ends with it. */
static void leave_unread(struct connection *c, struct phr_header *h, size_t *count)
{
    c->unread = true;
    drop(h, count, H2O_STRLIT("content-length"));
    drop(h, count, H2O_STRLIT("transfer-encoding"));
}

/* The length that is announced; BODY_UNKNOWN where only its end will tell, 0 where libh2o refuses it. */
static size_t announced(const struct seen *seen)
{
    if (seen->coding != NULL)
        return BODY_UNKNOWN;
    size_t length = h2o_strtosize(seen->length->value, seen->length->value_len);
    return length != SIZE_MAX ? length : 0;
}

int phr_parse_request(const char *buf, size_t len, const char **method, size_t *method_len, const char **path,
                      size_t *path_len, int *minor_version, struct phr_header *headers, size_t *num_headers,
                      size_t last_len)
{
    const size_t room = *num_headers;
    if (guard.parse == NULL)
        guard.parse = (parse_fn *)dlsym(RTLD_NEXT, "phr_parse_request");
    guard.calls++;
    int n = guard.parse(buf, len, method, method_len, path, path_len, minor_version, headers, num_headers, last_len);
    bool crowded = n == -1 && room == H2O_MAX_HEADERS;
    if (crowded) { /* it is malformed, or has more fields than the library has room for */
        *num_headers = CROWD;
        n = guard.parse(buf, len, method, method_len, path, path_len, minor_version, guard.crowd, num_headers,
                        last_len);
    }
    if (n <= 0)
        return n;
    struct seen seen = {NULL, NULL, NULL};
    struct phr_header *fields = crowded ? guard.crowd : headers;
    const char *fault = fault_of(buf, (size_t)n, *minor_version, fields, *num_headers, &seen);
    trim(fields, *num_headers);
    h2o_req_t *req = H2O_STRUCT_FROM_MEMBER(h2o_req_t, input.method.base, (char **)method);
    struct connection *c = connections_of_request(req);
    if (c == NULL) /* the library's own room has none of a crowd's fields */
        return fault == NULL && !crowded ? n : -1;
    c->framing = fault;
    c->crowded = crowded;
    c->unread = false;
    c->body_most = BODY_UNKNOWN;
    if (fault != NULL || crowded)
        *num_headers = 0; /* so that there is no body to wait for, and nothing that the answer could go by */
    if (fault != NULL || crowded || (seen.length == NULL && seen.coding == NULL))
        return n;
    const struct body_head head = {
        .method = {*method, *method_len},
        .target = {*path, *path_len},
        .host = seen.host != NULL ? (struct slice){seen.host->value, seen.host->value_len} : SLICE_NONE,
        .length = announced(&seen),
        .version = 0x100 | (*minor_version != 0),
    };
    if (!body_wanted(c, &req->pool, &head))
        leave_unread(c, headers, num_headers);
    return n;
}

/* -1 makes it a 400 that ends the connection; no part of the request was dispatched before. */
ssize_t phr_decode_chunked(struct phr_chunked_decoder *decoder, char *buf, size_t *size)
{
    guard.chunk_calls++;
    if (!decoder->consume_trailer)
        return CHUNKED_BAD;
    struct chunked c = {decoder->left, decoder->aside, decoder->state, decoder->digits};
    ssize_t behind = chunked_decode(&c, buf, size);
    *decoder = (struct phr_chunked_decoder){c.left, true, c.state, c.digits, c.aside};
    return behind; /* CHUNKED_BAD and CHUNKED_MORE are the library's -1 and -2 */
}

int http1_guard_proved(struct error *err)
{
    const struct {
        const char *symbol;
        void *ours;
        uint64_t calls;
    } all[] = {{"phr_parse_request", (void *)phr_parse_request, guard.calls},
               {"phr_decode_chunked", (void *)phr_decode_chunked, guard.chunk_calls}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (dlsym(RTLD_DEFAULT, all[i].symbol) != all[i].ours)
            return error_set(err, "%s is not bound to the guard", all[i].symbol);
        if (all[i].calls == 0)
            return error_set(err, "libh2o does not call %s", all[i].symbol);
    }
    return 0;
}
