/*
 * conditional.c: the conditions in the order of RFC 9110 13.2.2, then the range. See conditional.h.
 */
#include "http/conditional.h"
#include "base/ascii.h"
#include "codec/date.h"
#include <limits.h>

/* --- entity tags (8.8.3) ---------------------------------------------------------------------------------------- */

static bool is_weak(struct slice tag)
{
    return slice_starts(tag, SLICE("W/"));
}

static bool same_tag(struct slice a, struct slice b, bool strong)
{
    if (strong)
        return !is_weak(a) && slice_equal(a, b);
    return slice_equal(is_weak(a) ? slice_from(a, 2) : a, is_weak(b) ? slice_from(b, 2) : b);
}

static struct slice skip_blanks(struct slice s)
{
    while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t'))
        s = slice_from(s, 1);
    return s;
}

/* Takes the next tag off a list, past commas (5.6.1). False: the list is at its end, or is none from here on. */
static bool take_tag(struct slice *list, struct slice *tag_out)
{
    struct slice s = skip_blanks(*list);
    while (s.len > 0 && s.at[0] == ',')
        s = skip_blanks(slice_from(s, 1));
    size_t quote = is_weak(s) ? 2 : 0;
    if (s.len <= quote || s.at[quote] != '"')
        return false;
    size_t end = slice_find(slice_from(s, quote + 1), '"');
    if (end == SIZE_MAX)
        return false;
    *tag_out = (struct slice){s.at, quote + end + 2};
    *list = skip_blanks(slice_from(s, tag_out->len));
    return list->len == 0 || list->at[0] == ',';
}

enum listed { LIST_NONE, LIST_MATCHES, LIST_DIFFERS };

/* What all header fields of this name say about the tag. */
static enum listed find_tag(const struct http_request *req, struct slice name, struct slice tag, bool strong)
{
    enum listed found = LIST_NONE;
    for (size_t i = 0; i < req->header_count; i++) {
        if (!slice_equal(req->headers[i].name, name))
            continue;
        struct slice list = req->headers[i].value, one;
        if (slice_equal(slice_trim(list), SLICE("*")))
            return LIST_MATCHES; /* there is one */
        while (take_tag(&list, &one))
            if (same_tag(one, tag, strong))
                return LIST_MATCHES;
        found = LIST_DIFFERS;
    }
    return found;
}

/* --- dates ------------------------------------------------------------------------------------------------------ */

static bool date_of(const struct http_request *req, struct slice name, int64_t *seconds_out)
{
    struct slice value = http_request_header(req, name);
    return value.at != NULL && date_parse(slice_trim(value), req->received_at.ns / 1000000000, seconds_out);
}

/* --- ranges (14.1.2) -------------------------------------------------------------------------------------------- */

enum range { RANGE_NONE, RANGE_GOOD, RANGE_UNSATISFIABLE };

/* Takes digits off the front; more than fit are as good as the largest number. False: there is none. */
static bool take_number(struct slice *s, unsigned long long *number_out)
{
    size_t i = 0;
    *number_out = 0;
    for (; i < s->len && ascii_is_digit(s->at[i]); i++) {
        unsigned digit = (unsigned)(s->at[i] - '0');
        bool fits = *number_out <= (ULLONG_MAX - digit) / 10;
        *number_out = fits ? *number_out * 10 + digit : ULLONG_MAX;
    }
    *s = slice_from(*s, i);
    return i > 0;
}

/* "first-last", "first-" or "-count" */
static enum range read_spec(struct slice spec, unsigned long long size, struct conditional_range *range_out)
{
    unsigned long long first = 0, last = ULLONG_MAX;
    bool has_first = take_number(&spec, &first);
    if (spec.len == 0 || spec.at[0] != '-')
        return RANGE_NONE;
    spec = slice_from(spec, 1);
    bool has_last = take_number(&spec, &last);
    if (spec.len > 0 || (!has_first && !has_last) || (has_first && has_last && last < first))
        return RANGE_NONE;
    if (!has_first) {
        if (last == 0)
            return RANGE_UNSATISFIABLE;
        first = last < size ? size - last : 0;
        has_last = false;
    }
    if (first >= size)
        return RANGE_UNSATISFIABLE;
    if (!has_last || last >= size)
        last = size - 1;
    *range_out = (struct conditional_range){first, last - first + 1};
    return RANGE_GOOD;
}

static enum range read_range(struct slice value, unsigned long long size, struct conditional_range *range_out)
{
    struct slice part, spec = SLICE_NONE;
    value = slice_trim(value);
    if (value.len < 6 || !slice_equal_nocase((struct slice){value.at, 6}, SLICE("bytes=")))
        return RANGE_NONE;
    value = slice_from(value, 6);
    while (slice_cut(&value, ',', &part)) {
        part = slice_trim(part);
        if (part.len == 0)
            continue;
        if (spec.at != NULL)
            return RANGE_NONE; /* several */
        spec = part;
    }
    /* Some clients ask for a range of whatever they fetch: an empty file is answered as a whole. */
    return spec.at == NULL || size == 0 ? RANGE_NONE : read_spec(spec, size, range_out);
}

/* If-Range (13.1.5): only of what the client has a part of already. */
static bool range_applies(const struct http_request *req, const struct conditional_facts *facts)
{
    struct slice value = http_request_header(req, SLICE("if-range"));
    int64_t date;
    if (value.at == NULL)
        return true;
    value = slice_trim(value);
    if (value.len > 0 && (value.at[0] == '"' || is_weak(value)))
        return same_tag(value, facts->etag, true);
    /* While the tag is weak, the file may change again within the second that the date names (8.8.2.2). */
    return !is_weak(facts->etag) && date_parse(value, req->received_at.ns / 1000000000, &date) &&
           date == facts->modified;
}

/* --- all of it -------------------------------------------------------------------------------------------------- */

int conditional_status(const struct http_request *req, const struct conditional_facts *facts,
                       struct conditional_range *range_out)
{
    *range_out = (struct conditional_range){0, facts->size};
    bool get = slice_equal(req->method, SLICE("GET"));
    if (!get && !slice_equal(req->method, SLICE("HEAD")))
        return 200; /* what was asked for has been done already: there is nothing left to make a condition for */
    int64_t date;
    enum listed listed = find_tag(req, SLICE("if-match"), facts->etag, true);
    if (listed == LIST_DIFFERS ||
        (listed == LIST_NONE && date_of(req, SLICE("if-unmodified-since"), &date) && facts->modified > date))
        return 412;
    listed = find_tag(req, SLICE("if-none-match"), facts->etag, false);
    if (listed == LIST_MATCHES ||
        (listed == LIST_NONE && date_of(req, SLICE("if-modified-since"), &date) && facts->modified <= date))
        return 304;
    struct slice range = http_request_header(req, SLICE("range"));
    if (!get || range.at == NULL || !range_applies(req, facts))
        return 200; /* ranges are for GET alone: 14.2 */
    switch (read_range(range, facts->size, range_out)) {
    case RANGE_GOOD:
        return 206;
    case RANGE_UNSATISFIABLE:
        return 416;
    default:
        return 200;
    }
}
