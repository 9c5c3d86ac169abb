/*
 * test_json.c: JSON in and out: what is read, what is refused and where, duplicate names, big integers, the writer.
 * The two parsers behind json.h are held against each other on generated texts.
 */
#include "codec/json_tape.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

/* A walk back to text, by the writer. */
static void write_walk(struct json_walk *w, struct buf *out)
{
    struct json_writer j;
    struct json_token t;
    char closing[JSON_DEPTH_MAX + 1];
    size_t depth = 0;
    json_write_begin(&j, out);
    for (json_next(w, &t); t.kind != JSON_DONE; json_next(w, &t)) {
        if (t.name.at != NULL)
            assert_true(json_write_name(&j, t.name));
        switch (t.kind) {
        case JSON_INT:
            json_write_int(&j, t.i);
            break;
        case JSON_UINT:
            json_write_uint(&j, t.u);
            break;
        case JSON_BIG:
            json_write_raw(&j, t.text);
            break;
        case JSON_DOUBLE:
            assert_true(json_write_double(&j, t.d));
            break;
        case JSON_STRING:
            assert_true(json_write_string(&j, t.text));
            break;
        case JSON_ARRAY:
            json_write_array(&j);
            closing[depth++] = ']';
            break;
        case JSON_OBJECT:
            json_write_object(&j);
            closing[depth++] = '}';
            break;
        case JSON_END:
            assert_true(depth > 0);
            json_write_end(&j, closing[--depth]);
            break;
        case JSON_NULL:
            json_write_null(&j);
            break;
        default:
            json_write_bool(&j, t.kind == JSON_TRUE);
        }
    }
    assert_int_equal(depth, 0);
    json_next(w, &t);
    assert_int_equal(t.kind, JSON_DONE);
}

static void assert_reads_as(struct slice text, const char *expected)
{
    struct json_reader *r = json_reader_new();
    struct json_fault fault;
    struct json_walk w;
    struct buf out = {0};
    if (json_parse(r, text, &fault) != 0)
        fail_msg("%.*s: line %zu column %zu: %s", SLICE_ARG(text), fault.line, fault.column, fault.what);
    json_walk_root(r, &w);
    write_walk(&w, &out);
    assert_string_equal(buf_text(&out), expected);
    buf_free(&out);
    json_reader_free(&r);
}

static void values_come_back(void **state)
{
    static const char *const same[] = {"null",
                                       "true",
                                       "false",
                                       "0",
                                       "-1",
                                       "\"\"",
                                       "[]",
                                       "{}",
                                       "[[],{},[{}]]",
                                       "{\"a\":{\"b\":[1,2,{\"c\":null}]},\"d\":\"e\"}",
                                       "9223372036854775807",
                                       "-9223372036854775808",
                                       "9223372036854775808",
                                       "18446744073709551615",
                                       "0.1",
                                       "1e+22",
                                       "5e-324",
                                       "1.7976931348623157e+308",
                                       "123456789.125",
                                       "\"\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80/\"",
                                       "\"\\u0000\\u001f\\\"\\\\\\n\\t\\b\\f\\r\x7f\""};
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        assert_reads_as(slice_of(same[i]), same[i]);
    assert_reads_as(SLICE(" { \"a\" :\t[ 1 ,\r\n2 ] } "), "{\"a\":[1,2]}");
    assert_reads_as(SLICE("\"\\u00e9\\ud83d\\ude00\\/\""), "\"\xc3\xa9\xf0\x9f\x98\x80/\"");
    assert_reads_as(SLICE("[1.0,1e3,-0.0]"), "[1,1000,-0.0]");
    assert_reads_as(SLICE("{\"a\":1,\"a\":2}"), "{\"a\":1,\"a\":2}"); /* a full walk sees both, in order */
}

