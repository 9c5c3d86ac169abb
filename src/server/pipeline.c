/*
 * pipeline.c: see pipeline.h. Nothing before `handle` runs Lua, unless the script gave a function for it.
 */
#include "server/pipeline.h"
#include "base/panic.h"
#include "route/generation.h"
#include "server/answer_cors.h"
#include "server/answer_file.h"
#include "server/answer_proxy.h"
#include "server/backlog.h"
#include "server/cancel.h"
#include "server/client.h"
#include "server/exchange.h"
#include "server/overload.h"
#include "server/probation.h"
#include "server/steps.h"
#include "server/steps_rate.h"

/* One line a step, from the first to the last. */
// clang-format off
static const struct {
    const char *name;
    enum step_result (*run)(struct exchange *ex);
} path[] = {
    {"view", steps_view},
    {"site", steps_site},
    {"client", client_step},
    {"limits", steps_limits},
    {"route", steps_route},
    {"overload", overload_step},
    {"allow_ips", client_allowed},
    {"cors", answer_cors_step},
    {"method", steps_method},
    {"size", steps_size},
    {"rate_limit by ip", steps_rate_by_ip},
    {"backlog", backlog_step},
    {"quarantine", probation_before_verify},
    {"verify", steps_verify},
    {"quarantine", probation_before_keys},
    {"rate_limit by key", steps_rate_by_key},
    {"events", steps_events},
    {"quarantine", probation_before_handle},
    {"handle", steps_handle},
    {"file", answer_file_step},
    {"proxy", answer_proxy_step},
    {"stream", steps_stream},
};
// clang-format on

#define STEPS (sizeof(path) / sizeof(path[0]))

static void walk(struct exchange *ex)
{
    CHECK(ex->magic == EXCHANGE_MAGIC);
    CHECK(ex->generation == NULL || exchange_endpoint(ex)->magic == ENDPOINT_MAGIC);
    while (ex->step < STEPS) {
        CHECK(ex->task == NULL && (ex->status == 0 || ex->stream != NULL));
        enum step_result result = path[ex->step].run(ex);
        if (result != STEP_NEXT) {
            if (result == STEP_DONE)
                exchange_over(ex);
            else if (ex->stream == NULL)
                cancel_arm(ex);
            return;
        }
        ex->step++;
    }
    PANIC("the last step (%s) neither answered nor waits", path[STEPS - 1].name);
}

/* A task that had waited has ended. */
static void go_on(struct loop_later *later)
{
    struct exchange *ex = CONTAINER_OF(later, struct exchange, later);
    CHECK(ex->magic == EXCHANGE_MAGIC);
    if (ex->outcome == STEP_DONE) {
        exchange_over(ex);
        return;
    }
    if (ex->stream == NULL)
        list_remove(&ex->link);
    ex->step++;
    walk(ex);
}

void pipeline_begin(struct server *s, struct st_h2o_req_t *req)
{
    walk(exchange_new(s, req, go_on, cancel_gone));
}
