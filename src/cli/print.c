/*
 * print.c: see print.h.
 * Owns: nothing. Runs in: commands. Fails: as print_end says.
 */
#include "cli/print.h"
#include "base/buf.h"
#include "base/panic.h"
#include "cli/cli.h"
#include "codec/utf8.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void print_error_line(const char *line)
{
    struct slice rest = slice_of(line);
    struct buf clean = {0};
    while (rest.len > 0) {
        size_t taken = utf8_first(rest);
        bool control = (unsigned char)rest.at[0] < ' ' || rest.at[0] == 0x7f ||
                       (taken == 2 && (unsigned char)rest.at[0] == 0xc2 && (unsigned char)rest.at[1] < 0xa0);
        if (taken == 0 || (control && rest.at[0] != '\n' && rest.at[0] != '\t'))
            buf_add_text(&clean, "\xef\xbf\xbd"); /* U+FFFD */
        else
            buf_add_slice(&clean, (struct slice){rest.at, taken});
        rest = slice_from(rest, taken > 0 ? taken : 1);
    }
    fprintf(stderr, "%s\n", buf_text(&clean));
    buf_free(&clean);
}

int print_fail(int code, const char *format, ...)
{
    struct buf line = {0};
    char *words;
    va_list args;
    va_start(args, format);
    NEED(vasprintf(&words, format, args) >= 0);
    va_end(args);
    buf_addf(&line, "crescent: %s", words);
    print_error_line(buf_text(&line));
    buf_free(&line);
    free(words);
    return code;
}

int print_usage(const char *command, const char *words)
{
    struct buf line = {0};
    buf_addf(&line, "crescent %s: %s (see 'crescent help %s')", command, words, command);
    print_error_line(buf_text(&line));
    buf_free(&line);
    return CLI_USAGE;
}

/* Characters, as far as a terminal's columns go: bytes that do not continue a UTF-8 sequence. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

void print_table(const char *const *cells, size_t columns, size_t rows)
{
    bool terminal = isatty(STDOUT_FILENO) == 1;
    size_t *widths = need_zero(columns, sizeof *widths);
    for (size_t i = 0; i < columns * rows; i++)
        if (width_of(cells[i]) > widths[i % columns])
            widths[i % columns] = width_of(cells[i]);
    for (size_t row = 0; row < rows; row++) {
        if (terminal && row == 0)
            fputs("\033[1m", stdout);
        for (size_t column = 0; column < columns; column++) {
            const char *cell = cells[row * columns + column];
            fputs(cell, stdout);
            if (column + 1 < columns)
                printf("%*s", (int)(widths[column] - width_of(cell) + 2), "");
        }
        fputs(terminal && row == 0 ? "\033[0m\n" : "\n", stdout);
    }
    free(widths);
}

int print_end(int code)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return print_fail(CLI_FAILED, "cannot write to standard output");
    return code;
}
