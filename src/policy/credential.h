/*
 * credential.h: who is it, by something it shows: an API key (header or query), Basic (RFC 7617), Bearer (RFC 6750).
 * Secrets are kept as SHA-256 only, and digests are compared: neither content nor length of a secret shows in time.
 * All entries are compared, always. Owns: names and digests. Runs in: the worker. Fails: words at load time.
 */
#ifndef CRESCENT_POLICY_CREDENTIAL_H
#define CRESCENT_POLICY_CREDENTIAL_H

#include "base/error.h"
#include "http/request.h"
#include "policy/policy.h"

enum credential_kind { CREDENTIAL_API_KEY_HEADER, CREDENTIAL_API_KEY_QUERY, CREDENTIAL_BASIC, CREDENTIAL_BEARER };

struct credential;

/* place: the header's (any case) or query parameter's name; for BASIC the realm; else SLICE_NONE. NULL with words. */
struct credential *credential_new(enum credential_kind kind, struct slice place, struct error *err);
void credential_free(struct credential **c);
/*
 * Adds one: name of the key, user, token (SLICE_NONE: none, a list; needed for BASIC), and the secret, or
 * "sha256:<64 hex digits>" of it. 0, or -1 with words, which do not hold the secret.
 */
int credential_add(struct credential *c, struct slice name, struct slice secret, struct error *err);
/* "api_key", "basic", "bearer". */
const char *credential_name(const struct credential *c);
/* For WWW-Authenticate; NULL: this kind has none. Borrowed. */
const char *credential_challenge(const struct credential *c);
/*
 * REASON_none: known; subject_out is its name (borrowed from c), or, where it has none, index_out which, from 1.
 * Else missing_credential, malformed_header, bad_credential, no_secret (c has no entries).
 */
enum reason credential_check(const struct credential *c, const struct http_request *req, int *index_out,
                             struct slice *subject_out);

#endif
