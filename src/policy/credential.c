/*
 * credential.c: see credential.h. Owns: struct credential. Runs in: the worker, the trial.
 * Fails: words at load time; a reason afterwards.
 */
#include "policy/credential.h"
#include "base/ascii.h"
#include "base/buf.h"
#include "base/panic.h"
#include "codec/base64.h"
#include "codec/form.h"
#include "crypto/digest.h"
#include "crypto/equal.h"
#include "crypto/secret.h"
#include "policy/payload.h"
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>

#define SHA256_SIZE 32

struct entry {
    char *name; /* NULL: none */
    size_t name_len;
    unsigned char digest[DIGEST_MAX]; /* SHA-256 of the secret */
};

struct credential {
    enum credential_kind kind;
    char *place;     /* header (lower case) or parameter */
    char *challenge; /* NULL: none */
    struct entry *entries;
    size_t count;
};

static int build_challenge(struct credential *c, struct slice realm, struct error *err)
{
    struct buf text = {0};
    if (c->kind == CREDENTIAL_BEARER)
        buf_add_text(&text, "Bearer");
    if (c->kind == CREDENTIAL_BASIC) {
        for (size_t i = 0; i < realm.len; i++)
            if (realm.at[i] == '"' || realm.at[i] == '\\' || (unsigned char)realm.at[i] < 0x20 || realm.at[i] == 0x7f)
                return error_set(err, "realm: quotes, backslashes and control characters cannot stand in it");
        buf_addf(&text, "Basic realm=\"%.*s\", charset=\"UTF-8\"", SLICE_ARG(realm)); /* RFC 7617 2, 2.1 */
    }
    c->challenge = text.len > 0 ? buf_take(&text) : NULL;
    return 0;
}

struct credential *credential_new(enum credential_kind kind, struct slice place, struct error *err)
{
    if (kind == CREDENTIAL_API_KEY_HEADER && !ascii_is_token(place)) {
        error_set(err, "header: not the name of a header");
        return NULL;
    }
    struct credential *c = need_zero(1, sizeof *c);
    c->kind = kind;
    c->place = slice_dup(kind == CREDENTIAL_BASIC || kind == CREDENTIAL_BEARER ? SLICE("authorization") : place);
    if (kind != CREDENTIAL_API_KEY_QUERY)
        for (char *at = c->place; *at != '\0'; at++)
            *at = (char)tolower((unsigned char)*at);
    if (build_challenge(c, place, err) < 0)
        credential_free(&c);
    return c;
}

void credential_free(struct credential **c)
{
    if (*c == NULL)
        return;
    for (size_t i = 0; i < (*c)->count; i++) {
        free((*c)->entries[i].name);
        secret_wipe((*c)->entries[i].digest, DIGEST_MAX);
    }
    free((*c)->entries);
    free((*c)->challenge);
    free((*c)->place);
    free(*c);
    *c = NULL;
}

/* The SHA-256 of a secret, or the one that is written down in its place. */
static int read_digest(struct slice secret, unsigned char digest_out[DIGEST_MAX], struct error *err)
{
    struct slice hashed = SLICE("sha256:");
    if (secret.len == 0)
        return error_set(err, "is empty");
    if (!slice_starts(secret, hashed)) {
        digest_of(DIGEST_SHA256, &secret, 1, digest_out);
        return 0;
    }
    struct buf bytes = {0};
    bool ok = base64_unhex(slice_from(secret, hashed.len), &bytes) && bytes.len == SHA256_SIZE;
    if (ok)
        memcpy(digest_out, bytes.at, SHA256_SIZE);
    buf_free(&bytes);
    return ok ? 0 : error_set(err, "is not 'sha256:' and 64 hex digits");
}

int credential_add(struct credential *c, struct slice name, struct slice secret, struct error *err)
{
    struct entry entry = {.name_len = name.len};
    if (c->kind == CREDENTIAL_BASIC && slice_find(name, ':') != SIZE_MAX)
        return error_set(err, "a user's name cannot hold ':' (RFC 7617)");
    if (read_digest(secret, entry.digest, err) < 0)
        return -1;
    entry.name = name.at != NULL ? slice_dup(name) : NULL;
    c->entries = need_realloc(c->entries, (c->count + 1) * sizeof *c->entries);
    c->entries[c->count++] = entry;
    return 0;
}

