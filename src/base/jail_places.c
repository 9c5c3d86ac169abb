/*
 * jail_places.c: see jail_places.h. A rule holds for a folder's inode, not for its name: where a path leads over a
 * symbolic link, the folder in which the link's target lies is allowed, so that the next release beside it is, too.
 */
#include "base/jail_places.h"

#include "base/log.h"
#include "base/panic.h"
#include "base/path.h"

#include <dirent.h>
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

/* What libraries read while a worker runs: themselves, names and addresses, certificates, time zones, this process. */
static const char *const system_places[] = {
    "/usr",
    "/lib",
    "/lib64",
    "/proc",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
    "/sys/devices/system/cpu",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
};
/* Of /etc, where the process is root and the kernel's own rules keep it from nothing there. */
static const char *const of_etc[] = {
    "/etc/hosts",    "/etc/resolv.conf", "/etc/nsswitch.conf",   "/etc/host.conf", "/etc/gai.conf",
    "/etc/services", "/etc/protocols",   "/etc/localtime",       "/etc/timezone",  "/etc/ld.so.cache",
    "/etc/ssl",      "/etc/pki",         "/etc/ca-certificates", "/etc/passwd",    "/etc/group",
};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static void add(struct places *p, const char *path, bool write)
{
    p->at = need_realloc(p->at, (p->count + 1) * sizeof(*p->at));
    p->at[p->count++] = (struct jail_path){need_strdup(path), write};
}

/* `path`, and beside the target of each link on the way to it. "/" would be everything. */
static void add_reached(struct places *p, const char *path, bool write)
{
    char *copy = need_strdup(path), real[PATH_MAX];
    struct stat st;

    add(p, path, write);
    for (char *at = copy + 1;; at++) {
        char kept = *at;

        if (kept != '/' && kept != '\0')
            continue;
        *at = '\0';
        if (lstat(copy, &st) == 0 && S_ISLNK(st.st_mode) && realpath(copy, real) != NULL &&
            strcmp(dirname(real), "/") != 0)
            add(p, real, write); /* dirname has cut it */
        *at = kept;
        if (kept == '\0')
            break;
    }
    free(copy);
}

static const char *store_path(const struct config *c)
{
    const char *colon = strchr(c->store, ':');

    return colon != NULL ? colon + 1 : c->store;
}

/* The store with its companions ("-wal", "-shm", …), and where secrets are written down. */
static bool is_kept_away(const struct config *c, const char *name, const char *path)
{
    const char *store = store_path(c);

    return strcmp(name, ".env") == 0 || strcmp(name, "crescent.lua") == 0 || strncmp(path, store, strlen(store)) == 0;
}

static void add_configuration_folder(struct places *p, const struct config *c)
{
    DIR *dir = strcmp(c->root, "/") == 0 ? NULL : opendir(c->root);

    if (dir == NULL)
        return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char *path = path_join(c->root, e->d_name);
        if (!is_kept_away(c, e->d_name, path))
            add(p, path, false);
        free(path);
    }
    closedir(dir);
}

static void add_folder_of(struct places *p, const char *path)
{
    char real[PATH_MAX], *copy = need_strdup(path);

    add_reached(p, dirname(copy), true);
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

static void find(const struct config *c, enum jail_role role, struct places *p)
{
    add(p, "/dev/null", true);
    if (role == JAIL_KEEPER) {
        find_keeper(c, p);
        return;
    }
    for (size_t i = 0; i < COUNT(system_places); i++)
        add(p, system_places[i], false);
    if (geteuid() != 0)
        add(p, "/etc", false);
    for (size_t i = 0; i < COUNT(of_etc) && geteuid() == 0; i++)
        add(p, of_etc[i], false);
    add_configuration_folder(p, c);
    add_reached(p, c->hooks, false);
    if (role == JAIL_WORKER)
        mkdir(c->files, 0777); /* a rule cannot be made for what is not there; where it fails, saving will say why */
    add_reached(p, c->files, role == JAIL_WORKER);
}

int jail_places_enter(const struct config *c, enum jail_role role, struct error *err)
{
    struct places p = {0};
    bool unbound = role != JAIL_KEEPER && !c->sandbox, ruled;
    find(c, role, &p);
    const struct jail_rules rules = {
        .role = role, .paths = p.at, .path_count = p.count, .any_file = unbound, .any_program = unbound};
    int done = jail_enter(&rules, &ruled, err);

    if (done == 0 && !ruled && !unbound && role == JAIL_KEEPER) /* one line for all */
        log_at(LOG_WARN, "this kernel has no Landlock: files are guarded by their permissions alone");
    for (size_t i = 0; i < p.count; i++)
        free((char *)p.at[i].path);
    free(p.at);
    return done == 0 ? 0 : error_prefix(err, "jail");
}
