/*
 * ascii.c: see ascii.h.
 */
#include "base/ascii.h"

const bool ascii_token_chars[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true, ['#'] = true, ['$'] = true,
    ['%'] = true,         ['&'] = true,         ['\''] = true,        ['*'] = true, ['+'] = true, ['-'] = true,
    ['.'] = true,         ['^'] = true,         ['_'] = true,         ['`'] = true, ['|'] = true, ['~'] = true};

bool ascii_is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!ascii_is_token_char(s.at[i]))
            return false;
    return s.len > 0;
}
