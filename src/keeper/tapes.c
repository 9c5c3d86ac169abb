/*
 * tapes.c: see tapes.h. A drain makes one chunk of lines after the other; each carries how far it read each tape, and
 * the tapes are released when it is written. With the writer's queue full nothing is read: then the tapes fill up, and
 * it is their writers who drop and count.
 */
#include "keeper/tapes.h"
#include "base/log.h"
#include "base/panic.h"
#include "io/timeout.h"
#include "ipc/records.h"
#include "keeper/logwriter.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define TICK DUR_MS(10)         /* awake: between two looks */
#define TICK_STALLED DUR_MS(50) /* the writer's queue is full */
#define TICK_WAITING DUR_MS(50) /* another keeper reads still */
#define CHUNK (64u << 10)       /* lines handed over at once; a drain is divided into passes of the loop by it */
#define REPORT DUR_S(1)         /* between two lines about dropped ones */

struct telling { /* the line about dropped ones that is on its way */
    bool under_way;
    uint64_t end;          /* of its record on the keeper's own tape */
    uint64_t dropped, own; /* what is told once it is written */
    uint64_t lost;         /* lines so far: one more may be this one */
    uint32_t fault;        /* errno for which it says they were lost, or 0 */
};

struct tapes {
    struct tapes_host host;
    struct logwriter *writer;
    enum log_form form;
    struct tape *tape; /* the keeper's own: private memory, it ends with it */
    struct tape_bell unrung;
    struct records_sink sink;
    bool ours; /* the right to read */
    bool asleep, reopening;
    struct timeout tick;
    struct loop_watch bell;
    struct buf record, lines;
    struct record decoded;
    size_t reader_count; /* opened so far */
    /* the keeper's own, the supervisor's, then one for each slot */
    struct tape_reader readers[AREA_SLOTS + 2];
    struct logwriter_mark marks[AREA_SLOTS + 2];
    uint64_t own_told; /* dropped lines of its own tape that were reported */
    struct telling telling;
    mono_t reported;
};

static void on_tick(struct timeout *t);
static void on_bell(struct loop_watch *w, unsigned events);

/* --- birth -------------------------------------------------------------------------------------------------------- */

/* Of what others can count too: it outlives this keeper. */
static uint64_t count_dropped(const struct tapes *t)
{
    uint64_t sum = atomic_load_explicit(&t->host.area->log_lost, memory_order_relaxed);
    for (size_t i = 1; i < t->reader_count; i++)
        sum += tape_dropped(t->readers[i].tape);
    return sum;
}

/* Since the last report. What the keeper before has told is in the area, so what was dropped while nobody read is told
 * by the next one. Workers can write there, and make less of what was told already: that is nothing new. */
static uint64_t untold(const struct tapes *t, uint64_t dropped, uint64_t own)
{
    uint64_t told = atomic_load_explicit(&t->host.area->log_told, memory_order_relaxed);
    if (!t->ours)
        return 0;
    return (dropped > told ? dropped - told : 0) + own - t->own_told;
}

/* Slots that have come into use since. */
static void open_readers(struct tapes *t)
{
    struct area *a = t->host.area;
    size_t count = t->ours ? area_used(a) + 2u : 1;
    for (; t->reader_count < count; t->reader_count++) {
        size_t i = t->reader_count;
        tape_reader_init(&t->readers[i], i == 0 ? t->tape : i == 1 ? &a->tape : &a->worker[i - 2].tape);
    }
}

/* The tapes are another keeper's until that has gone. */
static void claim(struct tapes *t)
{
    if (t->ours || !area_lock_tapes(t->host.area_fd))
        return;
    t->ours = true;
    open_readers(t);
    loop_watch(t->host.loop, &t->bell, t->host.wake, LOOP_READ, on_bell);
}

