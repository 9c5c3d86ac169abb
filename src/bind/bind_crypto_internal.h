/*
 * bind_crypto_internal.h: what bind_crypto.c and bind_jwt.c share.
 * Runs in: the state's thread.
 */
#ifndef CRESCENT_BIND_BIND_CRYPTO_INTERNAL_H
#define CRESCENT_BIND_BIND_CRYPTO_INTERNAL_H

#include "base/buf.h"
#include "base/error.h"
#include "bind/bind_crypto_keys.h"
#include <lua.h>

/* One per state, in its slot: nothing here is lost by a Lua error. */
struct bind_crypto {
    struct bind_crypto_keys keys;
    struct buf scratch; /* results on their way to Lua */
};

/* The state's, its scratch empty. */
struct bind_crypto *bind_crypto_of(lua_State *L);
/* Pushes nil and the words. [-0,+2,m] */
int bind_crypto_fault(lua_State *L, const struct error *err);

#endif
