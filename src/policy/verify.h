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
 * furthest); LUA: the tree holds a function (see verify_needs_lua).
 */
enum verdict verify_check(const struct verifier *v, const struct http_request *req, wall_t now,
                          struct verify_auth *auth_out, enum reason *reason_out);
bool verify_needs_lua(const struct verifier *v);
/* "github", "any(github, api_key)": for routes and check. Borrowed. */
const char *verify_describe(const struct verifier *v);
/* What WWW-Authenticate should say on a 401 of it (RFC 9110 11.6.1), or NULL. Borrowed. */
const char *verify_challenge(const struct verifier *v);
/* Where the provider says the event type: "header:x-github-event" or a JSON pointer "/type"; NULL: not known. */
const char *verify_event_type(const struct verifier *v);
/* The provider's acknowledgement status for ignored events (0: none given), and its size for max_body (0: none). */
int verify_ack_status(const struct verifier *v);
size_t verify_max_body(const struct verifier *v);
struct verifier *verify_hold(struct verifier *v);
/* Lets go; leaves NULL; NULL is fine. */
void verify_release(struct verifier **v);

#endif
