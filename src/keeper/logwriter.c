/*
 * logwriter.c: see logwriter.h. A chunk is written by the thread without the lock, then its tapes are released: what
 * was not written when the keeper is killed is read again by the next one. To a pipe or socket go at most OUTPUT_ATOMIC
 * bytes of whole lines at once, so that a killed keeper leaves no half of one. Where one may be left (a longer line, a
 * file, a full disk), `cut` says so, and whoever writes next ends it first.
 */
#include "keeper/logwriter.h"
#include "base/fd.h"
#include "base/logfile.h"
#include "base/output.h"
#include "base/panic.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_AT_ONCE (64u << 10)

struct chunk {
    struct chunk *next;
    struct buf lines;
    bool reopen; /* an order instead of lines */
    size_t count;
    struct logwriter_mark marks[];
};

struct logwriter {
    const char *path;
    _Atomic uint64_t *lost;
    _Atomic uint32_t *cut, *fault;
    int fd;
    size_t at_once, all_or_none; /* bytes */
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t work, idle;
    struct chunk *first, **last;
    size_t queued; /* bytes, those being written included */
    bool busy;
    bool has_said, said_failed;
    struct error said;
};

/* --- the thread --------------------------------------------------------------------------------------------------- */

/* Whole lines from the front, at most `most` bytes of them; a longer line comes by itself. */
static size_t piece(struct slice lines, size_t most)
{
    if (lines.len <= most)
        return lines.len;
    const char *end = memrchr(lines.at, '\n', most);
    if (end == NULL)
        end = memchr(lines.at, '\n', lines.len);
    return end != NULL ? (size_t)(end - lines.at) + 1 : lines.len;
}

static void lose(struct logwriter *w, struct slice lines)
{
    uint64_t count = 0;
    for (size_t i = 0; i < lines.len; i++)
        count += lines.at[i] == '\n';
    atomic_fetch_add_explicit(w->lost, count, memory_order_relaxed);
}

/* How many of the bytes were taken. Waits as long as it takes: that is what this thread is for. */
static size_t write_out(struct logwriter *w, struct slice bytes)
{
    size_t done = 0;
    while (done < bytes.len) {
        ssize_t n = write(w->fd, bytes.at + done, bytes.len - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) { /* whoever gave us stderr had made it so */
            struct pollfd p = {.fd = w->fd, .events = POLLOUT};
            poll(&p, 1, -1);
        } else if (n == 0 || errno != EINTR) {
            atomic_store_explicit(w->fault, n == 0 ? EIO : (uint32_t)errno, memory_order_relaxed);
            break;
        }
    }
    return done;
}

static void say_cut(struct logwriter *w, bool cut)
{
    atomic_store_explicit(w->cut, cut, memory_order_relaxed);
}

/* Behind a line that has no end, that comes first: one record is lost, not two. */
static bool is_at_start(struct logwriter *w)
{
    return atomic_load_explicit(w->cut, memory_order_relaxed) == 0 || write_out(w, SLICE("\n")) == 1;
}

static void write_piece(struct logwriter *w, struct slice lines)
{
    size_t done = 0;
    if (is_at_start(w)) {
        say_cut(w, lines.len > w->all_or_none); /* should we be killed within */
        done = write_out(w, lines);
        say_cut(w, done > 0 && lines.at[done - 1] != '\n');
    }
    lose(w, slice_from(lines, done));
}

static void write_chunk(struct logwriter *w, struct chunk *c)
{
    struct slice lines = buf_slice(&c->lines);
    while (lines.len > 0) {
        size_t len = piece(lines, w->at_once);
        write_piece(w, (struct slice){lines.at, len});
        lines = slice_from(lines, len);
    }
    for (size_t i = 0; i < c->count; i++)
        tape_release(c->marks[i].tape, c->marks[i].position);
}

static void take_up(struct logwriter *w, int fd)
{
    struct stat st;
    bool file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    w->fd = fd;
    w->at_once = file ? FILE_AT_ONCE : OUTPUT_ATOMIC;
    w->all_or_none = file ? 0 : OUTPUT_ATOMIC;
    if (file)
        say_cut(w, output_is_cut(fd));
}

