/*
 * records.c: records to bytes and back; see records.h. Integers are in the machine's own order: both sides are the same
 * binary, or two versions of it on one machine. A text is its length (u32), its bytes and a NUL.
 * UNSAFE BYTES: put, take.
 */
#include "ipc/records.h"

#define NO_TEXT UINT32_MAX
#define EXCHANGE_TEXT_MAX 256
#define EXCHANGE_PATH_MAX 1024
#define NAME_MAX_BYTES 128

/* --- writing ------------------------------------------------------------------------------------------------------ */

static char *put(char *to, const void *bytes, size_t len)
{
    if (len > 0)
        memcpy(to, bytes, len);
    return to + len;
}

static char *put_u32(char *to, uint32_t n)
{
    return put(to, &n, sizeof(n));
}

static char *put_u64(char *to, uint64_t n)
{
    return put(to, &n, sizeof(n));
}

static char *put_text(char *to, struct slice s)
{
    if (s.at == NULL)
        return put_u32(to, NO_TEXT);
    to = put_u32(to, (uint32_t)s.len);
    to = put(to, s.at, s.len);
    *to = '\0';
    return to + 1;
}

static size_t text_room(struct slice s)
{
    return 4 + s.len + 1;
}

/* Takes what the text needs from what is left for all; the rest of it is cut. */
static struct slice within(struct slice s, size_t *left, size_t *cut)
{
    size_t len = s.len < *left ? s.len : *left;
    *cut += s.len - len;
    *left -= len;
    return (struct slice){s.at, len};
}

static char *put_field(char *to, const struct log_field *f, size_t *left, size_t *cut)
{
    struct slice name = slice_of(f->name), value = f->s;
    char kind = f->kind;
    name.len = name.len < NAME_MAX_BYTES ? name.len : NAME_MAX_BYTES;
    if (kind == 'j' && value.len > *left) { /* half a JSON value would be none */
        kind = 's';
        *cut += value.len;
        value = SLICE("(too long)");
    } else if (kind == 's' || kind == 'j') {
        value = within(value, left, cut);
    }
    *to++ = kind;
    to = put_text(to, name);
    if (kind == 'i')
        return put(to, &f->i, sizeof(f->i));
    return kind == 'f' ? put(to, &f->f, sizeof(f->f)) : put_text(to, value);
}

/* Bytes that the line takes at most. */
static size_t line_room(const struct log_line *line)
{
    size_t message = line->message.len;
    size_t room = 64 + 4 + (message < RECORDS_TEXT_MAX ? message : RECORDS_TEXT_MAX) + 1;
    for (size_t i = 0; i < line->count && i < RECORDS_FIELDS_MAX; i++) {
        size_t text = line->fields[i].s.len;
        room += 1 + 4 + NAME_MAX_BYTES + 1 + 8 + 16 + (text < RECORDS_TEXT_MAX ? text : RECORDS_TEXT_MAX);
    }
    size_t most = RECORDS_TEXT_MAX + (RECORDS_FIELDS_MAX + 2) * (NAME_MAX_BYTES + 64);
    return room < most ? room : most;
}
_Static_assert(RECORDS_TEXT_MAX + (RECORDS_FIELDS_MAX + 2) * (NAME_MAX_BYTES + 64) <= TAPE_RECORD_MAX,
               "the longest line must be a record");

bool records_write_line(struct tape_writer *w, uint32_t process, const struct log_line *line)
{
    char *room = tape_begin(w, line_room(line)), *to = room;
    size_t count = line->count < RECORDS_FIELDS_MAX ? line->count : RECORDS_FIELDS_MAX;
    size_t left = RECORDS_TEXT_MAX, cut = 0;
    if (room == NULL)
        return false;
    *to++ = RECORDS_LINE;
    *to++ = (char)line->level;
    to = put_u32(to, process);
    to = put_u32(to, (uint32_t)line->pid);
    to = put_u64(to, (uint64_t)line->at.ns);
    to = put_text(to, within(line->message, &left, &cut));
    for (size_t i = 0; i < count; i++)
        to = put_field(to, &line->fields[i], &left, &cut);
    if (cut > 0)
        to = put_field(to, &LOG_INT("bytes_cut", cut), &left, &cut);
    tape_commit(w, (size_t)(to - room));
    return true;
}

static struct slice at_most(struct slice s, size_t most)
{
    return (struct slice){s.at, s.len < most ? s.len : most};
}

bool records_write_exchange(struct tape_writer *w, uint32_t process, const struct records_exchange *x)
{
    const struct slice texts[] = {at_most(x->path, EXCHANGE_PATH_MAX),         at_most(x->endpoint, EXCHANGE_TEXT_MAX),
                                  at_most(x->method, EXCHANGE_TEXT_MAX),       at_most(x->host, EXCHANGE_TEXT_MAX),
                                  at_most(x->ip, EXCHANGE_TEXT_MAX),           at_most(x->agent, EXCHANGE_TEXT_MAX),
                                  at_most(x->reason, EXCHANGE_TEXT_MAX),       at_most(x->auth_by, EXCHANGE_TEXT_MAX),
                                  at_most(x->auth_subject, EXCHANGE_TEXT_MAX), at_most(x->upstream, EXCHANGE_TEXT_MAX)};
    size_t room = 104;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        room += text_room(texts[i]);
    char *start = tape_begin(w, room), *to = start;
    if (start == NULL)
        return false;
    *to++ = RECORDS_EXCHANGE;
    *to++ = (char)x->end;
    to = put_u32(to, process);
    to = put_u32(to, (uint32_t)x->pid);
    to = put_u32(to, (uint32_t)x->status);
    to = put_u32(to, (uint32_t)x->version);
    to = put_u64(to, (uint64_t)x->at.ns);
    to = put_u64(to, (uint64_t)x->duration.ns);
    to = put_u64(to, (uint64_t)x->upstream_time.ns);
    to = put_u64(to, x->bytes_in);
    to = put_u64(to, x->bytes_out);
    to = put(to, x->id.bytes, sizeof(x->id.bytes));
    to = put(to, x->trace, sizeof(x->trace));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        to = put_text(to, texts[i]);
    tape_commit(w, (size_t)(to - start));
    return true;
}

