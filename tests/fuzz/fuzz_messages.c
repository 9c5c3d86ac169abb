/*
 * fuzz_messages.c: what one process sends another, as any bytes: the first is the type, the second how many
 * descriptors came along. What is read whole is written as the same bytes.
 */
#include "fuzz.h"
#include "ipc/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice body = fuzz_copy(data + 2, size - 2);
    int fds[MESSAGES_FDS_MAX + 1] = {-1, -1, -1, -1}, again[MESSAGES_FDS_MAX];
    size_t fd_count = data[1] % (MESSAGES_FDS_MAX + 1);
    struct message m;
    if (messages_read((enum message_type)data[0], body, fds, fd_count, &m) == 0) {
        struct buf out = {0};
        CHECK(messages_write(&m, &out, again) == fd_count);
        CHECK(slice_equal(buf_slice(&out), body));
        buf_free(&out);
    }
    free((void *)body.at);
    return 0;
}
