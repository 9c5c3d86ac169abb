/*
 * identity.c: see identity.h.
 */
#include "crypto/identity.h"
#include "base/buf.h"
#include "base/panic.h"
#include "codec/base64.h"
#include "codec/ip.h"
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#define SHA256 32

/* --- names -------------------------------------------------------------------------------------------------------- */

static void add_lower(struct buf *out, struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        buf_add_char(out, (char)(s.at[i] >= 'A' && s.at[i] <= 'Z' ? s.at[i] + ('a' - 'A') : s.at[i]));
}

static void write_host(struct buf *out, struct slice host)
{
    if (host.len > 1 && host.at[host.len - 1] == '.')
        host.len--;
    add_lower(out, host);
}

/* RFC 5321 2.4: what is before the '@' may count in its case. */
static void write_email(struct buf *out, struct slice email)
{
    size_t at = email.len;
    while (at > 0 && email.at[at - 1] != '@')
        at--;
    buf_add(out, email.at, at);
    add_lower(out, slice_from(email, at));
}

static void write_ip(struct buf *out, const struct ip *ip)
{
    char room[IP_TEXT];
    buf_add_slice(out, ip_text(ip, room));
}

char *identity_name(struct slice text, const char **why_out)
{
    struct slice value = text, kind = SLICE_NONE;
    struct buf name = {0};
    struct ip ip;
    *why_out = "a name begins with one of DNS:, IP:, URI: and email:";
    if (!slice_cut(&value, ':', &kind) || value.at == NULL)
        return NULL;
    if (value.len == 0 || slice_find(value, '\0') != SIZE_MAX) {
        *why_out = "there is no name behind its kind";
        return NULL;
    }
    buf_addf(&name, "%.*s:", SLICE_ARG(kind));
    if (slice_equal(kind, SLICE("DNS"))) {
        write_host(&name, value);
    } else if (slice_equal(kind, SLICE("URI"))) {
        buf_add_slice(&name, value);
    } else if (slice_equal(kind, SLICE("email"))) {
        write_email(&name, value);
    } else if (slice_equal(kind, SLICE("IP")) && ip_parse(value, &ip)) {
        write_ip(&name, &ip);
    } else {
        if (slice_equal(kind, SLICE("IP")))
            *why_out = "there is no address behind IP:";
        buf_free(&name);
        return NULL;
    }
    return buf_take(&name);
}

static struct slice bytes_of(const ASN1_STRING *s)
{
    return (struct slice){(const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)};
}

/* A NUL byte in a name means to end it for some readers: such a name is none. */
static void add_name(struct identity *id, const char *kind, struct slice value)
{
    struct buf text = {0};
    const char *why;
    buf_add_text(&text, kind);
    buf_add_slice(&text, value);
    char *name = identity_name(buf_slice(&text), &why);
    buf_free(&text);
    if (name == NULL)
        return;
    id->names = need_realloc(id->names, (id->name_count + 1) * sizeof(*id->names));
    id->names[id->name_count++] = name;
}

static void add_address(struct identity *id, struct slice bytes)
{
    struct sockaddr_storage address = {.ss_family = bytes.len == 4 ? AF_INET : AF_INET6};
    struct ip ip;
    char room[IP_TEXT];
    if (bytes.len != 4 && bytes.len != 16)
        return;
    if (bytes.len == 4)
        memcpy(&((struct sockaddr_in *)&address)->sin_addr, bytes.at, 4);
    else
        memcpy(&((struct sockaddr_in6 *)&address)->sin6_addr, bytes.at, 16);
    ip_of_sockaddr((struct sockaddr *)&address, &ip);
    add_name(id, "IP:", ip_text(&ip, room));
}

static void read_names(struct identity *id, X509 *certificate)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(all, i);
        if (one->type == GEN_DNS)
            add_name(id, "DNS:", bytes_of(one->d.dNSName));
        else if (one->type == GEN_URI)
            add_name(id, "URI:", bytes_of(one->d.uniformResourceIdentifier));
        else if (one->type == GEN_EMAIL)
            add_name(id, "email:", bytes_of(one->d.rfc822Name));
        else if (one->type == GEN_IPADD)
            add_address(id, bytes_of(one->d.iPAddress));
    }
    GENERAL_NAMES_free(all);
}

/* --- the subject -------------------------------------------------------------------------------------------------- */

/* What was written into a BIO of memory; takes it. */
static char *text_of(BIO *bio)
{
    char *at;
    long len = BIO_get_mem_data(bio, &at);
    char *text = slice_dup((struct slice){at, len > 0 ? (size_t)len : 0});
    BIO_free(bio);
    return text;
}

static BIO *new_text(const char *begin)
{
    BIO *bio = BIO_new(BIO_s_mem());
    NEED(bio != NULL && BIO_puts(bio, begin) >= 0);
    return bio;
}

static char *subject_text(X509_NAME *subject, unsigned long without)
{
    BIO *bio = new_text("");
    X509_NAME_print_ex(bio, subject, 0, XN_FLAG_RFC2253 & ~without);
    return text_of(bio);
}

/* Of several it could not be known which is meant. */
static char *common_text(X509_NAME *subject, unsigned long without)
{
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return NULL;
    BIO *bio = new_text("CN=");
    ASN1_STRING_print_ex(bio, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)),
                         ASN1_STRFLGS_RFC2253 & ~without);
    return text_of(bio);
}

static void read_fingerprint(struct identity *id, X509 *certificate)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    static const char begin[] = "sha256:";
    NEED(X509_digest(certificate, EVP_sha256(), digest, &len) == 1 && len == SHA256);
    memcpy(id->fingerprint, begin, sizeof(begin));
    base64_hex((struct slice){(const char *)digest, len}, id->fingerprint + sizeof(begin) - 1);
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

struct identity *identity_new(X509 *certificate)
{
    struct identity *id = need_zero(1, sizeof(*id));
    X509_NAME *subject = X509_get_subject_name(certificate);
    id->holds = 1;
    id->subject = subject_text(subject, ASN1_STRFLGS_ESC_MSB);
    id->subject_ascii = subject_text(subject, 0);
    id->common = common_text(subject, ASN1_STRFLGS_ESC_MSB);
    id->common_ascii = common_text(subject, 0);
    read_names(id, certificate);
    read_fingerprint(id, certificate);
    ERR_clear_error();
    return id;
}

struct identity *identity_hold(struct identity *id)
{
    CHECK(id->holds > 0);
    id->holds++;
    return id;
}

void identity_release(struct identity **held)
{
    struct identity *id = *held;
    *held = NULL;
    if (id == NULL || --id->holds > 0)
        return;
    for (unsigned i = 0; i < id->name_count; i++)
        free(id->names[i]);
    free(id->names);
    free(id->subject);
    free(id->subject_ascii);
    free(id->common);
    free(id->common_ascii);
    free(id);
}
