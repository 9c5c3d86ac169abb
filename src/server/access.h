/*
 * access.h: what is counted and logged of an exchange; its record is access_record's.
 * Runs in: the worker. Never fails.
 */
#ifndef CRESCENT_SERVER_ACCESS_H
#define CRESCENT_SERVER_ACCESS_H

#include "io/httpc.h"
#include "policy/policy.h"
#include "script/error.h"
#include "script/host.h"

struct exchange;

/* It began; it was answered with this status; its client left before that, or the server has cut its connection. */
void access_begun(struct exchange *ex, int version);
void access_answered(struct exchange *ex, int status);
void access_gone(struct exchange *ex);
/*
 * Whether it is in progress (limits.requests): from its begin until its answer is whole, and then a matter of its
 * client only; not while it waits behind answers that do. Said again, either changes nothing.
 */
void access_works(struct exchange *ex);
void access_rests(struct exchange *ex);
/* It was refused before handle. */
void access_refused(struct exchange *ex, enum reason reason);
/* Its end: answered and delivered, or nobody is left to take it, and its work is done. Its record; once. */
void access_ended(struct exchange *ex);
/* Its worker ends and it goes with that, unanswered or undelivered: its record now. (Whoever buries the worker counts
 * it, see counters_forget.) */
void access_cut_off(struct exchange *ex);
/* Whose lines those of a task are: script_host.labels; the cookie is the exchange. */
size_t access_labels(void *cookie, struct host_labels *labels);
/* Its trace, as its callees are told: script_host.trace. */
bool access_trace(void *cookie, char text_out[HOST_TRACE]);
/* Its script raised, or returned what is no answer. */
void access_script_error(struct exchange *ex, const struct script_error *e);
void access_bad_reply(struct exchange *ex, const char *words);
/* The file of a reply.file, for the disk's reasons or ours: before its answer, the page tells, too. */
void access_file_failed(struct exchange *ex, const char *words);
/* The upstream of a reply.proxy; last: there is no other attempt. The log has at most ten a second of them. */
void access_upstream_failed(struct exchange *ex, struct slice upstream, enum httpc_code code, const char *words,
                            bool last);
/* It passed its endpoint's timeout, and is still where it waits. */
void access_timeout(struct exchange *ex);
/* A streamed answer began; it ended, which is when it counts as an answer (broken off: as a 5xx), or as one gone. */
enum access_stream_end { ACCESS_STREAM_COMPLETE, ACCESS_STREAM_GONE, ACCESS_STREAM_BROKEN };
void access_stream_begun(struct exchange *ex);
void access_stream_ended(struct exchange *ex, enum access_stream_end how);
/* It passed the time that its script gave it. */
void access_stream_timeout(struct exchange *ex);

#endif
