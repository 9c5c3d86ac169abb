/*
 * table.h: checked reads of option tables: kind, range, unknown key, in words: each message names the function, the
 * option and what was expected, and for an unknown option the nearest known one.
 * Reads raise Lua errors: no C resource may be held across one. Runs in: the state's thread.
 */
#ifndef CRESCENT_SCRIPT_TABLE_H
#define CRESCENT_SCRIPT_TABLE_H

#include "base/slice.h"
#include "base/time.h"
#include <lua.h>
#include <stdbool.h>

struct table_reader {
    lua_State *L;
    int index;        /* of the table */
    const char *what; /* "verify.hmac" */
};

/* Argument `index` must be a table with no other keys than `known` (NULL-ended); positions [1..n] only if positions. */
void table_begin(struct table_reader *t, lua_State *L, int index, const char *what, const char *const *known,
                 bool positions);
/* Each: false when the option is nil; raises when it is of another kind. Slices live as long as the table. */
bool table_string(struct table_reader *t, const char *key, struct slice *value_out);
bool table_bool(struct table_reader *t, const char *key, bool *value_out);
bool table_integer(struct table_reader *t, const char *key, long long min, long long max, long long *value_out);
bool table_duration(struct table_reader *t, const char *key, dur_t *value_out);
bool table_size(struct table_reader *t, const char *key, size_t *value_out);
/*
 * The string or number at `index`, a number made text in place: a whole one with all its digits (Lua's own tostring has
 * 14 of them), any other as tostring has it. Absent where it is neither. Lives as long as the value there.
 */
struct slice table_text(lua_State *L, int index);
/* Raises "<what>: <key>: <words>" with the caller's position. */
int table_fault(struct table_reader *t, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
