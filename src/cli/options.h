/*
 * options.h: the flags: one table for parsing and for help; and a command line read by it.
 * Owns: nothing, texts are argv's. Runs in: any command. Fails: with words for a usage error.
 */
#ifndef CRESCENT_CLI_OPTIONS_H
#define CRESCENT_CLI_OPTIONS_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

#define OPTIONS_LISTEN_MAX 64

struct options {
    bool help, json, no_secrets, dev;
    const char *hooks; /* the bare argument (of unquarantine: the endpoint); the others: --flag; NULL: not given */
    const char *config, *workers, *admin, *store, *tls_cert, *tls_key;
    const char *listen[OPTIONS_LISTEN_MAX];
    size_t listen_count;
    /* No flag: the sockets that were handed over to serve, each as config_parse_inherited reads it. */
    const char *inherited[OPTIONS_LISTEN_MAX];
    size_t inherited_count;
};

struct options_flag {
    const char *name;     /* "--listen" */
    const char *value;    /* "ADDR"; NULL: a switch */
    const char *commands; /* "serve check": which know it */
    const char *help;
    size_t offset; /* in struct options */
};
extern const struct options_flag options_flags[]; /* ends with name == NULL */

/* Reads argv[1..] of the command argv[0]. -1: words that name the flag, and the nearest known one. */
int options_parse(int argc, char **argv, struct options *o_out, struct error *err);
bool options_knows(const struct options_flag *f, const char *command);

#endif
