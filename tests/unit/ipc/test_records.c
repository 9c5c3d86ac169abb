/*
 * test_records.c: what is put onto a tape comes back the same, and as one line of valid JSON; bytes that are no record
 * are refused, whichever they are.
 */
#include "base/panic.h"
#include "codec/json.h"
#include "ipc/records.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
// clang-format off
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

static struct tape *tape;
static struct tape_bell bell;
static struct tape_writer writer;
static struct tape_reader reader;
static struct buf bytes, line;
static struct record record;

static int setup(void **state)
{
    tape = mmap(NULL, sizeof(*tape), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(tape, MAP_FAILED);
    tape_writer_init(&writer, tape, &bell, -1);
    tape_reader_init(&reader, tape);
    return 0;
}

static int teardown(void **state)
{
    munmap(tape, sizeof(*tape));
    buf_free(&bytes);
    buf_free(&line);
    return 0;
}

static void next(void)
{
    assert_true(tape_next(&reader, &bytes));
    assert_int_equal(records_read(buf_slice(&bytes), &record), 0);
}

static void is(struct slice s, const char *expected)
{
    assert_int_equal(s.len, strlen(expected));
    assert_memory_equal(s.at, expected, s.len);
}

/* The value at a pointer of the line, as JSON; asserts that it is one line of JSON. */
static void assert_line(const char *pointer, const char *expected)
{
    struct json_reader *json = json_reader_new();
    struct json_fault fault;
    struct json_walk walk;
    struct json_token token;
    assert_true(line.len > 0 && line.at[line.len - 1] == '\n');
    assert_null(memchr(line.at, '\n', line.len - 1));
    assert_int_equal(json_parse(json, (struct slice){line.at, line.len - 1}, &fault), 0);
    assert_int_equal(json_walk_at(json, slice_of(pointer), &walk), expected != NULL);
    if (expected != NULL) {
        json_next(&walk, &token);
        is(token.text, expected);
    }
    json_reader_free(&json);
}

static void assert_has(const char *part)
{
    if (memmem(line.at, line.len, part, strlen(part)) == NULL)
        fail_msg("%s is not in %.*s", part, line.len < 2000 ? (int)line.len : 2000, line.at);
}

static void a_line_comes_back_with_all_its_fields(void **state)
{
    const struct log_field fields[] = {LOG_STR("s", "text"),
                                       LOG_STR("none", NULL),
                                       LOG_INT("i", -7),
                                       LOG_FLOAT("f", 0.5),
                                       LOG_JSON("j", SLICE("{\"a\":[1]}")),
                                       LOG_STR("empty", "")};
    const struct log_line said = {.level = LOG_WARN,
                                  .at = {1500000000123000000},
                                  .pid = 42,
                                  .message = SLICE("some\0\"words\""),
                                  .fields = fields,
                                  .count = 6};
    assert_true(records_write_line(&writer, 3, &said));
    next();
    assert_int_equal(record.kind, RECORDS_LINE);
    assert_int_equal(record.process, 3);
    assert_int_equal(record.line.level, LOG_WARN);
    assert_int_equal(record.line.count, 6);
    assert_null(record.line.fields[1].s.at);
    assert_non_null(record.line.fields[5].s.at);
    records_format(&line, LOG_JSON_LINES, &record, "worker 3");
    assert_line("/time", "2017-07-14T02:40:00.123Z");
    assert_line("/level", "warn");
    assert_line("/process", "worker 3");
    assert_has("\"message\":\"some\\u0000\\\"words\\\"\"");
    assert_line("/s", "text");
    assert_has("\"j\":{\"a\":[1]}");
    assert_has("\"i\":-7");
    assert_has("\"f\":0.5");
}

static void times_are_those_of_the_calendar(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } table[] = {{0, "1970-01-01T00:00:00.000Z"},          {951782399, "2000-02-28T23:59:59.000Z"},
                 {951782400, "2000-02-29T00:00:00.000Z"},  {1709251199, "2024-02-29T23:59:59.000Z"},
                 {1709251200, "2024-03-01T00:00:00.000Z"}, {4107542399, "2100-02-28T23:59:59.000Z"},
                 {4107542400, "2100-03-01T00:00:00.000Z"}, {1735689599, "2024-12-31T23:59:59.000Z"}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct log_line said = {
            .level = LOG_INFO, .at = {table[i].seconds * 1000000000}, .process = "p", .message = SLICE("m")};
        buf_clear(&line);
        log_format(&line, LOG_JSON_LINES, &said);
        assert_line("/time", table[i].text);
    }
}

