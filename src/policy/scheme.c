/*
 * scheme.c: see scheme.h. In the order of time: build, secrets, then one check: headers → items → signatures → HMAC →
 * window. The signature is checked before the window: `expired` then means a genuine but old delivery.
 * Owns: struct scheme. Runs in: one thread per process (the scratch bytes are shared by all checks of a scheme).
 */
#include "policy/scheme.h"
#include "base/ascii.h"
#include "base/buf.h"
#include "base/panic.h"
#include "codec/base64.h"
#include "crypto/equal.h"
#include "crypto/secret.h"
#include "policy/payload.h"
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>

/* Each item with pairs may have a payload of its own, so costs an HMAC for each secret: more than a rotation needs is
 * somebody burning our time. */
#define ITEMS_MAX 4

struct scheme {
    char *name;
    enum digest_algorithm algorithm;
    char *headers[SCHEME_HEADERS_MAX];
    size_t header_count;
    char list, pairs;
    char *field, *prefix;
    enum scheme_encoding encoding;
    struct payload payload;
    enum scheme_key_form key_form, key_bare;
    char *key_prefix;
    bool timed;
    struct payload timestamp; /* one part */
    enum timestamp_unit unit;
    dur_t past, future;
    struct scheme_keys keys;
    struct buf signatures; /* decoded, one behind the other: scratch of the item under check */
};

static bool named(struct slice name, const char *const *names, size_t count, size_t *index_out)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal(name, slice_of(names[i]))) {
            *index_out = i;
            return true;
        }
    return false;
}

bool scheme_encoding_named(struct slice name, enum scheme_encoding *encoding_out)
{
    static const char *const names[] = {"hex", "base64", "base64url"};
    size_t i;
    if (!named(name, names, 3, &i))
        return false;
    *encoding_out = (enum scheme_encoding)i;
    return true;
}

bool scheme_key_form_named(struct slice name, enum scheme_key_form *form_out)
{
    static const char *const names[] = {"utf8", "base64", "hex"};
    size_t i;
    if (!named(name, names, 3, &i))
        return false;
    *form_out = (enum scheme_key_form)i;
    return true;
}

