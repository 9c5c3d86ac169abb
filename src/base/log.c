/*
 * log.c: records as lines. See log.h.
 * Owns: the process's sink and level, set once at start.
 */
#include "base/log.h"
#include "base/buf.h"
#include "base/time.h"
#include <math.h>
#include <time.h>
#include <unistd.h>

static struct {
    int fd;
    enum log_level level;
    const char *process;
    bool terminal;
    unsigned long dropped;
} sink = {STDERR_FILENO, LOG_INFO, "crescent", false, 0};

static const char *const level_names[] = {"debug", "info", "warn", "error", "off"};

bool log_level_parse(struct slice text, enum log_level *level_out)
{
    for (int i = LOG_DEBUG; i <= LOG_OFF; i++)
        if (slice_equal(text, slice_of(level_names[i]))) {
            *level_out = (enum log_level)i;
            return true;
        }
    return false;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

void log_open(int fd, enum log_level level, const char *process, bool terminal)
{
    sink.fd = fd;
    sink.level = level;
    sink.process = process;
    sink.terminal = terminal;
}

bool log_wanted(enum log_level level)
{
    return level >= sink.level && level != LOG_OFF;
}

unsigned long log_dropped(void)
{
    return sink.dropped;
}

/* Length of the UTF-8 sequence at s (RFC 3629), or 0 where it is invalid. codec/utf8 is above this floor. */
static size_t sequence(struct slice s)
{
    const unsigned char *b = (const unsigned char *)s.at;
    size_t len = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : b[0] < 0xf5 ? 4 : 0;
    if (len == 0 || len > s.len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) || (b[0] == 0xf0 && b[1] < 0x90) ||
        (b[0] == 0xf4 && b[1] > 0x8f))
        return 0;
    return len;
}

/* A JSON string without its quotes; what is not UTF-8 becomes U+FFFD. On a terminal, controls are escaped the same way.
 */
static void add_escaped(struct buf *line, struct slice s)
{
    while (s.len > 0) {
        unsigned char c = (unsigned char)s.at[0];
        size_t len = sequence(s);
        if (len == 0) {
            buf_add_text(line, "\xef\xbf\xbd");
            len = 1;
        } else if (c == '"' || c == '\\') {
            buf_addf(line, "\\%c", c);
        } else if (c == '\n') {
            buf_add_text(line, "\\n");
        } else if (c < 0x20 || c == 0x7f) {
            buf_addf(line, "\\u%04x", c);
        } else if (c == 0xc2 && (unsigned char)s.at[1] < 0xa0) { /* C1 controls: terminals obey them */
            buf_addf(line, "\\u00%02x", (unsigned char)s.at[1]);
        } else {
            buf_add(line, s.at, len);
        }
        s = slice_from(s, len);
    }
}

static void add_time(struct buf *line)
{
    wall_t now = wall_now();
    time_t seconds = (time_t)(now.ns / 1000000000);
    struct tm utc;
    char text[32];
    gmtime_r(&seconds, &utc);
    size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    buf_add(line, text, len);
    buf_addf(line, ".%03dZ", (int)(now.ns / 1000000 % 1000));
}

static void add_value(struct buf *line, const struct log_field *f, bool terminal)
{
    switch (f->kind) {
    case 's':
        if (f->s.at == NULL) {
            buf_add_text(line, terminal ? "-" : "null");
        } else {
            buf_add_char(line, '"');
            add_escaped(line, f->s);
            buf_add_char(line, '"');
        }
        break;
    case 'i':
        buf_addf(line, "%lld", f->i);
        break;
    case 'f':
        if (isfinite(f->f))
            buf_addf(line, "%.6g", f->f);
        else
            buf_add_text(line, "null");
        break;
    default:
        buf_add_slice(line, f->s);
    }
}

static void add_json(struct buf *line, enum log_level level, const char *message, const struct log_field *fields,
                     size_t count)
{
    buf_add_text(line, "{\"time\":\"");
    add_time(line);
    buf_addf(line, "\",\"level\":\"%s\",\"process\":\"%s\",\"pid\":%d,\"message\":\"", level_names[level], sink.process,
             (int)getpid());
    add_escaped(line, slice_of(message));
    buf_add_char(line, '"');
    for (size_t i = 0; i < count; i++) {
        buf_add_text(line, ",\"");
        add_escaped(line, slice_of(fields[i].name));
        buf_add_text(line, "\":");
        add_value(line, &fields[i], false);
    }
    buf_add_text(line, "}\n");
}

static void add_text(struct buf *line, enum log_level level, const char *message, const struct log_field *fields,
                     size_t count)
{
    static const char *const colours[] = {"\033[2m", "", "\033[33m", "\033[31m", ""};
    add_time(line);
    buf_addf(line, " %s%-5s\033[0m %s: ", colours[level], level_names[level], sink.process);
    add_escaped(line, slice_of(message));
    for (size_t i = 0; i < count; i++) {
        buf_add_text(line, "  ");
        add_escaped(line, slice_of(fields[i].name));
        buf_add_char(line, '=');
        add_value(line, &fields[i], true);
    }
    buf_add_char(line, '\n');
}

void log_write(enum log_level level, const char *message, const struct log_field *fields, size_t count)
{
    if (!log_wanted(level))
        return;
    struct buf line = {0};
    if (sink.terminal)
        add_text(&line, level, message, fields, count);
    else
        add_json(&line, level, message, fields, count);
    if (write(sink.fd, line.at, line.len) != (ssize_t)line.len)
        sink.dropped++;
    buf_free(&line);
}
