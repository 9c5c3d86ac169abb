/*
 * verify.c: see verify.h. A tree is decided in three values: whatever C can decide is decided before a function is
 * asked for. Owns: schemes, credentials, children's holds. Runs in: one thread per process.
 * Fails: never; building is done by what it is built from.
 */
#include "policy/verify.h"
#include "base/buf.h"
#include "base/panic.h"
#include "policy/credential.h"
#include "policy/mtls.h"
#include "policy/scheme.h"
#include <stdlib.h>

#define VERIFIER_MAGIC 0x7e51f1e5u

struct verifier {
    unsigned magic;
    unsigned holds;
    bool any, group;
    bool lua; /* a function is somewhere in it */
    struct scheme *scheme;
    struct credential *credential;
    struct mtls *mtls;
    bool certificate;                /* mtls is somewhere in it */
    struct verify_function function; /* alone: the verifier; with scheme: its secrets */
    struct verifier **children;
    size_t count;
    char *describe, *challenge;  /* challenge: NULL: none */
    char *event_type, *delivery; /* NULL: not known */
    int ack_status;
    size_t max_body;
};

static struct verifier *new_verifier(void)
{
    struct verifier *v = need_zero(1, sizeof *v);
    v->magic = VERIFIER_MAGIC;
    v->holds = 1;
    return v;
}

static char *dup_or_null(const char *text)
{
    return text != NULL ? need_strdup(text) : NULL;
}

struct verifier *verify_new_scheme(struct scheme **s, const struct verify_facts *facts, struct verify_function secrets)
{
    struct verifier *v = new_verifier();
    v->scheme = *s;
    *s = NULL;
    v->function = secrets;
    v->lua = secrets.release != NULL;
    v->describe = need_strdup(scheme_name(v->scheme));
    v->event_type = dup_or_null(facts->event_type);
    v->delivery = dup_or_null(facts->delivery);
    v->ack_status = facts->ack_status;
    v->max_body = facts->max_body;
    return v;
}

struct verifier *verify_new_credential(struct credential **c)
{
    struct verifier *v = new_verifier();
    v->credential = *c;
    *c = NULL;
    v->describe = need_strdup(credential_name(v->credential));
    v->challenge = dup_or_null(credential_challenge(v->credential));
    return v;
}

struct verifier *verify_new_mtls(struct mtls **m)
{
    struct verifier *v = new_verifier();
    v->mtls = *m;
    *m = NULL;
    v->certificate = true;
    v->describe = need_strdup("mtls");
    return v;
}

struct verifier *verify_new_function(int ref, void (*release)(void *owner, int ref), void *owner)
{
    struct verifier *v = new_verifier();
    CHECK(release != NULL);
    v->function = (struct verify_function){ref, release, owner};
    v->lua = true;
    v->describe = need_strdup("function");
    return v;
}

static void describe_group(struct verifier *v)
{
    struct buf text = {0}, challenge = {0};
    buf_add_text(&text, v->any ? "any(" : "all(");
    for (size_t i = 0; i < v->count; i++) {
        buf_addf(&text, "%s%s", i > 0 ? ", " : "", v->children[i]->describe);
        if (v->children[i]->challenge != NULL) /* several challenges: a list in one field (RFC 9110 11.6.1) */
            buf_addf(&challenge, "%s%s", challenge.len > 0 ? ", " : "", v->children[i]->challenge);
    }
    buf_add_char(&text, ')');
    v->describe = buf_take(&text);
    v->challenge = challenge.len > 0 ? buf_take(&challenge) : NULL;
}

/* The children's common answer: the only one given, or NULL where two of them differ. */
static char *common(const struct verifier *v, const char *(*get)(const struct verifier *child))
{
    const char *found = NULL;
    for (size_t i = 0; i < v->count; i++) {
        const char *text = get(v->children[i]);
        if (text != NULL && found != NULL && strcmp(text, found) != 0)
            return NULL;
        found = text != NULL ? text : found;
    }
    return dup_or_null(found);
}

struct verifier *verify_new_group(bool any, struct verifier *const *children, size_t count)
{
    struct verifier *v = new_verifier();
    CHECK(count > 0);
    v->group = true;
    v->any = any;
    v->children = need_alloc(count * sizeof *v->children);
    for (v->count = 0; v->count < count; v->count++) {
        struct verifier *child = verify_hold(children[v->count]);
        v->children[v->count] = child;
        v->lua = v->lua || child->lua;
        v->certificate = v->certificate || child->certificate;
        v->ack_status = v->ack_status != 0 ? v->ack_status : child->ack_status;
        v->max_body = child->max_body > v->max_body ? child->max_body : v->max_body;
    }
    v->event_type = common(v, verify_event_type);
    v->delivery = common(v, verify_delivery);
    describe_group(v);
    return v;
}

struct verifier *verify_hold(struct verifier *v)
{
    CHECK(v->magic == VERIFIER_MAGIC);
    v->holds++;
    return v;
}

void verify_release(struct verifier **held)
{
    struct verifier *v = *held;
    *held = NULL;
    if (v == NULL)
        return;
    CHECK(v->magic == VERIFIER_MAGIC);
    if (--v->holds > 0)
        return;
    for (size_t i = 0; i < v->count; i++)
        verify_release(&v->children[i]);
    if (v->function.release != NULL)
        v->function.release(v->function.owner, v->function.ref);
    scheme_free(&v->scheme);
    credential_free(&v->credential);
    mtls_free(&v->mtls);
    free(v->children);
    free(v->describe);
    free(v->challenge);
    free(v->event_type);
    free(v->delivery);
    v->magic = 0;
    free(v);
}

