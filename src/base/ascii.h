/*
 * ascii.h: what a byte of a text is, by ASCII and whatever the locale. NUL is in no set: strchr finds it in each, so
 * sets are asked here. Owns nothing. Runs in: any thread, pure. Never fails.
 */
#ifndef CRESCENT_BASE_ASCII_H
#define CRESCENT_BASE_ASCII_H

#include "base/slice.h"

/* What ascii_is_token_char reads. */
extern const bool ascii_token_chars[256];

static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool ascii_is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool ascii_is_alnum(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c);
}

/* Whether c is a character of `set`, a C string; NUL never is. */
static inline bool ascii_is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* RFC 9110 5.6.2 tchar: each request asks for many, so it is one look into a table. */
static inline bool ascii_is_token_char(char c)
{
    return ascii_token_chars[(unsigned char)c];
}

/* RFC 9110 5.6.2 token: names of header fields, methods, names of cookies. An empty text is none. */
bool ascii_is_token(struct slice s);

#endif
