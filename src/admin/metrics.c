/*
 * metrics.c: see metrics.h. Names, labels and help come from shm/counters.def and policy/reasons.def; lines of one
 * metric stand together there.
 */
#include "admin/metrics.h"
#include "base/fd.h"

enum kind { COUNTED, MOMENTARY, EACH_WORKER };

static const struct {
    const char *metric, *labels, *help;
    enum kind kind;
} counters[COUNTER_COUNT] = {
#define COUNTER(name, metric, labels, help) [COUNTER_##name] = {metric, labels, help, COUNTED},
#define GAUGE(name, metric, labels, help) [COUNTER_##name] = {metric, labels, help, MOMENTARY},
#define EACH(name, metric, labels, help) [COUNTER_##name] = {metric, labels, help, EACH_WORKER},
#define HISTOGRAM(name, metric, labels, help)
#include "shm/counters.def"
#undef COUNTER
#undef GAUGE
#undef EACH
#undef HISTOGRAM
};

static const struct {
    const char *metric, *labels, *help;
} histograms[HISTOGRAM_COUNT] = {
#define COUNTER(name, metric, labels, help)
#define GAUGE(name, metric, labels, help)
#define EACH(name, metric, labels, help)
#define HISTOGRAM(name, metric, labels, help) [HISTOGRAM_##name] = {metric, labels, help},
#include "shm/counters.def"
#undef COUNTER
#undef GAUGE
#undef EACH
#undef HISTOGRAM
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

static bool alive(const struct area *area, uint32_t slot)
{
    return atomic_load(&area->worker[slot].state) != AREA_DEAD;
}

/* One line for each living worker, by its slot; what is kept in ns is told in seconds. */
static void write_each(const struct area *area, unsigned which, struct buf *out)
{
    for (uint32_t i = 0; i < area_used(area); i++) {
        uint64_t value = counters_get(&area->worker[i].counters, which);
        if (!alive(area, i))
            continue;
        if (which == COUNTER_lag_max)
            buf_addf(out, "%s{slot=\"%u\"} %.9g\n", counters[which].metric, i, (double)value / 1e9);
        else
            buf_addf(out, "%s{slot=\"%u\"} %llu\n", counters[which].metric, i, (unsigned long long)value);
    }
}

static void write_counters(const struct area *area, struct buf *out)
{
    const char *metric = "";
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        bool labelled = counters[i].labels[0] != '\0';
        if (strcmp(metric, counters[i].metric) != 0)
            write_head(out, counters[i].metric, counters[i].kind == COUNTED ? "counter" : "gauge", counters[i].help);
        metric = counters[i].metric;
        if (counters[i].kind == EACH_WORKER)
            write_each(area, i, out);
        else
            buf_addf(out, "%s%s%s%s %llu\n", metric, labelled ? "{" : "", counters[i].labels, labelled ? "}" : "",
                     (unsigned long long)sum_counter(area, i));
    }
}

/* The sum over all slots, dead lives included. */
static void sum_histogram(const struct area *area, unsigned which, uint64_t counts_out[COUNTERS_BUCKETS + 1],
                          uint64_t *ns_out)
{
    *ns_out = 0;
    memset(counts_out, 0, (COUNTERS_BUCKETS + 1) * sizeof(*counts_out));
    for (uint32_t i = 0; i <= area_used(area); i++) { /* the last one is the keeper */
        const struct counters *c = i < area_used(area) ? &area->worker[i].counters : &area->keeper;
        const struct histogram *h = &c->histogram[which];
        for (unsigned b = 0; b <= COUNTERS_BUCKETS; b++)
            counts_out[b] += atomic_load_explicit(&h->count[b], memory_order_relaxed);
        *ns_out += atomic_load_explicit(&h->sum, memory_order_relaxed);
    }
}

static void write_histogram(const struct area *area, unsigned which, struct buf *out)
{
    const char *metric = histograms[which].metric, *labels = histograms[which].labels;
    const char *comma = labels[0] != '\0' ? "," : "";
    uint64_t counts[COUNTERS_BUCKETS + 1], ns, so_far = 0;
    sum_histogram(area, which, counts, &ns);
    for (unsigned b = 0; b <= COUNTERS_BUCKETS; b++) {
        so_far += counts[b];
        buf_addf(out, "%s_bucket{%s%sle=\"", metric, labels, comma);
        if (b < COUNTERS_BUCKETS)
            buf_addf(out, "%.9g\"} %llu\n", (double)counters_bounds[b] / 1e9, (unsigned long long)so_far);
        else
            buf_addf(out, "+Inf\"} %llu\n", (unsigned long long)so_far);
    }
    const char *open = labels[0] != '\0' ? "{" : "", *close = labels[0] != '\0' ? "}" : "";
    buf_addf(out, "%s_sum%s%s%s %.9g\n", metric, open, labels, close, (double)ns / 1e9);
    buf_addf(out, "%s_count%s%s%s %llu\n", metric, open, labels, close, (unsigned long long)so_far);
}

