/*
 * forwarded.c: see forwarded.h. Lists are walked backwards, over several fields of a name as over one (RFC 9110 5.3),
 * so that no quote or comma a client has sent can reach into what a proxy has put behind it.
 */
#include "policy/forwarded.h"
#include "base/ascii.h"
#include "codec/authority.h"
#include <stdint.h>

/* --- lists, from the right ---------------------------------------------------------------------------------------- */

struct walk { /* over the elements of all fields of a name */
    const struct http_request *req;
    struct slice name;
    size_t field;      /* those at and behind it are done */
    struct slice rest; /* of the field before; at == NULL: done */
    bool quotes;       /* a comma within quotes is none */
};

static struct walk walk_begin(const struct http_request *req, struct slice name, bool quotes)
{
    return (struct walk){.req = req, .name = name, .field = req->header_count, .rest = SLICE_NONE, .quotes = quotes};
}

/* Where the quoted string whose last quote is at `end` begins, or SIZE_MAX. RFC 9110 5.6.4: \" is no quote. */
static size_t quote_begin(struct slice s, size_t end)
{
    for (size_t i = end; i-- > 0;) {
        size_t slashes = 0;
        if (s.at[i] != '"')
            continue;
        while (slashes < i && s.at[i - 1 - slashes] == '\\')
            slashes++;
        if (slashes % 2 == 0)
            return i;
    }
    return SIZE_MAX;
}

/* Cuts the last element off *rest. One with a quote that never began is all that is left. */
static struct slice cut_last(struct slice *rest, bool quotes)
{
    struct slice whole = *rest;
    for (size_t i = whole.len; i-- > 0;) {
        if (quotes && whole.at[i] == '"') {
            i = quote_begin(whole, i);
            if (i == SIZE_MAX)
                break;
        } else if (whole.at[i] == ',') {
            *rest = (struct slice){whole.at, i};
            return slice_trim(slice_from(whole, i + 1));
        }
    }
    *rest = SLICE_NONE;
    return slice_trim(whole);
}

/* The next element to the left; false at the end. Empty ones are none (RFC 9110 5.6.1.2). */
static bool walk_next(struct walk *w, struct slice *element_out)
{
    for (;;) {
        while (w->rest.at == NULL && w->field > 0) {
            const struct http_header *h = &w->req->headers[--w->field];
            if (slice_equal(h->name, w->name))
                w->rest = h->value.at != NULL ? h->value : SLICE("");
        }
        if (w->rest.at == NULL)
            return false;
        *element_out = cut_last(&w->rest, w->quotes);
        if (element_out->len > 0)
            return true;
    }
}

/* --- what stands in them ------------------------------------------------------------------------------------------ */

static bool is_port(struct slice s)
{
    unsigned long long port;
    if (slice_to_u64(s, 65535, &port))
        return true;
    for (size_t i = 0; i < s.len; i++) /* RFC 7239 6.3: an obfuscated one */
        if (!ascii_is_alnum(s.at[i]) && !ascii_is_one_of(s.at[i], "._-"))
            return false;
    return s.len > 1 && s.at[0] == '_';
}

/*
 * A node (RFC 7239 6): an address, a port behind it or not, IPv6 in brackets; without them where `bare`, as everybody
 * writes X-Forwarded-For. Names for who is not told ("unknown", "_hidden") are no address.
 */
static bool read_node(struct slice node, bool bare, struct ip *ip_out)
{
    if (node.len > 0 && node.at[0] == '[') {
        size_t end = slice_find(node, ']');
        struct slice inner = slice_from(node, 1), behind = end == SIZE_MAX ? SLICE("x") : slice_from(node, end + 1);
        inner.len = end == SIZE_MAX ? 0 : end - 1;
        return (behind.len == 0 || (behind.at[0] == ':' && is_port(slice_from(behind, 1)))) &&
               slice_find(inner, ':') != SIZE_MAX && ip_parse(inner, ip_out);
    }
    size_t colon = slice_find(node, ':');
    if (colon == SIZE_MAX)
        return ip_parse(node, ip_out);
    if (slice_find(slice_from(node, colon + 1), ':') != SIZE_MAX)
        return bare && ip_parse(node, ip_out);
    return is_port(slice_from(node, colon + 1)) && ip_parse((struct slice){node.at, colon}, ip_out);
}

static struct slice read_scheme(struct slice text)
{
    if (slice_equal_nocase(text, SLICE("https")))
        return SLICE("https");
    return slice_equal_nocase(text, SLICE("http")) ? SLICE("http") : SLICE_NONE;
}

static struct slice read_authority(struct slice text)
{
    return authority_valid(text) ? text : SLICE_NONE;
}

/* --- X-Forwarded-* ------------------------------------------------------------------------------------------------ */

/*
 * Which one of the elements of -Proto or -Host is for the client's hop, the `hop`th from the right of `hops` addresses:
 * where there are as many, proxies have added one each; else the last, which is the nearest proxy's.
 */
