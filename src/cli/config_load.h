/*
 * config_load.h: flags beat environment beat crescent.lua; every message names where the value came from.
 * config_load is the whole of it; the draft is what its three sources fill, between config_load.c and config_file.c.
 * Runs in: the config child of serve; check and routes, in process. Fails: one line, naming the cause.
 */
#ifndef CRESCENT_CLI_CONFIG_LOAD_H
#define CRESCENT_CLI_CONFIG_LOAD_H

#include "base/config.h"
#include "cli/options.h"

/* A text that is looked at when all sources are read, with its origin for messages: "crescent.lua:4: hooks". */
struct config_text {
    char *text; /* NULL: not given */
    char *where;
    bool shell; /* typed or exported by somebody in the working directory */
};

struct config_draft_tls { /* one entry of the setting `tls` */
    struct config_text cert, key, client_ca, client, ocsp;
    char *where; /* "crescent.lua:4: tls" */
};

struct config_draft {
    struct config *config;
    struct config_text hooks, files, log_file, store, admin, admin_token, health, user;
    struct config_text tls_cert, tls_key; /* of environment and flags */
    struct config_text *listen;
    size_t listen_count;
    struct config_draft_tls *tls;
    size_t tls_count;
    struct config_draft_proxied { /* the setting proxy_protocol */
        bool all;
        char **at; /* or of these addresses */
        size_t count;
        char *where; /* NULL: not given */
    } proxied;
};

/* Sets a text of the draft, in place of what a weaker source gave. */
void config_load_text(struct config_text *t, const char *text, const char *where, bool shell);
void config_load_no_listen(struct config_draft *d);
/* One more TLS entry, empty; valid until the next. */
struct config_draft_tls *config_load_tls(struct config_draft *d, const char *where);
void config_load_listen(struct config_draft *d, const char *text, const char *where);

/* base/path, or path where it is absolute; without "." parts and doubled or trailing slashes. malloc'ed. */
char *config_load_path(const char *base, const char *path);

/* The setting of config.def, or NULL. */
const struct config_setting *config_load_setting(const char *name);

/*
 * Reads all sources. serving: also addresses, certificate and key (read and checked), the admin rule. The configuration
 * is the caller's to free. Returns 0, or the exit code with words.
 */
int config_load(const struct options *o, bool serving, struct config *config_out, struct error *err);

/*
 * For check, which is given no addresses: as config_load, not serving, and whether those of file and environment go
 * together. A doubt, "" for none: serve does not start with them, unless it is told others by flags, or handed sockets.
 */
int config_load_foresee(const struct options *o, struct config *config_out, struct error *doubt_out, struct error *err);

/* config_file.c: evaluates crescent.lua under limits of CPU time and memory into the draft. shown: its name in
 * messages. -1: "crescent.lua:4: workers: expected ...". */
int config_file_read(const char *path, const char *shown, struct config_draft *d, struct error *err);

/* The i-th setting of the design that is not built yet; NULL after the last. */
const char *config_file_later(size_t i);

#endif
