/*
 * backlog.h: limits.answers: an HTTP/2 connection whose client does not take its answers in begins no more requests
 * until it does: each would add another one to what is held for it. They wait within their endpoint's timeout.
 * Owns: nothing. Runs in: the worker's thread. Never fails.
 */
#ifndef CRESCENT_SERVER_BACKLOG_H
#define CRESCENT_SERVER_BACKLOG_H

#include "server/exchange.h"

/* The step: goes on, or waits behind the answers of its connection. */
enum step_result backlog_step(struct exchange *ex);
/* Its answer, of so many bytes, is held for the client from now on. */
void backlog_add(struct exchange *ex, size_t bytes);
/* libh2o's request goes, and with it the answer; ex->connection is its connection still. */
void backlog_remove(struct exchange *ex);

#endif
