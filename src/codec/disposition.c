/*
 * disposition.c: see disposition.h. UNSAFE BYTES: unquoted and decoded texts are never longer than what they come from.
 */
#include "codec/disposition.h"
#include "base/ascii.h"
#include "codec/form.h"
#include "codec/utf8.h"
#include <stdint.h>

static int fault_at(struct disposition_fault *fault, const char *what, size_t offset)
{
    fault->what = what;
    fault->offset = offset;
    return -1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* RFC 9110 5.6.2; bytes above ASCII too: clients send names bare as they are. */
static bool is_token_char(char c)
{
    return ascii_is_token_char(c) || (unsigned char)c >= 0x80;
}

static size_t skip_spaces(struct slice text, size_t at)
{
    while (at < text.len && is_space(text.at[at]))
        at++;
    return at;
}

static size_t skip_token(struct slice text, size_t at)
{
    while (at < text.len && is_token_char(text.at[at]))
        at++;
    return at;
}

/*
 * A quoted string from behind its first quote. \" and \\ are what they stand for; any other backslash is one: old
 * browsers send C:\folder\name.
 */
static int read_quoted(struct slice text, size_t *at, char **room, struct slice *value_out,
                       struct disposition_fault *fault)
{
    char *begin = *room, *to = begin;
    size_t i = *at;
    for (; i < text.len && text.at[i] != '"'; i++) {
        if (text.at[i] == '\\' && i + 1 < text.len && (text.at[i + 1] == '"' || text.at[i + 1] == '\\'))
            i++;
        *to++ = text.at[i];
    }
    if (i == text.len)
        return fault_at(fault, "a quote is not closed", *at - 1);
    *value_out = (struct slice){begin, (size_t)(to - begin)};
    *room = to;
    *at = i + 1;
    return 0;
}

/* A bare value: up to ';' or a space. Wider than a token, since boundaries are sent bare with '=' and '/' in them. */
static int read_bare(struct slice text, size_t *at, char **room, struct slice *value_out,
                     struct disposition_fault *fault)
{
    size_t end = *at;
    while (end < text.len && text.at[end] != ';' && text.at[end] != '"' && !is_space(text.at[end]))
        end++;
    if (end == *at)
        return fault_at(fault, "a parameter has no value", end);
    memcpy(*room, text.at + *at, end - *at);
    *value_out = (struct slice){*room, end - *at};
    *room += end - *at;
    *at = end;
    return 0;
}

int disposition_parameter(struct slice text, size_t *at, struct slice *name_out, struct slice *value_out, char **room,
                          struct disposition_fault *fault_out)
{
    size_t i = skip_spaces(text, *at);
    while (i < text.len && text.at[i] == ';')
        i = skip_spaces(text, i + 1); /* an empty one between two ';', or behind the last, says nothing */
    if (i == text.len)
        return 0;
    size_t end = skip_token(text, i);
    if (end == i || end == text.len || text.at[end] != '=')
        return fault_at(fault_out, "expected a parameter, name=value", i);
    *name_out = (struct slice){text.at + i, end - i};
    i = end + 1;
    bool quoted = i < text.len && text.at[i] == '"';
    if (quoted)
        i++;
    if ((quoted ? read_quoted : read_bare)(text, &i, room, value_out, fault_out) != 0)
        return -1;
    size_t next = skip_spaces(text, i);
    if (next < text.len && text.at[next] != ';')
        return fault_at(fault_out, "expected ';' behind a parameter", next);
    *at = next;
    return 1;
}

/* What browsers put for three characters (WHATWG HTML, multipart/form-data encoding); any other '%' is one. */
static struct slice decode_three(struct slice s, char **room)
{
    char *begin = *room, *to = begin;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (c == '%' && i + 2 < s.len) {
            struct slice code = {s.at + i + 1, 2};
            char meant = slice_equal(code, SLICE("22"))          ? '"'
                         : slice_equal_nocase(code, SLICE("0d")) ? '\r'
                         : slice_equal_nocase(code, SLICE("0a")) ? '\n'
                                                                 : '%';
            i += meant != '%' ? 2 : 0;
            c = meant;
        }
        *to++ = c;
    }
    *room = to;
    return (struct slice){begin, (size_t)(to - begin)};
}

