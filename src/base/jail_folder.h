/*
 * jail_folder.h: whether a folder that a process works in is still the one that its jail knows. Rules for files
 * hold for inodes: a folder that takes another's place (a restored backup, a swapped link), or that was not there when
 * the jail was entered, is out of reach for good. Only a process that enters a jail anew gets there.
 * Owns nothing. Runs in: the process that is jailed. Never fails.
 */
#ifndef CRESCENT_BASE_JAIL_FOLDER_H
#define CRESCENT_BASE_JAIL_FOLDER_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct jail_folder {
    const char *path; /* of the folder; or of a file in it, which may be a link to one elsewhere: that one's folder */
    bool of_file;
    dev_t device;
    ino_t inode; /* 0: it was not there */
};

/* What is there now; before the jail is entered, as its user. path: absolute, outlives it. */
void jail_folder_note(struct jail_folder *f, const char *path, bool of_file);
/*
 * From within: whether another folder is there than noted, which the user may read, or write to, and the jail does not
 * let it. One that it does let is noted from then on. The kernel keeps the inode of a rule, so that a new folder never
 * has its number. Mostly one look-up of the path. real_out: of that folder.
 */
bool jail_folder_lost(struct jail_folder *f, char real_out[PATH_MAX]);

#endif
