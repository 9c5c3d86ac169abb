/*
 * config_limits.c: see config_limits.h. What stands at its default nobody has asked for, so it may be without effect.
 */
#include "cli/config_limits.h"
#include "base/log.h"
#include "base/panic.h"
#include <string.h>
#include <sys/resource.h>

#define OTHERS 1024 /* descriptors of a worker for what is no connection of a client; a quarter, where that is less */

static const struct {
    const char *limit, *first;
    bool equal; /* it has none either where both are the same */
} pairs[] = {
    {"limits.first_byte_time", "limits.header_time", false},
    {"limits.stall_time", "limits.write_time", true},
    {"limits.body_memory_per_ip", "limits.body_memory", true},
    {"limits.connections_per_ip", "limits.connections", true},
};

static const struct config_setting *named(const char *name)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (strcmp(config_settings[i].name, name) == 0)
            return &config_settings[i];
    PANIC("no setting %s", name);
}

void config_limits_fit(struct config *c)
{
    const struct config_setting *s = named("limits.connections");
    size_t by_default = (size_t)s->fallback, least = (size_t)s->least;
    struct rlimit limit;
    if (c->limits.connections != by_default || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    size_t others = limit.rlim_max / 4 < OTHERS ? limit.rlim_max / 4 : OTHERS, each = limit.rlim_max - others;
    if (each < by_default / c->workers)
        c->limits.connections = each * c->workers > least ? each * c->workers : least;
}

void config_limits_warn(const struct config *c)
{
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        const struct config_setting *s = named(pairs[i].limit);
        int64_t value = config_number(c, s), first = config_number(c, named(pairs[i].first));
        if (value != s->fallback && (value > first || (pairs[i].equal && value == first)))
            log_at(LOG_WARN, "a limit has no effect: another one comes first", LOG_STR("limit", pairs[i].limit),
                   LOG_STR("first", pairs[i].first));
    }
}
