/*
 * operate.h: a store on a loop, over any place, and operations that are waited for.
 */
#ifndef TESTS_STORE_OPERATE_H
#define TESTS_STORE_OPERATE_H

#include "base/log.h"
#include "base/panic.h"
#include "shm/counters.h"
#include "store/memory.h"
#include "store/store.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// clang-format off
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

static struct loop *loop;
static struct store *store;
static struct counters counters;
static struct {
    int up, away;  /* how often it was told */
    char why[512]; /* it was away last */
} turns;

struct operation {
    struct store_op op;
    char key[64], value[64];
    int told;
};

static inline void on_turned(void *cookie, bool up, const char *why)
{
    if (up) {
        turns.up++;
    } else {
        turns.away++;
        snprintf(turns.why, sizeof(turns.why), "%s", why);
    }
}

static inline void open_store(const struct store_place *place)
{
    struct error err;
    const struct store_host host = {.loop = loop, .counters = &counters, .turned = on_turned};
    memset(&turns, 0, sizeof(turns));
    store = store_new(&host, place, &err);
    assert_non_null(store);
}

static inline void pass(void)
{
    loop_pass(loop, DUR_MS(20));
}

#define UNTIL(condition)                                        \
    do {                                                        \
        mono_t limit_ = mono_add(mono_now(), DUR_S(100));       \
        while (!(condition) && mono_before(mono_now(), limit_)) \
            pass();                                             \
        assert_true(condition);                                 \
    } while (0)

static inline void on_told(struct store_op *op)
{
    CONTAINER_OF(op, struct operation, op)->told++;
}

static uint64_t life = 7, calls; /* of whoever asks here, and how many so far */

/* number: of value, where value is NULL. */
static inline void make(struct operation *o, enum kv_what what, const char *key, const char *value, double number)
{
    memset(o, 0, sizeof(*o));
    snprintf(o->key, sizeof(o->key), "%s", key);
    snprintf(o->value, sizeof(o->value), "%s", value != NULL ? value : "");
    o->op.done = on_told;
    o->op.life = life;
    o->op.number = ++calls;
    o->op.what = what;
    o->op.bucket = SLICE("");
    o->op.key = slice_of(o->key);
    o->op.limit = 100;
    o->op.value.kind = value != NULL ? KV_STRING : KV_NUMBER;
    o->op.value.bytes = value != NULL ? slice_of(o->value) : SLICE_NONE;
    o->op.value.number = number;
}

static inline void submit(struct operation *o)
{
    store_submit(store, &o->op);
}

static inline void run(struct operation *o)
{
    submit(o);
    UNTIL(o->told == 1);
}

static inline enum kv_end set(const char *key, const char *value, uint64_t ttl_ms)
{
    struct operation o;
    make(&o, KV_SET, key, value, 0);
    o.op.ttl_ms = ttl_ms;
    run(&o);
    return o.op.end;
}

/* The text under the key; "(nothing)"; or "(end N)". Valid until the next call. */
static inline const char *get(const char *key)
{
    static char text[128];
    struct operation o;
    make(&o, KV_GET, key, "", 0);
    run(&o);
    if (o.op.end != KV_DONE)
        snprintf(text, sizeof(text), "(end %d)", o.op.end);
    else if (o.op.answer.kind == KV_NUMBER)
        snprintf(text, sizeof(text), "%.17g", o.op.answer.number);
    else if (o.op.answer.kind == KV_NOTHING)
        snprintf(text, sizeof(text), "(nothing)");
    else
        snprintf(text, sizeof(text), "%.*s", SLICE_ARG(o.op.answer.bytes));
    buf_free(&o.op.bytes);
    return text;
}

static inline double incr(const char *key, double by)
{
    struct operation o;
    make(&o, KV_INCR, key, NULL, by);
    run(&o);
    return o.op.end == KV_DONE ? o.op.answer.number : -1000 - (double)o.op.end;
}

static inline enum kv_kind simple(enum kv_what what, const char *key)
{
    struct operation o;
    make(&o, what, key, "v", 0);
    run(&o);
    assert_int_equal(o.op.end, KV_DONE);
    return o.op.answer.kind;
}

static inline double ttl(const char *key)
{
    struct operation o;
    make(&o, KV_TTL, key, "", 0);
    run(&o);
    return o.op.answer.kind == KV_FOREVER ? 1e9 : o.op.answer.kind == KV_NOTHING ? -1 : o.op.answer.number;
}

/* "a b c+": with a plus where there are more. */
static inline const char *list(const char *prefix, const char *after, uint32_t limit)
{
    static char text[256];
    struct operation o;
    bool bad = false;
    make(&o, KV_LIST, prefix, "", 0);
    o.op.after = slice_of(after);
    o.op.limit = limit;
    run(&o);
    text[0] = '\0';
    for (struct slice rest = o.op.answer.bytes; rest.len > 0;) {
        struct slice key = buf_take_string(&rest, &bad);
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s", text[0] != '\0' ? " " : "",
                 SLICE_ARG(key));
    }
    if (o.op.answer.number != 0)
        strcat(text, "+");
    buf_free(&o.op.bytes);
    return text;
}

static inline void begin_loop(void)
{
    log_open(STDERR_FILENO, LOG_OFF, "test", false);
    memset(&counters, 0, sizeof(counters));
    loop = loop_new();
}

static inline void close_store(void)
{
    assert_true(store_free(&store, DUR_S(60)));
}

static inline void end_loop(void)
{
    pass();
    loop_free(&loop);
}

#endif
