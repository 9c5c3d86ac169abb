/*
 * flood.h: what an HTTP/2 client may send that is no request and no part of one. Such frames cost it nothing, and each
 * costs the server a little: each kind has a budget for each connection, which is spent at once or bit by bit and comes
 * back in ten seconds. Plain data and arithmetic; knows neither libh2o nor a socket.
 * Owns: nothing. Runs in: the worker's thread. Never fails.
 */
#ifndef CRESCENT_SERVER_FLOOD_H
#define CRESCENT_SERVER_FLOOD_H

#include "base/config.h"
#include "base/time.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum flood_kind { /* each is the setting of its name */
                  FLOOD_RESETS,
                  FLOOD_PINGS,
                  FLOOD_SETTINGS,
                  FLOOD_EMPTY_FRAMES,
                  FLOOD_FRAMES,
                  FLOOD_CONTINUATIONS,
                  FLOOD_BLOCK, /* a header block past flood_block_most */
                  FLOOD_NONE
};

#define FLOOD_BUDGETS FLOOD_CONTINUATIONS /* the kinds before it have one */

struct flood {                    /* of one connection; born as {0} */
    mono_t spent[FLOOD_BUDGETS];  /* a point that runs ahead of the clock with each frame */
    uint64_t credited;            /* bytes of answers that FLOOD_FRAMES has been paid for */
    uint64_t late;                /* bytes of DATA that may be under way to streams that are no more */
    uint32_t block, block_frames; /* of the header block that is arriving: bytes, CONTINUATION frames */
};

/*
 * Bytes of one header block, compressed: 64 KiB, or more where limits.headers and limits.uri allow more together, so
 * that it is they that decide.
 */
size_t flood_block_most(const struct config_limits *limits);

struct flood_frame { /* RFC 9113 4.1 */
    unsigned type, flags;
    uint32_t length;
    const uint8_t *payload; /* of `length` bytes */
};

/* One more of this kind. False: its budget is spent. */
bool flood_spend(struct flood *f, enum flood_kind kind, const struct config_limits *limits, mono_t now);
/* A whole frame has come; sent: bytes ever written to the client. The kind whose limit it passes, or FLOOD_NONE. */
enum flood_kind flood_frame(struct flood *f, const struct flood_frame *frame, const struct config_limits *limits,
                            uint64_t sent, mono_t now);
/*
 * A stream was reset whose body was still coming: before its client hears of that, it may send as much of it as the
 * connection's window takes (RFC 9113 5.1, closed), and libh2o answers each such frame by another reset.
 */
void flood_body_reset(struct flood *f);
/* DATA of `length` bytes has come for no stream that takes it: whether it may be such. */
bool flood_late(struct flood *f, uint32_t length);
/* A request has come: it pays for the frames that clients send beside requests (priorities, acknowledgements). */
void flood_request(struct flood *f, const struct config_limits *limits);

#endif
