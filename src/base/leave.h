/*
 * leave.h: the end of a process that takes nothing apart, and what is not missed there.
 */
#ifndef CRESCENT_BASE_LEAVE_H
#define CRESCENT_BASE_LEAVE_H

/*
 * Ends this process at once with that exit status: no handler of exit() runs. In a build with the address sanitizer
 * what nobody can reach any more is looked for before, as at a usual exit; if there is some, the report is the
 * sanitizer's, and the exit status too.
 */
_Noreturn void leave_process(int code);

/* What lies at that address, if anything, only seems lost, or nobody can free it: the sanitizer is not to report it. */
void leave_behind(void *at);

#endif
