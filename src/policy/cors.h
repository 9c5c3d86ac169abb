/*
 * cors.h: which origins may call an endpoint from a browser, and what answers say of that (Fetch standard, "CORS
 * protocol"; RFC 6454 for origins). Built once from a script's `cors`, never changed while it is used. Owns: its texts.
 * Runs in: any thread, pure. Fails: with words, while it is built.
 *
 * An origin is scheme, host and port. The listed ones are compared so with what a request says, letters without case, a
 * port that is left out being the scheme's. A host "*.example.com" is every name below example.com, however deep, and
 * not example.com itself; "null" is listed as such; "*" alone is everybody.
 *
 * A request of the origin that it is sent to is no other site's: it passes, and is told nothing. (A browser says Origin
 * with a form's POST to the page's own server, too.) That is public_url, or what was asked for where there is none.
 */
#ifndef CRESCENT_POLICY_CORS_H
#define CRESCENT_POLICY_CORS_H

#include "base/error.h"
#include "http/request.h"
#include "http/response.h"
#include <stdint.h>

#define CORS_MAX_AGE_MOST INT64_C(31536000) /* seconds: a year; browsers keep less */

struct cors_origin {
    struct slice scheme, host; /* as written; the host without "*." where `below` */
    unsigned char address[16]; /* where v6: the host */
    uint16_t port;             /* 0: none, and the scheme has none of its own */
    bool v6;
    bool below; /* every name below the host */
};

struct cors_entry {
    char *text; /* as the script has it */
    struct cors_origin origin;
};

struct cors {
    struct cors_entry *entries; /* "*" and "null" among them, with no origin */
    size_t count;
    bool any, null;
    char *headers;       /* "content-type, x-key"; NULL: whichever are asked for */
    bool credentials;    /* cookies and the like may come along */
    long long max_age_s; /* how long a browser may remember a preflight; -1: it is not told */
};

enum cors_verdict {
    CORS_NONE,    /* no Origin, or the request's own: not another site's */
    CORS_ALLOWED, /* listed; with "*" always */
    CORS_REFUSED
};

struct cors *cors_new(void);
void cors_free(struct cors **c);
/* One more origin; -1: malformed, there already, or too wide. */
int cors_add_origin(struct cors *c, struct slice text, struct error *err);
/* One more request header that scripts of other sites may send (`headers`). */
int cors_add_header(struct cors *c, struct slice name, struct error *err);
/* Whether all of it goes together: -1 with the words. To be asked once, at the end. */
int cors_check(const struct cors *c, struct error *err);

/* "https://x.example:8443" to its parts; wild: a host "*.x.example" too. NULL, or what is wrong with it. */
const char *cors_parse_origin(struct slice text, bool wild, struct cors_origin *origin_out);

enum cors_verdict cors_judge(const struct cors *c, const struct http_request *r);
/* Whether a browser asks with it if another request may follow: OPTIONS with Origin and a method. */
bool cors_is_preflight(const struct http_request *r);
/*
 * What every answer of the endpoint says, refusals too: who may read it, and that this depends on Origin. Never an
 * origin that is not allowed.
 */
void cors_answer(const struct cors *c, const struct http_request *r, struct http_response *out);
/*
 * Beside that, the answer to an allowed preflight. allow: the endpoint's methods, "GET, POST". -1: the names of headers
 * that it asks for are none.
 */
int cors_preflight(const struct cors *c, const struct http_request *r, struct slice allow, struct http_response *out);
/* Whether these functions alone decide about this header of an answer (lower case). */
bool cors_decides(struct slice name);
/* Takes what they decide about out of an answer that came from elsewhere. */
void cors_remove(struct http_response *out);

#endif
