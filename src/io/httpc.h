/*
 * httpc.h: one outgoing HTTP request, without Lua: its limits, TLS always verified, which addresses may be reached,
 * redirects, and a reply that is collected whole or handed on piece by piece with back-pressure.
 * Owns: a pool of libcurl handles, the calls under way. Runs in: the loop's thread. Fails: what the world did is a code
 * and words in the reply, told by `end`, always from the loop, never from within httpc_start.
 *
 * A request goes out at most once for each hop (RFC 9110 9.2.2): where a kept connection turns out to have been closed,
 * libcurl would send it again on a new one, which is allowed only where it may be repeated (`repeatable`).
 */
#ifndef CRESCENT_IO_HTTPC_H
#define CRESCENT_IO_HTTPC_H

#include "base/error.h"
#include "base/slice.h"
#include "base/time.h"
#include "io/address.h"
#include "io/loop.h"
#include "io/outbound.h"

struct httpc;
struct httpc_call;

/* What became of a request: X(name, code as scripts see it, what it means). */
#define HTTPC_CODES(X)                                                                                \
    X(OK, "ok", "there is a reply, of whatever status")                                               \
    X(BAD_URL, "bad_url", "not a URL that can be asked: http and https only")                         \
    X(DNS, "dns", "the host's name has no address")                                                   \
    X(REFUSED, "refused", "nobody listens there")                                                     \
    X(UNREACHABLE, "unreachable", "no connection comes about")                                        \
    X(TLS, "tls", "the handshake failed, or the certificate is not the host's")                       \
    X(TIMEOUT, "timeout", "not within the time given")                                                \
    X(CLOSED, "closed", "the connection ended before the reply did")                                  \
    X(BAD_RESPONSE, "bad_response", "what came is no reply of HTTP, or its coding is corrupt")        \
    X(TOO_LARGE, "too_large", "the reply, or its header, is larger than allowed")                     \
    X(REDIRECTS, "redirects", "too many redirects, or one that leads nowhere")                        \
    X(ADDRESS_REFUSED, "address_refused", "the host's address is none that may be reached from here") \
    X(CIRCUIT_OPEN, "circuit_open", "this host has failed too often; it is left alone for a while")   \
    X(BUSY, "busy", "too much is under way here already")

enum httpc_code {
#define HTTPC_CODE(name, text, meaning) HTTPC_##name,
    HTTPC_CODES(HTTPC_CODE)
#undef HTTPC_CODE
        HTTPC_CODE_COUNT
};
/* "refused" */
const char *httpc_code_name(enum httpc_code code);

/*
 * A host has answered when a reply's header is there, of whatever status: that is what its circuit goes by. A body that
 * falls silent, breaks off or is corrupt is the caller's matter: an event stream may be silent for long, and whoever
 * asks next learns soon enough whether there is still somebody.
 * A host that was waited for in vain for less than this, as its caller would have it, has not failed: it may be sound,
 * and only slower than a short timeout. Ten such timeouts of one script would open its circuit for everybody. What
 * fails by itself (refused, closed, no such name) does count, however soon.
 */
#define HTTPC_FAIR DUR_S(1)

#define HTTPC_HEADERS_MAX 256
#define HTTPC_HEADER_ROOM ((size_t)64 << 10) /* of a reply's header, unless told otherwise */

struct httpc_header {
    struct slice name, value;
};

struct httpc_request {
    struct slice method; /* a token (RFC 9110 9.1) */
    struct slice url;    /* as codec/url reads it; user:password@ becomes Basic credentials */
    /*
     * Names are tokens, values hold no control characters: the caller has checked. Without a content-type none is sent.
     * Of two, one sets what is sent anyway: user-agent, accept, accept-encoding (nothing is unpacked then), host.
     */
    const struct httpc_header *headers;
    size_t header_count;
    struct slice body; /* at == NULL: none */
    bool body_stays;   /* the body's bytes stay where they are until the end: they are not copied */

