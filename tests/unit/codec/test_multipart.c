/*
 * test_multipart.c: what clients send is read, what two readers could read differently is a fault with its part and
 * place, and a file's bare name is harmless. Expectations are written by hand from RFC 2046, 7578 and 8187.
 */
#include "../base/time_factor.h"
#include "codec/filename.h"
#include "codec/multipart.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

#define CD "Content-Disposition: form-data; name="
#define PART(head, data) "--b\r\n" head "\r\n\r\n" data "\r\n"
#define END "--b--\r\n"

static const char *text_of(struct slice s)
{
    static char room[4][4096];
    static unsigned next;
    char *to = room[next++ % 4];
    snprintf(to, 4096, "%.*s", SLICE_ARG(s));
    return s.at != NULL ? to : "(none)";
}

/* The parts as "name|filename_raw|filename|type|data\n". */
static const char *read_all(struct slice body)
{
    static char out[8192];
    struct multipart parts;
    struct multipart_fault fault;
    if (multipart_parse(body, SLICE("b"), MULTIPART_PARTS, &parts, &fault) != 0) {
        snprintf(out, sizeof(out), "part %zu byte %zu: %s", fault.part, fault.offset, fault.what);
        assert_int_equal(parts.count, 0);
        return out;
    }
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < parts.count; i++) {
        const struct multipart_part *p = &parts.at[i];
        len += (size_t)snprintf(out + len, sizeof(out) - len, "%s|%s|", text_of(p->name), text_of(p->filename_raw));
        len += (size_t)snprintf(out + len, sizeof(out) - len, "%s|%s|%s\n", text_of(p->filename), text_of(p->type),
                                text_of((struct slice){body.at + p->offset, p->size}));
    }
    multipart_free(&parts);
    return out;
}

struct row {
    struct slice body;
    const char *expected;
};

static void check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) { /* copied to its size, so that a sanitizer sees a read past it */
        char *copy = malloc(rows[i].body.len + 1);
        memcpy(copy, rows[i].body.at, rows[i].body.len);
        copy = realloc(copy, rows[i].body.len > 0 ? rows[i].body.len : 1);
        assert_string_equal(read_all((struct slice){copy, rows[i].body.len}), rows[i].expected);
        free(copy);
    }
}

static void what_clients_send_is_read(void **state)
{
    const struct row rows[] = {
        {SLICE(PART(CD "\"a\"", "1") PART(CD "\"f\"; filename=\"x.txt\"\r\nContent-Type: text/plain", "hello") END),
         "a|(none)|(none)|(none)|1\nf|x.txt|x.txt|text/plain|hello\n"},
        {SLICE("--b--"), ""},
        {SLICE("--b-- \t\r\nepilogue"), ""},
        {SLICE("a preamble\r\nmore\r\n" PART(CD "a", "") "--b--"), "a|(none)|(none)|(none)|\n"},
        {SLICE("--b \t \r\ncontent-disposition:form-data;name=a;\r\n\r\n1\r\n2\r\n--b--"),
         "a|(none)|(none)|(none)|1\r\n2\n"},
        {SLICE(PART("CONTENT-DISPOSITION: Form-Data ; NAME=\"a\" ; FileName=b", "") END), "a|b|b|(none)|\n"},
        {SLICE(PART(CD "\"a\\\"b\\\\c\"", "") END), "a\"b\\c|(none)|(none)|(none)|\n"},
        {SLICE(PART(CD "\"a%22b%0d%0A%20%\"; filename=\"q%22.txt\"", "") END),
         "a\"b\r\n%20%|q%22.txt|q\".txt|(none)|\n"},
        {SLICE(PART(CD "f; filename=\"C:\\Users\\me\\a.txt\"", "") END), "f|C:\\Users\\me\\a.txt|a.txt|(none)|\n"},
        /* .NET sends both, in this order; RFC 6266 4.3 has either */
        {SLICE(PART(CD "f; filename=\"=?utf-8?B?w68=?=\"; filename*=utf-8''%C3%AF", "") END),
         "f|utf-8''%C3%AF|\xc3\xaf|(none)|\n"},
        {SLICE(PART(CD "f; filename*=utf-8''%C3%AF; filename=i", "") END), "f|utf-8''%C3%AF|\xc3\xaf|(none)|\n"},
        {SLICE(PART(CD "f; filename*=utf-8'en'na%C3%AFve+.txt", "") END),
         "f|utf-8'en'na%C3%AFve+.txt|na\xc3\xafve+.txt|(none)|\n"},
        {SLICE(PART(CD "f; filename=\"\"\r\nContent-Type: application/octet-stream", "") END),
         "f||(none)|application/octet-stream|\n"},
        {SLICE(PART(CD "\"\"", "x --b-- \r\n-b\r\n\r\n") END), "|(none)|(none)|(none)|x --b-- \r\n-b\r\n\r\n\n"},
        {SLICE(PART("X-Other: 1\r\n" CD "a\r\nContent-Transfer-Encoding: 8BIT", "1") END),
         "a|(none)|(none)|(none)|1\n"},
        {SLICE(PART(CD "f; filename=m.eml\r\nContent-Type: multipart/mixed; boundary=z", "") END),
         "f|m.eml|m.eml|multipart/mixed; boundary=z|\n"},
    };
    check(rows, sizeof(rows) / sizeof(rows[0]));
}