static void integers_beyond_64_bits_keep_their_digits(void **state)
{
    assert_reads_as(SLICE("[18446744073709551616,-9223372036854775809,1,{\"x\\u0041\":[\"\\n\"]}]"),
                    "[18446744073709551616,-9223372036854775809,1,{\"xA\":[\"\\n\"]}]");
    assert_reads_as(SLICE("123456789012345678901234567890123456789012345678901234567890"),
                    "123456789012345678901234567890123456789012345678901234567890");
}

static void a_fault_has_its_place(void **state)
{
    static const struct {
        const char *text;
        size_t line, column;
        const char *what;
    } wrong[] = {
        {"", 1, 1, "the text is empty"},
        {" \n ", 2, 2, "the text is empty"},
        {"{\"a\":1,}", 1, 8, "expected a name in double quotes"},
        {"{a:1}", 1, 2, "expected a name in double quotes, or '}'"},
        {"[1,\n 2 3]", 2, 4, "expected ',' or ']'"},
        {"[1,]", 1, 4, "expected a value"},
        {"{\"a\" 1}", 1, 6, "expected ':'"},
        {"{\"a\":1", 1, 7, "expected ',' or '}'"},
        {"1 2", 1, 3, "expected the end of the text"},
        {"[01]", 1, 2, "a number has no leading zero"},
        {"[1.]", 1, 4, "expected a digit"},
        {"[-]", 1, 3, "expected a digit"},
        {"[1e+]", 1, 5, "expected a digit"},
        {"[+1]", 1, 2, "expected a value"},
        {"[.5]", 1, 2, "expected a value"},
        {"[1e400]", 1, 2, "number too large"},
        {"[-1e400]", 1, 2, "number too large"},
        {"NaN", 1, 1, "expected a value"},
        {"nul", 1, 1, "expected a value"},
        {"nulll", 1, 5, "expected the end of the text"},
        {"'a'", 1, 1, "expected a value"},
        {"[\"abc]", 1, 2, "the string has no end"},
        {"\"a\nb\"", 1, 3, "control character in a string"},
        {"\"\\x\"", 1, 2, "unknown escape"},
        {"\"\\u12g4\"", 1, 2, "expected four hex digits behind '\\u'"},
        {"\"\\ud800\"", 1, 2, "half of a surrogate pair"},
        {"\"\\udc00\"", 1, 2, "half of a surrogate pair"},
        {"\"\\ud800\\u0041\"", 1, 2, "half of a surrogate pair"},
        {"\"ab\xff\"", 1, 4, "invalid UTF-8"},
        {"\"\xed\xa0\x80\"", 1, 2, "invalid UTF-8"},
        {"\xef\xbb\xbf{}", 1, 1, "expected a value"},
        {"{/*x*/}", 1, 2, "expected a name in double quotes, or '}'"},
        {"[1]//x", 1, 4, "expected the end of the text"},
    };
    struct json_reader *r = json_reader_new();
    struct json_fault fault;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(json_parse(r, slice_of(wrong[i].text), &fault), -1);
        assert_string_equal(fault.what, wrong[i].what);
        assert_int_equal(fault.line, wrong[i].line);
        assert_int_equal(fault.column, wrong[i].column);
    }
    assert_int_equal(json_parse(r, SLICE("[1\0]"), &fault), -1);
    assert_int_equal(fault.offset, 2);
    json_reader_free(&r);
}

static void a_lower_bound_of_depth_is_as_exact(void **state)
{
    struct json_reader *r = json_reader_new();
    struct json_fault fault;
    static const unsigned bounds[] = {1, 2, 3, 17, 64, JSON_DEPTH_MAX, 5};
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        json_reader_bound(r, bounds[i]);
        assert_int_equal(json_parse(r, SLICE("7"), &fault), 0);
        for (unsigned depth = 1; depth <= bounds[i] + 1; depth++) {
            struct buf b = {0};
            for (unsigned k = 0; k < depth; k++)
                buf_add_text(&b, k % 2 == 0 ? "[" : "{\"a\":");
            buf_add_text(&b, "1");
            for (unsigned k = depth; k-- > 0;)
                buf_add_text(&b, k % 2 == 0 ? "]" : "}");
            fault.deep = false;
            assert_int_equal(json_parse(r, buf_slice(&b), &fault), depth > bounds[i] ? -1 : 0);
            assert_int_equal(fault.deep, depth > bounds[i]);
            buf_free(&b);
        }
        assert_int_equal(json_parse(r, SLICE("[[[["), &fault), -1);
        assert_int_equal(fault.deep, bounds[i] < 4);
    }
    json_reader_free(&r);
}

