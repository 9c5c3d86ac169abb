/*
 * filename.h: a bare file name out of what a client says a file is called: no folder, no control or direction mark that
 * makes it look like another, nothing hidden. Runs in: any thread, pure. Never fails: what is left may be nothing.
 */
#ifndef CRESCENT_CODEC_FILENAME_H
#define CRESCENT_CODEC_FILENAME_H

#include "base/slice.h"

#define FILENAME_BARE_MAX 255 /* NAME_MAX of Linux's file systems */

/*
 * Writes the bare name to out (room for raw.len bytes) and returns its length; 0: nothing is left. Valid UTF-8: other
 * bytes become '_'. Folders are cut at '/' and '\', then dots and spaces at both ends.
 */
size_t filename_bare(struct slice raw, char *out);

#endif
