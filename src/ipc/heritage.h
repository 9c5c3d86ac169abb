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

enum heritage_kind { HERITAGE_KEEPER, HERITAGE_WORKER, HERITAGE_TRIAL, HERITAGE_CONFIG };

#define HERITAGE_FD 3
#define HERITAGE_NO_FD (-1)

struct heritage_socket { /* one listening socket */
    int fd;
    uint32_t listener; /* index in config's list; UINT32_MAX: the admin listener */
    uint32_t member;   /* the worker whose member it is; UINT32_MAX: shared by all */
};

struct heritage {
    enum heritage_kind kind;
    uint32_t index, incarnation; /* which worker, and its how-manieth life */
    uint64_t generation;         /* of the snapshot below; 0 = none */
    int supervisor;              /* channel to the supervisor */
    int area;                    /* shared memory; NO_FD for trial, config */
    int config;                  /* sealed text of struct config (base/config.h) */
    int snapshot;                /* worker, keeper: the live snapshot; trial: the candidate; or NO_FD */
    int extra;                   /* trial: its channel to the keeper */
    struct heritage_socket *sockets;
    size_t socket_count;
};

void heritage_write(const struct heritage *h, struct buf *out);
/* Reads descriptor 3 and closes it; marks the descriptors it names close-on-exec. 0 or -1 with words. */
int heritage_read(struct heritage *h_out, struct error *err);
void heritage_free(struct heritage *h);

#endif
