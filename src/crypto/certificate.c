/*
 * certificate.c: see certificate.h. The config child and the workers read through it alike, so what was found good at
 * the start is what serves.
 */
#include "crypto/certificate.h"
#include "base/ascii.h"
#include "base/buf.h"
#include "base/panic.h"
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

struct certificate {
    X509 *leaf;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
    const char *kind;
    char **names;
    size_t name_count;
};

/* --- reading PEM --- */

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
    ERR_clear_error();
    return bio;
}

/* Every certificate up to the end. NULL with words when one is broken; may be empty. */
static STACK_OF(X509) * read_all(struct slice pem, struct error *err)
{
    STACK_OF(X509) *all = sk_X509_new_null();
    BIO *bio = reader_of(pem);
    X509 *one;
    NEED(all != NULL);
    while ((one = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
        NEED(sk_X509_push(all, one) > 0);
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        error_set(err, "certificate %d of it is broken", sk_X509_num(all) + 1);
        certificate_authorities_free(&all);
    }
    BIO_free(bio);
    ERR_clear_error();
    return all;
}

static int read_chain(struct certificate *c, struct slice pem, struct error *err)
{
    c->chain = read_all(pem, err);
    if (c->chain == NULL)
        return -1;
    if (sk_X509_num(c->chain) == 0)
        return error_set(err, "there is no certificate in PEM");
    c->leaf = sk_X509_shift(c->chain);
    return 0;
}

static int read_key(struct certificate *c, struct slice pem, struct error *err)
{
    bool asked = false;
    BIO *bio = reader_of(pem);
    c->key = PEM_read_bio_PrivateKey(bio, NULL, no_password, &asked);
    BIO_free(bio);
    if (c->key == NULL && asked)
        return error_set(err, "the private key is encrypted: give it without a password");
    if (c->key == NULL)
        return error_set(err, "there is no private key in PEM");
    return 0;
}

/* --- what kind of key --- */

/* The curves that clients of TLS 1.3 sign on (RFC 8446 4.2.3). */
static bool curve_known(const EVP_PKEY *key, char name[64])
{
    size_t len;
    if (EVP_PKEY_get_group_name(key, name, 64, &len) != 1)
        snprintf(name, 64, "without a name");
    return strcmp(name, "prime256v1") == 0 || strcmp(name, "secp384r1") == 0 || strcmp(name, "secp521r1") == 0;
}

static int check_key(struct certificate *c, struct error *err)
{
    static const struct {
        int id;
        const char *kind;
    } kinds[] = {{EVP_PKEY_RSA, "RSA"},
                 {EVP_PKEY_RSA_PSS, "RSA-PSS"},
                 {EVP_PKEY_EC, "ECDSA"},
                 {EVP_PKEY_ED25519, "Ed25519"},
                 {EVP_PKEY_ED448, "Ed448"}};
    char curve[64];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (EVP_PKEY_get_base_id(c->key) == kinds[i].id)
            c->kind = kinds[i].kind;
    if (c->kind == NULL)
        return error_set(err, "a private key of type %s: RSA, ECDSA, Ed25519 and Ed448 can be used",
                         EVP_PKEY_get0_type_name(c->key) != NULL ? EVP_PKEY_get0_type_name(c->key) : "unknown");
    if (EVP_PKEY_get_base_id(c->key) == EVP_PKEY_EC && !curve_known(c->key, curve))
        return error_set(err, "an elliptic curve key on the curve %s: P-256, P-384 and P-521 can be used", curve);
    if (EVP_PKEY_is_a(c->key, "RSA") && EVP_PKEY_get_bits(c->key) < 2048)
        return error_set(err, "an RSA key of %d bits: it must have 2048 or more", EVP_PKEY_get_bits(c->key));
    if (X509_check_private_key(c->leaf, c->key) != 1)
        return error_set(err, "the private key does not belong to the certificate");
    return 0;
}

/* --- names --- */

static void add_name(struct certificate *c, char *name)
{
    c->names = need_realloc(c->names, (c->name_count + 1) * sizeof *c->names);
    c->names[c->name_count++] = name;
}

/*
 * A host name, with "*" for a whole first label at most: what else there may be in the field (an e-mail address, a
 * person's name, "f*.example.com") no client would match, nor do we.
 */
static void add_host(struct certificate *c, struct slice text)
{
    size_t start = slice_starts(text, SLICE("*.")) ? 2 : 0;
    if (text.len > start && text.at[text.len - 1] == '.')
        text.len--;
    if (text.len <= start || text.len > 253)
        return;
    for (size_t i = start; i < text.len; i++) {
        char one = text.at[i];
        if (!ascii_is_alnum(one) && !ascii_is_one_of(one, "-_."))
            return;
    }
    char *name = slice_dup(text);
    for (char *at = name; *at != '\0'; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at + ('a' - 'A'));
    add_name(c, name);
}

static struct slice string_bytes(const ASN1_STRING *s)
{
    return (struct slice){(const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)};
}

static void add_address(struct certificate *c, struct slice bytes)
{
    char text[INET6_ADDRSTRLEN] = "";
    struct buf name = {0};
    if (bytes.len != 4 && bytes.len != 16)
        return;
    CHECK(inet_ntop(bytes.len == 4 ? AF_INET : AF_INET6, bytes.at, text, sizeof text) != NULL);
    buf_addf(&name, "IP:%s", text);
    add_name(c, buf_take(&name));
}

static void read_names(struct certificate *c)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(c->leaf, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(all, i);
        if (one->type == GEN_DNS)
            add_host(c, string_bytes(one->d.dNSName));
        else if (one->type == GEN_IPADD)
            add_address(c, string_bytes(one->d.iPAddress));
    }
    X509_NAME *subject = X509_get_subject_name(c->leaf);
    int at = all == NULL ? X509_NAME_get_index_by_NID(subject, NID_commonName, -1) : -1;
    if (at >= 0)
        add_host(c, string_bytes(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
    GENERAL_NAMES_free(all);
    ERR_clear_error();
}

/* --- the whole --- */

struct certificate *certificate_read(struct slice cert_pem, struct slice key_pem, struct error *err)
{
    struct certificate *c = need_zero(1, sizeof *c);
    if (read_chain(c, cert_pem, err) != 0 || read_key(c, key_pem, err) != 0 || check_key(c, err) != 0)
        certificate_free(&c);
    else
        read_names(c);
    ERR_clear_error();
    return c;
}

void certificate_free(struct certificate **c)
{
    if (*c == NULL)
        return;
    X509_free((*c)->leaf);
    certificate_authorities_free(&(*c)->chain);
    EVP_PKEY_free((*c)->key);
    for (size_t i = 0; i < (*c)->name_count; i++)
        free((*c)->names[i]);
    free((*c)->names);
    free(*c);
    *c = NULL;
}

X509 *certificate_leaf(const struct certificate *c)
{
    return c->leaf;
}

STACK_OF(X509) * certificate_chain(const struct certificate *c)
{
    return c->chain;
}

EVP_PKEY *certificate_key(const struct certificate *c)
{
    return c->key;
}

X509 *certificate_issuer(const struct certificate *c)
{
    for (int i = 0; i < sk_X509_num(c->chain); i++)
        if (X509_check_issued(sk_X509_value(c->chain, i), c->leaf) == X509_V_OK)
            return sk_X509_value(c->chain, i);
    return X509_check_issued(c->leaf, c->leaf) == X509_V_OK ? c->leaf : NULL;
}

const char *certificate_kind(const struct certificate *c)
{
    return c->kind;
}

size_t certificate_name_count(const struct certificate *c)
{
    return c->name_count;
}

const char *certificate_name(const struct certificate *c, size_t i)
{
    CHECK(i < c->name_count);
    return c->names[i];
}

/* --- dates --- */

static void date_text(const ASN1_TIME *t, char room[32])
{
    struct tm parts;
    if (ASN1_TIME_to_tm(t, &parts) != 1 || strftime(room, 32, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        snprintf(room, 32, "no date");
}

int64_t certificate_seconds(const ASN1_TIME *date)
{
    struct tm parts;
    return date != NULL && ASN1_TIME_to_tm(date, &parts) == 1 ? (int64_t)timegm(&parts) : INT64_MAX;
}

static int check_dates(X509 *cert, const char *which, time_t now, struct error *err)
{
    const ASN1_TIME *from = X509_get0_notBefore(cert), *to = X509_get0_notAfter(cert);
    bool early = X509_cmp_time(from, &now) > 0, late = X509_cmp_time(to, &now) <= 0;
    if (!early && !late)
        return 0;
    char name[128], begins[32], ends[32];
    X509_NAME_oneline(X509_get_subject_name(cert), name, sizeof name);
    date_text(from, begins);
    date_text(to, ends);
    return error_set(err, "the %s certificate (%s) %s: it is valid from %s to %s", which, name,
                     early ? "is not valid yet" : "has expired", begins, ends);
}

int certificate_dates(const struct certificate *c, wall_t now, struct error *err)
{
    time_t seconds = (time_t)(now.ns / 1000000000);
    int result = check_dates(c->leaf, "server's", seconds, err);
    for (int i = 0; result == 0 && i < sk_X509_num(c->chain); i++)
        result = check_dates(sk_X509_value(c->chain, i), "chain's", seconds, err);
    return result;
}

int64_t certificate_ends(const struct certificate *c)
{
    int64_t first = certificate_seconds(X509_get0_notAfter(c->leaf));
    for (int i = 0; i < sk_X509_num(c->chain); i++) {
        int64_t one = certificate_seconds(X509_get0_notAfter(sk_X509_value(c->chain, i)));
        first = one < first ? one : first;
    }
    return first;
}

/* --- authorities --- */

STACK_OF(X509) * certificate_authorities(struct slice pem, struct error *err)
{
    STACK_OF(X509) *all = read_all(pem, err);
    int count = sk_X509_num(all); /* of NULL: -1 */
    if (count == 0)
        error_set(err, "there is no certificate in PEM");
    for (int i = 0; i < count; i++) {
        char name[128];
        if (X509_check_ca(sk_X509_value(all, i)) != 0)
            continue;
        X509_NAME_oneline(X509_get_subject_name(sk_X509_value(all, i)), name, sizeof name);
        error_set(err, "the certificate %s is not an authority's: it may not issue others", name);
        count = 0;
    }
    if (count == 0)
        certificate_authorities_free(&all);
    ERR_clear_error();
    return all;
}

void certificate_authorities_free(STACK_OF(X509) * *authorities)
{
    sk_X509_pop_free(*authorities, X509_free);
    *authorities = NULL;
}
