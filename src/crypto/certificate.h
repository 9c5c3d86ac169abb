/*
 * certificate.h: does a PEM certificate chain and a PEM private key make a pair that can serve?
 * Runs in: the config child, before anything starts. Fails: words that name the fault.
 */
#ifndef CRESCENT_CRYPTO_CERTIFICATE_H
#define CRESCENT_CRYPTO_CERTIFICATE_H

#include "base/error.h"
#include "base/slice.h"

/* 0, or -1: not PEM, no certificate, no key, an encrypted key, a key that is not the certificate's, expired. */
int certificate_check(struct slice cert_pem, struct slice key_pem, struct error *err);

#endif
