/*
 * problem.c: writes RFC 9457 problem details. See problem.h.
 */
#include "http/problem.h"
#include "base/panic.h"
#include "codec/json.h"

const char *problem_title(int status)
{
    return http_response_reason(status);
}

void problem_make(struct http_response *r, int status, struct slice detail, const struct uuid *id, struct slice members,
                  struct buf *room)
{
    CHECK(status >= 400 && status <= 599);
    char id_text[UUID_TEXT];
    uuid_text(id, id_text);

    struct json_writer w;
    buf_clear(room);
    json_write_begin(&w, room);
    json_write_object(&w);
    json_write_name(&w, SLICE("type"));
    json_write_string(&w, SLICE("about:blank"));
    json_write_name(&w, SLICE("title"));
    json_write_string(&w, slice_of(problem_title(status)));
    json_write_name(&w, SLICE("status"));
    json_write_int(&w, status);
    if (detail.at != NULL) {
        json_write_name(&w, SLICE("detail"));
        json_write_text(&w, detail);
    }
    json_write_name(&w, SLICE("request_id"));
    json_write_string(&w, (struct slice){id_text, UUID_TEXT});
    if (members.len > 0)
        json_write_raw(&w, members);
    json_write_end(&w, '}');

    r->status = status;
    r->body = buf_slice(room);
    CHECK(http_response_add(r, SLICE("content-type"), SLICE("application/problem+json"), NULL) == 0);
}
