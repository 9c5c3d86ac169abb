/*
 * bind_arguments.h: how many arguments a function of ours takes. What stands beyond would be ignored: an option of
 * another library, or a mistake (uuid(4) is no version 4). Owns nothing. Runs in: the state's thread. Fails: it raises.
 */
#ifndef CRESCENT_BIND_BIND_ARGUMENTS_H
#define CRESCENT_BIND_BIND_ARGUMENTS_H

#include <lua.h>

/*
 * Raises where there are more than `most` behind the first `own`, which the script has not given as such: 1 for a
 * method, else 0. what: "req:json". [-0,+0,v]
 */
void bind_arguments(lua_State *L, int own, int most, const char *what);

#endif
