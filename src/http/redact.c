/*
 * redact.c: see redact.h. A value is looked for as it is and as it stands in JSON text.
 */
#include "http/redact.h"
#include "base/panic.h"
#include <ctype.h>
#include <stdlib.h>

#define NAMED_MAX 384  /* by their names; each value perhaps in two forms */
#define OTHERS_MAX 128 /* in a container there may be hundreds, of no secret at all */
#define NAMED_LEAST 6
#define OTHERS_LEAST 16
#define NAME_SHOWN 64 /* bytes of a name that are looked at */

struct value {
    char *at;
    size_t len;
};

struct redact {
    struct value named[NAMED_MAX], others[OTHERS_MAX];
    size_t named_count, other_count, next; /* next: whose place a further named one takes */
};

struct redact *redact_new(void)
{
    return need_zero(1, sizeof(struct redact));
}

static void forget(struct value *v)
{
    if (v->at != NULL)
        explicit_bzero(v->at, v->len);
    free(v->at);
    v->at = NULL;
}

void redact_free(struct redact **r)
{
    struct redact *gone = *r;
    *r = NULL;
    for (size_t i = 0; gone != NULL && i < gone->named_count; i++)
        forget(&gone->named[i]);
    for (size_t i = 0; gone != NULL && i < gone->other_count; i++)
        forget(&gone->others[i]);
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

static bool known(const struct value *values, size_t count, struct slice value)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal((struct slice){values[i].at, values[i].len}, value))
            return true;
    return false;
}

static void keep(struct redact *r, struct slice value, bool named)
{
    struct value *place;
    if (known(r->named, r->named_count, value) || known(r->others, r->other_count, value))
        return;
    if (!named && r->other_count == OTHERS_MAX)
        return;
    if (!named)
        place = &r->others[r->other_count++];
    else
        place = &r->named[r->named_count < NAMED_MAX ? r->named_count++ : r->next++ % NAMED_MAX];
    forget(place);
    *place = (struct value){slice_dup(value), value.len};
}

/* As our JSON writer puts it, without quotes. */
static void add_escaped(struct buf *out, struct slice value)
{
    static const char shorts[] = "\b\f\n\r\t", names[] = "bfnrt";
    for (size_t i = 0; i < value.len; i++) {
        char c = value.at[i];
        const char *is_short = c != '\0' ? strchr(shorts, c) : NULL;
        if (c == '"' || c == '\\')
            buf_addf(out, "\\%c", c);
        else if (is_short != NULL)
            buf_addf(out, "\\%c", names[is_short - shorts]);
        else if ((unsigned char)c < 0x20)
            buf_addf(out, "\\u%04x", (unsigned char)c);
        else
            buf_add_char(out, c);
    }
}

void redact_learn(struct redact *r, struct slice name, struct slice value)
{
    struct buf escaped = {0};
    bool place = slice_ends(name, SLICE("_FILE")) || slice_equal(name, SLICE("PWD")); /* says where something is */
    bool named = !place && redact_name(name);
    if (value.len < (named ? NAMED_LEAST : OTHERS_LEAST))
        return;
    if (!named && (value.at[0] == '/' || slice_equal(name, SLICE("HOSTNAME"))))
        return;
    keep(r, value, named);
    add_escaped(&escaped, value);
    keep(r, buf_slice(&escaped), named);
    buf_free(&escaped);
}

/* The better of `first` and the first of these values in the text. */
static struct slice better(struct slice first, struct slice text, const struct value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *at = memmem(text.at, text.len, values[i].at, values[i].len);
        if (at != NULL && (at < first.at || (at == first.at && values[i].len > first.len)))
            first = (struct slice){at, values[i].len};
    }
    return first;
}

/* The first learned value in the text, the longest of those that begin there; len 0: none. */
static struct slice find(const struct redact *r, struct slice text)
{
    struct slice none = {text.at + text.len, 0};
    return better(better(none, text, r->named, r->named_count), text, r->others, r->other_count);
}

bool redact_text(const struct redact *r, struct slice text, struct buf *out)
{
    if (r == NULL || text.len < NAMED_LEAST)
        return false;
    struct slice found = find(r, text);
    if (found.len == 0)
        return false;
    for (; found.len > 0; found = find(r, text)) {
        buf_add(out, text.at, (size_t)(found.at - text.at));
        buf_add_text(out, REDACT_WORD);
        text = slice_from(text, (size_t)(found.at - text.at) + found.len);
        if (text.len == 0)
            return true;
    }
    buf_add_slice(out, text);
    return true;
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

/* With the values of secret names replaced; whether there were any. */
static bool redact_members(struct slice json, struct buf *out)
{
    size_t begin = 0, at = 0;
    bool any = false;
    while (at < json.len) {
        if (json.at[at] != '"') {
            at++;
            continue;
        }
        size_t name = at + 1;
        at = skip_string(json, at);
        if (at + 1 >= json.len || json.at[at] != ':')
            continue;
        at++;
        if (harmless_value(json.at[at]) || !redact_name((struct slice){json.at + name, at - name - 2}))
            continue;
        buf_add(out, json.at + begin, at - begin);
        buf_add_text(out, "\"" REDACT_WORD "\"");
        begin = at = skip_value(json, at);
        any = true;
    }
    buf_add_slice(out, slice_from(json, begin));
    return any;
}

bool redact_json(const struct redact *r, struct slice json, struct buf *out)
{
    struct buf members = {0};
    bool any = redact_members(json, &members);
    bool values = redact_text(r, buf_slice(&members), out);
    if (any && !values)
        buf_add_slice(out, buf_slice(&members));
    buf_free(&members);
    return any || values;
}
