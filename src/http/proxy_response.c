/*
 * proxy_response.c: an upstream's reply as the client gets it. See proxy.h. Whatever readers might disagree about
 * (folded lines, spaces before a colon, two lengths) is refused: behind such a reply the next one may be the client's.
 */
#include "base/ascii.h"
#include "http/proxy.h"

/* --- its header, strictly ---------------------------------------------------------------------------------------- */

/* Takes the next line off *head, as a field with its name in lower case in `lower`. 1, 0 at the end, -1: none such. */
static int next_field(struct slice *head, struct httpc_header *out, char lower[256])
{
    if (head->len == 0)
        return 0;
    const char *end = memchr(head->at, '\n', head->len);
    struct slice line = {head->at, end != NULL ? (size_t)(end - head->at) : head->len};
    *head = slice_from(*head, line.len + 1);
    if (line.len > 0 && line.at[line.len - 1] == '\r')
        line.len--;
    size_t colon = slice_find(line, ':');
    if (colon == SIZE_MAX || colon == 0 || colon > 256)
        return -1;
    for (size_t i = 0; i < colon; i++) {
        unsigned char c = (unsigned char)line.at[i];
        if (c <= ' ' || c >= 0x7f)
            return -1;
        lower[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    out->name = (struct slice){lower, colon};
    out->value = slice_trim(slice_from(line, colon + 1));
    return 1;
}

struct facts { /* about all of it */
    bool chunked;
    bool named; /* Connection names fields */
    long long length;
};

static int read_length(struct slice value, struct facts *f)
{
    unsigned long long length;
    if (!slice_to_u64(value, INT64_MAX, &length) || (f->length >= 0 && (unsigned long long)f->length != length))
        return -1;
    f->length = (long long)length;
    return 0;
}

static int look_at_all(struct slice head, struct facts *f, struct error *err)
{
    struct httpc_header h;
    char lower[256];
    int more;
    *f = (struct facts){.length = -1};
    while ((more = next_field(&head, &h, lower)) > 0) {
        if (slice_equal(h.name, SLICE("transfer-encoding")))
            f->chunked = true;
        else if (slice_equal(h.name, SLICE("connection")))
            f->named |=
                !slice_equal_nocase(h.value, SLICE("keep-alive")) && !slice_equal_nocase(h.value, SLICE("close"));
        else if (slice_equal(h.name, SLICE("content-length")) && read_length(h.value, f) != 0)
            return error_set(err, "its content-length is malformed, or there are two");
    }
    return more == 0 ? 0 : error_set(err, "a line of its header is malformed");
}

/* --- what comes back --------------------------------------------------------------------------------------------- */

static bool is_named(struct slice head, struct slice name)
{
    struct httpc_header h;
    while (httpc_next_header(&head, &h)) {
        struct slice rest = h.value, token;
        if (!slice_equal_nocase(h.name, SLICE("connection")))
            continue;
        while (slice_cut(&rest, ',', &token))
            if (slice_equal_nocase(slice_trim(token), name))
                return true;
    }
    return false;
}

static bool changes_it(const struct proxy_changes *c, struct slice name)
{
    for (size_t i = 0; i < c->count; i++)
        if (slice_equal(c->at[i].name, name))
            return true;
    return false;
}

/* The rest behind scheme and authority of this upstream; at == NULL: it is another one's. */
static struct slice behind_origin(const struct proxy_upstream *up, struct slice location)
{
    struct url u;
    struct slice rest;
    if (url_parse(location, &u) != NULL || u.user.at != NULL || u.tls != up->url.tls || u.port != up->url.port ||
        !slice_equal_nocase(u.host, up->url.host))
        return SLICE_NONE;
    rest = slice_from(location, (size_t)(u.host.at + u.host.len - location.at));
    while (rest.len > 0 && !ascii_is_one_of(rest.at[0], "/?#")) /* the port */
        rest = slice_from(rest, 1);
    return rest;
}

/* As nginx's proxy_redirect does by default: what leads to the upstream leads here. Written behind `room`. */
static struct slice here(const struct proxy_plan *plan, const struct proxy_upstream *from, struct slice location,
                         struct buf *room)
{
    struct slice base = from->url.path, rest;
    if (base.len > 0 && plan->strip.at == NULL) /* one path for all: nothing corresponds */
        return location;
    rest = behind_origin(from, location);
    while (base.len > 0 && base.at[base.len - 1] == '/')
        base.len--;
    if (rest.at == NULL || !slice_starts(rest, base))
        return location;
    rest = slice_from(rest, base.len);
    if (rest.len > 0 && !ascii_is_one_of(rest.at[0], "/?#")) /* "/v2" is not "/v20" */
        return location;
    size_t begin = room->len;
    if (plan->strip.at != NULL)
        buf_add_slice(room, plan->strip);
    if (room->len == begin && !slice_starts(rest, SLICE("/")))
        buf_add_char(room, '/');
    if (slice_starts(rest, SLICE("//")) && room->len == begin) /* would name another host */
        buf_add_text(room, "/.");
    buf_add_slice(room, rest);
    return slice_from(buf_slice(room), begin);
}

static int add_field(const struct proxy_plan *plan, const struct proxy_upstream *from, const struct httpc_header *h,
                     struct http_response *r, struct error *err)
{
    struct buf room = {0};
    struct slice value = h->value;
    if (slice_equal(h->name, SLICE("location")))
        value = here(plan, from, value, &room);
    int done = http_response_add(r, h->name, value, err);
    buf_free(&room);
    return done;
}

static bool stays(const struct proxy_plan *plan, struct slice head, const struct facts *f, struct slice name)
{
    return proxy_is_of_connection(name) || slice_equal(name, SLICE("content-length")) ||
           slice_equal(name, SLICE("date")) || slice_equal(name, SLICE("server")) ||
           changes_it(&plan->response, name) || (f->named && is_named(head, name));
}

int proxy_response(const struct proxy_plan *plan, const struct proxy_upstream *from, const struct httpc_reply *reply,
                   struct http_response *r, long long *length_out, struct error *err)
{
    struct slice head = reply->head;
    struct httpc_header h;
    struct facts f;
    char lower[256];
    if (look_at_all(head, &f, err) != 0)
        return -1;
    if (reply->status < 200 || reply->status > 599)
        return error_set(err, "its status is %d", reply->status);
    if (http_response_status(r, reply->status, err) != 0)
        return -1;
    while (next_field(&head, &h, lower) > 0)
        if (!stays(plan, reply->head, &f, h.name) && add_field(plan, from, &h, r, err) != 0)
            return -1;
    for (size_t i = 0; i < plan->response.count; i++) {
        const struct proxy_change *c = &plan->response.at[i];
        if (c->value.at != NULL && http_response_add(r, c->name, c->value, err) != 0)
            return -1;
    }
    *length_out = f.chunked ? -1 : f.length;
    return 0;
}
