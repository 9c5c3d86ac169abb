/*
 * worker.h: PROCESS worker: one loop, one lua_State, its listening sockets, a link to the keeper.
 * Never returns but with an exit code. Fails: at start with a log line; afterwards only its own death, which the
 * supervisor answers with a new one.
 */
#ifndef CRESCENT_WORKER_WORKER_H
#define CRESCENT_WORKER_WORKER_H

/* The hidden command `worker`. */
int worker_main(void);

#endif
