/*
 * answer_file.h: reply.file: a file beneath `files` is opened and read on helper threads (io/pool), judged by what the
 * client has already (http/conditional), and streamed with back-pressure (server/streaming).
 * Owns: the open file and one piece of it, through the exchange; when the exchange lets go, the helper thread's end of
 * it is waited for. Runs in: the worker's thread. Fails: no such file is a 404; what the disk does is a 500 or 503,
 * logged; a file that becomes shorter while it is sent breaks the answer off.
 */
#ifndef CRESCENT_SERVER_ANSWER_FILE_H
#define CRESCENT_SERVER_ANSWER_FILE_H

#include "server/exchange.h"

/* Takes the server's response over: its status and headers are the answer's, its body is the path. */
void answer_file_take(struct exchange *ex);
/* The step after handle: opens what was taken, and answers when it is open. Without one: STEP_NEXT. */
enum step_result answer_file_step(struct exchange *ex);
/* Nobody waits for it any more. None is fine. */
void answer_file_stop(struct exchange *ex);

#endif
