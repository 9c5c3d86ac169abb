/*
 * stretch.c: see stretch.h.
 */
#include "script/stretch.h"
#include "base/panic.h"
#include "io/loop.h"
#include "script/interrupt.h"
#include "script/state_internal.h"
#include "shm/progress.h"

/* name: NULL: as it stands in the progress slot. */
static void begin(struct state *s, const char *name, bool preparing)
{
    CHECK(!s->inside);
    s->inside = true;
    s->level_count = 0;
    s->preparing = preparing;
    if (s->host->progress != NULL)
        progress_begin(s->host->progress, name, s->stretch_version, s->stretch_limit, preparing);
    if (s->host->max_run.ns > 0)
        interrupt_begin(s->stretch_limit);
}

void stretch_begin(struct state *s, const char *name, uint64_t version, dur_t max_run, bool preparing)
{
    s->stretch_version = version;
    s->stretch_limit = max_run;
    begin(s, name, preparing);
}

void stretch_again(struct state *s)
{
    begin(s, NULL, false);
}

bool stretch_end(struct state *s)
{
    bool interrupted = s->host->max_run.ns > 0 && interrupt_end();

    if (s->host->progress != NULL)
        progress_end(s->host->progress);
    s->inside = false;
    if (s->host->loop != NULL && !s->preparing) /* a generation is prepared in one go, and nothing of it is a queue */
        loop_mark(s->host->loop);
    return interrupted;
}
