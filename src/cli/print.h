/*
 * print.h: what the commands put on standard output and error: tables, lines, colour only on a terminal.
 * Owns: nothing. Runs in: commands. Fails: an output that cannot be written is the command's failure (print_end).
 */
#ifndef CRESCENT_CLI_PRINT_H
#define CRESCENT_CLI_PRINT_H

#include "base/slice.h"

/* A line on standard error: what is no text, and what a terminal would take for an order, is shown as U+FFFD. */
void print_error_line(const char *line);
/* "crescent: words" on standard error; returns `code`. */
int print_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "crescent COMMAND: words (see 'crescent help COMMAND')" on standard error; returns CLI_USAGE. */
int print_usage(const char *command, const char *words);
/* Rows of `columns` texts, the first of them the heads, in aligned columns on standard output. */
void print_table(const char *const *cells, size_t columns, size_t rows);
/* Whether all that was printed has been written: `code`, or CLI_FAILED with words. */
int print_end(int code);

#endif
