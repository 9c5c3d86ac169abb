/*
 * body_guard.c: see body_guard.h. Not every caller within libh2o can take no for an answer (a NULL base). Those that
 * can: the reader of a socket, in clear and under TLS, and the one of HTTP/2's DATA frames. Those that cannot: header
 * blocks (after a frame of type HEADERS or CONTINUATION), and a refusal that keeps a begin (see body_refusal.h; always
 * a buffer's first room). These are counted, and granted: of a block it was asked before libh2o got its frame.
 */
#include "server/body_guard.h"
#include "server/body_refusal.h"
#include "server/body_wanted.h"
#include "server/server_internal.h"
#include <dlfcn.h>
#include <h2o.h>
#include <malloc.h>
#include <stdlib.h>

#define STEP ((size_t)1 << 20)    /* capacities double up to here, then grow by it: what is not touched costs nothing */
#define AT_ONCE ((size_t)1 << 20) /* read from one socket in one pass, a step more or less */
#define AT_FIRST ((size_t)128 << 10) /* the same before anything of it was looked at, and of frames */
#define AT_SEALED ((size_t)32 << 10) /* of TLS, before it is decoded: two records, and nobody's share has it */
#define FRAME_ROOM ((size_t)1 << 10) /* for a frame of DATA or of a header block, at least */
#define READER_ASKS 4096             /* what libh2o's reader asks for, and nobody else */
/* malloc's own bounds would rise with the largest buffer freed: it would then keep such memory, and copy to grow it. */
#define MAPPED_FROM (256 << 10)
#define KEPT_FREE (4 << 20)

enum { FRAME_DATA = 0, FRAME_HEADERS = 1, FRAME_CONTINUATION = 9, FRAME_NONE = 255 };

typedef h2o_iovec_t reserve_fn(h2o_buffer_t **, size_t);
typedef void free_fn(h2o_buffer_t *);

/* File-scope because the library calls these with arguments of its own only. */
static struct {
    reserve_fn *reserve;
    free_fn *free;
    struct server *server; /* NULL: nobody counts (the keeper; tests) */
    unsigned frame;        /* the last one's type, until a buffer has asked for room since */
    uint64_t peer;         /* whose it was, as shm/peers has it */
    uint64_t reserved, freed;
} guard = {.frame = FRAME_NONE};

/* Looks up the definition that ours hides, once. */
#define FIND(member, symbol)                                                     \
    do {                                                                         \
        if (guard.member == NULL)                                                \
            guard.member = (__typeof__(guard.member))dlsym(RTLD_NEXT, (symbol)); \
    } while (0)

void body_guard_frame(unsigned type, uint64_t peer)
{
    guard.frame = type;
    guard.peer = peer;
}

void body_guard_frames_over(void)
{
    body_guard_frame(FRAME_NONE, 0);
}

/* Whether it is a buffer for what peers send; those for what is sent to them have another prototype. */
static bool is_counted(const h2o_buffer_t *b)
{
    return guard.server != NULL && (b->bytes == NULL ? b == &h2o_socket_buffer_prototype._initial_buf
                                                     : b->_prototype == &h2o_socket_buffer_prototype);
}

static h2o_iovec_t room_of(h2o_buffer_t *b)
{
    char *at = b->bytes + b->size;
    return h2o_iovec_init(at, (size_t)(b->_buf + b->capacity - at));
}

static h2o_iovec_t refuse(enum reason why)
{
    body_refusal_count(guard.server, why);
    return h2o_iovec_init(NULL, 0);
}

/* --- whose it is ------------------------------------------------------------------------------------------------ */

/* Buffers of libh2o's first size are its own, from its pool. All others are made here: behind them it stands whose. */
static bool is_initial(size_t capacity)
{
    return capacity == h2o_socket_buffer_prototype._initial_buf.capacity;
}

static bool is_charged(const h2o_buffer_t *b)
{
    return b->bytes != NULL && !is_initial(b->capacity);
}

static size_t size_of(size_t capacity)
{
    return offsetof(h2o_buffer_t, _buf) + capacity + sizeof(struct body_charge);
}

static struct body_charge charge_of(const h2o_buffer_t *b)
{
    struct body_charge charge = {0};
    if (is_charged(b))
        memcpy(&charge, b->_buf + b->capacity, sizeof(charge));
    return charge;
}

static void set_charge(h2o_buffer_t *b, const struct body_charge *charge)
{
    memcpy(b->_buf + b->capacity, charge, sizeof(*charge));
}

