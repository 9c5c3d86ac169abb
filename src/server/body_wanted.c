/*
 * body_wanted.c: see body_wanted.h. It asks what the steps ask (steps.c, client.c), of the same generation.
 */
#include "server/body_wanted.h"
#include "base/panic.h"
#include "policy/ips.h"
#include "route/endpoint.h"
#include "server/server_internal.h"
#include "server/steps.h"

/* Whom its endpoint would let in; NULL: nobody would be served there. */
static const struct endpoint *find(struct server *s, struct st_h2o_mem_pool_t *pool, const struct body_head *head)
{
    struct http_request view = {.raw_path = head->target, .authority = head->host, .version = head->version};
    const char *why = NULL;
    if (http_request_target(pool, &view, &why) != 0)
        return NULL;
    const struct endpoint *e = steps_endpoint_at(s, view.host, view.path);
    return e != NULL && e->broken == NULL ? e : NULL;
}

bool body_wanted(struct connection *c, struct st_h2o_mem_pool_t *pool, const struct body_head *head)
{
    struct server *s = CONTAINER_OF(c->owner, struct server, connections);
    struct ip peer;
    if (head->length <= BODY_MEMORY_SMALL)
        return true;
    if (head->host.at == NULL && head->version == 0x101) /* steps_view refuses it */
        return false;
    if (c->proxied)
        return true;
    connections_peer(c, &peer);
    const struct endpoint *e = find(s, pool, head);
    if (e == NULL || (e->allow_ips != NULL && !ips_have(e->allow_ips, &peer)) ||
        endpoint_handler_for(e, head->method.at, head->method.len) == NULL)
        return false;
    size_t bound = steps_body_bound(s, e);
    if (head->length == BODY_UNKNOWN)
        c->body_most = bound;
    return head->length == BODY_UNKNOWN || head->length <= bound;
}
