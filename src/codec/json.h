/*
 * json.h: JSON text (RFC 8259) to events, picks out of it, and the writer. The only face of simdjson.
 * A text is refused with the position of its first fault: invalid UTF-8, lone surrogates, BOM, control characters,
 * trailing bytes, comments, depth above the bound. Integers beyond 64 bits keep every digit. Of duplicate names
 * every reader takes the last one (as JSON.parse and cjson do).
 * Runs in: any thread; a reader belongs to one at a time. Fails: by value, never by an exception.
 */
#ifndef CRESCENT_CODEC_JSON_H
#define CRESCENT_CODEC_JSON_H

#include "base/buf.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define JSON_DEPTH_MAX 128 /* arrays and objects within each other */

struct json_reader; /* parser memory, kept between texts; one text at a time */

struct json_fault {
    const char *what;    /* static text: "expected ',' or '}'" */
    size_t offset;       /* bytes before the fault */
    size_t line, column; /* from 1; column in bytes */
    bool deep;           /* the fault is its depth */
};

/* Never NULL; takes memory for parsers when a text comes. */
struct json_reader *json_reader_new(void);
/* From the next text on, only `depth` arrays and objects within each other, 1 to JSON_DEPTH_MAX (as it is at first). */
void json_reader_bound(struct json_reader *r, unsigned depth);
void json_reader_free(struct json_reader **r);

/* Parses a whole text, which may go afterwards. 0, or -1 with the fault. Whatever was read before is gone. */
int json_parse(struct json_reader *r, struct slice text, struct json_fault *fault_out);
/* Lets go of memory above 1 MiB, and then of what was parsed; json_parse does so before it begins. For idle readers. */
void json_reader_trim(struct json_reader *r);

enum json_kind {
    JSON_NULL,
    JSON_TRUE,
    JSON_FALSE,
    JSON_INT,  /* fits int64_t */
    JSON_UINT, /* above INT64_MAX, fits uint64_t */
    JSON_BIG,  /* an integer beyond 64 bits; text has its digits */
    JSON_DOUBLE,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT, /* begin */
    JSON_END,    /* of the innermost array or object */
    JSON_DONE    /* after the walked value */
};

/* One event of a walk. In an object every value is preceded by its name in `name` (of the same token). */
struct json_token {
    enum json_kind kind;
    struct slice name; /* in an object; else SLICE_NONE. Borrowed from the reader until the next json_parse */
    struct slice text; /* STRING, BIG: likewise borrowed */
    int64_t i;         /* INT */
    uint64_t u;        /* UINT */
    double d;          /* DOUBLE */
    size_t count;      /* ARRAY, OBJECT: elements, a hint for sizing (saturates) */
};

/*
 * A walk over one value, depth first. No allocation, no callback: safe with longjmp between two calls.
 * The fields are json_walk.c's own.
 */
struct json_walk {
    const uint64_t *tape;
    const char *strings;
    size_t at, end; /* the next word of the tape, and the first behind the walked value */
    unsigned depth;
    bool in_object;
    uint64_t objects[JSON_DEPTH_MAX / 64 + 1]; /* a bit per depth: an object there */
};

/* Walks the whole text that was parsed last. */
void json_walk_root(const struct json_reader *r, struct json_walk *w);
/*
 * Walks the value at a JSON pointer (RFC 6901; "" is the whole). False when there is none. A pointer that is
 * malformed is the caller's matter: see pointer_check. `-` and an index out of range: none.
 */
bool json_walk_at(const struct json_reader *r, struct slice pointer, struct json_walk *w);
/* The next event; JSON_DONE after the value's last. */
void json_next(struct json_walk *w, struct json_token *token_out);

/* NULL when `pointer` is a JSON pointer ("" or "/a~1b/0"), else a static text that says what is wrong. */
const char *pointer_check(struct slice pointer);

/*
 * The writer: appends JSON text to a buf. The caller gives structure in order; commas and colons are put here.
 * Strings must be UTF-8: json_write_string returns false (and writes nothing) where they are not.
 */
struct json_writer {
    struct buf *out;
    unsigned depth;
    bool comma; /* the next value needs one before it */
};

void json_write_begin(struct json_writer *w, struct buf *out);
void json_write_object(struct json_writer *w);
void json_write_array(struct json_writer *w);
void json_write_end(struct json_writer *w, char closing /* '}' or ']' */);
bool json_write_name(struct json_writer *w, struct slice name);
bool json_write_string(struct json_writer *w, struct slice s);
/* As json_write_string, each invalid byte replaced by U+FFFD: for logs and problems. */
void json_write_text(struct json_writer *w, struct slice s);
void json_write_int(struct json_writer *w, int64_t n);
void json_write_uint(struct json_writer *w, uint64_t n);
/* Shortest text that reads back the same; integral values below 2^53 without a fraction. False for NaN and infinities.
 */
bool json_write_double(struct json_writer *w, double d);
/* Digits or other JSON text that is known to be valid. */
void json_write_raw(struct json_writer *w, struct slice json);
void json_write_bool(struct json_writer *w, bool b);
void json_write_null(struct json_writer *w);
/* Appends the same JSON on many lines, two spaces a level; `compact` must come from the writer, and not be in out. */
void json_write_pretty(struct slice compact, struct buf *out);

#ifdef __cplusplus
}
#endif
#endif
