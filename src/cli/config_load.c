/*
 * config_load.c: the three sources in their order, then what can only be judged when all are read: paths,
 * certificate; for addresses see config_address.c. See config_load.h.
 * Owns: the draft, for the call. Runs in: config child, check, routes. Fails: one line, naming the cause and its
 * origin.
 */
#include "cli/config_load.h"
#include "base/duration.h"
#include "base/panic.h"
#include "base/path.h"
#include "cli/cli.h"
#include "cli/config_address.h"
#include "cli/config_exec.h"
#include "cli/config_files.h"
#include "cli/config_limits.h"
#include "cli/config_log.h"
#include "cli/config_ports.h"
#include "cli/config_proxies.h"
#include "cli/config_rate.h"
#include "cli/config_tls_files.h"
#include "cli/config_user.h"
#include "server/body_guard.h"
#include "store/open.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the draft --- */

static void text_free(struct config_text *t)
{
    free(t->text);
    free(t->where);
    *t = (struct config_text){0};
}

void config_load_text(struct config_text *t, const char *text, const char *where, bool shell)
{
    char *text_copy = need_strdup(text), *where_copy = need_strdup(where);
    text_free(t);
    *t = (struct config_text){text_copy, where_copy, shell};
}

void config_load_no_listen(struct config_draft *d)
{
    for (size_t i = 0; i < d->listen_count; i++)
        text_free(&d->listen[i]);
    free(d->listen);
    d->listen = NULL;
    d->listen_count = 0;
}

void config_load_listen(struct config_draft *d, const char *text, const char *where)
{
    d->listen = need_realloc(d->listen, (d->listen_count + 1) * sizeof *d->listen);
    d->listen[d->listen_count] = (struct config_text){0};
    config_load_text(&d->listen[d->listen_count++], text, where, false);
}

struct config_draft_tls *config_load_tls(struct config_draft *d, const char *where)
{
    d->tls = need_realloc(d->tls, (d->tls_count + 1) * sizeof *d->tls);
    d->tls[d->tls_count] = (struct config_draft_tls){.where = need_strdup(where)};
    return &d->tls[d->tls_count++];
}

static void draft_free(struct config_draft *d)
{
    config_load_no_listen(d);
    for (size_t i = 0; i < d->tls_count; i++) {
        text_free(&d->tls[i].cert);
        text_free(&d->tls[i].key);
        text_free(&d->tls[i].client_ca);
        text_free(&d->tls[i].client);
        text_free(&d->tls[i].ocsp);
        free(d->tls[i].where);
    }
    free(d->tls);
    text_free(&d->hooks);
    text_free(&d->files);
    text_free(&d->log_file);
    text_free(&d->store);
    text_free(&d->admin);
    text_free(&d->admin_token);
    text_free(&d->health);
    text_free(&d->user);
    text_free(&d->tls_cert);
    text_free(&d->tls_key);
    config_proxies_free(d);
}

const struct config_setting *config_load_setting(const char *name)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (strcmp(config_settings[i].name, name) == 0)
            return &config_settings[i];
    return NULL;
}

/* --- environment --- */

/* "limits.body" → "CRESCENT_LIMITS_BODY" */
static void environment_name(const char *setting, char room[64])
{
    size_t at = (size_t)snprintf(room, 64, "CRESCENT_");
    for (; *setting != '\0' && at < 63; setting++)
        room[at++] = *setting == '.' ? '_' : (char)toupper((unsigned char)*setting);
    room[at] = '\0';
}

static struct config_text *environment_text(struct config_draft *d, const char *name)
{
    const struct {
        const char *name;
        struct config_text *text;
    } texts[] = {{"CRESCENT_HOOKS", &d->hooks},       {"CRESCENT_FILES", &d->files},
                 {"CRESCENT_LOG_FILE", &d->log_file}, {"CRESCENT_STORE", &d->store},
                 {"CRESCENT_ADMIN", &d->admin},       {"CRESCENT_ADMIN_TOKEN", &d->admin_token},
                 {"CRESCENT_USER", &d->user},         {"CRESCENT_HEALTH", &d->health},
                 {"CRESCENT_TLS_CERT", &d->tls_cert}, {"CRESCENT_TLS_KEY", &d->tls_key}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(texts[i].name, name) == 0)
            return texts[i].text;
    return NULL;
}

/* What is not ours though it is called so: what a cluster sets for a service of this name, and a client's token. */
static bool environment_foreign(const char *name)
{
    return strcmp(name, "CRESCENT_CONFIG") == 0 || strcmp(name, "CRESCENT_TOKEN") == 0 ||
           strcmp(name, "CRESCENT_PORT") == 0 || strncmp(name, "CRESCENT_PORT_", 14) == 0 ||
           strncmp(name, "CRESCENT_SERVICE_", 17) == 0;
}

