/*
 * rate.c: ns that one decision of a rate limit takes, for rate.mjs: keys of one client again and again, and of a
 * million, whose cells are in no cache. Prints "hot NS cold NS field NS". Linked with src/policy, src/shm and what they
 * need, as built for release.
 */
#include "policy/ratelimit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DECISIONS 4000000
#define PASS 32

static struct limits *cells;

/* CPU time of this process: other work on the machine costs it no more than caches. */
static double ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* As in a worker: of one pass of the loop all have the same time. */
static double decide(const struct ratelimit *r, unsigned clients)
{
    struct ratelimit_state state = {0};
    unsigned evicted, refused = 0;
    char ip[32];
    double began = ns();
    mono_t now = mono_now();
    for (int i = 0; i < DECISIONS; i++) {
        if (i % PASS == 0)
            now = mono_now();
        unsigned n = (unsigned)i * 2654435761u % clients;
        /* By hand: printf would take longer than all the rest. */
        memcpy(ip, "10.000.000.000", 14);
        for (int at = 13; at > 3; at--)
            if (ip[at] != '.') {
                ip[at] = (char)('0' + n % 10);
                n /= 10;
            }
        state.known = 0;
        ratelimit_say(r, 0, cells->seed, (struct slice){ip, 14}, false, &state);
        refused += !ratelimit_decide(r, 1, cells, now, &state, &evicted);
    }
    if (refused > 0)
        abort();
    return (ns() - began) / DECISIONS;
}

static double field(const struct ratelimit *r)
{
    struct ratelimit_state state = {.known = 1, .of = {{.remaining = 99, .wait = 600000000}}};
    char room[RATELIMIT_FIELD];
    size_t bytes = 0;
    double began = ns();
    for (int i = 0; i < DECISIONS; i++) {
        state.of[0].remaining = i & 127;
        bytes += ratelimit_field(r, &state, room);
    }
    if (bytes == 0)
        abort();
    return (ns() - began) / DECISIONS;
}

int main(void)
{
    struct ratelimit *r = ratelimit_new();
    struct error err;
    cells = aligned_alloc(128, sizeof(*cells));
    if (cells == NULL || ratelimit_add_text(r, SLICE("1000000/s burst 2000000000"), &err) != 0)
        return 1;
    ratelimit_finish(r, "hello");
    memset(cells, 0, sizeof(*cells));
    limits_seed(cells);
    decide(r, 1000000);
    double best[3] = {1e9, 1e9, 1e9};
    for (int round = 0; round < 5; round++) {
        double now[3] = {decide(r, 1), decide(r, 1000000), field(r)};
        for (int i = 0; i < 3; i++)
            best[i] = now[i] < best[i] ? now[i] : best[i];
    }
    printf("hot %.0f cold %.0f field %.0f\n", best[0], best[1], best[2]);
    ratelimit_free(&r);
    free(cells);
    return 0;
}
