/*
 * policy.h: the verdict of everything that is decided before Lua runs. policy/ never includes Lua.
 * Plain data. Runs in: the worker.
 */
#ifndef CRESCENT_POLICY_POLICY_H
#define CRESCENT_POLICY_POLICY_H

enum verdict {
    VERDICT_PASS,
    VERDICT_REFUSE, /* with a reason */
    VERDICT_LUA     /* a part of it is a Lua function: ask again from a task (bind/verify) */
};

enum reason {
#define REASON(name, status) REASON_##name,
#include "policy/reasons.def"
#undef REASON
    REASON_COUNT
};

/* "bad_signature"; the status it answers with. */
const char *policy_reason_name(enum reason r);
int policy_reason_status(enum reason r);

#endif
