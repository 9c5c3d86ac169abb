/*
 * forwarded.h: whose request it is, when it comes from a trusted proxy: what the proxies say in Forwarded (RFC 7239)
 * and in X-Forwarded-For, -Proto and -Host. Both are read from the right, where the nearest proxy has written: the
 * first address that is no trusted proxy's is the client's, and what stands left of it, which the client may have sent
 * itself, is not looked at. What cannot be read ends the reading: the last good address counts. Pure. Runs in: the
 * worker. Fails: where both kinds of headers are there, for a proxy that sets one and lets the other through from its
 * clients would have them say whatever they like, be it only what the first kind says nothing of.
 */
#ifndef CRESCENT_POLICY_FORWARDED_H
#define CRESCENT_POLICY_FORWARDED_H

#include "http/request.h"
#include "policy/ips.h"

struct forwarded {          /* slices of the request's headers */
    struct ip client;       /* IP_NONE: they do not say; the peer is who it is */
    struct slice scheme;    /* "http", "https"; at == NULL: they do not say */
    struct slice authority; /* "hooks.example.com:8443", valid; at == NULL: they do not say */
};

/* Of a request whose peer is trusted. 0, or -1: Forwarded and X-Forwarded-* are both there, in static words. */
int forwarded_read(const struct http_request *req, const struct ips *trusted, struct forwarded *out,
                   const char **why_out);

#endif
