/*
 * bind_stream.h: write and send: what the function of reply.stream and reply.sse is given. Each hands its bytes to the
 * host piece by piece, and waits for the client where that is slower (script/await). Owns: a Lua object for the length
 * of the stream, and the text being written. Runs in: the state's thread.
 * All parts of its task (parallel) may write, one at a time.
 * Fails: misuse raises in words (a text that is none, a write while another waits, or after one that was ended half
 * way, in another request, after the end).
 */
#ifndef CRESCENT_BIND_BIND_STREAM_H
#define CRESCENT_BIND_BIND_STREAM_H

#include "bind/bind_reply.h"
#include "script/task.h"

struct bind_stream;

struct bind_stream_host { /* who takes the bytes */
    /* Copies them. Whether there is room for more; else bind_stream_ready is called once there is. */
    bool (*write)(void *cookie, struct slice bytes);
    /* How many bytes to hand over at a time. */
    size_t (*room)(void *cookie);
    /* Whether bytes wait for the client. */
    bool (*waits)(void *cookie);
    void *cookie;
};

/*
 * Pushes the plan's function and its argument, write or send, which belong to the new stream *out from then on (NULL
 * where it raises; the plan still has its function then). [-0,+2,m]
 */
void bind_stream_push(lua_State *L, struct bind_reply_plan *plan, const struct bind_stream_host *h,
                      struct bind_stream **out);
/* The function's first stretch is over and it goes on in this task: from now on no other may write. */
void bind_stream_belongs(struct bind_stream *b, struct task *task);
/* There is room: a waiting write goes on, and with it the task, inside this call. b may be freed by then. */
void bind_stream_ready(struct bind_stream *b);
/* Whether a write has begun that the client has not taken as a whole. */
bool bind_stream_writing(const struct bind_stream *b);
/*
 * The function has returned: 0, or -1 with words where that cannot be the stream's proper end. It returned something
 * (what it has to say it must write), or a write was ended half way. Never raises.
 */
int bind_stream_result(const struct bind_stream *b, lua_State *co, int count, struct error *err);
/* The stream has ended, no write waits (its task is over): a later write raises. Leaves NULL. */
void bind_stream_free(struct bind_stream **b);

#endif
