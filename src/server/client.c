/*
 * client.c: see client.h.
 */
#include "server/client.h"
#include "base/panic.h"
#include "codec/url.h"
#include "policy/forwarded.h"
#include "server/dev_page.h"
#include "server/steps.h"

static void open_published(struct server *s, const char *base)
{
    struct url u;
    CHECK(url_parse(slice_of(base), &u) == NULL); /* it was read so when it was set */
    s->published = (struct http_published){
        .base = slice_of(base), .scheme = u.tls ? SLICE("https") : SLICE("http"), .host = u.host};
}

int client_open(struct server *s, struct error *err)
{
    const struct config *c = s->host.config;
    s->trusted = ips_new(c->trusted, c->trusted_count, err);
    if (s->trusted == NULL)
        return error_prefix(err, "trusted_proxies");
    if (c->public_url != NULL)
        open_published(s, c->public_url);
    return 0;
}

bool client_any_trusted(const struct server *s)
{
    return !ips_empty(s->trusted);
}

bool client_trusted(const struct server *s, const struct ip *peer)
{
    return ips_have(s->trusted, peer);
}

enum step_result client_step(struct exchange *ex)
{
    struct server *s = ex->server;
    struct forwarded by;
    const char *why = NULL;
    ex->view.published = s->published.base.at != NULL ? &s->published : NULL;
    if (!client_any_trusted(s) || !client_trusted(s, &ex->view.client))
        return STEP_NEXT;
    if (ex->connection != NULL && ex->connection->unnamed)
        return STEP_NEXT;
    if (forwarded_read(&ex->view, s->trusted, &by, &why) != 0) {
        exchange_response(ex);
        exchange_refuse(ex, REASON_forwarded_conflict, why);
        return STEP_DONE;
    }
    http_request_forwarded(ex->req, &ex->view, &by.client, by.scheme, by.authority);
    /* Through a proxy nobody reaches a host that asks for client certificates, but as over a connection of its own. */
    return by.authority.at != NULL ? steps_site(ex) : STEP_NEXT;
}

/* With --dev: who it was, and whether a proxy said so in vain. */
static void explain(struct exchange *ex)
{
    const struct http_request *v = &ex->view;
    struct buf line = {0};
    char ip[IP_TEXT];
    bool forwarded = http_request_header(v, SLICE("x-forwarded-for")).at != NULL ||
                     http_request_header(v, SLICE("forwarded")).at != NULL;
    buf_addf(&line, "the client is %.*s, which allow_ips of %s does not name", SLICE_ARG(ip_text(&v->client, ip)),
             exchange_endpoint(ex)->file);
    if (forwarded && !client_trusted(ex->server, &v->client))
        buf_add_text(&line, " (what a proxy says of its client counts where trusted_proxies names the proxy)");
    dev_page_note(ex->server, buf_slice(&line));
    buf_free(&line);
}

enum step_result client_allowed(struct exchange *ex)
{
    const struct ips *allowed = exchange_endpoint(ex)->allow_ips;
    if (allowed == NULL || ips_have(allowed, &ex->view.client))
        return STEP_NEXT;
    if (ex->server->host.config->dev)
        explain(ex);
    exchange_response(ex);
    exchange_refuse(ex, REASON_address_not_allowed, "this address is not let in here");
    return STEP_DONE;
}
