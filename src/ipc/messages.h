/*
 * messages.h: the typed messages of messages.def: one struct each, one tagged union, written and read whole.
 * Wire form: fields in order, integers little-endian, texts with a u32 length; descriptors travel beside the bytes.
 * A reader must use up the whole message: too short or left over is an error.
 * Runs in: any thread, pure. Fails: -1 on malformed bytes.
 */
#ifndef CRESCENT_IPC_MESSAGES_H
#define CRESCENT_IPC_MESSAGES_H

#include "base/buf.h"
#include <stdint.h>

#define MESSAGES_VERSION 6
#define MESSAGES_FDS_MAX 3

enum message_type {
    MESSAGE_none,
#define MESSAGE(name, fields) MESSAGE_##name,
#include "ipc/messages.def"
#undef MESSAGE
    MESSAGE_COUNT
};

#define U32(field) uint32_t field;
#define U64(field) uint64_t field;
#define TEXT(field) struct slice field;
#define FD(field) int field;
#define MESSAGE(name, fields) \
    struct message_##name {   \
        fields                \
    };
#include "ipc/messages.def"
#undef MESSAGE

struct message {
    enum message_type type;
    union {
#define MESSAGE(name, fields) struct message_##name name;
#include "ipc/messages.def"
#undef MESSAGE
    };
};
#undef U32
#undef U64
#undef TEXT
#undef FD

const char *messages_name(enum message_type type);
/* Appends the body's bytes; descriptors go to fds_out (returns how many). */
size_t messages_write(const struct message *m, struct buf *out, int fds_out[MESSAGES_FDS_MAX]);
/* Reads a body of this type; takes descriptors from fds in order. Texts are borrowed from `body`. 0 or -1. */
int messages_read(enum message_type type, struct slice body, const int *fds, size_t fd_count, struct message *m_out);
/* Closes the descriptors in it: for a message that nobody wants. */
void messages_close(struct message *m);

#endif
