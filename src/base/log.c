/*
 * log.c: records as lines. See log.h.
 * Owns: the process's sink and level, set once at start.
 */
#include "base/log.h"
#include "base/output.h"
#include <math.h>
#include <stdio.h>
#include <unistd.h>

/* A reader of stderr that is behind gets this long before a line is dropped; after that none, until it reads again. */
#define PATIENCE DUR_MS(200)

static struct {
    struct output output;
    enum log_level level;
    const char *process;
    enum log_form form;
    int pid;
    bool stalled; /* the last line was dropped */
    unsigned long dropped;
    void (*take)(void *cookie, const struct log_line *line);
    void *cookie;
} sink = {.output = {.fd = STDERR_FILENO}, .level = LOG_INFO, .process = "crescent"};

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

void log_open(int fd, enum log_level level, const char *process, enum log_form form)
{
    output_close(&sink.output);
    output_open(&sink.output, fd);
    sink.level = level;
    sink.process = process;
    sink.form = form;
    sink.pid = getpid();
    sink.stalled = false;
}

void log_divert(void (*take)(void *cookie, const struct log_line *line), void *cookie)
{
    sink.take = take;
    sink.cookie = cookie;
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

/* Whether the byte can stand in a line as it is: most can, and go out in runs. */
static bool plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Marks that turn the direction of text, and separators of lines. */
static bool turns(int c)
{
    return c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

int log_control(struct slice s)
{
    const unsigned char *b = (const unsigned char *)s.at;
    if (b[0] < 0x20 || b[0] == 0x7f)
        return b[0];
    if (b[0] == 0xc2)
        return s.len > 1 && b[1] < 0xa0 ? b[1] : -1;
    int c = -1; /* only these two leads are of any of them */
    if (b[0] == 0xd8 && s.len > 1)
        c = (b[0] & 0x1f) << 6 | (b[1] & 0x3f);
    else if (b[0] == 0xe2 && s.len > 2)
        c = (b[0] & 0x0f) << 12 | (b[1] & 0x3f) << 6 | (b[2] & 0x3f);
    return turns(c) ? c : -1;
}

/* A JSON string without its quotes; what is not UTF-8 becomes U+FFFD. In text, controls are escaped the same way. */
static void add_escaped(struct buf *line, struct slice s)
{
    while (s.len > 0) {
        size_t run = 0;
        while (run < s.len && plain((unsigned char)s.at[run]))
            run++;
        buf_add(line, s.at, run);
        s = slice_from(s, run);
        if (s.len == 0)
            return;
        unsigned char c = (unsigned char)s.at[0];
        size_t len = sequence(s);
        if (len == 0) {
            buf_add_text(line, "\xef\xbf\xbd");
            len = 1;
        } else if (c == '"' || c == '\\') {
            buf_addf(line, "\\%c", c);
        } else if (c == '\n') {
            buf_add_text(line, "\\n");
        } else if (log_control(s) >= 0) {
            buf_addf(line, "\\u%04x", (unsigned)log_control(s));
        } else {
            buf_add(line, s.at, len);
        }
        s = slice_from(s, len);
    }
}

/* `width` digits of n at `to`. By hand: each line has a time and some numbers, and printf costs more than all else. */
static void put_digits(char *to, unsigned n, int width)
{
    for (int i = width - 1; i >= 0; i--, n /= 10)
        to[i] = (char)('0' + n % 10);
}

/* The civil date of a day counted from 1970-01-01 (the Gregorian calendar in eras of 400 years). */
static void civil(int64_t day, unsigned *year_out, unsigned *month_out, unsigned *day_out)
{
    int64_t shifted = day + 719468; /* from 0000-03-01: a leap day is then the last of its year */
    int64_t era = shifted / 146097;
    unsigned in_era = (unsigned)(shifted - era * 146097);
    unsigned year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    unsigned in_year = in_era - (365 * year + year / 4 - year / 100);
    unsigned month = (5 * in_year + 2) / 153;
    *day_out = in_year - (153 * month + 2) / 5 + 1;
    *month_out = month < 10 ? month + 3 : month - 9;
    *year_out = (unsigned)(era * 400) + year + (month >= 10);
}

static void add_time(struct buf *line, wall_t at)
{
    char text[] = "0000-00-00T00:00:00.000Z";
    int64_t ms = at.ns > 0 ? at.ns / 1000000 : 0, seconds = ms / 1000;
    unsigned year, month, day, second = (unsigned)(seconds % 86400);
    civil(seconds / 86400, &year, &month, &day);
    put_digits(text, year % 10000, 4);
    put_digits(text + 5, month, 2);
    put_digits(text + 8, day, 2);
    put_digits(text + 11, second / 3600, 2);
    put_digits(text + 14, second / 60 % 60, 2);
    put_digits(text + 17, second % 60, 2);
    put_digits(text + 20, (unsigned)(ms % 1000), 3);
    buf_add(line, text, sizeof(text) - 1);
}

static void add_integer(struct buf *line, long long n)
{
    char text[24];
    size_t at = sizeof(text);
    unsigned long long rest = n < 0 ? 0 - (unsigned long long)n : (unsigned long long)n;
    do {
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (n < 0)
        text[--at] = '-';
    buf_add(line, text + at, sizeof(text) - at);
}

/* Raw JSON. Its writer leaves what is not ASCII, and DEL, as it is; other controls, or no UTF-8, are not from it. */
static void add_raw(struct buf *line, struct slice s)
{
    while (s.len > 0) {
        size_t run = 0;
        while (run < s.len && (plain((unsigned char)s.at[run]) || s.at[run] == '"' || s.at[run] == '\\'))
            run++;
        buf_add(line, s.at, run);
        s = slice_from(s, run);
        if (s.len == 0)
            return;
        size_t len = sequence(s);
        if (len == 0)
            buf_add_char(line, '?');
        else if (log_control(s) >= 0)
            buf_addf(line, "\\u%04x", (unsigned)log_control(s));
        else
            buf_add(line, s.at, len);
        s = slice_from(s, len > 0 ? len : 1);
    }
}

/*
 * A value of several lines, as a traceback is, on a terminal: to be read, so one stands below the other. Each further
 * one is indented: no bytes of a peer look like a record.
 */
static void add_lines(struct buf *line, struct slice s)
{
    struct slice part;
    for (bool first = true; slice_cut(&s, '\n', &part); first = false) {
        bool deeper = slice_starts(part, SLICE("\t"));
        if (!first)
            buf_add_text(line, deeper ? "\n      " : "\n    ");
        add_escaped(line, !first && deeper ? slice_from(part, 1) : part);
    }
}

static void add_value(struct buf *line, const struct log_field *f, enum log_form form)
{
    switch (f->kind) {
    case 's':
        if (f->s.at == NULL) {
            buf_add_text(line, form != LOG_JSON_LINES ? "-" : "null");
        } else {
            buf_add_char(line, '"');
            if (form == LOG_COLOURED)
                add_lines(line, f->s);
            else
                add_escaped(line, f->s);
            buf_add_char(line, '"');
        }
        break;
    case 'i':
        add_integer(line, f->i);
        break;
    case 'f':
        if (isfinite(f->f))
            buf_addf(line, "%.6g", f->f);
        else
            buf_add_text(line, "null");
        break;
    default:
        add_raw(line, f->s);
    }
}

static void add_json(struct buf *out, const struct log_line *l)
{
    buf_add_text(out, "{\"time\":\"");
    add_time(out, l->at);
    buf_add_text(out, "\",\"level\":\"");
    buf_add_text(out, level_names[l->level]);
    buf_add_text(out, "\",\"process\":\"");
    buf_add_text(out, l->process);
    buf_add_text(out, "\",\"pid\":");
    add_integer(out, l->pid);
    buf_add_text(out, ",\"message\":\"");
    add_escaped(out, l->message);
    buf_add_char(out, '"');
    for (size_t i = 0; i < l->count; i++) {
        buf_add_text(out, ",\"");
        add_escaped(out, slice_of(l->fields[i].name));
        buf_add_text(out, "\":");
        add_value(out, &l->fields[i], LOG_JSON_LINES);
    }
    buf_add_text(out, "}\n");
}

static void add_text(struct buf *out, const struct log_line *l, bool coloured)
{
    static const char *const colours[] = {"\033[2m", "", "\033[33m", "\033[31m", ""};
    static const char *const padded[] = {"debug", "info ", "warn ", "error", "off  "};
    add_time(out, l->at);
    buf_add_char(out, ' ');
    if (coloured)
        buf_add_text(out, colours[l->level]);
    buf_add_text(out, padded[l->level]);
    buf_add_text(out, coloured ? "\033[0m " : " ");
    buf_add_text(out, l->process);
    buf_add_text(out, ": ");
    add_escaped(out, l->message);
    for (size_t i = 0; i < l->count; i++) {
        buf_add_text(out, "  ");
        add_escaped(out, slice_of(l->fields[i].name));
        buf_add_char(out, '=');
        add_value(out, &l->fields[i], coloured ? LOG_COLOURED : LOG_PLAIN);
    }
    buf_add_char(out, '\n');
}

void log_format(struct buf *out, enum log_form form, const struct log_line *line)
{
    if (form == LOG_JSON_LINES)
        add_json(out, line);
    else
        add_text(out, line, form == LOG_COLOURED);
}

bool log_out(struct slice line, dur_t wait)
{
    return output_write(&sink.output, line, wait);
}

void log_write(enum log_level level, struct slice message, const struct log_field *fields, size_t count)
{
    if (!log_wanted(level))
        return;
    const struct log_line line = {.level = level,
                                  .at = wall_now(),
                                  .process = sink.process,
                                  .pid = sink.pid != 0 ? sink.pid : (int)getpid(),
                                  .message = message,
                                  .fields = fields,
                                  .count = count};
    if (sink.take != NULL) {
        sink.take(sink.cookie, &line);
        return;
    }
    struct buf text = {0};
    log_format(&text, sink.form, &line);
    sink.stalled = !log_out(buf_slice(&text), sink.stalled ? (dur_t){0} : PATIENCE);
    sink.dropped += sink.stalled;
    buf_free(&text);
}
