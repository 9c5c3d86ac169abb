/*
 * multipart.c: see multipart.h. One walk over the body: a delimiter line, header fields, an empty line, data up to the
 * next delimiter. Whatever another reader could take for a delimiter, or for another header field, ends the reading.
 */
#include "codec/multipart.h"
#include "base/ascii.h"
#include "base/panic.h"
#include "codec/disposition.h"
#include "codec/filename.h"
#include <stdint.h>
#include <stdlib.h>

#define CONTENT_TYPE_MAX 1024

struct walk {
    struct slice body;
    char mark[MULTIPART_BOUNDARY + 2]; /* "--" and the boundary */
    size_t mark_len;
    size_t at;
    size_t most; /* parts */
    struct multipart *parts;
    struct multipart_fault *fault;
};

static int fault_at(struct walk *w, const char *what, size_t offset)
{
    *w->fault = (struct multipart_fault){what, w->parts->count, offset, false};
    return -1;
}

/* --- Content-Type --- */

static struct slice media_type(struct slice content_type)
{
    struct slice rest = content_type, media = SLICE_NONE;
    slice_cut(&rest, ';', &media);
    return slice_trim(media);
}

bool multipart_is_type(struct slice content_type, struct slice type)
{
    return content_type.at != NULL && slice_equal_nocase(media_type(content_type), type);
}

/* RFC 2046 5.1.1: bchars, not ending in a space. */
static bool is_boundary(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!ascii_is_alnum(s.at[i]) && !ascii_is_one_of(s.at[i], "'()+_,-./:=? "))
            return false;
    return s.len > 0 && s.at[s.len - 1] != ' ';
}

int multipart_boundary(struct slice content_type, char room[MULTIPART_BOUNDARY], struct slice *boundary_out,
                       const char **why_out)
{
    char texts[CONTENT_TYPE_MAX], *free_room = texts;
    size_t at = slice_find(content_type, ';');
    struct slice name, value, boundary = SLICE_NONE;
    struct disposition_fault fault = {NULL, 0};
    int more = 0;
    *why_out = "Content-Type has no boundary";
    if (content_type.len > sizeof(texts)) {
        *why_out = "Content-Type is too long";
        return -1;
    }
    while (at != SIZE_MAX && (more = disposition_parameter(content_type, &at, &name, &value, &free_room, &fault)) > 0) {
        if (!slice_equal_nocase(name, SLICE("boundary")))
            continue;
        if (boundary.at != NULL) {
            *why_out = "Content-Type has two boundaries";
            return -1;
        }
        boundary = value;
    }
    if (more < 0)
        *why_out = fault.what;
    if (more < 0 || boundary.at == NULL)
        return -1;
    if (boundary.len > MULTIPART_BOUNDARY || !is_boundary(boundary)) {
        *why_out = boundary.len > MULTIPART_BOUNDARY ? "the boundary is longer than 70 characters"
                                                     : "the boundary has characters that it may not have";
        return -1;
    }
    memcpy(room, boundary.at, boundary.len);
    *boundary_out = (struct slice){room, boundary.len};
    return 0;
}

/* --- delimiters --- */

/*
 * Where the next delimiter's "--" stands, from w->at on; SIZE_MAX: none, or (fault set) one that is ambiguous. Each
 * byte is looked at once: a mark in the middle of a line is data, however many there are.
 */
static size_t find_mark(struct walk *w)
{
    const char *body = w->body.at;
    w->fault->what = NULL;
    for (size_t at = w->at; at + w->mark_len <= w->body.len; at++) {
        if (body[at] != '-' || (at > 0 && body[at - 1] != '\n' && body[at - 1] != '\r'))
            continue;
        if (memcmp(body + at, w->mark, w->mark_len) != 0)
            continue;
        if (at == 0 || (at > 1 && body[at - 1] == '\n' && body[at - 2] == '\r'))
            return at;
        /* some readers take a lone one for a line's end, others do not */
        fault_at(w, "a boundary stands behind a line end that is not CR LF", at);
        return SIZE_MAX;
    }
    return SIZE_MAX;
}

