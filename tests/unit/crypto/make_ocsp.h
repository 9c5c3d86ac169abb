/*
 * make_ocsp.h: OCSP responses made on the spot. Only for tests.
 */
#ifndef CRESCENT_TESTS_CRYPTO_MAKE_OCSP_H
#define CRESCENT_TESTS_CRYPTO_MAKE_OCSP_H

#include "make_certificate.h"
#include <openssl/ocsp.h>

struct make_ocsp {
    X509 *leaf;
    const struct made *issuer;
    const struct made *signer; /* NULL: the issuer */
    int status;                /* V_OCSP_CERTSTATUS_GOOD is 0 */
    long from, to;             /* seconds from now; to == 0: it does not say */
    bool sha256;               /* the digest of its certificate's identifier */
};

/* As DER, behind what is in out. */
static inline void make_ocsp(struct make_ocsp how, struct buf *out)
{
    const struct made *signer = how.signer != NULL ? how.signer : how.issuer;
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(how.sha256 ? EVP_sha256() : NULL, how.leaf, how.issuer->cert);
    ASN1_TIME *from = X509_gmtime_adj(NULL, how.from), *to = how.to != 0 ? X509_gmtime_adj(NULL, how.to) : NULL;
    ASN1_TIME *revoked = how.status == V_OCSP_CERTSTATUS_REVOKED ? X509_gmtime_adj(NULL, -3600) : NULL;
    unsigned char *der = NULL;
    assert_non_null(OCSP_basic_add1_status(basic, id, how.status, 0, revoked, from, to));
    assert_int_equal(OCSP_basic_sign(basic, signer->cert, signer->key, EVP_sha256(), NULL, 0), 1);
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    int len = i2d_OCSP_RESPONSE(response, &der);
    assert_true(len > 0);
    buf_add(out, der, (size_t)len);
    OPENSSL_free(der);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    ASN1_TIME_free(revoked);
}

#endif
