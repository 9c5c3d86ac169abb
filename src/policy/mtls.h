/*
 * mtls.h: who a client is by its certificate: subject, a name of subjectAltName, fingerprint. The certificate was
 * verified by the handshake, under the client_ca of the name that was asked for; this compares what it says. Of each
 * kind that is given one must match.
 * Owns its texts. Runs in: the worker. Fails: words at load time; a reason afterwards.
 */
#ifndef CRESCENT_POLICY_MTLS_H
#define CRESCENT_POLICY_MTLS_H

#include "base/error.h"
#include "crypto/identity.h"
#include "policy/policy.h"

enum mtls_kind { MTLS_SUBJECT, MTLS_SAN, MTLS_FINGERPRINT, MTLS_KINDS };

struct mtls;

/* Any certificate that was verified, until something is added. */
struct mtls *mtls_new(void);
void mtls_free(struct mtls **m);
/*
 * One more that matches: "CN=partner,O=Example" (all of it, RFC 2253) or "CN=partner"; "DNS:a.example", "IP:192.0.2.1",
 * "URI:…", "email:…"; "sha256:" and 64 hex digits, colons between or not. 0, or -1 with words.
 */
int mtls_add(struct mtls *m, enum mtls_kind kind, struct slice text, struct error *err);
/* REASON_none, missing_certificate (id is NULL), bad_certificate. */
enum reason mtls_check(const struct mtls *m, const struct identity *id);

#endif
