/*
 * test_log.c: every record is one line of valid JSON whatever bytes it is given; and sealed memory files.
 */
#include "base/fd.h"
#include "base/log.h"
#include "codec/json.h"
#include <stdio.h>
#include <unistd.h>
// clang-format off
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

static void any_bytes_make_one_line_of_valid_json(void **state)
{
    int ends[2];
    char bytes[256], line[4096];
    struct json_fault fault;
    struct json_reader *reader = json_reader_new();
    assert_int_equal(pipe(ends), 0);
    log_open(ends[1], LOG_INFO, "test", false);
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    log_at(LOG_INFO, "a \"quoted\"\nmessage", LOG_SLICE("bytes", ((struct slice){bytes, sizeof(bytes)})),
           LOG_INT("n", -5), LOG_FLOAT("f", 0.5), LOG_JSON("j", SLICE("[1]")), LOG_STR("none", NULL));
    log_at(LOG_DEBUG, "not wanted");
    ssize_t len = read(ends[0], line, sizeof(line));
    assert_true(len > 0 && line[len - 1] == '\n');
    assert_null(memchr(line, '\n', (size_t)len - 1));
    assert_int_equal(json_parse(reader, (struct slice){line, (size_t)len - 1}, &fault), 0);
    struct json_walk walk;
    struct json_token token;
    assert_true(json_walk_at(reader, SLICE("/message"), &walk));
    json_next(&walk, &token);
    assert_true(slice_equal(token.text, SLICE("a \"quoted\"\nmessage")));
    assert_true(json_walk_at(reader, SLICE("/j/0"), &walk));
    json_reader_free(&reader);
    log_open(STDERR_FILENO, LOG_INFO, "test", false);
    close(ends[0]);
    close(ends[1]);
}

static void on_a_terminal_no_byte_of_a_peer_is_a_control(void **state)
{
    int ends[2];
    char line[4096];
    assert_int_equal(pipe(ends), 0);
    log_open(ends[1], LOG_INFO, "test", true);
    log_at(LOG_INFO, "m\x1b[2J\r", LOG_STR("name\x1b\n", "value\x1b\xc2\x9b\x9b\n"));
    ssize_t len = read(ends[0], line, sizeof(line));
    assert_true(len > 0);
    struct slice text = {line, (size_t)len - 1};
    for (size_t i = 0; i < text.len; i++) /* the only escapes are our colours, before the message */
        assert_true((unsigned char)line[i] != 0x9b && line[i] != '\r' && (line[i] != '\x1b' || i < 40) &&
                    (line[i] != '\n' || slice_starts(slice_from(text, i + 1), SLICE("    "))));
    log_open(STDERR_FILENO, LOG_INFO, "test", false);
    close(ends[0]);
    close(ends[1]);
}

static void assert_no_control(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        bool c1 = i > 0 && (unsigned char)text.at[i - 1] == 0xc2 && c < 0xa0;
        if ((c < ' ' && i + 1 < text.len) || c == 0x7f || c1)
            fail_msg("byte %02x in %.*s", c, SLICE_ARG(text));
    }
}

/* Of our writer, which escapes what JSON demands and no more; and of a process that was taken over. */
static void a_json_field_has_no_control_that_a_terminal_obeys(void **state)
{
    static const enum log_form forms[] = {LOG_JSON_LINES, LOG_PLAIN};
    const struct log_field fields[] = {
        LOG_JSON("ours", SLICE("[\"\x7f\xc2\x80-\xc2\x9b[2J\xc2\x9f|\xc2\xa0\xc3\xa9\\\\\"]")),
        LOG_JSON("theirs", SLICE("\x1b\n\x9b[2J\xc2"))};
    for (size_t i = 0; i < 2; i++) {
        struct buf out = {0};
        const struct log_line line = {
            .level = LOG_INFO, .process = "test", .message = SLICE("m"), .fields = fields, .count = 2};
        log_format(&out, forms[i], &line);
        assert_no_control(buf_slice(&out));
        assert_non_null(strstr(buf_text(&out), "[\"\\u007f\\u0080-\\u009b[2J\\u009f|\xc2\xa0\xc3\xa9\\\\\"]"));
        buf_free(&out);
    }
}

/* A traceback, say. A record of the log begins at the left edge, whatever is in a value. */
static void on_a_terminal_a_value_of_several_lines_is_several_lines(void **state)
{
    struct buf out = {0};
    const struct log_field field = LOG_STR("error", "a.lua:1: no\nstack traceback:\n\t[C]: in x\n2026\tno record");
    const struct log_line line = {
        .level = LOG_ERROR, .process = "test", .message = SLICE("script\nerror"), .fields = &field, .count = 1};
    log_format(&out, LOG_COLOURED, &line);
    assert_non_null(strstr(buf_text(&out), "script\\nerror  error=\"a.lua:1: no\n"
                                           "    stack traceback:\n"
                                           "      [C]: in x\n"
                                           "    2026\\u0009no record\"\n"));
    buf_clear(&out);
    log_format(&out, LOG_PLAIN, &line);
    assert_non_null(strstr(buf_text(&out), "error=\"a.lua:1: no\\nstack traceback:\\n"));
    buf_free(&out);
}

