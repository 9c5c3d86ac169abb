/*
 * cors.c: origins read and compared, and the headers of the answers. See cors.h.
 */
#include "policy/cors.h"
#include "base/ascii.h"
#include "base/buf.h"
#include "base/panic.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define ORIGIN_MAX 512 /* of a scheme, a host of 253 bytes and a port there is room */

static const struct slice decided[] = {SLICE("access-control-allow-origin"), SLICE("access-control-allow-credentials"),
                                       SLICE("access-control-allow-methods"), SLICE("access-control-allow-headers"),
                                       SLICE("access-control-max-age")};

/* --- an origin as text ------------------------------------------------------------------------------------------ */

/* RFC 3986 3.1. */
static bool is_scheme(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!ascii_is_letter(s.at[i]) && (i == 0 || (!ascii_is_digit(s.at[i]) && !ascii_is_one_of(s.at[i], "+-."))))
            return false;
    return s.len > 0;
}

static bool are_digits(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!ascii_is_digit(s.at[i]))
            return false;
    return s.len > 0;
}

/* Into a C string, for those who want one; false where it has a NUL or does not fit. */
static bool to_text(struct slice s, char *room, size_t size)
{
    if (s.len >= size || memchr(s.at, '\0', s.len) != NULL)
        return false;
    memcpy(room, s.at, s.len);
    room[s.len] = '\0';
    return true;
}

static const char *check_name(struct slice host)
{
    struct slice rest = host, label, last = SLICE_NONE;
    char text[64];
    struct in_addr address;
    if (host.len > 1 && host.at[host.len - 1] == '.') /* a name of its own to browsers, and a rooted one to the rest */
        rest.len--;
    while (slice_cut(&rest, '.', &label)) {
        for (size_t i = 0; i < label.len; i++) {
            char c = label.at[i];
            if ((unsigned char)c >= 0x80)
                return "write its host as browsers send it, in ASCII (xn--...)";
            if (c == '*')
                return "'*' stands for the names below a domain, as in \"https://*.example.com\", and nowhere else";
            if (!ascii_is_alnum(c) && c != '-' && c != '_')
                return "its host is malformed";
        }
        if (label.len == 0)
            return "its host is malformed";
        last = label;
    }
    if (are_digits(last) && (!to_text(host, text, sizeof(text)) || inet_pton(AF_INET, text, &address) != 1))
        return "its host is malformed";
    return NULL;
}

static const char *check_host(bool wild, struct cors_origin *o)
{
    char text[INET6_ADDRSTRLEN];
    if (o->host.len == 0)
        return "it names no host";
    if (o->host.at[0] == '[') {
        o->v6 = o->host.len > 2 && o->host.at[o->host.len - 1] == ']' &&
                to_text((struct slice){o->host.at + 1, o->host.len - 2}, text, sizeof(text)) &&
                inet_pton(AF_INET6, text, o->address) == 1;
        return o->v6 ? NULL : "its host is malformed";
    }
    o->below = wild && slice_starts(o->host, SLICE("*."));
    if (o->below)
        o->host = slice_from(o->host, 2);
    const char *fault = check_name(o->host);
    if (fault != NULL || !o->below)
        return fault;
    struct slice rest = o->host, label, last = SLICE_NONE;
    while (slice_cut(&rest, '.', &label))
        last = label.len > 0 ? label : last;
    if (are_digits(last))
        return "an address has no names below it";
    if (slice_find(o->host, '.') == SIZE_MAX && !slice_equal_nocase(o->host, SLICE("localhost")))
        return "that is too wide: name a domain, as in \"https://*.example.com\"";
    return NULL;
}

static uint16_t default_port(struct slice scheme)
{
    return slice_equal_nocase(scheme, SLICE("https")) ? 443 : slice_equal_nocase(scheme, SLICE("http")) ? 80 : 0;
}

/* "host:port", of the scheme that o has. */
static const char *parse_authority(struct slice text, bool wild, struct cors_origin *o)
{
    size_t colon = SIZE_MAX;
    for (size_t i = text.len; i > 0 && text.at[i - 1] != ']'; i--)
        if (text.at[i - 1] == ':')
            colon = i - 1;
    o->host = (struct slice){text.at, colon < text.len ? colon : text.len};
    o->port = default_port(o->scheme);
    if (colon < text.len) {
        unsigned long long port;
        if (!slice_to_u64(slice_from(text, colon + 1), 65535, &port) || port == 0)
            return "its port is none";
        o->port = (uint16_t)port;
    }
    return check_host(wild, o);
}

