/*
 * content.c: see content.h. The room grows as bytes come out, so that what a small body unpacks to is paid for only as
 * far as it is let.
 */
#include "http/content.h"
#include "base/panic.h"
#include "codec/inflate.h"
#include <stdio.h>
#include <stdlib.h>

#define ROOM_FIRST ((size_t)16 << 10)
#define ROOM_STEP ((size_t)4 << 20) /* doubles up to here, then grows by it: realloc moves pages, not bytes */

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_DEFLATE, CODING_UNKNOWN };

struct codings {
    enum coding at[CONTENT_CODINGS]; /* in the order applied; identity left out */
    size_t count;
};

static int fail(struct content *c, int status, const char *words)
{
    c->state = CONTENT_FAULTY;
    c->status = status;
    snprintf(c->words, sizeof(c->words), "%s", words);
    return -1;
}

/* --- the header --- */

static enum coding coding_of(struct slice name)
{
    if (slice_equal_nocase(name, SLICE("gzip")) || slice_equal_nocase(name, SLICE("x-gzip")))
        return CODING_GZIP;
    if (slice_equal_nocase(name, SLICE("deflate")))
        return CODING_DEFLATE;
    return name.len == 0 || slice_equal_nocase(name, SLICE("identity")) ? CODING_IDENTITY : CODING_UNKNOWN;
}

/* One header line's list. */
static int add_codings(struct content *c, struct slice list, struct codings *all)
{
    struct slice name;
    while (slice_cut(&list, ',', &name)) {
        enum coding coding = coding_of(slice_trim(name));
        if (coding == CODING_IDENTITY)
            continue;
        if (coding == CODING_UNKNOWN)
            return fail(c, 415, "the body's Content-Encoding is not known here: send gzip, deflate or none");
        if (all->count == CONTENT_CODINGS)
            return fail(c, 415, "the body has too many content codings");
        all->at[all->count++] = coding;
    }
    return 0;
}

static int read_codings(struct content *c, const struct http_request *view, struct codings *all)
{
    *all = (struct codings){.count = 0};
    for (size_t i = 0; i < view->header_count; i++)
        if (slice_equal(view->headers[i].name, SLICE("content-encoding")) &&
            add_codings(c, view->headers[i].value, all) != 0)
            return -1;
    return 0;
}

/* --- the bytes --- */

struct unpacked {
    char *at;
    size_t len, room;
};

static void give(struct content *c, uint64_t n)
{
    body_memory_give(c->memory, n);
    c->counted -= n;
    body_memory_discharge(c->memory, &c->charge, c->counted);
}

/* What it is unpacked from may be past the share: else a body that fits might never be served. */
static int take(struct content *c, uint64_t more, uint64_t room)
{
    uint64_t from = c->packed + (c->counted - room);
    c->past_share = !body_memory_charge(c->memory, &c->charge, c->counted + more, from);
    if (c->past_share)
        return fail(c, 503, "this address has too many bodies on their way");
    if (!body_memory_take(c->memory, more, room + more)) {
        body_memory_discharge(c->memory, &c->charge, c->counted);
        return fail(c, 503, "there is no memory for the body's content now");
    }
    c->counted += more;
    return 0;
}

static int grow(struct content *c, struct unpacked *u, size_t bound)
{
    size_t more = u->room == 0 ? ROOM_FIRST : u->room < ROOM_STEP ? u->room : ROOM_STEP;
    if (more > bound + 1 - u->room) /* one byte beyond it tells that there are too many */
        more = bound + 1 - u->room;
    if (take(c, more, u->room) != 0)
        return -1;
    u->room += more;
    u->at = need_realloc(u->at, u->room);
    return 0;
}

static void drop(struct content *c, char *bytes, size_t room)
{
    free(bytes);
    give(c, room);
}

/* Gives back what was asked for and not needed. */
static void fit(struct content *c, struct unpacked *u)
{
    size_t room = u->len > 0 ? u->len : 1;
    give(c, u->room - room);
    u->at = need_realloc(u->at, room);
    u->room = room;
}

static int unpack_faulty(struct content *c, enum inflate_code code, size_t offset)
{
    char words[sizeof(c->words)];
    snprintf(words, sizeof(words), "the body's compressed content %s, at byte %zu", inflate_words(code), offset + 1);
    return fail(c, 400, words);
}

/* One coding off `packed`. On failure nothing is left in *u. */
static int unpack(struct content *c, enum coding coding, struct slice packed, size_t bound, struct unpacked *u)
{
    struct inflate *z = inflate_open(coding == CODING_GZIP ? INFLATE_GZIP : INFLATE_DEFLATE, packed);
    enum inflate_code code = INFLATE_MORE;
    int result = 0;
    *u = (struct unpacked){NULL, 0, 0};
    while (result == 0 && code == INFLATE_MORE) {
        size_t len;
        if (u->len > bound) {
            result = fail(c, 413, "the body's content is too large when it is unpacked");
        } else if (u->len == u->room) {
            result = grow(c, u, bound);
        } else {
            code = inflate_read(z, u->at + u->len, u->room - u->len, &len);
            u->len += len;
        }
    }
    if (result == 0 && u->len > bound)
        result = fail(c, 413, "the body's content is too large when it is unpacked");
    if (result == 0 && code != INFLATE_DONE)
        result = unpack_faulty(c, code, inflate_offset(z));
    inflate_close(&z);
    if (result != 0)
        drop(c, u->at, u->room);
    else
        fit(c, u);
    return result;
}

static int unpack_all(struct content *c, const struct codings *all, struct slice body, size_t bound)
{
    struct unpacked last = {NULL, 0, 0};
    for (size_t i = all->count; i-- > 0;) {
        struct unpacked next;
        struct slice packed = last.at != NULL ? (struct slice){last.at, last.len} : body;
        int result = unpack(c, all->at[i], packed, bound, &next);
        if (last.at != NULL)
            drop(c, last.at, last.room);
        if (result != 0)
            return -1;
        last = next;
    }
    c->state = CONTENT_UNPACKED;
    c->own = last.at;
    c->len = last.len;
    return 0;
}

int content_read(struct content *c, const struct http_request *view, size_t bound, struct body_memory *memory,
                 uint64_t peer)
{
    struct codings all;
    if (c->state != CONTENT_UNREAD)
        return c->state == CONTENT_FAULTY ? -1 : 0;
    c->memory = memory;
    c->charge.peer = peer;
    c->packed = view->body.len;
    if (read_codings(c, view, &all) != 0)
        return -1;
    if (all.count > 0 && view->body.len > 0)
        return unpack_all(c, &all, view->body, bound);
    c->state = CONTENT_PLAIN;
    return 0;
}

struct slice content_bytes(const struct content *c, const struct http_request *view)
{
    CHECK(c->state == CONTENT_PLAIN || c->state == CONTENT_UNPACKED);
    return c->state == CONTENT_UNPACKED ? (struct slice){c->own, c->len} : view->body;
}

void content_free(struct content *c)
{
    free(c->own);
    give(c, c->counted);
    *c = (struct content){.state = CONTENT_UNREAD};
}
