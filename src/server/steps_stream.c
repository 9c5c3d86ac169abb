/*
 * steps_stream.c: the step after handle, for reply.stream and reply.sse: the script's function runs in a task of its
 * own, as the writer of its exchange's stream. The headers are out by then: what goes wrong from here on is logged, and
 * the client sees an answer that is broken off.
 */
#include "base/panic.h"
#include "bind/bind_stream.h"
#include "http/stream.h"
#include "server/access.h"
#include "server/probation.h"
#include "server/steps.h"
#include "server/streaming.h"
#include <lauxlib.h>

static void drop_script(struct exchange *ex)
{
    bind_stream_free(&ex->script);
    bind_reply_plan_drop(state_lua(ex->server->host.state), &ex->plan);
}

/* --- what streaming tells its writer ---------------------------------------------------------------------------- */

static void ready(struct exchange *ex)
{
    if (ex->script != NULL)
        bind_stream_ready(ex->script);
}

static void stop(struct exchange *ex)
{
    if (ex->task != NULL)
        task_cancel(&ex->task);
    drop_script(ex);
}

/* Half an event would be lost for the client, and look like its end. */
static bool between_events(const struct exchange *ex)
{
    return ex->script == NULL || !bind_stream_writing(ex->script);
}

static const struct streaming_writer script_writer = {.ready = ready, .stop = stop};
static const struct streaming_writer event_writer = {.ready = ready, .stop = stop, .may_end = between_events};

bool steps_stream_begin(struct exchange *ex)
{
    if (streaming_begin(ex, -1, ex->plan.sse ? &event_writer : &script_writer))
        return true;
    drop_script(ex);
    return false;
}

/* --- the task --------------------------------------------------------------------------------------------------- */

static bool host_write(void *cookie, struct slice bytes)
{
    return streaming_write(cookie, bytes);
}

static size_t host_room(void *cookie)
{
    return streaming_room(cookie);
}

static bool host_waits(void *cookie)
{
    return streaming_waits(cookie);
}

int steps_stream_push(lua_State *L)
{
    struct exchange *ex = lua_touserdata(L, 1);
    const struct bind_stream_host host = {host_write, host_room, host_waits, ex};
    bind_stream_push(L, &ex->plan, &host, &ex->script);
    return 2;
}

/* Whatever was raised, problems included: the status is out. */
static void log_raised(struct exchange *ex, lua_State *co)
{
    struct script_error e = {.status = 500};
    script_error_read(co, &e);
    e.raised_problem = false;
    access_script_error(ex, &e);
    if (e.interrupted)
        probation_struck(ex);
    script_error_free(&e);
}

static void streamed(enum task_end end, lua_State *co, int count, void *cookie)
{
    struct exchange *ex = cookie;
    struct error err = {""};
    CHECK(ex->magic == EXCHANGE_MAGIC && ex->stream != NULL);
    ex->task = NULL;
    if (end == TASK_FAILED) {
        log_raised(ex, co);
        streaming_break(ex);
    } else if (bind_stream_result(ex->script, co, count, &err) != 0) {
        access_bad_reply(ex, err.text);
        streaming_break(ex);
    } else {
        streaming_end(ex);
    }
    drop_script(ex);
    steps_task_over(ex, STEP_DONE);
}

static void not_started(struct exchange *ex, lua_State *L)
{
    log_raised(ex, L);
    streaming_break(ex);
    drop_script(ex);
}

enum step_result steps_stream(struct exchange *ex)
{
    if (ex->plan.timeout.ns > 0)
        streaming_limit(ex, ex->plan.timeout);
    enum step_result result = steps_task(ex, ex->server->push_stream, streamed, not_started);
    probation_passed(ex);
    if (result == STEP_WAIT)
        bind_stream_belongs(ex->script, ex->task);
    return result;
}
