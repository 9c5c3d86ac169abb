/*
 * calls.h: what a worker asks of the keeper: each call has an id, is kept until it is answered, and is asked again of
 * the next keeper under the same id, in the same order, where the answer was lost with the keeper. The keeper keeps the
 * answers of what changes something, so a repeat changes nothing twice. An id is the worker's life and a number that
 * counts up; with each call goes the number up to which all ends are known here, whose answers need not be kept.
 *
 * At most CALLS_WINDOW calls (of CALLS_WINDOW_BYTES, or one; of them CALLS_WINDOW_READS whose answer may be large) are
 * with the keeper at a time, which bounds its memory; the others wait here. What waits takes no room for its texts:
 * they stay the asker's (a script's, whose memory is bounded) until the call is sent.
 *
 * Owns: the calls. Runs in: the worker's loop. Fails: a call without an answer within CALLS_PATIENCE is given up: not
 * done, if it never reached a keeper; else it is not known.
 */
#ifndef CRESCENT_IPC_CALLS_H
#define CRESCENT_IPC_CALLS_H

#include "ipc/link.h"

#define CALLS_PATIENCE DUR_S(5)
#define CALLS_WINDOW 256u
#define CALLS_WINDOW_BYTES (4u << 20)
#define CALLS_WINDOW_READS 32u

struct calls;
struct call;
struct counters;

enum calls_end { CALLS_ANSWERED, CALLS_NOT_DONE, CALLS_UNKNOWN };

/* answer: borrowed, with all its texts; NULL unless ANSWERED. */
typedef void calls_told_fn(void *cookie, enum calls_end end, const struct message *answer);

/* counters: NULL or this process's own. Draws the number of its life. */
struct calls *calls_new(struct loop *loop, struct counters *counters);
/* Nobody is told; nobody may forget a call afterwards. Leaves NULL. */
void calls_free(struct calls **c);
/*
 * A keeper's link (it has been greeted already): what is in doubt goes out first, in the order in which it was asked.
 * NULL: it has gone. The link stays the caller's, and must be taken back (NULL, or another) before it is freed.
 */
void calls_link(struct calls *c, struct link *l);
/* Whether such a call would go to the keeper at once: it copies its texts then. Else they must stay what they are until
 * it is told, or forgotten. */
bool calls_goes(const struct calls *c, const struct message *m, bool large);
/*
 * Asks: m begins with its id and `settled`, which are filled in. large: the answer may be. told: once, from the loop,
 * never inside this call; not after calls_forget.
 */
struct call *calls_ask(struct calls *c, const struct message *m, bool large, calls_told_fn *told, void *cookie);
/* Whoever asked has gone: what was not sent is not; what was sent stands, and its answer is dropped. Leaves NULL; NULL
 * is fine. */
void calls_forget(struct calls *c, struct call **call);
/* The keeper's answer. False: it answers nothing that was asked. */
bool calls_answer(struct calls *c, const struct message *answer);
/* How many are kept, forgotten ones whose answer is on its way included. */
size_t calls_count(const struct calls *c);

#endif
