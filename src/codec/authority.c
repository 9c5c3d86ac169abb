/*
 * authority.c: see authority.h.
 */
#include "codec/authority.h"

#include "codec/ip.h"
#include "codec/url.h"

#include <stdint.h>

#define MOST 261 /* a name, ':' and a port */

static bool is_name(struct slice host)
{
    for (size_t i = 0; i < host.len; i++)
        if (!url_is_unreserved(host.at[i]))
            return false;
    return host.len > 0;
}

bool authority_valid(struct slice text)
{
    bool v6 = text.len > 0 && text.at[0] == '[';
    size_t close = v6 ? slice_find(text, ']') : 0, colon;
    struct slice host = text;
    unsigned long long port;
    struct ip ip;

    if (text.len > MOST || close == SIZE_MAX)
        return false;
    colon = slice_find(slice_from(text, close), ':');
    if (colon != SIZE_MAX) {
        host.len = close + colon;
        if (!slice_to_u64(slice_from(text, host.len + 1), UINT16_MAX, &port))
            return false;
    }
    if (!v6)
        return is_name(host);
    return host.len == close + 1 && ip_parse((struct slice){host.at + 1, close - 1}, &ip) &&
           slice_find(host, ':') != SIZE_MAX;
}
