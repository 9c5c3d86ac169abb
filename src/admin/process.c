/*
 * process.c: see process.h. The supervisor is the parent; its other children are found in /proc, never by what shared
 * memory says.
 */
#include "admin/process.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 1000000 /* a scrape is not to hold the keeper for longer than such a folder takes */

static uint64_t count_descriptors(long pid)
{
    char path[40];
    uint64_t count = 0;
    snprintf(path, sizeof(path), "/proc/%ld/fd", pid);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return 0;
    for (struct dirent *e; count < DESCRIPTORS_MAX && (e = readdir(dir)) != NULL;)
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* Which command it runs: the second word of its command line. */
static enum admin_process kind_of(long pid)
{
    char path[40];
    enum admin_process kind = ADMIN_PROCESS_KINDS; /* a trial, or gone */
    snprintf(path, sizeof(path), "/proc/%ld/cmdline", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return kind;
    char words[64] = "";
    size_t len = fread(words, 1, sizeof(words) - 1, file);
    fclose(file);
    const char *second = memchr(words, '\0', len);
    if (second != NULL && strcmp(second + 1, "worker") == 0)
        kind = ADMIN_PROCESS_WORKER;
    else if (second != NULL && strcmp(second + 1, "keeper") == 0)
        kind = ADMIN_PROCESS_KEEPER;
    return kind;
}

void admin_process_descriptors(uint64_t sums_out[ADMIN_PROCESS_KINDS])
{
    char path[64], *rest, text[8192];
    long parent = getppid();
    memset(sums_out, 0, ADMIN_PROCESS_KINDS * sizeof(*sums_out));
    sums_out[ADMIN_PROCESS_SUPERVISOR] = count_descriptors(parent);
    snprintf(path, sizeof(path), "/proc/%ld/task/%ld/children", parent, parent);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    rest = text;
    for (long pid = strtol(rest, &rest, 10); pid > 0; pid = strtol(rest, &rest, 10)) {
        enum admin_process kind = kind_of(pid);
        if (kind < ADMIN_PROCESS_KINDS)
            sums_out[kind] += count_descriptors(pid);
    }
}
