/*
 * limit.c: the timer, its handler, the hook; see limit.h.
 * Owns: see limit.h. Runs in: trial, config, check. Fails: a process that cannot have a timer panics.
 */
#include "load/limit.h"
#include "base/duration.h"
#include "base/panic.h"
#include <lauxlib.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GRACE DUR_S(1)

/* File-scope, because a signal handler is told nothing else. Written with the timer disarmed. */
static struct {
    timer_t timer;
    bool made;
    lua_State *L;
    const char *what, *words;
    dur_t most;
    volatile sig_atomic_t over; /* how often the timer fired */
} limit;

static void arm(dur_t in)
{
    struct itimerspec at = {.it_value = {in.ns / 1000000000, in.ns % 1000000000}};
    timer_settime(limit.timer, 0, &at, NULL);
}

/* Raises where the script is; stays armed, so that a pcall does not get away. */
static void on_hook(lua_State *L, lua_Debug *ar)
{
    char room[32];
    if (limit.over == 0)
        return;
    lua_getinfo(L, "Sl", ar);
    luaL_error(L, "%s:%d: %s ran longer than %s", ar->short_src, ar->currentline, limit.what,
               duration_text(limit.most, room));
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
    limit.made = true;
}

void limit_begin(lua_State *L, const char *what, dur_t most)
{
    if (!limit.made)
        make_timer();
    limit.L = L;
    limit.what = what;
    limit.most = most;
    limit.over = 0;
    arm(most);
}

void limit_end(lua_State *L)
{
    arm((dur_t){0});
    lua_sethook(L, NULL, 0, 0);
    limit.over = 0;
}

void limit_last_words(const char *words)
{
    limit.words = words;
}
