/*
 * jail_libraries.h: the files that libraries read anew by themselves, whenever they change: how names are looked up,
 * whom to trust, what time it is. Where something beside them is kept away, the jail has each of them as it was when it
 * was entered (see jail_places.c); one that has been replaced since, by a rename, is out of reach for good, and the
 * libraries go on as if it were not there. Only a process that enters a jail anew may read it.
 * Owns nothing. Runs in: the process that is jailed. Never fails.
 */
#ifndef CRESCENT_BASE_JAIL_LIBRARIES_H
#define CRESCENT_BASE_JAIL_LIBRARIES_H

#include <sys/types.h>

#define JAIL_LIBRARIES_FILES 7

struct jail_libraries {
    struct {
        dev_t device;
        ino_t inode; /* 0: it was not there */
    } at[JAIL_LIBRARIES_FILES];
};

/* What is there now; call before the jail is entered, and before its places are looked for. */
void jail_libraries_note(struct jail_libraries *j);
/*
 * From within: the path of one that is another file than noted, and that the user may read, but the jail does not let;
 * NULL: there is none. One that could not be read from the beginning is none. Some microseconds.
 */
const char *jail_libraries_lost(const struct jail_libraries *j);

#endif
