/*
 * json_tape.h: what a parsed text looks like, for json_in.cc, json_slow.c and json_walk.c only: simdjson's tape, as its
 * documentation (doc/tape.md) has it, with one kind of our own for integers beyond 64 bits.
 * A word is a kind in the high byte and 56 bits of payload:
 *   r  payload: index of the last word (first word), or 0 (last word)
 *   { [  bits 0-31: index behind the matching end; bits 32-55: members, saturating.    } ]  index of the begin
 *   " b  offset in `strings` of a u32 length, the bytes and a NUL (b: the digits of a big integer);
 *        they lie there in the tape's order, with nothing between
 *   l u d  the next word is the int64, uint64 or double itself.    t f n  nothing more
 */
#ifndef CRESCENT_CODEC_JSON_TAPE_H
#define CRESCENT_CODEC_JSON_TAPE_H

#include "codec/json.h"

#ifdef __cplusplus
extern "C" {
#endif

#define JSON_TAPE_PAYLOAD 0x00ffffffffffffffu
#define JSON_TAPE_COUNT_MAX 0xffffffu
#define JSON_TEXT_MAX ((size_t)1 << 30) /* keeps indexes within 32 bits */

/* A text as it stands parsed; whoever filled it owns the memory. */
struct json_tape {
    const uint64_t *words;
    const char *strings;
};

struct json_slow; /* memory of the strict parser */

struct json_slow *json_slow_new(void);
void json_slow_free(struct json_slow **slow);
size_t json_slow_memory(const struct json_slow *slow);
/* Parses `text` to tape_out, which points into `slow`. 0, or -1 with the first fault. */
int json_slow_parse(struct json_slow *slow, struct slice text, unsigned depth, struct json_tape *tape_out,
                    struct json_fault *fault_out);

/* What json_walk.c knows of a reader: NULL words when nothing is parsed. */
struct json_tape json_reader_tape(const struct json_reader *r);

/* Shortest text of a finite double that reads back the same, at most 32 bytes, no NUL; its length. */
size_t json_double_text(double d, char out[32]);

#ifdef __cplusplus
}
#endif
#endif
