/*
 * trace.c: see trace.h. Source: W3C Trace Context Level 1, 3.2 (traceparent), and Level 2's traceresponse.
 */
#include "http/trace.h"

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; /* lower case only: 3.2.2 */
}

/* `count` bytes from twice as many digits. False: something else stands there. */
static bool take_hex(const char *from, unsigned char *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int high = hex(from[2 * i]), low = hex(from[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        to[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static void put_hex(char *to, const unsigned char *from, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        to[2 * i] = digits[from[i] >> 4];
        to[2 * i + 1] = digits[from[i] & 15];
    }
}

static bool zeros(const unsigned char *bytes, size_t count)
{
    unsigned char any = 0;
    for (size_t i = 0; i < count; i++)
        any |= bytes[i];
    return any == 0;
}

/* Version 00 is exactly so long; later ones may say more behind another dash (3.2.4: "versioning"). */
static bool parse(struct slice text, struct trace *t)
{
    unsigned char version, parent[8];
    const char *at = text.at;
    if (text.len < TRACE_TEXT || !take_hex(at, &version, 1) || version == 0xff)
        return false;
    if (version == 0 ? text.len != TRACE_TEXT : text.len > TRACE_TEXT && at[TRACE_TEXT] != '-')
        return false;
    return at[2] == '-' && at[35] == '-' && at[52] == '-' && take_hex(at + 3, t->id, 16) && !zeros(t->id, 16) &&
           take_hex(at + 36, parent, 8) && !zeros(parent, 8) && take_hex(at + 53, &t->flags, 1);
}

void trace_read(const struct http_request *r, struct trace *trace_out)
{
    const struct slice name = SLICE("traceparent");
    struct slice found = SLICE_NONE;
    size_t count = 0;
    for (size_t i = 0; i < r->header_count; i++)
        if (r->headers[i].name.len == name.len && slice_equal(r->headers[i].name, name)) {
            found = r->headers[i].value;
            count++;
        }
    trace_out->carried = count == 1 && parse(found, trace_out);
    if (!trace_out->carried) {
        memset(trace_out->id, 0, sizeof(trace_out->id));
        return;
    }
    trace_out->flags &= 1; /* of the flags only this one is known */
    /* The random half of the request's id: another one for each request, and never all zero. */
    memcpy(trace_out->span, r->id.bytes + 8, sizeof(trace_out->span));
}

void trace_text(const struct trace *t, char text_out[TRACE_TEXT])
{
    memcpy(text_out, "00-", 3);
    put_hex(text_out + 3, t->id, 16);
    text_out[35] = '-';
    put_hex(text_out + 36, t->span, 8);
    text_out[52] = '-';
    put_hex(text_out + 53, &t->flags, 1);
}

void trace_id_text(const struct trace *t, const struct uuid *request, char text_out[32])
{
    put_hex(text_out, t->carried ? t->id : request->bytes, 16);
}
