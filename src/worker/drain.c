/*
 * drain.c: see drain.h.
 */
#include "worker/drain.h"
#include "base/log.h"
#include "server/drain.h"

static void on_drained(void *cookie)
{
    struct worker *w = cookie;
    log_at(LOG_DEBUG, "drained");
    loop_stop(w->loop);
}

void drain_begin(struct worker *w, dur_t within, bool replaced, struct slice gone)
{
    const struct server_drain how = {.deadline = mono_add(mono_now(), within), .replaced = replaced, .gone = gone};
    w->draining = true;
    w->exit_code = 0;
    if (w->serving)
        server_drain(w->server, &how, on_drained, w);
    else
        loop_stop(w->loop);
}
