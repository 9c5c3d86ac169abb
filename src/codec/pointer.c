/*
 * pointer.c: is it a JSON pointer (RFC 6901 section 3)?
 * Owns nothing. Runs in: any thread, pure. Fails: by a static text that says what is wrong.
 */
#include "codec/json.h"
#include "codec/utf8.h"

const char *pointer_check(struct slice pointer)
{
    if (pointer.len == 0)
        return NULL;
    if (pointer.at[0] != '/')
        return "a JSON pointer begins with '/'";
    for (size_t i = 0; i < pointer.len; i++) {
        if (pointer.at[i] == '~' && (i + 1 == pointer.len || (pointer.at[i + 1] != '0' && pointer.at[i + 1] != '1')))
            return "in a JSON pointer '~' is followed by 0 or 1";
    }
    return utf8_valid(pointer) == pointer.len ? NULL : "a JSON pointer is UTF-8";
}
