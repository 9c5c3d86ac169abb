/*
 * config_address.h: where a server listens, once all sources of its configuration are read.
 * Owns nothing. Runs in: the config child. Fails: one line, naming the address and its origin.
 */
#ifndef CRESCENT_CLI_CONFIG_ADDRESS_H
#define CRESCENT_CLI_CONFIG_ADDRESS_H

#include "cli/config_load.h"

/*
 * From the draft's texts, and the sockets that were handed over (o->inherited), to the configuration's listen, admin
 * and health. A socket that was handed over to serve takes the place of the default address, not of one that is set;
 * one for admin or health is the only one there may be. The certificate must have been read. Names of hosts are looked
 * up: it may wait for DNS.
 */
int config_address_finish(struct config_draft *d, const struct options *o, struct error *err);
/*
 * What can be said of listen and proxy_protocol by the draft alone, wherever it is asked: -1 where they do not go
 * together. Flags of the start, and sockets that are handed over, may make it right.
 */
int config_address_foresee(struct config_draft *d, struct error *err);

#endif