static int open_path(struct logwriter *w, int *fd_out, struct error *err)
{
    *fd_out = logfile_open(w->path, NULL, err);
    return *fd_out >= 0 ? 0 : -1;
}

static void reopen(struct logwriter *w)
{
    struct error err;
    int fd;
    bool failed = open_path(w, &fd, &err) != 0;
    if (!failed) {
        fd_close(&w->fd);
        take_up(w, fd);
    }
    pthread_mutex_lock(&w->lock);
    w->said = err;
    w->said_failed = failed;
    w->has_said = true;
    pthread_mutex_unlock(&w->lock);
}

static struct chunk *take(struct logwriter *w)
{
    pthread_mutex_lock(&w->lock);
    while (w->first == NULL) {
        w->busy = false;
        pthread_cond_signal(&w->idle);
        pthread_cond_wait(&w->work, &w->lock);
    }
    struct chunk *c = w->first;
    w->first = c->next;
    if (w->first == NULL)
        w->last = &w->first;
    w->busy = true;
    pthread_mutex_unlock(&w->lock);
    return c;
}

static void *run(void *cookie)
{
    struct logwriter *w = cookie;
    for (;;) {
        struct chunk *c = take(w);
        size_t len = c->lines.len;
        if (c->reopen)
            reopen(w);
        else
            write_chunk(w, c);
        buf_free(&c->lines);
        free(c);
        pthread_mutex_lock(&w->lock);
        w->queued -= len;
        pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

struct logwriter *logwriter_new(const char *path, _Atomic uint64_t *lost, _Atomic uint32_t *cut,
                                _Atomic uint32_t *fault, struct error *err)
{
    struct logwriter *w = need_zero(1, sizeof(*w));
    int fd = STDERR_FILENO;
    pthread_condattr_t monotonic;
    w->path = path;
    w->lost = lost;
    w->cut = cut;
    w->fault = fault;
    if (path != NULL && open_path(w, &fd, err) != 0) {
        free(w);
        return NULL;
    }
    take_up(w, fd);
    w->last = &w->first;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    NEED(pthread_create(&w->thread, NULL, run, w) == 0);
    pthread_setname_np(w->thread, "crescent log");
    return w;
}

bool logwriter_ready(struct logwriter *w)
{
    pthread_mutex_lock(&w->lock);
    bool ready = w->queued < LOGWRITER_QUEUE_MAX;
    pthread_mutex_unlock(&w->lock);
    return ready;
}

static void append(struct logwriter *w, struct chunk *c)
{
    pthread_mutex_lock(&w->lock);
    *w->last = c;
    w->last = &c->next;
    w->queued += c->lines.len;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
}

void logwriter_put(struct logwriter *w, struct buf *lines, const struct logwriter_mark *marks, size_t count)
{
    struct chunk *c = need_zero(1, sizeof(*c) + count * sizeof(*marks));
    c->lines = *lines;
    *lines = (struct buf){0};
    c->count = count;
    memcpy(c->marks, marks, count * sizeof(*marks));
    append(w, c);
}

void logwriter_reopen(struct logwriter *w)
{
    struct chunk *c = need_zero(1, sizeof(*c));
    CHECK(w->path != NULL);
    c->reopen = true;
    append(w, c);
}

bool logwriter_said(struct logwriter *w, struct error *said_out, bool *failed_out)
{
    pthread_mutex_lock(&w->lock);
    bool said = w->has_said;
    *said_out = w->said;
    *failed_out = w->said_failed;
    w->has_said = false;
    pthread_mutex_unlock(&w->lock);
    return said;
}

bool logwriter_finish(struct logwriter *w, dur_t most)
{
    mono_t until = mono_add(mono_now(), most);
    struct timespec at = {.tv_sec = until.ns / 1000000000, .tv_nsec = until.ns % 1000000000};
    int late = 0;
    pthread_mutex_lock(&w->lock);
    while ((w->first != NULL || w->busy) && late == 0)
        late = pthread_cond_timedwait(&w->idle, &w->lock, &at);
    bool all = w->first == NULL && !w->busy;
    pthread_mutex_unlock(&w->lock);
    return all;
}
