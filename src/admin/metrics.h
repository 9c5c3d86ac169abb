/*
 * metrics.h: the figures of the whole server as Prometheus text (exposition format 0.0.4): the sum of all processes'
 * counters, and a few gauges.
 * Runs in: the keeper. Never fails.
 */
#ifndef CRESCENT_ADMIN_METRICS_H
#define CRESCENT_ADMIN_METRICS_H

#include "base/buf.h"
#include "reload/reload.h"
#include "shm/area.h"

/* Appends all of it. tls_ends: see admin.h. */
void admin_metrics_write(const struct area *area, const struct reload *reload, int64_t tls_ends, struct buf *out);
/* Workers that accept now. */
uint32_t admin_metrics_serving(const struct area *area);

#endif
