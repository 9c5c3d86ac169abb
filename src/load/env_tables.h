/*
 * env_tables.h: env sets of snapshots as the read-only tables that scripts see as `env`: the same values give the same
 * table, so a thousand scripts share one.
 * Owns: registry references of the last few; scripts keep theirs alive by themselves. Runs in: the state's thread.
 * Fails: memory, in words.
 */
#ifndef CRESCENT_LOAD_ENV_TABLES_H
#define CRESCENT_LOAD_ENV_TABLES_H

#include "base/buf.h"
#include "base/error.h"
#include "load/snapshot.h"
#include "script/state.h"

#define ENV_TABLES_KEPT 4

struct env_tables {
    struct state *state;
    unsigned turn;
    struct {
        struct buf bytes;
        int ref; /* LUA_NOREF: free */
    } kept[ENV_TABLES_KEPT];
};

void env_tables_init(struct env_tables *t, struct state *s);
void env_tables_clear(struct env_tables *t);
/* The reference of the set's table, good until the next call; a set that is not there is empty. LUA_NOREF with words.
 */
int env_tables_get(struct env_tables *t, const struct snapshot *snap, uint32_t index, struct error *err);

#endif
