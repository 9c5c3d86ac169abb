/*
 * bind_kv.h: the global kv: values that outlive requests, scripts and servers, seen by all workers alike.
 *
 *   kv.get(key)                    the value, or nil
 *   kv.set(key, value, { ttl })    true; a time to live of an earlier value ends
 *   kv.add(key, value, { ttl })    true; false where the key is there: nothing is changed
 *   kv.incr(key, by, { ttl })      the new number: by (1) more than it was, or than 0; ttl for a key that it creates.
 *                                  nil, err: not_a_number, out_of_range (beyond 2^53)
 *   kv.delete(key)                 true; false where there was none
 *   kv.ttl(key)                    seconds; math.huge where the key never expires; nil where there is none
 *   kv.list(prefix, { limit, after })  keys in the order of their bytes, and the one to go on after, or nil
 *   kv.bucket(name)                the same functions over keys of their own
 *
 * Keys are strings of 1 to 512 bytes; values strings, finite numbers, and tables that have a JSON form, of at most 1
 * MiB; each comes back as what it was. Each call waits, and what it changes is on the disk when it returns.
 *
 * Runs in: the state's thread. Fails: misuse raises; a store that is not there raises a 503.
 */
#ifndef CRESCENT_BIND_BIND_KV_H
#define CRESCENT_BIND_BIND_KV_H

#include <lua.h>

/* Pushes the table kv. Once per state, after json. [-0,+1,e] */
void bind_kv_open(lua_State *L);

#endif
