/*
 * spare.h: descriptors that this process keeps back for messages. The kernel drops the descriptors of a message for
 * good if the one that receives it has run out of them: a worker whose scripts keep files open would miss the very
 * snapshot that relieves it.
 * Owns: as many descriptors as a message may bring. Runs in: the thread that reads the process's channels. Fails:
 * where there are no descriptors even for this, fewer are kept back.
 */
#ifndef CRESCENT_IPC_SPARE_H
#define CRESCENT_IPC_SPARE_H

#include <stdbool.h>

/* Gives them up, for what is about to be received. */
void spare_release(void);
/* Takes them (back). Returns whether all are there. */
bool spare_keep(void);

#endif
