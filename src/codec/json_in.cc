/*
 * json_in.cc: simdjson behind json.h, and the C++ library's shortest text of a double. What simdjson refuses, or what
 * it cannot hold (integers beyond 64 bits), goes to json_slow.c, which gives the same tape or the fault's position.
 * Owns: a reader's parsers and their memory. Runs in: any thread, a reader in one at a time.
 * Fails: by value; nothing here throws: error codes only, and allocation is std::nothrow.
 */
#define SIMDJSON_EXCEPTIONS 0
#include "codec/json_tape.h"
extern "C" {
#define _Noreturn [[noreturn]] /* panic.h is C */
#include "base/panic.h"
}
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <new>
#include <simdjson.h>

namespace
{
/* Parsers take about 14 bytes for each of the text: a tape, strings, indexes, and the padded copy. */
constexpr size_t memory_per_byte = 14;
constexpr size_t memory_kept = 1 << 20;
constexpr size_t capacity_first = 16 << 10;
} // namespace

struct json_reader {
    simdjson::dom::parser *fast; /* NULL: none yet, or let go */
    char *padded;           /* a copy of the text, and the padding that simdjson may read; NULL until it is needed */
    size_t capacity;        /* of both */
    struct json_slow *slow; /* NULL until it is needed */
    struct json_tape tape;
    unsigned depth; /* the most */
};

extern "C" struct json_reader *json_reader_new(void)
{
    auto *r = static_cast<struct json_reader *>(need_zero(1, sizeof(struct json_reader)));
    r->depth = JSON_DEPTH_MAX;
    return r;
}

static void drop_fast(struct json_reader *r)
{
    delete r->fast;
    std::free(r->padded);
    r->fast = nullptr;
    r->padded = nullptr;
    r->capacity = 0;
}

extern "C" void json_reader_bound(struct json_reader *r, unsigned depth)
{
    CHECK(depth >= 1 && depth <= JSON_DEPTH_MAX);
    if (depth != r->depth) /* simdjson's parser has it from its birth */
        drop_fast(r);
    r->depth = depth;
    r->tape = json_tape{};
}

extern "C" void json_reader_free(struct json_reader **r)
{
    if (*r == nullptr)
        return;
    drop_fast(*r);
    json_slow_free(&(*r)->slow);
    std::free(*r);
    *r = nullptr;
}

extern "C" void json_reader_trim(struct json_reader *r)
{
    bool fast_large = r->capacity * memory_per_byte > memory_kept;
    bool slow_large = r->slow != nullptr && json_slow_memory(r->slow) > memory_kept;
    if (fast_large)
        drop_fast(r);
    if (slow_large)
        json_slow_free(&r->slow);
    if (fast_large || slow_large)
        r->tape = json_tape{};
}

/* A parser for texts of `len` bytes; false when there is no memory for it. */
static bool make_fast(struct json_reader *r, size_t len)
{
    if (r->fast != nullptr && len <= r->capacity)
        return true;
    drop_fast(r);
    size_t capacity = capacity_first;
    while (capacity < len)
        capacity += capacity * (memory_per_byte / 2) < memory_kept ? capacity : len - capacity;
    r->fast = new (std::nothrow) simdjson::dom::parser();
    if (r->fast == nullptr || r->fast->allocate(capacity, r->depth) || r->fast->doc.allocate(capacity)) {
        drop_fast(r);
        return false;
    }
    r->capacity = capacity;
    return true;
}

/*
 * The text as simdjson may read it, which looks at some bytes behind it, whatever they are. They are there for all but
 * a text in the last bytes of a page; that one is copied. NULL: no memory.
 */
static const char *readable(struct json_reader *r, struct slice text)
{
    constexpr uintptr_t page = 4096;
    uintptr_t end = reinterpret_cast<uintptr_t>(text.at) + text.len;
    if ((end & (page - 1)) != 0 && (end & (page - 1)) <= page - simdjson::SIMDJSON_PADDING)
        return text.at;
    if (r->padded == nullptr)
        r->padded = static_cast<char *>(std::malloc(r->capacity + simdjson::SIMDJSON_PADDING));
    if (r->padded == nullptr)
        return nullptr;
    std::memcpy(r->padded, text.at, text.len);
    std::memset(r->padded + text.len, 0, simdjson::SIMDJSON_PADDING);
    return r->padded;
}

extern "C" int json_parse(struct json_reader *r, struct slice text, struct json_fault *fault_out)
{
    json_reader_trim(r);
    r->tape = json_tape{};
    if (text.len > 0 && text.len <= JSON_TEXT_MAX && make_fast(r, text.len)) {
        const char *at = readable(r, text);
        if (at != nullptr && !r->fast->parse(at, text.len, false).error()) {
            r->tape.words = r->fast->doc.tape.get();
            r->tape.strings = reinterpret_cast<const char *>(r->fast->doc.string_buf.get());
            return 0;
        }
    }
    if (r->slow == nullptr)
        r->slow = json_slow_new();
    return json_slow_parse(r->slow, text, r->depth, &r->tape, fault_out);
}

extern "C" struct json_tape json_reader_tape(const struct json_reader *r)
{
    return r->tape;
}

extern "C" size_t json_double_text(double d, char out[32])
{
    return static_cast<size_t>(std::to_chars(out, out + 32, d).ptr - out);
}
