/*
 * config_user.c: see config_user.h.
 */
#include "cli/config_user.h"

#include "base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- who it is ---------------------------------------------------------------------------------------------------- */

static int find_user(const char *name, struct jail_user *u, struct error *err)
{
    unsigned long long number;
    const struct passwd *entry = getpwnam(name);

    if (entry == NULL && slice_to_u64(slice_of(name), UINT32_MAX - 1, &number)) {
        entry = getpwuid((uid_t)number);
        if (entry == NULL) { /* containers have such */
            u->uid = (uid_t)number;
            u->gid = (gid_t)number;
            return 0;
        }
    }
    if (entry == NULL)
        return error_set(err, "there is no user \"%.64s\"", name);
    int count = JAIL_GROUPS_MAX;
    u->uid = entry->pw_uid;
    u->gid = entry->pw_gid;
    if (getgrouplist(entry->pw_name, entry->pw_gid, u->groups, &count) < 0)
        return error_set(err, "user \"%.64s\" is in more than %d groups", name, JAIL_GROUPS_MAX);
    u->group_count = (size_t)count;
    return 0;
}

static int find_group(const char *name, struct jail_user *u, struct error *err)
{
    unsigned long long number;
    const struct group *entry = getgrnam(name);

    if (entry == NULL && !slice_to_u64(slice_of(name), UINT32_MAX - 1, &number))
        return error_set(err, "there is no group \"%.64s\"", name);
    u->gid = entry != NULL ? entry->gr_gid : (gid_t)number;
    u->groups[0] = u->gid; /* who names a group wants that one alone */
    u->group_count = 1;
    return 0;
}

int config_user_find(const char *text, struct jail_user *user_out, struct error *err)
{
    struct jail_user u = {0};
    struct slice rest = slice_of(text), before = SLICE_NONE;

    slice_cut(&rest, ':', &before);
    char *user = slice_dup(before), *group = rest.at != NULL ? slice_dup(rest) : NULL;
    int done = user[0] == '\0' || (group != NULL && group[0] == '\0')
                   ? error_set(err, "expected NAME or NAME:GROUP, got \"%.64s\"", text)
                   : find_user(user, &u, err);
    if (done == 0 && group != NULL)
        done = find_group(group, &u, err);
    free(user);
    free(group);
    if (done == 0 && geteuid() != 0 && u.uid != geteuid())
        done = error_set(err, "only root may start a server that becomes \"%.64s\"", text);
    if (done != 0)
        return -1;
    u.name = need_strdup(text);
    *user_out = u;
    return 0;
}

/* --- what it may -------------------------------------------------------------------------------------------------- */

static int need_access(const char *what, const char *path, int mode, const char *user, struct error *err)
{
    if (faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0)
        return 0;
    return error_errno(err, "user %s: %s %s", user, what, path);
}

static int need_folder_of(const char *what, const char *path, const char *user, struct error *err)
{
    char *copy = need_strdup(path);
    const char *folder = dirname(copy);
    int done = need_access(what, folder, W_OK | X_OK, user, err);

    free(copy);
    return done;
}

static int check_as_user(const struct config *c, struct error *err)
{
    const char *user = c->user.name;

    if (need_access("the hooks folder", c->hooks, R_OK | X_OK, user, err) != 0)
        return -1;
    if (access(c->env_file, F_OK) == 0 && need_access("the file", c->env_file, R_OK, user, err) != 0)
        return -1;
    if (c->log_file != NULL && need_access("the log", c->log_file, W_OK, user, err) != 0)
        return -1;
    const char *store = strchr(c->store, ':') + 1;
    if (access(store, F_OK) == 0 && need_access("the store", store, R_OK | W_OK, user, err) != 0)
        return -1;
    /* One that nobody named is made when it is needed, and its absence is told then. */
    return c->store_given ? need_folder_of("the store's folder", store, user, err) : 0;
}

int config_user_check(const struct config *c, struct error *err)
{
    struct jail_own own;

    if (c->user.name == NULL || c->user.uid == geteuid())
        return 0;
    if (jail_borrow(&c->user, &own, err) != 0)
        return -1;
    int done = check_as_user(c, err);
    jail_give_back(&own);
    return done;
}
