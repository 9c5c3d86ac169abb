/*
 * launch.c: strings to vectors, the name to a file, the folder to a descriptor (so that a folder that is not there is
 * not taken for a program that is not), then posix_spawn. See launch.h.
 */
#include "exec/launch.h"

#include "base/buf.h"
#include "base/fd.h"
#include "base/panic.h"
#include "exec/allowed.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>

static const char *const kept[] = {"PATH", "HOME", "LANG", "TZ"}; /* of the server's environment */
enum { KEPT = sizeof(kept) / sizeof(kept[0]) };

/* --- vectors ------------------------------------------------------------------------------------------------------ */

struct vector {
    char **at; /* NULL-ended */
    size_t count, room;
};

static void vector_add(struct vector *v, char *text)
{
    if (v->count + 1 >= v->room) {
        v->room = v->room == 0 ? 16 : v->room * 2;
        v->at = need_realloc(v->at, v->room * sizeof(*v->at));
    }
    v->at[v->count++] = text;
    v->at[v->count] = NULL;
}

static void vector_free(struct vector *v)
{
    for (size_t i = 0; i < v->count; i++)
        free(v->at[i]);
    free(v->at);
}

/* False: cut, or a NUL in one. */
static bool vector_take(struct vector *v, struct slice strings)
{
    bool bad = false;

    while (strings.len > 0 && !bad) {
        struct slice one = buf_take_string(&strings, &bad);

        bad = bad || slice_find(one, '\0') != SIZE_MAX;
        if (!bad)
            vector_add(v, slice_dup(one));
    }
    return !bad;
}

static const char *server_value(const char *name)
{
    return strcmp(name, "PATH") == 0 ? allowed_path() : getenv(name);
}

static bool vector_has(const struct vector *v, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < v->count; i++)
        if (strncmp(v->at[i], name, len) == 0 && v->at[i][len] == '=')
            return true;
    return false;
}

static void add_kept(struct vector *v)
{
    for (size_t i = 0; i < KEPT; i++) {
        const char *value = server_value(kept[i]);
        struct buf text = {0};

        if (value == NULL || vector_has(v, kept[i]))
            continue;
        buf_addf(&text, "%s=%s", kept[i], value);
        vector_add(v, buf_take(&text));
    }
}

/* --- the start ---------------------------------------------------------------------------------------------------- */

static int spawn(const char *file, char *const *argv, char *const *env, const int *standard, int cwd, pid_t *pid_out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    int failed;

    sigfillset(&all);
    sigemptyset(&none);
    NEED(posix_spawn_file_actions_init(&actions) == 0 && posix_spawnattr_init(&attributes) == 0);
    NEED(posix_spawn_file_actions_addfchdir_np(&actions, cwd) == 0);
    for (int i = 0; i < 3; i++)
        NEED(posix_spawn_file_actions_adddup2(&actions, standard[i], i) == 0);
    NEED(posix_spawn_file_actions_addclosefrom_np(&actions, 3) == 0);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    failed = posix_spawn(pid_out, file, &actions, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

/* The file is there and may be run: what did the system not like? */
static int refused(int failed, const char *file, const char **code_out, struct error *err)
{
    *code_out = "not_executable";
    switch (failed) {
    case E2BIG:
        *code_out = "too_long";
        return error_set(err, "%s: its arguments and environment are longer than the system takes", file);
    case ENOENT:
        return error_set(err, "%s: the interpreter that it names is not there", file);
    case ENOEXEC:
        return error_set(err, "%s: neither a program of this machine, nor a script with #! in its first line", file);
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        *code_out = "no_resources";
        break;
    }
    errno = failed;
    return error_errno(err, "%s", file);
}

static int open_cwd(struct slice cwd, const char **code_out, struct error *err)
{
    if (cwd.len == 0) {
        *code_out = "bad_cwd";
        return error_set(err, "cwd: it is empty, which names no folder");
    }
    char *path = slice_dup(cwd);
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || faccessat(fd, ".", X_OK, AT_EACCESS) != 0) {
        *code_out = "bad_cwd";
        error_errno(err, "cwd %s", path);
        fd_close(&fd);
    }
    free(path);
    return fd;
}

static int launch_file(const struct launch *l, struct vector *argv, struct vector *env, pid_t *pid_out,
                       const char **code_out, struct error *err)
{
    char *name = allowed_name(l->root, argv->at[0]), *file = NULL;
    int cwd = -1, result = -1;

    if (!l->any && !allowed_has(l->allowed, name)) {
        *code_out = "not_allowed";
        error_set(err, "%s: the setting exec does not allow it", argv->at[0]);
    } else if ((file = allowed_file(name, allowed_path(), code_out, err)) != NULL &&
               (cwd = open_cwd(l->cwd, code_out, err)) >= 0) {
        int failed = spawn(file, argv->at, env->at, l->standard, cwd, pid_out);

        result = failed == 0 ? 0 : refused(failed, file, code_out, err);
    }
    fd_close(&cwd);
    free(file);
    free(name);
    return result;
}

int launch_program(const struct launch *l, pid_t *pid_out, const char **code_out, struct error *err)
{
    struct vector argv = {0}, env = {0};
    int result = -1;

    if (!vector_take(&argv, l->arguments) || !vector_take(&env, l->environment) || argv.count == 0 ||
        argv.at[0][0] == '\0' || slice_find(l->cwd, '\0') != SIZE_MAX) {
        *code_out = "bad_argument";
        error_set(err, "no program's name, or a NUL byte in what it is given");
    } else {
        add_kept(&env);
        result = launch_file(l, &argv, &env, pid_out, code_out, err);
    }
    vector_free(&argv);
    vector_free(&env);
    return result;
}