const char *cors_parse_origin(struct slice text, bool wild, struct cors_origin *o)
{
    *o = (struct cors_origin){.port = 0};
    size_t colon = slice_find(text, ':');
    if (text.len > ORIGIN_MAX)
        return "it is too long";
    if (colon == SIZE_MAX || !slice_starts(slice_from(text, colon), SLICE("://")))
        return "an origin begins with a scheme, as in \"https://example.com\"";
    o->scheme = (struct slice){text.at, colon};
    if (!is_scheme(o->scheme))
        return "its scheme is malformed";
    struct slice authority = slice_from(text, colon + 3);
    for (size_t i = 0; i < authority.len; i++) {
        if (authority.at[i] == '@')
            return "an origin has no user";
        if (authority.at[i] == '/' || authority.at[i] == '?' || authority.at[i] == '#')
            return "an origin ends with its host or port, without a '/' or a path";
    }
    return parse_authority(authority, wild, o);
}

/* --- comparing -------------------------------------------------------------------------------------------------- */

static bool same_host(const struct cors_origin *a, const struct cors_origin *b)
{
    if (a->v6 || b->v6)
        return a->v6 && b->v6 && memcmp(a->address, b->address, sizeof(a->address)) == 0;
    return slice_equal_nocase(a->host, b->host);
}

static bool is_below(struct slice host, struct slice domain)
{
    if (host.len < domain.len + 2 || host.at[host.len - domain.len - 1] != '.')
        return false;
    return slice_equal_nocase(slice_from(host, host.len - domain.len), domain);
}

static bool matches(const struct cors_origin *listed, const struct cors_origin *said)
{
    if (listed->port != said->port || !slice_equal_nocase(listed->scheme, said->scheme))
        return false;
    return listed->below ? !said->v6 && is_below(said->host, listed->host) : same_host(listed, said);
}

/* Whether it is the origin of public_url, which has a path behind it. */
static bool is_published(const struct cors_origin *said, const struct http_published *published)
{
    struct slice base = published->base, authority = slice_from(base, published->scheme.len + 3);
    size_t path = slice_find(authority, '/');
    struct cors_origin own;
    if (path != SIZE_MAX)
        base.len = (size_t)(authority.at + path - base.at);
    return cors_parse_origin(base, false, &own) == NULL && matches(&own, said);
}

/*
 * Whether it is the origin that the request goes to. Where public_url tells which one that is, the Host field does not
 * count: a page of a name that was made to lead here (DNS rebinding) has that name in both fields.
 */
static bool is_own(const struct cors_origin *said, const struct http_request *r)
{
    struct cors_origin own = {.scheme = r->scheme};
    if (r->published != NULL)
        return is_published(said, r->published);
    return r->authority.len > 0 && parse_authority(r->authority, false, &own) == NULL && matches(&own, said);
}

static bool is_listed(const struct cors *c, const struct cors_origin *said)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->entries[i].origin.scheme.len > 0 && matches(&c->entries[i].origin, said))
            return true;
    return false;
}

/* What stands in the request's Origin: at == NULL: there is none. False: there are several, so nobody knows which. */
static bool said_origin(const struct http_request *r, struct slice *text_out)
{
    *text_out = SLICE_NONE;
    for (size_t i = 0; i < r->header_count; i++) {
        if (!slice_equal(r->headers[i].name, SLICE("origin")))
            continue;
        if (text_out->at != NULL)
            return false;
        *text_out = r->headers[i].value.at != NULL ? r->headers[i].value : SLICE("");
    }
    return true;
}

enum cors_verdict cors_judge(const struct cors *c, const struct http_request *r)
{
    struct slice text;
    struct cors_origin said;
    if (c->any)
        return CORS_ALLOWED;
    if (!said_origin(r, &text))
        return CORS_REFUSED;
    if (text.at == NULL)
        return CORS_NONE;
    if (slice_equal(text, SLICE("null")))
        return c->null ? CORS_ALLOWED : CORS_REFUSED;
    if (cors_parse_origin(text, false, &said) != NULL)
        return CORS_REFUSED;
    if (is_listed(c, &said))
        return CORS_ALLOWED;
    return is_own(&said, r) ? CORS_NONE : CORS_REFUSED;
}

bool cors_is_preflight(const struct http_request *r)
{
    return slice_equal(r->method, SLICE("OPTIONS")) && http_request_header(r, SLICE("origin")).at != NULL &&
           http_request_header(r, SLICE("access-control-request-method")).at != NULL;
}

/* --- what answers say ------------------------------------------------------------------------------------------- */

void cors_answer(const struct cors *c, const struct http_request *r, struct http_response *out)
{
    if (c->any) { /* the same for everybody, so nothing depends on Origin (Fetch, "CORS protocol and HTTP caches") */
        http_response_add_own(out, decided[0], SLICE("*"));
        return;
    }
    http_response_add_own(out, SLICE("vary"), SLICE("Origin"));
    if (cors_judge(c, r) != CORS_ALLOWED)
        return;
    http_response_add_own(out, decided[0], http_request_header(r, SLICE("origin")));
    if (c->credentials)
        http_response_add_own(out, decided[1], SLICE("true"));
}

