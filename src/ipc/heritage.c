/*
 * heritage.c: the struct in bytes and back. A child believes nothing in it that it can check: every descriptor named
 * must be open.
 * Owns, runs in, fails: see heritage.h.
 */
#include "ipc/heritage.h"

#include "base/fd.h"
#include "base/panic.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define HERITAGE_MAGIC 0x35746968u /* "hit5" */
#define SOCKETS_MAX 65536

uint32_t heritage_version(void)
{
    return HERITAGE_MAGIC;
}

static void add_fd(struct buf *out, int fd)
{
    buf_add_u32(out, (uint32_t)fd);
}

void heritage_write(const struct heritage *h, struct buf *out)
{
    buf_add_u32(out, HERITAGE_MAGIC);
    buf_add_u32(out, (uint32_t)h->kind);
    buf_add_u32(out, (uint32_t)h->parent);
    buf_add_u32(out, h->slot);
    buf_add_u32(out, h->member);
    buf_add_u32(out, h->incarnation);
    buf_add_u32(out, h->edition);
    buf_add_u64(out, h->generation);
    add_fd(out, h->supervisor);
    add_fd(out, h->area);
    add_fd(out, h->config);
    add_fd(out, h->snapshot);
    add_fd(out, h->wake);
    add_fd(out, h->extra);
    buf_add_string(out, slice_of(h->bound));
    buf_add_u32(out, (uint32_t)h->socket_count);
    for (size_t i = 0; i < h->socket_count; i++) {
        add_fd(out, h->sockets[i].fd);
        buf_add_u32(out, h->sockets[i].listener);
        buf_add_u32(out, h->sockets[i].member);
        buf_add_u32(out, h->sockets[i].members);
    }
}

/* A descriptor that is open, or (where allowed) none; it is close-on-exec from here on. */
static int take_fd(struct slice *from, bool none_allowed, bool *bad)
{
    int fd = (int)buf_take_u32(from, bad);

    if (fd == HERITAGE_NO_FD && none_allowed)
        return fd;
    if (fd <= HERITAGE_FD || fd_cloexec(fd, true) != 0)
        *bad = true;
    return fd;
}

static void take_sockets(struct slice *from, struct heritage *h, bool *bad)
{
    uint32_t count = buf_take_u32(from, bad);

    if (*bad || count > SOCKETS_MAX || count * 16u != from->len) {
        *bad = true;
        return;
    }
    if (count == 0)
        return;
    h->sockets = need_zero(count, sizeof(*h->sockets));
    h->socket_count = count;
    for (uint32_t i = 0; i < count; i++) {
        h->sockets[i].fd = take_fd(from, false, bad);
        h->sockets[i].listener = buf_take_u32(from, bad);
        h->sockets[i].member = buf_take_u32(from, bad);
        h->sockets[i].members = buf_take_u32(from, bad);
        *bad = *bad || h->sockets[i].members == 0;
    }
}

static int parse(struct slice bytes, struct heritage *h)
{
    bool bad = buf_take_u32(&bytes, &(bool){false}) != HERITAGE_MAGIC;
    uint32_t kind = buf_take_u32(&bytes, &bad);

    h->kind = (enum heritage_kind)kind;
    h->parent = (pid_t)buf_take_u32(&bytes, &bad);
    h->slot = buf_take_u32(&bytes, &bad);
    h->member = buf_take_u32(&bytes, &bad);
    h->incarnation = buf_take_u32(&bytes, &bad);
    h->edition = buf_take_u32(&bytes, &bad);
    h->generation = buf_take_u64(&bytes, &bad);
    h->supervisor = take_fd(&bytes, true, &bad);
    h->area = take_fd(&bytes, true, &bad);
    h->config = take_fd(&bytes, true, &bad);
    h->snapshot = take_fd(&bytes, true, &bad);
    h->wake = take_fd(&bytes, true, &bad);
    h->extra = take_fd(&bytes, true, &bad);
    struct slice bound = buf_take_string(&bytes, &bad);
    h->bound = bound.len > 0 ? slice_dup(bound) : NULL;
    take_sockets(&bytes, h, &bad);
    return bad || kind > HERITAGE_CONFIG || bytes.len != 0 ? -1 : 0;
}

/* Run from a descriptor, the kernel names the process after its number; `top` and `ps -C` shall find it. */
static void name_process(enum heritage_kind kind)
{
    static const char *const names[] = {"crescent keeper", "crescent worker", "crescent trial", "crescent config"};

    prctl(PR_SET_NAME, names[kind]);
}

static int end_with(pid_t parent, struct error *err)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return error_errno(err, "death signal");
    if (getppid() != parent) /* it died before the line above */
        return error_set(err, "whoever started this process has gone");
    return 0;
}

int heritage_read(struct heritage *h_out, struct error *err)
{
    int fd = HERITAGE_FD;
    struct slice bytes = SLICE_NONE;
    int result;

    *h_out = (struct heritage){.supervisor = HERITAGE_NO_FD};
    if (fd_map_sealed(fd, &bytes, err) != 0)
        return error_prefix(err, "this command is run by crescent itself (descriptor %d)", fd);
    result = parse(bytes, h_out);
    if (bytes.len > 0)
        munmap((void *)bytes.at, bytes.len);
    if (result != 0) {
        heritage_free(h_out);
        return error_set(err, "this command is run by crescent itself (descriptor %d is not its own)", fd);
    }
    fd_close(&fd);
    if (end_with(h_out->parent, err) != 0) {
        heritage_free(h_out);
        return -1;
    }
    name_process(h_out->kind);
    return 0;
}

void heritage_free(struct heritage *h)
{
    free(h->sockets);
    free(h->bound);
    h->bound = NULL;
    h->sockets = NULL;
    h->socket_count = 0;
}