const char *credential_name(const struct credential *c)
{
    static const char *const names[] = {[CREDENTIAL_API_KEY_HEADER] = "api_key",
                                        [CREDENTIAL_API_KEY_QUERY] = "api_key",
                                        [CREDENTIAL_BASIC] = "basic",
                                        [CREDENTIAL_BEARER] = "bearer"};
    return names[c->kind];
}

const char *credential_challenge(const struct credential *c)
{
    return c->challenge;
}

/* Compares with every entry, whatever matched before. user: NULL, or the name that must be the entry's too. */
static enum reason compare(const struct credential *c, const struct slice *user, struct slice secret, int *index_out,
                           struct slice *subject_out)
{
    unsigned char digest[DIGEST_MAX];
    digest_of(DIGEST_SHA256, &secret, 1, digest);
    struct slice shown = {(const char *)digest, SHA256_SIZE};
    size_t found = 0;
    for (size_t i = 0; i < c->count; i++) {
        const struct entry *e = &c->entries[i];
        bool equal = equal_secret(shown, (struct slice){(const char *)e->digest, SHA256_SIZE});
        if (user != NULL)
            equal &= equal_secret(*user, (struct slice){e->name, e->name_len});
        if (equal && found == 0)
            found = i + 1;
    }
    if (found == 0)
        return REASON_bad_credential;
    const struct entry *e = &c->entries[found - 1];
    *index_out = e->name == NULL ? (int)found : 0; /* a map's entries have names, not places */
    *subject_out = e->name != NULL ? (struct slice){e->name, e->name_len} : SLICE_NONE;
    return REASON_none;
}

static enum reason check_query(const struct credential *c, const struct http_request *req, int *index_out,
                               struct slice *subject_out)
{
    struct form_pairs pairs = {0};
    struct form_fault fault;
    struct slice key = SLICE_NONE;
    size_t found = 0;
    if (req->query.at == NULL)
        return REASON_missing_credential;
    if (form_parse(req->query, FORM_PAIRS_MAX, &pairs, &fault) < 0)
        return REASON_malformed_header;
    for (size_t i = 0; i < pairs.count; i++)
        if (slice_equal(pairs.at[i].name, slice_of(c->place))) {
            key = pairs.at[i].value;
            found++;
        }
    enum reason why = found > 1 ? REASON_malformed_header : REASON_missing_credential;
    if (found == 1 && key.len > 0)
        why = compare(c, NULL, key, index_out, subject_out);
    form_free(&pairs);
    return why;
}

static enum reason check_basic(const struct credential *c, struct slice text, int *index_out, struct slice *subject_out)
{
    struct buf bytes = {0};
    enum reason why = REASON_malformed_header;
    if (base64_decode(text, &bytes)) {
        struct slice both = buf_slice(&bytes);
        size_t colon = slice_find(both, ':');
        struct slice user = {both.at, colon};
        if (colon != SIZE_MAX)
            why = compare(c, &user, slice_from(both, colon + 1), index_out, subject_out);
    }
    if (bytes.at != NULL)
        secret_wipe(bytes.at, bytes.room);
    buf_free(&bytes);
    return why;
}

/* "<scheme> <rest>", the scheme without case (RFC 9110 11.1). False: it is another scheme. */
static bool strip_scheme(struct slice *value, struct slice scheme)
{
    if (value->len <= scheme.len || !slice_equal_nocase((struct slice){value->at, scheme.len}, scheme) ||
        value->at[scheme.len] != ' ')
        return false;
    *value = slice_trim(slice_from(*value, scheme.len));
    return true;
}

enum reason credential_check(const struct credential *c, const struct http_request *req, int *index_out,
                             struct slice *subject_out)
{
    struct slice value = SLICE_NONE;
    *index_out = 0;
    *subject_out = SLICE_NONE;
    if (c->count == 0)
        return REASON_no_secret;
    if (c->kind == CREDENTIAL_API_KEY_QUERY)
        return check_query(c, req, index_out, subject_out);
    enum reason why = payload_header(req, slice_of(c->place), &value);
    if (why != REASON_none)
        return why == REASON_missing_header ? REASON_missing_credential : why;
    if (c->kind == CREDENTIAL_API_KEY_HEADER)
        return compare(c, NULL, value, index_out, subject_out);
    if (!strip_scheme(&value, c->kind == CREDENTIAL_BASIC ? SLICE("basic") : SLICE("bearer")))
        return REASON_missing_credential;
    if (value.len == 0)
        return REASON_malformed_header;
    if (c->kind == CREDENTIAL_BASIC)
        return check_basic(c, value, index_out, subject_out);
    return compare(c, NULL, value, index_out, subject_out);
}
