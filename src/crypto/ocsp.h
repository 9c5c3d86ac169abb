/*
 * ocsp.h: an OCSP response (RFC 6960), as it is stapled to a handshake (RFC 6066 8): is it what clients would accept?
 * Owns nothing. Runs in: the config child; the worker. Fails: words that name the fault; OpenSSL's error queue is
 * empty.
 */
#ifndef CRESCENT_CRYPTO_OCSP_H
#define CRESCENT_CRYPTO_OCSP_H

#include "crypto/certificate.h"

struct ocsp_times {   /* wall clock, seconds */
    int64_t from, to; /* to: INT64_MAX where the response does not say */
};

/*
 * Reads the DER of a response about this certificate: signed by its issuer or for it, status good. 0 with its times
 * (which it does not judge), or -1.
 */
int ocsp_read(struct slice der, const struct certificate *c, struct ocsp_times *times_out, struct error *err);
/* Whether it may be shown now; clocks may be five minutes apart (RFC 5019 4 leaves it to the reader). */
bool ocsp_current(const struct ocsp_times *times, wall_t now);

#endif
