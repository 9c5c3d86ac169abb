/*
 * address.h: which addresses an outgoing request may reach. Never: this server's own admin listener, link-local ones
 * (with them the metadata services of clouds), unspecified, multicast and reserved ones, in whatever way they are
 * written into an IPv6 address (mapped, compatible, NAT64, 6to4, Teredo). On demand: private ones (RFC 1918, RFC 4193,
 * loopback, RFC 6598, and what is routed nowhere). Judged is the address that a connection is made to, after any
 * lookup. Plain data. Runs in: any thread. Never fails.
 */
#ifndef CRESCENT_IO_ADDRESS_H
#define CRESCENT_IO_ADDRESS_H

#include "base/error.h"
#include "base/slice.h"
#include <netinet/in.h>
#include <stdbool.h>

#define ADDRESS_ADMIN_MAX 16

struct address_rules {
    struct in6_addr
        admin[ADDRESS_ADMIN_MAX]; /* where the admin listener is bound, IPv4 mapped; `::` is every address */
    uint16_t port[ADDRESS_ADMIN_MAX];
    size_t count;
    bool only;             /* no ports but these; none of them: no address at all */
    const uint16_t *ports; /* outlive the rules */
    size_t port_count;
};

/* "127.0.0.1:8081 [::1]:8081": what the admin listener is bound to; empty: nothing. 0, or -1 with words. */
int address_rules_read(struct slice text, struct address_rules *rules_out, struct error *err);
/* Whether the setting http_ports allows that port; of any address. */
bool address_port_allowed(const struct address_rules *rules, uint16_t port);
/* NULL: it may be reached. Else why not, in static words: "a link-local address". */
const char *address_refused(const struct address_rules *rules, const struct sockaddr *to, bool public_only);

#endif
