/*
 * url.c: see url.h.
 */
#include "codec/url.h"
#include "base/ascii.h"

bool url_is_unreserved(char c)
{
    return ascii_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

static void add_encoded(unsigned char c, struct buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    const char text[3] = {'%', digits[c >> 4], digits[c & 15]};
    buf_add(out, text, sizeof(text));
}

void url_encode(struct slice text, struct buf *out)
{
    for (size_t i = 0; i < text.len && !out->overflow; i++) {
        if (url_is_unreserved(text.at[i]))
            buf_add_char(out, text.at[i]);
        else
            add_encoded((unsigned char)text.at[i], out);
    }
}

/* RFC 3986 3.3, 3.4, and a percent sign as it is: whoever wrote it has encoded. */
static bool stands_in_path(char c)
{
    return ascii_is_alnum(c) || ascii_is_one_of(c, "-._~!$&'()*+,;=:@/?%[]");
}

static void add_path(struct slice text, struct buf *out)
{
    size_t plain = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (stands_in_path(text.at[i]))
            continue;
        buf_add(out, text.at + plain, i - plain);
        add_encoded((unsigned char)text.at[i], out);
        plain = i + 1;
    }
    buf_add(out, text.at + plain, text.len - plain);
}

/* Names beyond ASCII are left to whoever looks them up (IDNA). */
static bool is_host(struct slice host)
{
    if (host.len > 0 && host.at[0] == '[') {
        if (host.len < 4 || host.at[host.len - 1] != ']')
            return false;
        for (size_t i = 1; i + 1 < host.len; i++)
            if (!ascii_is_one_of(host.at[i], "0123456789abcdefABCDEF:."))
                return false;
        return true;
    }
    for (size_t i = 0; i < host.len; i++) {
        char c = host.at[i];
        if (!ascii_is_alnum(c) && !ascii_is_one_of(c, "-._") && (unsigned char)c < 0x80)
            return false;
    }
    return host.len > 0 && host.len <= 255 && host.at[0] != '.';
}

/* RFC 3986 3.2.1: nothing that another reader could take for the end of the authority. */
static bool is_user(struct slice user)
{
    for (size_t i = 0; i < user.len; i++)
        if (!ascii_is_alnum(user.at[i]) && !ascii_is_one_of(user.at[i], "-._~!$&'()*+,;=:%"))
            return false;
    return true;
}

static const char *parse_authority(struct slice text, struct url *u)
{
    size_t at = text.len, colon = SIZE_MAX;
    while (at > 0 && text.at[at - 1] != '@')
        at--;
    if (at > 0)
        u->user = (struct slice){text.at, at - 1};
    text = slice_from(text, at);
    if (!is_user(u->user))
        return "its user or password is not percent-encoded";
    for (size_t i = text.len; i > 0 && text.at[i - 1] != ']'; i--)
        if (text.at[i - 1] == ':')
            colon = i - 1;
    u->host = (struct slice){text.at, colon < text.len ? colon : text.len};
    u->port = u->tls ? 443 : 80;
    if (u->host.len == 0)
        return "it names no host";
    if (!is_host(u->host))
        return "its host is malformed";
    unsigned long long port = u->port;
    struct slice digits = colon < text.len ? slice_from(text, colon + 1) : SLICE_NONE;
    if (digits.len > 0 && (!slice_to_u64(digits, 65535, &port) || port == 0))
        return "its port is none";
    u->port = (uint16_t)port;
    return NULL;
}

/* Where the authority or the path ends: at the first of these. */
static size_t end_at(struct slice text, const char *stops)
{
    size_t i = 0;
    while (i < text.len && !ascii_is_one_of(text.at[i], stops))
        i++;
    return i;
}

const char *url_parse(struct slice text, struct url *url_out)
{
    struct slice rest;
    *url_out = (struct url){0};
    if (text.len > URL_MAX)
        return "it is too long";
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] <= ' ' || text.at[i] == 0x7f)
            return text.at[i] == ' ' ? "a space in it must be written %20" : "it holds a control character";
    url_out->tls = text.len >= 8 && slice_equal_nocase((struct slice){text.at, 8}, SLICE("https://"));
    if (!url_out->tls && (text.len < 7 || !slice_equal_nocase((struct slice){text.at, 7}, SLICE("http://"))))
        return "it must begin with http:// or https://";
    rest = slice_from(text, url_out->tls ? 8 : 7);
    size_t end = end_at(rest, "/?#");
    const char *fault = parse_authority((struct slice){rest.at, end}, url_out);
    if (fault != NULL)
        return fault;
    rest = slice_from(rest, end);
    rest.len = end_at(rest, "#");
    end = end_at(rest, "?");
    url_out->path = (struct slice){rest.at, end};
    if (end < rest.len)
        url_out->query = slice_from(rest, end + 1);
    return NULL;
}

static void add_host(const struct url *u, bool lower, struct buf *out)
{
    for (size_t i = 0; i < u->host.len; i++) {
        char c = u->host.at[i];
        buf_add_char(out, (char)(lower && c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c));
    }
}

/* ":443". By hand: each request needs it, and printf costs more. */
static void add_port(uint16_t port, struct buf *out)
{
    char digits[8], *at = digits + sizeof(digits);
    do {
        *--at = (char)('0' + port % 10);
        port /= 10;
    } while (port > 0);
    *--at = ':';
    buf_add(out, at, (size_t)(digits + sizeof(digits) - at));
}

void url_origin(const struct url *u, struct buf *out)
{
    buf_add_text(out, u->tls ? "https://" : "http://");
    add_host(u, true, out);
    add_port(u->port, out);
}

void url_write(const struct url *u, struct buf *out)
{
    buf_add_text(out, u->tls ? "https://" : "http://");
    add_host(u, false, out);
    if (u->port != (u->tls ? 443 : 80))
        add_port(u->port, out);
    if (u->path.len == 0)
        buf_add_char(out, '/');
    add_path(u->path, out);
    if (u->query.at != NULL) {
        buf_add_char(out, '?');
        add_path(u->query, out);
    }
}