static void write_histograms(const struct area *area, struct buf *out)
{
    const char *metric = "";
    for (unsigned i = 0; i < HISTOGRAM_COUNT; i++) {
        if (strcmp(metric, histograms[i].metric) != 0)
            write_head(out, histograms[i].metric, "histogram", histograms[i].help);
        metric = histograms[i].metric;
        write_histogram(area, i, out);
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

static void write_counter(struct buf *out, const char *metric, uint64_t value, const char *help)
{
    write_head(out, metric, "counter", help);
    buf_addf(out, "%s %llu\n", metric, (unsigned long long)value);
}

/* Lines that were not written, wherever on their way. */
static void write_log(const struct area *area, struct buf *out)
{
    uint64_t dropped = atomic_load_explicit(&area->log_lost, memory_order_relaxed) + tape_dropped(&area->tape);
    uint64_t resets = tape_resets(&area->tape);
    for (uint32_t i = 0; i < area_used(area); i++) {
        dropped += tape_dropped(&area->worker[i].tape);
        resets += tape_resets(&area->worker[i].tape);
    }
    write_counter(out, "crescent_log_dropped_total", dropped, "Log lines that were dropped");
    write_counter(out, "crescent_tape_resets_total", resets, "Times a process had left what is no record on its tape");
}

static void write_descriptors(struct buf *out, const char *process, uint64_t count)
{
    buf_addf(out, "crescent_open_descriptors{process=\"%s\"} %llu\n", process, (unsigned long long)count);
}

static void write_process(const struct area *area, struct buf *out)
{
    uint64_t workers = 0;
    for (uint32_t i = 0; i < area_used(area); i++)
        workers += alive(area, i) ? atomic_load_explicit(&area->worker[i].descriptors, memory_order_relaxed) : 0;
    write_head(out, "crescent_open_descriptors", "gauge", "Open descriptors of the processes");
    write_descriptors(out, "supervisor", atomic_load_explicit(&area->supervisor_descriptors, memory_order_relaxed));
    write_descriptors(out, "keeper", fd_count());
    write_descriptors(out, "worker", workers);
    write_head(out, "crescent_start_time_seconds", "gauge", "When the server started, in seconds since 1970");
    buf_addf(out, "crescent_start_time_seconds %.3f\n", (double)area->started / 1e9);
    write_head(out, "crescent_build_info", "gauge", "1, with the version that runs");
    buf_addf(out, "crescent_build_info{version=\"%s\"} 1\n", CRESCENT_VERSION);
}

static uint64_t sum_bodies(const struct area *area)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < area_used(area); i++)
        sum += atomic_load(&area->body_memory[i]);
    return sum;
}

uint32_t admin_metrics_serving(const struct area *area)
{
    uint32_t serving = 0;
    for (uint32_t i = 0; i < area_used(area); i++)
        serving += atomic_load(&area->worker[i].state) == AREA_SERVING;
    return serving;
}

void admin_metrics_write(const struct area *area, const struct reload *reload, int64_t tls_ends, struct buf *out)
{
    size_t scripts = reload_script_count(reload), broken = 0, quarantined = 0;
    for (size_t i = 0; i < scripts; i++) {
        const struct reload_script script = reload_script_at(reload, i);
        broken += script.error != NULL;
        quarantined += quarantine_look(&area->quarantine, script.version, mono_now(), NULL);
    }
    write_counters(area, out);
    write_refusals(area, out);
    write_histograms(area, out);
    write_log(area, out);
    write_process(area, out);
    write_gauge(out, "crescent_body_memory_bytes", sum_bodies(area), "Memory for what clients send, of all workers");
    write_gauge(out, "crescent_workers", atomic_load(&area->workers), "Workers configured");
    write_gauge(out, "crescent_workers_serving", admin_metrics_serving(area), "Workers that accept connections");
    write_gauge(out, "crescent_scripts", scripts, "Scripts in the hooks folder");
    write_gauge(out, "crescent_scripts_broken", broken, "Scripts whose newest text does not load");
    write_gauge(out, "crescent_hooks_unreadable", reload_unreadable_count(reload),
                "Folders and modules, in the hooks folder, that cannot be read");
    write_gauge(out, "crescent_scripts_quarantined", quarantined, "Scripts whose endpoint is in quarantine");
    write_counter(out, "crescent_quarantines_total", atomic_load(&area->quarantine.begun),
                  "Quarantines begun, since a script's stretches passed max_run");
    write_gauge(out, "crescent_generation", atomic_load(area_generation((struct area *)area)),
                "Generation of scripts that is live");
    if (tls_ends > 0)
        write_gauge(out, "crescent_tls_certificate_expiry_seconds", (uint64_t)tls_ends,
                    "When the first of the certificates expires, in seconds since 1970");
}
