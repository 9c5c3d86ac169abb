/*
 * bind_limits.c: see bind_limits.h.
 */
#include "bind/bind_limits.h"
#include "codec/form.h"
#include "codec/json.h"
#include "codec/multipart.h"
#include "script/host.h"

const struct config_limits *bind_limits_of(struct state *s)
{
    static const struct config_limits fallback = {
        .json_depth = JSON_DEPTH_MAX, .form_fields = FORM_PAIRS_MAX, .parts = MULTIPART_PARTS};
    const struct config_limits *limits = state_host(s)->limits;
    return limits != NULL ? limits : &fallback;
}

void bind_limits_passed(struct state *s, enum counter which)
{
    struct counters *counters = state_host(s)->counters;
    if (counters != NULL)
        counters_add(counters, which, 1);
}