struct tapes *tapes_new(const struct tapes_host *host, struct error *err)
{
    struct tapes *t = need_zero(1, sizeof(*t));
    t->host = *host;
    t->form = config_log_form(host->config);
    t->writer =
        logwriter_new(host->config->log_file, &host->area->log_lost, &host->area->log_cut, &host->area->log_fault, err);
    if (t->writer == NULL) {
        free(t);
        return NULL;
    }
    t->tape = mmap(NULL, sizeof(*t->tape), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(t->tape != MAP_FAILED);
    tape_writer_init(&t->sink.writer, t->tape, &host->area->bell, host->wake);
    records_divert(&t->sink);
    open_readers(t);
    timeout_set(host->loop, &t->tick, loop_now(host->loop), on_tick);
    return t;
}

/* --- one drain ---------------------------------------------------------------------------------------------------- */

static const char *name_of(const struct tapes *t, size_t reader, char room[24])
{
    if (reader < 2)
        return reader == 0 ? "keeper" : "supervisor";
    snprintf(room, 24, "worker %u", t->decoded.process);
    return room;
}

/* As many of this tape's records as the chunk holds; whether it has read all. */
static bool drain_tape(struct tapes *t, size_t reader)
{
    struct tape_reader *r = &t->readers[reader];
    char room[24];
    for (size_t left = TAPE_RECORDS; left > 0 && t->lines.len < CHUNK; left--) {
        if (!tape_next(r, &t->record))
            return true;
        if (records_read(buf_slice(&t->record), &t->decoded) != 0)
            atomic_fetch_add_explicit(&t->host.area->log_lost, 1, memory_order_relaxed);
        else
            records_format(&t->lines, t->form, &t->decoded, name_of(t, reader, room));
    }
    return false;
}

/* A chunk from all tapes. Returns whether there may be more. */
static bool drain_chunk(struct tapes *t)
{
    size_t count = 0;
    bool all = true;
    open_readers(t);
    for (size_t i = 0; i < t->reader_count && t->lines.len < CHUNK; i++) {
        uint64_t before = t->readers[i].position;
        all = drain_tape(t, i) && all;
        if (t->readers[i].position != before)
            t->marks[count++] = (struct logwriter_mark){t->readers[i].tape, t->readers[i].position};
    }
    if (count > 0)
        logwriter_put(t->writer, &t->lines, t->marks, count);
    return !all;
}

static bool waiting(struct tapes *t)
{
    open_readers(t);
    for (size_t i = 0; i < t->reader_count; i++)
        if (tape_waiting(&t->readers[i]))
            return true;
    return false;
}

/* --- awake and asleep --------------------------------------------------------------------------------------------- */

/* What was not told of after all, unless there is a newer one. */
static void put_back(struct tapes *t, uint32_t fault)
{
    uint32_t none = 0;
    atomic_compare_exchange_strong(&t->host.area->log_fault, &none, fault);
}

/* It is told when its line is written: a keeper that is killed before leaves it to the next one. */
static void note_told(struct tapes *t)
{
    struct telling *told = &t->telling;
    struct area *a = t->host.area;
    if (!told->under_way || atomic_load_explicit(&t->tape->read, memory_order_acquire) < told->end)
        return;
    told->under_way = false;
    if (atomic_load_explicit(&a->log_lost, memory_order_relaxed) != told->lost) {
        put_back(t, told->fault);
        return; /* perhaps it could not be: it is told once more, with what was */
    }
    t->own_told = told->own;
    atomic_store_explicit(&a->log_told, told->dropped, memory_order_relaxed);
}

static void tell(struct tapes *t, uint64_t dropped, uint64_t own, uint64_t count)
{
    uint64_t lost = atomic_load_explicit(&t->host.area->log_lost, memory_order_relaxed);
    uint32_t fault = atomic_exchange(&t->host.area->log_fault, 0);
    if (fault != 0)
        log_at(LOG_WARN, "log lines dropped: they could not be written", LOG_INT("count", count),
               LOG_STR("error", strerror((int)fault)));
    else
        log_at(LOG_WARN, "log lines dropped: whoever reads the log is too slow", LOG_INT("count", count));
    bool taken = tape_dropped(t->tape) == own;
    if (!taken)
        put_back(t, fault);
    t->telling = (struct telling){.under_way = taken,
                                  .end = t->sink.writer.written,
                                  .dropped = dropped,
                                  .own = own,
                                  .lost = lost,
                                  .fault = fault};
}

static void report_dropped(struct tapes *t, mono_t now)
{
    note_told(t);
    uint64_t dropped = count_dropped(t), own = tape_dropped(t->tape), count = untold(t, dropped, own);
    bool late = mono_since(now, t->reported).ns >= REPORT.ns;
    if (count != 0 && late && !t->telling.under_way && logwriter_ready(t->writer)) {
        tell(t, dropped, own, count);
        t->reported = now;
    }
    if (t->ours && dropped < atomic_load_explicit(&t->host.area->log_told, memory_order_relaxed))
        atomic_store_explicit(&t->host.area->log_told, dropped, memory_order_relaxed); /* counted back: from there on */
}

static void report(struct tapes *t, mono_t now)
{
    struct error said;
    bool failed;
    report_dropped(t, now);
    if (t->reopening && logwriter_said(t->writer, &said, &failed)) {
        t->reopening = false;
        if (failed)
            log_at(LOG_ERROR, "the log file stays the old one", LOG_STR("error", said.text));
        else
            log_at(LOG_DEBUG, "log file opened again", LOG_STR("file", t->host.config->log_file));
    }
}

static void on_tick(struct timeout *timeout)
{
    struct tapes *t = CONTAINER_OF(timeout, struct tapes, tick);
    mono_t now = loop_now(t->host.loop);
    claim(t);
    report(t, now);
    if (!logwriter_ready(t->writer)) {
        timeout_set(t->host.loop, &t->tick, mono_add(now, TICK_STALLED), on_tick);
        return;
    }
    bool some = waiting(t), more = drain_chunk(t);
    dur_t next = more ? (dur_t){0} : t->ours ? TICK : TICK_WAITING;
    if (!some && t->ours && !t->reopening && untold(t, count_dropped(t), tape_dropped(t->tape)) == 0) {
        tape_sleep(&t->host.area->bell);
        t->asleep = true;
        if (!waiting(t))
            return;
        tape_wake(&t->host.area->bell);
        t->asleep = false;
    }
    timeout_set(t->host.loop, &t->tick, mono_add(now, next), on_tick);
}

static void on_bell(struct loop_watch *w, unsigned events)
{
    struct tapes *t = CONTAINER_OF(w, struct tapes, bell);
    uint64_t count;
    if (read(t->host.wake, &count, sizeof(count)) < 0)
        return; /* another keeper was faster */
    tapes_look(t);
}

void tapes_look(struct tapes *t)
{
    if (!t->asleep)
        return;
    t->asleep = false;
    tape_wake(&t->host.area->bell);
    on_tick(&t->tick);
}

/* What was said before it goes into the old file; but no more than the queue takes, should writers be faster. */
static void drain_before_reopening(struct tapes *t)
{
    bool more = true;
    for (size_t i = 0; more && i < LOGWRITER_QUEUE_MAX / CHUNK && logwriter_ready(t->writer); i++)
        more = drain_chunk(t);
}

void tapes_reopen(struct tapes *t)
{
    if (t->host.config->log_file == NULL) {
        log_at(LOG_DEBUG, "USR1: the log goes to stderr, there is no file to open again");
        return;
    }
    drain_before_reopening(t);
    logwriter_reopen(t->writer);
    t->reopening = true;
    t->asleep = false;
    tape_wake(&t->host.area->bell);
    timeout_set(t->host.loop, &t->tick, mono_add(loop_now(t->host.loop), TICK), on_tick);
}

void tapes_finish(struct tapes *t, dur_t most)
{
    mono_t until = mono_add(mono_now(), most);
    bool more = true;
    claim(t);
    while (more && mono_before(mono_now(), until)) {
        if (logwriter_ready(t->writer))
            more = drain_chunk(t);
        else if (!logwriter_finish(t->writer, mono_since(until, mono_now())))
            return;
    }
    logwriter_finish(t->writer, mono_since(until, mono_now()));
    note_told(t);
}
