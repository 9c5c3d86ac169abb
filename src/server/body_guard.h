/*
 * body_guard.h: limits.body_memory where the memory is taken: libh2o buffers a body before anyone of ours hears of the
 * request. Definitions of two of its functions take the place of the library's, as in http2_guard.h: the one that makes
 * room in a buffer, and the one that frees it. All buffers that hold what peers send are counted by their capacity, and
 * large ones for whose they are; what would grow past a limit is refused. Large buffers grow by moving pages, not by
 * copying bytes. Owns: the addresses of the originals. Runs in: the worker's thread. Fails: body_guard_proved says
 * whether the linker did its part.
 */
#ifndef CRESCENT_SERVER_BODY_GUARD_H
#define CRESCENT_SERVER_BODY_GUARD_H

#include "base/config.h"
#include "base/error.h"
#include <stdbool.h>
#include <stdint.h>

struct server;

#define BODY_GUARD_MARGIN ((size_t)2 << 20) /* so much larger than what they hold are large buffers, at most */

/* Bytes that one body of limits.body may take while it comes in, in whole MiB: limits.body_memory must have them. */
uint64_t body_guard_room(const struct config_limits *limits);

/* From now on, buffers are counted by s->body_memory. Once, before the process's first buffer; s lives as long as it.
 */
void body_guard_open(struct server *s);
/*
 * After libh2o was led through a connection (http2_proof_run), which is over: 0 when it called ours for all of it, and
 * all that it took is given back; -1 with words.
 */
int body_guard_proved(const struct server *s, struct error *err);
/*
 * http2_guard tells the type of each frame before libh2o handles it, and whose it is (as shm/peers has it; 0:
 * nobody's): room for header blocks may not be refused then, but before (body_guard_block).
 */
void body_guard_frame(unsigned type, uint64_t peer);
/*
 * A frame of a header block is about to be kept, `more` bytes of it. False, and counted: that address may not, or
 * nobody; the connection must end, since a block cannot be passed over (RFC 9113 4.3).
 */
bool body_guard_block(uint64_t peer, size_t more);
/* What asks for room next is no frame of that connection. */
void body_guard_frames_over(void);

#endif
