/*
 * answers.c: see answers.h. A row is a run of answers in the order in which they were given: number of the call (u64),
 * end and kind (a byte each), and of a number its bits (u64).
 */
#include "store/answers.h"
#include "base/panic.h"
#include <limits.h>
#include <stdlib.h>

#define LIVES_MOST 256 /* in memory; then all are dropped, and those that go on are read again */
#define KEPT_MOST 8192 /* of one life: far more than can be under way */

struct answer {
    uint64_t number; /* of the call */
    unsigned char end, kind;
    double value; /* NUMBER */
};

struct life {
    uint64_t life, settled, highest;
    struct answer *answers;
    size_t count, room;
    bool changed;
};

struct store_answers {
    const struct store_driver *driver;
    struct life *lives;
    size_t count, room, latest; /* latest: where the one was that was used last */
    struct buf row;
};

struct store_answers *store_answers_new(const struct store_driver *driver)
{
    struct store_answers *a = need_zero(1, sizeof(*a));
    a->driver = driver;
    return a;
}

void store_answers_drop(struct store_answers *a)
{
    for (size_t i = 0; i < a->count; i++)
        free(a->lives[i].answers);
    a->count = 0;
}

void store_answers_free(struct store_answers **ap)
{
    struct store_answers *a = *ap;
    *ap = NULL;
    if (a == NULL)
        return;
    store_answers_drop(a);
    free(a->lives);
    buf_free(&a->row);
    free(a);
}

/* --- one life's --------------------------------------------------------------------------------------------------- */

static void append(struct life *l, const struct answer *answer)
{
    if (l->count == l->room) {
        l->room = l->room == 0 ? 64 : l->room * 2;
        l->answers = need_realloc(l->answers, l->room * sizeof(*l->answers));
    }
    l->answers[l->count++] = *answer;
    l->highest = answer->number > l->highest ? answer->number : l->highest;
}

static int read_row(struct life *l, struct slice row)
{
    bool bad = false;
    while (row.len > 0) {
        struct answer a = {.number = buf_take_u64(&row, &bad)};
        a.end = row.len > 0 ? (unsigned char)row.at[0] : UCHAR_MAX;
        a.kind = row.len > 1 ? (unsigned char)row.at[1] : UCHAR_MAX;
        row = slice_from(row, row.len > 1 ? 2 : row.len);
        uint64_t bits = a.kind == KV_NUMBER ? buf_take_u64(&row, &bad) : 0;
        memcpy(&a.value, &bits, sizeof(bits));
        if (bad || a.end > KV_OUT_OF_RANGE || a.kind > KV_FOREVER || a.kind == KV_STRING || a.kind == KV_JSON)
            return -1;
        append(l, &a);
    }
    return 0;
}

static void write_row(const struct life *l, struct buf *row)
{
    buf_clear(row);
    for (size_t i = 0; i < l->count; i++) {
        const struct answer *a = &l->answers[i];
        uint64_t bits;
        memcpy(&bits, &a->value, sizeof(bits));
        buf_add_u64(row, a->number);
        buf_add(row, (unsigned char[]){a->end, a->kind}, 2);
        if (a->kind == KV_NUMBER)
            buf_add_u64(row, bits);
    }
}

/* Those that nobody will ask for go; and the oldest, should the asker never settle anything. */
static void forget_settled(struct life *l)
{
    size_t kept = 0, first = l->count > KEPT_MOST ? l->count - KEPT_MOST : 0;
    for (size_t i = first; i < l->count; i++)
        if (l->answers[i].number >= l->settled)
            l->answers[kept++] = l->answers[i];
    l->count = kept;
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

/* NULL: it cannot be read. Valid until the next one is looked for. */
static struct life *life_of(struct store_answers *a, struct store_db *db, uint64_t life, struct error *err)
{
    if (a->latest < a->count && a->lives[a->latest].life == life)
        return &a->lives[a->latest];
    for (a->latest = 0; a->latest < a->count; a->latest++)
        if (a->lives[a->latest].life == life)
            return &a->lives[a->latest];
    buf_clear(&a->row);
    if (a->driver->recall(db, life, &a->row, err) < 0)
        return NULL;
    struct life fresh = {.life = life};
    if (read_row(&fresh, buf_slice(&a->row)) != 0) {
        free(fresh.answers);
        error_set(err, "the answers that are kept for a worker's calls cannot be read");
        return NULL;
    }
    if (a->count == a->room) {
        a->room = a->room == 0 ? 8 : a->room * 2;
        a->lives = need_realloc(a->lives, a->room * sizeof(*a->lives));
    }
    a->lives[a->count] = fresh;
    a->latest = a->count++;
    return &a->lives[a->latest];
}

int store_answers_recall(struct store_answers *a, struct store_db *db, struct store_op *op, struct error *err)
{
    struct life *l = life_of(a, db, op->life, err);
    if (l == NULL)
        return -1;
    if (op->number > l->highest) /* the usual case */
        return 0;
    for (size_t i = l->count; i-- > 0;)
        if (l->answers[i].number == op->number) {
            op->end = (enum kv_end)l->answers[i].end;
            op->answer = (struct store_value){.kind = (enum kv_kind)l->answers[i].kind, .number = l->answers[i].value};
            return 1;
        }
    return 0;
}

void store_answers_add(struct store_answers *a, const struct store_op *op)
{
    CHECK(a->latest < a->count && a->lives[a->latest].life == op->life);
    struct life *l = &a->lives[a->latest];
    struct answer answer = {.number = op->number,
                            .end = (unsigned char)op->end,
                            .kind = (unsigned char)op->answer.kind,
                            .value = op->answer.number};
    append(l, &answer);
    l->settled = op->settled > l->settled ? op->settled : l->settled;
    l->changed = true;
}

int store_answers_keep(struct store_answers *a, struct store_db *db, int64_t now, struct error *err)
{
    for (size_t i = 0; i < a->count; i++) {
        struct life *l = &a->lives[i];
        if (!l->changed)
            continue;
        l->changed = false;
        forget_settled(l);
        write_row(l, &a->row);
        if (a->driver->keep(db, l->life, now, buf_slice(&a->row), err) != 0)
            return -1;
    }
    if (a->count > LIVES_MOST)
        store_answers_drop(a);
    return 0;
}