static void what_two_readers_could_read_differently_is_a_fault(void **state)
{
    const struct row rows[] = {
        {SLICE(""), "part 0 byte 0: the boundary is nowhere in the body"},
        {SLICE("--c\r\n"), "part 0 byte 0: the boundary is nowhere in the body"},
        {SLICE("\n--b--"), "part 0 byte 1: a boundary stands behind a line end that is not CR LF"},
        {SLICE(PART(CD "a", "1\n--b--") END), "part 1 byte 49: a boundary stands behind a line end that is not CR LF"},
        {SLICE(PART(CD "a", "1\r--b") END), "part 1 byte 49: a boundary stands behind a line end that is not CR LF"},
        {SLICE(PART(CD "a", "1")), "part 1 byte 50: the body ends without the last boundary"},
        {SLICE(PART(CD "a", "1") "--b-"), "part 1 byte 53: other text behind a boundary"},
        {SLICE(PART(CD "a", "1") "--b"), "part 1 byte 53: the body ends within a boundary"},
        {SLICE(PART(CD "a", "1") "--bc--\r\n" END), "part 1 byte 53: other text behind a boundary"},
        {SLICE(PART(CD "a", "1") "--b--x\r\n"), "part 1 byte 55: other text behind a boundary"},
        {SLICE(PART(CD "a", "1") END PART(CD "a", "2") END), "part 1 byte 57: a boundary behind the last one"},
        {SLICE("--b\n" CD "a\n\n1\n--b--\n"), "part 0 byte 3: other text behind a boundary"},
        {SLICE("--b\r\n" CD "a\n\r\n1\r\n" END), "part 1 byte 43: a line of a part's header does not end in CR LF"},
        {SLICE("--b\r\n" CD "a\r\r\n1\r\n" END), "part 1 byte 43: a line of a part's header does not end in CR LF"},
        {SLICE("--b\r\n" CD "a\r\n" END), "part 1 byte 45: a boundary within a part's header"},
        {SLICE("--b\r\n" CD "a\r\n\r\n" END), "part 1 byte 47: a boundary within a part's header"},
        {SLICE("--b\r\n" CD "a"), "part 1 byte 5: the body ends within a part's header"},
        {SLICE("--b\r\n\r\n1\r\n" END), "part 1 byte 5: the part has no Content-Disposition"},
        {SLICE(PART("Content-Type: text/plain", "1") END), "part 1 byte 5: the part has no Content-Disposition"},
        {SLICE(PART(CD "a\r\n" CD "b", "1") END), "part 1 byte 45: the same header field twice"},
        {SLICE(PART(CD "a\r\nContent-Type: a\r\ncontent-type: a", "1") END),
         "part 1 byte 62: the same header field twice"},
        {SLICE(PART(CD "a;\r\n filename=x", "1") END), "part 1 byte 46: a folded header field"},
        {SLICE(PART("Content-Disposition : form-data; name=a", "1") END),
         "part 1 byte 5: expected a header field, name: value"},
        {SLICE(PART("nonsense", "1") END), "part 1 byte 5: expected a header field, name: value"},
        {SLICE(PART("Content-Disposition: attachment; name=a", "1") END),
         "part 1 byte 26: Content-Disposition is not form-data"},
        {SLICE(PART("Content-Disposition: form-data", "1") END), "part 1 byte 35: Content-Disposition has no name"},
        {SLICE(PART(CD "a; name=b", "1") END), "part 1 byte 45: there are two names"},
        {SLICE(PART(CD "a; filename=b; filename=c", "1") END), "part 1 byte 57: there are two file names"},
        {SLICE(PART(CD "a; filename*=utf-8''b; filename*=utf-8''c", "1") END),
         "part 1 byte 65: there are two file names"},
        {SLICE(PART(CD "a; filename*=utf-8''b; filename=c; filename=d", "1") END),
         "part 1 byte 77: there are two file names"},
        {SLICE(PART(CD "a; filename*=latin1''c", "1") END),
         "part 1 byte 45: filename* is in another character set than UTF-8"},
        {SLICE(PART(CD "a; filename*=utf-8''%ff", "1") END), "part 1 byte 45: filename* is not UTF-8"},
        {SLICE(PART(CD "a; filename*=utf-8''%00", "1") END), "part 1 byte 45: a NUL byte in filename*"},
        {SLICE(PART(CD "a; filename*=utf-8''%zz", "1") END), "part 1 byte 45: filename* has a broken percent-encoding"},
        {SLICE(PART(CD "a; filename*=plain", "1") END), "part 1 byte 45: filename* is not UTF-8''text"},
        {SLICE(PART(CD "a; name*=utf-8''a", "1") END), "part 1 byte 45: name* has no meaning in a form"},
        {SLICE(PART(CD "\"a", "1") END), "part 1 byte 42: a quote is not closed"},
        {SLICE(PART(CD "\"a\"b\"", "1") END), "part 1 byte 45: expected ';' behind a parameter"},
        {SLICE(PART(CD, "1") END), "part 1 byte 42: a parameter has no value"},
        {SLICE("--b\r\n" CD "\"a\0b\"\r\n\r\n1\r\n" END), "part 1 byte 44: a control character in a part's header"},
        {SLICE(PART(CD "a\r\nContent-Type: multipart/mixed; boundary=c", "1") END),
         "part 1 byte 26: parts within a part, which forms no longer have"},
        {SLICE(PART(CD "a\r\nContent-Transfer-Encoding: base64", "MQ==") END),
         "part 1 byte 5: a Content-Transfer-Encoding, which forms do not have"},
    };
    check(rows, sizeof(rows) / sizeof(rows[0]));
}

