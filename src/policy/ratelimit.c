/*
 * ratelimit.c: see ratelimit.h.
 */
#include "policy/ratelimit.h"
#include "base/ascii.h"
#include "base/duration.h"
#include "base/panic.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND INT64_C(1000000000)
#define RATE_MOST 1000000 /* a second: an interval is a whole number of ns, and this keeps that within 0.05 % */
#define NO_BURST "a burst of 0 requests lets nobody in"
#define SHOWN(text) SLICE_SHOWN(text, 60)

struct ratelimit *ratelimit_new(void)
{
    return need_zero(1, sizeof(struct ratelimit));
}

void ratelimit_free(struct ratelimit **r)
{
    if (*r == NULL)
        return;
    for (size_t i = 0; i < (*r)->count; i++) {
        key_free(&(*r)->rule[i].by);
        free((char *)(*r)->rule[i].name.at);
        free((*r)->rule[i].text);
    }
    free((char *)(*r)->policy.at);
    free(*r);
    *r = NULL;
}

/* --- made ------------------------------------------------------------------------------------------------------- */

static const struct {
    struct slice unit;
    dur_t per;
} units[] = {
    {SLICE("s"), {SECOND}}, {SLICE("m"), {60 * SECOND}}, {SLICE("h"), {3600 * SECOND}}, {SLICE("d"), {86400 * SECOND}}};
enum { UNITS = sizeof units / sizeof *units };

bool ratelimit_period(struct slice text, dur_t *per_out)
{
    for (size_t i = 0; i < UNITS; i++)
        if (slice_equal(text, units[i].unit)) {
            *per_out = units[i].per;
            return true;
        }
    return duration_parse(text, per_out);
}

static char *describe(const struct ratelimit_rule *rule)
{
    struct buf text = {0};
    char room[32];
    const char *per = NULL;
    for (size_t i = 0; i < UNITS; i++)
        if (rule->per.ns == units[i].per.ns)
            per = units[i].unit.at;
    buf_addf(&text, "%" PRIu64 "/%s", rule->limit, per != NULL ? per : duration_text(rule->per, room));
    if (rule->burst != rule->limit)
        buf_addf(&text, " burst %" PRIu64, rule->burst);
    buf_add_text(&text, " by ");
    key_describe(&rule->by, &text);
    return buf_take(&text);
}

static int check(const struct ratelimit_rule *rule, struct error *err)
{
    int64_t most = LIMITS_MOST.ns;
    if (rule->limit == 0)
        return error_set(err, "a limit of 0 requests lets nobody in");
    if (rule->per.ns < SECOND || rule->per.ns % SECOND != 0 || rule->per.ns > most)
        return error_set(err, "the period must be whole seconds, from 1s to 31d");
    if (rule->limit > (uint64_t)(rule->per.ns / SECOND * RATE_MOST))
        return error_set(err, "more than %d requests a second cannot be counted", RATE_MOST);
    if (rule->burst == 0)
        return error_set(err, NO_BURST);
    if (rule->burst > (uint64_t)(most / rule->rate.interval))
        return error_set(err, "a burst of %" PRIu64 " requests would take longer than 31d to be forgotten",
                         rule->burst);
    return 0;
}

static bool has(const struct ratelimit *r, const struct ratelimit_rule *rule)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->rule[i].text, rule->text) == 0)
            return true;
    return false;
}

static int complete(const struct ratelimit *r, struct ratelimit_rule *rule, struct error *err)
{
    if (r->count == RATELIMIT_MOST)
        return error_set(err, "more than %d limits", RATELIMIT_MOST);
    if (rule->limit > 0)
        rule->rate.interval = (rule->per.ns + (int64_t)(rule->limit / 2)) / (int64_t)rule->limit;
    if (rule->rate.interval == 0)
        rule->rate.interval = 1; /* far too many: refused below */
    if (check(rule, err) != 0)
        return -1;
    rule->rate.depth = (int64_t)rule->burst * rule->rate.interval;
    rule->text = describe(rule);
    /* Of two functions nobody knows whether they say the same. */
    if (rule->by.kind != KEY_FUNCTION && has(r, rule))
        return error_set(err, "the limit \"%.*s%s\" stands twice", SLICE_SHOWN(slice_of(rule->text), 80));
    return 0;
}

