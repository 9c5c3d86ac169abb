/*
 * logbook.c: see logbook.h. Who reads the tapes is decided by a lock that a dead keeper has lost, so a line is neither
 * written twice nor by nobody.
 */
#include "supervise/logbook.h"

#include "base/fd.h"
#include "base/logfile.h"

#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LAST_LINES DUR_S(1)

static void name_worker(char room[24], uint32_t number)
{
    snprintf(room, 24, "worker %u", number);
}

static bool is_cut(const struct logbook *b)
{
    return atomic_load_explicit(&b->area->log_cut, memory_order_relaxed) != 0;
}

static void say_cut(struct logbook *b, bool cut)
{
    atomic_store_explicit(&b->area->log_cut, cut, memory_order_relaxed);
}

static void lose_rest(struct logbook *b)
{
    if (b->output.rest.len == 0)
        return;
    buf_clear(&b->output.rest);
    atomic_fetch_add_explicit(&b->area->log_lost, 1, memory_order_relaxed);
}

static bool flush(struct logbook *b, dur_t wait)
{
    if (b->output.rest.len > 0 && !is_cut(b))
        lose_rest(b); /* a keeper has ended this line meanwhile */
    return output_flush(&b->output, wait);
}

/* Behind a line that a keeper was killed within, its end comes first. False: nothing of this one was taken. */
static bool write_line(struct logbook *b, struct slice line, dur_t wait)
{
    bool taken, ours = b->output.rest.len > 0;

    if (!flush(b, wait) || (is_cut(b) && !ours && !output_write(&b->output, SLICE("\n"), wait)))
        return false;
    taken = output_write(&b->output, line, wait);
    say_cut(b, b->output.rest.len > 0);
    return taken;
}

/* Writes the tape's records until the wait is over; whether all are. name: of their writer; NULL: a worker. */
static bool pump(struct logbook *b, struct tape *t, const char *name, dur_t wait)
{
    mono_t until = mono_add(mono_now(), wait);
    struct tape_reader r;

    tape_reader_init(&r, t);
    for (size_t left = TAPE_RECORDS; left > 0 && tape_next(&r, &b->record); left--) {
        char room[24];

        buf_clear(&b->line);
        if (records_read(buf_slice(&b->record), &b->decoded) == 0) {
            name_worker(room, b->decoded.process);
            records_format(&b->line, b->form, &b->decoded, name != NULL ? name : room);
            if (!write_line(b, buf_slice(&b->line), mono_since(until, mono_now())))
                return false; /* it stays on the tape */
        }
        tape_release(t, r.position);
    }
    return true;
}

void logbook_tick(struct logbook *b)
{
    if (b->area == NULL || !area_lock_tapes(b->area_fd))
        return;
    pump(b, &b->area->tape, "supervisor", (dur_t){0});
    area_unlock_tapes(b->area_fd);
}

static void on_line(void *cookie, const struct log_line *line)
{
    struct logbook *b = cookie;

    records_write_line(&b->sink.writer, 0, line);
    logbook_tick(b);
}

/* To the file where there is one; where it does not open, all stays as it is. */
static int open_output(struct logbook *b, struct error *err)
{
    int fd = b->path != NULL ? logfile_open(b->path, b->user, err) : STDERR_FILENO;

    if (fd < 0)
        return -1;
    flush(b, (dur_t){0});
    lose_rest(b);
    output_close(&b->output);
    output_open(&b->output, fd);
    if (b->path != NULL && b->output.own) /* a pipe, which has been opened once more */
        fd_close(&fd);
    else if (b->path != NULL)
        b->output.own = true;
    return 0;
}

int logbook_open(struct logbook *b, const struct config *config, struct area *area, int area_fd, int wake,
                 struct error *err)
{
    int opened;

    *b = (struct logbook){.area_fd = area_fd,
                          .wake = wake,
                          .path = config->log_file,
                          .user = &config->user,
                          .form = config_log_form(config)};
    b->output.fd = -1;
    if (b->wake < 0 && (b->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        return error_errno(err, "eventfd");
    opened = open_output(b, err);
    if (opened != 0 && wake < 0) {
        fd_close(&b->wake);
        return -1;
    }
    if (opened != 0)
        output_open(&b->output, STDERR_FILENO);
    b->area = area;
    if (wake < 0)
        say_cut(b, output_is_cut(b->output.fd));
    tape_writer_init(&b->sink.writer, &area->tape, &area->bell, b->wake);
    log_divert(on_line, b);
    if (opened != 0)
        log_at(LOG_ERROR, "the supervisor's lines go to stderr", LOG_STR("error", err->text));
    return 0;
}

void logbook_reopen(struct logbook *b, const struct config *config)
{
    struct error err;

    b->path = config->log_file;
    b->user = &config->user;
    b->form = config_log_form(config);
    if (open_output(b, &err) != 0)
        log_at(LOG_ERROR, "the log file stays the old one", LOG_STR("error", err.text));
}

void logbook_close(struct logbook *b)
{
    mono_t until = mono_add(mono_now(), LAST_LINES);
    bool all = true;

    if (b->area == NULL)
        return;
    log_divert(NULL, NULL);
    for (uint32_t i = 0; all && i < area_used(b->area); i++)
        all = pump(b, &b->area->worker[i].tape, NULL, mono_since(until, mono_now()));
    if (all)
        all = pump(b, &b->area->tape, "supervisor", mono_since(until, mono_now()));
    if (all)
        flush(b, mono_since(until, mono_now()));
    output_close(&b->output);
    buf_free(&b->record);
    buf_free(&b->line);
    fd_close(&b->wake);
    b->area = NULL;
}
