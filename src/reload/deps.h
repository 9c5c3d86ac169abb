/*
 * deps.h: what a change in _lib, or in the env values, touches. By what the last loads used, directly or not.
 * Runs in: the keeper's loop, pure but for the module records it replaces. Never fails.
 */
#ifndef CRESCENT_RELOAD_DEPS_H
#define CRESCENT_RELOAD_DEPS_H

#include "reload/catalog.h"

/*
 * For every module of the folder whose record is marked in `changed` (one flag per place of c->modules): each module
 * that requires it, directly or not, gets a new record too: same text, new version. The flags of those are set.
 */
void deps_spread(struct catalog *c, bool *changed);
/* Every module of the folder gets a new record with this env set, and a new version. */
void deps_renew(struct catalog *c, struct catalog_env *env);
/* Whether the script's load (or, broken, its next one) may have used a module called one of these (sorted). */
bool deps_touch(const struct catalog_script *s, char *const *names, size_t count);

#endif
