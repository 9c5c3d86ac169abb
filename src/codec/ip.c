/*
 * ip.c: see ip.h.
 */
#include "codec/ip.h"
#include "base/panic.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/un.h>

static const unsigned char mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void take_v4(const void *bytes, struct ip *ip_out)
{
    *ip_out = (struct ip){.kind = IP_V4};
    memcpy(ip_out->at, bytes, 4);
}

/* RFC 4291 2.5.5.2: what a socket for both families says of an IPv4 peer, and some proxies write. */
static void take_v6(const unsigned char bytes[16], struct ip *ip_out)
{
    if (memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        take_v4(bytes + 12, ip_out);
        return;
    }
    ip_out->kind = IP_V6;
    memcpy(ip_out->at, bytes, 16);
}

bool ip_parse(struct slice text, struct ip *ip_out)
{
    char room[IP_TEXT];
    unsigned char bytes[16];
    if (text.len == 0 || text.len >= sizeof(room) || slice_find(text, '\0') != SIZE_MAX)
        return false;
    memcpy(room, text.at, text.len);
    room[text.len] = '\0';
    if (inet_pton(AF_INET, room, bytes) == 1)
        take_v4(bytes, ip_out);
    else if (inet_pton(AF_INET6, room, bytes) == 1)
        take_v6(bytes, ip_out);
    else
        return false;
    return true;
}

void ip_of_sockaddr(const struct sockaddr *from, struct ip *ip_out)
{
    switch (from->sa_family) {
    case AF_INET:
        take_v4(&((const struct sockaddr_in *)from)->sin_addr, ip_out);
        break;
    case AF_INET6:
        take_v6(((const struct sockaddr_in6 *)from)->sin6_addr.s6_addr, ip_out);
        break;
    default:
        *ip_out = (struct ip){.kind = from->sa_family == AF_UNIX ? IP_UNIX : IP_NONE};
    }
}

unsigned ip_to_sockaddr(const struct ip *ip, unsigned short port, struct sockaddr_storage *to)
{
    CHECK(ip->kind != IP_NONE);
    memset(to, 0, sizeof(*to));
    if (ip->kind == IP_V4) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)to;
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        memcpy(&v4->sin_addr, ip->at, 4);
        return sizeof(*v4);
    }
    if (ip->kind == IP_V6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        memcpy(&v6->sin6_addr, ip->at, 16);
        return sizeof(*v6);
    }
    to->ss_family = AF_UNIX;
    return sizeof(sa_family_t);
}

/* By hand because each request needs it: inet_ntop costs ten times as much. */
static struct slice v4_text(const unsigned char bytes[4], char room[IP_TEXT])
{
    char *at = room;
    for (int i = 0; i < 4; i++) {
        unsigned n = bytes[i];
        if (i > 0)
            *at++ = '.';
        if (n >= 100)
            *at++ = (char)('0' + n / 100);
        if (n >= 10)
            *at++ = (char)('0' + n / 10 % 10);
        *at++ = (char)('0' + n % 10);
    }
    *at = '\0';
    return (struct slice){room, (size_t)(at - room)};
}

struct slice ip_text(const struct ip *ip, char room[IP_TEXT])
{
    if (ip->kind == IP_V4)
        return v4_text(ip->at, room);
    if (ip->kind == IP_V6)
        CHECK(inet_ntop(AF_INET6, ip->at, room, IP_TEXT) != NULL);
    else
        memcpy(room, ip->kind == IP_UNIX ? "unix:" : "unknown", ip->kind == IP_UNIX ? 6 : 8);
    return slice_of(room);
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
    return a->kind == b->kind && memcmp(a->at, b->at, sizeof(a->at)) == 0;
}
