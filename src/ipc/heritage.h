/*
 * heritage.h: all that a child is born with, in one struct: written by the supervisor into a sealed memory file that
 * the child finds at descriptor 3; everything else it has inherited is named here, and nothing else is open but 0,
 * 1, 2. Owns: its own copies of the texts. Runs in: the supervisor before fork, the child at start. Fails: with words.
 */
#ifndef CRESCENT_IPC_HERITAGE_H
#define CRESCENT_IPC_HERITAGE_H

#include "base/buf.h"
#include "base/error.h"
#include <stdint.h>
#include <sys/types.h>

enum heritage_kind { HERITAGE_KEEPER, HERITAGE_WORKER, HERITAGE_TRIAL, HERITAGE_CONFIG };

#define HERITAGE_FD 3
#define HERITAGE_NO_FD (-1)

#define HERITAGE_ADMIN UINT32_MAX
#define HERITAGE_HEALTH (UINT32_MAX - 1)
#define HERITAGE_SHARED UINT32_MAX

struct heritage_socket { /* one listening socket */
    int fd;
    uint32_t listener; /* index in config's list, HERITAGE_ADMIN or HERITAGE_HEALTH */
    uint32_t member;   /* which of its group it is; HERITAGE_SHARED: there is no group, all accept from it */
    uint32_t members;  /* of the group: as many as there were workers when its address was bound; else 1 */
};

/*
 * Whether all of so many workers accept from it: where there is no group, and where the group has fewer members than
 * there are workers now (it keeps those it was bound with). Dealt out, those would be too few for an even spread.
 */
static inline bool heritage_shared(const struct heritage_socket *s, uint32_t workers)
{
    return s->member == HERITAGE_SHARED || s->members < workers;
}

/*
 * Whether worker number `worker` of `workers` accepts from it without being told to. Where a group has as many members
 * as there are workers, each owns one; where it has more, they are dealt out in turn, so that no member is nobody's.
 */
static inline bool heritage_owns(const struct heritage_socket *s, uint32_t worker, uint32_t workers)
{
    return heritage_shared(s, workers) || s->member % workers == worker;
}

/* Whether it is the first of its group, or alone: the sockets of a group stand together. */
static inline bool heritage_first(const struct heritage_socket *s)
{
    return s->member == 0 || s->member == HERITAGE_SHARED;
}

struct heritage {
    enum heritage_kind kind;
    pid_t parent;         /* whose death is the child's; supervise/spawn fills it in */
    uint32_t slot;        /* worker: its place in shared memory */
    uint32_t member;      /* worker: its number; the listening sockets of that member are its own, if there are */
    uint32_t incarnation; /* its place's how-manieth life */
    uint32_t edition;     /* of configuration and binary; see area_set_edition */
    uint64_t generation;  /* of the snapshot below; 0 = none */
    int supervisor;       /* channel to the supervisor */
    int area;             /* shared memory; NO_FD for trial, config */
    int config;           /* sealed text of struct config (base/config.h) */
    int snapshot;         /* worker, keeper: the live snapshot; or NO_FD */
    int wake;             /* eventfd that wakes whoever reads the tapes; or NO_FD */
    int extra;            /* trial: its channel to the keeper */
    /* "127.0.0.1:8081 [::1]:8081"; NULL: nowhere. Worker: where the admin listener is; keeper: where workers
     * listen, of every edition that one is left of. */
    char *bound;
    struct heritage_socket *sockets;
    size_t socket_count;
};

/* Of the bytes' form: only a binary with the same one can be started with them. */
uint32_t heritage_version(void);
void heritage_write(const struct heritage *h, struct buf *out);
/*
 * Reads descriptor 3 and closes it; marks the descriptors it names close-on-exec; and has this process end with its
 * parent, which must be there still: an exec forgets that order where the binary has capabilities. 0 or -1 with words.
 */
int heritage_read(struct heritage *h_out, struct error *err);
void heritage_free(struct heritage *h);

#endif
