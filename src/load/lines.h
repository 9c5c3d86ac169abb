/*
 * lines.h: on which line of a Lua text the fields of the returned table stand, for messages: Lua itself forgets it.
 * A small tokenizer finds the last `return` outside every function and, where a table constructor follows, the keys of
 * it ("verify") and of the constructors right below ("handle.GET", "limits.body").
 * Owns: its arrays. Runs in: any thread, pure. Fails: never; what it cannot tell is the line of that `return`.
 */
#ifndef CRESCENT_LOAD_LINES_H
#define CRESCENT_LOAD_LINES_H

#include "base/slice.h"

struct lines_field {
    char *name;
    unsigned line;
};

struct lines {
    unsigned fallback; /* of the last top-level return; 1 where there is none */
    struct lines_field *fields;
    size_t count;
};

void lines_read(struct slice text, struct lines *lines_out);
void lines_free(struct lines *l);
/* "verify", "handle.GET"; a field below that was not found has the line of the one above. */
unsigned lines_of(const struct lines *l, const char *field);

#endif
