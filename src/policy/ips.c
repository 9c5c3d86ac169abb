/*
 * ips.c: see ips.h. Networks become ranges of addresses, sorted, those that overlap made one: then one binary search
 * decides, and IPv4 and IPv6 are two lists of the same kind.
 */
#include "policy/ips.h"
#include "base/panic.h"
#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct number { /* an address of struct ip as one number of 128 bits, to compare */
    uint64_t high, low;
};

struct range { /* both ends are in it */
    struct number first, last;
};

struct ranges {
    struct range *at;
    size_t count;
};

struct ips {
    struct ranges v4, v6;
    bool unix_sockets;
};

static struct number number_of(const unsigned char at[16])
{
    struct number n;
    memcpy(&n.high, at, 8);
    memcpy(&n.low, at + 8, 8);
    return (struct number){be64toh(n.high), be64toh(n.low)};
}

static bool above(struct number a, struct number b)
{
    return a.high != b.high ? a.high > b.high : a.low > b.low;
}

/* --- from text ---------------------------------------------------------------------------------------------------- */

/* The address with all bits past the prefix as `ones` says. */
static void fill_up(const struct ip *ip, unsigned prefix, bool ones, unsigned char to[16])
{
    unsigned bytes = ip->kind == IP_V4 ? 4 : 16;
    memcpy(to, ip->at, 16);
    for (unsigned i = 0; i < bytes; i++) {
        unsigned kept = prefix >= 8 * (i + 1) ? 8 : prefix > 8 * i ? prefix - 8 * i : 0;
        unsigned char rest = (unsigned char)(0xff >> kept);
        to[i] = (unsigned char)(ones ? to[i] | rest : to[i] & ~rest);
    }
}

static int bad(struct error *err, struct slice text, const char *why)
{
    return error_set(err, "\"%.*s%s\": %s", SLICE_SHOWN(text, 80), why);
}

/* The prefix behind the slash, of an address that was written in IPv6 form or not. */
static int read_prefix(struct slice text, struct slice bits, struct ip *ip, bool v6_form, unsigned *prefix_out,
                       struct error *err)
{
    unsigned long long n;
    char words[192], v4[IP_TEXT];
    unsigned most = v6_form ? 128 : 32;
    if (!slice_to_u64(bits, 999, &n) || (bits.len > 1 && bits.at[0] == '0'))
        return bad(err, text, "expected a number of bits after '/'");
    if (n > most)
        return bad(err, text, v6_form ? "a prefix of IPv6 has 0 to 128 bits" : "a prefix of IPv4 has 0 to 32 bits");
    if (v6_form && ip->kind == IP_V4 && n < 96) {
        ip_text(ip, v4);
        snprintf(words, sizeof(words),
                 "this is an IPv4 address in IPv6 form, whose prefix counts from 96 on (%s/8 is ::ffff:%s/104)", v4,
                 v4);
        return bad(err, text, words);
    }
    *prefix_out = (unsigned)(v6_form && ip->kind == IP_V4 ? n - 96 : n);
    return 0;
}

static int check_bits(struct slice text, const struct ip *ip, unsigned prefix, const struct ip *network,
                      struct error *err)
{
    char words[200], address[IP_TEXT], meant[IP_TEXT];
    if (ip_equal(ip, network))
        return 0;
    ip_text(network, meant);
    ip_text(ip, address);
    snprintf(words, sizeof(words), "the address has bits beyond the prefix: write %s/%u for the network, or %s alone",
             meant, prefix, address);
    return bad(err, text, words);
}

static bool is_unix(struct slice text)
{
    return slice_equal(text, SLICE("unix")) || slice_equal(text, SLICE("unix:"));
}

