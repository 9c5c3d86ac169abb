/*
 * interrupt.c: the tick, the hook, and the proof at the start; see interrupt.h.
 * A signal may meet LuaJIT while it changes its own tables of what to do at each instruction. It allows that of
 * lua_sethook; an update that is lost comes again with the next tick, which is why each tick beyond the limit sets all
 * of it anew. Owns: see interrupt.h. Runs in: the state's thread. Fails: see interrupt.h.
 */
#include "script/interrupt.h"
#include "base/duration.h"
#include "base/panic.h"
#include <errno.h>
#include <lauxlib.h>
#include <luajit.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define TICK DUR_MS(3)        /* of CPU time; the kernel looks at it each 1-10 ms by itself */
#define PROOF_AFTER_NS 300000 /* the loop has long been compiled by then */
#ifdef __SANITIZE_THREAD__    /* it holds signals back until a system call, so that this never is interrupted */
#define PROOF_TURNS 400000
#else
#define PROOF_TURNS 400000000 /* half a second, if nothing interrupts it */
#endif
#define PROFILE "li2000000000" /* asks at each line; a clock of 23 days, stopped at once */
#define OUR_OWN "=crescent/"   /* the chunk names of our own Lua: not where it is wrong */

/* File-scope, because a signal handler is told nothing else. All of one thread: the handler interrupts it. */
static struct {
    lua_State *L; /* NULL: not open */
    timer_t timer;
    void (*leave_compiled)(int);  /* LuaJIT's handler of its profiler's clock; NULL: there is none */
    volatile uint64_t stretch;    /* odd: one runs */
    volatile int64_t limit;       /* its, ns */
    volatile sig_atomic_t hooked; /* the hook is set, for the stretch that runs */
    volatile sig_atomic_t raised; /* and has raised */
    uint64_t met;                 /* the tick's: the stretch that it met last, */
    int64_t since;                /* and the CPU time when it met that first */
    char said[256];
} the;

static int64_t cpu_time(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* --- the hook --------------------------------------------------------------------------------------------------- */

static void find_words(lua_State *L)
{
    lua_Debug at = {0};
    char limit[32];
    bool found = false;

    for (int level = 0; !found && lua_getstack(L, level, &at); level++) {
        lua_getinfo(L, "Sl", &at);
        found = at.currentline > 0 && strncmp(at.source, OUR_OWN, sizeof(OUR_OWN) - 1) != 0;
    }
    int len = found ? snprintf(the.said, sizeof(the.said), "%s:%d: ", at.short_src, at.currentline) : 0;
    snprintf(the.said + len, sizeof(the.said) - (size_t)len, "ran for longer than max_run (%s)",
             duration_text((dur_t){the.limit}, limit));
}

bool interrupt_due(lua_State *L)
{
    if (!the.hooked)
        return false;
    if (!the.raised)
        find_words(L);
    the.raised = true;
    return true;
}

static void on_hook(lua_State *L, lua_Debug *ar)
{
    if (!interrupt_due(L))
        return;
    lua_pushstring(L, the.said);
    lua_error(L);
}

/* --- the tick --------------------------------------------------------------------------------------------------- */

static void set_hook(void)
{
    if (!the.hooked)
        the.raised = false;
    the.hooked = true;
    if (the.leave_compiled != NULL)
        the.leave_compiled(SIGPROF);
    lua_sethook(the.L, on_hook, LUA_MASKCOUNT, 1);
}

static void on_tick(int number)
{
    int before = errno;
    uint64_t stretch = the.stretch;

    if ((stretch & 1) == 0)
        return;
    int64_t now = cpu_time();
    if (stretch != the.met) {
        the.met = stretch;
        the.since = now;
    }
    if (now - the.since >= the.limit)
        set_hook();
    errno = before;
}

void interrupt_begin(dur_t limit)
{
    the.limit = limit.ns;
    atomic_signal_fence(memory_order_seq_cst);
    the.stretch++;
}

bool interrupt_end(void)
{
    the.stretch++;
    atomic_signal_fence(memory_order_seq_cst); /* from here on no tick sets the hook */
    if (!the.hooked)
        return false;
    lua_sethook(the.L, NULL, 0, 0);
    the.hooked = false;
    return the.raised;
}

const char *interrupt_words(void)
{
    return the.said;
}

bool interrupt_under_way(void)
{
    return the.hooked && the.raised;
}

/* --- birth ------------------------------------------------------------------------------------------------------ */

static timer_t make_timer(clockid_t clock, dur_t first, dur_t then)
{
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGVTALRM};
    const struct itimerspec at = {.it_value = {first.ns / 1000000000, first.ns % 1000000000},
                                  .it_interval = {then.ns / 1000000000, then.ns % 1000000000}};

    event._sigev_un._tid = (pid_t)syscall(SYS_gettid); /* glibc's name for it, sigev_notify_thread_id, is newer */
    NEED(timer_create(clock, &event, &timer) == 0 && timer_settime(timer, 0, &at, NULL) == 0);
    return timer;
}