/* A buffer grows from `had` bytes to `capacity`: REASON_none, or the limit that says no. `must`: none does. */
static enum reason claim(struct body_charge *charge, size_t had, size_t capacity, bool must)
{
    struct body_memory *memory = &guard.server->body_memory;
    uint64_t before = (uint64_t)charge->kib << 10;
    if (!body_memory_charge(memory, charge, capacity, must ? BODY_MEMORY_MUST : 0))
        return REASON_body_memory_per_ip;
    if (must) {
        body_memory_add(memory, capacity - had);
    } else if (!body_memory_take(memory, capacity - had, capacity)) {
        body_memory_discharge(memory, charge, before);
        return REASON_body_memory;
    }
    return REASON_none;
}

/* --- growing ---------------------------------------------------------------------------------------------------- */

/*
 * The connection whose own input this is, or NULL. UNSAFE BYTES: libh2o keeps the address of a buffer in a field of its
 * structs; if this field is a socket's `input`, our close hook stands where that struct has it. In the other structs
 * that hold such a field (a stream, a connection, a TLS state) the same distance is still inside them.
 */
static struct connection *connection_of(h2o_buffer_t **field)
{
    h2o_socket_t *sock = H2O_STRUCT_FROM_MEMBER(h2o_socket_t, input, field);
    struct connection *c = connections_of(sock);
    return c != NULL && c->sock == sock ? c : NULL;
}

static bool is_block(unsigned frame)
{
    return frame == FRAME_HEADERS || frame == FRAME_CONTINUATION;
}

/* Who has sent the frame that asks for room, or nobody. */
static uint64_t sender(unsigned frame)
{
    return frame == FRAME_DATA || is_block(frame) ? guard.peer : 0;
}

static h2o_iovec_t first_room(h2o_buffer_t **field, size_t least, unsigned frame)
{
    h2o_buffer_t *initial = &h2o_socket_buffer_prototype._initial_buf;
    if (frame != FRAME_DATA && !is_block(frame) && least <= initial->capacity) {
        body_memory_add(&guard.server->body_memory, initial->capacity);
        return guard.reserve(field, least);
    }
    size_t capacity = least < FRAME_ROOM ? FRAME_ROOM : least;
    capacity += is_initial(capacity);
    struct body_charge charge = {.peer = sender(frame)};
    enum reason why = claim(&charge, 0, capacity, frame != FRAME_DATA);
    if (why != REASON_none)
        return refuse(why);
    h2o_buffer_t *b = h2o_mem_alloc(size_of(capacity));
    *b = (h2o_buffer_t){.capacity = capacity, .bytes = b->_buf, ._prototype = &h2o_socket_buffer_prototype, ._fd = -1};
    set_charge(b, &charge);
    *field = b;
    return room_of(b);
}

/*
 * Whether so much has come from it in this pass of the loop that others shall have a turn: libh2o reads a socket until
 * it is empty, which that of a fast sender never is. A body is read on in larger pieces than a flood, most of which
 * would be read for nothing. Frames are no longer than 16 KiB and taken out in each pass, so what is there of them has
 * come in this one; would it count from there, each pass that fills the buffer had a larger one for the next.
 */
static bool had_turn(struct connection *c, size_t size)
{
    mono_t now = loop_now(c->owner->loop);
    if (c->turn.ns != now.ns) {
        c->turn_most = c->http2 ? AT_FIRST : size + (c->turn.ns == 0 ? AT_FIRST : AT_ONCE);
        c->turn = now;
    }
    return size >= c->turn_most;
}

/*
 * The same for a TLS connection, whose reader fills an input of its own that is decoded, and so emptied, in each pass:
 * it never has more than AT_SEALED. Nobody else asks for so much room in what is no socket's own input, but for a frame
 * of that size, whose caller writes all of it.
 */
static bool had_turn_encrypted(size_t size, size_t least, unsigned frame)
{
    return least == READER_ASKS && frame == FRAME_NONE && size + READER_ASKS > AT_SEALED;
}

/* The buffer's bytes in memory of `capacity`, at its begin. */
static h2o_buffer_t *enlarged(h2o_buffer_t *b, size_t capacity, const struct body_charge *charge)
{
    size_t size = size_of(capacity);
    h2o_buffer_t *next;
    if (!is_charged(b)) { /* libh2o keeps these for the next */
        next = h2o_mem_alloc(size);
        memcpy(next, b, offsetof(h2o_buffer_t, _buf));
        memcpy(next->_buf, b->bytes, b->size);
        guard.free(b);
    } else {
        if (b->bytes != b->_buf)
            memmove(b->_buf, b->bytes, b->size);
        next = h2o_mem_realloc(b, size);
    }
    next->bytes = next->_buf;
    next->capacity = capacity;
    set_charge(next, charge);
    return next;
}

/*
 * Whether so much has come that its endpoint will not take it, though nobody has said how long it would be. What was
 * read in this pass may be framing for the most part, or the requests behind it.
 */
