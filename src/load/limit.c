/*
 * limit.c: the timer, its handler, the hook; see limit.h.
 * Owns: see limit.h. Runs in: trial, config, check. Fails: a process that cannot have a timer panics.
 */
#include "load/limit.h"
#include "base/duration.h"
#include "base/panic.h"
#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GRACE DUR_S(1)

/* File-scope, because a signal handler is told nothing else. Written while there is no timer. */
static struct {
    timer_t timer;
    lua_State *L;
    const char *what, *words;
    dur_t most;
    volatile sig_atomic_t over; /* how often the timer fired */
    char said[256];             /* what was raised first: raised again wherever a pcall or coroutine caught it */
} limit;

static void arm(dur_t in)
{
    struct itimerspec at = {.it_value = {in.ns / 1000000000, in.ns % 1000000000}};
    timer_settime(limit.timer, 0, &at, NULL);
}

/* "hooks/x.lua:2: top level ran longer than 250ms": the innermost line that is not our own Lua. */
static void find_words(lua_State *L)
{
    lua_Debug at;
    char room[32];
    const char *file = NULL;
    int line = 0;
    for (int level = 0; line == 0 && lua_getstack(L, level, &at); level++) {
        lua_getinfo(L, "Sl", &at);
        if (at.currentline > 0 && strncmp(at.short_src, "crescent/", 9) != 0) {
            file = at.short_src;
            line = at.currentline;
        }
    }
    if (line > 0)
        snprintf(limit.said, sizeof limit.said, "%s:%d: %s ran longer than %s", file, line, limit.what,
                 duration_text(limit.most, room));
}

/* Raises where the script is; stays armed, so that a pcall does not get away. */
static void on_hook(lua_State *L, lua_Debug *ar)
{
    if (limit.over == 0)
        return;
    if (limit.said[0] == '\0')
        find_words(L);
    if (limit.said[0] == '\0')
        return;
    lua_pushstring(L, limit.said);
    lua_error(L);
}

static void on_time(int signal_number)
{
    if (limit.over++ == 0) {
        lua_sethook(limit.L, on_hook, LUA_MASKCOUNT, 1);
        arm(GRACE);
        return;
    }
    if (limit.words != NULL && write(STDERR_FILENO, limit.words, strlen(limit.words)) < 0)
        _exit(LIMIT_STUCK);
    _exit(LIMIT_STUCK);
}

static void make_timer(void)
{
    struct sigaction action = {.sa_handler = on_time, .sa_flags = SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGVTALRM};
    NEED(sigaction(SIGVTALRM, &action, NULL) == 0);
    NEED(timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &limit.timer) == 0);
}

void limit_begin(lua_State *L, const char *what, dur_t most)
{
    make_timer();
    limit.L = L;
    limit.what = what;
    limit.most = most;
    limit.over = 0;
    limit.said[0] = '\0';
    arm(most);
}

void limit_end(lua_State *L)
{
    timer_delete(limit.timer);
    lua_sethook(L, NULL, 0, 0);
    limit.over = 0;
}

void limit_last_words(const char *words)
{
    limit.words = words;
}
