/*
 * scan.h: the hooks folder → its files, with what tells one state of a file from another. Symlinks to files and folders
 * are followed (a loop is an error); names beginning with '.' are passed over; `_lib` holds modules; other names
 * beginning with '_' are never read. Only regular *.lua files count.
 * Owns: its arrays. Runs in: keeper, check, routes. Fails: a file that cannot be read is reported in its own error.
 */
#ifndef CRESCENT_LOAD_SCAN_H
#define CRESCENT_LOAD_SCAN_H

#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

#define SCAN_FILE_MAX (1u << 20) /* bytes of one script; more is an error */

struct scan_file {
    char *path;        /* relative: "billing/stripe.lua" */
    bool module;       /* under _lib/ */
    bool folder;       /* no file: a folder that is not entered, with its error */
    bool closed;       /* that cannot be read: nobody knows what is in it */
    uint64_t stamp[4]; /* device, inode, change time, size: differ when the content may */
    char *error;       /* cannot be read: why; NULL */
};

struct scan {
    struct scan_file *files; /* sorted by path */
    size_t count;
    bool closed;    /* one of them is */
    char **folders; /* relative, "" first: what to watch */
    size_t folder_count;
    char **links; /* relative: which of the files and folders are links; what they lead through is to be watched too */
    size_t link_count;
};

int scan_folder(const char *hooks, struct scan *scan_out, struct error *err);
void scan_free(struct scan *s);
/* Whether the path stands below a folder that could not be read. */
bool scan_is_closed(const struct scan *s, const char *path);
/* Whether the file still is what the scan saw. */
bool scan_is_same(const char *hooks, const struct scan_file *f);
/* Reads one file's text. */
int scan_read(const char *hooks, const struct scan_file *f, struct buf *into, struct error *err);
/* "billing/stripe.lua" → "billing/stripe"; "_lib/x/y.lua" → "_lib.x.y"; malloc'ed. */
char *scan_script_name(const char *path);
char *scan_module_name(const char *path);

#endif
