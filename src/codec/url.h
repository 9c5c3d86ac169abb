/*
 * url.h: absolute URLs of http and https (RFC 3986), as an outgoing request needs them: strict in the authority, where
 * two readers that differ are a hole; in path and query what may not stand there as it is gets percent-encoded.
 * Owns nothing: the parts are places in the text. Runs in: any thread, pure. Fails: static words.
 */
#ifndef CRESCENT_CODEC_URL_H
#define CRESCENT_CODEC_URL_H

#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

struct url {
    bool tls;          /* https */
    struct slice user; /* "name:password", percent-encoded as sent; at == NULL: none */
    struct slice host; /* a name, an IPv4 address in whatever form, or an IPv6 one in its brackets */
    uint16_t port;
    struct slice path;  /* empty, or begins with '/' */
    struct slice query; /* without '?'; at == NULL: none */
};

#define URL_MAX ((size_t)64 << 10)

/* A-Z a-z 0-9 - . _ ~ (RFC 3986 2.3). */
bool url_is_unreserved(char c);
/* NULL, or what is wrong. A fragment is left out. */
const char *url_parse(struct slice text, struct url *url_out);
/* Appends "https://host:443": lower case, the port always there. The same for all URLs of one origin. */
void url_origin(const struct url *u, struct buf *out);
/* Appends it as a text for the wire: no user, no fragment, no default port, a path always, nothing unencoded. */
void url_write(const struct url *u, struct buf *out);
/* Appends text with every byte percent-encoded but unreserved ones. */
void url_encode(struct slice text, struct buf *out);

#endif
