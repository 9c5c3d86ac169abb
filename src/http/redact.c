/*
 * redact.c: see redact.h. A value is looked for as it is and as it stands in JSON text. They are kept in order and
 * found by halving, so that whoever knows how values begin ("postgres://") gains nothing by sending that often. What
 * was cut before it came here ends in "..." (see SLICE_SHOWN): the begin of a value before such a mark is one, too.
 */
#include "http/redact.h"
#include "base/panic.h"
#include "codec/json.h"
#include <ctype.h>
#include <stdlib.h>

#define NAMED_LEAST 6
#define OTHERS_LEAST 16
#define NAME_SHOWN 64 /* bytes of a name that are looked at */
#define BEGINS_BITS 16

struct redact {
    struct slice *values; /* ours */
    size_t count, room;
    /* A bit for each hash of a value's first bytes: at nearly every place of a text a look at it is all. */
    unsigned char begins[(1 << BEGINS_BITS) / 8];
};

struct redact *redact_new(void)
{
    return need_zero(1, sizeof(struct redact));
}

void redact_free(struct redact **r)
{
    struct redact *gone = *r;
    *r = NULL;
    if (gone == NULL)
        return;
    for (size_t i = 0; i < gone->count; i++) {
        explicit_bzero((char *)gone->values[i].at, gone->values[i].len);
        free((char *)gone->values[i].at);
    }
    free(gone->values);
    free(gone);
}

/* --- names -------------------------------------------------------------------------------------------------------- */

/* In lower case, '-' as '_', cut to room. */
static struct slice plain_name(struct slice name, char room[NAME_SHOWN])
{
    size_t len = name.len < NAME_SHOWN ? name.len : NAME_SHOWN;
    for (size_t i = 0; i < len; i++)
        room[i] = name.at[i] == '-' ? '_' : (char)tolower((unsigned char)name.at[i]);
    return (struct slice){room, len};
}