static int environment_unknown(const char *name, struct error *err)
{
    static const char *const texts[] = {"CRESCENT_HOOKS",          "CRESCENT_FILES",           "CRESCENT_STORE",
                                        "CRESCENT_LOG_FILE",       "CRESCENT_ADMIN",           "CRESCENT_ADMIN_TOKEN",
                                        "CRESCENT_TLS_CERT",       "CRESCENT_TLS_KEY",         "CRESCENT_LISTEN",
                                        "CRESCENT_CONFIG",         "CRESCENT_HEALTH",          "CRESCENT_EXEC",
                                        "CRESCENT_USER",           "CRESCENT_TRUSTED_PROXIES", "CRESCENT_PUBLIC_URL",
                                        "CRESCENT_PROXY_PROTOCOL", "CRESCENT_RATE_LIMIT",      "CRESCENT_HTTP_PORTS"};
    enum { TEXTS = sizeof texts / sizeof *texts, MOST = 64 };
    char rooms[MOST][64];
    const char *known[TEXTS + MOST];
    size_t count = 0;
    for (size_t i = 0; i < TEXTS; i++)
        known[count++] = texts[i];
    for (size_t i = 0; i < config_setting_count && i < MOST; i++) {
        environment_name(config_settings[i].name, rooms[i]);
        if (config_settings[i].settable)
            known[count++] = rooms[i];
    }
    for (size_t i = 0; config_file_later(i) != NULL; i++) {
        char later[64];
        environment_name(config_file_later(i), later);
        if (strcmp(later, name) == 0)
            return error_set(err, "%s: setting '%s' is not in this version of crescent", name, config_file_later(i));
    }
    const char *near = slice_nearest(slice_of(name), known, count);
    return error_set(err, "%.80s in the environment: unknown setting%s%s%s", name, near ? " (did you mean " : "",
                     near ? near : "", near ? "?)" : "");
}

static int environment_listen(struct config_draft *d, const char *value, struct error *err)
{
    struct slice rest = slice_of(value), one;
    config_load_no_listen(d);
    while (slice_cut(&rest, ',', &one)) {
        char *text = slice_dup(slice_trim(one));
        if (text[0] != '\0')
            config_load_listen(d, text, "CRESCENT_LISTEN");
        free(text);
    }
    return d->listen_count > 0 ? 0 : error_set(err, "CRESCENT_LISTEN: no address in it");
}

/* The ones that are neither a plain text nor a line of config.def. False: it is none of them. */
static bool environment_special(struct config_draft *d, const char *name, struct slice value, int *done_out,
                                struct error *err)
{
    if (strcmp(name, "CRESCENT_EXEC") == 0)
        *done_out = config_exec_text(value, d->config, err);
    else if (strcmp(name, "CRESCENT_HTTP_PORTS") == 0)
        *done_out = config_ports_text(value, d->config, err);
    else if (strcmp(name, "CRESCENT_TRUSTED_PROXIES") == 0)
        *done_out = config_proxies_trusted_text(value, d->config, err);
    else if (strcmp(name, "CRESCENT_PUBLIC_URL") == 0)
        *done_out = config_proxies_url(value, d->config, err);
    else if (strcmp(name, "CRESCENT_PROXY_PROTOCOL") == 0)
        *done_out = config_proxies_protocol_text(value, d, name, err);
    else if (strcmp(name, "CRESCENT_RATE_LIMIT") == 0)
        *done_out = config_rate_text(value, d->config, err);
    else
        return false;
    if (*done_out != 0)
        error_prefix(err, "%s", name);
    return true;
}

static int environment_one(struct config_draft *d, const char *name, const char *value, struct error *err)
{
    struct config_text *text = environment_text(d, name);
    char room[64];
    int done;
    if (environment_foreign(name))
        return 0;
    if (value[0] == '\0')
        return error_set(err, "%s: empty value (unset it for the default)", name);
    if (strcmp(name, "CRESCENT_LISTEN") == 0)
        return environment_listen(d, value, err);
    if (environment_special(d, name, slice_of(value), &done, err))
        return done;
    if (text != NULL) {
        config_load_text(text, value, name, text == &d->hooks);
        return 0;
    }
    for (size_t i = 0; i < config_setting_count; i++) {
        environment_name(config_settings[i].name, room);
        if (!config_settings[i].settable || strcmp(room, name) != 0)
            continue;
        return config_set(d->config, &config_settings[i], slice_of(value), err) == 0 ? 0
                                                                                     : error_prefix(err, "%s", name);
    }
    return environment_unknown(name, err);
}

