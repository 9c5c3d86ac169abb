/*
 * ip.h: the address of a client or a proxy, as a value: IPv4, IPv6, or the end of a unix socket, which has none. An
 * IPv4 address in its IPv6 form (::ffff:192.0.2.1) is the IPv4 address, however it came.
 * Plain data. Runs in: any thread, pure. Fails: a text that is none is false.
 */
#ifndef CRESCENT_CODEC_IP_H
#define CRESCENT_CODEC_IP_H

#include "base/slice.h"

struct sockaddr;
struct sockaddr_storage;

enum ip_kind { IP_NONE, IP_UNIX, IP_V4, IP_V6 }; /* IP_NONE: not known */

struct ip {
    enum ip_kind kind;
    unsigned char at[16]; /* in network order; of V4 the first four, the others are 0 */
};

#define IP_TEXT 46 /* with a NUL at its end */

/* "192.0.2.1", "2001:db8::1": without port, brackets or zone. */
bool ip_parse(struct slice text, struct ip *ip_out);
/* Of a socket's address; of another family: IP_NONE. */
void ip_of_sockaddr(const struct sockaddr *from, struct ip *ip_out);
/* The other way round; its length. Of a unix socket: one without a name. Not of IP_NONE. */
unsigned ip_to_sockaddr(const struct ip *ip, unsigned short port, struct sockaddr_storage *to);
/* RFC 5952; "unix:" (as nginx names it) and "unknown" for what has no address. A slice of room, NUL-ended. */
struct slice ip_text(const struct ip *ip, char room[IP_TEXT]);
bool ip_equal(const struct ip *a, const struct ip *b);

#endif
