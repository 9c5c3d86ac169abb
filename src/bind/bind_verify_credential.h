/*
 * bind_verify_credential.h: the constructors of who-is-it verifiers. Runs in: the state's thread, while scripts load.
 * Fails: Lua errors that name function, option, and the nearest known.
 */
#ifndef CRESCENT_BIND_BIND_VERIFY_CREDENTIAL_H
#define CRESCENT_BIND_BIND_VERIFY_CREDENTIAL_H

#include <lua.h>

/* Puts api_key, basic and bearer into the table at the top. [-0,+0,e] */
void bind_verify_credential_open(lua_State *L);

#endif