static int read_environment(struct config_draft *d, struct error *err)
{
    for (char **e = environ; *e != NULL; e++) {
        const char *equals = strchr(*e, '=');
        if (strncmp(*e, "CRESCENT_", 9) != 0 || equals == NULL)
            continue;
        char *name = slice_dup((struct slice){*e, (size_t)(equals - *e)});
        int done = environment_one(d, name, equals + 1, err);
        free(name);
        if (done != 0)
            return -1;
    }
    return 0;
}

/* --- flags --- */

/* An address that cannot be one is wrong usage already here. */
static int check_address(const char *text, struct error *err)
{
    struct config_listen l;
    int done = config_parse_listen(text, false, &l, err);
    config_listen_free(&l);
    return done;
}

static int check_store(const char *text, struct error *err)
{
    const struct store_driver *driver;
    struct slice path;
    return store_open_read(text, &driver, &path, err);
}

static int read_flags(struct config_draft *d, const struct options *o, struct error *err)
{
    if (o->workers != NULL && config_set(d->config, config_load_setting("workers"), slice_of(o->workers), err) != 0)
        return error_prefix(err, "--workers");
    if (o->dev && o->workers != NULL && d->config->workers != 1)
        return error_set(err, "--dev runs one worker: --workers %s does not go with it", o->workers);
    if (o->dev)
        d->config->workers = 1;
    if (o->listen_count > 0)
        config_load_no_listen(d);
    for (size_t i = 0; i < o->listen_count; i++) {
        if (check_address(o->listen[i], err) != 0)
            return error_prefix(err, "--listen");
        config_load_listen(d, o->listen[i], "--listen");
    }
    if (o->admin != NULL && strcmp(o->admin, "off") != 0 && check_address(o->admin, err) != 0)
        return error_prefix(err, "--admin");
    if (o->store != NULL && check_store(o->store, err) != 0)
        return error_prefix(err, "--store");
    if (o->hooks != NULL)
        config_load_text(&d->hooks, o->hooks, "HOOKS", true);
    if (o->admin != NULL)
        config_load_text(&d->admin, o->admin, "--admin", true);
    if (o->store != NULL)
        config_load_text(&d->store, o->store, "--store", false);
    if (o->tls_cert != NULL)
        config_load_text(&d->tls_cert, o->tls_cert, "--tls-cert", false);
    if (o->tls_key != NULL)
        config_load_text(&d->tls_key, o->tls_key, "--tls-key", false);
    return 0;
}

/* --- the file, and where paths begin --- */

char *config_load_path(const char *base, const char *path)
{
    return path_join(base, path);
}

/* An absolute path as it is, else from the working directory, which is looked for only then: a server outlives the
 * folder that it was started in. malloc'ed; NULL with words. */
static char *from_here(const char *path, struct error *err)
{
    char *here = path[0] == '/' ? need_strdup("/") : getcwd(NULL, 0);
    if (here == NULL) {
        error_errno(err, "%s begins at the working directory, which cannot be found", path);
        return NULL;
    }
    char *whole = config_load_path(here, path);
    free(here);
    return whole;
}