static void texts_too_long_are_cut_and_it_says_so(void **state)
{
    size_t len = 3 * RECORDS_TEXT_MAX;
    char *text = need_alloc(len + 1), *json = need_alloc(len + 3);
    memset(text, 'x', len);
    text[len] = '\0';
    snprintf(json, len + 3, "\"%s\"", text);
    const struct log_field fields[] = {LOG_STR("big", text), LOG_JSON("j", slice_of(json)), LOG_INT("after", 1)};
    const struct log_line said = {.level = LOG_INFO, .message = slice_of(text), .fields = fields, .count = 3};
    assert_true(records_write_line(&writer, 0, &said));
    next();
    assert_true(bytes.len < TAPE_RECORD_MAX);
    records_format(&line, LOG_JSON_LINES, &record, "p");
    assert_has("\"after\":1");
    assert_line("/j", "(too long)");
    char cut[32];
    snprintf(cut, sizeof(cut), "\"bytes_cut\":%zu", len - RECORDS_TEXT_MAX + len + len + 2);
    assert_has(cut);
    free(text);
    free(json);
}

static struct records_exchange an_exchange(void)
{
    struct records_exchange x = {.at = {1500000000000000000},
                                 .duration = DUR_MS(12),
                                 .bytes_in = 10,
                                 .bytes_out = 20,
                                 .pid = 9,
                                 .status = 401,
                                 .version = 0x200,
                                 .end = RECORDS_REFUSED,
                                 .endpoint = SLICE("billing/stripe"),
                                 .method = SLICE("POST"),
                                 .path = SLICE("/billing/stripe"),
                                 .host = SLICE("hooks.example.com"),
                                 .ip = SLICE("::1"),
                                 .agent = SLICE("a \"quoted\"\n agent\xff"),
                                 .reason = SLICE("bad_signature")};
    memset(x.id.bytes, 0x5a, sizeof(x.id.bytes));
    return x;
}

static void an_exchange_comes_back_and_is_one_line(void **state)
{
    struct records_exchange x = an_exchange();
    assert_true(records_write_exchange(&writer, 1, &x));
    next();
    assert_int_equal(record.kind, RECORDS_EXCHANGE);
    assert_null(record.exchange.auth_by.at);
    is(record.exchange.path, "/billing/stripe");
    records_format(&line, LOG_JSON_LINES, &record, "worker 1");
    assert_line("/message", "request refused");
    assert_has("\"status\":401");
    assert_line("/reason", "bad_signature");
    assert_has("\"duration_ms\":12,");
    assert_line("/version", "2");
    assert_line("/request_id", "5a5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a");
    assert_line("/trace_id", "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a");
    assert_line("/auth_by", NULL);
    assert_line("/upstream", NULL);
    assert_null(memmem(line.at, line.len, "upstream_ms", 11));
    buf_clear(&line);
    records_format(&line, LOG_PLAIN, &record, "worker 1");
    assert_non_null(memmem(line.at, line.len, "POST /billing/stripe 401", 24));
    assert_ptr_equal(memchr(line.at, '\n', line.len), line.at + line.len - 1);
    memset(x.trace, 0xab, sizeof(x.trace));
    x.upstream = SLICE("http://127.0.0.1:9000");
    x.upstream_time = DUR_MS(3);
    records_write_exchange(&writer, 1, &x);
    next();
    buf_clear(&line);
    records_format(&line, LOG_JSON_LINES, &record, "worker 1");
    assert_line("/trace_id", "abababababababababababababababab");
    assert_line("/upstream", "http://127.0.0.1:9000");
    assert_has("\"upstream_ms\":3,");
}

static void how_an_exchange_ended_is_said_in_both_forms(void **state)
{
    static const struct {
        enum records_end end;
        const char *message, *text;
    } ends[] = {{RECORDS_ANSWERED, "request", "POST /billing/stripe 200  reason"},
                {RECORDS_REFUSED, "request refused", "POST /billing/stripe 200  reason"},
                {RECORDS_GONE, "request gone", "POST /billing/stripe 200 (client gone)  reason"},
                {RECORDS_CUT, "request cut", "POST /billing/stripe 200 (cut)  reason"}};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct records_exchange x = an_exchange();
        x.status = 200;
        x.end = ends[i].end;
        records_write_exchange(&writer, 1, &x);
        next();
        buf_clear(&line);
        records_format(&line, LOG_JSON_LINES, &record, "worker 1");
        assert_line("/message", ends[i].message);
        buf_clear(&line);
        records_format(&line, LOG_PLAIN, &record, "worker 1");
        assert_has(ends[i].text);
    }
}

