/*
 * pattern.c: reads a route pattern; see pattern.h.
 * Owns nothing. Runs in: any thread, pure. Fails: with words.
 */
#include "route/pattern.h"
#include "base/ascii.h"
#include "route/router.h"

bool pattern_name_ok(struct slice name)
{
    if (name.len == 0 || name.len > 64)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        if (!ascii_is_letter(c) && c != '_' && (i == 0 || !ascii_is_digit(c)))
            return false;
    }
    return true;
}

static const char *segment_fault(struct slice part)
{
    if (part.len == 0)
        return "has an empty segment";
    if (slice_equal(part, SLICE(".")) || slice_equal(part, SLICE("..")))
        return "has a '.' or '..' segment, which no request path keeps";
    for (size_t i = 0; i < part.len; i++) {
        unsigned char c = (unsigned char)part.at[i];
        if (c < 0x20 || c == 0x7f)
            return "has a control character";
    }
    return NULL;
}

/* Reads one segment. Returns NULL, or what is wrong with it. */
static const char *read_segment(struct pattern *p, struct slice part, size_t *names)
{
    const char *fault = segment_fault(part);
    if (fault != NULL)
        return fault;
    if (p->count > 0 && p->segments[p->count - 1].kind == PATTERN_REST)
        return "has a catch-all that is not its last segment";
    if (p->count == PATTERN_SEGMENTS_MAX)
        return "has more than 64 segments";
    struct pattern_segment *s = &p->segments[p->count];
    *s = (struct pattern_segment){PATTERN_STATIC, part};
    if (part.at[0] == ':' || part.at[0] == '*') {
        s->kind = part.at[0] == ':' ? PATTERN_PARAM : PATTERN_REST;
        s->text = slice_from(part, 1);
        if (!pattern_name_ok(s->text))
            return "has a parameter whose name is not letters, digits and '_'";
        for (size_t i = 0; i < p->count; i++)
            if (p->segments[i].kind != PATTERN_STATIC && slice_equal(p->segments[i].text, s->text))
                return "has the same parameter twice";
        if (++*names > ROUTER_PARAMS_MAX)
            return "has more than 16 parameters";
    }
    p->count++;
    return NULL;
}

int pattern_parse(const char *text, struct pattern *p, struct error *err)
{
    struct slice rest = slice_of(text), part;
    size_t names = 0;
    p->count = 0;
    if (rest.len == 0 || rest.at[0] != '/')
        return error_set(err, "path \"%s\" does not begin with '/'", text);
    if (rest.len > 1 && rest.at[rest.len - 1] == '/')
        rest.len--;
    bool root = strcmp(text, "/") == 0;
    rest = slice_from(rest, 1);
    if (root)
        return 0;
    while (slice_cut(&rest, '/', &part)) {
        const char *fault = read_segment(p, part, &names);
        if (fault != NULL)
            return error_set(err, "path \"%s\" %s", text, fault);
    }
    return 0;
}

bool pattern_same_shape(const struct pattern *a, const struct pattern *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct pattern_segment *x = &a->segments[i], *y = &b->segments[i];
        if (x->kind != y->kind || (x->kind == PATTERN_STATIC && !slice_equal(x->text, y->text)))
            return false;
    }
    return true;
}
