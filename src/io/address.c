/*
 * address.c: see address.h. Everything is judged as an IPv6 address, IPv4 in its mapped form. Sources: the IANA
 * registries of special-purpose addresses (RFC 6890, 9637 and 9780 among others), RFC 4291, 6052 and 8215 (NAT64), 3056
 * (6to4), 4380 (Teredo), 2765 (translated).
 */
#include "io/address.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>

struct range {
    const char *prefix;
    int bits;
    const char *why;
};

static const char link_local[] = "a link-local address", unspecified[] = "an unspecified address",
                  multicast[] = "a multicast address", reserved[] = "a reserved address",
                  metadata[] = "a cloud's metadata service", private_address[] = "a private address",
                  loopback[] = "a loopback address";

/* Refused always. Clouds have a few services for their own machines outside of link-local. */
static const struct range never[] = {
    {"0.0.0.0", 8, unspecified},   {"169.254.0.0", 16, link_local},   {"224.0.0.0", 4, multicast},
    {"240.0.0.0", 4, reserved},    {"100.100.100.200", 32, metadata}, {"168.63.129.16", 32, metadata},
    {"192.0.0.192", 32, metadata}, {"::", 128, unspecified},          {"fe80::", 10, link_local},
    {"ff00::", 8, multicast},      {"fd00:ec2::254", 128, metadata},  {"fd20:ce::254", 128, metadata},
};

/* Refused where only public ones may be reached. */
static const struct range not_public[] = {
    {"10.0.0.0", 8, private_address},
    {"172.16.0.0", 12, private_address},
    {"192.168.0.0", 16, private_address},
    {"127.0.0.0", 8, loopback},
    {"100.64.0.0", 10, private_address},
    {"192.0.0.0", 24, reserved},
    {"192.0.2.0", 24, reserved},
    {"198.18.0.0", 15, private_address},
    {"198.51.100.0", 24, reserved},
    {"203.0.113.0", 24, reserved},
    {"192.88.99.0", 24, reserved},
    {"::1", 128, loopback},
    {"fc00::", 7, private_address},
    {"fec0::", 10, private_address},
    {"64:ff9b:1::", 48, private_address}, /* RFC 8215: translation within a network, whatever is embedded */
    {"100::", 64, reserved},
    {"100:0:0:1::", 64, reserved}, /* RFC 9780 */
    {"2001:2::", 48, reserved},    /* RFC 5180: benchmarking */
    {"2001:10::", 28, reserved},   /* RFC 4843: ORCHID, returned */
    {"2001:db8::", 32, reserved},
    {"3fff::", 20, reserved}, /* RFC 9637: documentation */
    {"5f00::", 16, reserved},
};

static const unsigned char mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static struct in6_addr mapped(const void *v4)
{
    struct in6_addr a;
    memcpy(a.s6_addr, mapped_prefix, sizeof(mapped_prefix));
    memcpy(a.s6_addr + 12, v4, 4);
    return a;
}

/* Text to an address, IPv4 mapped. */
static bool parse(const char *text, struct in6_addr *out)
{
    struct in_addr v4;
    if (inet_pton(AF_INET, text, &v4) != 1)
        return inet_pton(AF_INET6, text, out) == 1;
    *out = mapped(&v4);
    return true;
}

