/*
 * publish.h: the catalog → a snapshot → kept by the supervisor → prepared by the workers → live everywhere by one
 * store. Owns: the two snapshots' descriptors (in struct reload). Runs in: the keeper's loop. Fails: a snapshot that
 * cannot be made is logged; the live one stays.
 */
#ifndef CRESCENT_RELOAD_PUBLISH_H
#define CRESCENT_RELOAD_PUBLISH_H

#include "reload/internal.h"

/* Publishes the catalog if it differs from what is live; else the round is over. Also instead of one on its way. */
void publish_begin(struct reload *r);
void publish_kept(struct reload *r, uint64_t generation);
/* A worker came: it gets what it lacks. */
void publish_welcome(struct reload *r, uint64_t has, void (*send)(void *cookie, const struct message *m), void *cookie);
/* Flips if nothing holds it up any more. */
void publish_check(struct reload *r);
/* The round is over; begins the next one if something changed meanwhile (reload.c). */
void reload_round_over(struct reload *r);

#endif
