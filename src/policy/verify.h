/*
 * verify.h: verifiers: immutable, counted trees over the raw request: one scheme or credential at a leaf, all/any
 * above. Constant-time comparison; every configured secret is tried; one reason comes out. Owns: prepared keys. Runs
 * in: one thread per process. Fails: a verifier that cannot be made says why.
 */
#ifndef CRESCENT_POLICY_VERIFY_H
#define CRESCENT_POLICY_VERIFY_H

#include "base/error.h"
#include "base/slice.h"
#include "base/time.h"
#include "http/request.h"
#include "policy/policy.h"

struct verifier;

/* What a verifier found, for req.auth and the log. Slices are borrowed from the verifier, or from the request. */
struct verify_auth {
    struct slice by;      /* "github", "api_key"; at == NULL: nothing verified */
    int index;            /* which secret, from 1; 0: does not apply */
    struct slice subject; /* name of the key, user, token; at == NULL: none */
};

/*
 * Checks a request. PASS fills auth_out; REFUSE fills reason_out (of an `any`: the reason of the alternative that came
 * furthest); LUA: it depends on a function of the tree (see verify_needs_lua). What the rest of the tree refuses, or
 * lets pass, is decided without Lua: a forged request never reaches a script's function.
 */
enum verdict verify_check(const struct verifier *v, const struct http_request *req, wall_t now,
                          struct verify_auth *auth_out, enum reason *reason_out);
bool verify_needs_lua(const struct verifier *v);
/* Whether some part of it looks at the client's certificate. */
bool verify_needs_certificate(const struct verifier *v);
/* "github", "any(github, api_key)": for routes and check. Borrowed. */
const char *verify_describe(const struct verifier *v);
/* What WWW-Authenticate should say on a 401 of it (RFC 9110 11.6.1), or NULL. Borrowed. */
const char *verify_challenge(const struct verifier *v);
/* Where the provider says the event type: "header:x-github-event" or a JSON pointer "/type"; NULL: not known. */
const char *verify_event_type(const struct verifier *v);
/* The provider's acknowledgement status for ignored events (0: none given), and its size for max_body (0: none). */
int verify_ack_status(const struct verifier *v);
size_t verify_max_body(const struct verifier *v);
/* Where the provider says the delivery's id, in the same form; NULL: not known. */
const char *verify_delivery(const struct verifier *v);
struct verifier *verify_hold(struct verifier *v);
/* Lets go; leaves NULL; NULL is fine. */
void verify_release(struct verifier **v);

/* --- making one: each returns a new hold -------------------------------------------------------------------------- */

struct scheme;
struct credential;
struct mtls;

/* A script's function: an opaque reference of whoever runs Lua, given back by release when the verifier goes. */
struct verify_function {
    int ref;
    void (*release)(void *owner, int ref); /* NULL: there is no function */
    void *owner;
};

/* What a provider's data says beside the signature. Strings may be NULL, numbers 0. Copied. */
struct verify_facts {
    const char *event_type, *delivery;
    int ack_status;
    size_t max_body;
};

/* Takes *s (left NULL). With secrets.release, its secrets come from that function, at each request. */
struct verifier *verify_new_scheme(struct scheme **s, const struct verify_facts *facts, struct verify_function secrets);
/* Takes *c (left NULL). */
struct verifier *verify_new_credential(struct credential **c);
/* Takes *m (left NULL). */
struct verifier *verify_new_mtls(struct mtls **m);
struct verifier *verify_new_function(int ref, void (*release)(void *owner, int ref), void *owner);
/* all, or any, of the children (at least one); holds each. */
struct verifier *verify_new_group(bool any, struct verifier *const *children, size_t count);

/* --- walking one, for who evaluates its functions ------------------------------------------------------------------
 */

enum verify_kind {
    VERIFY_LEAF,     /* needs no Lua, whole subtree: verify_check decides */
    VERIFY_FUNCTION, /* verify_ref is the function */
    VERIFY_SECRETS,  /* verify_ref gives the secrets for verify_check_secrets */
    VERIFY_ALL,
    VERIFY_ANY
};

enum verify_kind verify_kind(const struct verifier *v);
/* Child `index` (from 0) of an ALL or ANY, or NULL past the last. Borrowed. */
const struct verifier *verify_child(const struct verifier *v, size_t index);
int verify_ref(const struct verifier *v);
/* A SECRETS leaf with the secrets of this request; one that is not in the scheme's key form: -1 with words. */
int verify_check_secrets(const struct verifier *v, const struct http_request *req, wall_t now,
                         const struct slice *secrets, size_t count, struct verify_auth *auth_out,
                         enum reason *reason_out, struct error *err);
/* Which of two reasons shows that a request came further (missing < malformed < bad < expired < failed). */
enum reason verify_further(enum reason a, enum reason b);
/* What an `all` says of two children that passed: the one that knows a subject, or else an index; else the first. */
const struct verify_auth *verify_prefer(const struct verify_auth *a, const struct verify_auth *b);

#endif
