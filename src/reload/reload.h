/*
 * reload.h: the face of reload/: from a change in the hooks folder to the next live generation:
 *   change → settled → read → tried → snapshot → kept by the supervisor → prepared by workers → flip.
 * One round at a time; a change during a round begins the next when it ends.
 * Owns: the watch, the catalog (every script's live and newer text). Runs in: the keeper's loop.
 * Fails: a script that does not load keeps its last good version; its error is kept and told.
 */
#ifndef CRESCENT_RELOAD_RELOAD_H
#define CRESCENT_RELOAD_RELOAD_H

#include "base/config.h"
#include "io/loop.h"
#include "ipc/messages.h"
#include "shm/area.h"

struct reload;

struct reload_host { /* what the keeper gives it */
    struct loop *loop;
    const struct config *config;
    struct area *area;
    void (*to_supervisor)(void *cookie, const struct message *m);
    void (*to_workers)(void *cookie, const struct message *m); /* to every live worker; dups a descriptor for each */
    size_t (*workers)(void *cookie);                           /* live links */
    void *cookie;
};

/* snapshot: the live one of before (a keeper's restart), or -1. Taken. */
struct reload *reload_new(const struct reload_host *host, int snapshot, uint64_t generation);
void reload_free(struct reload **r);

/* From the supervisor. */
void reload_trial_started(struct reload *r, uint32_t id, int socket);
void reload_trial_ended(struct reload *r, uint32_t id, uint32_t status);
void reload_snapshot_kept(struct reload *r, uint64_t generation);
void reload_worker_died(struct reload *r, uint32_t slot, const struct message_died *m);
/* From the workers. */
void reload_worker_joined(struct reload *r, uint32_t slot, uint32_t incarnation, uint64_t generation,
                          void (*send)(void *cookie, const struct message *m), void *cookie);
void reload_worker_left(struct reload *r, uint32_t slot);
void reload_prepared(struct reload *r, uint32_t slot, const struct message_prepared *m);

/* For admin and the log: how many scripts, how many with errors; and each one. */
struct reload_script {
    const char *name, *file;
    const char *error; /* NULL: the newest text is live */
    bool live;         /* false: it never loaded */
    uint64_t version;  /* of the live one; 0: none */
};
size_t reload_script_count(const struct reload *r);
struct reload_script reload_script_at(const struct reload *r, size_t i);
/* Folders that cannot be read, the hooks folder itself too, and modules that cannot. */
size_t reload_unreadable_count(const struct reload *r);
bool reload_is_live(const struct reload *r); /* the first generation is out */

#endif
