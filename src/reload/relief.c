/*
 * relief.c: see relief.h.
 */
#include "reload/relief.h"
#include "base/log.h"

void relief_begin(struct reload *r)
{
    r->relieves = true;
    for (size_t i = 0; i < r->catalog.script_count; i++) {
        struct catalog_script *s = r->catalog.scripts[i];
        s->served = s->live != NULL;
        s->sound = s->served && s->error == NULL;
        r->owes = r->owes || s->served;
    }
}

static struct slice first_line(const char *text)
{
    struct slice rest = slice_of(text), line = SLICE_NONE;
    slice_cut(&rest, '\n', &line);
    return line;
}

static bool lost(const struct catalog_script *s)
{
    return (s->sound && catalog_is_broken(s)) || (s->served && s->next == NULL);
}

/* The first script that is lost; or the first of all, where none loads any more. */
static const struct catalog_script *reason(const struct reload *r)
{
    const struct catalog *c = &r->catalog;
    bool any = false;
    for (size_t i = 0; i < c->script_count; i++) {
        if (lost(c->scripts[i]))
            return c->scripts[i];
        any = any || c->scripts[i]->next != NULL;
    }
    return c->script_count > 0 && r->owes && !any ? c->scripts[0] : NULL;
}

bool relief_objects(struct reload *r)
{
    const struct catalog_script *s = r->relieves && r->generation == 0 ? reason(r) : NULL;
    struct buf words = {0};
    if (s == NULL)
        return false;
    buf_addf(&words, lost(s) ? "%s would no longer be served" : "no script loads: %s", s->file);
    if (s->error != NULL)
        buf_addf(&words, ": %.*s", SLICE_ARG(first_line(s->error)));
    const struct message m = {.type = MESSAGE_objection, .objection = {.words = buf_slice(&words)}};
    r->host.to_supervisor(r->host.cookie, &m);
    buf_free(&words);
    return true;
}
