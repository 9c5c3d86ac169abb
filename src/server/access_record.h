/*
 * access_record.h: which exchanges are recorded, and the record onto the tape (ipc/records). What an exchange was
 * refused for, errors, clients that went and what was cut are kept up to a number a second, for strangers decide how
 * many there are; of the ordinary ones log.access says how many. What is left out is counted, and told in a line a
 * second (but not with "off", which asked for no line). Owns: nothing but its window in the server. Runs in: the
 * worker. Never fails: without room on the tape it is counted.
 */
#ifndef CRESCENT_SERVER_ACCESS_RECORD_H
#define CRESCENT_SERVER_ACCESS_RECORD_H

#include "base/time.h"
#include <stdint.h>

struct exchange;
struct server;

struct access_record { /* in the server */
    mono_t window;     /* the second that is counted */
    uint32_t noted, ordinary;
    uint64_t left_out; /* not told yet */
    uint32_t share;    /* millionths of a request that are owed to the log */
};

/* The exchange has ended, after so long. */
void access_record_end(struct exchange *ex, dur_t duration);
/* Tells what was left out and not told: before the worker ends. */
void access_record_tell(struct server *s);
/* Now and then: the same for each second. */
void access_record_tick(struct server *s, mono_t now);

#endif
