/*
 * keeper.h: PROCESS keeper: reload, and the admin listener; later the store and all that is decided once for all
 * workers.
 */
#ifndef CRESCENT_KEEPER_KEEPER_H
#define CRESCENT_KEEPER_KEEPER_H

/* The hidden command `keeper`. */
int keeper_main(void);

#endif
