/*
 * jail_rule.c: see jail_rule.h.
 */
#include "base/jail_rule.h"

#include <errno.h>

int jail_rule_where(scmp_filter_ctx filter, uint32_t action, const char *name, unsigned argument, scmp_datum_t mask,
                    scmp_datum_t value)
{
    const struct scmp_arg_cmp is = SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, mask, value);
    int number = seccomp_syscall_resolve_name(name);
    int done = number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add_array(filter, action, number, mask == 0 ? 0 : 1, &is);

    return done == -EACCES ? 0 : done; /* what the filter does anyway */
}

int jail_rule_for(scmp_filter_ctx filter, uint32_t action, const char *name, scmp_datum_t mask, scmp_datum_t value)
{
    return jail_rule_where(filter, action, name, 0, mask, value);
}

int jail_rule(scmp_filter_ctx filter, uint32_t action, const char *name)
{
    return jail_rule_for(filter, action, name, 0, 0);
}