static struct slice at_hop(const struct http_request *req, struct slice name, size_t hop, size_t hops)
{
    struct slice element, last = SLICE_NONE, found = SLICE_NONE;
    struct walk w = walk_begin(req, name, false);
    size_t count = 0;
    for (; walk_next(&w, &element); count++) {
        last = count == 0 ? element : last;
        found = count == hop ? element : found;
    }
    return count == hops ? found : last;
}

static void read_x(const struct http_request *req, const struct ips *trusted, struct forwarded *out)
{
    struct slice element;
    struct walk w = walk_begin(req, SLICE("x-forwarded-for"), false);
    struct ip ip;
    size_t hop = 0, hops = 0;
    bool reading = true;
    for (; walk_next(&w, &element); hops++) {
        reading = reading && read_node(element, true, &ip);
        if (!reading)
            continue;
        out->client = ip;
        hop = hops;
        reading = ips_have(trusted, &ip);
    }
    out->scheme = read_scheme(at_hop(req, SLICE("x-forwarded-proto"), hop, hops));
    out->authority = read_authority(at_hop(req, SLICE("x-forwarded-host"), hop, hops));
}

/* --- Forwarded ---------------------------------------------------------------------------------------------------- */

struct element { /* each as written, without quotes; at == NULL: not there */
    struct slice node, scheme, host;
};

/* A value: a token, or a quoted string. */
static bool read_value(struct slice text, struct slice *value_out)
{
    *value_out = text;
    if (text.len == 0 || text.at[0] != '"')
        return text.len > 0 && slice_find(text, '"') == SIZE_MAX;
    size_t end = 1;
    while (end < text.len && text.at[end] != '"')
        end += text.at[end] == '\\' ? 2 : 1;
    *value_out = (struct slice){text.at + 1, end - 1};
    return end + 1 == text.len;
}

/* Where a pair ends: at the next ';' that is not within quotes. */
static size_t pair_end(struct slice s)
{
    bool quoted = false;
    for (size_t i = 0; i < s.len; i++) {
        if (quoted && s.at[i] == '\\')
            i++;
        else if (s.at[i] == '"')
            quoted = !quoted;
        else if (s.at[i] == ';' && !quoted)
            return i;
    }
    return s.len;
}

/* RFC 7239 4: name=value pairs with ';' between, no name twice. */
static bool read_element(struct slice text, struct element *out)
{
    *out = (struct element){.node = SLICE_NONE};
    while (text.len > 0) {
        size_t end = pair_end(text);
        struct slice value = slice_trim((struct slice){text.at, end}), name, content;
        text = slice_from(text, end + 1);
        slice_cut(&value, '=', &name);
        if (value.at == NULL || name.len == 0 || !read_value(value, &content))
            return false;
        struct slice *place = slice_equal_nocase(name, SLICE("for"))     ? &out->node
                              : slice_equal_nocase(name, SLICE("proto")) ? &out->scheme
                              : slice_equal_nocase(name, SLICE("host"))  ? &out->host
                                                                         : NULL;
        /* An escaped character is none that a name or an address has. */
        if (place != NULL && (place->at != NULL || slice_find(content, '\\') != SIZE_MAX))
            return false;
        if (place != NULL)
            *place = content;
    }
    return true;
}

static void read_standard(const struct http_request *req, const struct ips *trusted, struct forwarded *out)
{
    struct slice text;
    struct element element;
    struct walk w = walk_begin(req, SLICE("forwarded"), true);
    while (walk_next(&w, &text) && read_element(text, &element)) {
        struct ip ip;
        out->scheme = read_scheme(element.scheme);
        out->authority = read_authority(element.host);
        if (!read_node(element.node, false, &ip))
            return;
        out->client = ip;
        if (!ips_have(trusted, &ip))
            return;
    }
}

/* --- which of them -------------------------------------------------------------------------------------------- */

int forwarded_read(const struct http_request *req, const struct ips *trusted, struct forwarded *out,
                   const char **why_out)
{
    bool standard = false, x = false;
    *out = (struct forwarded){.client = {.kind = IP_NONE}, .scheme = SLICE_NONE, .authority = SLICE_NONE};
    for (size_t i = 0; i < req->header_count; i++) {
        struct slice name = req->headers[i].name;
        standard = standard || slice_equal(name, SLICE("forwarded"));
        x = x || slice_equal(name, SLICE("x-forwarded-for")) || slice_equal(name, SLICE("x-forwarded-proto")) ||
            slice_equal(name, SLICE("x-forwarded-host"));
    }
    if (standard && x) {
        *why_out = "Forwarded and X-Forwarded-* are both there: a proxy must take away the kind that it does not set";
        return -1;
    }
    if (standard)
        read_standard(req, trusted, out);
    else if (x)
        read_x(req, trusted, out);
    return 0;
}
