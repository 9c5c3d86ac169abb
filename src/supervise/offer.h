/*
 * offer.h: what a binary says of itself when it is asked to read the configuration: its version, the versions of what
 * its processes share with others, and the configuration. The config child writes it, the supervisor reads it, who may
 * be of another version: the head keeps its form for ever.
 * Owns: the configuration once read. Runs in: the config child, the supervisor. Fails: with words.
 */
#ifndef CRESCENT_SUPERVISE_OFFER_H
#define CRESCENT_SUPERVISE_OFFER_H

#include "base/config.h"

#define OFFER_STATE 3         /* form of the state that a supervisor hands to the next; see takeover.h */
#define OFFER_MOST (8u << 20) /* bytes; a configuration with 64 certificates is far below */

struct offer {
    char version[32];                  /* "0.1.0" */
    uint32_t messages, area, heritage; /* what its processes speak, share, and are born with */
    uint32_t state;                    /* what its supervisor takes over from another one: OFFER_STATE */
    struct slice config;               /* its text, borrowed */
};

void offer_write(const struct config *config, struct buf *out);
/* Texts are borrowed from bytes. -1: "the binary there is no crescent that can take over". */
int offer_read(struct slice bytes, struct offer *offer_out, struct error *err);
/* Whether its processes can live beside ours. -1: "… needs a restart". */
int offer_fits(const struct offer *offer, struct error *err);

struct offer_taken { /* what a supervisor keeps of it */
    char version[32];
    struct config config;
    int text; /* of config, sealed for the children */
};
/* Reads what a config child has written into this file, and checks that it fits. 0 or -1 with words. */
int offer_take(int file, struct offer_taken *taken_out, struct error *err);

#endif
