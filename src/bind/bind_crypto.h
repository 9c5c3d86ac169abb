/*
 * bind_crypto.h: the global crypto.
 * Runs in: the state's thread.
 */
#ifndef CRESCENT_BIND_BIND_CRYPTO_H
#define CRESCENT_BIND_BIND_CRYPTO_H

#include <lua.h>

/* Pushes the table crypto, with crypto.jwt in it. Once per state, after bind_json_open. [-0,+1,m] */
void bind_crypto_open(lua_State *L);

#endif
