/*
 * api.c: see api.h.
 */
#include "admin/api.h"
#include "base/log.h"
#include "base/panic.h"
#include "codec/json.h"
#include "http/problem.h"
#include <stdlib.h>

static void answer(struct http_response *r, struct json_writer *w)
{
    json_write_end(w, '}');
    r->status = 200;
    r->body = buf_slice(w->out);
    http_response_add(r, SLICE("content-type"), SLICE("application/json"), NULL);
}

static void write_seconds(struct json_writer *w, struct slice name, dur_t d)
{
    json_write_name(w, name);
    json_write_double(w, (double)d.ns / 1e9);
}

void api_quarantine(const struct api *api, struct slice name, struct http_response *r, struct buf *body)
{
    struct json_writer w;
    struct quarantine_view view;
    json_write_begin(&w, body);
    json_write_object(&w);
    json_write_name(&w, SLICE("quarantined"));
    json_write_array(&w);
    for (size_t i = 0; i < reload_script_count(api->reload); i++) {
        const struct reload_script s = reload_script_at(api->reload, i);
        if (!quarantine_look(&api->area->quarantine, s.version, mono_now(), &view))
            continue;
        json_write_object(&w);
        json_write_name(&w, SLICE("endpoint"));
        json_write_text(&w, slice_of(s.name));
        json_write_name(&w, SLICE("file"));
        json_write_text(&w, slice_of(s.file));
        write_seconds(&w, SLICE("seconds"), view.wait);
        write_seconds(&w, SLICE("period"), view.period);
        json_write_name(&w, SLICE("probing"));
        json_write_bool(&w, view.probing);
        json_write_end(&w, '}');
    }
    json_write_end(&w, ']');
    answer(r, &w);
}

/* Names are the operator's own files: telling the nearest is no oracle. */
static void answer_unknown(const struct api *api, struct slice name, struct http_response *r, struct buf *body)
{
    size_t count = reload_script_count(api->reload);
    const char **known = need_zero(count + 1, sizeof(*known));
    struct buf detail = {0};
    struct uuid id = uuid_new(wall_now());
    for (size_t i = 0; i < count; i++)
        known[i] = reload_script_at(api->reload, i).name;
    const char *near = slice_nearest(name, known, count);
    buf_addf(&detail, "no endpoint \"%.*s\"%s%s%s", name.len > 200 ? 200 : (int)name.len, name.at,
             near != NULL ? " (did you mean \"" : "", near != NULL ? near : "", near != NULL ? "\"?)" : "");
    problem_make(r, 404, buf_slice(&detail), &id, SLICE_NONE, body);
    buf_free(&detail);
    free(known);
}

static const struct reload_script *find(const struct api *api, struct slice name, struct reload_script *room)
{
    for (size_t i = 0; i < reload_script_count(api->reload); i++) {
        *room = reload_script_at(api->reload, i);
        if (slice_equal(slice_of(room->name), name))
            return room;
    }
    return NULL;
}

void api_unquarantine(const struct api *api, struct slice name, struct http_response *r, struct buf *body)
{
    struct reload_script room;
    struct json_writer w;
    const struct reload_script *s = find(api, name, &room);
    if (s == NULL) {
        answer_unknown(api, name, r, body);
        return;
    }
    bool was = quarantine_end(&api->area->quarantine, s->version);
    if (was)
        log_at(LOG_INFO, "endpoint out of quarantine", LOG_STR("endpoint", s->name),
               LOG_STR("because", "an operator said so"));
    json_write_begin(&w, body);
    json_write_object(&w);
    json_write_name(&w, SLICE("endpoint"));
    json_write_text(&w, slice_of(s->name));
    json_write_name(&w, SLICE("was_quarantined"));
    json_write_bool(&w, was);
    answer(r, &w);
}
