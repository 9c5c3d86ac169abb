/*
 * mtls.c: see mtls.h. Nothing here is secret, so plain comparison does.
 */
#include "policy/mtls.h"
#include "base/buf.h"
#include "base/panic.h"
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>

#define FINGERPRINT 71 /* "sha256:" and 64 digits */

struct mtls {
    struct wanted {
        char **at;
        size_t count;
    } wanted[MTLS_KINDS];
};

struct mtls *mtls_new(void)
{
    return need_zero(1, sizeof(struct mtls));
}

void mtls_free(struct mtls **m)
{
    if (*m == NULL)
        return;
    for (int kind = 0; kind < MTLS_KINDS; kind++) {
        for (size_t i = 0; i < (*m)->wanted[kind].count; i++)
            free((*m)->wanted[kind].at[i]);
        free((*m)->wanted[kind].at);
    }
    free(*m);
    *m = NULL;
}

/* --- what is wanted ----------------------------------------------------------------------------------------------- */

/* OpenSSL prints subjects in other forms, too, by default: what is copied from there would never match. */
static const char *subject_fault(struct slice text)
{
    size_t equals = slice_find(text, '=');
    if (equals == SIZE_MAX || equals == 0 || text.at[0] == '/' || text.at[equals - 1] == ' ')
        return "expected a subject like \"CN=partner,O=Example\", as `openssl x509 -noout -subject -nameopt RFC2253` "
               "prints it";
    if (slice_starts(text, SLICE("cn=")) || slice_starts(text, SLICE("Cn=")))
        return "CN is written in capitals";
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.at[i] == ',' && text.at[i + 1] == ' ' && (i == 0 || text.at[i - 1] != '\\'))
            return "no space follows a comma in this form (RFC 2253)";
    return NULL;
}

/* "sha256:" and hex digits in any of their spellings, to the one of struct identity. */
static char *read_fingerprint(struct slice text)
{
    struct slice begin = SLICE("sha256:"), rest = text;
    struct buf hex = {0};
    bool other = false;
    if (text.len < begin.len || !slice_equal_nocase((struct slice){text.at, begin.len}, begin))
        return NULL;
    rest = slice_from(text, begin.len);
    buf_add_slice(&hex, begin);
    for (size_t i = 0; i < rest.len; i++) {
        if (isxdigit((unsigned char)rest.at[i]))
            buf_add_char(&hex, (char)tolower((unsigned char)rest.at[i]));
        else if (rest.at[i] != ':' || i % 3 != 2)
            other = true;
    }
    if (!other && hex.len == FINGERPRINT)
        return buf_take(&hex);
    buf_free(&hex);
    return NULL;
}

static char *read_one(enum mtls_kind kind, struct slice text, const char **why_out)
{
    if (kind == MTLS_SAN)
        return identity_name(text, why_out);
    if (kind == MTLS_FINGERPRINT) {
        *why_out = "expected \"sha256:\" and 64 hex digits";
        return read_fingerprint(text);
    }
    *why_out = subject_fault(text);
    return *why_out == NULL ? slice_dup(text) : NULL;
}

int mtls_add(struct mtls *m, enum mtls_kind kind, struct slice text, struct error *err)
{
    struct wanted *w = &m->wanted[kind];
    const char *why = "there is a NUL byte in it";
    char *one = slice_find(text, '\0') == SIZE_MAX ? read_one(kind, text, &why) : NULL;
    if (one == NULL)
        return error_set(err, "\"%.*s%s\": %s", SLICE_SHOWN(text, 200), why);
    w->at = need_realloc(w->at, (w->count + 1) * sizeof(*w->at));
    w->at[w->count++] = one;
    return 0;
}

/* --- what is there ------------------------------------------------------------------------------------------------ */

static bool same(const char *a, const char *b)
{
    return a != NULL && strcmp(a, b) == 0;
}

static bool is(enum mtls_kind kind, const struct identity *id, const char *wanted)
{
    bool named = false;
    switch (kind) {
    case MTLS_SUBJECT:
        return same(id->subject, wanted) || same(id->subject_ascii, wanted) || same(id->common, wanted) ||
               same(id->common_ascii, wanted);
    case MTLS_SAN:
        for (unsigned i = 0; i < id->name_count && !named; i++)
            named = same(id->names[i], wanted);
        return named;
    case MTLS_FINGERPRINT:
        return same(id->fingerprint, wanted);
    case MTLS_KINDS:
        break;
    }
    PANIC("mtls: no kind %d", (int)kind);
}

enum reason mtls_check(const struct mtls *m, const struct identity *id)
{
    if (id == NULL)
        return REASON_missing_certificate;
    for (enum mtls_kind kind = 0; kind < MTLS_KINDS; kind++) {
        const struct wanted *w = &m->wanted[kind];
        bool found = w->count == 0;
        for (size_t i = 0; i < w->count && !found; i++)
            found = is(kind, id, w->at[i]);
        if (!found)
            return REASON_bad_certificate;
    }
    return REASON_none;
}
