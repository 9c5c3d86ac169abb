/*
 * fuzz_records.c: what a process left on its tape, as any bytes: refused, or one line in each form.
 */
#include "fuzz.h"
#include "ipc/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct record record;
    struct slice bytes = fuzz_copy(data, size);
    for (int form = LOG_JSON_LINES; form <= LOG_PLAIN && records_read(bytes, &record) == 0; form++) {
        struct buf line = {0};
        records_format(&line, (enum log_form)form, &record, "worker 0");
        /* on a terminal a value may have several lines */
        CHECK(form == LOG_COLOURED ? line.at[line.len - 1] == '\n'
                                   : memchr(line.at, '\n', line.len) == line.at + line.len - 1);
        buf_free(&line);
    }
    free((void *)bytes.at);
    return 0;
}
