/*
 * candidate.c: see candidate.h. The child writes into memory files, so that nobody has to read while it writes; that
 * for its words cannot grow.
 */
#include "supervise/candidate.h"

#include "base/fd.h"
#include "base/log.h"
#include "supervise/binary.h"
#include "supervise/child.h"
#include "supervise/offer.h"
#include "supervise/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CANDIDATE_TIME DUR_S(30) /* it reads some files and runs crescent.lua, which has a limit of its own */
#define WORDS_ROOM 8192          /* of what it says, the beginning */

static void close_files(struct candidate *c)
{
    fd_close(&c->binary);
    fd_close(&c->answer);
    fd_close(&c->words);
}

static int make_files(struct candidate *c, struct error *err)
{
    c->answer = memfd_create("crescent-configuration", MFD_CLOEXEC);
    c->words = memfd_create("crescent-words", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (c->answer < 0 || c->words < 0 || ftruncate(c->words, WORDS_ROOM) != 0 ||
        fcntl(c->words, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) != 0)
        return error_errno(err, "memory file");
    return 0;
}

int candidate_start(struct candidate *c, const char *path, int command_line, mono_t now, struct error *err)
{
    struct heritage h = {.kind = HERITAGE_CONFIG,
                         .supervisor = HERITAGE_NO_FD,
                         .area = HERITAGE_NO_FD,
                         .wake = HERITAGE_NO_FD,
                         .config = command_line,
                         .snapshot = HERITAGE_NO_FD};
    struct spawn what = {.heritage = &h};

    *c = (struct candidate){.binary = -1, .answer = -1, .words = -1, .deadline = mono_add(now, CANDIDATE_TIME)};
    if ((c->binary = binary_open(path, err)) >= 0 && make_files(c, err) == 0) {
        h.extra = c->answer;
        what.binary = c->binary;
        what.words = c->words;
        if (spawn_child(&what, &c->pid, err) == 0)
            return 0;
    }
    c->pid = 0;
    close_files(c);
    return -1;
}

void candidate_tick(struct candidate *c, mono_t now)
{
    if (c->pid == 0 || c->late || mono_before(now, c->deadline))
        return;
    c->late = true;
    kill(c->pid, SIGKILL);
}

/* It did what it should, and warns. */
static void pass_on(struct candidate *c)
{
    char room[WORDS_ROOM];
    ssize_t len = pread(c->words, room, sizeof(room), 0);
    struct slice words = {room, len > 0 ? strnlen(room, (size_t)len) : 0}, line;

    while (slice_cut(&words, '\n', &line))
        if (line.len > 0)
            log_at(LOG_WARN, "upgrade: the configuration was read with a warning", LOG_SLICE("words", line));
}

/* The first line of what it said, without our own name before it. */
static struct slice first_words(char *room, ssize_t len)
{
    struct slice words = {room, len > 0 ? strnlen(room, (size_t)len) : 0}, line = SLICE_NONE;

    slice_cut(&words, '\n', &line);
    if (slice_starts(line, SLICE("crescent: ")))
        line = slice_from(line, sizeof("crescent: ") - 1);
    return line;
}

static int failed(struct candidate *c, int status, struct error *err)
{
    char words[WORDS_ROOM], room[64];
    struct slice line = first_words(words, pread(c->words, words, sizeof(words), 0));

    if (c->late)
        return error_set(err, "the process that reads the configuration took more than 30 s");
    if (line.len == 0 || WIFSIGNALED(status))
        return error_set(err, "the process that reads the configuration ended: %s%s%.*s",
                         child_status_text(status, room), line.len > 0 ? ": " : "", SLICE_ARG(line));
    return error_set(err, "%.*s", SLICE_ARG(line));
}

struct edition *candidate_judge(struct candidate *c, int status, struct error *err)
{
    struct edition *e = NULL;
    struct offer_taken taken;

    c->pid = 0;
    if (status != 0) {
        failed(c, status, err);
    } else if (offer_take(c->answer, &taken, err) == 0) {
        pass_on(c);
        e = edition_new(0, taken.version, &taken.config, taken.text, c->binary);
        c->binary = -1;
    }
    close_files(c);
    return e;
}

void candidate_drop(struct candidate *c)
{
    if (c->pid == 0)
        return;
    kill(c->pid, SIGKILL);
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    c->pid = 0;
    close_files(c);
}
