/*
 * admission.c: see admission.h. What is idle is found by a hand that goes round the registry, a few places at a time:
 * what it has passed over goes to the registry's end.
 */
#include "server/admission.h"
#include "base/log.h"
#include "base/panic.h"
#include "server/client.h"

#define PLACES 16     /* looked at for each newcomer */
#define IDLE DUR_S(1) /* so long before it counts as idle */
#define SAID_EVERY DUR_S(1)

void admission_open(struct server *s)
{
    s->connections.open = &s->host.area->worker[s->host.slot].open;
    peers_open(&s->connections.peers, s->host.area, s->host.slot, PEERS_CONNECTIONS);
}

static uint64_t connections_of_all(const struct server *s)
{
    const struct area *area = s->host.area;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < area_used(area); i++)
        sum += atomic_load(&area->worker[i].open);
    return sum;
}

/* A TLS handshake or a request that is arriving is not idle; what the sweep has seen last is good enough. */
static bool is_idle(const struct server *s, const struct connection *c, mono_t now)
{
    return c->sock != NULL && c->live == 0 && !c->cut && c->handshake == NULL && c->receiving != s->sweep_number &&
           mono_since(now, c->since).ns >= IDLE.ns;
}

/* Cuts one that is idle. */
static bool make_room(struct server *s)
{
    mono_t now = loop_now(s->host.loop);
    struct list *all = &s->connections.all;
    for (int i = 0; i < PLACES && !list_empty(all); i++) {
        struct connection *c = CONTAINER_OF(all->next, struct connection, link);
        list_remove(&c->link);
        list_add(all, &c->link);
        if (!is_idle(s, c, now))
            continue;
        connections_cut(c, COUNTER_cut_connections);
        return true;
    }
    return false;
}

static void say(struct server *s, const char *limit)
{
    mono_t now = loop_now(s->host.loop);
    s->turned_away++;
    if (mono_since(now, s->turned_away_said).ns < SAID_EVERY.ns)
        return;
    log_at(LOG_WARN, "connections turned away", LOG_STR("limit", limit), LOG_INT("count", s->turned_away));
    s->turned_away = 0;
    s->turned_away_said = now;
}

/* What was cut for it counts until libh2o has heard of its end: so for a moment there may be a few more. */
static bool has_place(struct server *s)
{
    return connections_of_all(s) <= s->host.config->limits.connections || make_room(s);
}

static bool turn_away(struct server *s, struct connection *c, enum counter why, const char *limit)
{
    connections_cut(c, why);
    say(s, limit);
    h2o_socket_close(c->sock);
    return false;
}

bool admission_admit(struct server *s, struct connection *c)
{
    return has_place(s) || turn_away(s, c, COUNTER_cut_connections, "connections");
}

bool admission_address(struct server *s, struct connection *c)
{
    struct ip peer;
    connections_peer(c, &peer);
    c->proxied = !c->unnamed && client_trusted(s, &peer);
    if (c->proxied || connections_count_as(c, &peer) <= s->host.config->limits.connections_per_ip)
        return true;
    return turn_away(s, c, COUNTER_cut_per_ip, "connections_per_ip");
}
