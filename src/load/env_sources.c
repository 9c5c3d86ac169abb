/*
 * env_sources.c: see env_sources.h.
 */
#include "load/env_sources.h"
#include "base/panic.h"
#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SUFFIX SLICE("_FILE")
#define OURS SLICE("CRESCENT_") /* settings of the server: CRESCENT_LOG_FILE names its log, which is no value */

/* --- the list ----------------------------------------------------------------------------------------------------- */

static char *joined(struct slice folder, const char *name)
{
    size_t len = strlen(name);
    char *path = need_alloc(folder.len + len + 2);
    memcpy(path, folder.at, folder.len);
    path[folder.len] = '/';
    memcpy(path + folder.len + 1, name, len + 1);
    return path;
}

static char *absolute(const char *env_file, const char *path)
{
    const char *slash = strrchr(env_file, '/');
    if (path[0] == '/' || slash == NULL)
        return need_strdup(path);
    return joined((struct slice){env_file, (size_t)(slash - env_file)}, path);
}

static void add_source(struct env_source **list, size_t *count, struct slice name, char *path)
{
    *list = need_realloc(*list, (*count + 1) * sizeof(**list));
    (*list)[(*count)++] = (struct env_source){.name = slice_dup(name), .path = path};
}

bool env_sources_names_file(struct slice variable, struct slice *name_out)
{
    if (variable.len <= FILE_SUFFIX.len || !slice_ends(variable, FILE_SUFFIX) || slice_starts(variable, OURS))
        return false;
    *name_out = (struct slice){variable.at, variable.len - FILE_SUFFIX.len};
    return true;
}

/* A variable that holds no path of a file (SOMETHING_FILE=1) is told when a script asks for SOMETHING. */
static void add_variable(struct env_sources *s, struct slice variable)
{
    size_t equals = slice_find(variable, '=');
    struct slice name;
    if (equals == SIZE_MAX || !env_sources_names_file((struct slice){variable.at, equals}, &name) ||
        equals + 1 == variable.len)
        return;
    add_source(&s->files, &s->file_count, name, absolute(s->env_file, variable.at + equals + 1));
}

void env_sources_list(const char *env_file, struct env_sources *out)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    *out = (struct env_sources){.env_file = need_strdup(env_file)};
    if (credentials != NULL && credentials[0] != '\0')
        out->credentials = absolute(env_file, credentials);
    for (char **e = environ; *e != NULL; e++)
        add_variable(out, slice_of(*e));
}

void env_sources_free_list(struct env_source *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(list[i].name);
        free(list[i].path);
    }
    free(list);
}

void env_sources_free(struct env_sources *s)
{
    env_sources_free_list(s->files, s->file_count);
    free(s->env_file);
    free(s->credentials);
    *s = (struct env_sources){0};
}

/* --- credentials -------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct env_source *)a)->name, ((const struct env_source *)b)->name);
}

int env_sources_credentials(const struct env_sources *s, struct env_source **list_out, size_t *count_out,
                            struct error *err)
{
    *list_out = NULL;
    *count_out = 0;
    if (s->credentials == NULL)
        return 0;
    DIR *dir = opendir(s->credentials);
    if (dir == NULL)
        return error_errno(err, "the folder of $CREDENTIALS_DIRECTORY, %s", s->credentials);
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        if (d->d_name[0] != '.')
            add_source(list_out, count_out, slice_of(d->d_name), joined(slice_of(s->credentials), d->d_name));
    closedir(dir);
    if (*count_out > 1)
        qsort(*list_out, *count_out, sizeof(**list_out), by_name);
    return 0;
}

/* --- what stat says ----------------------------------------------------------------------------------------------- */

/* FNV-1a over the numbers: a difference must show, nobody attacks it. */
static void mix(uint64_t *sum, uint64_t n)
{
    *sum = (*sum ^ n) * 0x100000001b3u;
    *sum ^= *sum >> 29;
}

/* What cannot be read has no value, so no change of it counts until it can: not there, or of more bytes than that. */
static void stamp_file(const char *path, uint64_t most, uint64_t stamp[4])
{
    struct stat st;
    if (stat(path, &st) != 0) {
        mix(&stamp[0], 0);
        return;
    }
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > most) {
        mix(&stamp[0], 1);
        return;
    }
    uint64_t changed = (uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec;
    mix(&stamp[0], st.st_dev);
    mix(&stamp[0], st.st_ino);
    mix(&stamp[1], changed);
    mix(&stamp[3], (uint64_t)st.st_size);
    if (changed > stamp[2])
        stamp[2] = changed;
}

void env_sources_stamp(const struct env_sources *s, uint64_t stamp[4])
{
    size_t count;
    struct env_source *credentials;
    struct error err;
    memset(stamp, 0, 4 * sizeof(stamp[0]));
    if (env_sources_credentials(s, &credentials, &count, &err) != 0)
        mix(&stamp[1], 1); /* the trial will say why */
    stamp_file(s->env_file, ENV_FILE_MAX, stamp);
    for (size_t i = 0; i < s->file_count; i++)
        stamp_file(s->files[i].path, ENV_VALUE_FILE_MAX, stamp);
    for (size_t i = 0; i < count; i++) {
        for (const char *c = credentials[i].name; *c != '\0'; c++)
            mix(&stamp[0], (unsigned char)*c);
        stamp_file(credentials[i].path, ENV_VALUE_FILE_MAX, stamp);
    }
    env_sources_free_list(credentials, count);
}
