/*
 * Promises of types by extension, and of names that a browser shall keep a body under.
 */
#include "http/media.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void types_by_extension(void **state)
{
    static const char *const cases[][2] = {
        {"a.html", "text/html; charset=utf-8"},  {"a/b.PDF", "application/pdf"},
        {"x.tar.gz", "application/gzip"},        {"photo.JpG", "image/jpeg"},
        {"data.json", "application/json"},       {"a", "application/octet-stream"},
        {"", "application/octet-stream"},        {".html", "application/octet-stream"},
        {"a/.html", "application/octet-stream"}, {"a.html/b", "application/octet-stream"},
        {"a.", "application/octet-stream"},      {"a.htmlx", "application/octet-stream"},
        {"a.exe", "application/octet-stream"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(media_type(slice_of(cases[i][0])), cases[i][1]);
}

static void names_to_keep_it_under(void **state)
{
    static const char *const cases[][2] = {
        {"report.pdf", "attachment; filename=\"report.pdf\""},
        {"two words.txt", "attachment; filename=\"two words.txt\""},
        {"na\xc3\xafve.txt", "attachment; filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt"},
        {"\xe2\x82\xac 5.txt", "attachment; filename=\"_ 5.txt\"; filename*=UTF-8''%E2%82%AC%205.txt"},
        {"a\"b\\c.txt", "attachment; filename=\"a_b_c.txt\"; filename*=UTF-8''a%22b%5Cc.txt"},
        {"100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"},
        {"../x", "attachment; filename=\".._x\"; filename*=UTF-8''..%2Fx"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf value = {0};
        media_attachment(slice_of(cases[i][0]), &value);
        assert_string_equal(buf_text(&value), cases[i][1]);
        buf_free(&value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(types_by_extension), cmocka_unit_test(names_to_keep_it_under)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