int ratelimit_add(struct ratelimit *r, uint64_t limit, dur_t per, uint64_t burst, struct key *by, struct error *err)
{
    struct ratelimit_rule rule = {.limit = limit, .per = per, .burst = burst != 0 ? burst : limit, .by = *by};
    *by = (struct key){0};
    if (limit > INT64_MAX / 2 || complete(r, &rule, err) != 0) {
        if (limit > INT64_MAX / 2)
            error_set(err, "more than %d requests a second cannot be counted", RATE_MOST);
        key_free(&rule.by);
        free(rule.text);
        return -1;
    }
    unsigned bit = 1u << r->count;
    if (rule.by.kind == KEY_IP)
        r->by_ip |= bit;
    else
        r->by_key |= bit;
    if (rule.by.kind == KEY_POINTER)
        r->by_pointer |= bit;
    if (rule.by.kind == KEY_FUNCTION)
        r->by_function |= bit;
    r->rule[r->count++] = rule;
    return 0;
}

/* The number in front of *rest, which it leaves behind it. */
static bool take_number(struct slice *rest, uint64_t *number_out)
{
    size_t digits = 0;
    unsigned long long number;
    while (digits < rest->len && ascii_is_digit(rest->at[digits]))
        digits++;
    if (!slice_to_u64((struct slice){rest->at, digits}, INT64_MAX / 2, &number))
        return false;
    *number_out = number;
    *rest = slice_from(*rest, digits);
    return true;
}

static bool take_word(struct slice *rest, struct slice word)
{
    if (!slice_starts(*rest, word))
        return false;
    *rest = slice_from(*rest, word.len);
    return true;
}

/* "[ burst NUMBER][ by KEY]": what may follow behind the period. */
static int take_rest(struct slice rest, uint64_t *burst_out, struct key *by_out, struct error *err)
{
    if (take_word(&rest, SLICE(" burst "))) {
        if (!take_number(&rest, burst_out))
            return error_set(err, "expected a number behind \"burst\"");
        if (*burst_out == 0)
            return error_set(err, NO_BURST);
    }
    if (take_word(&rest, SLICE(" by ")))
        return key_parse(rest, by_out, err);
    return rest.len == 0 ? 0 : error_set(err, "expected nothing more, or \" burst NUMBER\", or \" by KEY\"");
}

int ratelimit_add_text(struct ratelimit *r, struct slice text, struct error *err)
{
    struct slice rest = text;
    uint64_t limit, burst = 0;
    dur_t per;
    struct key by = {0};
    if (!take_number(&rest, &limit) || !take_word(&rest, SLICE("/")))
        return error_set(err, "expected a limit like \"100/m\", got \"%.*s%s\"", SHOWN(text));
    size_t space = slice_find(rest, ' ');
    struct slice period = {rest.at, space == SIZE_MAX ? rest.len : space};
    if (!ratelimit_period(period, &per))
        return error_set(err, "\"%.*s%s\": the period is \"s\", \"m\", \"h\", \"d\" or a duration like \"30s\"",
                         SHOWN(text));
    if (take_rest(slice_from(rest, period.len), &burst, &by, err) != 0)
        return error_prefix(err, "\"%.*s%s\"", SHOWN(text));
    return ratelimit_add(r, limit, per, burst, &by, err);
}

/* --- finished --------------------------------------------------------------------------------------------------- */

/* FNV-1a: strangers have no say in it, and the cells' secret is mixed in later. */
static uint64_t hash(uint64_t h, struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        h = (h ^ (unsigned char)text.at[i]) * UINT64_C(0x100000001b3);
    return (h ^ 0xff) * UINT64_C(0x100000001b3); /* an end that no text has */
}

/* How many rules before this one have the same kind of key. */
static unsigned earlier(const struct ratelimit *r, size_t rule)
{
    unsigned count = 0;
    for (size_t i = 0; i < rule; i++)
        count += r->rule[i].by.kind == r->rule[rule].by.kind;
    return count;
}

static void name_rule(struct ratelimit *r, size_t i)
{
    struct buf name = {0};
    buf_add_text(&name, key_kind_name(r->rule[i].by.kind));
    if (earlier(r, i) > 0)
        buf_addf(&name, "-%u", earlier(r, i) + 1);
    r->rule[i].name.len = name.len;
    r->rule[i].name.at = buf_take(&name);
}