/* A network, or an address alone. */
static int read_range(struct slice text, enum ip_kind *kind_out, struct range *r, struct error *err)
{
    size_t slash = slice_find(text, '/');
    struct slice address = {text.at, slash == SIZE_MAX ? text.len : slash};
    struct ip ip;
    if (!ip_parse(address, &ip))
        return bad(err, text,
                   slice_equal(text, SLICE("*"))
                       ? "every address is \"0.0.0.0/0\" and \"::/0\""
                       : "expected an address or a network, like \"192.0.2.1\", \"10.0.0.0/8\" or \"2001:db8::/32\"");
    unsigned prefix = ip.kind == IP_V4 ? 32 : 128;
    if (slash != SIZE_MAX &&
        read_prefix(text, slice_from(text, slash + 1), &ip, slice_find(address, ':') != SIZE_MAX, &prefix, err) != 0)
        return -1;
    *kind_out = ip.kind;
    struct ip first = {.kind = ip.kind}, last = {.kind = ip.kind};
    fill_up(&ip, prefix, false, first.at);
    fill_up(&ip, prefix, true, last.at);
    *r = (struct range){number_of(first.at), number_of(last.at)};
    return check_bits(text, &ip, prefix, &first, err);
}

int ips_check(struct slice text, struct error *err)
{
    struct range r;
    enum ip_kind kind;
    return is_unix(text) ? 0 : read_range(text, &kind, &r, err);
}

/* --- the set ------------------------------------------------------------------------------------------------------ */

static int by_first(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return above(x->first, y->first) ? 1 : above(y->first, x->first) ? -1 : 0;
}

/* Sorted, and one where two overlap: then the last one that begins before an address decides alone. */
static void settle(struct ranges *all)
{
    size_t kept = 0;
    if (all->count > 1)
        qsort(all->at, all->count, sizeof(*all->at), by_first);
    for (size_t i = 0; i < all->count; i++) {
        struct range *last = kept > 0 ? &all->at[kept - 1] : NULL;
        if (last == NULL || above(all->at[i].first, last->last))
            all->at[kept++] = all->at[i];
        else if (above(all->at[i].last, last->last))
            last->last = all->at[i].last;
    }
    all->count = kept;
}

struct ips *ips_new(char *const *texts, size_t count, struct error *err)
{
    struct ips *s = need_zero(1, sizeof(*s));
    s->v4.at = need_zero(count + 1, sizeof(struct range));
    s->v6.at = need_zero(count + 1, sizeof(struct range));
    for (size_t i = 0; i < count; i++) {
        struct slice text = slice_of(texts[i]);
        struct range r;
        enum ip_kind kind;
        if (is_unix(text)) {
            s->unix_sockets = true;
            continue;
        }
        if (read_range(text, &kind, &r, err) != 0) {
            ips_free(&s);
            return NULL;
        }
        struct ranges *all = kind == IP_V4 ? &s->v4 : &s->v6;
        all->at[all->count++] = r;
    }
    settle(&s->v4);
    settle(&s->v6);
    return s;
}

void ips_free(struct ips **s)
{
    if (*s == NULL)
        return;
    free((*s)->v4.at);
    free((*s)->v6.at);
    free(*s);
    *s = NULL;
}

static bool within(const struct ranges *all, const struct ip *ip)
{
    size_t low = 0, high = all->count; /* the ranges before `low` begin at the address or before it */
    struct number n = number_of(ip->at);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (above(all->at[middle].first, n))
            high = middle;
        else
            low = middle + 1;
    }
    return low > 0 && !above(n, all->at[low - 1].last);
}

bool ips_have(const struct ips *s, const struct ip *ip)
{
    switch (ip->kind) {
    case IP_V4:
        return within(&s->v4, ip);
    case IP_V6:
        return within(&s->v6, ip);
    case IP_UNIX:
        return s->unix_sockets;
    case IP_NONE:
        return false;
    }
    PANIC("an address of no kind %d", (int)ip->kind);
}

bool ips_empty(const struct ips *s)
{
    return s->v4.count == 0 && s->v6.count == 0 && !s->unix_sockets;
}