static void depth_ends_at_its_bound(void **state)
{
    char text[2 * JSON_DEPTH_MAX + 8];
    for (int inner = 0; inner < 3; inner++) { /* empty, with a value, an object with a big integer (the other parser) */
        static const char *const cores[] = {"", "1", "18446744073709551616"};
        for (size_t depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
            struct buf b = {0};
            struct json_reader *r = json_reader_new();
            struct json_fault fault;
            for (size_t i = 0; i < depth; i++)
                buf_add_char(&b, '[');
            buf_add_text(&b, cores[inner]);
            for (size_t i = 0; i < depth; i++)
                buf_add_char(&b, ']');
            assert_int_equal(json_parse(r, buf_slice(&b), &fault), depth > JSON_DEPTH_MAX ? -1 : 0);
            if (depth > JSON_DEPTH_MAX)
                assert_int_equal(fault.offset, JSON_DEPTH_MAX);
            else
                assert_reads_as(buf_slice(&b), buf_text(&b));
            buf_free(&b);
            json_reader_free(&r);
        }
    }
    memset(text, '[', sizeof(text));
    struct json_reader *r = json_reader_new();
    struct json_fault fault;
    assert_int_equal(json_parse(r, (struct slice){text, sizeof(text)}, &fault), -1);
    json_reader_free(&r);
}

static void assert_picks(struct json_reader *r, const char *pointer, const char *expected)
{
    struct json_walk w;
    struct buf out = {0};
    bool found = json_walk_at(r, slice_of(pointer), &w);
    if (found != (expected != NULL))
        fail_msg("%s: %s", pointer, found ? "found" : "not found");
    if (found) {
        write_walk(&w, &out);
        assert_string_equal(buf_text(&out), expected);
    }
    buf_free(&out);
}

/* A reader of "{members" and what ends them; it reads from text_out. */
static struct json_reader *parsed(const char *members, const char *more, struct buf *text_out)
{
    struct json_reader *r = json_reader_new();
    struct json_fault fault;
    buf_addf(text_out, "{%s%s", members, more);
    assert_int_equal(json_parse(r, buf_slice(text_out), &fault), 0);
    return r;
}

/* The document and the expected values of RFC 6901 5, and the last of duplicate names. Run on both parsers. */
static void pointers_find_what_they_name(void **state)
{
    static const char members[] =
        "\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"m~n\":8,\" \":7,\"dup\":{\"x\":1},"
        "\"o\":{\"k\":[1,{\"v\":[]}]},\"dup\":{\"y\":2},\"z\":null";
    static const char *const more[] = {"}", ",\"big\":18446744073709551616}"};
    for (int i = 0; i < 2; i++) {
        struct buf text = {0};
        struct json_reader *r = parsed(members, more[i], &text);
        assert_picks(r, "", buf_text(&text));
        assert_picks(r, "/foo", "[\"bar\",\"baz\"]");
        assert_picks(r, "/foo/0", "\"bar\"");
        assert_picks(r, "/foo/1", "\"baz\"");
        assert_picks(r, "/", "0");
        assert_picks(r, "/a~1b", "1");
        assert_picks(r, "/c%d", "2");
        assert_picks(r, "/m~0n", "8");
        assert_picks(r, "/ ", "7");
        assert_picks(r, "/dup", "{\"y\":2}");
        assert_picks(r, "/dup/x", NULL);
        assert_picks(r, "/o/k/1/v", "[]");
        assert_picks(r, "/z", "null");
        static const char *const none[] = {"/foo/2", "/foo/-",     "/foo/01", "/foo/", "/foo/0/x",
                                           "/nope",  "/o/k/1/v/0", "/fo",     "/fooo", "/foo/18446744073709551617",
                                           "/z/a",   "/m~n~"};
        for (size_t j = 0; j < sizeof(none) / sizeof(none[0]); j++)
            assert_picks(r, none[j], NULL);
        json_reader_free(&r);
        buf_free(&text);
    }
    assert_null(pointer_check(SLICE("")));
    assert_null(pointer_check(SLICE("/a~1b/~0/0/")));
    assert_non_null(pointer_check(SLICE("a")));
    assert_non_null(pointer_check(SLICE("/a~")));
    assert_non_null(pointer_check(SLICE("/~2")));
    assert_non_null(pointer_check(SLICE("/\xff")));
}

