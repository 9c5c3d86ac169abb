/*
 * sse.c: see sse.h. A line ends with LF, CR LF or CR for a client, so all three end a line here.
 */
#include "http/sse.h"
#include "codec/utf8.h"

static bool has_line_break(struct slice s)
{
    return memchr(s.at, '\n', s.len) != NULL || memchr(s.at, '\r', s.len) != NULL;
}

static int check_utf8(const char *name, struct slice s, struct error *err)
{
    size_t valid = utf8_valid(s);
    if (valid < s.len)
        return error_set(err, "%s is not UTF-8 (byte %zu): base64 it", name, valid + 1);
    return 0;
}

int sse_check(const struct sse_event *e, struct error *err)
{
    if (e->event.at != NULL && (e->event.len == 0 || has_line_break(e->event)))
        return error_set(err, e->event.len == 0 ? "event is empty" : "event has a line break");
    if (e->id.at != NULL && (has_line_break(e->id) || memchr(e->id.at, '\0', e->id.len) != NULL))
        return error_set(err, has_line_break(e->id) ? "id has a line break" : "id has a NUL, so clients would drop it");
    if (e->data.at == NULL && e->event.at != NULL)
        return error_set(err, "an event without data never reaches a listener: give data, if only \"\"");
    if (e->data.at == NULL && e->id.at == NULL && e->retry_ms < 0)
        return error_set(err, "nothing to send: data, id and retry are missing");
    if ((e->event.at != NULL && check_utf8("event", e->event, err) != 0) ||
        (e->id.at != NULL && check_utf8("id", e->id, err) != 0) ||
        (e->data.at != NULL && check_utf8("data", e->data, err) != 0))
        return -1;
    return 0;
}

static void add_field(struct buf *out, const char *name, struct slice value)
{
    if (value.at == NULL)
        return;
    buf_add_text(out, name);
    buf_add_slice(out, value);
    buf_add_char(out, '\n');
}

void sse_fields(const struct sse_event *e, struct buf *out)
{
    add_field(out, "event: ", e->event);
    add_field(out, "id: ", e->id);
    if (e->retry_ms >= 0)
        buf_addf(out, "retry: %lld\n", (long long)e->retry_ms);
}

void sse_lines_begin(struct sse_lines *l, struct slice data)
{
    *l = (struct sse_lines){.rest = data, .none = data.at == NULL};
}

static size_t line_part(struct slice s, size_t most)
{
    size_t n = 0;
    most = s.len < most ? s.len : most;
    while (n < most && s.at[n] != '\n' && s.at[n] != '\r')
        n++;
    return n;
}

bool sse_lines_take(struct sse_lines *l, struct buf *out, size_t most)
{
    if (l->none) {
        buf_add_char(out, '\n');
        return true;
    }
    for (size_t start = out->len; out->len - start < most;) {
        if (!l->inside)
            buf_add_text(out, "data: ");
        l->inside = true;
        size_t part = line_part(l->rest, most);
        buf_add(out, l->rest.at, part);
        l->rest = slice_from(l->rest, part);
        if (l->rest.len == 0) {
            buf_add_text(out, "\n\n");
            return true;
        }
        if (l->rest.at[0] != '\n' && l->rest.at[0] != '\r')
            continue;
        l->rest = slice_from(l->rest, slice_starts(l->rest, SLICE("\r\n")) ? 2 : 1);
        buf_add_char(out, '\n');
        l->inside = false;
    }
    return false;
}
