/*
 * sockets_state.c: the set in bytes and back, for an exec in place. What comes back is believed only where it can be
 * checked: every descriptor must be a listening socket. Owns, runs in, fails: see sockets.h.
 */
#include "supervise/sockets_internal.h"

#include "base/fd.h"
#include "base/panic.h"

#include <stdlib.h>

#define STATE_MAGIC 0x316b6373u /* "sck1" */
#define PLACES_MAX 65536        /* a configuration has at most 64 addresses and the keeper's, a name any number */

void sockets_write(const struct sockets *s, struct buf *out)
{
    buf_add_u32(out, STATE_MAGIC);
    buf_add_string(out, buf_slice(&s->listen_urls));
    buf_add_string(out, buf_slice(&s->admin_urls));
    buf_add_string(out, buf_slice(&s->health_urls));
    buf_add_u32(out, (uint32_t)s->place_count);
    for (size_t i = 0; i < s->place_count; i++) {
        const struct sockets_place *place = &s->places[i];
        const struct heritage_socket *all = (place->keeper ? s->keeper : s->worker) + place->first;

        buf_add_string(out, slice_of(place->address));
        buf_add_string(out, slice_of(place->path));
        buf_add_u64(out, place->device);
        buf_add_u64(out, place->inode);
        buf_add_u32(out, place->keeper);
        buf_add_u32(out, (uint32_t)place->count);
        for (size_t k = 0; k < place->count; k++) {
            buf_add_u32(out, (uint32_t)all[k].fd);
            buf_add_u32(out, all[k].listener);
            buf_add_u32(out, all[k].member);
            buf_add_u32(out, all[k].members);
        }
    }
}

static bool is_listening(int fd)
{
    int on = 0;
    socklen_t len = sizeof(on);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on == 1;
}

static void read_place(struct slice *from, struct sockets *s, bool *bad)
{
    struct sockets_place *place = sockets_add_place(s);
    struct slice path;
    uint32_t count;

    place->address = slice_dup(buf_take_string(from, bad));
    path = buf_take_string(from, bad);
    place->path = path.len > 0 ? slice_dup(path) : NULL;
    place->device = buf_take_u64(from, bad);
    place->inode = buf_take_u64(from, bad);
    place->keeper = buf_take_u32(from, bad) != 0;
    count = buf_take_u32(from, bad);
    for (uint32_t i = 0; i < count && !*bad; i++) {
        struct heritage_socket one = {.fd = (int)buf_take_u32(from, bad)};

        one.listener = buf_take_u32(from, bad);
        one.member = buf_take_u32(from, bad);
        one.members = buf_take_u32(from, bad);
        if (*bad || one.members == 0 || !is_listening(one.fd) || fd_cloexec(one.fd, true) != 0)
            *bad = true;
        else
            sockets_add(s, place, one);
    }
}

/* What was read of a set that is not to be believed: its descriptors and files are left alone. */
static void forget(struct sockets *s)
{
    for (size_t i = 0; i < s->place_count; i++) {
        free(s->places[i].path);
        s->places[i].path = NULL;
    }
    s->worker_count = s->keeper_count = 0;
    sockets_close(s, NULL);
}

int sockets_read(struct slice bytes, struct sockets *s, struct error *err)
{
    bool bad = false;
    uint32_t count;

    if (buf_take_u32(&bytes, &bad) != STATE_MAGIC)
        return error_set(err, "listening sockets: their description is of another version");
    buf_add_slice(&s->listen_urls, buf_take_string(&bytes, &bad));
    buf_add_slice(&s->admin_urls, buf_take_string(&bytes, &bad));
    buf_add_slice(&s->health_urls, buf_take_string(&bytes, &bad));
    count = buf_take_u32(&bytes, &bad);
    bad = bad || count > PLACES_MAX;
    for (uint32_t i = 0; i < count && !bad; i++)
        read_place(&bytes, s, &bad);
    if (!bad && bytes.len == 0)
        return 0;
    forget(s);
    return error_set(err, "listening sockets: their description is cut, or names a descriptor that is none");
}

int sockets_inheritable(const struct sockets *s, bool on)
{
    int done = 0;

    for (size_t i = 0; i < s->worker_count && done == 0; i++)
        done = fd_cloexec(s->worker[i].fd, !on);
    for (size_t i = 0; i < s->keeper_count && done == 0; i++)
        done = fd_cloexec(s->keeper[i].fd, !on);
    return done;
}
