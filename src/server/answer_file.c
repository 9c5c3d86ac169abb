/*
 * answer_file.c: open, judge, then read a piece and write it, until all is written; close. Each wait for the disk is a
 * job of a helper thread; between two jobs the exchange may have gone, which `ex` being NULL says. See answer_file.h.
 */
#include "server/answer_file.h"
#include "base/fd.h"
#include "base/panic.h"
#include "codec/date.h"
#include "http/conditional.h"
#include "http/media.h"
#include "http/stream.h"
#include "io/file.h"
#include "io/pool.h"
#include "server/access.h"
#include "server/dev_page.h"
#include "server/streaming.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FRESH_S 2 /* a file changed so recently may change again within one tick of its file system's clock */

struct answer_file {
    struct pool_job job;
    struct pool *pool;
    bool under_way;                /* the job is the pool's */
    struct exchange *ex;           /* NULL: nobody waits */
    struct http_response response; /* status and headers, by the script */

    /* For the thread, while the job is under way. */
    const char *root;
    char *path;
    int fd;
    struct file_facts facts;
    enum file_code code;
    struct error err;
    uint64_t at, left; /* what is still to be read */
    char *piece;
    size_t piece_len;
    bool good; /* the piece has been read */
};

/* --- the jobs --------------------------------------------------------------------------------------------------- */

static void run_open(struct pool_job *job)
{
    struct answer_file *f = CONTAINER_OF(job, struct answer_file, job);
    f->code = file_open(f->root, f->path, &f->fd, &f->facts, &f->err);
}

static void run_read(struct pool_job *job)
{
    struct answer_file *f = CONTAINER_OF(job, struct answer_file, job);
    f->good = file_read(f->fd, f->at, f->piece, f->piece_len);
}

static void run_close(struct pool_job *job)
{
    fd_close(&CONTAINER_OF(job, struct answer_file, job)->fd);
}

static int submit(struct answer_file *f, void (*run)(struct pool_job *), void (*done)(struct pool_job *))
{
    f->job.run = run;
    f->job.done = done;
    f->under_way = true;
    return pool_submit(f->pool, &f->job, &f->err);
}

/* --- birth and end ---------------------------------------------------------------------------------------------- */

void answer_file_take(struct exchange *ex)
{
    struct server *s = ex->server;
    struct slice path = s->response.body;
    struct answer_file *f = need_zero(1, sizeof(*f));
    CHECK(ex->file == NULL);
    f->ex = ex;
    f->pool = state_host(s->host.state)->pool;
    f->root = state_host(s->host.state)->files;
    f->fd = -1;
    f->code = file_check_path(path, &f->err);
    f->path = slice_dup(path);
    f->response = s->response;
    f->response.body = SLICE_NONE;
    http_response_init(&s->response);
    ex->file = f;
}

static void closed(struct pool_job *job)
{
    struct answer_file *f = CONTAINER_OF(job, struct answer_file, job);
    http_response_free(&f->response);
    free(f->path);
    free(f->piece);
    free(f);
}

/* Nobody waits, and no job is under way. Closing may wait as well, so it is one more job. */
static void end(struct answer_file *f)
{
    CHECK(f->ex == NULL && !f->under_way);
    if (f->fd == -1)
        closed(&f->job);
    else
        CHECK(submit(f, run_close, closed) == 0); /* there are threads by now */
}

/* Its exchange lets it go. */
static struct exchange *part(struct answer_file *f)
{
    struct exchange *ex = f->ex;
    CHECK(ex->magic == EXCHANGE_MAGIC && ex->file == f);
    ex->file = NULL;
    f->ex = NULL;
    if (!f->under_way)
        end(f);
    return ex;
}

void answer_file_stop(struct exchange *ex)
{
    if (ex->file != NULL)
        part(ex->file);
}

/* --- sending ---------------------------------------------------------------------------------------------------- */

static void have_read(struct pool_job *job);
static void write_piece(struct answer_file *f);

