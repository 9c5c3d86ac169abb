/*
 * admin.c: see admin.h. Order: Host → route → method → token → who asks → answer.
 */
#include "admin/admin.h"
#include "admin/api.h"
#include "admin/metrics.h"
#include "base/list.h"
#include "base/log.h"
#include "base/panic.h"
#include "crypto/equal.h"
#include "http/problem.h"
#include "http/response.h"
#include "io/timeout.h"
#include <arpa/inet.h>
#include <errno.h>
#include <h2o.h>
#include <h2o/http1.h>
#include <stdlib.h>
#include <sys/socket.h>

#define CONNECTIONS_MAX 100         /* of each listener: whoever fills the one leaves the other */
#define HEALTH_CONNECTIONS_MAX 1000 /* more strangers come there, and the balancer's question must get through */
#define REQUEST_MAX (64u << 10)
#define LEAVE_TIME \
    DUR_MS(500)       /* for requests that have just been sent; idle connections are not waited for any longer */
#define TIME_MS 10000 /* for a whole request, and between two */
#define PAUSE DUR_MS(100)
#define SAY_EACH DUR_S(10)

struct seldom { /* what the log tells of each SAY_EACH only */
    mono_t said;
    unsigned count; /* since then */
};

struct face { /* one of the two listeners */
    struct admin *admin;
    bool health;              /* answers no more than that */
    h2o_hostconf_t *hosts[2]; /* its handler's, and NULL */
    h2o_accept_ctx_t accept;
    unsigned connections;
    struct list guests; /* those that are not cut, in the order of their last whole request, or else of their coming */
    struct seldom cut;
    struct door *doors; /* for life; the loop knows of them only through the kernel */
};

struct guest { /* a connection; freed as its socket closes */
    struct list link;
    struct face *face;
    h2o_socket_t *sock;
    bool cut; /* what it had sent by then may be answered still */
};

struct door { /* one listening socket */
    struct door *next;
    struct face *face;
    h2o_socket_t *sock;
    struct timeout pause;
};

struct admin {
    struct admin_host host;
    h2o_globalconf_t config;
    h2o_context_t context;
    struct face operators, health;
    bool draining, leaving;
    struct seldom refused; /* who may not ask */
    struct timeout leave;
    mono_t leave_by;
    void (*gone)(void *cookie);
    void *gone_cookie;
};

struct admin_handler {
    h2o_handler_t super;
    struct face *face;
};

struct route {
    struct slice path;
    struct slice rest; /* where this is not empty: the path's end, and a name stands between the two */
    bool health;       /* for the health listener, too */
    bool token;        /* wants it, where one is configured */
    bool post;         /* an order: POST; else a question: GET, HEAD */
    void (*answer)(struct admin *a, struct slice name, struct http_response *r, struct buf *body);
};

static int on_request(h2o_handler_t *self, h2o_req_t *req);
static void on_accept(h2o_socket_t *listener, const char *err);

/* --- birth -------------------------------------------------------------------------------------------------------- */

static void listen_on(struct face *f, struct heritage_socket *socket)
{
    void *loop = loop_evloop(f->admin->host.loop);
    struct door *d = need_zero(1, sizeof(*d));
    d->face = f;
    d->next = f->doors;
    f->doors = d;
    d->sock = h2o_evloop_socket_create(loop, socket->fd, H2O_SOCKET_FLAG_DONT_READ);
    d->sock->data = d;
    h2o_socket_read_start(d->sock, on_accept);
    socket->fd = HERITAGE_NO_FD;
}

/* The name is what a request without Host is taken for: health checkers of HTTP/1.0 send none. */
static void make_face(struct admin *a, struct face *f, const char *name)
{
    f->admin = a;
    list_init(&f->guests);
    f->hosts[0] = h2o_config_register_host(&a->config, h2o_iovec_init(name, strlen(name)), 65535);
    h2o_pathconf_t *all = h2o_config_register_path(f->hosts[0], "/", 0);
    struct admin_handler *handler = (void *)h2o_create_handler(all, sizeof(*handler));
    handler->super.on_req = on_request;
    handler->face = f;
    f->accept = (h2o_accept_ctx_t){.ctx = &a->context, .hosts = f->hosts};
}