    dur_t timeout;         /* all of it, waiting for its turn and redirects included; streamed: until the header */
    dur_t connect_timeout; /* of name, connection and handshake; 300 s at most */
    dur_t idle;            /* streamed: the longest gap between two pieces, while they are wanted */
    mono_t until;          /* who asks is given up then: cancelled later, it counts as a timeout; {0}: not known */
    size_t max_body;       /* of the reply, unpacked; SIZE_MAX: no bound */
    size_t max_header;     /* 0: HTTPC_HEADER_ROOM */
    unsigned redirects;    /* so many are followed; 0: a 3xx is the reply. GET after 303, and 301, 302 of a POST */
    unsigned concurrency;  /* requests to this host at once; 0: OUTBOUND_CONCURRENCY */
    bool public_only;      /* private addresses are refused too */
    bool bare;             /* nothing is added that may be left out: no user-agent, no accept */
    bool upstream;         /* another host may stand in for it: where TLS fails, this one has failed */
    bool decompress;       /* asks for gzip, and unpacks that and deflate: what ends too early is a failure */
    bool http2;      /* where the host offers it by ALPN. Not for what may pause, which libcurl 7.88 does badly there */
    bool repeatable; /* may be sent twice: its method is idempotent, or its sender knows */
    struct slice ca; /* PEM text, or the path of a file; empty: the system's */
    struct slice cert, key;   /* of the client, likewise; empty: none */
    struct slice traceparent; /* sent unless a header has that name; empty: none */
};

struct httpc_reply {
    enum httpc_code code;
    int status;          /* of the last hop; 0: none came */
    struct slice head;   /* its header, line by line: httpc_next_header */
    unsigned fields;     /* how many lines that is, about */
    struct slice body;   /* collected so far */
    struct slice url;    /* of the last hop, without credentials */
    struct slice origin; /* "https://host:port" of the last hop, for messages: the rest of a URL may be secret */
    unsigned hops;       /* redirects followed */
    bool sent;           /* some of the request may have reached the host */
    bool unpacked;       /* the body's coding was undone: content-encoding and content-length are not about it */
    const char *words;   /* what went wrong, for people; "" with OK */
};

/* All may end the call by httpc_cancel. */
struct httpc_events {
    /* Streamed: the last hop's header is there. */
    void (*headers)(struct httpc_call *call, void *cookie);
    /*
     * Streamed: a piece of the body (64 KiB at most), borrowed for the call. False: no more for now; httpc_resume asks
     * for more. NULL: the reply is collected whole.
     */
    bool (*data)(struct httpc_call *call, struct slice piece, void *cookie);
    /* The end, once. The call and its reply are gone when it returns. */
    void (*end)(struct httpc_call *call, void *cookie);
};

struct httpc_host {
    struct loop *loop;
    const struct address_rules *rules; /* outlives the client */
    const char *root;                  /* the folder that relative paths of certificates start at */
    size_t memory; /* collected replies of all calls together, and bodies of requests, bytes at most */
};

struct httpc *httpc_new(const struct httpc_host *host);
/* Every call must be over. Leaves NULL. */
void httpc_free(struct httpc **c);
/* The hosts that requests went to, and how they do. */
struct outbound *httpc_outbound(struct httpc *c);
/* How many calls are under way, and how many idle handles are kept. */
size_t httpc_calls(const struct httpc *c);
size_t httpc_idle(const struct httpc *c);

/*
 * Copies of `r` all that it needs, but a body that stays. Never NULL: where there is no room for another request, or
 * for its body, it ends as BUSY, and nothing was copied or sent.
 */
struct httpc_call *httpc_start(struct httpc *c, const struct httpc_request *r, const struct httpc_events *events,
                               void *cookie);
/*
 * A body that its owner keeps for further requests counts as if it were copied: false where there is no room for it;
 * httpc_start with that body would end as BUSY then.
 */
bool httpc_hold(struct httpc *c, size_t bytes);
void httpc_unhold(struct httpc *c, size_t bytes);
/* Ends it, wherever it is; `end` is not called. The connection is closed unless its reply was complete. Leaves NULL. */
void httpc_cancel(struct httpc_call **call);
/* Streamed: more is wanted, after `data` said no. Pieces come from the loop, not from within this. */
void httpc_resume(struct httpc_call *call);
/* The reply so far, valid until `end` has returned or the call was cancelled. */
const struct httpc_reply *httpc_reply(const struct httpc_call *call);
/* Takes the next header field off *head; false at its end. Names as sent (HTTP/2: lower case), values trimmed. */
bool httpc_next_header(struct slice *head, struct httpc_header *header_out);
/* The first field of this name; at == NULL: there is none. */
struct slice httpc_header(struct slice head, struct slice name);
/* The number behind Retry-After (RFC 9110 10.2.3: seconds or a date), from now on, 10^9 s at most; false: none, or
 * malformed. */
bool httpc_retry_after(struct slice head, wall_t now, dur_t *after_out);

#endif