/* RFC 8187 3.2: UTF-8'language'percent-encoded. */
static const char *decode_extended(struct slice s, char **room, struct slice *text_out)
{
    struct slice rest = s, charset, language;
    struct form_fault fault;
    if (!slice_cut(&rest, '\'', &charset) || !slice_cut(&rest, '\'', &language) || rest.at == NULL)
        return "filename* is not UTF-8''text";
    if (!slice_equal_nocase(charset, SLICE("utf-8")))
        return "filename* is in another character set than UTF-8";
    char *begin = *room;
    size_t len = form_percent_decode(rest, begin, &fault);
    if (len == SIZE_MAX)
        return "filename* has a broken percent-encoding";
    *text_out = (struct slice){begin, len};
    if (memchr(begin, '\0', len) != NULL)
        return "a NUL byte in filename*";
    if (utf8_valid(*text_out) != len)
        return "filename* is not UTF-8";
    *room = begin + len;
    return NULL;
}

struct seen { /* so far */
    bool filename, extended;
};

static const char *take_name(struct disposition *to, struct slice value, char **room)
{
    if (to->name.at != NULL)
        return "there are two names";
    to->name = decode_three(value, room);
    return NULL;
}

/* RFC 6266 4.3: where both are sent, filename* is the better one and filename there for those that do not know it. */
static const char *take_filename(struct disposition *to, struct seen *seen, struct slice value, char **room)
{
    if (seen->filename)
        return "there are two file names";
    seen->filename = true;
    if (seen->extended)
        return NULL;
    to->filename_raw = value;
    to->filename = decode_three(value, room);
    return NULL;
}

static const char *take_extended(struct disposition *to, struct seen *seen, struct slice value, char **room)
{
    if (seen->extended)
        return "there are two file names";
    seen->extended = true;
    to->filename_raw = value;
    return decode_extended(value, room, &to->filename);
}

/* One parameter to its field; a static text when it cannot be. */
static const char *take(struct disposition *to, struct seen *seen, struct slice name, struct slice value, char **room)
{
    if (slice_equal_nocase(name, SLICE("name")))
        return take_name(to, value, room);
    if (slice_equal_nocase(name, SLICE("filename")))
        return take_filename(to, seen, value, room);
    if (slice_equal_nocase(name, SLICE("filename*"))) /* RFC 7578 4.2 forbids it, but it is sent */
        return take_extended(to, seen, value, room);
    if (slice_equal_nocase(name, SLICE("name*")))
        return "name* has no meaning in a form"; /* nobody sends it */
    return NULL;
}

int disposition_parse(struct slice value, char *room, struct disposition *to, struct disposition_fault *fault_out)
{
    size_t at = skip_token(value, 0), found;
    struct seen seen = {false, false};
    *to = (struct disposition){SLICE_NONE, SLICE_NONE, SLICE_NONE};
    if (!slice_equal_nocase((struct slice){value.at, at}, SLICE("form-data")))
        return fault_at(fault_out, "Content-Disposition is not form-data", 0);
    found = skip_spaces(value, at);
    if (found < value.len && value.at[found] != ';')
        return fault_at(fault_out, "expected ';' behind form-data", found);
    for (;;) {
        struct slice name, text;
        int more = disposition_parameter(value, &at, &name, &text, &room, fault_out);
        if (more < 0)
            return -1;
        if (more == 0)
            break;
        const char *wrong = take(to, &seen, name, text, &room);
        if (wrong != NULL)
            return fault_at(fault_out, wrong, (size_t)(name.at - value.at));
    }
    return to->name.at != NULL ? 0 : fault_at(fault_out, "Content-Disposition has no name", value.len);
}