static void on_line(void *cookie, const struct log_line *line)
{
    struct records_sink *s = cookie;
    records_write_line(&s->writer, s->process, line);
}

void records_divert(struct records_sink *s)
{
    log_divert(on_line, s);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static void take(struct slice *from, void *to, size_t len, bool *bad)
{
    if (from->len < len) {
        *bad = true;
        memset(to, 0, len);
        return;
    }
    memcpy(to, from->at, len);
    *from = slice_from(*from, len);
}

static uint8_t take_u8(struct slice *from, bool *bad)
{
    uint8_t n;
    take(from, &n, sizeof(n), bad);
    return n;
}

static uint32_t take_u32(struct slice *from, bool *bad)
{
    uint32_t n;
    take(from, &n, sizeof(n), bad);
    return n;
}

static uint64_t take_u64(struct slice *from, bool *bad)
{
    uint64_t n;
    take(from, &n, sizeof(n), bad);
    return n;
}

static struct slice take_text(struct slice *from, bool *bad)
{
    uint32_t len = take_u32(from, bad);
    if (*bad || len == NO_TEXT)
        return SLICE_NONE;
    if (len >= from->len || from->at[len] != '\0') {
        *bad = true;
        return SLICE_NONE;
    }
    struct slice text = {from->at, len};
    *from = slice_from(*from, (size_t)len + 1);
    return text;
}

/* A text that is read as a C string. */
static const char *take_words(struct slice *from, bool *bad)
{
    struct slice text = take_text(from, bad);
    if (text.at == NULL)
        *bad = true;
    return text.at;
}

static void take_field(struct slice *from, struct log_field *f, bool *bad)
{
    *f = (struct log_field){.kind = (char)take_u8(from, bad)};
    f->name = take_words(from, bad);
    switch (f->kind) {
    case 'i':
        f->i = (long long)take_u64(from, bad);
        break;
    case 'f':
        take(from, &f->f, sizeof(f->f), bad);
        break;
    case 's':
        f->s = take_text(from, bad);
        break;
    case 'j':
        f->s = take_text(from, bad);
        *bad = *bad || f->s.len == 0;
        break;
    default:
        *bad = true;
    }
}

static int read_line(struct slice from, struct record *r)
{
    bool bad = false;
    uint8_t level = take_u8(&from, &bad);
    r->process = take_u32(&from, &bad);
    r->line = (struct log_line){.level = (enum log_level)level, .pid = (int)take_u32(&from, &bad), .process = ""};
    r->line.at.ns = (int64_t)take_u64(&from, &bad);
    r->line.message = take_text(&from, &bad);
    r->line.fields = r->fields;
    while (!bad && from.len > 0 && r->line.count <= RECORDS_FIELDS_MAX)
        take_field(&from, &r->fields[r->line.count++], &bad);
    return bad || level >= LOG_OFF || from.len > 0 ? -1 : 0;
}

static int read_exchange(struct slice from, struct record *r)
{
    struct records_exchange *x = &r->exchange;
    bool bad = false;
    uint8_t end = take_u8(&from, &bad);
    *x = (struct records_exchange){.end = (enum records_end)end};
    r->process = take_u32(&from, &bad);
    x->pid = (int)take_u32(&from, &bad);
    x->status = (int)take_u32(&from, &bad);
    x->version = (int)take_u32(&from, &bad);
    x->at.ns = (int64_t)take_u64(&from, &bad);
    x->duration.ns = (int64_t)take_u64(&from, &bad);
    x->upstream_time.ns = (int64_t)take_u64(&from, &bad);
    x->bytes_in = take_u64(&from, &bad);
    x->bytes_out = take_u64(&from, &bad);
    take(&from, x->id.bytes, sizeof(x->id.bytes), &bad);
    take(&from, x->trace, sizeof(x->trace), &bad);
    struct slice *texts[] = {&x->path,  &x->endpoint, &x->method,  &x->host,         &x->ip,
                             &x->agent, &x->reason,   &x->auth_by, &x->auth_subject, &x->upstream};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        *texts[i] = take_text(&from, &bad);
    return bad || end > RECORDS_CUT || from.len > 0 ? -1 : 0;
}

int records_read(struct slice bytes, struct record *out)
{
    bool bad = false;
    out->kind = (enum records_kind)take_u8(&bytes, &bad);
    switch (out->kind) {
    case RECORDS_LINE:
        return read_line(bytes, out);
    case RECORDS_EXCHANGE:
        return read_exchange(bytes, out);
    }
    return -1;
}
