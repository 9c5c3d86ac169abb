/*
 * bind_verify_options.h: the constructors behind `verify`: a provider's data, or a script's option table → a verifier.
 * Runs in: the state's thread, while scripts load. Fails: Lua errors that name function, option, and the nearest known.
 */
#ifndef CRESCENT_BIND_BIND_VERIFY_OPTIONS_H
#define CRESCENT_BIND_BIND_VERIFY_OPTIONS_H

#include "bind/bind_verify.h"
#include "script/table.h"

/* Behind "secret is nil", "keys is empty": what it mostly is. */
#define BIND_VERIFY_UNSET "(is the env variable behind it set?)"

/* Pushes an option's value, whatever its kind, without metamethods; returns its type. [-0,+1,m] */
int bind_verify_options_push(const struct table_reader *t, const char *key);
/* Puts hmac and one constructor per provider into the table at the top. [-0,+0,e] */
void bind_verify_options_open(lua_State *L);

#endif
