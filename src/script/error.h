/*
 * script/error.h: what a script raised → a status and detail for the client, and a text with traceback for the log.
 * `error { status = 422, detail = "...", ... }` is that problem; a string, or anything else, is a 500 without detail.
 * C functions raise problems (a body that does not parse: 400) with script_error_problem.
 * Runs in: the state's thread.
 */
#ifndef CRESCENT_SCRIPT_ERROR_H
#define CRESCENT_SCRIPT_ERROR_H

#include "base/buf.h"
#include "script/state.h"

struct task;

struct script_error {
    int status;          /* 400-599 */
    struct buf detail;   /* for the client; empty: none */
    struct buf members;  /* further members as JSON text, `"name":value,...`; empty: none */
    struct buf log;      /* message and traceback */
    bool raised_problem; /* the script meant this answer: not a script error */
    bool passing;        /* a 503 that C raised: who asks again in a moment may be served */
    bool memory;         /* the memory ceiling */
    bool interrupted;    /* its stretch ran for longer than max_run */
};

/* Pushes the problem {status, detail}: what script_error_problem raises. A 503 is one that passes. [-0,+1,m] */
void script_error_push(lua_State *L, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Raises the problem {status, detail} from C. Never returns. */
int script_error_problem(lua_State *L, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/*
 * Raises words with the file and line of the nearest Lua function, however many C functions lie between (luaL_error
 * looks one level up only). Never returns.
 */
int script_error_words(lua_State *L, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Reads the error value at the top of co's stack (which is dead); leaves the stack as it is. Never raises. */
void script_error_read(lua_State *co, struct script_error *error_out);
void script_error_free(struct script_error *e);
/*
 * Keeps the traceback of co, a part of `whole` whose end is told now, with the error value at the top of its stack:
 * where whole fails with that value, the log has the tracebacks of both. Only the last one is kept. Never raises.
 */
void script_error_keep_trace(lua_State *co, struct task *whole);
/* Appends where a suspended task waits: its traceback. Without memory for that nothing. Never raises. */
void script_error_where(struct task *t, struct buf *out);

#endif
