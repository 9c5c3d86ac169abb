/*
 * answer_proxy.h: reply.proxy: the request goes to an upstream (io/httpc), its reply comes back as the answer
 * (server/streaming): a client that is slower than the upstream holds it back, one that has gone ends it. No Lua runs.
 * Owns: the attempt under way, through the exchange. Runs in: the worker's thread, from the loop.
 *
 * Fails: an upstream that cannot be reached, or gives no valid reply, is a 502, one that is too slow a 504, where no
 * other one may be tried instead (bind_reply_proxy.c says when); too many under way: 503. Once something of a reply
 * went to the client, its failure breaks the answer off. The client is told no more than that; the log names the
 * upstream.
 *
 * Until the upstream's header is there, `on_disconnect` says what the client's leaving ends; from then on it ends all.
 */
#ifndef CRESCENT_SERVER_ANSWER_PROXY_H
#define CRESCENT_SERVER_ANSWER_PROXY_H

#include "server/exchange.h"

/* Takes on the exchange's plan. */
void answer_proxy_take(struct exchange *ex);
/* The step after handle: asks the upstream; the reply answers. Without one: STEP_NEXT. */
enum step_result answer_proxy_step(struct exchange *ex);
/* Nobody waits for it any more. None is fine. */
void answer_proxy_stop(struct exchange *ex);

#endif
