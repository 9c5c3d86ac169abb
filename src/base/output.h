/*
 * output.h: writes whole lines to a descriptor that may belong to others too (stderr), and waits for its reader at most
 * as long as it is told. The descriptor's own flags are left alone: they are shared with whoever else has it.
 * Owns: the rest of a line whose beginning was taken; a way of its own to the same pipe or terminal.
 * Runs in: one thread. Never fails: a line is taken or it is not.
 */
#ifndef CRESCENT_BASE_OUTPUT_H
#define CRESCENT_BASE_OUTPUT_H

#include "base/buf.h"
#include "base/time.h"

/* A pipe takes so much at once or nothing (POSIX PIPE_BUF): lines in one piece up to this are never cut. */
#define OUTPUT_ATOMIC 4096

struct output {
    int fd;      /* given, or opened here; -1: nowhere */
    bool own;    /* opened here */
    bool socket; /* journald gives one */
    bool file;   /* regular: never waits */
    struct buf rest;
};

/* Writes to what fd is; fd stays the caller's. */
void output_open(struct output *o, int fd);
void output_close(struct output *o);
/* False: not one byte of it was taken within the wait (a full pipe, a reader that has gone). */
bool output_write(struct output *o, struct slice line, dur_t wait);
/* Whether the last line of a regular file has no end, as far as it may be read: whoever wrote it was cut off. */
bool output_is_cut(int fd);
/* Waits for the rest of a line, at most so long. True: nothing is left. */
bool output_flush(struct output *o, dur_t wait);

#endif