static void no_sample(void *data, lua_State *L, int samples, int vm_state)
{
}

/* What LuaJIT would do at its profiler's tick, without its clock, and with SIGPROF as it was. */
static void take_over_profiler(lua_State *L)
{
    const struct itimerval never = {{0, 0}, {0, 0}};
    struct sigaction before, theirs;

    NEED(sigaction(SIGPROF, NULL, &before) == 0);
    luaJIT_profile_start(L, PROFILE, no_sample, NULL);
    NEED(setitimer(ITIMER_PROF, &never, NULL) == 0 && sigaction(SIGPROF, &before, &theirs) == 0);
    the.leave_compiled = NULL;
    if ((theirs.sa_flags & SA_SIGINFO) == 0 && theirs.sa_handler != SIG_DFL && theirs.sa_handler != SIG_IGN &&
        theirs.sa_handler != before.sa_handler)
        the.leave_compiled = theirs.sa_handler;
}

static void on_proof(int number)
{
    set_hook();
}

static void install(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

    NEED(sigaction(SIGVTALRM, &action, NULL) == 0);
}

/* A loop that has been compiled runs on, and is to end by a signal that comes after a moment. */
static bool prove(lua_State *L)
{
    static const char loop[] = "local n, sum = ..., 0\nfor i = 1, n do sum = sum + i % 7 end\nreturn sum";
    int top = lua_gettop(L);

    if (luaL_loadbuffer(L, loop, sizeof(loop) - 1, OUR_OWN "interrupt") != 0)
        lua_error(L);
    lua_pushvalue(L, -1);
    lua_pushinteger(L, 2000);
    lua_call(L, 1, 0);
    install(on_proof);
    lua_pushinteger(L, PROOF_TURNS);
    timer_t timer = make_timer(CLOCK_MONOTONIC, (dur_t){PROOF_AFTER_NS}, (dur_t){0});
    bool interrupted = lua_pcall(L, 1, 0, 0) != 0;
    timer_delete(timer);
    lua_sethook(L, NULL, 0, 0);
    the.hooked = the.raised = false;
    lua_settop(L, top);
    return interrupted;
}

bool interrupt_open(lua_State *L, bool compiler)
{
    CHECK(the.L == NULL);
    the.L = L;
    the.stretch = the.met = 0;
    the.hooked = the.raised = false;
    if (compiler)
        take_over_profiler(L);
    bool good = !compiler || (the.leave_compiled != NULL && prove(L));
    install(on_tick);
    the.timer = make_timer(CLOCK_THREAD_CPUTIME_ID, TICK, TICK);
    return good;
}

void interrupt_close(lua_State *L)
{
    if (the.L != L)
        return;
    timer_delete(the.timer);
    signal(SIGVTALRM, SIG_IGN); /* one may be pending */
    if (the.leave_compiled != NULL)
        luaJIT_profile_stop(L);
    the.leave_compiled = NULL;
    the.L = NULL;
}
