/*
 * bound.c: see bound.h.
 */
#include "supervise/bound.h"

#include "supervise/supervisor.h"

#include <stdlib.h>

void bound_keep(struct bound *b, const struct edition *e)
{
    char **at = &b->at[e->number % AREA_EDITIONS];
    struct buf text = {0};

    sockets_workers(&e->sockets, &text);
    free(*at);
    *at = buf_take(&text);
}

void bound_find(const struct supervisor *s, const struct edition *e, struct buf *out)
{
    bool held[AREA_EDITIONS] = {false};

    held[s->now->number % AREA_EDITIONS] = held[e->number % AREA_EDITIONS] = true;
    for (uint32_t i = 0; i < s->places; i++)
        if (s->workers[i].pid != 0)
            held[s->workers[i].number % AREA_EDITIONS] = true;
    for (size_t i = 0; i < AREA_EDITIONS; i++) {
        struct slice text = held[i] ? slice_of(s->bound.at[i]) : SLICE_NONE;

        if (text.len > 0 && out->len > 0)
            buf_add_char(out, ' ');
        buf_add_slice(out, text);
    }
}

void bound_write(const struct bound *b, struct buf *out)
{
    for (size_t i = 0; i < AREA_EDITIONS; i++)
        buf_add_string(out, slice_of(b->at[i]));
}

void bound_read(struct slice *from, struct bound *b, bool *bad_out)
{
    for (size_t i = 0; i < AREA_EDITIONS && !*bad_out; i++)
        b->at[i] = slice_dup(buf_take_string(from, bad_out));
}

void bound_free(struct bound *b)
{
    for (size_t i = 0; i < AREA_EDITIONS; i++)
        free(b->at[i]);
    *b = (struct bound){0};
}