/* Names that texts follow are told apart by where the strings lie: escapes, numbers and nothing between. Both parsers.
 */
static void pointers_find_texts(void **state)
{
    static const char members[] =
        "\"\":\"\",\"ref\":\"a\",\"rei\":\"\",\"n\":12,\"r\\u00e9\":\"\\n\\u00e9\",\"d\":0.5,\"dup\":\"1\","
        "\"in\":{\"ref\":\"b\",\"x\":{},\"ref\":\"\"},\"dup\":\"22\",\"u\":18446744073709551615,\"last\":\"z\"";
    static const char *const more[] = {"}", ",\"big\":18446744073709551616,\"behind\":\"y\"}"};
    for (int i = 0; i < 2; i++) {
        struct buf text = {0};
        struct json_reader *r = parsed(members, more[i], &text);
        assert_picks(r, "/", "\"\"");
        assert_picks(r, "/ref", "\"a\"");
        assert_picks(r, "/rei", "\"\"");
        assert_picks(r, "/r\xc3\xa9", "\"\\n\xc3\xa9\"");
        assert_picks(r, "/dup", "\"22\"");
        assert_picks(r, "/in/ref", "\"\"");
        assert_picks(r, "/last", "\"z\"");
        assert_picks(r, "/behind", i == 0 ? NULL : "\"y\"");
        static const char *const none[] = {"/re", "/reg", "/reff", "/in/", "/in/rei", "/las", "/lasz"};
        for (size_t j = 0; j < sizeof(none) / sizeof(none[0]); j++)
            assert_picks(r, none[j], NULL);
        json_reader_free(&r);
        buf_free(&text);
    }
}

/* The same for names that scalars follow, whose next string is a name; and containers, whose next one lies within. */
static void pointers_find_scalars(void **state)
{
    static const char members[] = "\"t\":true,\"tt\":false,\"\":null,\"e\\u00e9\":-1,\"i\":1,\"d\":0.5,\"u\":"
                                  "18446744073709551615,\"c\":{},\"cc\":[],"
                                  "\"long\":{\"within\":\"x\",\"t\":0},\"list\":[\"y\",1],\"t\":7,\"two\":{\"a\":1,"
                                  "\"bb\":2},\"s\":\"z\",\"end\":3";
    static const char *const more[] = {"}", ",\"big\":18446744073709551616,\"after\":null}"};
    for (int i = 0; i < 2; i++) {
        struct buf text = {0};
        struct json_reader *r = parsed(members, more[i], &text);
        static const char *const there[][2] = {{"/t", "7"},         {"/tt", "false"},
                                               {"/", "null"},       {"/e\xc3\xa9", "-1"},
                                               {"/i", "1"},         {"/d", "0.5"},
                                               {"/c", "{}"},        {"/cc", "[]"},
                                               {"/long/t", "0"},    {"/long/within", "\"x\""},
                                               {"/list/1", "1"},    {"/two/a", "1"},
                                               {"/two/bb", "2"},    {"/s", "\"z\""},
                                               {"/end", "3"},       {"/u", "18446744073709551615"},
                                               {"/list/0", "\"y\""}};
        for (size_t j = 0; j < sizeof(there) / sizeof(there[0]); j++)
            assert_picks(r, there[j][0], there[j][1]);
        assert_picks(r, "/big", i == 0 ? NULL : "18446744073709551616");
        assert_picks(r, "/after", i == 0 ? NULL : "null");
        static const char *const none[] = {"/ttt",   "/ii",     "/x",      "/en",   "/endd",
                                           "/two/b", "/two/aa", "/within", "/long/"};
        for (size_t j = 0; j < sizeof(none) / sizeof(none[0]); j++)
            assert_picks(r, none[j], NULL);
        json_reader_free(&r);
        buf_free(&text);
    }
}

