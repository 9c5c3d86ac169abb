/*
 * flood.c: see flood.h. Frames of types that nobody knows count like the known ones: they are skipped, but not free.
 */
#include "server/flood.h"
#include "base/panic.h"

#define PERIOD DUR_S(10)    /* in which a budget comes back */
#define FRAMES_A_REQUEST 10 /* FLOOD_FRAMES that a request pays for */
#define BYTES_A_FRAME 256   /* of answers, that pay for one: clients open windows as they read */
#define WINDOW (16u << 20)  /* as large as libh2o keeps a connection's for what it receives */
#define BLOCK_LEAST 65536   /* bytes that a header block may have in any case */
#define BLOCK_BESIDE 16384  /* in a header block, beside fields and path: lengths, method, authority, padding */
#define LATE_LEAST 1024     /* a late frame counts as so many bytes, at least: its answer costs the same */

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };

static size_t most(const struct config_limits *l, enum flood_kind kind)
{
    const size_t all[FLOOD_BUDGETS] = {[FLOOD_RESETS] = l->resets,
                                       [FLOOD_PINGS] = l->pings,
                                       [FLOOD_SETTINGS] = l->settings,
                                       [FLOOD_EMPTY_FRAMES] = l->empty_frames,
                                       [FLOOD_FRAMES] = l->frames};
    CHECK(kind < FLOOD_BUDGETS);
    return all[kind];
}

static dur_t cost(const struct config_limits *l, enum flood_kind kind)
{
    return (dur_t){PERIOD.ns / (int64_t)most(l, kind)};
}

bool flood_spend(struct flood *f, enum flood_kind kind, const struct config_limits *limits, mono_t now)
{
    mono_t *spent = &f->spent[kind];
    if (mono_before(*spent, now))
        *spent = now;
    *spent = mono_add(*spent, cost(limits, kind));
    return mono_since(*spent, now).ns <= PERIOD.ns;
}

/* A point that lies behind the clock is moved up to it when the next one is spent: nobody saves up more than a budget.
 */
static void pay(struct flood *f, const struct config_limits *limits, int64_t frames)
{
    f->spent[FLOOD_FRAMES].ns -= frames * cost(limits, FLOOD_FRAMES).ns;
}

void flood_request(struct flood *f, const struct config_limits *limits)
{
    if (f->spent[FLOOD_FRAMES].ns > 0)
        pay(f, limits, FRAMES_A_REQUEST);
}

static void pay_for_answers(struct flood *f, const struct config_limits *limits, uint64_t sent)
{
    uint64_t frames = (sent - f->credited) / BYTES_A_FRAME, full = most(limits, FLOOD_FRAMES);
    f->credited += frames * BYTES_A_FRAME;
    pay(f, limits, (int64_t)(frames < full ? frames : full));
}

void flood_body_reset(struct flood *f)
{
    f->late = WINDOW;
}

bool flood_late(struct flood *f, uint32_t length)
{
    uint32_t counts = length > LATE_LEAST ? length : LATE_LEAST;
    if (f->late < counts)
        return false;
    f->late -= counts;
    return true;
}

/* Nothing but padding, if that: it moves nobody forward. The end of a body may be such a frame. */
static bool is_empty(const struct flood_frame *frame)
{
    if (frame->type == DATA && (frame->flags & END_STREAM) == 0)
        return frame->length == 0 || ((frame->flags & PADDED) != 0 && frame->payload[0] + 1u >= frame->length);
    return (frame->type == HEADERS || frame->type == CONTINUATION) && frame->length == 0;
}

size_t flood_block_most(const struct config_limits *limits)
{
    size_t allowed = limits->headers + limits->uri + BLOCK_BESIDE;
    return allowed > BLOCK_LEAST ? allowed : BLOCK_LEAST;
}

static enum flood_kind block(struct flood *f, const struct flood_frame *frame, const struct config_limits *limits)
{
    if (frame->type == HEADERS)
        f->block = f->block_frames = 0;
    f->block += frame->length;
    if (f->block > flood_block_most(limits))
        return FLOOD_BLOCK;
    if (frame->type == CONTINUATION && ++f->block_frames > limits->continuations)
        return FLOOD_CONTINUATIONS;
    return FLOOD_NONE;
}

/* RST_STREAM counts here too: of a stream that is closed already, nothing else counts it. */
static enum flood_kind kind_of(const struct flood_frame *frame)
{
    bool ack = (frame->flags & ACK) != 0;
    if (is_empty(frame))
        return FLOOD_EMPTY_FRAMES;
    switch (frame->type) {
    case DATA:
    case HEADERS:
    case CONTINUATION:
        return FLOOD_NONE;
    case PING:
        return ack ? FLOOD_FRAMES : FLOOD_PINGS;
    case SETTINGS:
        return ack ? FLOOD_FRAMES : FLOOD_SETTINGS;
    default:
        return FLOOD_FRAMES;
    }
}

enum flood_kind flood_frame(struct flood *f, const struct flood_frame *frame, const struct config_limits *limits,
                            uint64_t sent, mono_t now)
{
    enum flood_kind kind = kind_of(frame);
    if (kind == FLOOD_FRAMES)
        pay_for_answers(f, limits, sent);
    if (kind != FLOOD_NONE && !flood_spend(f, kind, limits, now))
        return kind;
    if (frame->type == HEADERS || frame->type == CONTINUATION)
        return block(f, frame, limits);
    return FLOOD_NONE;
}
