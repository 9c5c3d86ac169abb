/*
 * server.c: libh2o's configuration and context, one handler for everything. See server.h; its end is drain.h's.
 * The server lives as long as its process: libh2o's context cannot be disposed while a connection is left.
 */
#include "server/server.h"
#include "base/leave.h"
#include "base/log.h"
#include "base/panic.h"
#include "policy/ips.h"
#include "server/admission.h"
#include "server/body_guard.h"
#include "server/client.h"
#include "server/http1_guard.h"
#include "server/http1_print.h"
#include "server/http2_proof.h"
#include "server/linger.h"
#include "server/listener.h"
#include "server/pipeline.h"
#include "server/server_internal.h"
#include "server/steps.h"
#include "server/sweep.h"
#include "server/tls.h"
#include "server/tls_handshake.h"
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * libh2o measures time by the wall clock: when that is set forward, all its timeouts fire at once. They are the sweep's
 * matter (which has the monotonic clock), so libh2o's lie a year away, in ms. (Longer than since 1970 must none be.)
 */
#define LIBRARY_TIMEOUT (366ull * 86400 * 1000)
struct handler {
    h2o_handler_t super;
    struct server *server;
};

/* Of a connection that we have cut, libh2o still hands out what it had read: refused without work. */
static int refuse_cut(h2o_req_t *req)
{
    if (req->version >= 0x200)
        return 0; /* goes with its connection */
    req->http1_is_persistent = 0;
    req->res.status = 503;
    req->res.reason = http_response_reason(503);
    req->res.content_length = 0;
    h2o_send_inline(req, "", 0);
    return 0;
}

static int on_request(h2o_handler_t *self, h2o_req_t *req)
{
    struct connection *c = connections_of_request(req);
    if (c != NULL && c->cut)
        return refuse_cut(req);
    if (c != NULL && c->refusal.why != REASON_none)
        req->http1_is_persistent = 0; /* bytes behind this request are gone */
    if (c != NULL && (c->framing != NULL || c->crowded || c->unread)) {
        req->http1_is_persistent = 0; /* nobody knows where the next request begins */
        linger_keep(c);
    }
    pipeline_begin(((struct handler *)self)->server, req);
    return 0;
}

/* --- birth ------------------------------------------------------------------------------------------------------ */

/* libh2o's own bounds stand behind ours, so that it is ours that decide, and answer. */
static void configure(struct server *s)
{
    const struct config_limits *limits = &s->host.config->limits;
    h2o_globalconf_t *g = &s->config;
    h2o_config_init(g);
    g->server_name = h2o_iovec_init(H2O_STRLIT("crescent"));
    g->max_request_entity_size = limits->body + 1; /* a chunked body that is just as large as this is refused by it */
    g->http1.req_timeout = LIBRARY_TIMEOUT;
    g->http1.upgrade_to_http2 = s->http2;
    g->http2.idle_timeout = LIBRARY_TIMEOUT;
    g->http2.latency_optimization.min_rtt = UINT_MAX; /* else it takes back what supervise/sockets has set */
    g->handshake_timeout = LIBRARY_TIMEOUT;
    /* No body goes to a temporary file: a full disk would drop connections, a page fault would hold the loop. */
    h2o_socket_buffer_mmap_settings.threshold = SIZE_MAX;

    h2o_hostconf_t *host = h2o_config_register_host(g, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    host->http2.push_preload = 0;
    h2o_pathconf_t *root = h2o_config_register_path(host, "/", 0);
    root->error_log.emit_request_errors = 0;
    host->fallback_path.error_log.emit_request_errors = 0;
    struct handler *handler = (struct handler *)h2o_create_handler(root, sizeof(*handler));
    handler->super.on_req = on_request;
    handler->server = s;
}

static int open_tls(struct server *s, struct error *err)
{
    const struct config *config = s->host.config;
    bool wanted = false;
    for (size_t i = 0; i < config->listen_count; i++)
        wanted |= config->listen[i].tls;
    if (!wanted)
        return 0;
    if (config->tls_count == 0)
        return error_set(err, "a listener speaks TLS, but there is no certificate");
    const struct tls_host host = {.http2 = s->http2, .tickets = &s->host.area->tickets, .info = tls_handshake_info};
    s->tls = tls_new(config, &host, err);
    if (s->tls == NULL)
        return -1;
    s->secure.ssl_ctx = tls_context(s->tls);
    return 0;
}

/* One body of limits.body has room in any case. */
static uint64_t share_of(const struct config_limits *limits)
{
    uint64_t least = body_guard_room(limits);
    return limits->body_memory_per_ip > least ? limits->body_memory_per_ip : least;
}

struct server *server_new(const struct server_host *host, struct error *err)
{
    struct server *s = need_zero(1, sizeof(*s));
    s->host = *host;
    s->pid = getpid();
    s->counters = &host->area->worker[host->slot].counters;
    list_init(&s->waiting);
    list_init(&s->answering);
    list_init(&s->streaming);
    list_init(&s->refusals);
    counters_set(s->counters, COUNTER_streams, 0); /* those of a worker before this one went with it */
    http_response_init(&s->response);
    connections_init(&s->connections, host->loop, s->counters, &host->config->limits);
    admission_open(s);
    body_memory_open(&s->body_memory, host->area, host->slot, host->config->limits.body_memory);
    body_memory_share(&s->body_memory, share_of(&host->config->limits));
    s->key_seed = host->area->limits.seed;
    signal(SIGPIPE, SIG_IGN); /* libh2o writes with writev */

    body_guard_open(s);
    struct error why = {""};
    s->http2 = http2_proof_run(&why) == 0;
    if (!s->http2)
        log_at(LOG_ERROR, "HTTP/2 stays off: libh2o is not guarded", LOG_STR("error", why.text));
    if (body_guard_proved(s, err) != 0) {
        free(s);
        error_prefix(err, "limits.body_memory cannot be kept");
        return NULL;
    }
    if (http1_guard_proved(err) != 0) {
        free(s);
        error_prefix(err, "HTTP/1 cannot be guarded");
        return NULL;
    }
    if (!http1_print_bound())
        log_at(LOG_DEBUG, "the heads of replies are written by libc's sprintf, which costs more");
    configure(s);
    h2o_context_init(&s->context, loop_evloop(host->loop), &s->config);
    s->plain = s->secure = (h2o_accept_ctx_t){.ctx = &s->context, .hosts = s->config.hosts};
    if (client_open(s, err) != 0 || open_tls(s, err) != 0 || steps_open(s, err) != 0) {
        ips_free(&s->trusted);
        leave_behind(s->context.queue); /* as in http2_proof */
        h2o_context_dispose(&s->context);
        h2o_config_dispose(&s->config);
        free(s);
        return NULL;
    }
    listener_open(s);
    sweep_start(s);
    return s;
}

void server_listen(struct server *s)
{
    listener_start(s);
}

void server_adopt(struct server *s, uint32_t member, bool on)
{
    listener_adopt(s, member, on);
}
