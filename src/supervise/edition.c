/*
 * edition.c: see edition.h.
 */
#include "supervise/edition.h"

#include "base/fd.h"
#include "base/panic.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct edition *edition_new(uint32_t number, const char *version, struct config *config, int config_text, int binary)
{
    struct edition *e = need_zero(1, sizeof(*e));

    e->number = number;
    snprintf(e->version, sizeof(e->version), "%s", version);
    e->config = *config;
    *config = (struct config){0};
    e->config_text = config_text;
    e->binary = binary;
    snapshots_init(&e->snapshots);
    return e;
}

void edition_free(struct edition **e, const struct sockets *keep)
{
    struct edition *gone = *e;

    *e = NULL;
    if (gone == NULL)
        return;
    snapshots_close(&gone->snapshots);
    sockets_close(&gone->sockets, keep);
    fd_close(&gone->binary);
    fd_close(&gone->config_text);
    config_free(&gone->config);
    free(gone);
}

int edition_open_text(const struct edition *e, struct error *err)
{
    struct config without = e->config;  /* nothing of it is owned */
    struct buf text = {.secret = true}; /* private keys are in it */

    without.admin_token = NULL;
    config_write(&without, &text);
    int fd = fd_sealed("crescent-configuration", buf_slice(&text), err);
    buf_free(&text);
    return fd;
}

struct snapshot_held edition_snapshot(struct edition *e, struct area *a, bool worker)
{
    uint64_t word = atomic_load(area_generation_of(a, e->number));

    if (worker && word == 0)
        return (struct snapshot_held){.generation = 0, .fd = -1};
    return snapshots_live(&e->snapshots, word);
}

int edition_inherit(struct edition *e, struct edition *before, struct area *a)
{
    struct snapshot_held live = edition_snapshot(before, a, false);
    int copy;

    if (live.generation == 0)
        return 0;
    if ((copy = fcntl(live.fd, F_DUPFD_CLOEXEC, 0)) < 0)
        return -1;
    snapshots_keep(&e->snapshots, live.generation, live.generation, copy);
    return 0;
}