/* Behind a delimiter's mark at w->at: 1 and w->at on the first header line; 0 at the last delimiter; or -1. */
static int end_mark(struct walk *w)
{
    size_t at = w->at + w->mark_len;
    bool last = w->body.len - at >= 2 && w->body.at[at] == '-' && w->body.at[at + 1] == '-';
    at += last ? 2 : 0;
    while (at < w->body.len && (w->body.at[at] == ' ' || w->body.at[at] == '\t'))
        at++;
    bool line = w->body.len - at >= 2 && w->body.at[at] == '\r' && w->body.at[at + 1] == '\n';
    if (!line && !(last && at == w->body.len))
        return fault_at(w, at == w->body.len ? "the body ends within a boundary" : "other text behind a boundary", at);
    w->at = at + (line ? 2 : 0);
    return last ? 0 : 1;
}

/* --- header fields --- */

struct fields { /* of one part */
    struct slice disposition, type, encoding;
    size_t count;
};

/* The line at w->at up to its CR LF, w->at behind it. `end`: where the header fields must have ended. */
static int take_line(struct walk *w, size_t end, struct slice *line_out)
{
    size_t begin = w->at, at = begin;
    for (; at < end && w->body.at[at] != '\r'; at++) {
        unsigned char c = (unsigned char)w->body.at[at];
        if (c == '\n')
            return fault_at(w, "a line of a part's header does not end in CR LF", at);
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return fault_at(w, "a control character in a part's header", at);
    }
    if (at + 1 >= end)
        return fault_at(w, end == w->body.len ? "the body ends within a part's header" : "a part's header is too large",
                        begin);
    if (w->body.at[at + 1] != '\n')
        return fault_at(w, "a line of a part's header does not end in CR LF", at);
    *line_out = (struct slice){w->body.at + begin, at - begin};
    w->at = at + 2;
    return 0;
}

static int take_field(struct walk *w, struct slice line, struct fields *f)
{
    struct slice name, value = line;
    size_t offset = (size_t)(line.at - w->body.at);
    if (++f->count > MULTIPART_FIELDS)
        return fault_at(w, "too many header fields", offset);
    if (line.at[0] == ' ' || line.at[0] == '\t')
        return fault_at(w, "a folded header field", offset);
    if (slice_starts(line, (struct slice){w->mark, w->mark_len}))
        return fault_at(w, "a boundary within a part's header", offset);
    slice_cut(&value, ':', &name);
    if (value.at == NULL || name.len == 0 || memchr(name.at, ' ', name.len) || memchr(name.at, '\t', name.len))
        return fault_at(w, "expected a header field, name: value", offset);
    struct slice *to = slice_equal_nocase(name, SLICE("content-disposition"))         ? &f->disposition
                       : slice_equal_nocase(name, SLICE("content-type"))              ? &f->type
                       : slice_equal_nocase(name, SLICE("content-transfer-encoding")) ? &f->encoding
                                                                                      : NULL;
    if (to != NULL && to->at != NULL)
        return fault_at(w, "the same header field twice", offset);
    if (to != NULL)
        *to = slice_trim(value);
    return 0;
}

static int take_fields(struct walk *w, struct fields *f)
{
    size_t begin = w->at, end = w->body.len - begin < MULTIPART_HEAD ? w->body.len : begin + MULTIPART_HEAD;
    struct slice line;
    for (;;) {
        if (take_line(w, end, &line) != 0)
            return -1;
        if (line.len == 0)
            break;
        if (take_field(w, line, f) != 0)
            return -1;
    }
    if (f->disposition.at == NULL)
        return fault_at(w, "the part has no Content-Disposition", begin);
    /* RFC 7578 4.7: nothing encodes parts any more; to pass such bytes on as they are would be another file. */
    struct slice e = f->encoding;
    if (e.at != NULL && !slice_equal_nocase(e, SLICE("binary")) && !slice_equal_nocase(e, SLICE("8bit")) &&
        !slice_equal_nocase(e, SLICE("7bit")))
        return fault_at(w, "a Content-Transfer-Encoding, which forms do not have", begin);
    return 0;
}

/* --- parts --- */

static struct multipart_part *add_part(struct multipart *parts)
{
    if (parts->count == parts->room) {
        parts->room = parts->room == 0 ? 8 : parts->room * 2;
        parts->at = need_realloc(parts->at, parts->room * sizeof(*parts->at));
    }
    struct multipart_part *part = &parts->at[parts->count++];
    *part = (struct multipart_part){.own = NULL};
    return part;
}