static void an_unwritable_sink_counts_what_it_drops(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    close(ends[1]);
    unsigned long before = log_dropped();
    log_open(ends[1], LOG_INFO, "test", false);
    log_at(LOG_ERROR, "lost");
    assert_int_equal(log_dropped(), before + 1);
    log_open(STDERR_FILENO, LOG_INFO, "test", false);
    close(ends[0]);
}

static void sealed_files_read_back_and_unsealed_ones_are_refused(void **state)
{
    struct error err;
    struct slice back;
    int fd = fd_sealed("test", SLICE("text"), &err);
    assert_true(fd >= 0);
    assert_int_equal(fd_map_sealed(fd, &back, &err), 0);
    assert_true(slice_equal(back, SLICE("text")));
    assert_true(write(fd, "x", 1) < 0);
    fd_close(&fd);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fd_map_sealed(ends[0], &back, &err), -1);
    close(ends[0]);
    close(ends[1]);
}

static void reading_a_folder_or_too_much_is_an_error_with_the_path(void **state)
{
    struct error err;
    struct buf b = {0};
    assert_int_equal(fd_read_file("/", 100, &b, &err), -1);
    assert_string_equal(err.text, "/: not a regular file");
    assert_int_equal(fd_read_file("/proc/self/maps", 10, &b, &err), -1);
    assert_string_equal(err.text, "/proc/self/maps: more than 10 bytes");
    buf_free(&b);
}

/* What would have the rest of the line read backwards, or on another line: U+202E and the like. */
static void no_mark_of_a_peer_turns_the_text_around(void **state)
{
    static const char marks[] =
        "\xd8\x9c\xe2\x80\x8e\xe2\x80\x8f\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\xe2\x80\xab\xe2\x80\xac"
        "\xe2\x80\xad\xe2\x80\xae\xe2\x81\xa6\xe2\x81\xa7\xe2\x81\xa8\xe2\x81\xa9";
    static const char shown[] =
        "\\u061c\\u200e\\u200f\\u2028\\u2029\\u202a\\u202b\\u202c\\u202d\\u202e\\u2066\\u2067\\u2068\\u2069";
    /* their neighbours, which are letters, blanks and punctuation */
    static const char harmless[] =
        "\xd8\x9b\xd8\x9d\xe2\x80\x8d\xe2\x80\x90\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa|\xe2\x82\xac";
    static const enum log_form forms[] = {LOG_JSON_LINES, LOG_PLAIN, LOG_COLOURED};
    char json[128];
    snprintf(json, sizeof(json), "[\"%s\"]", marks);
    for (size_t i = 0; i < 3; i++) {
        const struct log_field fields[] = {{.name = marks, .kind = 's', .s = slice_of(marks)},
                                           {.name = "json", .kind = 'j', .s = slice_of(json)},
                                           {.name = "harmless", .kind = 's', .s = slice_of(harmless)}};
        const struct log_line line = {
            .level = LOG_INFO, .process = "x", .message = slice_of(marks), .fields = fields, .count = 3};
        struct buf out = {0};
        size_t seen = 0;
        log_format(&out, forms[i], &line);
        for (const char *at = buf_text(&out); (at = strstr(at, shown)) != NULL; at++)
            seen++;
        assert_int_equal(seen, 4); /* message, name, value, JSON */
        assert_non_null(strstr(buf_text(&out), harmless));
        for (const char *at = marks; *at != '\0'; at += *at == '\xd8' ? 2 : 3)
            assert_null(memmem(out.at, out.len, at, *at == '\xd8' ? 2 : 3));
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_bytes_make_one_line_of_valid_json),
        cmocka_unit_test(on_a_terminal_no_byte_of_a_peer_is_a_control),
        cmocka_unit_test(a_json_field_has_no_control_that_a_terminal_obeys),
        cmocka_unit_test(no_mark_of_a_peer_turns_the_text_around),
        cmocka_unit_test(on_a_terminal_a_value_of_several_lines_is_several_lines),
        cmocka_unit_test(an_unwritable_sink_counts_what_it_drops),
        cmocka_unit_test(sealed_files_read_back_and_unsealed_ones_are_refused),
        cmocka_unit_test(reading_a_folder_or_too_much_is_an_error_with_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
