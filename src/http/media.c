/*
 * media.c: see media.h.
 */
#include "http/media.h"
#include "base/ascii.h"

static const struct {
    const char *extension, *type;
} types[] = {
    {"7z", "application/x-7z-compressed"},
    {"avif", "image/avif"},
    {"bmp", "image/bmp"},
    {"bz2", "application/x-bzip2"},
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"doc", "application/msword"},
    {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {"eml", "message/rfc822"},
    {"epub", "application/epub+zip"},
    {"gif", "image/gif"},
    {"gz", "application/gzip"},
    {"htm", "text/html; charset=utf-8"},
    {"html", "text/html; charset=utf-8"},
    {"ico", "image/x-icon"},
    {"ics", "text/calendar; charset=utf-8"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"jsonl", "application/jsonl"},
    {"log", "text/plain; charset=utf-8"},
    {"m4a", "audio/mp4"},
    {"md", "text/markdown; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"mov", "video/quicktime"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"ogv", "video/ogg"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
    {"rtf", "application/rtf"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"tgz", "application/gzip"},
    {"tif", "image/tiff"},
    {"tiff", "image/tiff"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain; charset=utf-8"},
    {"wasm", "application/wasm"},
    {"wav", "audio/wav"},
    {"webm", "video/webm"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xhtml", "application/xhtml+xml"},
    {"xls", "application/vnd.ms-excel"},
    {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    {"xml", "application/xml"},
    {"xz", "application/x-xz"},
    {"yaml", "application/yaml"},
    {"yml", "application/yaml"},
    {"zip", "application/zip"},
    {"zst", "application/zstd"},
};

const char *media_type(struct slice path)
{
    size_t dot = path.len;
    while (dot > 0 && path.at[dot - 1] != '.' && path.at[dot - 1] != '/')
        dot--;
    if (dot < 2 || path.at[dot - 1] != '.' || path.at[dot - 2] == '/')
        return "application/octet-stream"; /* none, or ".name", which is a name */
    struct slice extension = slice_from(path, dot);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (slice_equal_nocase(extension, slice_of(types[i].extension)))
            return types[i].type;
    return "application/octet-stream";
}

/* What stands in a quoted filename as it is, in every client: no quotes, no escapes, no percent sign, no folders. */
static bool plain(char c)
{
    return c >= ' ' && c < 0x7f && !ascii_is_one_of(c, "\"\\%/");
}

/* attr-char of RFC 8187 3.2.1 */
static bool attribute(char c)
{
    return ascii_is_alnum(c) || ascii_is_one_of(c, "!#$&+-.^_`|~");
}

void media_attachment(struct slice name, struct buf *into)
{
    bool all_plain = true;
    buf_add_text(into, "attachment; filename=\"");
    for (size_t i = 0; i < name.len; i++) {
        bool first = ((unsigned char)name.at[i] & 0xc0) != 0x80; /* one sign for a character of several bytes */
        all_plain = all_plain && plain(name.at[i]);
        if (first)
            buf_add_char(into, plain(name.at[i]) ? name.at[i] : '_');
    }
    buf_add_char(into, '"');
    if (all_plain)
        return;
    buf_add_text(into, "; filename*=UTF-8''");
    for (size_t i = 0; i < name.len; i++) {
        if (attribute(name.at[i]))
            buf_add_char(into, name.at[i]);
        else
            buf_addf(into, "%%%02X", (unsigned char)name.at[i]);
    }
}
