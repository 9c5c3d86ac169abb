/*
 * http1_print.c: see http1_print.h.
 */
#include "server/http1_print.h"
#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

/* In no header: sprintf and vsprintf as a library calls them that was built with _FORTIFY_SOURCE. size: the room's, or
 * SIZE_MAX. */
int __sprintf_chk(char *to, int flag, size_t size, const char *format, ...);
int __vsprintf_chk(char *to, int flag, size_t size, const char *format, va_list values);

/* The letter of a conversion that is written here, and how long that is: %s, %d, %zu. '\0': another one. */
static char conversion(const char *at, size_t *len_out)
{
    *len_out = at[1] == 'z' ? 3 : 2;
    return at[1] == 's' || at[1] == 'd' ? at[1] : at[1] == 'z' && at[2] == 'u' ? 'u' : '\0';
}

static char *put(char *to, const char *from, size_t len)
{
    memcpy(to, from, len);
    return to + len;
}

static char *put_text(char *to, const char *text)
{
    text = text != NULL ? text : "(null)"; /* as libc does */
    return put(to, text, strlen(text));
}

static char *put_number(char *to, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return put(to, digits + at, sizeof(digits) - at);
}

static char *put_signed(char *to, int number)
{
    if (number < 0)
        *to++ = '-';
    return put_number(to, number < 0 ? -(uint64_t)number : (uint64_t)number);
}

/* The end of what was written; NULL: the format is not plain, all of it is libc's. */
static char *print(char *to, const char *format, va_list values)
{
    for (;;) {
        const char *at = strchrnul(format, '%');
        size_t len;
        to = put(to, format, (size_t)(at - format));
        if (*at == '\0')
            break;
        switch (conversion(at, &len)) {
        case 's':
            to = put_text(to, va_arg(values, const char *));
            break;
        case 'd':
            to = put_signed(to, va_arg(values, int));
            break;
        case 'u':
            to = put_number(to, va_arg(values, size_t));
            break;
        default:
            return NULL;
        }
        format = at + len;
    }
    *to = '\0';
    return to;
}

int __sprintf_chk(char *to, int flag, size_t size, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    char *end = size == SIZE_MAX ? print(to, format, values) : NULL;
    va_end(values);
    if (end != NULL)
        return (int)(end - to);
    va_start(values, format);
    int len = __vsprintf_chk(to, flag, size, format, values);
    va_end(values);
    return len;
}

bool http1_print_bound(void)
{
    return dlsym(RTLD_DEFAULT, "__sprintf_chk") == (void *)__sprintf_chk;
}
