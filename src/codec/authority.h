/*
 * authority.h: what a Host field, an :authority or an absolute-form target names: a host and perhaps a port (RFC 3986
 * 3.2.2, 3.2.3; RFC 9110 7.2).
 * Owns: nothing. Runs in: everywhere. Fails: by false.
 */
#ifndef CRESCENT_CODEC_AUTHORITY_H
#define CRESCENT_CODEC_AUTHORITY_H

#include "base/slice.h"
#include <stdbool.h>

/*
 * Whether it is a name, an IPv4 address or an IPv6 address in brackets, and behind ':' a port, where there is one.
 * Stricter than the RFC: of names only letters, digits and "-._~", so that no two readers, and no log line, can take
 * it for something else.
 */
bool authority_valid(struct slice text);

#endif
