/*
 * programs.h: what the tests of exec/ share: how many descriptors are open, whether a process is alive, short waits.
 */
#ifndef TESTS_EXEC_PROGRAMS_H
#define TESTS_EXEC_PROGRAMS_H

#include "base/buf.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/time.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
// clang-format off
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

static inline size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

/* 0: gone; 'Z': a zombie; else its state. */
static inline char state_of_process(pid_t pid)
{
    char path[40], state = 0;
    struct buf text = {0};
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (fd_read_file(path, 4096, &text, NULL) == 0) {
        const char *after = strrchr(buf_text(&text), ')');
        if (after != NULL)
            state = after[2];
    }
    buf_free(&text);
    return state;
}

static inline bool lives(pid_t pid)
{
    char state = state_of_process(pid);
    return state != 0 && state != 'Z' && state != 'X';
}

/* The number in a file that somebody is about to write; fails the test after ten seconds. */
static inline pid_t pid_in(const char *path)
{
    mono_t end = mono_add(mono_now(), DUR_S(10));
    while (mono_before(mono_now(), end)) {
        struct buf text = {0};
        pid_t pid = 0;
        if (fd_read_file(path, 64, &text, NULL) == 0 && text.len > 0 && text.at[text.len - 1] == '\n')
            pid = atoi(buf_text(&text));
        buf_free(&text);
        if (pid > 0)
            return pid;
        usleep(2000);
    }
    fail_msg("nobody wrote %s", path);
    return 0;
}

static inline void dies_within(pid_t pid, dur_t within)
{
    mono_t end = mono_add(mono_now(), within);
    while (lives(pid)) {
        if (!mono_before(mono_now(), end))
            fail_msg("process %d lives on, %c", (int)pid, state_of_process(pid));
        usleep(1000);
    }
}

#endif
