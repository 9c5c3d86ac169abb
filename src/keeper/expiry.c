/*
 * expiry.c: see expiry.h.
 */
#include "keeper/expiry.h"
#include "base/log.h"
#include "base/panic.h"
#include "crypto/ocsp.h"
#include "io/timeout.h"

#define LOOK DUR_S(1)

struct entry {
    const struct config_tls *config;
    struct certificate *certificate;
    int64_t ends;
    struct ocsp_times ocsp;
    bool valid, stapled; /* at the last look */
};

struct expiry {
    struct loop *loop;
    struct entry *entries;
    size_t count;
    struct timeout look;
};

static bool may_staple(const struct entry *e, wall_t now)
{
    return e->config->ocsp.path != NULL && ocsp_current(&e->ocsp, now);
}

static void look_at(struct entry *e, wall_t now)
{
    bool valid = now.ns / 1000000000 < e->ends, stapled = may_staple(e, now);
    struct error why;
    if (e->valid && !valid && certificate_dates(e->certificate, now, &why) != 0)
        log_at(LOG_WARN, "TLS certificate out of date", LOG_STR("file", e->config->cert.path),
               LOG_STR("error", why.text));
    if (e->stapled && !stapled)
        log_at(LOG_WARN, "OCSP response out of date: it is not stapled", LOG_STR("file", e->config->ocsp.path));
    e->valid = valid;
    e->stapled = stapled;
}

static void look(struct timeout *t)
{
    struct expiry *e = CONTAINER_OF(t, struct expiry, look);
    wall_t now = wall_now();
    for (size_t i = 0; i < e->count; i++)
        look_at(&e->entries[i], now);
    timeout_set(e->loop, t, mono_add(loop_now(e->loop), LOOK), look);
}

static void open_entry(struct entry *e, const struct config_tls *config)
{
    struct error err;
    e->config = config;
    e->certificate = certificate_read(config_tls_bytes(&config->cert), config_tls_bytes(&config->key), &err);
    CHECK(e->certificate != NULL); /* as it was when the configuration was read */
    e->ends = certificate_ends(e->certificate);
    if (config->ocsp.path != NULL)
        CHECK(ocsp_read(config_tls_bytes(&config->ocsp), e->certificate, &e->ocsp, &err) == 0);
}

struct expiry *expiry_new(struct loop *loop, const struct config *config)
{
    struct expiry *e = need_zero(1, sizeof(*e));
    e->loop = loop;
    e->count = config->tls_count;
    e->entries = need_zero(e->count + 1, sizeof(*e->entries));
    for (size_t i = 0; i < e->count; i++)
        open_entry(&e->entries[i], &config->tls[i]);
    if (e->count > 0)
        look(&e->look);
    return e;
}

int64_t expiry_first(const struct expiry *e)
{
    int64_t first = e->count > 0 ? e->entries[0].ends : 0;
    for (size_t i = 1; i < e->count; i++)
        first = e->entries[i].ends < first ? e->entries[i].ends : first;
    return first;
}
