/*
 * proxy_header.h: the header that a proxy puts before a connection's own bytes, to say whose connection it is: PROXY
 * protocol, version 1 (a line) and 2 (binary), as HAProxy's proxy-protocol.txt has them (2.1, 2.2).
 * Pure: bytes come from whoever connects. Runs in: any thread. Fails: what is none is bad, with static words.
 */
#ifndef CRESCENT_CODEC_PROXY_HEADER_H
#define CRESCENT_CODEC_PROXY_HEADER_H

#include "codec/ip.h"
#include <stdbool.h>

#define PROXY_HEADER_MOST 4096 /* bytes; what proxies say beside the addresses (TLVs) is a few hundred */

struct proxy_header {
    size_t len; /* bytes of it; the connection's own follow */
    /* Whose connection it is. IP_NONE: it does not say, or the proxy speaks for itself: the peer is who it is. */
    struct ip client;
    unsigned short port;
    bool local; /* the proxy speaks for itself (LOCAL), so nobody else's connection it is */
};

enum proxy_header_result {
    PROXY_HEADER_DONE,
    PROXY_HEADER_MORE,    /* so far it is the beginning of one */
    PROXY_HEADER_MISSING, /* it begins with something else */
    PROXY_HEADER_BAD
};

/* Reads it from the connection's first bytes; *why_out where it is bad. */
enum proxy_header_result proxy_header_read(struct slice bytes, struct proxy_header *out, const char **why_out);

#endif
