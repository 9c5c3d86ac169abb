/*
 * fuzz_pick.c: a JSON pointer (up to the first line break) into any bytes: both parsers' walk is bounded and well
 * nested, what was walked can be written, and what was written parses again.
 */
#include "codec/json.h"
#include "fuzz.h"

#define TOKENS_MAX 1000000

static void write_value(struct json_writer *w, const struct json_token *t)
{
    switch (t->kind) {
    case JSON_NULL:
        json_write_null(w);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        json_write_bool(w, t->kind == JSON_TRUE);
        break;
    case JSON_INT:
        json_write_int(w, t->i);
        break;
    case JSON_UINT:
        json_write_uint(w, t->u);
        break;
    case JSON_BIG:
        json_write_raw(w, t->text);
        break;
    case JSON_DOUBLE:
        CHECK(json_write_double(w, t->d));
        break;
    case JSON_STRING:
        CHECK(json_write_string(w, t->text)); /* what was read is valid UTF-8 */
        break;
    default:
        PANIC("kind %d is no scalar", (int)t->kind);
    }
}

/* Walks it to its end and writes it again. */
static void copy(struct json_walk *walk, struct buf *out)
{
    struct json_writer w;
    struct json_token t;
    char closing[JSON_DEPTH_MAX + 1];
    size_t depth = 0, count = 0;
    json_write_begin(&w, out);
    for (json_next(walk, &t); t.kind != JSON_DONE; json_next(walk, &t)) {
        CHECK(++count <= TOKENS_MAX);
        if (t.kind == JSON_END) {
            CHECK(depth > 0);
            json_write_end(&w, closing[--depth]);
            continue;
        }
        if (depth > 0 && closing[depth - 1] == '}')
            CHECK(json_write_name(&w, t.name));
        if (t.kind != JSON_OBJECT && t.kind != JSON_ARRAY) {
            write_value(&w, &t);
            continue;
        }
        CHECK(depth < JSON_DEPTH_MAX);
        closing[depth++] = t.kind == JSON_OBJECT ? '}' : ']';
        if (t.kind == JSON_OBJECT)
            json_write_object(&w);
        else
            json_write_array(&w);
    }
    CHECK(depth == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = fuzz_copy(data, size), rest = all;
    struct slice pointer = fuzz_part(&rest, '\n');
    struct json_reader *reader = json_reader_new();
    struct json_fault fault = {0};
    struct json_walk walk;
    struct buf out = {0};
    if (json_parse(reader, rest, &fault) == 0) {
        if (pointer_check(pointer) == NULL && json_walk_at(reader, pointer, &walk))
            copy(&walk, &out);
        buf_clear(&out);
        json_walk_root(reader, &walk);
        copy(&walk, &out);
        CHECK(json_parse(reader, buf_slice(&out), &fault) == 0);
    } else {
        CHECK(fault.what != NULL && fault.offset <= rest.len && fault.line >= 1 && fault.column >= 1);
    }
    buf_free(&out);
    json_reader_free(&reader);
    free((void *)all.at);
    return 0;
}