static void read_next(struct answer_file *f)
{
    size_t most = streaming_room(f->ex); /* fills it */
    f->piece_len = f->left < most ? (size_t)f->left : most;
    f->piece = need_realloc(f->piece, f->piece_len); /* the stream's room may have grown */
    f->good = file_read_cached(f->fd, f->at, f->piece, f->piece_len);
    if (f->good)
        write_piece(f);
    else
        CHECK(submit(f, run_read, have_read) == 0);
}

static void write_piece(struct answer_file *f)
{
    struct exchange *ex = f->ex;
    f->at += f->piece_len;
    f->left -= f->piece_len;
    bool room = streaming_write(ex, (struct slice){f->piece, f->piece_len});
    if (f->left == 0) {
        part(f);
        streaming_end(ex);
        exchange_over(ex);
    } else if (room) { /* after a short piece: a whole one fills the room, so this goes no deeper */
        read_next(f);
    } else { /* however long the client takes, it costs one piece less */
        free(f->piece);
        f->piece = NULL;
    }
}

static void have_read(struct pool_job *job)
{
    struct answer_file *f = CONTAINER_OF(job, struct answer_file, job);
    struct exchange *ex = f->ex;
    f->under_way = false;
    if (ex == NULL) {
        end(f);
    } else if (f->good) {
        write_piece(f);
    } else {
        access_file_failed(ex, "it became shorter while it was sent, or the disk failed");
        part(f);
        streaming_break(ex);
        exchange_over(ex);
    }
}

static void ready(struct exchange *ex)
{
    if (!ex->file->under_way)
        read_next(ex->file);
}

static const struct streaming_writer writer = {.ready = ready, .stop = answer_file_stop, .late = true, .finite = true};

/* --- what is answered ------------------------------------------------------------------------------------------- */

static void answer_problem(struct exchange *ex, int status, const char *detail)
{
    exchange_problem(ex, status, slice_of(detail), SLICE_NONE);
}

/* It cannot be opened: words for the log name the path as the script gave it, the client gets none. */
static void refuse(struct answer_file *f)
{
    enum file_code code = f->code;
    bool odd = code == FILE_OUTSIDE || code == FILE_NO_FOLDER; /* a link that somebody in here made; a lost mount */
    bool none = odd || code == FILE_NOT_FOUND || code == FILE_NOT_A_FILE || code == FILE_BAD_PATH;
    if (!none || odd)
        access_file_failed(f->ex, f->err.text);
    else
        dev_page_note(f->ex->server, slice_of(f->err.text));
    struct exchange *ex = part(f);
    struct http_response *r = exchange_response(ex);
    if (code == FILE_BUSY)
        CHECK(http_response_add(r, SLICE("retry-after"), SLICE("1"), NULL) == 0);
    answer_problem(ex, none ? 404 : code == FILE_BUSY ? 503 : 500, none ? "there is no such file" : NULL);
}

struct validators {
    char etag[64], modified[DATE_TEXT + 1];
    struct conditional_facts facts;
};

/*
 * Strong: inode, size and time of the last change, in nanoseconds, tell any two versions apart that are replaced as a
 * whole; and one changed in place once that time has passed.
 */
static void make_validators(const struct answer_file *f, wall_t now, struct validators *v)
{
    int64_t second = f->facts.modified_ns / 1000000000, now_second = now.ns / 1000000000;
    bool fresh = second > now_second - FRESH_S;
    v->facts.modified = second > now_second ? now_second : second < 0 ? 0 : second; /* RFC 9110 8.8.2.1: not ahead */
    v->facts.size = f->facts.size;
    snprintf(v->etag, sizeof(v->etag), "%s\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"", fresh ? "W/" : "", f->facts.inode,
             f->facts.size, (uint64_t)f->facts.modified_ns);
    v->facts.etag = slice_of(v->etag);
    date_text(v->facts.modified, v->modified);
}

static int add(struct http_response *r, const char *name, const char *value, struct error *err)
{
    return http_response_has(r, slice_of(name)) ? 0 : http_response_add(r, slice_of(name), slice_of(value), err);
}

static int add_validators(struct http_response *r, const struct validators *v, struct error *err)
{
    if (add(r, "etag", v->etag, err) != 0)
        return -1;
    return add(r, "last-modified", v->modified, err);
}

