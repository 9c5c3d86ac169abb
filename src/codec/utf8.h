/*
 * utf8.h: is it UTF-8 (RFC 3629)?
 * Runs in: any thread, pure. Never fails.
 */
#ifndef CRESCENT_CODEC_UTF8_H
#define CRESCENT_CODEC_UTF8_H

#include "base/slice.h"

/* How many leading bytes are valid UTF-8: s.len when all are. Overlong forms, surrogates, above U+10FFFF: invalid. */
size_t utf8_valid(struct slice s);
/* The length, 1 to 4, of the character at the front of s; 0 when s is empty or its front is not UTF-8. */
size_t utf8_first(struct slice s);

#endif