bool redact_name(struct slice name)
{
    static const char *const within[] = {"password", "passwd",    "passphrase", "secret",        "token",
                                         "cookie",   "signature", "credential", "authorization", "apikey"};
    static const char *const whole[] = {"key", "auth", "pwd", "hmac"};
    static const char *const harmless[] = {"public_key", "primary_key", "foreign_key",     "order_key",
                                           "sort_key",   "dedupe_key",  "idempotency_key", "partition_key"};
    char room[NAME_SHOWN];
    struct slice plain = plain_name(name, room);
    for (size_t i = 0; i < sizeof(within) / sizeof(within[0]); i++)
        if (memmem(plain.at, plain.len, within[i], strlen(within[i])) != NULL)
            return true;
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
        if (slice_equal(plain, slice_of(whole[i])))
            return true;
    if (!slice_ends(plain, SLICE("_key")))
        return false;
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        if (slice_equal(plain, slice_of(harmless[i])))
            return false;
    return true;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

_Static_assert(NAMED_LEAST >= sizeof(uint32_t) + sizeof(uint16_t), "every value has the bytes that are hashed");

static size_t hash_of_begin(const char *at)
{
    uint32_t four;
    uint16_t two;
    memcpy(&four, at, sizeof(four));
    memcpy(&two, at + sizeof(four), sizeof(two));
    return (size_t)((four | (uint64_t)two << 32) * 0x9e3779b97f4a7c15u >> (64 - BEGINS_BITS));
}

static int compare(struct slice a, struct slice b)
{
    int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* How many values stand before the text, it itself among them. */
static size_t place_of(const struct redact *r, struct slice text)
{
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(r->values[middle], text) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void keep(struct redact *r, struct slice value)
{
    size_t place = place_of(r, value), hash = hash_of_begin(value.at);
    if (place > 0 && slice_equal(r->values[place - 1], value))
        return;
    if (r->count == r->room) {
        r->room = r->room > 0 ? 2 * r->room : 64;
        r->values = need_realloc(r->values, r->room * sizeof(struct slice));
    }
    memmove(r->values + place + 1, r->values + place, (r->count - place) * sizeof(struct slice));
    r->values[place] = (struct slice){slice_dup(value), value.len};
    r->count++;
    r->begins[hash / 8] |= (unsigned char)(1 << hash % 8);
}

void redact_learn(struct redact *r, struct slice name, struct slice value)
{
    struct buf quoted = {.secret = true};
    struct json_writer json;
    bool place = slice_ends(name, SLICE("_FILE")) || slice_equal(name, SLICE("PWD")) ||
                 slice_equal(name, SLICE("CREDENTIALS_DIRECTORY")); /* says where something is */
    bool named = !place && redact_name(name);
    if (value.len < (named ? NAMED_LEAST : OTHERS_LEAST))
        return;
    if (!named && (value.at[0] == '/' || slice_equal(name, SLICE("HOSTNAME"))))
        return;
    keep(r, value);
    json_write_begin(&json, &quoted);
    if (json_write_string(&json, value))
        keep(r, (struct slice){quoted.at + 1, quoted.len - 2});
    buf_free(&quoted);
}

/* Whether a value may begin as the text does, which has NAMED_LEAST bytes. */
static bool may_begin(const struct redact *r, struct slice text)
{
    size_t hash = hash_of_begin(text.at);
    return (r->begins[hash / 8] & 1 << hash % 8) != 0;
}

/* The length of the longest value that the text begins with, or 0. */
static size_t value_at(const struct redact *r, struct slice text)
{
    for (size_t place; (place = place_of(r, text)) > 0;) {
        struct slice before = r->values[place - 1];
        size_t shared = 0;
        while (shared < before.len && shared < text.len && before.at[shared] == text.at[shared])
            shared++;
        if (shared == before.len)
            return shared;
        if (shared < NAMED_LEAST)
            return 0;
        text.len = shared; /* what else it begins with, `before` begins with, too: in the order it is further up */
    }
    return 0;
}

/* The text's place of the first mark of a cut from `from` on, or its length. */
static size_t find_cut(struct slice text, size_t from)
{
    const char *mark = from < text.len ? memmem(text.at + from, text.len - from, "...", 3) : NULL;
    return mark != NULL ? (size_t)(mark - text.at) : text.len;
}

/*
 * The length of the value's begin that stands at `at`, up to the mark of a cut, or 0. cut: the mark that was found for
 * a place before this one.
 */
static size_t torn_at(const struct redact *r, struct slice text, size_t at, size_t *cut)
{
    if (*cut < at + NAMED_LEAST)
        *cut = find_cut(text, at + NAMED_LEAST);
    if (*cut == text.len)
        return 0;
    struct slice begin = {text.at + at, *cut - at};
    size_t place = place_of(r, begin); /* the first that is greater: values that begin so stand there */
    return place < r->count && slice_starts(r->values[place], begin) ? begin.len : 0;
}

bool redact_text(const struct redact *r, struct slice text, struct buf *out)
{
    size_t told = 0, cut = 0; /* of the text, in out; see torn_at */
    bool any = false;
    if (r == NULL || r->count == 0)
        return false;
    for (size_t at = 0; at + NAMED_LEAST <= text.len; at++) {
        struct slice rest = {text.at + at, text.len - at};
        if (!may_begin(r, rest))
            continue;
        size_t len = value_at(r, rest);
        if (len == 0)
            len = torn_at(r, text, at, &cut);
        if (len == 0 || at + len <= told)
            continue;
        if (at >= told) { /* else the word for what it overlaps with stands for both */
            buf_add(out, text.at + told, at - told);
            buf_add_text(out, REDACT_WORD);
        }
        told = at + len;
        any = true;
    }
    if (any)
        buf_add(out, text.at + told, text.len - told);
    return any;
}

struct slice redact_clean(const struct redact *r, struct slice text, struct buf *room)
{
    return redact_text(r, text, room) ? buf_slice(room) : text;
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

/* Behind the string that begins at `at` (a quote). */
static size_t skip_string(struct slice json, size_t at)
{
    for (at++; at < json.len && json.at[at] != '"'; at++)
        if (json.at[at] == '\\')
            at++;
    return at < json.len ? at + 1 : json.len;
}

/* Behind the value that begins at `at`; what is nested in it goes with it. */
static size_t skip_value(struct slice json, size_t at)
{
    size_t depth = 0;
    while (at < json.len) {
        char c = json.at[at];
        if (c == '"') {
            at = skip_string(json, at);
            if (depth == 0)
                return at;
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            return at;
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        at++;
        if (depth == 0 && (c == '}' || c == ']'))
            return at;
    }
    return at;
}

/* A number, true, false or null tells no secret. */
static bool harmless_value(char c)
{
    return c != '"' && c != '{' && c != '[';
}

static bool structural(char c)
{
    return c == '{' || c == '}' || c == '[' || c == ']' || c == ':' || c == ',';
}

/* Behind the string, the other value or the structural character that begins at `at`. */
static size_t skip_token(struct slice json, size_t at)
{
    if (json.at[at] == '"')
        return skip_string(json, at);
    if (structural(json.at[at]))
        return at + 1;
    while (at < json.len && json.at[at] != '"' && !structural(json.at[at]))
        at++;
    return at;
}

static char hex_digit(char c)
{
    return (char)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

/* The bytes that a string of our writer stands for: it has \u for controls only. */
static void unescape(struct slice s, struct buf *out)
{
    static const char names[] = "bfnrt", controls[] = "\b\f\n\r\t";
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (c == '\\' && i + 1 < s.len) {
            c = s.at[++i];
            const char *named = memchr(names, c, sizeof(names) - 1);
            if (named != NULL) {
                c = controls[named - names];
            } else if (c == 'u' && s.len - i > 4) {
                c = (char)(hex_digit(s.at[i + 3]) << 4 | hex_digit(s.at[i + 4]));
                i += 4;
            }
        }
        buf_add_char(out, c);
    }
}

/* Appends the token, without learned values; whether it held any. What is no string can only become one. */
static bool add_token(const struct redact *r, struct slice token, struct buf *out)
{
    struct buf text = {0}, clean = {0};
    struct json_writer json;
    bool is_string = token.len >= 2 && token.at[0] == '"';
    if (is_string)
        unescape((struct slice){token.at + 1, token.len - 2}, &text);
    bool any = redact_text(r, is_string ? buf_slice(&text) : token, &clean);
    json_write_begin(&json, out);
    if (any)
        json_write_text(&json, is_string ? buf_slice(&clean) : SLICE(REDACT_WORD));
    else
        buf_add_slice(out, token);
    buf_free(&text);
    buf_free(&clean);
    return any;
}

/* Whether the token is the name of a secret, whose value begins behind the ':' at `at`. */
static bool names_secret(struct slice json, struct slice token, size_t at)
{
    return token.at[0] == '"' && at + 1 < json.len && json.at[at] == ':' && !harmless_value(json.at[at + 1]) &&
           redact_name((struct slice){token.at + 1, token.len - 2});
}

bool redact_json(const struct redact *r, struct slice json, struct buf *out)
{
    size_t begin = out->len, at = 0;
    bool any = false;
    while (at < json.len) {
        struct slice token = {json.at + at, skip_token(json, at) - at};
        any |= add_token(r, token, out);
        at += token.len;
        if (names_secret(json, token, at)) {
            buf_add_text(out, ":\"" REDACT_WORD "\"");
            at = skip_value(json, at + 1);
            any = true;
        }
    }
    if (!any)
        out->len = begin;
    return any;
}
