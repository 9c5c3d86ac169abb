/*
 * exchange.h: one request on its way, and who owns what in it. See pipeline.h for the way.
 * Owns: a hold on the generation it began with, a detached copy of the request where it waits on HTTP/2, its task.
 * Two things keep it alive: libh2o's request (until that is disposed: answered and delivered, reset, connection gone)
 * and its own work (until the pipeline has come to its end). Runs in: the worker's thread.
 */
#ifndef CRESCENT_SERVER_EXCHANGE_H
#define CRESCENT_SERVER_EXCHANGE_H

#include "bind/bind_req.h"
#include "bind/bind_stream.h"
#include "http/trace.h"
#include "policy/policy.h"
#include "policy/ratelimit.h"
#include "script/task.h"
#include "server/server_internal.h"

enum step_result {
    STEP_NEXT, /* go on with the next step */
    STEP_WAIT, /* a task is suspended; the pipeline goes on when it has ended */
    STEP_DONE  /* answered (or there is nobody left to answer) */
};

struct http_stream;
struct answer_file;
struct answer_proxy;
struct streaming_writer;

#define EXCHANGE_MAGIC 0x65786368u

struct exchange {
    uint32_t magic;
    struct exchange *next; /* in the pool */
    struct list link;      /* in server.waiting, .streaming or .answering */
    struct list behind;    /* in connection.behind, while it waits there; see backlog.h */
    struct list left;      /* in connection.left: libh2o has disposed of the request, and its work goes on */
    size_t held;           /* bytes of its answer that are held for the client */
    struct server *server;
    struct connection *connection; /* NULL: none is known */
    struct st_h2o_req_t *req;      /* NULL once disposed */

    struct http_request view;
    struct st_h2o_buffer_t *body; /* what holds the body once the view is detached, taken from libh2o; or NULL */
    struct identity *identity;    /* held; view.identity is the same */
    struct generation *generation;
    struct router_match match;
    const struct endpoint_handler *handler;
    struct verify_auth auth;
    struct buf event_type; /* memory of bind.event_type where the request does not hold it */
    struct bind_req bind;

    size_t step;              /* in the pipeline's table */
    enum step_result outcome; /* of the task that has ended */
    bool starting;            /* inside task_start */
    bool working;             /* it is in progress: see access_works */
    bool over;                /* the pipeline has come to its end */
    bool gone;                /* the client has left before the answer, or in the middle of a stream */
    bool abused;              /* its connection was cut for abuse */
    struct task *task;        /* suspended, or NULL */
    mono_t started;
    struct timeout deadline;
    struct loop_later later; /* goes on with the pipeline after a task that waited */

    struct http_stream *stream; /* the answer is being written; see streaming.h */
    const struct streaming_writer *writer;
    struct answer_file *file;    /* reply.file, or NULL; see answer_file.h */
    struct answer_proxy *proxy;  /* reply.proxy, or NULL; see answer_proxy.h */
    struct bind_reply_plan plan; /* of a script's stream, or of reply.proxy: kept until its end */
    struct bind_stream *script;

    struct slice upstream; /* who was asked last; in the plan */
    dur_t upstream_time;   /* until its header; 0: there is none */
    struct ratelimit_state rate;
    struct trace trace;
    enum reason refused; /* REASON_none: it was not */
    uint64_t probe;      /* of a quarantined endpoint, undecided; 0: it is none. See probation.h */
    bool cut;            /* ended by the server (or its script) before the answer was out, or in the middle of it */
    bool recorded;
    uint64_t sent;      /* bytes of the answer's body, once disposed */
    uint64_t swept;     /* the number of the sweep that last looked at it */
    mono_t progress_at; /* while answering: when the delivery last moved */
    uint64_t progress;
    mono_t rate_at; /* while bytes wait for the client: since then they do, or since a write_time; 0: not begun */
    uint64_t rate_bytes;
    int status; /* of the answer */
};

/* Takes libh2o's request on: hears of its disposal, which calls `gone` when there is no answer yet. */
struct exchange *exchange_new(struct server *s, struct st_h2o_req_t *req, void (*go_on)(struct loop_later *),
                              void (*gone)(struct exchange *));
static inline struct endpoint *exchange_endpoint(const struct exchange *ex)
{
    return ex->generation != NULL ? ex->match.endpoint : NULL;
}
/*
 * Copies an HTTP/2 request into memory of the exchange, but for the body, whose buffer it takes: libh2o's may go, what
 * was read from it stays right.
 */
void exchange_detach(struct exchange *ex);
/* The server's response, emptied, to be filled for exchange_answer. */
struct http_response *exchange_response(struct exchange *ex);
/* Sends the server's response, once, and counts it; without a client it is dropped, and counted as that. */
void exchange_answer(struct exchange *ex);
/*
 * What every answer says beside what it is: who may read it (cors), and to a client who named its trace, which part of
 * it this is. For answers that exchange_answer does not send.
 */
void exchange_complete(struct exchange *ex);
/* Answers with a problem; headers that are in the server's response already stay. detail, members: SLICE_NONE: none. */
void exchange_problem(struct exchange *ex, int status, struct slice detail, struct slice members);
/* The same for a refusal before handle, with the reason's status, counted and logged by its reason. */
void exchange_refuse(struct exchange *ex, enum reason reason, const char *detail);
/* The pipeline has come to its end: frees the exchange if nothing else keeps it. Do not touch it afterwards. */
void exchange_over(struct exchange *ex);

#endif