static void a_reader_lets_go_of_what_was_large(void **state)
{
    struct json_reader *r = json_reader_new();
    struct json_fault fault;
    struct json_walk w;
    struct buf large = {0};
    buf_add_char(&large, '[');
    for (int i = 0; i < 200000; i++)
        buf_addf(&large, "%d,", i);
    for (int i = 0; i < 2; i++) { /* second round: by the other parser */
        buf_add_text(&large, i == 0 ? "0]" : ",18446744073709551616]");
        assert_int_equal(json_parse(r, buf_slice(&large), &fault), 0);
        assert_true(json_walk_at(r, SLICE("/199999"), &w));
        json_reader_trim(r);
        assert_null(json_reader_tape(r).words);
        assert_int_equal(json_parse(r, SLICE("[7]"), &fault), 0);
        json_reader_trim(r);
        assert_picks(r, "/0", "7");
        large.len--;
    }
    buf_free(&large);
    json_reader_free(&r);
}

/* --- the parsers against each other ------------------------------------------------------------------------------- */

static uint32_t seed = 1;

static uint32_t roll(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)seed * below >> 32);
}

static void generate(struct buf *out, int depth)
{
    static const char *const scalars[] = {"null",
                                          "true",
                                          "false",
                                          "0",
                                          "-0",
                                          "-1",
                                          "12345678901",
                                          "1e5",
                                          "-2.5E-3",
                                          "0.0",
                                          "9223372036854775807",
                                          "-9223372036854775808",
                                          "18446744073709551615",
                                          "\"\"",
                                          "\"abc\"",
                                          "\"\\u00e9\\n\"",
                                          "\"\xe2\x82\xac uro\"",
                                          "\"\\ud83d\\ude00\"",
                                          "\"a longer string, longer than thirty-two bytes, with a \\\" in it\"",
                                          "1.7976931348623157e308",
                                          "4.9e-324",
                                          "2.2250738585072011e-308",
                                          "123456789012345678.5",
                                          " 1 "};
    uint32_t kind = depth > 5 ? 2 : roll(4);
    if (kind >= 2) {
        buf_add_text(out, scalars[roll(sizeof(scalars) / sizeof(scalars[0]))]);
        return;
    }
    uint32_t count = roll(5);
    buf_add_char(out, kind == 0 ? '[' : '{');
    for (uint32_t i = 0; i < count; i++) {
        if (kind == 1)
            buf_addf(out, "\"k%u\":", roll(3));
        generate(out, depth + 1);
        if (i + 1 < count)
            buf_add_text(out, ", ");
    }
    buf_add_char(out, kind == 0 ? ']' : '}');
}