static enum verdict check_leaf(const struct verifier *v, const struct http_request *req, wall_t now,
                               struct verify_auth *auth_out, enum reason *reason_out)
{
    int index = 0;
    struct slice subject = SLICE_NONE;
    if (v->scheme != NULL)
        *reason_out = scheme_check(v->scheme, scheme_own_keys(v->scheme), req, now, &index);
    else if (v->mtls != NULL)
        *reason_out = mtls_check(v->mtls, req->identity);
    else
        *reason_out = credential_check(v->credential, req, &index, &subject);
    if (*reason_out != REASON_none)
        return VERDICT_REFUSE;
    if (v->mtls != NULL)
        subject = slice_of(req->identity->subject);
    *auth_out = (struct verify_auth){slice_of(v->describe), index, subject};
    return VERDICT_PASS;
}

static enum verdict check_any(const struct verifier *v, const struct http_request *req, wall_t now,
                              struct verify_auth *auth_out, enum reason *reason_out)
{
    enum verdict result = VERDICT_REFUSE;
    enum reason why;
    *reason_out = REASON_none;
    for (size_t i = 0; i < v->count; i++) {
        enum verdict verdict = verify_check(v->children[i], req, now, auth_out, &why);
        if (verdict == VERDICT_PASS)
            return VERDICT_PASS;
        if (verdict == VERDICT_LUA)
            result = VERDICT_LUA;
        else
            *reason_out = *reason_out == REASON_none ? why : verify_further(*reason_out, why);
    }
    return result;
}

static enum verdict check_all(const struct verifier *v, const struct http_request *req, wall_t now,
                              struct verify_auth *auth_out, enum reason *reason_out)
{
    enum verdict result = VERDICT_PASS;
    struct verify_auth found = {0}, auth;
    bool some = false;
    for (size_t i = 0; i < v->count; i++) {
        enum verdict verdict = verify_check(v->children[i], req, now, &auth, reason_out);
        if (verdict == VERDICT_REFUSE)
            return VERDICT_REFUSE;
        if (verdict == VERDICT_LUA)
            result = VERDICT_LUA;
        else
            found = some ? *verify_prefer(&found, &auth) : auth;
        some = some || verdict == VERDICT_PASS;
    }
    *auth_out = found;
    return result;
}

enum verdict verify_check(const struct verifier *v, const struct http_request *req, wall_t now,
                          struct verify_auth *auth_out, enum reason *reason_out)
{
    CHECK(v->magic == VERIFIER_MAGIC);
    *auth_out = (struct verify_auth){0};
    *reason_out = REASON_none;
    if (v->group)
        return (v->any ? check_any : check_all)(v, req, now, auth_out, reason_out);
    if (!v->lua)
        return check_leaf(v, req, now, auth_out, reason_out);
    if (v->scheme != NULL)
        *reason_out = scheme_check_form(v->scheme, req);
    return *reason_out == REASON_none ? VERDICT_LUA : VERDICT_REFUSE;
}

int verify_check_secrets(const struct verifier *v, const struct http_request *req, wall_t now,
                         const struct slice *secrets, size_t count, struct verify_auth *auth_out,
                         enum reason *reason_out, struct error *err)
{
    struct scheme_keys keys = {0};
    int index, result = 0;
    CHECK(verify_kind(v) == VERIFY_SECRETS);
    for (size_t i = 0; i < count && result == 0; i++)
        result = scheme_keys_add(v->scheme, &keys, secrets[i], err);
    if (result == 0) {
        *reason_out = scheme_check(v->scheme, &keys, req, now, &index);
        *auth_out = (struct verify_auth){slice_of(v->describe), index, SLICE_NONE};
    }
    scheme_keys_free(&keys);
    return result;
}

bool verify_needs_certificate(const struct verifier *v)
{
    return v->certificate;
}

bool verify_needs_lua(const struct verifier *v)
{
    return v->lua;
}

enum verify_kind verify_kind(const struct verifier *v)
{
    CHECK(v->magic == VERIFIER_MAGIC);
    if (!v->lua)
        return VERIFY_LEAF;
    if (v->group)
        return v->any ? VERIFY_ANY : VERIFY_ALL;
    return v->scheme != NULL ? VERIFY_SECRETS : VERIFY_FUNCTION;
}

const struct verifier *verify_child(const struct verifier *v, size_t index)
{
    return index < v->count ? v->children[index] : NULL;
}

int verify_ref(const struct verifier *v)
{
    CHECK(v->function.release != NULL);
    return v->function.ref;
}

static int distance(enum reason r)
{
    switch (r) {
    case REASON_no_secret:
    case REASON_missing_header:
    case REASON_missing_credential:
    case REASON_missing_certificate:
        return 0;
    case REASON_malformed_header:
        return 1;
    case REASON_bad_credential:
    case REASON_bad_certificate:
    case REASON_bad_signature:
    case REASON_verifier_refused:
        return 2;
    case REASON_expired:
        return 3;
    default:
        return 4;
    }
}

enum reason verify_further(enum reason a, enum reason b)
{
    return distance(b) > distance(a) ? b : a;
}

static int knowledge(const struct verify_auth *auth)
{
    return auth->subject.at != NULL ? 2 : auth->index > 0 ? 1 : 0;
}

const struct verify_auth *verify_prefer(const struct verify_auth *a, const struct verify_auth *b)
{
    return knowledge(b) > knowledge(a) ? b : a;
}

const char *verify_describe(const struct verifier *v)
{
    return v->describe;
}

const char *verify_challenge(const struct verifier *v)
{
    return v->challenge;
}

const char *verify_event_type(const struct verifier *v)
{
    return v->event_type;
}

const char *verify_delivery(const struct verifier *v)
{
    return v->delivery;
}

int verify_ack_status(const struct verifier *v)
{
    return v->ack_status;
}

size_t verify_max_body(const struct verifier *v)
{
    return v->max_body;
}
