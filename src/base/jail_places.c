/*
 * jail_places.c: see jail_places.h. Rules can only allow, and hold for a folder with all beneath it: where something in
 * a folder is kept away, the folder's other entries are allowed one by one, as they are at that moment. Links are
 * passed over: what they lead to has a rule of its own.
 */
#include "base/jail_places.h"

#include "base/log.h"
#include "base/panic.h"
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct places {
    struct jail_path *at;
    size_t count;
};

struct kept { /* what is kept away; real paths */
    char **at;
    size_t count;
};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static void add(struct places *p, const char *path, bool write)
{
    p->at = need_realloc(p->at, (p->count + 1) * sizeof(*p->at));
    p->at[p->count++] = (struct jail_path){need_strdup(path), write};
}

/* --- what is kept away -------------------------------------------------------------------------------------------- */

/* Who may not read it, and can change no modes, needs no rule; and the folders that lead to it stay whole. */
static bool is_closed(const char *real)
{
    return faccessat(AT_FDCWD, real, R_OK, AT_EACCESS) != 0 && errno == EACCES;
}

/* The path may not be there yet: then its folder's real path counts. */
static void keep_away(struct kept *k, const char *path)
{
    char real[PATH_MAX], *folder = need_strdup(path), *name = need_strdup(path);

    k->at = need_realloc(k->at, (k->count + 1) * sizeof(*k->at));
    if (realpath(path, real) != NULL) {
        if (!is_closed(real))
            k->at[k->count++] = need_strdup(real);
    } else if (realpath(dirname(folder), real) != NULL) {
        k->at[k->count++] = path_join(real, basename(name));
    }
    free(folder);
    free(name);
}

static const char *store_path(const struct config *c)
{
    const char *colon = strchr(c->store, ':');

    return colon != NULL ? colon + 1 : c->store;
}

static void keep_away_all(struct kept *k, const struct config *c)
{
    char *settings = path_join(c->root, "crescent.lua");

    keep_away(k, "/dev"); /* disks; what is harmless there is allowed by name */
    keep_away(k, store_path(c));
    keep_away(k, c->env_file);
    keep_away(k, settings);
    keep_away(k, c->file); /* `--config` may give it another name */
    for (size_t i = 0; i < c->tls_count; i++)
        if (c->tls[i].key.path != NULL)
            keep_away(k, c->tls[i].key.path);
    keep_away(k, "/etc/shadow");
    keep_away(k, "/etc/gshadow");
    free(settings);
}

/* The path itself, or (of the store's) a companion beside it: "-wal", "-shm", … */
static bool is_kept(const struct kept *k, const char *path)
{
    for (size_t i = 0; i < k->count; i++) {
        size_t len = strlen(k->at[i]);

        if (strncmp(path, k->at[i], len) == 0 && (path[len] == '\0' || path[len] == '-'))
            return true;
    }
    return false;
}

static bool has_kept_beneath(const struct kept *k, const char *folder)
{
    size_t len = strcmp(folder, "/") == 0 ? 0 : strlen(folder);

    for (size_t i = 0; i < k->count; i++)
        if (strncmp(k->at[i], folder, len) == 0 && k->at[i][len] == '/')
            return true;
    return false;
}

/* Everything in the folder, but what is kept away. */
static void add_around(struct places *p, const struct kept *k, const char *folder)
{
    struct stat st;
    DIR *dir = opendir(folder);

    if (dir == NULL)
        return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        char *path = path_join(folder, e->d_name);
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && !is_kept(k, path) && lstat(path, &st) == 0 &&
            !S_ISLNK(st.st_mode)) {
            if (has_kept_beneath(k, path))
                add_around(p, k, path);
            else
                add(p, path, false);
        }
        free(path);
    }
    closedir(dir);
}

/* --- each role's -------------------------------------------------------------------------------------------------- */

static void add_folder_of(struct places *p, const char *path)
{
    char real[PATH_MAX], *copy = need_strdup(path);

    add(p, dirname(copy), true);
    free(copy);
    if (realpath(path, real) != NULL)
        add(p, dirname(real), true);
}

static void find_keeper(const struct config *c, struct places *p)
{
    add(p, "/", false);
    add_folder_of(p, store_path(c));
    if (c->log_file != NULL)
        add_folder_of(p, c->log_file);
}

/* Where `files` and `hooks` overlap, what is saved could be a script. */
static bool may_save(const struct config *c)
{
    if (!path_overlap(c->files, c->hooks))
        return true;
    log_at(LOG_WARN, "nothing can be saved: the folder of 'files' and that of the scripts overlap",
           LOG_STR("files", c->files), LOG_STR("hooks", c->hooks));
    return false;
}

/* Whether what is kept away lies beneath the folder, whose whole content a rule would give. */
static bool gives_away(const struct kept *k, const char *folder)
{
    char real[PATH_MAX];

    return realpath(folder, real) != NULL && has_kept_beneath(k, real);
}

static void find_others(const struct config *c, bool writes, struct places *p)
{
    static const char *const devices[] = {"/dev/zero", "/dev/random", "/dev/urandom"};
    struct kept k = {0};

    keep_away_all(&k, c);
    add_around(p, &k, "/");
    for (size_t i = 0; i < COUNT(devices); i++)
        add(p, devices[i], false);
    if (!gives_away(&k, c->hooks)) /* else what it holds was added with all the rest, but what is kept away */
        add(p, c->hooks, false);   /* also where it lies beside that, and is a link */
    if (writes)
        mkdir(c->files, 0777); /* a rule cannot be made for what is not there; where it fails, saving will say why */
    if (!gives_away(&k, c->files))
        add(p, c->files, writes && may_save(c));
    else if (writes)
        log_at(LOG_WARN, "nothing can be saved: the folder of 'files' holds what scripts must not reach",
               LOG_STR("files", c->files));
    for (size_t i = 0; i < k.count; i++)
        free(k.at[i]);
    free(k.at);
}

int jail_places_enter(const struct config *c, enum jail_role role, struct error *err)
{
    struct places p = {0};
    bool unbound = role != JAIL_KEEPER && !c->sandbox, ruled;

    if (role == JAIL_KEEPER && c->http_port_count > 0 && !jail_knows_ports()) /* one line for all */
        log_at(LOG_WARN, "this kernel has no rules for ports: http_ports holds scripts, not who takes a worker over");
    add(&p, "/dev/null", true);
    if (role == JAIL_KEEPER)
        find_keeper(c, &p);
    else if (!unbound)
        find_others(c, role == JAIL_WORKER, &p);
    const struct jail_rules rules = {.role = role,
                                     .paths = p.at,
                                     .path_count = p.count,
                                     .only_ports = c->http_ports_only,
                                     .ports = c->http_ports,
                                     .port_count = c->http_port_count,
                                     .any_file = unbound,
                                     .any_program = unbound,
                                     .any_signal = role == JAIL_WORKER && (c->exec_any || c->exec_count > 0)};
    int done = jail_enter(&rules, &ruled, err);

    if (done == 0 && !ruled && role == JAIL_KEEPER)
        log_at(LOG_WARN, "this kernel has no Landlock: files are guarded by their permissions alone");
    for (size_t i = 0; i < p.count; i++)
        free((char *)p.at[i].path);
    free(p.at);
    return done == 0 ? 0 : error_prefix(err, "jail");
}