static int add_range(struct http_response *r, const struct validators *v, const struct conditional_range *range,
                     struct error *err)
{
    char part[80];
    snprintf(part, sizeof(part), "bytes %llu-%llu/%llu", range->first, range->first + range->count - 1, v->facts.size);
    if (r->status == 206 && add(r, "content-range", part, err) != 0)
        return -1;
    return add(r, "accept-ranges", "bytes", err);
}

static int add_type(struct http_response *r, const char *path, struct error *err)
{
    if (add(r, "content-type", media_type(slice_of(path)), err) != 0)
        return -1;
    return add(r, "x-content-type-options", "nosniff", err);
}

/* RFC 9110 13.2.1, 15.4.5: an answer of another status than 200 is not the file's, but what the script says by it. */
static int add_headers(struct http_response *r, const char *path, const struct validators *v,
                       const struct conditional_range *range, struct error *err)
{
    bool files = r->status == 200 || r->status == 206 || r->status == 304;
    if (files && add_validators(r, v, err) != 0)
        return -1;
    if (r->status == 304)
        return 0;
    if (files && add_range(r, v, range, err) != 0)
        return -1;
    return add_type(r, path, err);
}

/* The range that was asked for is not in the file; or the client has another version in mind. */
static void refuse_condition(struct answer_file *f, int status, const struct validators *v)
{
    char size[48];
    struct exchange *ex = part(f);
    struct http_response *r = exchange_response(ex);
    snprintf(size, sizeof(size), "bytes */%llu", v->facts.size);
    CHECK(status == 412 || add(r, "content-range", size, NULL) == 0);
    answer_problem(ex, status, status == 412 ? "the file is another one by now" : "the file is shorter than that");
}

/* Whether it is streamed from now on; else the exchange is answered. */
static bool send_it(struct answer_file *f, const struct conditional_range *range)
{
    struct exchange *ex = f->ex;
    f->at = range->first;
    f->left = range->count;
    if (ex->server->response.status == 304 || range->count == 0) {
        exchange_answer(part(f));
        return false;
    }
    if (!streaming_begin(ex, (long long)range->count, &writer)) { /* HEAD, or nobody is left */
        part(f);
        return false;
    }
    read_next(f);
    return true;
}

static bool answer(struct answer_file *f)
{
    struct server *s = f->ex->server;
    struct validators v;
    struct conditional_range range = {0, f->facts.size};
    struct error err;
    int status = f->response.status;
    make_validators(f, f->ex->view.received_at, &v);
    if (status == 200)
        status = conditional_status(&f->ex->view, &v.facts, &range);
    if (status != f->response.status && status >= 400) {
        refuse_condition(f, status, &v);
        return false;
    }
    http_response_free(&s->response);
    s->response = f->response;
    http_response_init(&f->response);
    s->response.status = status;
    if (add_headers(&s->response, f->path, &v, &range, &err) == 0)
        return send_it(f, &range);
    struct exchange *ex = part(f);
    access_bad_reply(ex, err.text);
    exchange_response(ex);
    answer_problem(ex, 500, NULL);
    return false;
}

static void opened(struct pool_job *job)
{
    struct answer_file *f = CONTAINER_OF(job, struct answer_file, job);
    struct exchange *ex = f->ex;
    f->under_way = false;
    if (ex == NULL) {
        end(f);
        return;
    }
    if (f->code == FILE_OK && answer(f))
        return;
    if (ex->file != NULL)
        refuse(f);
    exchange_over(ex);
}

enum step_result answer_file_step(struct exchange *ex)
{
    struct answer_file *f = ex->file;
    if (f == NULL)
        return STEP_NEXT;
    if (f->code == FILE_OK && pool_full(f->pool)) {
        f->code = FILE_BUSY;
        error_set(&f->err, "too much is waiting for the disk");
    }
    if (f->code == FILE_OK && submit(f, run_open, opened) == 0)
        return STEP_WAIT;
    f->code = f->code == FILE_OK ? FILE_BUSY : f->code; /* no thread: the words are there */
    f->under_way = false;
    refuse(f);
    return STEP_DONE;
}
