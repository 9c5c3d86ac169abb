/*
 * disposition.h: the Content-Disposition of a part of a form (RFC 7578 4.2, RFC 6266 4.1): its name, and what a file is
 * called. Runs in: any thread, pure. Fails: -1 with words and the place.
 */
#ifndef CRESCENT_CODEC_DISPOSITION_H
#define CRESCENT_CODEC_DISPOSITION_H

#include "base/slice.h"

struct disposition {
    struct slice name;
    struct slice filename_raw; /* at == NULL: none was given */
    struct slice filename;     /* to be made bare: raw, with %22, %0D, %0A (or filename*'s percent-encoding) decoded */
};

struct disposition_fault {
    const char *what; /* static text */
    size_t offset;    /* in the value */
};

/*
 * Reads "form-data; name=...; filename=...". The texts are written to `room`, DISPOSITION_ROOM(value.len) bytes.
 */
#define DISPOSITION_ROOM(len) (3 * (len) + 1)
int disposition_parse(struct slice value, char *room, struct disposition *to, struct disposition_fault *fault_out);
/*
 * The next parameter of "...; name=value; name=\"value\"" at *at (on the ';' or the end): its name, and its value
 * unquoted into *room, which moves on. 1, or 0 at the end, or -1 with the fault. For other headers' parameters too.
 */
int disposition_parameter(struct slice text, size_t *at, struct slice *name_out, struct slice *value_out, char **room,
                          struct disposition_fault *fault_out);

#endif
