/*
 * scheme.h: a provider's signature scheme, as data, executed: find the signatures, assemble what was signed, compute
 * the HMAC with every secret, compare in constant time, look at the window. Knows no provider.
 * Owns: prepared keys (wiped when freed), compiled templates. Runs in: one thread per process.
 * Fails: data that makes no scheme, and a secret that is not in its form, with words.
 */
#ifndef CRESCENT_POLICY_SCHEME_H
#define CRESCENT_POLICY_SCHEME_H

#include "crypto/digest.h"
#include "http/request.h"
#include "policy/policy.h"
#include "policy/timestamp.h"

#define SCHEME_SECRETS_MAX 16
#define SCHEME_HEADERS_MAX 4

enum scheme_encoding { SCHEME_HEX, SCHEME_BASE64, SCHEME_BASE64URL };
enum scheme_key_form { SCHEME_KEY_UTF8, SCHEME_KEY_BASE64, SCHEME_KEY_HEX };

/* "hex" "base64" "base64url"; "utf8" "base64" "hex". */
bool scheme_encoding_named(struct slice name, enum scheme_encoding *encoding_out);
bool scheme_key_form_named(struct slice name, enum scheme_key_form *form_out);

/*
 * The data. A signature header holds one item, or several parted by `list`; an item is prefix + encoded signature, or
 * (with `pairs`) name=value pairs parted by it, of which those named `field` are prefix + encoded signature and the
 * others can be read as {field:NAME}. Items without the prefix or field are of another version, and passed over.
 */
struct scheme_spec {
    const char *name; /* "github" */
    enum digest_algorithm algorithm;
    struct slice headers[SCHEME_HEADERS_MAX]; /* each may carry signatures; one must be there */
    size_t header_count;
    char list, pairs; /* ' ' ',' ';'; 0: not so */
    struct slice field, prefix;
    enum scheme_encoding encoding;
    struct slice payload; /* template of payload.h */
    struct {
        enum scheme_key_form form, bare; /* bare: of a secret that lacks the prefix */
        struct slice prefix;             /* cut off before decoding: "whsec_" */
    } key;
    struct {
        struct slice at; /* "header:x-time", "field:t"; empty: none */
        enum timestamp_unit unit;
        dur_t past, future; /* 0: this side is open */
    } timestamp;
};

struct scheme;

/* All of spec is copied. NULL with words. It has no secret yet. */
struct scheme *scheme_new(const struct scheme_spec *spec, struct error *err);
void scheme_free(struct scheme **s);
const char *scheme_name(const struct scheme *s);

/* Prepared secrets: a scheme has its own, and a request may bring others (a secret that is a function). */
struct scheme_keys { /* born as {0} */
    struct digest_key *at[SCHEME_SECRETS_MAX];
    size_t count;
};
/* Adds a secret in the scheme's key form. 0, or -1 with words, which do not hold the secret. */
int scheme_keys_add(const struct scheme *s, struct scheme_keys *keys, struct slice secret, struct error *err);
void scheme_keys_free(struct scheme_keys *keys);
struct scheme_keys *scheme_own_keys(struct scheme *s);

/*
 * Checks a request against every one of `keys`. REASON_none: genuine, and index_out is the secret that matched, from 1.
 * Else missing_header, malformed_header, bad_signature, expired (genuine, but outside the window), no_secret.
 */
enum reason scheme_check(struct scheme *s, const struct scheme_keys *keys, const struct http_request *req, wall_t now,
                         int *index_out);
/*
 * Checks all that needs no secret: REASON_none says that a signature is there, in its form, not that it is genuine;
 * else missing_header, malformed_header. So that a request which cannot be genuine is not worth asking for its secret.
 */
enum reason scheme_check_form(struct scheme *s, const struct http_request *req);

#endif
