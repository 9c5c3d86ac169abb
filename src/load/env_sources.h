/*
 * env_sources.h: where values of `env` come from beside the environment itself: `.env`, the variables NAME_FILE, which
 * name a file that holds NAME's value, and the folder of systemd's credentials. The keeper watches these files, the
 * trial reads them.
 * Owns: its strings. Runs in: keeper, trial, check, routes. Fails: where the folder of
 * credentials cannot be read, which would leave its values to weaker sources; a file that is not there is not there.
 */
#ifndef CRESCENT_LOAD_ENV_SOURCES_H
#define CRESCENT_LOAD_ENV_SOURCES_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENV_FILE_MAX (1u << 20)
#define ENV_VALUE_FILE_MAX (64u << 10) /* a key or a token, also a chain of certificates; each snapshot carries it */

struct env_source {
    char *name; /* of the value: "TOKEN" for TOKEN_FILE, a credential's file name */
    char *path; /* absolute */
};

struct env_sources {
    char *env_file;           /* absolute, there or not */
    char *credentials;        /* $CREDENTIALS_DIRECTORY, or NULL */
    struct env_source *files; /* of the variables NAME_FILE, but for the server's own */
    size_t file_count;
};

/* Of this process's environment. env_file: absolute; relative paths in variables start at its folder. */
void env_sources_list(const char *env_file, struct env_sources *out);
void env_sources_free(struct env_sources *s);
/* The credentials that are there now, sorted by name; free with env_sources_free_list. -1: none are known, and why. */
int env_sources_credentials(const struct env_sources *s, struct env_source **list_out, size_t *count_out,
                            struct error *err);
void env_sources_free_list(struct env_source *list, size_t count);
/* Whether a variable of this name says where NAME's value is: NAME, a part of it. */
bool env_sources_names_file(struct slice variable, struct slice *name_out);
/* What stat says of all of them together: differs when a value may. stamp[2]: the newest change time in ns. */
void env_sources_stamp(const struct env_sources *s, uint64_t stamp[4]);

#endif
