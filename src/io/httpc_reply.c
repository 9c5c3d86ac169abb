/*
 * httpc_reply.c: reading a reply's header. See httpc.h. Pure.
 */
#include "codec/date.h"
#include "io/httpc.h"

#define SECONDS_MOST INT64_C(1000000000) /* of Retry-After: longer than anybody waits */

bool httpc_next_header(struct slice *head, struct httpc_header *header_out)
{
    struct slice line;
    while (head->len > 0) {
        const char *end = memchr(head->at, '\n', head->len);
        line = (struct slice){head->at, end != NULL ? (size_t)(end - head->at) : head->len};
        *head = slice_from(*head, end != NULL ? line.len + 1 : line.len);
        if (line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        const char *colon = memchr(line.at, ':', line.len);
        if (colon == NULL || colon == line.at || line.at[0] == ' ' || line.at[0] == '\t') /* folded: obsolete */
            continue;
        header_out->name = (struct slice){line.at, (size_t)(colon - line.at)};
        header_out->value = slice_trim(slice_from(line, header_out->name.len + 1));
        return true;
    }
    return false;
}

struct slice httpc_header(struct slice head, struct slice name)
{
    struct httpc_header h;
    while (httpc_next_header(&head, &h))
        if (h.name.len == name.len && slice_equal_nocase(h.name, name))
            return h.value;
    return SLICE_NONE;
}

/* An integer of any size: what is too large is the most. */
static bool read_seconds(struct slice digits, int64_t *seconds_out)
{
    int64_t n = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.at[i] < '0' || digits.at[i] > '9')
            return false;
        n = n < SECONDS_MOST ? 10 * n + (digits.at[i] - '0') : n;
    }
    *seconds_out = n;
    return digits.len > 0;
}

bool httpc_retry_after(struct slice head, wall_t now, dur_t *after_out)
{
    struct slice value = httpc_header(head, SLICE("retry-after"));
    int64_t at, seconds, now_s = now.ns / 1000000000;
    if (!read_seconds(value, &seconds)) {
        if (!date_parse(value, now_s, &at))
            return false;
        seconds = at > now_s ? at - now_s : 0;
    }
    *after_out = DUR_S(seconds < SECONDS_MOST ? seconds : SECONDS_MOST);
    return true;
}
