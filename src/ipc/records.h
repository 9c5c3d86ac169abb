/*
 * records.h: what stands on the tapes: log lines by their fields, and exchanges (one HTTP request each). Whoever writes
 * copies bytes and formats nothing; whoever reads makes lines of them.
 * A reader believes nothing: every length is checked, texts end where they say, levels and kinds are known ones.
 * Owns nothing: a record read points into its bytes. Runs in: any thread, pure. Fails: a bad record is refused.
 */
#ifndef CRESCENT_IPC_RECORDS_H
#define CRESCENT_IPC_RECORDS_H

#include "base/log.h"
#include "base/uuid.h"
#include "shm/tape.h"

#define RECORDS_FIELDS_MAX 48
/* Texts of one line together; what is longer is cut, and "bytes_cut" says by how much. */
#define RECORDS_TEXT_MAX (64u << 10)

enum records_kind { RECORDS_LINE = 1, RECORDS_EXCHANGE = 2 };

enum records_end { /* of an exchange */
                   RECORDS_ANSWERED,
                   RECORDS_REFUSED, /* before its handler; `reason` says why */
                   RECORDS_GONE,    /* its client left before the answer, or in the middle of it */
                   RECORDS_CUT      /* the server ended it there */
};

struct records_exchange { /* texts: at == NULL: none */
    wall_t at;            /* its end */
    dur_t duration;
    uint64_t bytes_in, bytes_out; /* the body as sent; all that was written */
    struct uuid id;
    unsigned char trace[16]; /* the caller's trace id; zeros: it named none */
    int pid;
    int status;  /* 0: none was sent */
    int version; /* 0x101, 0x200 */
    enum records_end end;
    struct slice endpoint, method, path, host, ip, agent, reason, auth_by, auth_subject, upstream;
    dur_t upstream_time; /* until its header; 0: there is none */
};

struct record {
    enum records_kind kind;
    uint32_t process; /* which worker, by its own word */
    union {
        struct {
            struct log_line line;
            struct log_field fields[RECORDS_FIELDS_MAX + 1];
        };
        struct records_exchange exchange;
    };
};

/* Puts a log line onto the tape. False: there was no room, it is dropped and counted. */
bool records_write_line(struct tape_writer *w, uint32_t process, const struct log_line *line);
/* The same for an exchange; texts are cut to 1 KiB (the path), 256 bytes (all others). */
bool records_write_exchange(struct tape_writer *w, uint32_t process, const struct records_exchange *x);

struct records_sink { /* the lines of a process, by way of its tape */
    struct tape_writer writer;
    uint32_t process;
};
/* From now on this process's log lines go onto the sink's tape. */
void records_divert(struct records_sink *s);

/* Reads a record; 0, or -1 when it is none. line.process is left for the caller to name. */
int records_read(struct slice bytes, struct record *out);
/* Appends the record as one line in this form; process names who wrote it. */
void records_format(struct buf *out, enum log_form form, struct record *r, const char *process);

#endif
