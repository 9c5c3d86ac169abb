/*
 * metrics.c: see metrics.h. Names, labels and help come from shm/counters.def and policy/reasons.def; lines of one
 * metric stand together there.
 */
#include "admin/metrics.h"

static const struct {
    const char *metric, *labels, *help;
} counters[COUNTER_COUNT] = {
#define COUNTER(name, metric, labels, help) [COUNTER_##name] = {metric, labels, help},
#include "shm/counters.def"
#undef COUNTER
};

static const char *const reasons[] = {
#define REASON(name, status) #name,
#include "policy/reasons.def"
#undef REASON
};
#define REASON_COUNT (sizeof(reasons) / sizeof(reasons[0]))
_Static_assert(REASON_COUNT <= COUNTERS_REASONS, "a slot of counters has no room for so many reasons");

static uint64_t sum_counter(const struct area *area, enum counter which)
{
    uint64_t sum = counters_get(&area->keeper, which);
    for (uint32_t i = 0; i < area_used(area); i++)
        sum += counters_get(&area->worker[i].counters, which);
    return sum;
}

static uint64_t sum_refused(const struct area *area, size_t reason)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < area_used(area); i++)
        sum += atomic_load_explicit(&area->worker[i].counters.refused[reason], memory_order_relaxed);
    return sum;
}

static void write_head(struct buf *out, const char *metric, const char *kind, const char *help)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", metric, help, metric, kind);
}

/* The ones that only grow are named so. */
static bool is_total(const char *metric)
{
    size_t len = strlen(metric);
    return len > 6 && strcmp(metric + len - 6, "_total") == 0;
}

static void write_counters(const struct area *area, struct buf *out)
{
    const char *metric = "";
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        bool labelled = counters[i].labels[0] != '\0';
        if (strcmp(metric, counters[i].metric) != 0)
            write_head(out, counters[i].metric, is_total(counters[i].metric) ? "counter" : "gauge", counters[i].help);
        metric = counters[i].metric;
        buf_addf(out, "%s%s%s%s %llu\n", metric, labelled ? "{" : "", counters[i].labels, labelled ? "}" : "",
                 (unsigned long long)sum_counter(area, i));
    }
}

static void write_refusals(const struct area *area, struct buf *out)
{
    write_head(out, "crescent_refused_total", "counter", "Requests refused before their handler, by reason");
    for (size_t i = 1; i < REASON_COUNT; i++) /* 0 is none */
        buf_addf(out, "crescent_refused_total{reason=\"%s\"} %llu\n", reasons[i],
                 (unsigned long long)sum_refused(area, i));
}

static void write_gauge(struct buf *out, const char *metric, uint64_t value, const char *help)
{
    write_head(out, metric, "gauge", help);
    buf_addf(out, "%s %llu\n", metric, (unsigned long long)value);
}

uint32_t admin_metrics_serving(const struct area *area)
{
    uint32_t serving = 0;
    for (uint32_t i = 0; i < area_used(area); i++)
        serving += atomic_load(&area->worker[i].state) == AREA_SERVING;
    return serving;
}

void admin_metrics_write(const struct area *area, const struct reload *reload, struct buf *out)
{
    size_t scripts = reload_script_count(reload), broken = 0;
    for (size_t i = 0; i < scripts; i++)
        broken += reload_script_at(reload, i).error != NULL;
    write_counters(area, out);
    write_refusals(area, out);
    write_gauge(out, "crescent_workers", atomic_load(&area->workers), "Workers configured");
    write_gauge(out, "crescent_workers_serving", admin_metrics_serving(area), "Workers that accept connections");
    write_gauge(out, "crescent_scripts", scripts, "Scripts in the hooks folder");
    write_gauge(out, "crescent_scripts_broken", broken, "Scripts whose newest text does not load");
    write_gauge(out, "crescent_generation", atomic_load(area_generation((struct area *)area)),
                "Generation of scripts that is live");
}
