/*
 * content.h: the body as it was before Content-Encoding (RFC 9110 8.4): unpacked once, when somebody first asks, within
 * a bound; one that is not encoded is never copied. Verifiers read the view's own body: what was sent.
 * Owns: the unpacked bytes. Runs in: the worker. Fails: -1 with a status and words; the same ones when asked again.
 */
#ifndef CRESCENT_HTTP_CONTENT_H
#define CRESCENT_HTTP_CONTENT_H

#include "http/request.h"
#include "shm/body_memory.h"

#define CONTENT_CODINGS 2 /* one upon the other; more is nobody's way to save bytes */
/* For Accept-Encoding with a 415 (RFC 9110 15.5.16). */
#define CONTENT_ACCEPTED "gzip, deflate"

enum content_state { CONTENT_UNREAD, CONTENT_PLAIN, CONTENT_UNPACKED, CONTENT_FAULTY };

struct content { /* born as {0} */
    enum content_state state;
    char *own;
    size_t len;
    struct body_memory *memory; /* what `own` is counted by; NULL: it is not */
    uint64_t counted;
    struct body_charge charge; /* the same, for the address that has sent it */
    size_t packed;             /* bytes of the body as it was sent */
    int status;                /* of a fault: 400, 413, 415, 503 */
    bool past_share;           /* a 503 for the address's share, not for the limit of all */
    char words[120];
};

/*
 * Unpacks where that is needed and not done yet. bound: bytes that the body may have then. memory: counts what is
 * unpacked, for `peer` (as shm/peers has it; 0: nobody); or NULL. The share of an address has room for one body, and
 * for what that is unpacked to beside it. 0, or -1 with c->status and c->words.
 */
int content_read(struct content *c, const struct http_request *view, size_t bound, struct body_memory *memory,
                 uint64_t peer);
/* The bytes, after content_read gave 0: good until the view is detached or freed, or c is. */
struct slice content_bytes(const struct content *c, const struct http_request *view);
/* Frees the bytes; leaves {0}. */
void content_free(struct content *c);

#endif