static bool is_too_much(const struct connection *c, size_t size)
{
    return c != NULL && !c->http2 && c->sock->_cb.read != NULL && c->body_most != BODY_UNKNOWN &&
           size > c->body_most + 2 * AT_ONCE;
}

static h2o_iovec_t more_room(h2o_buffer_t **field, size_t least, unsigned frame)
{
    h2o_buffer_t *b = *field;
    struct connection *c = connection_of(field);
    size_t capacity = b->capacity;
    if (c != NULL && c->refusal.why != REASON_none)
        return body_refusal_room(c, b);
    /* With no room its reader in clear, which has read some, takes it that there is no more for now. */
    if (c != NULL && c->sock->ssl == NULL && least == READER_ASKS && had_turn(c, b->size))
        return h2o_iovec_init(b->bytes + b->size, 0);
    if (c == NULL && had_turn_encrypted(b->size, least, frame))
        return h2o_iovec_init(b->bytes + b->size, 0);
    do {
        capacity += capacity < STEP ? capacity : STEP;
    } while (capacity - b->size < least);
    capacity += is_initial(capacity);
    struct body_charge charge = charge_of(b);
    if (charge.peer == 0) /* nobody's so far: all of it counts, if it is somebody's now */
        charge = (struct body_charge){.peer = c != NULL ? c->peer : sender(frame)};
    enum reason why = is_too_much(c, b->size) ? REASON_body_too_large
                                              : claim(&charge, b->capacity, capacity, c == NULL && is_block(frame));
    if (why != REASON_none)
        /* Nobody reads at the end of a TLS handshake: what is decoded then may stop early. */
        return c == NULL || c->http2 || c->sock->_cb.read == NULL ? refuse(why) : body_refusal_begin(c, why);
    *field = enlarged(b, capacity, &charge);
    return room_of(*field);
}

h2o_iovec_t h2o_buffer_reserve(h2o_buffer_t **field, size_t least)
{
    h2o_buffer_t *b = *field;
    FIND(reserve, "h2o_buffer_reserve");
    FIND(free, "h2o_buffer__do_free");
    guard.reserved++;
    if (!is_counted(b))
        return guard.reserve(field, least);
    unsigned frame = guard.frame;
    guard.frame = FRAME_NONE;
    if (b->bytes == NULL)
        return first_room(field, least, frame);
    if (least <= room_of(b).len || (b->size + least) * 2 <= b->capacity)
        return guard.reserve(field, least); /* as it is, or moved to the front */
    return more_room(field, least, frame);
}

void h2o_buffer__do_free(h2o_buffer_t *b)
{
    FIND(free, "h2o_buffer__do_free");
    guard.freed++;
    if (is_counted(b)) {
        struct body_charge charge = charge_of(b);
        body_memory_discharge(&guard.server->body_memory, &charge, 0);
        body_memory_give(&guard.server->body_memory, b->capacity);
    }
    guard.free(b);
}

bool body_guard_block(uint64_t peer, size_t more)
{
    struct body_charge charge = {.peer = peer};
    if (guard.server == NULL)
        return true;
    enum reason why = claim(&charge, 0, more, false);
    if (why != REASON_none) {
        body_refusal_count(guard.server, why);
        return false;
    }
    body_memory_discharge(&guard.server->body_memory, &charge, 0); /* libh2o asks for it as it needs it */
    body_memory_give(&guard.server->body_memory, more);
    return true;
}

uint64_t body_guard_room(const struct config_limits *limits)
{
    uint64_t least = limits->body + limits->headers + BODY_GUARD_MARGIN;
    return ((least - 1) / STEP + 1) * STEP;
}

void body_guard_open(struct server *s)
{
    guard.server = s;
    mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
    mallopt(M_TRIM_THRESHOLD, KEPT_FREE);
}

int body_guard_proved(const struct server *s, struct error *err)
{
    const struct {
        const char *symbol;
        void *ours;
    } all[] = {{"h2o_buffer_reserve", (void *)h2o_buffer_reserve},
               {"h2o_buffer__do_free", (void *)h2o_buffer__do_free}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (dlsym(RTLD_DEFAULT, all[i].symbol) != all[i].ours)
            return error_set(err, "%s is not bound to the guard", all[i].symbol);
        if (dlsym(RTLD_NEXT, all[i].symbol) == NULL)
            return error_set(err, "libh2o has no %s", all[i].symbol);
    }
    if (guard.reserved == 0 || guard.freed == 0)
        return error_set(err, "libh2o does not call the guard's functions");
    if (s->body_memory.own != 0)
        return error_set(err, "%llu bytes of a connection that is over are still counted",
                         (unsigned long long)s->body_memory.own);
    return 0;
}
