/*
 * config_files.c: see config_files.h.
 */
#include "cli/config_files.h"

#include "base/log.h"
#include "base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

/* --- the kernel's own file systems -------------------------------------------------------------------------------- */

/* What the nearest folder that is there stands on: 0 where that cannot be told. */
static unsigned long file_system(const char *path)
{
    char *at = need_strdup(path), *end;
    struct statfs fs;
    int done;

    while ((done = statfs(at, &fs)) != 0 && errno == ENOENT && (end = strrchr(at, '/')) != NULL && end > at)
        *end = '\0';
    free(at);
    return done == 0 ? (unsigned long)fs.f_type : 0;
}

int config_files_place(const char *files, const char *where, struct error *err)
{
    static const struct {
        unsigned long type;
        const char *name;
    } kernels[] = {{PROC_SUPER_MAGIC, "proc"},       {SYSFS_MAGIC, "sysfs"},
                   {DEBUGFS_MAGIC, "debugfs"},       {TRACEFS_MAGIC, "tracefs"},
                   {SECURITYFS_MAGIC, "securityfs"}, {CGROUP_SUPER_MAGIC, "cgroup"},
                   {CGROUP2_SUPER_MAGIC, "cgroup2"}, {BPF_FS_MAGIC, "bpf"},
                   {DEVPTS_SUPER_MAGIC, "devpts"}};
    unsigned long type = file_system(files);

    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (type == kernels[i].type)
            return error_set(err, "files folder %s (%s): it is in %s, which is the kernel's and keeps no files", files,
                             where, kernels[i].name);
    return 0;
}

/* --- what the user may ------------------------------------------------------------------------------------------- */

enum use { USE_NONE, USE_READ, USE_SAVE }; /* each with those before it */

static bool can(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0;
}

/* The workers make it (jail_places), and only itself. A link that leads nowhere is in the way of that. */
static bool can_make(const char *files)
{
    if (errno != ENOENT || faccessat(AT_FDCWD, files, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return false;
    char *copy = need_strdup(files);
    bool made = can(dirname(copy), W_OK | X_OK);
    free(copy);
    return made;
}

static enum use look(const char *files)
{
    if (!can(files, X_OK))
        return can_make(files) ? USE_SAVE : USE_NONE;
    return can(files, R_OK | W_OK | X_OK) ? USE_SAVE : USE_READ;
}

/* With words for less than USE_SAVE. */
static enum use look_as_user(const struct config *c, struct error *err)
{
    bool other = c->user.name != NULL && c->user.uid != geteuid();
    struct jail_own own;

    if (other && jail_borrow(&c->user, &own, err) != 0)
        return USE_NONE;
    enum use use = look(c->files);
    if (use != USE_SAVE && other)
        error_errno(err, "user %s", c->user.name);
    else if (use != USE_SAVE)
        error_set(err, "%s", strerror(errno));
    if (other)
        jail_give_back(&own);
    return use;
}

int config_files_check(const struct config *c, const char *where, struct error *err)
{
    if (where == NULL || look_as_user(c, err) != USE_NONE)
        return 0;
    return error_prefix(err, "files folder %s (%s)", c->files, where);
}

void config_files_warn(const struct config *c)
{
    struct error err;

    if (look_as_user(c, &err) != USE_SAVE)
        log_at(LOG_WARN, "nothing can be saved in the folder of 'files'", LOG_STR("files", c->files),
               LOG_STR("error", err.text));
}