/* `count` times `text`, between `head` and `tail`; the fault's words. */
static const char *bomb(const char *head, const char *text, size_t count, const char *tail)
{
    size_t len = strlen(head) + strlen(text) * count + strlen(tail), at = strlen(head);
    char *body = malloc(len + 1);
    memcpy(body, head, at);
    for (size_t i = 0; i < count; i++, at += strlen(text))
        memcpy(body + at, text, strlen(text));
    memcpy(body + at, tail, strlen(tail) + 1);
    struct multipart parts;
    struct multipart_fault fault;
    int result = multipart_parse((struct slice){body, len}, SLICE("b"), MULTIPART_PARTS, &parts, &fault);
    multipart_free(&parts);
    free(body);
    return result == 0 ? "none" : fault.what;
}

static void bombs_meet_their_bounds(void **state)
{
    assert_string_equal(bomb("", PART(CD "a", "1"), MULTIPART_PARTS, END), "none");
    assert_string_equal(bomb("", PART(CD "a", "1"), MULTIPART_PARTS + 1, END), "too many parts");
    assert_string_equal(bomb("--b\r\n", "x: y\r\n", 10000, CD "a\r\n\r\n\r\n" END), "too many header fields");
    assert_string_equal(bomb("--b\r\nx: ", "y", 9000, "\r\n" CD "a\r\n\r\n\r\n" END), "a part's header is too large");
    assert_string_equal(bomb("--b\r\n" CD "\"", "y", 1025, "\"\r\n\r\n\r\n" END), "the name is too long");
    assert_string_equal(bomb("--b\r\n" CD "a; filename=\"", "y", 1025, "\"\r\n\r\n\r\n" END),
                        "the file's name is too long");
    assert_string_equal(bomb("--b\r\n" CD "\"", "y", 1024, "\"\r\n\r\n\r\n" END), "none");
}

/* Data that is full of marks which no line begins with is read once, not once for each of them. */
static void marks_within_lines_cost_no_time(void **state)
{
    size_t size = 32u << 20;
    char *body = malloc(size), boundary[MULTIPART_BOUNDARY];
    struct multipart parts;
    struct multipart_fault fault;
    memset(boundary, '-', sizeof(boundary));
    int head = snprintf(body, size, "--%.70s\r\n" CD "a; filename=b\r\n\r\nx", boundary);
    memset(body + head, '-', size - (size_t)head);
    clock_t before = clock();
    assert_int_equal(
        multipart_parse((struct slice){body, size}, (struct slice){boundary, 70}, MULTIPART_PARTS, &parts, &fault), -1);
    assert_string_equal(fault.what, "the body ends without the last boundary");
    assert_true(clock() - before <
                2 * time_factor() * CLOCKS_PER_SEC); /* usual: 0.03 s; at one more look for each: 5 s */
    free(body);
}

