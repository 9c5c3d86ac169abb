/*
 * certificate.c: reads a chain and a key the way the server will, and compares them.
 * Owns nothing after return. Runs in: the config child. Fails: words; OpenSSL's error queue is left empty.
 */
#include "crypto/certificate.h"
#include "base/panic.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

/* Instead of a question at the terminal. */
static int no_password(char *buf, int size, int writing, void *asked)
{
    *(bool *)asked = true;
    return -1;
}

static BIO *reader_of(struct slice pem)
{
    BIO *bio = pem.len <= INT32_MAX ? BIO_new_mem_buf(pem.at != NULL ? pem.at : "", (int)pem.len) : NULL;
    NEED(bio != NULL);
    return bio;
}

/* The dates of one certificate of the chain. */
static int check_dates(X509 *cert, const char *which, struct error *err)
{
    char name[128];
    X509_NAME_oneline(X509_get_subject_name(cert), name, sizeof(name));
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
        return error_set(err, "the %s certificate (%s) has expired", which, name);
    if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
        return error_set(err, "the %s certificate (%s) is not valid yet", which, name);
    return 0;
}

/* Behind the first: what follows must be certificates to the end. */
static int check_rest(BIO *bio, struct error *err)
{
    int result = 0;
    X509 *cert;
    while (result == 0 && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        result = check_dates(cert, "chain's", err);
        X509_free(cert);
    }
    if (result == 0 && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return error_set(err, "the certificate chain has a part that is broken");
    return result;
}

static int check_key(X509 *cert, struct slice key_pem, struct error *err)
{
    bool asked = false;
    BIO *bio = reader_of(key_pem);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, &asked);
    BIO_free(bio);
    if (key == NULL && asked)
        return error_set(err, "the private key is encrypted: give it without a password");
    if (key == NULL)
        return error_set(err, "the key file has no private key in PEM");
    bool pair = X509_check_private_key(cert, key) == 1;
    EVP_PKEY_free(key);
    return pair ? 0 : error_set(err, "the private key does not belong to the certificate");
}

int certificate_check(struct slice cert_pem, struct slice key_pem, struct error *err)
{
    ERR_clear_error();
    BIO *bio = reader_of(cert_pem);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    int result = 0;
    if (cert == NULL)
        result = error_set(err, "the certificate file has no certificate in PEM");
    else if (check_dates(cert, "server's", err) != 0 || check_rest(bio, err) != 0)
        result = -1;
    else
        result = check_key(cert, key_pem, err);
    X509_free(cert);
    BIO_free(bio);
    ERR_clear_error();
    return result;
}