static int read_file(struct config_draft *d, const struct options *o, struct error *err)
{
    const char *named = o->config != NULL ? o->config : getenv("CRESCENT_CONFIG");
    if (named != NULL && named[0] == '\0')
        return error_set(err, "CRESCENT_CONFIG: empty value (unset it for the default)");
    char *path = from_here(named != NULL ? named : "crescent.lua", err);
    if (path == NULL)
        return -1;
    const char *slash = strrchr(path, '/');
    d->config->root = slash == path ? need_strdup("/") : slice_dup((struct slice){path, (size_t)(slash - path)});
    d->config->file = path;
    if (named == NULL && access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    return config_file_read(path, named != NULL ? named : "crescent.lua", d, err);
}

/* --- what all sources together must be --- */

/* Only its spelling is looked at: whether it can be opened is found out by the keeper, which does. */
static int finish_store(struct config_draft *d, struct error *err)
{
    struct config *c = d->config;
    const struct store_driver *driver;
    struct slice path;
    if (store_open_read(d->store.text != NULL ? d->store.text : "sqlite:crescent.db", &driver, &path, err) != 0)
        return error_prefix(err, "%s", d->store.where);
    char *relative = slice_dup(path), *absolute = config_load_path(c->root, relative);
    struct buf url = {0};
    buf_addf(&url, "sqlite:%s", absolute);
    c->store = buf_take(&url);
    c->store_given = d->store.text != NULL;
    free(relative);
    free(absolute);
    return 0;
}

static int finish_hooks(struct config_draft *d, struct error *err)
{
    struct config *c = d->config;
    struct stat st;
    const char *where = d->hooks.where != NULL ? d->hooks.where : "the default";
    const char *text = d->hooks.text != NULL ? d->hooks.text : "hooks";
    c->hooks = d->hooks.shell ? from_here(text, err) : config_load_path(c->root, text);
    if (c->hooks == NULL)
        return error_prefix(err, "hooks folder (%s)", where);
    if (stat(c->hooks, &st) != 0)
        return error_errno(err, "hooks folder %s (%s)", c->hooks, where);
    if (!S_ISDIR(st.st_mode))
        return error_set(err, "hooks folder %s (%s): not a folder", c->hooks, where);
    if (access(c->hooks, R_OK | X_OK) != 0)
        return error_errno(err, "hooks folder %s (%s)", c->hooks, where);
    return 0;
}

static int finish_paths(struct config_draft *d, struct error *err)
{
    struct config *c = d->config;
    struct stat st;
    c->env_file = config_load_path(c->root, ".env");
    if (finish_hooks(d, err) != 0)
        return -1;
    c->files = config_load_path(c->root, d->files.text != NULL ? d->files.text : "files");
    const char *files_where = d->files.where != NULL ? d->files.where : "the default";
    if (stat(c->files, &st) == 0 && !S_ISDIR(st.st_mode))
        return error_set(err, "files folder %s (%s): not a folder", c->files, files_where);
    if (config_files_place(c->files, files_where, err) != 0)
        return -1;
    if (d->log_file.text != NULL)
        c->log_file = config_load_path(c->root, d->log_file.text);
    if (finish_store(d, err) != 0 || config_log_place(d, err) != 0)
        return -1;
    if (d->admin_token.text != NULL)
        c->admin_token = need_strdup(d->admin_token.text);
    return 0;
}

static int finish_user(struct config_draft *d, struct error *err)
{
    if (d->user.text == NULL || config_user_find(d->user.text, &d->config->user, err) == 0)
        return 0;
    return error_prefix(err, "%s", d->user.where);
}

/* For commands that look at things as the server would: who is not root has no other way than his own, and where there
 * is no such user the server runs elsewhere. */
static void find_user(struct config_draft *d)
{
    struct error err;
    if (d->user.text != NULL && geteuid() == 0)
        config_user_find(d->user.text, &d->config->user, &err);
}

/* Else a body that is long, and allowed, were refused for ever, with nobody else there. */
static int finish_limits(const struct config_draft *d, struct error *err)
{
    const struct config_limits *l = &d->config->limits;
    char body[32], memory[32], least[32];
    if (l->body_memory >= body_guard_room(l))
        return 0;
    return error_set(err, "limits.body_memory (%s) has no room for a body of limits.body (%s): that needs %s",
                     duration_size_text(l->body_memory, memory), duration_size_text(l->body, body),
                     duration_size_text(body_guard_room(l), least));
}

static int load(struct config_draft *d, const struct options *o, bool serving, int *code_out, struct error *err)
{
    *code_out = CLI_FAILED;
    if (read_file(d, o, err) != 0 || read_environment(d, err) != 0)
        return -1;
    *code_out = CLI_USAGE;
    if (read_flags(d, o, err) != 0)
        return -1;
    *code_out = CLI_FAILED;
    if (finish_limits(d, err) != 0 || finish_paths(d, err) != 0)
        return -1;
    for (size_t i = 0; i < d->tls_count; i++)
        d->config->client_ca |= d->tls[i].client_ca.text != NULL;
    if (!serving) {
        find_user(d);
        return 0;
    }
    if (finish_user(d, err) != 0 || config_log_try(d, err) != 0 || config_tls_files_finish(d, err) != 0 ||
        config_address_finish(d, o, err) != 0)
        return -1;
    if (config_user_check(d->config, err) != 0)
        return -1;
    config_limits_fit(d->config);
    return config_files_check(d->config, d->files.text != NULL ? d->files.where : NULL, err);
}

/* What --dev changes; the log's settings may change it back. */
static void dev_defaults(struct config *c)
{
    c->dev = true;
    c->log_format = CONFIG_FORMAT_TEXT;
    c->log_access = CONFIG_ACCESS_ALL;
}

static int load_all(const struct options *o, bool serving, struct config *config_out, struct error *doubt_out,
                    struct error *err)
{
    struct config_draft d = {.config = config_out};
    int code = CLI_FAILED;
    config_defaults(config_out);
    if (o->dev)
        dev_defaults(config_out);
    int done = load(&d, o, serving, &code, err);
    if (done == 0 && doubt_out != NULL && config_address_foresee(&d, doubt_out) == 0)
        doubt_out->text[0] = '\0';
    draft_free(&d);
    return done == 0 ? CLI_DONE : code;
}

int config_load(const struct options *o, bool serving, struct config *config_out, struct error *err)
{
    return load_all(o, serving, config_out, NULL, err);
}

int config_load_foresee(const struct options *o, struct config *config_out, struct error *doubt_out, struct error *err)
{
    return load_all(o, false, config_out, doubt_out, err);
}
