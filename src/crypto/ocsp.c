/*
 * ocsp.c: see ocsp.h.
 */
#include "crypto/ocsp.h"
#include "base/panic.h"
#include <openssl/err.h>
#include <openssl/ocsp.h>

#define CLOCKS_APART 300

/* The one answer about this certificate, whatever digest its identifier is made with; or NULL. */
static OCSP_SINGLERESP *find_answer(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer)
{
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *one = OCSP_resp_get0(basic, i);
        ASN1_OBJECT *digest = NULL;
        OCSP_CERTID *id = (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(one);
        OCSP_id_get0_info(NULL, &digest, NULL, NULL, id);
        const EVP_MD *md = EVP_get_digestbyobj(digest);
        OCSP_CERTID *wanted = md != NULL ? OCSP_cert_to_id(md, leaf, issuer) : NULL;
        bool same = wanted != NULL && OCSP_id_cmp(id, wanted) == 0;
        OCSP_CERTID_free(wanted);
        if (same)
            return one;
    }
    return NULL;
}

/* By the issuer, or by whom the issuer has named for it. That these are still valid is the client's to judge. */
static bool signed_for(OCSP_BASICRESP *basic, const struct certificate *c, X509 *issuer)
{
    X509_STORE *store = X509_STORE_new();
    NEED(store != NULL && X509_STORE_add_cert(store, issuer) == 1);
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME);
    bool good = OCSP_basic_verify(basic, certificate_chain(c), store, 0) == 1;
    X509_STORE_free(store);
    return good;
}

static int judge(OCSP_BASICRESP *basic, const struct certificate *c, struct ocsp_times *times_out, struct error *err)
{
    X509 *issuer = certificate_issuer(c);
    if (issuer == NULL)
        return error_set(err, "it cannot be checked: the issuer's certificate is not in the file of the certificate");
    OCSP_SINGLERESP *answer = find_answer(basic, certificate_leaf(c), issuer);
    if (answer == NULL)
        return error_set(err, "it is about another certificate");
    if (!signed_for(basic, c, issuer))
        return error_set(err, "it is not signed by the certificate's issuer, nor for it");
    ASN1_GENERALIZEDTIME *from, *to;
    int status = OCSP_single_get0_status(answer, NULL, NULL, &from, &to);
    if (status != V_OCSP_CERTSTATUS_GOOD)
        return error_set(err, "it says that the certificate is %s", OCSP_cert_status_str(status));
    *times_out = (struct ocsp_times){.from = certificate_seconds(from), .to = certificate_seconds(to)};
    return 0;
}

int ocsp_read(struct slice der, const struct certificate *c, struct ocsp_times *times_out, struct error *err)
{
    const unsigned char *at = (const unsigned char *)der.at;
    OCSP_RESPONSE *response = der.len > 0 && der.len <= INT32_MAX ? d2i_OCSP_RESPONSE(NULL, &at, (long)der.len) : NULL;
    OCSP_BASICRESP *basic = NULL;
    int result = -1;
    if (response == NULL || at != (const unsigned char *)der.at + der.len)
        error_set(err, "it is not an OCSP response in DER");
    else if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        error_set(err, "it answers \"%s\"", OCSP_response_status_str(OCSP_response_status(response)));
    else if ((basic = OCSP_response_get1_basic(response)) == NULL)
        error_set(err, "it is not a basic OCSP response");
    else
        result = judge(basic, c, times_out, err);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    return result;
}

bool ocsp_current(const struct ocsp_times *times, wall_t now)
{
    int64_t seconds = now.ns / 1000000000;
    return times->from <= seconds + CLOCKS_APART && seconds < times->to;
}