/* Out of the header fields what a part is. */
static int describe(struct walk *w, struct multipart_part *part, const struct fields *f)
{
    size_t room = DISPOSITION_ROOM(f->disposition.len), offset = (size_t)(f->disposition.at - w->body.at);
    struct disposition d;
    struct disposition_fault fault;
    part->own = need_alloc(room + f->disposition.len + f->type.len + 1);
    if (disposition_parse(f->disposition, part->own, &d, &fault) != 0)
        return fault_at(w, fault.what, offset + fault.offset);
    if (d.name.len > MULTIPART_NAME || d.filename_raw.len > MULTIPART_NAME)
        return fault_at(w, d.name.len > MULTIPART_NAME ? "the name is too long" : "the file's name is too long",
                        offset);
    part->name = d.name;
    part->filename_raw = d.filename_raw;
    char *to = part->own + room;
    size_t bare = d.filename.at != NULL ? filename_bare(d.filename, to) : 0;
    if (bare > 0)
        part->filename = (struct slice){to, bare};
    if (f->type.at == NULL)
        return 0;
    to = part->own + room + f->disposition.len;
    memcpy(to, f->type.at, f->type.len);
    part->type = (struct slice){to, f->type.len};
    if (part->filename_raw.at == NULL && part->type.len >= 10 &&
        slice_equal_nocase((struct slice){to, 10}, SLICE("multipart/")))
        return fault_at(w, "parts within a part, which forms no longer have", offset); /* RFC 7578 4.3 */
    return 0;
}

/* The part whose header begins at w->at; leaves w->at on the next delimiter. */
static int take_part(struct walk *w)
{
    struct fields f = {SLICE_NONE, SLICE_NONE, SLICE_NONE, 0};
    struct multipart_part *part = add_part(w->parts);
    if (w->parts->count > w->most) {
        fault_at(w, "too many parts", w->at);
        w->fault->many = true;
        return -1;
    }
    if (take_fields(w, &f) != 0 || describe(w, part, &f) != 0)
        return -1;
    part->offset = w->at;
    size_t mark = find_mark(w);
    if (mark == SIZE_MAX)
        return w->fault->what != NULL ? -1 : fault_at(w, "the body ends without the last boundary", w->body.len);
    if (mark < part->offset + 2) /* its CR LF is the one of the empty line */
        return fault_at(w, "a boundary within a part's header", mark);
    part->size = mark - 2 - part->offset;
    w->at = mark;
    return 0;
}

/* What stands behind the last delimiter is nobody's, as long as no reader finds another one there. */
static int check_epilogue(struct walk *w)
{
    const char *found = memmem(w->body.at + w->at, w->body.len - w->at, w->mark, w->mark_len);
    return found == NULL ? 0 : fault_at(w, "a boundary behind the last one", (size_t)(found - w->body.at));
}

static int take_all(struct walk *w)
{
    size_t mark = find_mark(w);
    if (mark == SIZE_MAX)
        return w->fault->what != NULL ? -1 : fault_at(w, "the boundary is nowhere in the body", 0);
    w->at = mark;
    for (;;) {
        int more = end_mark(w);
        if (more <= 0)
            return more < 0 ? -1 : check_epilogue(w);
        if (take_part(w) != 0)
            return -1;
    }
}

int multipart_parse(struct slice body, struct slice boundary, size_t most, struct multipart *parts_out,
                    struct multipart_fault *fault_out)
{
    struct walk w = {.body = body.at != NULL ? body : SLICE(""), .most = most, .parts = parts_out, .fault = fault_out};
    CHECK(boundary.len > 0 && boundary.len <= MULTIPART_BOUNDARY);
    *parts_out = (struct multipart){0};
    w.mark[0] = w.mark[1] = '-';
    memcpy(w.mark + 2, boundary.at, boundary.len);
    w.mark_len = boundary.len + 2;
    if (take_all(&w) == 0)
        return 0;
    multipart_free(parts_out);
    return -1;
}

void multipart_free(struct multipart *parts)
{
    for (size_t i = 0; i < parts->count; i++)
        free(parts->at[i].own);
    free(parts->at);
    *parts = (struct multipart){0};
}
