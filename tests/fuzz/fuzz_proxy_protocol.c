/*
 * fuzz_proxy_protocol.c: the first bytes of a connection: where a header is whole, none of its beginnings is one, and
 * what follows changes nothing; what is refused is refused however it goes on.
 */
#include "codec/proxy_header.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = fuzz_copy(data, size);
    struct proxy_header whole, part;
    const char *why = NULL;
    enum proxy_header_result result = proxy_header_read(bytes, &whole, &why);
    CHECK((result == PROXY_HEADER_BAD) == (why != NULL));
    if (result == PROXY_HEADER_DONE) {
        CHECK(whole.len > 0 && whole.len <= bytes.len && whole.len <= PROXY_HEADER_MOST);
        CHECK(whole.client.kind != IP_NONE || whole.port == 0);
    }
    for (size_t len = 0; len < bytes.len; len++) {
        enum proxy_header_result shorter = proxy_header_read((struct slice){bytes.at, len}, &part, &why);
        if (result == PROXY_HEADER_DONE && len < whole.len)
            CHECK(shorter == PROXY_HEADER_MORE);
        else if (result == PROXY_HEADER_DONE)
            CHECK(shorter == result && part.len == whole.len && ip_equal(&part.client, &whole.client));
        else
            CHECK(shorter == PROXY_HEADER_MORE || shorter == result);
        if (len > 600)
            len += 97; /* a long one is looked at here and there */
    }
    free((void *)bytes.at);
    return 0;
}