struct admin *admin_new(const struct admin_host *host)
{
    struct admin *a = need_zero(1, sizeof(*a));
    a->host = *host;
    h2o_config_init(&a->config);
    a->config.server_name = h2o_iovec_init(H2O_STRLIT("crescent"));
    a->config.max_request_entity_size = REQUEST_MAX;
    a->config.http1.req_timeout = TIME_MS;
    a->config.http1.upgrade_to_http2 = 0;
    a->health.health = true;
    make_face(a, &a->operators, "localhost");
    make_face(a, &a->health, "health");
    h2o_context_init(&a->context, loop_evloop(host->loop), &a->config);
    for (size_t i = 0; i < host->heritage->socket_count; i++)
        if (host->heritage->sockets[i].listener == HERITAGE_ADMIN)
            listen_on(&a->operators, &host->heritage->sockets[i]);
        else if (host->heritage->sockets[i].listener == HERITAGE_HEALTH)
            listen_on(&a->health, &host->heritage->sockets[i]);
    return a;
}

void admin_drain(struct admin *a)
{
    a->draining = true;
}

static void on_leave(struct timeout *t)
{
    struct admin *a = CONTAINER_OF(t, struct admin, leave);
    mono_t now = loop_now(a->host.loop);
    if (a->operators.connections + a->health.connections == 0 || !mono_before(now, a->leave_by))
        a->gone(a->gone_cookie);
    else
        timeout_set(a->host.loop, &a->leave, mono_add(now, DUR_MS(5)), on_leave);
}

void admin_leave(struct admin *a, void (*gone)(void *cookie), void *cookie)
{
    if (a->leaving)
        return;
    mono_t now = loop_now(a->host.loop);
    a->leaving = true;
    a->gone = gone;
    a->gone_cookie = cookie;
    a->leave_by = mono_add(now, LEAVE_TIME);
    h2o_context_request_shutdown(&a->context);
    timeout_set(a->host.loop, &a->leave, now, on_leave);
}

/* --- connections -------------------------------------------------------------------------------------------------- */

/* Whether the log is to tell of it now; then count_out is how often it was since the log last did. */
static bool say_seldom(const struct admin *a, struct seldom *what, unsigned *count_out)
{
    mono_t now = loop_now(a->host.loop);
    what->count++;
    if (what->said.ns != 0 && mono_before(now, mono_add(what->said, SAY_EACH)))
        return false;
    *count_out = what->count;
    *what = (struct seldom){.said = now};
    return true;
}

static void on_close(void *data)
{
    struct guest *g = data;
    g->face->connections--;
    list_remove(&g->link);
    free(g);
}

static struct guest *guest_of(h2o_req_t *req)
{
    return req->conn->callbacks->get_socket(req->conn)->on_close.data;
}

/*
 * Who has asked for nothing for the longest time makes room, so that filling a listener keeps nobody out who asks at
 * once. Answers are made as requests come: what is cut with one has not been taken by its client for as long. libh2o
 * hears of it by its next event, so for a moment there may be a few more.
 */
static void make_room(struct face *f)
{
    struct admin *a = f->admin;
    unsigned count;
    if (list_empty(&f->guests))
        return;
    struct guest *g = CONTAINER_OF(f->guests.next, struct guest, link);
    list_remove(&g->link);
    g->cut = true;
    shutdown(h2o_socket_get_fd(g->sock), SHUT_RDWR);
    counters_add(&a->host.area->keeper, f->health ? COUNTER_cut_health : COUNTER_cut_admin, 1);
    if (say_seldom(a, &f->cut, &count))
        log_at(LOG_WARN, "too many connections: those that waited longest are cut",
               LOG_STR("listener", f->health ? "health" : "admin"), LOG_INT("count", count));
}

static void let_in(struct face *f, h2o_socket_t *socket)
{
    struct guest *g = need_alloc(sizeof(*g));
    if (f->connections >= (f->health ? HEALTH_CONNECTIONS_MAX : CONNECTIONS_MAX))
        make_room(f);
    *g = (struct guest){.face = f, .sock = socket};
    list_init(&g->link);
    list_add(&f->guests, &g->link);
    f->connections++;
    socket->on_close.cb = on_close;
    socket->on_close.data = g;
    h2o_accept(&f->accept, socket);
}

static void pause_over(struct timeout *t)
{
    h2o_socket_read_start(CONTAINER_OF(t, struct door, pause)->sock, on_accept);
}

/* With no descriptor left for who knocks, the level-triggered listener would keep the loop spinning. */
static void pause_accepting(struct door *d, int why)
{
    struct loop *l = d->face->admin->host.loop;
    log_at(LOG_WARN, "cannot accept connections for now", LOG_STR("error", strerror(why)));
    h2o_socket_read_stop(d->sock);
    timeout_set(l, &d->pause, mono_add(loop_now(l), PAUSE), pause_over);
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
    struct door *d = listener->data;
    struct face *f = d->face;
    if (err != NULL)
        return;
    if (f->admin->leaving) {
        h2o_socket_read_stop(listener);
        return;
    }
    errno = 0;
    h2o_socket_t *socket = h2o_evloop_socket_accept(listener);
    if (socket == NULL) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            pause_accepting(d, errno);
        return;
    }
    let_in(f, socket);
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

