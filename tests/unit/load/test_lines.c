/*
 * test_lines.c: promise: a fault of a script names the line of its field, whatever comments, strings and functions
 * stand around it.
 */
#include "load/lines.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const char script[] = "-- a comment with return { verify = 1 }\n"                    /* 1 */
                             "local x = [[\nreturn { events = 2 }\n]]\n"                    /* 2-4 */
                             "local function f()\n"                                         /* 5 */
                             "  if x then return { handle = 1 } end\n"                      /* 6 */
                             "  for i = 1, 2 do while false do end end\n"                   /* 7 */
                             "  repeat local y = '} \\' {' until true\n"                    /* 8 */
                             "end\n"                                                        /* 9 */
                             "return {\n"                                                   /* 10 */
                             "  description = \"a = { b\", methods = { 'GET' },\n"          /* 11 */
                             "  handle = {\n"                                               /* 12 */
                             "    GET = function(req) return { events = 3 } end,\n"         /* 13 */
                             "    [\"POST\"] = function() if x == 1 then return end end,\n" /* 14 */
                             "  },\n"                                                       /* 15 */
                             "  --[==[ verify = ]] ]==] ['events'] = { 'a', 'b' };\n"       /* 16 */
                             "  f(function() return 1 end),\n"                              /* 17 */
                             "  verify =\n  f { secret = 1 },\n"                            /* 18-19 */
                             "  timeout = x == 1 and 2 or { max_body = 1 },\n"              /* 20 */
                             "  max_body = 1,\n"                                            /* 21 */
                             "}\n";

static void test_fields(void **state)
{
    static const struct {
        const char *field;
        unsigned line;
    } rows[] = {{"description", 11}, {"methods", 11},    {"handle", 12}, {"handle.GET", 13},
                {"handle.POST", 14}, {"handle.PUT", 12}, {"events", 16}, {"verify", 18},
                {"timeout", 20},     {"max_body", 21},   {"host", 10},   {"verify.secret", 18}};
    struct lines lines;
    lines_read(SLICE(script), &lines);
    assert_int_equal(lines.fallback, 10);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (lines_of(&lines, rows[i].field) != rows[i].line)
            fail_msg("%s: line %u, not %u", rows[i].field, lines_of(&lines, rows[i].field), rows[i].line);
    lines_free(&lines);
}

static void test_other_returns(void **state)
{
    struct lines lines;
    lines_read(SLICE("local M = {}\nM.handle = 1\nreturn M\n"), &lines);
    assert_int_equal(lines_of(&lines, "handle"), 3);
    lines_free(&lines);
    lines_read(SLICE("x = 1\n"), &lines);
    assert_int_equal(lines_of(&lines, "handle"), 1);
    lines_free(&lines);
}

/* Whatever the bytes, it ends and stays inside them (run under the sanitizers). */
static void test_garbage(void **state)
{
    struct lines lines;
    char text[sizeof script];
    for (size_t len = 0; len < sizeof script; len++) {
        lines_read((struct slice){script, len}, &lines);
        lines_free(&lines);
    }
    uint32_t random = 1;
    for (int round = 0; round < 2000; round++) {
        memcpy(text, script, sizeof text);
        for (int i = 0; i < 8; i++) {
            random = random * 1664525u + 1013904223u;
            text[(random >> 8) % (sizeof text - 1)] = "{}[]=\"'\\-\n,; "[(random >> 3) % 13];
        }
        lines_read((struct slice){text, sizeof text - 1}, &lines);
        lines_free(&lines);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fields), cmocka_unit_test(test_other_returns),
                                       cmocka_unit_test(test_garbage)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
