/*
 * bind_jwt.h: crypto.jwt.
 * Runs in: the state's thread.
 */
#ifndef CRESCENT_BIND_BIND_JWT_H
#define CRESCENT_BIND_BIND_JWT_H

#include <lua.h>

/* Pushes the table crypto.jwt. bind_json_open and bind_crypto_open make what it uses. [-0,+1,m] */
void bind_jwt_open(lua_State *L);

#endif