/* The name in "name:port", "[v6]:port". */
static struct slice host_name(struct slice authority)
{
    size_t end = authority.len;
    if (authority.len != 0 && authority.at[0] == '[') {
        size_t close = slice_find(authority, ']');
        return close == SIZE_MAX ? SLICE_NONE : (struct slice){authority.at + 1, close - 1};
    }
    size_t colon = slice_find(authority, ':');
    return (struct slice){authority.at, colon == SIZE_MAX ? end : colon};
}

static bool is_address(struct slice name)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr room;
    if (name.len == 0 || name.len >= sizeof(text))
        return false;
    memcpy(text, name.at, name.len);
    text[name.len] = '\0';
    return strlen(text) == name.len && (inet_pton(AF_INET, text, &room) == 1 || inet_pton(AF_INET6, text, &room) == 1);
}

/*
 * Against web pages that rebind their name to this address. No browser gets at a unix socket; and health says nothing
 * that a page could use, to load balancers that ask under any name.
 */
static bool host_allowed(const struct face *f, h2o_req_t *req)
{
    const struct admin *a = f->admin;
    if (f->health || a->host.config->admin.path != NULL)
        return true;
    struct slice name = host_name((struct slice){req->input.authority.base, req->input.authority.len});
    return is_address(name) || slice_equal_nocase(name, SLICE("localhost")) ||
           (a->host.config->admin.host != NULL && slice_equal_nocase(name, slice_of(a->host.config->admin.host)));
}

static bool token_good(const struct admin *a, h2o_req_t *req)
{
    if (a->host.config->admin_token == NULL)
        return true;
    ssize_t at = h2o_find_header(&req->headers, H2O_TOKEN_AUTHORIZATION, SIZE_MAX);
    if (at == -1)
        return false;
    struct slice value = {req->headers.entries[at].value.base, req->headers.entries[at].value.len};
    const struct slice scheme = SLICE("Bearer ");
    if (value.len < scheme.len || !slice_equal_nocase((struct slice){value.at, scheme.len}, scheme))
        return false;
    return equal_secret(slice_trim(slice_from(value, scheme.len)), slice_of(a->host.config->admin_token));
}

static void say_refused(struct admin *a)
{
    unsigned count;
    counters_add(&a->host.area->keeper, COUNTER_admin_refused, 1);
    if (say_seldom(a, &a->refused, &count))
        log_at(LOG_WARN, "the admin listener was asked by the user that scripts run as", LOG_INT("refused", count));
}

/* Where there is a token, that decides. Else nobody may ask who could be a script, or a worker that was taken over. */
static bool asker_good(struct admin *a, h2o_req_t *req)
{
    h2o_socket_t *socket = req->conn->callbacks->get_socket(req->conn);
    if (a->host.asker == NULL || a->host.config->admin_token != NULL ||
        asker_may(a->host.asker, h2o_socket_get_fd(socket)))
        return true;
    say_refused(a);
    return false;
}

static void text_answer(struct http_response *r, int status, struct slice body)
{
    r->status = status;
    r->body = body;
    http_response_add(r, SLICE("content-type"), SLICE("text/plain; charset=utf-8"), NULL);
}

static void answer_health(struct admin *a, struct slice name, struct http_response *r, struct buf *body)
{
    text_answer(r, 200, SLICE("ok\n"));
}

static void answer_ready(struct admin *a, struct slice name, struct http_response *r, struct buf *body)
{
    if (a->draining)
        text_answer(r, 503, SLICE("draining\n"));
    else if (!reload_is_live(a->host.reload))
        text_answer(r, 503, SLICE("scripts are not loaded yet\n"));
    else if (admin_metrics_serving(a->host.area) == 0)
        text_answer(r, 503, SLICE("no worker is serving\n"));
    else
        text_answer(r, 200, SLICE("ok\n"));
}

static void answer_metrics(struct admin *a, struct slice name, struct http_response *r, struct buf *body)
{
    admin_metrics_write(a->host.area, a->host.reload, a->host.tls_ends, body);
    r->status = 200;
    r->body = buf_slice(body);
    http_response_add(r, SLICE("content-type"), SLICE("text/plain; version=0.0.4; charset=utf-8"), NULL);
}

static struct api api_of(const struct admin *a)
{
    return (struct api){.area = a->host.area, .reload = a->host.reload};
}

static void answer_quarantine(struct admin *a, struct slice name, struct http_response *r, struct buf *body)
{
    const struct api api = api_of(a);
    api_quarantine(&api, name, r, body);
}