void ratelimit_finish(struct ratelimit *r, const char *endpoint)
{
    struct buf policy = {0};
    for (size_t i = 0; i < r->count; i++) {
        struct ratelimit_rule *rule = &r->rule[i];
        CHECK(rule->name.at == NULL);
        name_rule(r, i);
        rule->identity = hash(hash(UINT64_C(0xcbf29ce484222325), slice_of(endpoint)), slice_of(rule->text));
        if (rule->by.kind == KEY_FUNCTION) /* the texts of two may be the same */
            rule->identity = hash(rule->identity, rule->name);
        buf_addf(&policy, "%s\"%.*s\";q=%" PRIu64 ";w=%" PRId64, i > 0 ? ", " : "", SLICE_ARG(rule->name), rule->limit,
                 rule->per.ns / SECOND);
    }
    r->policy.len = policy.len;
    r->policy.at = buf_take(&policy);
}

/* --- deciding --------------------------------------------------------------------------------------------------- */

void ratelimit_say(const struct ratelimit *r, size_t rule, struct siphash_key seed, struct slice key, bool missing,
                   struct ratelimit_state *state)
{
    CHECK(rule < r->count);
    /* Who has no key must not be taken for one whose key reads like an address. */
    state->key[rule] = limits_key(seed, missing ? ~r->rule[rule].identity : r->rule[rule].identity, key);
}

static void note(const struct ratelimit *r, size_t i, struct limits_answer answer, struct ratelimit_state *state)
{
    struct limits_rate rate = r->rule[i].rate;
    int64_t free = rate.depth - answer.debt;
    state->known |= 1u << i;
    state->refused = (state->refused & ~(1u << i)) | (unsigned)!answer.admitted << i;
    state->of[i].remaining = free / rate.interval;
    state->of[i].wait = answer.debt > 0 ? rate.interval - free % rate.interval : 0;
}

/* Whether all would admit it now. */
static bool look(const struct ratelimit *r, unsigned which, struct limits *cells, mono_t now,
                 struct ratelimit_state *state)
{
    bool admitted = true;
    for (size_t i = 0; i < r->count; i++) {
        if ((which >> i & 1) == 0)
            continue;
        struct limits_answer answer = limits_look(cells, state->key[i], r->rule[i].rate, now);
        note(r, i, answer, state);
        admitted = admitted && answer.admitted;
    }
    return admitted;
}

bool ratelimit_decide(const struct ratelimit *r, unsigned which, struct limits *cells, mono_t now,
                      struct ratelimit_state *state, unsigned *evicted_out)
{
    bool several = (which & (which - 1)) != 0;
    *evicted_out = 0;
    if (several && !look(r, which, cells, now, state))
        return false;
    for (size_t i = 0; i < r->count; i++) {
        if ((which >> i & 1) == 0)
            continue;
        struct limits_answer answer = limits_take(cells, state->key[i], r->rule[i].rate, now);
        note(r, i, answer, state);
        *evicted_out += answer.evicted;
        if (!answer.admitted)
            return false;
    }
    return true;
}

/* --- told ------------------------------------------------------------------------------------------------------- */

static int64_t seconds_up(int64_t ns)
{
    return (ns + SECOND - 1) / SECOND;
}

int64_t ratelimit_retry_after(const struct ratelimit_state *state)
{
    int64_t wait = 1;
    for (size_t i = 0; i < RATELIMIT_MOST; i++)
        if ((state->refused >> i & 1) != 0 && seconds_up(state->of[i].wait) > wait)
            wait = seconds_up(state->of[i].wait);
    return wait;
}

/* UNSAFE BYTES: the room is as the assertion below says. */
static char *put(char *to, struct slice text)
{
    memcpy(to, text.at, text.len);
    return to + text.len;
}

/* ", " and quotes, "function-8", ";r=" and 19 digits, ";t=" and 19 digits */
_Static_assert(RATELIMIT_MOST *(4 + 10 + 3 + 19 + 3 + 19) <= RATELIMIT_FIELD, "all rules have room");

size_t ratelimit_field(const struct ratelimit *r, const struct ratelimit_state *state, char room[RATELIMIT_FIELD])
{
    char *to = room;
    for (size_t i = 0; i < r->count; i++) {
        if ((state->known >> i & 1) == 0)
            continue;
        if (to > room)
            to = put(to, SLICE(", "));
        *to++ = '"';
        to = put(to, r->rule[i].name);
        to = put(to, SLICE("\";r="));
        to = slice_put_u64(to, (uint64_t)state->of[i].remaining);
        to = put(to, SLICE(";t="));
        to = slice_put_u64(to, (uint64_t)seconds_up(state->of[i].wait));
    }
    return (size_t)(to - room);
}
