/*
 * proxy.c: what request and reply have in common, and which upstream. See proxy.h.
 */
#include "http/proxy.h"
#include "base/ascii.h"

bool proxy_is_of_connection(struct slice name)
{
    /* RFC 9110 7.6.1, the credentials of this hop (11.7), and what is asked of this hop (10.1.1; RFC 9113 3.2.1) */
    static const struct slice names[] = {
        {"connection", 10},
        {"keep-alive", 10},
        {"proxy-connection", 16},
        {"transfer-encoding", 17},
        {"te", 2},
        {"trailer", 7},
        {"upgrade", 7},
        {"expect", 6},
        {"http2-settings", 14},
        {"proxy-authenticate", 18},
        {"proxy-authorization", 19},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_equal(name, names[i]))
            return true;
    return false;
}

bool proxy_is_bodiless(struct slice method, int status)
{
    return status == 204 || status == 304 || slice_equal(method, SLICE("HEAD"));
}

bool proxy_repeatable(const struct httpc_request *r)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (slice_equal(r->method, slice_of(methods[i])))
            return true;
    return false;
}

bool proxy_is_host(struct slice host)
{
    struct buf text = {0};
    struct url u;
    bool fine = host.len > 0 && host.len <= 300;
    for (size_t i = 0; fine && i < host.len; i++)
        fine = host.at[i] > ' ' && host.at[i] < 0x7f && !ascii_is_one_of(host.at[i], "/?#@");
    buf_add_text(&text, "http://");
    buf_add_slice(&text, host);
    fine = fine && url_parse(buf_slice(&text), &u) == NULL;
    buf_free(&text);
    return fine;
}

/* --- which upstream ---------------------------------------------------------------------------------------------- */

static struct slice origin_of(const struct proxy_plan *plan, size_t i)
{
    return (struct slice){plan->upstreams[i].origin, plan->upstreams[i].origin_len};
}

/* Of those that are in `among` (bits) the best, or SIZE_MAX: all are left out. */
static size_t best_of(const struct proxy_plan *plan, const struct outbound *o, uint64_t among)
{
    size_t best = SIZE_MAX, best_load = 0;
    uint64_t best_asked = 0;
    for (size_t i = 0; i < plan->upstream_count; i++) {
        struct slice origin = origin_of(plan, i);
        if (!(among >> i & 1) || outbound_is_open(o, origin))
            continue;
        size_t load = outbound_load(o, origin);
        uint64_t asked = outbound_last_asked(o, origin);
        if (best == SIZE_MAX || load < best_load || (load == best_load && asked < best_asked)) {
            best = i;
            best_load = load;
            best_asked = asked;
        }
    }
    return best;
}

static size_t first_due(const struct proxy_plan *plan, struct outbound *o, uint64_t among)
{
    size_t first = SIZE_MAX;
    mono_t due = {0};
    for (size_t i = 0; i < plan->upstream_count; i++) {
        struct slice origin = origin_of(plan, i);
        if (!(among >> i & 1))
            continue;
        outbound_hurry(o, origin);
        mono_t until = outbound_open_until(o, origin);
        if (first == SIZE_MAX || mono_before(until, due)) {
            first = i;
            due = until;
        }
    }
    return first;
}

size_t proxy_choose(const struct proxy_plan *plan, struct outbound *o, uint64_t tried)
{
    uint64_t all = (UINT64_C(1) << plan->upstream_count) - 1, among = all & ~tried;
    if (among == 0)
        among = all;
    size_t best = best_of(plan, o, among);
    return best != SIZE_MAX ? best : first_due(plan, o, among);
}
