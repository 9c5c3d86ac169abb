/*
 * jail_rule.h: single rules of the filter of system calls, for the files that make it up. A name that this machine, or
 * this version of libseccomp, does not have is passed over; so is a rule that says what the filter does anyway.
 * Owns: nothing; rules go into a filter that jail_calls has made. Runs in: the process itself, before it has threads.
 * Fails: with libseccomp's negative errno; 0 else.
 */
#ifndef CRESCENT_BASE_JAIL_RULE_H
#define CRESCENT_BASE_JAIL_RULE_H

#include <seccomp.h>
#include <stdint.h>

/* For calls whose argument of this number, masked, is a value; mask 0: for all. */
int jail_rule_where(scmp_filter_ctx filter, uint32_t action, const char *name, unsigned argument, scmp_datum_t mask,
                    scmp_datum_t value);
/* The same of the first argument. */
int jail_rule_for(scmp_filter_ctx filter, uint32_t action, const char *name, scmp_datum_t mask, scmp_datum_t value);
int jail_rule(scmp_filter_ctx filter, uint32_t action, const char *name);

#endif
