/*
 * http1_print.h: how libh2o 2.2.5 writes the head of an HTTP/1 reply: with sprintf, which was a fifth of all
 * instructions of a small request. A definition of what it calls takes the place of libc's: formats of text and whole
 * numbers alone are written here, all others, and those for a room of known size, by libc. Owns nothing. Runs in: any
 * thread. Fails: as sprintf does, never for the formats that are written here.
 */
#ifndef CRESCENT_SERVER_HTTP1_PRINT_H
#define CRESCENT_SERVER_HTTP1_PRINT_H

#include <stdbool.h>

/* Whether the linker did its part: libraries are given ours. Else replies are as ever, and cost more. */
bool http1_print_bound(void);

#endif
