/*
 * form.c: "a=1&b=%20x+y" and "a=1; b=2" to pairs. UNSAFE BYTES: decoded text is written to room as long as the text.
 * Owns: nothing after return; the pairs are the caller's (form_free). Runs in: any thread. Fails: -1 with the offset.
 */
#include "codec/form.h"
#include "base/ascii.h"
#include "base/panic.h"
#include <stdint.h>
#include <stdlib.h>

static int fault_at(struct form_fault *fault, const char *what, size_t offset)
{
    *fault = (struct form_fault){what, offset, false};
    return -1;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes into out; '+' becomes `plus`. Offsets in the fault count from the text's begin. */
static size_t decode(struct slice text, char plus, char *out, struct form_fault *fault)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '+') {
            c = plus;
        } else if (c == '%') {
            int high = i + 2 < text.len ? hex_value(text.at[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_value(text.at[i + 2]) : -1;
            if (high < 0 || low < 0) {
                fault_at(fault, "expected two hex digits behind '%'", i);
                return SIZE_MAX;
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        out[len++] = c;
    }
    return len;
}

size_t form_percent_decode(struct slice text, char *out, struct form_fault *fault_out)
{
    return decode(text, '+', out, fault_out);
}

static int too_many(struct form_fault *fault, const char *what, struct slice text)
{
    *fault = (struct form_fault){what, text.len, true};
    return -1;
}

/* Makes room for the pairs of a text cut at `separator`; false when there are too many. */
static bool make_room(struct form_pairs *pairs, struct slice text, char separator, size_t most)
{
    size_t parts = 1;
    for (size_t i = 0; i < text.len; i++)
        parts += text.at[i] == separator;
    if (parts > most)
        return false;
    pairs->at = need_alloc(parts * sizeof(*pairs->at));
    pairs->bytes = need_alloc(text.len + 1);
    return true;
}

/* One "name=value" to the next pair, written at pairs->bytes + *used. */
static int add_form_pair(struct form_pairs *pairs, struct slice part, size_t *used, struct form_fault *fault)
{
    size_t equals = slice_find(part, '=');
    struct slice side[2] = {{part.at, equals == SIZE_MAX ? part.len : equals}, slice_from(part, part.len)};
    if (equals != SIZE_MAX)
        side[1] = slice_from(part, equals + 1);
    struct slice decoded[2];
    for (int i = 0; i < 2; i++) {
        char *out = pairs->bytes + *used;
        size_t len = decode(side[i], ' ', out, fault);
        if (len == SIZE_MAX) {
            fault->offset += i == 0 ? 0 : equals + 1;
            return -1;
        }
        decoded[i] = (struct slice){out, len};
        *used += len;
    }
    pairs->at[pairs->count++] = (struct form_pair){decoded[0], decoded[1]};
    return 0;
}

int form_parse(struct slice text, size_t most, struct form_pairs *pairs_out, struct form_fault *fault_out)
{
    *pairs_out = (struct form_pairs){0};
    if (text.len == 0)
        return 0;
    if (!make_room(pairs_out, text, '&', most))
        return too_many(fault_out, "too many pairs", text);
    struct slice rest = text, part;
    size_t used = 0;
    while (slice_cut(&rest, '&', &part)) {
        if (part.len > 0 && add_form_pair(pairs_out, part, &used, fault_out) != 0) {
            fault_out->offset += (size_t)(part.at - text.at);
            form_free(pairs_out);
            return -1;
        }
    }
    return 0;
}

/*
 * Values are taken wider than RFC 6265 4.1.1 has them, since what is stored in browsers is: only controls are refused.
 * A quote within stays; a pair around the whole goes.
 */
static const char *add_cookie(struct form_pairs *pairs, struct slice part, size_t *used)
{
    size_t equals = slice_find(part, '=');
    if (equals == SIZE_MAX)
        return "expected '=' in a cookie";
    struct slice name = slice_trim((struct slice){part.at, equals}), value = slice_trim(slice_from(part, equals + 1));
    if (!ascii_is_token(name))
        return "expected a cookie's name";
    for (size_t i = 0; i < value.len; i++) {
        if (((unsigned char)value.at[i] < 0x20 && value.at[i] != '\t') || value.at[i] == 0x7f)
            return "a control character in a cookie";
    }
    if (value.len >= 2 && value.at[0] == '"' && value.at[value.len - 1] == '"')
        value = (struct slice){value.at + 1, value.len - 2};
    char *out = pairs->bytes + *used;
    memcpy(out, name.at, name.len);
    memcpy(out + name.len, value.at, value.len);
    *used += name.len + value.len;
    pairs->at[pairs->count++] = (struct form_pair){{out, name.len}, {out + name.len, value.len}};
    return NULL;
}

int form_parse_cookies(struct slice text, size_t most, struct form_pairs *pairs_out, struct form_fault *fault_out)
{
    *pairs_out = (struct form_pairs){0};
    if (text.len == 0)
        return 0;
    if (!make_room(pairs_out, text, ';', most))
        return too_many(fault_out, "too many cookies", text);
    struct slice rest = text, part;
    size_t used = 0;
    while (slice_cut(&rest, ';', &part)) {
        struct slice trimmed = slice_trim(part);
        const char *what = trimmed.len > 0 ? add_cookie(pairs_out, trimmed, &used) : NULL;
        if (what != NULL) {
            form_free(pairs_out);
            return fault_at(fault_out, what, (size_t)(trimmed.at - text.at));
        }
    }
    return 0;
}

void form_free(struct form_pairs *pairs)
{
    free(pairs->at);
    free(pairs->bytes);
    *pairs = (struct form_pairs){0};
}

struct slice form_first(const struct form_pairs *pairs, struct slice name)
{
    for (size_t i = 0; i < pairs->count; i++) {
        if (slice_equal(pairs->at[i].name, name))
            return pairs->at[i].value;
    }
    return SLICE_NONE;
}
