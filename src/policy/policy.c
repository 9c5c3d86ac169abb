/*
 * policy.c: names and statuses of the reasons, out of reasons.def.
 * Pure. Runs in: any thread. Fails: a reason that is none is our own fault.
 */
#include "policy/policy.h"
#include "base/panic.h"

static const struct {
    const char *name;
    int status;
} reasons[REASON_COUNT] = {
#define REASON(name, status) [REASON_##name] = {#name, status},
#include "policy/reasons.def"
#undef REASON
};

const char *policy_reason_name(enum reason r)
{
    CHECK((unsigned)r < REASON_COUNT);
    return reasons[r].name;
}

int policy_reason_status(enum reason r)
{
    CHECK((unsigned)r < REASON_COUNT);
    return reasons[r].status;
}
