/*
 * ips.h: a set of addresses and networks: `allow_ips`, `trusted_proxies`. An IPv4 client is in it by IPv4 networks
 * only, in whatever form either was written (::ffff:10.0.0.0/104 is 10.0.0.0/8); `::/0` is every IPv6 address, and no
 * other. "unix" stands for clients of unix sockets, which have no address. Immutable; owns its ranges. Runs in: any
 * thread. Fails: texts that are none, with words that name them.
 */
#ifndef CRESCENT_POLICY_IPS_H
#define CRESCENT_POLICY_IPS_H

#include "base/error.h"
#include "codec/ip.h"

struct ips;

/* "10.0.0.0/8", "2001:db8::/32", "192.0.2.1", "unix"; bits beyond the prefix are an error that names the network. */
int ips_check(struct slice text, struct error *err);
/* A set of these; of none: an empty one. NULL with the words of the first that is none. */
struct ips *ips_new(char *const *texts, size_t count, struct error *err);
void ips_free(struct ips **s);
/* About 10 ns, up to a thousand networks. Who is not known (IP_NONE) is in no set. */
bool ips_have(const struct ips *s, const struct ip *ip);
bool ips_empty(const struct ips *s);

#endif