/* The names that a preflight asks for, as one list; false: there is one that is none. Empty parts are none too many. */
static bool asked_headers(const struct http_request *r, struct buf *out)
{
    for (size_t i = 0; i < r->header_count; i++) {
        struct slice rest = r->headers[i].value, name;
        if (!slice_equal(r->headers[i].name, SLICE("access-control-request-headers")))
            continue;
        while (slice_cut(&rest, ',', &name)) {
            name = slice_trim(name);
            if (name.len == 0)
                continue;
            if (!ascii_is_token(name))
                return false;
            buf_add_text(out, out->len > 0 ? ", " : "");
            buf_add_slice(out, name);
        }
    }
    return true;
}

int cors_preflight(const struct cors *c, const struct http_request *r, struct slice allow, struct http_response *out)
{
    struct buf asked = {0};
    char seconds[24];
    if (!asked_headers(r, &asked)) {
        buf_free(&asked);
        return -1;
    }
    struct slice headers = c->headers != NULL ? slice_of(c->headers) : buf_slice(&asked);
    http_response_add_own(out, decided[2], allow);
    if (headers.len > 0)
        http_response_add_own(out, decided[3], headers);
    if (c->max_age_s >= 0) {
        int len = snprintf(seconds, sizeof(seconds), "%lld", c->max_age_s);
        http_response_add_own(out, decided[4], (struct slice){seconds, (size_t)len});
    }
    http_response_add_own(out, SLICE("vary"), SLICE("Access-Control-Request-Method, Access-Control-Request-Headers"));
    buf_free(&asked);
    return 0;
}

bool cors_decides(struct slice name)
{
    for (size_t i = 0; i < sizeof(decided) / sizeof(decided[0]); i++)
        if (slice_equal(name, decided[i]))
            return true;
    return false;
}

void cors_remove(struct http_response *out)
{
    for (size_t i = 0; i < sizeof(decided) / sizeof(decided[0]); i++)
        http_response_remove(out, decided[i]);
}

/* --- building --------------------------------------------------------------------------------------------------- */

struct cors *cors_new(void)
{
    struct cors *c = need_zero(1, sizeof(*c));
    c->max_age_s = -1;
    return c;
}

void cors_free(struct cors **cp)
{
    struct cors *c = *cp;
    *cp = NULL;
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count; i++)
        free(c->entries[i].text);
    free(c->entries);
    free(c->headers);
    free(c);
}

static bool is_there(const struct cors *c, const struct cors_entry *e)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct cors_origin *a = &c->entries[i].origin, *b = &e->origin;
        bool plain = a->scheme.len == 0 || b->scheme.len == 0; /* "*", "null" */
        if (plain ? strcmp(c->entries[i].text, e->text) == 0
                  : a->below == b->below && a->port == b->port && slice_equal_nocase(a->scheme, b->scheme) &&
                        same_host(a, b))
            return true;
    }
    return false;
}

int cors_add_origin(struct cors *c, struct slice text, struct error *err)
{
    struct cors_entry e = {.text = slice_dup(text)};
    bool any = slice_equal(text, SLICE("*")), null = slice_equal(text, SLICE("null"));
    const char *fault = NULL;
    if (!any && !null)
        fault = cors_parse_origin((struct slice){e.text, text.len}, true, &e.origin);
    if (fault == NULL && is_there(c, &e))
        fault = "it stands twice";
    if (fault != NULL) {
        free(e.text);
        return error_set(err, "\"%.*s%s\": %s", SLICE_SHOWN(text, 80), fault);
    }
    c->any |= any;
    c->null |= null;
    c->entries = need_realloc(c->entries, (c->count + 1) * sizeof(*c->entries));
    c->entries[c->count++] = e;
    return 0;
}

int cors_add_header(struct cors *c, struct slice name, struct error *err)
{
    struct slice rest = slice_of(c->headers), other;
    struct buf all = {0};
    if (slice_equal(name, SLICE("*")))
        return error_set(err, "\"*\": leave 'headers' out to allow whichever are asked for");
    if (!ascii_is_token(name))
        return error_set(err, "\"%.*s%s\" is no header's name", SLICE_SHOWN(name, 80));
    while (slice_cut(&rest, ',', &other))
        if (slice_equal_nocase(slice_trim(other), name))
            return error_set(err, "\"%.*s%s\" stands twice", SLICE_SHOWN(name, 80));
    if (c->headers != NULL)
        buf_addf(&all, "%s, ", c->headers);
    buf_add_slice(&all, name);
    free(c->headers);
    c->headers = buf_take(&all);
    return 0;
}

int cors_check(const struct cors *c, struct error *err)
{
    if (c->any && c->credentials)
        return error_set(err, "credentials would go to every site with \"*\": list the origins that may have them");
    if (c->null && c->credentials)
        return error_set(err, "any page can have the origin \"null\": it cannot have credentials");
    if (c->any && c->count > 1)
        return error_set(err, "\"*\" is every origin: list no others beside it");
    return 0;
}
