/*
 * log.h: one record a line: a JSON object (RFC 8259, UTF-8 made valid), or text. Times are RFC 3339.
 * A process writes its lines itself (to stderr, waiting for its reader only a moment), until they are diverted:
 * workers, keeper and supervisor put them onto their tapes (ipc/records). Owns: the process's level and sink, set once
 * at start (file-scope state in base/, because a log line must be possible from anywhere). Never fails: what cannot be
 * written is dropped and counted.
 */
#ifndef CRESCENT_BASE_LOG_H
#define CRESCENT_BASE_LOG_H

#include "base/buf.h"
#include "base/time.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };
enum log_form { LOG_JSON_LINES, LOG_COLOURED, LOG_PLAIN }; /* the last two are text */

/* "debug" ... "off" to a level; false on anything else. */
bool log_level_parse(struct slice text, enum log_level *level_out);
const char *log_level_name(enum log_level level);

/* process: "worker 1"; must stay valid. Lines go to fd. */
void log_open(int fd, enum log_level level, const char *process, enum log_form form);
bool log_wanted(enum log_level level);

/* A field of a record. Made by the macros below; kind 'j' is raw JSON text, made by our own writer. */
struct log_field {
    const char *name;
    char kind; /* s string, i integer, f float, j JSON */
    struct slice s;
    long long i;
    double f;
};
#define LOG_STR(field, text) ((struct log_field){.name = (field), .kind = 's', .s = slice_of(text)})
#define LOG_SLICE(field, bytes) ((struct log_field){.name = (field), .kind = 's', .s = (bytes)})
#define LOG_INT(field, number) ((struct log_field){.name = (field), .kind = 'i', .i = (long long)(number)})
#define LOG_FLOAT(field, number) ((struct log_field){.name = (field), .kind = 'f', .f = (number)})
#define LOG_JSON(field, bytes) ((struct log_field){.name = (field), .kind = 'j', .s = (bytes)})

void log_write(enum log_level level, struct slice message, const struct log_field *fields, size_t count);
/* log_at(LOG_WARN, "port taken", LOG_STR("address", a), LOG_INT("port", p)) */
#define log_at(level, message, ...)                                                                      \
    log_write((level), slice_of(message), (const struct log_field[]){{.name = NULL}, ##__VA_ARGS__} + 1, \
              sizeof((const struct log_field[]){{.name = NULL}, ##__VA_ARGS__}) / sizeof(struct log_field) - 1)

/*
 * The character that s begins with (not empty; UTF-8), where a terminal, or who reads it there, would be led by it: C0,
 * DEL, C1, a mark of direction, a separator of lines. -1: it is none of these.
 */
int log_control(struct slice s);

/* Lines dropped so far by this process (a full pipe, a closed stderr). */
unsigned long log_dropped(void);

/* --- for those who carry lines ------------------------------------------------------------------------------------ */

struct log_line { /* all borrowed */
    enum log_level level;
    wall_t at;
    const char *process;
    int pid;
    struct slice message;
    const struct log_field *fields;
    size_t count;
};

/*
 * Appends it, with its newline. Whatever bytes it holds, it is one line; LOG_COLOURED: one that begins at the left, and
 * indented ones where a value has several.
 */
void log_format(struct buf *out, enum log_form form, const struct log_line *line);
/* From now on lines go to `take`, which never waits. NULL: back to fd. */
void log_divert(void (*take)(void *cookie, const struct log_line *line), void *cookie);
/* Writes a finished line to the process's descriptor; waits for its reader at most `wait`. False: dropped, not counted.
 */
bool log_out(struct slice line, dur_t wait);

#endif