static void an_exchange_with_huge_texts_is_bounded(void **state)
{
    static char huge[100000];
    struct records_exchange x = an_exchange();
    memset(huge, '/', sizeof(huge));
    x.path = x.agent = x.host = x.endpoint = (struct slice){huge, sizeof(huge)};
    assert_true(records_write_exchange(&writer, 1, &x));
    next();
    assert_int_equal(record.exchange.path.len, 1024);
    assert_int_equal(record.exchange.agent.len, 256);
}

/* Seeds of yesterday's records are refused at their first bytes: the fuzzer would begin with nothing. */
static void the_fuzzer_begins_with_records_of_today(void **state)
{
    int lines = 0, exchanges = 0;
    DIR *dir = opendir(RECORDS_CORPUS);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        static char room[TAPE_RECORD_MAX];
        int fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_CLOEXEC);
        ssize_t len = read(fd, room, sizeof(room)); /* of a folder: -1 */
        close(fd);
        if (len < 0 || records_read((struct slice){room, (size_t)len}, &record) != 0)
            continue;
        lines += record.kind == RECORDS_LINE && record.line.count > 0;
        exchanges += record.kind == RECORDS_EXCHANGE && record.exchange.upstream.len > 0;
    }
    closedir(dir);
    assert_true(lines > 0);
    assert_true(exchanges > 0);
}

/* --- hostile bytes ------------------------------------------------------------------------------------------------ */

static void formats(void)
{
    buf_clear(&line);
    records_format(&line, LOG_JSON_LINES, &record, "p");
    buf_clear(&line);
    records_format(&line, LOG_COLOURED, &record, "p"); /* where a value may have several lines */
    assert_int_equal(line.at[line.len - 1], '\n');
    buf_clear(&line);
    records_format(&line, LOG_PLAIN, &record, "p");
    assert_ptr_equal(memchr(line.at, '\n', line.len), line.at + line.len - 1);
}

static void try_bytes(const struct buf *b)
{
    struct slice exact = {slice_dup(buf_slice(b)), b->len}; /* memory of its own: a read beyond it shows */
    if (records_read(exact, &record) == 0)
        formats();
    free((char *)exact.at);
}

static void every_cut_and_every_changed_byte_is_survived(void **state)
{
    const struct log_field fields[] = {LOG_STR("s", "text"), LOG_INT("i", 1), LOG_FLOAT("f", 2),
                                       LOG_JSON("j", SLICE("[]"))};
    const struct log_line said = {.level = LOG_INFO, .message = SLICE("m"), .fields = fields, .count = 4};
    struct records_exchange x = an_exchange();
    for (int which = 0; which < 2; which++) {
        assert_true(which == 0 ? records_write_line(&writer, 0, &said) : records_write_exchange(&writer, 0, &x));
        next();
        struct buf copy = {0};
        for (size_t len = 0; len < bytes.len; len++) {
            buf_clear(&copy);
            buf_add(&copy, bytes.at, len);
            struct slice cut = buf_slice(&copy);
            bool good = records_read(cut, &record) == 0;
            assert_true(!good || which == 0); /* a line cut between two fields is one with fewer */
            try_bytes(&copy);
        }
        for (size_t at = 0; at < bytes.len; at++)
            for (int value = 0; value < 256; value++) {
                buf_clear(&copy);
                buf_add_slice(&copy, buf_slice(&bytes));
                copy.at[at] = (char)value;
                try_bytes(&copy);
            }
        buf_free(&copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_comes_back_with_all_its_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(times_are_those_of_the_calendar, setup, teardown),
        cmocka_unit_test_setup_teardown(texts_too_long_are_cut_and_it_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(an_exchange_comes_back_and_is_one_line, setup, teardown),
        cmocka_unit_test_setup_teardown(how_an_exchange_ended_is_said_in_both_forms, setup, teardown),
        cmocka_unit_test_setup_teardown(an_exchange_with_huge_texts_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(the_fuzzer_begins_with_records_of_today, setup, teardown),
        cmocka_unit_test_setup_teardown(every_cut_and_every_changed_byte_is_survived, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