/* The same text by the strict parser alone: both tapes are the same, or both refuse. */
static void assert_parsers_agree(struct slice text)
{
    struct json_reader *r = json_reader_new();
    struct json_slow *slow = json_slow_new();
    struct json_tape tape;
    struct json_fault fault;
    bool fast_good = json_parse(r, text, &fault) == 0,
         slow_good = json_slow_parse(slow, text, JSON_DEPTH_MAX, &tape, &fault) == 0;
    if (fast_good != slow_good)
        fail_msg("%.*s: simdjson says %d, the strict parser %d", SLICE_ARG(text), fast_good, slow_good);
    if (fast_good) {
        struct buf a = {0}, b = {0};
        struct json_walk w;
        json_walk_root(r, &w);
        write_walk(&w, &a);
        w = (struct json_walk){
            .tape = tape.words, .strings = tape.strings, .at = 1, .end = tape.words[0] & JSON_TAPE_PAYLOAD};
        write_walk(&w, &b);
        assert_string_equal(buf_text(&a), buf_text(&b));
        buf_free(&a);
        buf_free(&b);
    }
    json_slow_free(&slow);
    json_reader_free(&r);
}

static void both_parsers_say_the_same(void **state)
{
    for (int i = 0; i < 3000; i++) {
        struct buf text = {0};
        generate(&text, 0);
        assert_parsers_agree(buf_slice(&text));
        for (int j = 0; j < 3 && text.len > 0; j++) { /* and with a byte that is another one, or gone */
            static const char bytes[] = "{}[],:\"\\0159eE+-.tfnu \n\x01\x80\xc3\xff";
            size_t at = roll((uint32_t)text.len);
            if (roll(3) == 0)
                text.len = at;
            else
                text.at[at] = bytes[roll(sizeof(bytes))];
            if (text.len > 0)
                assert_parsers_agree(buf_slice(&text));
        }
        buf_free(&text);
    }
}

/* --- the writer --------------------------------------------------------------------------------------------------- */

/* At the very end of memory, and before bytes that would go on with it. */
static void what_lies_behind_a_text_does_not_matter(void **state)
{
    static const char *const texts[] = {
        "12", "-1.5e3", "true", "null", "\"a\\n\"", "[1,\"two\",[false]]", "{\"a\":{\"b\":3}}"};
    static const char *const wrong[] = {"12x", "tru", "\"a", "[1,", "{\"a\":1"};
    const size_t page = 4096;
    char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_int_equal(mprotect(memory + page, page, PROT_NONE), 0);
    struct json_reader *r = json_reader_new();
    struct json_fault fault;
    for (size_t before_end = 0; before_end < 160; before_end++) {
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) + sizeof(wrong) / sizeof(wrong[0]); i++) {
            bool good = i < sizeof(texts) / sizeof(texts[0]);
            const char *text = good ? texts[i] : wrong[i - sizeof(texts) / sizeof(texts[0])];
            char *at = memory + page - before_end - strlen(text);
            memset(memory, i % 2 ? '7' : '"', page);
            memcpy(at, text, strlen(text));
            assert_int_equal(json_parse(r, (struct slice){at, strlen(text)}, &fault), good ? 0 : -1);
        }
    }
    json_reader_free(&r);
    munmap(memory, 2 * page);
}

static void the_writer_escapes_what_it_must(void **state)
{
    struct buf out = {0};
    struct json_writer w;
    char text[64];
    for (size_t before = 0; before < 18; before++) { /* around the eight bytes that are looked at together */
        memset(text, 'x', sizeof(text));
        text[before] = '"';
        text[before + 1] = '\x1f';
        json_write_begin(&w, &out);
        buf_clear(&out);
        assert_true(json_write_string(&w, (struct slice){text, before + 3}));
        assert_int_equal(out.len, before + 3 + 1 + 5 + 2);
        assert_memory_equal(out.at + 1 + before, "\\\"\\u001fx\"", 10);
    }
    buf_clear(&out);
    json_write_begin(&w, &out);
    json_write_array(&w);
    assert_true(json_write_string(&w, SLICE("\xc3\xa9\x7f</script>")));
    assert_false(json_write_string(&w, SLICE("a\"\xff")));
    json_write_text(&w, SLICE("a\xff\xc3z\xe2\x82"));
    assert_true(json_write_string(&w, SLICE_NONE));
    json_write_end(&w, ']');
    assert_string_equal(buf_text(&out),
                        "[\"\xc3\xa9\x7f</script>\",\"a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\",\"\"]");
    buf_free(&out);
}