static bool is_v4(const struct in6_addr *a)
{
    return memcmp(a->s6_addr, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

static bool within(const struct in6_addr *a, const struct range *r)
{
    struct in6_addr prefix;
    if (!parse(r->prefix, &prefix) || is_v4(&prefix) != is_v4(a))
        return false;
    int bits = is_v4(&prefix) ? r->bits + 96 : r->bits, whole = bits / 8;
    if (memcmp(a->s6_addr, prefix.s6_addr, (size_t)whole) != 0)
        return false;
    int rest = bits % 8;
    return rest == 0 || ((a->s6_addr[whole] ^ prefix.s6_addr[whole]) >> (8 - rest)) == 0;
}

static const char *find(const struct in6_addr *a, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (within(a, &ranges[i]))
            return ranges[i].why;
    return NULL;
}

static bool starts(const struct in6_addr *a, const char *prefix, size_t bytes)
{
    struct in6_addr p;
    return inet_pton(AF_INET6, prefix, &p) == 1 && memcmp(a->s6_addr, p.s6_addr, bytes) == 0;
}

/* The IPv4 addresses that are written into an IPv6 one: how many, two at most. */
static size_t embedded(const struct in6_addr *a, struct in6_addr out[2])
{
    const unsigned char *b = a->s6_addr;
    unsigned char client[4];
    if (is_v4(a))
        return 0;
    if (starts(a, "64:ff9b::", 12) || starts(a, "64:ff9b:1::", 12) || starts(a, "::ffff:0:0:0", 12) ||
        (starts(a, "::", 12) && (b[12] | b[13] | b[14]) != 0)) {
        out[0] = mapped(b + 12);
        return 1;
    }
    if (starts(a, "64:ff9b:1::", 6)) { /* RFC 8215: any of the lengths of RFC 6052 may stand there */
        const unsigned char at48[4] = {b[6], b[7], b[9], b[10]};
        out[0] = mapped(at48);
        out[1] = mapped(b + 12);
        return 2;
    }
    if (starts(a, "2002::", 2)) {
        out[0] = mapped(b + 2);
        return 1;
    }
    if (starts(a, "2001::", 4)) { /* the server, and the client with its bits inverted */
        for (int i = 0; i < 4; i++)
            client[i] = (unsigned char)~b[12 + i];
        out[0] = mapped(b + 4);
        out[1] = mapped(client);
        return 2;
    }
    return 0;
}

/* Whether it is an address of this machine; only asked where a port fits. */
static bool is_local(const struct in6_addr *a)
{
    static const struct range loopbacks[] = {{"127.0.0.0", 8, loopback}, {"::1", 128, loopback}};
    struct ifaddrs *all, *i;
    bool found = find(a, loopbacks, 2) != NULL;
    if (found || getifaddrs(&all) != 0)
        return true; /* what cannot be known is refused */
    for (i = all; i != NULL && !found; i = i->ifa_next) {
        if (i->ifa_addr == NULL)
            continue;
        if (i->ifa_addr->sa_family == AF_INET) {
            struct in6_addr own = mapped(&((const struct sockaddr_in *)i->ifa_addr)->sin_addr);
            found = memcmp(&own, a, sizeof(own)) == 0;
        } else if (i->ifa_addr->sa_family == AF_INET6) {
            found = memcmp(&((const struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, a, sizeof(*a)) == 0;
        }
    }
    freeifaddrs(all);
    return found;
}

bool address_port_allowed(const struct address_rules *rules, uint16_t port)
{
    for (size_t i = 0; i < rules->port_count; i++)
        if (rules->ports[i] == port)
            return true;
    return !rules->only;
}

static bool is_admin(const struct address_rules *rules, const struct in6_addr *a, uint16_t port)
{
    static const struct in6_addr any = IN6ADDR_ANY_INIT;
    for (size_t i = 0; i < rules->count; i++) {
        if (rules->port[i] != port)
            continue;
        if (memcmp(&rules->admin[i], a, sizeof(*a)) == 0)
            return true;
        if (memcmp(&rules->admin[i], &any, sizeof(any)) == 0 && is_local(a))
            return true;
    }
    return false;
}

static const char *judge(const struct address_rules *rules, const struct in6_addr *a, uint16_t port, bool public_only)
{
    const char *why = find(a, never, sizeof(never) / sizeof(never[0]));
    if (why == NULL && is_admin(rules, a, port))
        why = "the admin listener of this server";
    if (why == NULL && public_only)
        why = find(a, not_public, sizeof(not_public) / sizeof(not_public[0]));
    return why;
}

const char *address_refused(const struct address_rules *rules, const struct sockaddr *to, bool public_only)
{
    struct in6_addr a, inner[2];
    uint16_t port;
    if (to->sa_family == AF_INET) {
        a = mapped(&((const struct sockaddr_in *)to)->sin_addr);
        port = ntohs(((const struct sockaddr_in *)to)->sin_port);
    } else if (to->sa_family == AF_INET6) {
        a = ((const struct sockaddr_in6 *)to)->sin6_addr;
        port = ntohs(((const struct sockaddr_in6 *)to)->sin6_port);
    } else {
        return "no address of the Internet";
    }
    const char *why = judge(rules, &a, port, public_only);
    size_t count = embedded(&a, inner);
    for (size_t i = 0; i < count && why == NULL; i++)
        why = judge(rules, &inner[i], port, public_only);
    return why;
}

/* "127.0.0.1:8081" or "[::1]:8081". */
static bool read_one(struct slice text, struct in6_addr *address_out, uint16_t *port_out)
{
    char host[INET6_ADDRSTRLEN];
    unsigned long long port;
    size_t behind = slice_find_last(text, ':') + 1;
    if (behind < 2 || !slice_to_u64(slice_from(text, behind), 65535, &port))
        return false;
    struct slice name = {text.at, behind - 1};
    if (name.at[0] == '[') {
        if (name.len < 3 || name.at[name.len - 1] != ']')
            return false;
        name = (struct slice){name.at + 1, name.len - 2};
    }
    if (name.len >= sizeof(host))
        return false;
    snprintf(host, sizeof(host), "%.*s", SLICE_ARG(name));
    *port_out = (uint16_t)port;
    return parse(host, address_out);
}

int address_rules_read(struct slice text, struct address_rules *rules_out, struct error *err)
{
    struct slice part;
    *rules_out = (struct address_rules){.count = 0};
    if (text.len == 0)
        return 0;
    while (slice_cut(&text, ' ', &part)) {
        struct in6_addr *at = &rules_out->admin[rules_out->count];
        if (rules_out->count == ADDRESS_ADMIN_MAX || !read_one(part, at, &rules_out->port[rules_out->count]))
            return error_set(err, "malformed address of the admin listener: \"%.*s\"", SLICE_ARG(part));
        static const struct in6_addr any_v4 = {.s6_addr = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}};
        if (memcmp(at, &any_v4, sizeof(any_v4)) == 0) /* 0.0.0.0: every address of this machine as well */
            *at = in6addr_any;
        rules_out->count++;
    }
    return 0;
}
