/*
 * table.h: checked reads of option tables: kind, range, unknown key, in words: each message names the function, the
 * option and what was expected, and for an unknown option the nearest known one.
 * Reads raise Lua errors: no C resource may be held across one. Runs in: the state's thread.
 */
#ifndef CRESCENT_SCRIPT_TABLE_H
#define CRESCENT_SCRIPT_TABLE_H

#include "base/error.h"
#include "base/slice.h"
#include "base/time.h"
#include <lua.h>
#include <stdbool.h>

struct table_reader {
    lua_State *L;
    int index;        /* of the table */
    const char *what; /* "verify.hmac" */
};

/*
 * Whether the table at `index` holds all that a script gets from it. Else false, with words: there is an __index, and
 * what is inherited through it nobody here would see, be it a timeout or the check of a caller. [-0,+0,m]
 */
bool table_is_plain(lua_State *L, int index, struct error *err);
/* Says of the metatable at the top: its __index finds only what a table of it holds itself. [-0,+0,m] */
void table_mark_plain(lua_State *L);
/*
 * Argument `index` must be a plain table with no other keys than `known` (NULL-ended); positions [1..n] only if
 * positions.
 */
void table_begin(struct table_reader *t, lua_State *L, int index, const char *what, const char *const *known,
                 bool positions);
/* Pushes the option's value; false, with nothing pushed, when it is nil. */
bool table_push(struct table_reader *t, const char *key);
/* Each: false when the option is nil; raises when it is of another kind. Slices live as long as the table. */
bool table_string(struct table_reader *t, const char *key, struct slice *value_out);
bool table_bool(struct table_reader *t, const char *key, bool *value_out);
bool table_integer(struct table_reader *t, const char *key, long long min, long long max, long long *value_out);
bool table_duration(struct table_reader *t, const char *key, dur_t *value_out);
bool table_size(struct table_reader *t, const char *key, size_t *value_out);
/* Raises unless the table at `index`, which is this option's value, or in it, is a plain one. */
void table_plain(const struct table_reader *t, const char *key, int index);
/*
 * Whether the table at `index` is a list and nothing else: plain, with keys 1 to its length, and each there. Else
 * false, with words that name the key that is none ("'x' is no position of a list"), or the gap. What a list has beside
 * its items would be ignored by whoever counts to its length. Raises for want of memory only.
 */
bool table_is_list(lua_State *L, int index, size_t *length_out, struct error *err);
/* The same, where items may be missing: the length is the last position. */
bool table_is_list_with_gaps(lua_State *L, int index, size_t *length_out, struct error *err);
/* The length of the table at `index`, which is this option's value, or in it; raises unless it is a list. */
size_t table_list(struct table_reader *t, const char *key, int index);
/* Whether the value at `index` is a whole number from min to max. */
bool table_whole(lua_State *L, int index, long long min, long long max, long long *value_out);
/*
 * The string or number at `index`, a number made text in place: a whole one with all its digits (Lua's own tostring has
 * 14 of them), any other as tostring has it. Absent where it is neither. Lives as long as the value there.
 */
struct slice table_text(lua_State *L, int index);
/* Raises "<what>: <key>: <words>" with the caller's position. */
int table_fault(const struct table_reader *t, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
