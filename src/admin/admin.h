/*
 * admin.h: the operator's listener: /healthz, /readyz, /metrics and /api/v1 (admin/api) over HTTP/1.1; and the health
 * listener, which answers the first two and nothing else, to anybody. Host is checked (a web page that rebinds its name
 * to this address is refused), so is the Origin of an order; /metrics and the API want the token where one is
 * configured, else somebody who is not the user of scripts (admin/asker). Each answer of the operator's listener has
 * the field crescent-admin. Owns: its listening sockets and connections. Runs in: the keeper's loop. Never fails;
 * without a socket in the heritage it listens on nothing.
 */
#ifndef CRESCENT_ADMIN_ADMIN_H
#define CRESCENT_ADMIN_ADMIN_H

#include "admin/asker.h"
#include "base/config.h"
#include "ipc/heritage.h"
#include "reload/reload.h"

struct admin;

struct admin_host { /* all of it outlives the admin */
    struct loop *loop;
    const struct config *config;
    struct area *area;
    struct reload *reload;
    struct heritage *heritage; /* its admin sockets are taken */
    struct asker *asker;       /* who may ask where there is no token; NULL: everybody */
    int64_t tls_ends;          /* when the first certificate expires, in seconds since 1970; 0: there is none */
};

/* Lives as long as the process. */
struct admin *admin_new(const struct admin_host *host);
/* From now on this node is not ready: load balancers should send elsewhere. */
void admin_drain(struct admin *a);
/* Another one takes its place: accepts no more (who knocks waits for that one), answers who is in, and calls gone when
 * nobody is left, or after a moment. */
void admin_leave(struct admin *a, void (*gone)(void *cookie), void *cookie);

#endif
