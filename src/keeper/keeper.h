/*
 * keeper.h: PROCESS keeper: the store, reload, the admin listener: what is decided once for all workers.
 */
#ifndef CRESCENT_KEEPER_KEEPER_H
#define CRESCENT_KEEPER_KEEPER_H

/* The hidden command `keeper`. */
int keeper_main(void);

#endif
