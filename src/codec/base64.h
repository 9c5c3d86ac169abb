/*
 * base64.h: base64, base64url (RFC 4648 4, 5) and hex, both ways.
 * Runs in: any thread, pure; not constant-time. Fails: false on a character that does not belong, a length that
 * cannot be, or non-zero bits behind the last byte (one value has one spelling).
 */
#ifndef CRESCENT_CODEC_BASE64_H
#define CRESCENT_CODEC_BASE64_H

#include "base/buf.h"

void base64_encode(struct slice bytes, struct buf *out);
void base64_encode_url(struct slice bytes, struct buf *out); /* without padding */
/* Padding is required by base64_decode, and refused or accepted whole by base64_decode_url. */
bool base64_decode(struct slice text, struct buf *out);
bool base64_decode_url(struct slice text, struct buf *out);
void base64_hex(struct slice bytes, char *text_out /* 2 * len, lower case */);
bool base64_unhex(struct slice text, struct buf *out); /* either case */

#endif