static void a_boundary_follows_rfc2046(void **state)
{
    static const char *const rows[][2] = {
        {"multipart/form-data; boundary=----WebKitFormBoundary7MA4", "----WebKitFormBoundary7MA4"},
        {"multipart/form-data; charset=utf-8; BOUNDARY=\"a b:c\"", "a b:c"},
        {"multipart/form-data; boundary====12==", "===12=="},
        {"multipart/form-data", "!Content-Type has no boundary"},
        {"multipart/form-data; boundary=\"\"", "!the boundary has characters that it may not have"},
        {"multipart/form-data; boundary=a; boundary=b", "!Content-Type has two boundaries"},
        {"multipart/form-data; boundary=\"a\"; Boundary=\"a\"", "!Content-Type has two boundaries"},
        {"multipart/form-data; boundary=\"a \"", "!the boundary has characters that it may not have"},
        {"multipart/form-data; boundary=a*b", "!the boundary has characters that it may not have"},
        {"multipart/form-data; boundary=a, multipart/form-data; boundary=b", "!expected ';' behind a parameter"},
        {"multipart/form-data; boundary=123456789012345678901234567890123456789012345678901234567890123456789012",
         "!the boundary is longer than 70 characters"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char room[MULTIPART_BOUNDARY];
        struct slice boundary;
        const char *why = NULL;
        bool good = multipart_boundary(slice_of(rows[i][0]), room, &boundary, &why) == 0;
        assert_string_equal(good ? text_of(boundary) : why, rows[i][1] + (good ? 0 : 1));
        assert_int_equal(good, rows[i][1][0] != '!');
    }
}

static void a_bare_name_is_harmless(void **state)
{
    static const char *const rows[][2] = {
        {"a.txt", "a.txt"},
        {"../../etc/passwd", "passwd"},
        {"/etc/", ""},
        {"..", ""},
        {".", ""},
        {"...", ""},
        {"", ""},
        {".htaccess", "htaccess"},
        {"..\\..\\boot.ini", "boot.ini"},
        {" a.txt. ", "a.txt"},
        {"a\x01\x7f"
         "b\xc2\x85.txt",
         "ab.txt"},
        {"exe.\xe2\x80\xaegpj.exe", "exe.gpj.exe"}, /* U+202E turns what follows round */
        {"\xe2\x81\xa6\xe2\x81\xa9\xe2\x80\x8e\xe2\x80\x8f", ""},
        {"\xe2\x80\xae..\xe2\x80\xac", ""}, /* the dots are seen only when the marks are gone */
        {"na\xc3\xafve \xf0\x9f\x98\x80.txt", "na\xc3\xafve \xf0\x9f\x98\x80.txt"},
        {"a\xe2\x80\x8b\xe2\x81\xa0\xc2\xad"
         "b.txt",
         "ab.txt"},
        {"a\xf3\xa0\x80\xa1.txt", "a.txt"}, /* U+E0021, a tag */
        {"a\xff\xc0\xaf.txt", "a___.txt"},  /* an overlong '/' is none */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[128];
        size_t len = filename_bare(slice_of(rows[i][0]), out);
        assert_string_equal(text_of((struct slice){out, len}), rows[i][1]);
    }
    char raw[600], out[600];
    for (size_t i = 0; i < 590; i += 2)
        memcpy(raw + i, "\xc3\xa9", 2);
    memcpy(raw + 590, ".jpeg", 5);
    size_t len = filename_bare((struct slice){raw, 595}, out);
    assert_true(len <= 255 && len > 250 && memcmp(out + len - 5, ".jpeg", 5) == 0);
    memset(raw, 'x', 254);
    memset(raw + 254, '.', 1);
    memset(raw + 255, 'b', 40);
    assert_int_equal(filename_bare((struct slice){raw, 295}, out), 254); /* cut behind the dot, which goes too */
    memset(raw, 'x', 600);
    assert_int_equal(filename_bare((struct slice){raw, 600}, out), 255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_clients_send_is_read),
        cmocka_unit_test(what_two_readers_could_read_differently_is_a_fault),
        cmocka_unit_test(bombs_meet_their_bounds),
        cmocka_unit_test(marks_within_lines_cost_no_time),
        cmocka_unit_test(a_boundary_follows_rfc2046),
        cmocka_unit_test(a_bare_name_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
