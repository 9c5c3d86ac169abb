/*
 * bind_verify_mtls.h: verify.mtls: a script's option table → the names that a client's certificate must have.
 * Runs in: the state's thread, while scripts load. Fails: Lua errors in words.
 */
#ifndef CRESCENT_BIND_BIND_VERIFY_MTLS_H
#define CRESCENT_BIND_BIND_VERIFY_MTLS_H

#include <lua.h>

/* Puts mtls into the table at the top. [-0,+0,e] */
void bind_verify_mtls_open(lua_State *L);

#endif