static void answer_unquarantine(struct admin *a, struct slice name, struct http_response *r, struct buf *body)
{
    const struct api api = api_of(a);
    api_unquarantine(&api, name, r, body);
}

static const struct route routes[] = {
    {.path = SLICE("/healthz"), .health = true, .answer = answer_health},
    {.path = SLICE("/readyz"), .health = true, .answer = answer_ready},
    {.path = SLICE("/metrics"), .token = true, .answer = answer_metrics},
    {.path = SLICE("/api/v1/quarantine"), .token = true, .answer = answer_quarantine},
    {.path = SLICE("/api/v1/scripts/"),
     .rest = SLICE("/unquarantine"),
     .token = true,
     .post = true,
     .answer = answer_unquarantine},
};

/* name_out: what stands between path and rest: one or more bytes. */
static bool route_is(const struct route *route, struct slice path, struct slice *name_out)
{
    *name_out = SLICE_NONE;
    if (route->rest.len == 0)
        return slice_equal(route->path, path);
    if (path.len <= route->path.len + route->rest.len || !slice_starts(path, route->path) ||
        !slice_ends(path, route->rest))
        return false;
    *name_out = (struct slice){path.at + route->path.len, path.len - route->path.len - route->rest.len};
    return true;
}

static const struct route *find_route(const struct face *f, struct slice path, struct slice *name_out)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        if (route_is(&routes[i], path, name_out))
            return routes[i].health || !f->health ? &routes[i] : NULL;
    return NULL;
}

/* A web page of anywhere may have its visitor's browser post here. Browsers then say where they come from. */
static bool origin_allowed(h2o_req_t *req)
{
    ssize_t at = h2o_find_header_by_str(&req->headers, H2O_STRLIT("origin"), SIZE_MAX);
    if (at == -1)
        return true;
    struct slice origin = {req->headers.entries[at].value.base, req->headers.entries[at].value.len};
    size_t end = slice_find(origin, '/'); /* of "http://host:port" */
    return end != SIZE_MAX && origin.len > end + 2 &&
           slice_equal_nocase(slice_from(origin, end + 2),
                              (struct slice){req->input.authority.base, req->input.authority.len});
}

static bool method_is(const struct route *route, h2o_req_t *req)
{
    if (route->post)
        return h2o_memis(req->method.base, req->method.len, H2O_STRLIT("POST"));
    return h2o_memis(req->method.base, req->method.len, H2O_STRLIT("GET")) ||
           h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD"));
}

static void refuse(struct http_response *r, int status, const char *detail, struct buf *body)
{
    struct uuid id = uuid_new(wall_now());
    problem_make(r, status, slice_of(detail), &id, SLICE_NONE, body);
}

static void answer(const struct face *f, h2o_req_t *req, struct http_response *r, struct buf *body)
{
    struct admin *a = f->admin;
    struct slice name;
    const struct route *route =
        find_route(f, (struct slice){req->path_normalized.base, req->path_normalized.len}, &name);
    if (!host_allowed(f, req)) {
        refuse(r, 403, "the Host header names neither this listener, localhost nor an address", body);
    } else if (route == NULL) {
        refuse(r, 404, NULL, body);
    } else if (!method_is(route, req)) {
        refuse(r, 405, NULL, body);
        http_response_add(r, SLICE("allow"), route->post ? SLICE("POST") : SLICE("GET, HEAD"), NULL);
    } else if (route->post && !origin_allowed(req)) {
        refuse(r, 403, "the Origin header names another site", body);
    } else if (route->token && !token_good(a, req)) {
        refuse(r, 401, "this needs the admin token", body);
        http_response_add(r, SLICE("www-authenticate"), SLICE("Bearer realm=\"crescent\""), NULL);
    } else if (route->token && !asker_good(a, req)) {
        refuse(r, 403, "the user that scripts run as may not ask this: admin_token would let in who has it", body);
    } else {
        route->answer(a, name, r, body);
    }
    if (!f->health) /* the command line tells by it whom it has asked */
        http_response_add(r, SLICE("crescent-admin"), SLICE("1"), NULL);
    http_response_add(r, SLICE("cache-control"), SLICE("no-store"), NULL);
}

static int on_request(h2o_handler_t *self, h2o_req_t *req)
{
    struct face *f = ((struct admin_handler *)self)->face;
    struct guest *g = guest_of(req);
    struct http_response r;
    struct buf body = {0};
    if (!g->cut) {
        list_remove(&g->link);
        list_add(&f->guests, &g->link);
    }
    http_response_init(&r);
    answer(f, req, &r, &body);
    http_response_send(&r, req);
    http_response_free(&r);
    buf_free(&body);
    return 0;
}