static void numbers_read_back_the_same(void **state)
{
    static const double special[] = {0.1,
                                     1.0 / 3,
                                     1e21,
                                     1e22,
                                     1e300,
                                     5e-324,
                                     2.2250738585072014e-308,
                                     123456.789,
                                     9007199254740991.0,
                                     9007199254740992.0,
                                     9007199254740994.0,
                                     -1.5,
                                     1e-7};
    struct buf out = {0};
    struct json_writer w;
    for (size_t i = 0; i < 20000; i++) {
        double d;
        uint64_t bits = (uint64_t)roll(UINT32_MAX) << 32 | roll(UINT32_MAX);
        memcpy(&d, &bits, sizeof(d));
        if (i < sizeof(special) / sizeof(special[0]))
            d = special[i];
        buf_clear(&out);
        json_write_begin(&w, &out);
        assert_int_equal(json_write_double(&w, d), isfinite(d) != 0);
        if (isfinite(d))
            assert_true(strtod(buf_text(&out), NULL) == d);
    }
    buf_clear(&out);
    json_write_begin(&w, &out);
    json_write_array(&w);
    json_write_int(&w, INT64_MIN);
    json_write_int(&w, 0);
    json_write_uint(&w, UINT64_MAX);
    assert_true(json_write_double(&w, 9007199254740991.0));
    assert_true(json_write_double(&w, -3.0));
    assert_false(json_write_double(&w, NAN));
    assert_false(json_write_double(&w, -INFINITY));
    json_write_end(&w, ']');
    assert_string_equal(buf_text(&out), "[-9223372036854775808,0,18446744073709551615,9007199254740991,-3]");
    buf_free(&out);
}

static void a_full_buf_is_said(void **state)
{
    for (size_t limit = 1; limit < 40; limit++) {
        struct buf out = {.limit = limit};
        struct json_writer w;
        json_write_begin(&w, &out);
        json_write_object(&w);
        json_write_name(&w, SLICE("name"));
        json_write_string(&w, SLICE("a long text with \"quotes\" in it"));
        json_write_end(&w, '}');
        assert_true(out.overflow);
        assert_true(out.len <= limit);
        buf_free(&out);
    }
}

static void pretty_is_the_same_json(void **state)
{
    struct buf out = {0};
    json_write_pretty(SLICE("{\"a\":[],\"b\":{},\"c\":[1,\"x,[{\\\"\"],\"d\":{\"e\":null}}"), &out);
    assert_string_equal(buf_text(&out), "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    \"x,[{\\\"\"\n  ],\n"
                                        "  \"d\": {\n    \"e\": null\n  }\n}");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back),
        cmocka_unit_test(integers_beyond_64_bits_keep_their_digits),
        cmocka_unit_test(a_fault_has_its_place),
        cmocka_unit_test(a_lower_bound_of_depth_is_as_exact),
        cmocka_unit_test(depth_ends_at_its_bound),
        cmocka_unit_test(pointers_find_what_they_name),
        cmocka_unit_test(pointers_find_texts),
        cmocka_unit_test(pointers_find_scalars),
        cmocka_unit_test(a_reader_lets_go_of_what_was_large),
        cmocka_unit_test(both_parsers_say_the_same),
        cmocka_unit_test(what_lies_behind_a_text_does_not_matter),
        cmocka_unit_test(the_writer_escapes_what_it_must),
        cmocka_unit_test(numbers_read_back_the_same),
        cmocka_unit_test(a_full_buf_is_said),
        cmocka_unit_test(pretty_is_the_same_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
