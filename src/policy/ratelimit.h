/*
 * ratelimit.h: the rate limits of one endpoint: "100/m", or limit, period, burst and key; decided over the shared cells
 * of shm/limits; and the header fields of draft-ietf-httpapi-ratelimit-headers-11 that tell clients.
 * A limit lets `burst` requests in at once, and from then on one each `per / limit`.
 * Owns: its limits, keys and texts. Runs in: the worker; parsing: any process. Fails: a limit that cannot be is words.
 */
#ifndef CRESCENT_POLICY_RATELIMIT_H
#define CRESCENT_POLICY_RATELIMIT_H

#include "policy/key.h"
#include "shm/limits.h"

#define RATELIMIT_MOST 8 /* limits of one endpoint */

struct ratelimit_rule {
    uint64_t limit, burst; /* requests */
    dur_t per;             /* whole seconds */
    struct key by;
    struct limits_rate rate;
    uint64_t identity; /* of endpoint and rule: the same in every worker and after a reload */
    struct slice name; /* in the header fields: "ip", "header-2" */
    char *text;        /* "100/m burst 20 by header:x-api-key" */
};

struct ratelimit {
    struct ratelimit_rule rule[RATELIMIT_MOST];
    size_t count;
    struct slice policy; /* value of RateLimit-Policy; once finished */
    unsigned by_ip;      /* which rules (bits) are decided before verify; */
    unsigned by_key;     /* after it; */
    unsigned by_pointer; /* read the body as JSON; */
    unsigned by_function;
};

struct ratelimit *ratelimit_new(void);
/* Leaves NULL; NULL is fine. */
void ratelimit_free(struct ratelimit **r);
/*
 * One more limit. burst 0: as many as `limit`. Takes what *by holds (leaves {0}), also when it fails.
 * Refused: a rate of none or over a million a second, a period that is no whole number of seconds up to 31 days, more
 * than can be owed in 31 days, a second one that says the same.
 */
int ratelimit_add(struct ratelimit *r, uint64_t limit, dur_t per, uint64_t burst, struct key *by, struct error *err);
/* One more limit from its text: "100/m", "100/30s burst 20 by header:x-api-key". */
int ratelimit_add_text(struct ratelimit *r, struct slice text, struct error *err);
/* A period: "s", "m", "h", "d", or a duration; false on anything else. */
bool ratelimit_period(struct slice text, dur_t *per_out);
/* All are added: makes names, identities and the policy's text for the endpoint of this name. */
void ratelimit_finish(struct ratelimit *r, const char *endpoint);

/* --- deciding ---------------------------------------------------------------------------------------------------- */

/* What is known of one request's limits; born as {0}. */
struct ratelimit_state {
    unsigned known;   /* rules (bits) that were decided */
    unsigned refused; /* of these */
    uint64_t key[RATELIMIT_MOST];
    struct {
        int64_t remaining; /* requests that could come at once now */
        int64_t wait;      /* ns until there is one more than that */
    } of[RATELIMIT_MOST];
};

/* Says by which key a rule counts this request. missing: it has none, and `key` is its address (key_read_ip). */
void ratelimit_say(const struct ratelimit *r, size_t rule, struct siphash_key seed, struct slice key, bool missing,
                   struct ratelimit_state *state);
/*
 * Decides the rules `which` (bits), whose keys were said. All must admit it, or none counts it: they are looked at
 * before the first is counted. (Only where another process decides in the same instant may a refused request have been
 * counted by some.) Whether it is admitted; *evicted_out: how many cells in use gave way to it.
 */
bool ratelimit_decide(const struct ratelimit *r, unsigned which, struct limits *cells, mono_t now,
                      struct ratelimit_state *state, unsigned *evicted_out);
/* Seconds until a refused request could be admitted, at least 1: Retry-After (RFC 9110 10.2.3). */
int64_t ratelimit_retry_after(const struct ratelimit_state *state);

#define RATELIMIT_FIELD 512
/* The value of RateLimit, of what is known, into room; its length. Nothing is known: 0. */
size_t ratelimit_field(const struct ratelimit *r, const struct ratelimit_state *state, char room[RATELIMIT_FIELD]);

#endif