static char *lower(struct slice text)
{
    char *copy = slice_dup(text);
    for (char *c = copy; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return copy;
}

static int build_headers(struct scheme *s, const struct scheme_spec *spec, struct error *err)
{
    if (spec->header_count == 0 || spec->header_count > SCHEME_HEADERS_MAX)
        return error_set(err, "1 to %d signature headers", SCHEME_HEADERS_MAX);
    for (size_t i = 0; i < spec->header_count; i++) {
        struct slice name = spec->headers[i];
        if (!ascii_is_token(name))
            return error_set(err, "header: not the name of a header");
        s->headers[s->header_count++] = lower(name);
    }
    if ((spec->pairs != 0) != (spec->field.len != 0))
        return error_set(err, "pairs and field belong together");
    return 0;
}

/* A window over a time that is not signed keeps nobody out: whoever replays a delivery writes a new time. */
static int build_timestamp(struct scheme *s, const struct scheme_spec *spec, struct error *err)
{
    s->timed = spec->timestamp.at.len > 0;
    if (!s->timed)
        return 0;
    struct buf place = {0};
    buf_addf(&place, "{%.*s}", SLICE_ARG(spec->timestamp.at));
    int result = payload_compile(buf_slice(&place), &s->timestamp, err);
    buf_free(&place);
    if (result < 0)
        return error_prefix(err, "timestamp");
    const struct payload_part *part = &s->timestamp.part[0];
    if (s->timestamp.count != 1 || (part->place != PAYLOAD_HEADER && part->place != PAYLOAD_FIELD))
        return error_set(err, "timestamp: '%.*s' must be header:NAME", SLICE_ARG(spec->timestamp.at));
    if (!payload_has(&s->payload, part->place, part->text))
        return error_set(err, "timestamp: {%.*s} is not in payload, so it is not signed and protects nothing",
                         SLICE_ARG(spec->timestamp.at));
    s->unit = spec->timestamp.unit;
    s->past = spec->timestamp.past;
    s->future = spec->timestamp.future;
    return 0;
}

struct scheme *scheme_new(const struct scheme_spec *spec, struct error *err)
{
    struct scheme *s = need_zero(1, sizeof *s);
    s->name = need_strdup(spec->name);
    s->algorithm = spec->algorithm;
    s->list = spec->list;
    s->pairs = spec->pairs;
    s->field = slice_dup(spec->field);
    s->prefix = slice_dup(spec->prefix);
    s->encoding = spec->encoding;
    s->key_form = spec->key.form;
    s->key_bare = spec->key.bare;
    s->key_prefix = slice_dup(spec->key.prefix);
    if (build_headers(s, spec, err) < 0)
        goto failed;
    if (payload_compile(spec->payload, &s->payload, err) < 0) {
        error_prefix(err, "payload");
        goto failed;
    }
    if (s->pairs == 0 && payload_has(&s->payload, PAYLOAD_FIELD, SLICE_NONE)) {
        error_set(err, "payload: the signature header has no fields");
        goto failed;
    }
    if (build_timestamp(s, spec, err) < 0)
        goto failed;
    return s;
failed:
    scheme_free(&s);
    return NULL;
}

void scheme_free(struct scheme **s)
{
    if (*s == NULL)
        return;
    for (size_t i = 0; i < (*s)->header_count; i++)
        free((*s)->headers[i]);
    scheme_keys_free(&(*s)->keys);
    payload_free(&(*s)->payload);
    buf_free(&(*s)->signatures);
    payload_free(&(*s)->timestamp);
    free((*s)->key_prefix);
    free((*s)->prefix);
    free((*s)->field);
    free((*s)->name);
    free(*s);
    *s = NULL;
}

const char *scheme_name(const struct scheme *s)
{
    return s->name;
}

struct scheme_keys *scheme_own_keys(struct scheme *s)
{
    return &s->keys;
}

static int decode_secret(struct slice secret, enum scheme_key_form form, struct buf *key, struct error *err)
{
    if (form == SCHEME_KEY_BASE64 && !base64_decode(secret, key))
        return error_set(err, "is not base64");
    if (form == SCHEME_KEY_HEX && !base64_unhex(secret, key))
        return error_set(err, "is not hex");
    if (form == SCHEME_KEY_UTF8)
        buf_add_slice(key, secret);
    return key->len > 0 ? 0 : error_set(err, "is empty");
}

int scheme_keys_add(const struct scheme *s, struct scheme_keys *keys, struct slice secret, struct error *err)
{
    struct slice prefix = slice_of(s->key_prefix);
    bool prefixed = prefix.len > 0 && slice_starts(secret, prefix);
    enum scheme_key_form form = prefix.len == 0 || prefixed ? s->key_form : s->key_bare;
    if (keys->count == SCHEME_SECRETS_MAX)
        return error_set(err, "more than %d secrets", SCHEME_SECRETS_MAX);
    struct buf key = {0};
    int result = decode_secret(prefixed ? slice_from(secret, prefix.len) : secret, form, &key, err);
    if (result < 0 && prefixed)
        error_set(err, "is not %s after '%s'", form == SCHEME_KEY_HEX ? "hex" : "base64", s->key_prefix);
    if (result == 0) {
        keys->at[keys->count] = digest_key_new(s->algorithm, buf_slice(&key), err);
        result = keys->at[keys->count] != NULL ? 0 : -1;
        keys->count += result == 0;
    }
    if (key.at != NULL)
        secret_wipe(key.at, key.room);
    buf_free(&key);
    return result;
}

void scheme_keys_free(struct scheme_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        digest_key_free(&keys->at[i]);
    keys->count = 0;
}

/* What is under check: one item of a signature header, with the scheme that reads it. */
struct item {
    const struct scheme *s;
    struct slice text;
};

static bool pair_cut(struct slice *rest, char separator, struct slice *name_out, struct slice *value_out)
{
    struct slice pair;
    while (slice_cut(rest, separator, &pair)) {
        pair = slice_trim(pair);
        size_t equals = slice_find(pair, '=');
        if (equals == SIZE_MAX)
            continue;
        *name_out = (struct slice){pair.at, equals};
        *value_out = slice_from(pair, equals + 1);
        return true;
    }
    return false;
}

/* {field:NAME}: there must be exactly one. */
static struct slice item_field(const void *cookie, struct slice wanted)
{
    const struct item *item = cookie;
    struct slice rest = item->text, name, value, found = SLICE_NONE;
    while (pair_cut(&rest, item->s->pairs, &name, &value)) {
        if (!slice_equal(name, wanted))
            continue;
        if (found.at != NULL)
            return SLICE_NONE;
        found = value;
    }
    return found;
}

/* Decodes one signature behind the others; what is not in the form, or not of the digest's length, leaves nothing. */
static void decode_signature(struct scheme *s, struct slice text)
{
    size_t size = digest_size(s->algorithm), before = s->signatures.len;
    bool ok = false;
    if (!slice_starts(text, slice_of(s->prefix)))
        return;
    text = slice_from(text, strlen(s->prefix));
    if (text.len < size || text.len > 2 * size + 4)
        return;
    switch (s->encoding) {
    case SCHEME_HEX:
        ok = base64_unhex(text, &s->signatures);
        break;
    case SCHEME_BASE64:
        ok = base64_decode(text, &s->signatures);
        break;
    case SCHEME_BASE64URL:
        ok = base64_decode_url(text, &s->signatures);
        break;
    }
    if (!ok || s->signatures.len != before + size)
        s->signatures.len = before;
}

/* Which secret made one of the collected signatures, from 1; 0: none. */
static int match(struct scheme *s, const struct scheme_keys *keys, const struct slice *parts)
{
    unsigned char mac[DIGEST_MAX];
    for (size_t k = 0; k < keys->count; k++) {
        size_t size = digest_hmac(keys->at[k], parts, s->payload.count, mac);
        struct slice made = {(const char *)mac, size};
        bool equal = false;
        for (size_t at = 0; at < s->signatures.len; at += size)
            equal |= equal_secret(made, (struct slice){s->signatures.at + at, size});
        if (equal)
            return (int)k + 1;
    }
    return 0;
}

static enum reason check_window(const struct scheme *s, wall_t signed_at, wall_t now)
{
    int64_t age = now.ns - signed_at.ns;
    if ((s->past.ns > 0 && age > s->past.ns) || (s->future.ns > 0 && -age > s->future.ns))
        return REASON_expired;
    return REASON_none;
}

/* With the signatures of one item collected. */
static enum reason check_item(struct scheme *s, const struct scheme_keys *keys, const struct http_request *req,
                              const struct item *item, wall_t now, int *index_out)
{
    struct slice parts[PAYLOAD_PARTS_MAX], written;
    wall_t signed_at = {0};
    enum reason why = payload_assemble(&s->payload, req, item_field, item, parts);
    if (why != REASON_none)
        return why;
    if (s->timed) {
        why = payload_read(&s->timestamp.part[0], req, item_field, item, &written);
        if (why != REASON_none)
            return why;
        if (!timestamp_parse(written, s->unit, &signed_at))
            return REASON_malformed_header;
    }
    if (keys->count == 0)
        return REASON_no_secret;
    *index_out = match(s, keys, parts);
    if (*index_out == 0)
        return REASON_bad_signature;
    return s->timed ? check_window(s, signed_at, now) : REASON_none;
}

/* How far a check came: among several items or headers, the one that came furthest says why. */
static int progress(enum reason why)
{
    switch (why) {
    case REASON_missing_header:
        return 0;
    case REASON_malformed_header:
        return 1;
    case REASON_bad_signature:
        return 2;
    default:
        return 3;
    }
}

/* Items of prefix + signature: the payload is the same for all, so all are collected for one HMAC a secret. */
static enum reason check_plain(struct scheme *s, const struct scheme_keys *keys, const struct http_request *req,
                               struct slice value, wall_t now, int *index_out)
{
    struct item item = {s, value};
    struct slice rest = value;
    buf_clear(&s->signatures);
    if (s->list == 0)
        decode_signature(s, value);
    else
        while (slice_cut(&rest, s->list, &item.text))
            decode_signature(s, slice_trim(item.text));
    if (s->signatures.len == 0)
        return REASON_malformed_header;
    return check_item(s, keys, req, &item, now, index_out);
}

/* Items of pairs: each has fields, so a payload, of its own. */
static enum reason check_pairs(struct scheme *s, const struct scheme_keys *keys, const struct http_request *req,
                               struct slice value, wall_t now, int *index_out)
{
    struct item item = {s, value};
    struct slice rest = value, pairs, name, signature;
    enum reason why = REASON_malformed_header, furthest = REASON_missing_header;
    for (int n = 0; n < ITEMS_MAX; n++) {
        if (s->list != 0 && !slice_cut(&rest, s->list, &item.text))
            break;
        pairs = item.text;
        buf_clear(&s->signatures);
        while (pair_cut(&pairs, s->pairs, &name, &signature))
            if (slice_equal(name, slice_of(s->field)))
                decode_signature(s, signature);
        why = REASON_malformed_header;
        if (s->signatures.len > 0)
            why = check_item(s, keys, req, &item, now, index_out);
        if (why == REASON_none)
            return why;
        if (progress(why) > progress(furthest))
            furthest = why;
        if (s->list == 0)
            break;
    }
    return furthest;
}

static enum reason check_headers(struct scheme *s, const struct scheme_keys *keys, const struct http_request *req,
                                 wall_t now, int *index_out)
{
    enum reason furthest = REASON_missing_header;
    for (size_t i = 0; i < s->header_count; i++) {
        struct slice value = SLICE_NONE;
        enum reason why = payload_header(req, slice_of(s->headers[i]), &value);
        if (why == REASON_none)
            why = (s->pairs != 0 ? check_pairs : check_plain)(s, keys, req, value, now, index_out);
        if (why == REASON_none)
            return why;
        if (progress(why) > progress(furthest))
            furthest = why;
    }
    *index_out = 0;
    return furthest;
}

enum reason scheme_check(struct scheme *s, const struct scheme_keys *keys, const struct http_request *req, wall_t now,
                         int *index_out)
{
    *index_out = 0;
    return keys->count > 0 ? check_headers(s, keys, req, now, index_out) : REASON_no_secret;
}

enum reason scheme_check_form(struct scheme *s, const struct http_request *req)
{
    static const struct scheme_keys none;
    int index;
    enum reason why = check_headers(s, &none, req, (wall_t){0}, &index);
    return why == REASON_no_secret ? REASON_none : why;
}
