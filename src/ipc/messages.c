/*
 * messages.c: writers and readers made from messages.def: one macro per kind of field, for each of the directions.
 * Owns nothing. Runs in: any thread, pure. Fails: -1 on malformed bytes.
 */
#include "ipc/messages.h"

#include "base/fd.h"

const char *messages_name(enum message_type type)
{
    static const char *const names[] = {
        [MESSAGE_none] = "none",
#define MESSAGE(name, fields) [MESSAGE_##name] = #name,
#include "ipc/messages.def"
#undef MESSAGE
    };

    return (unsigned)type < MESSAGE_COUNT ? names[type] : "unknown";
}

#define U32(field) buf_add_u32(out, f->field);
#define U64(field) buf_add_u64(out, f->field);
#define TEXT(field) buf_add_string(out, f->field);
#define FD(field) fds_out[fds++] = f->field;
size_t messages_write(const struct message *m, struct buf *out, int fds_out[MESSAGES_FDS_MAX])
{
    size_t fds = 0;

    switch (m->type) {
#define MESSAGE(name, fields)                      \
    case MESSAGE_##name: {                         \
        const struct message_##name *f = &m->name; \
        fields                                     \
    } break;
#include "ipc/messages.def"
#undef MESSAGE
    case MESSAGE_none:
    case MESSAGE_COUNT:
        break;
    }
    return fds;
}
#undef U32
#undef U64
#undef TEXT
#undef FD

#define U32(field) f->field = buf_take_u32(&body, &bad);
#define U64(field) f->field = buf_take_u64(&body, &bad);
#define TEXT(field) f->field = buf_take_string(&body, &bad);
#define FD(field)                                  \
    f->field = taken < fd_count ? fds[taken] : -1; \
    taken++;
int messages_read(enum message_type type, struct slice body, const int *fds, size_t fd_count, struct message *m_out)
{
    bool bad = false;
    size_t taken = 0;

    *m_out = (struct message){.type = type};
    switch (type) {
#define MESSAGE(name, fields)                    \
    case MESSAGE_##name: {                       \
        struct message_##name *f = &m_out->name; \
        fields                                   \
    } break;
#include "ipc/messages.def"
#undef MESSAGE
    case MESSAGE_none:
    case MESSAGE_COUNT:
    default:
        return -1;
    }
    return bad || body.len != 0 || taken != fd_count ? -1 : 0;
}
#undef U32
#undef U64
#undef TEXT
#undef FD

#define U32(field)
#define U64(field)
#define TEXT(field)
#define FD(field) fd_close(&f->field);
void messages_close(struct message *m)
{
    switch (m->type) {
#define MESSAGE(name, fields)                                        \
    case MESSAGE_##name: {                                           \
        struct message_##name *f __attribute__((unused)) = &m->name; \
        fields                                                       \
    } break;
#include "ipc/messages.def"
#undef MESSAGE
    case MESSAGE_none:
    case MESSAGE_COUNT:
        break;
    }
}
#undef U32
#undef U64
#undef TEXT
#undef FD
