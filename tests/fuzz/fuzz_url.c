/*
 * fuzz_url.c: codec/url on any bytes: what is taken as a URL is written in one way, which reads back as the same and
 * holds nothing that ends a line or a word; and libcurl, which connects, reads the same host and port there.
 */
#include "base/ascii.h"
#include "codec/url.h"
#include "fuzz.h"
#include <curl/curl.h>

static void is_plain(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        CHECK((unsigned char)s.at[i] > ' ' && s.at[i] != 0x7f);
}

/* A host that libcurl may read as a number, which it writes in another way. */
static bool may_be_number(struct slice host)
{
    for (size_t i = 0; i < host.len; i++)
        if (!ascii_is_one_of(host.at[i], "0123456789abcdefABCDEFxX.[]:"))
            return false;
    return true;
}

static void libcurl_agrees(const char *text, const struct url *u)
{
    CURLU *parsed = curl_url();
    char *host = NULL, *port = NULL, *user = NULL;
    NEED(parsed != NULL);
    if (curl_url_set(parsed, CURLUPART_URL, text, 0) == CURLUE_OK) {
        unsigned long long number;
        CHECK(curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK);
        CHECK(curl_url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK);
        CHECK(slice_to_u64(slice_of(port), 65535, &number) && number == u->port);
        CHECK(may_be_number(u->host) || slice_equal_nocase(slice_of(host), u->host));
        CHECK(curl_url_get(parsed, CURLUPART_USER, &user, 0) == CURLUE_NO_USER);
    }
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parsed);
}

static void is_written_in_one_way(const struct url *u)
{
    struct url again;
    struct buf origin = {0}, text = {0}, other = {0};
    url_origin(u, &origin);
    url_write(u, &text);
    is_plain(buf_slice(&origin));
    is_plain(buf_slice(&text));
    CHECK(memchr(text.at, '#', text.len) == NULL);
    if (text.len <= URL_MAX) { /* percent-encoding may make it longer */
        CHECK(url_parse(buf_slice(&text), &again) == NULL && again.user.at == NULL);
        url_write(&again, &other);
        CHECK(slice_equal(buf_slice(&other), buf_slice(&text)));
        buf_clear(&other);
        url_origin(&again, &other);
        CHECK(slice_equal(buf_slice(&other), buf_slice(&origin)));
        libcurl_agrees(buf_text(&text), &again);
    }
    CHECK(url_parse(buf_slice(&origin), &again) == NULL && again.port == u->port && again.tls == u->tls);
    buf_free(&origin);
    buf_free(&text);
    buf_free(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_copy(data, size);
    struct buf encoded = {0};
    struct url u;
    if (url_parse(text, &u) == NULL) {
        fuzz_touch(u.user);
        fuzz_touch(u.host);
        fuzz_touch(u.path);
        fuzz_touch(u.query);
        is_written_in_one_way(&u);
    }
    url_encode(text, &encoded);
    is_plain(buf_slice(&encoded));
    buf_free(&encoded);
    free((void *)text.at);
    return 0;
}
