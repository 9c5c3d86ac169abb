/*
 * folder.h: the hooks folder, scanned, read, tried and checked for clashes, in this process: what check and routes look
 * at. A script that gets stuck in a C function ends the process, saying which one it was.
 * Owns: all of it, until folder_free. Runs in: check, routes. Fails: per script; as a whole when nothing can be read.
 */
#ifndef CRESCENT_CLI_FOLDER_H
#define CRESCENT_CLI_FOLDER_H

#include "base/config.h"
#include "load/description.h"

struct folder_script {
    char *file;
    struct buf json;                /* its description; empty: it has errors of its own */
    struct description description; /* read back from it; endpoint == NULL likewise */
};

struct folder {
    struct folder_script *scripts; /* in the order of their names */
    size_t script_count, module_count;
    char **errors; /* "hooks/github.lua:12: words", each once, in the order of the files */
    size_t error_count;
};

int folder_load(const struct config *config, bool no_secrets, struct folder *f_out, struct error *err);
void folder_free(struct folder *f);

#endif
