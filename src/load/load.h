/*
 * load.h: the face of load/: a script of a snapshot → an endpoint in a Lua state. Used by workers (prepare), the trial,
 * check and routes. Modules are shared by all scripts of a state that were loaded with the same version of them.
 * Owns: through each endpoint, the script's Lua parts and a count on its modules. Runs in: the state's thread.
 * Fails: a script that does not load gives all its faults, each "file:line: message", one a line.
 */
#ifndef CRESCENT_LOAD_LOAD_H
#define CRESCENT_LOAD_LOAD_H

#include "base/config.h"
#include "load/snapshot.h"
#include "route/endpoint.h"
#include "script/state.h"

struct load; /* what is loaded in one state: modules by version */

/* no_secrets: a verifier's secret may be nil (check --no-secrets). config: require_verify, limits. */
struct load *load_new(struct state *s, const struct config *config, bool no_secrets);
void load_free(struct load **l);
/*
 * Loads one script of the snapshot (its text must be there), in one stretch (script/stretch). Returns the endpoint with
 * one hold, or NULL with the faults in errors_out (a buf the caller frees). modules_out, when not NULL, hears the
 * modules it used (indices into the snapshot, direct or not) with requires_of[] filled for each module of the snapshot
 * that was loaded now.
 */
struct endpoint *load_script(struct load *l, const struct snapshot *snap, size_t script, struct buf *errors_out);
/* The modules (indices of snap) that the last load_script used, direct or not; and those that module `m` requires
 * itself. */
const uint32_t *load_modules_used(const struct load *l, size_t *count_out);
const uint32_t *load_module_requires(const struct load *l, uint32_t m, size_t *count_out);
/* An endpoint that answers 503: for a script that never loaded. route from its file name. */
struct endpoint *load_broken(const struct snapshot_script *script);
/* Its description as JSON: name, file, routes, hosts, methods, verify, public, events, max_body, timeout, max_run,
 * description.
 */
void load_describe(const struct endpoint *e, struct buf *out);
/* An endpoint with routes, name and file only, back from its description: for clash checks and listings. */
struct endpoint *load_from_description(struct slice json, struct error *err);

#endif
