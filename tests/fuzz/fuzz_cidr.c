/*
 * fuzz_cidr.c: networks with a comma between: a set of several has whoever one of them alone has, at the edges of each;
 * what is refused has words.
 */
#include "fuzz.h"
#include "policy/ips.h"

#define MOST 24

/* One further, or one less; at the end of the space: around. */
static void step(struct ip *ip, int by)
{
    int bytes = ip->kind == IP_V4 ? 4 : 16;
    for (int i = bytes - 1; i >= 0; i--) {
        ip->at[i] = (unsigned char)(ip->at[i] + by);
        if (ip->at[i] != (by > 0 ? 0 : 0xff))
            return;
    }
}

static void compare(const struct ips *all, struct ips *const *each, size_t count, const struct ip *ip)
{
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any = any || ips_have(each[i], ip);
    CHECK(ips_have(all, ip) == any);
}

/* The addresses at both edges of a network, and beyond them. */
static void look_around(struct slice network, const struct ips *all, struct ips *const *each, size_t count)
{
    struct slice address = fuzz_part(&network, '/');
    unsigned long long prefix = 128;
    struct ip ip;
    if (!ip_parse(address, &ip))
        return; /* "unix" */
    if (network.len > 0)
        CHECK(slice_to_u64(network, 128, &prefix));
    if (network.len > 0 && ip.kind == IP_V4 && slice_find(address, ':') != SIZE_MAX)
        prefix -= 96;
    compare(all, each, count, &ip);
    struct ip before = ip;
    step(&before, -1);
    compare(all, each, count, &before);
    for (unsigned bit = (unsigned)prefix; bit < (ip.kind == IP_V4 ? 32u : 128u); bit++)
        ip.at[bit / 8] |= (unsigned char)(0x80 >> bit % 8);
    CHECK(ips_have(all, &ip));
    step(&ip, 1);
    compare(all, each, count, &ip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_copy(data, size), rest = text;
    char *networks[MOST];
    struct ips *each[MOST], *all;
    struct error err = {""};
    size_t count = 0;
    while (rest.len > 0 && count < MOST) {
        struct slice one = fuzz_part(&rest, ',');
        bool good = ips_check(one, &err) == 0;
        CHECK(good || err.text[0] == '"');
        if (!good || slice_find(one, '\0') != SIZE_MAX)
            continue;
        networks[count] = slice_dup(one);
        each[count] = ips_new(&networks[count], 1, &err);
        CHECK(each[count] != NULL && !ips_empty(each[count]));
        count++;
    }
    all = ips_new(networks, count, &err);
    CHECK(all != NULL && ips_empty(all) == (count == 0));
    for (size_t i = 0; i < count; i++)
        look_around(slice_of(networks[i]), all, each, count);
    for (size_t i = 0; i < count; i++) {
        free(networks[i]);
        ips_free(&each[i]);
    }
    ips_free(&all);
    free((void *)text.at);
    return 0;
}
