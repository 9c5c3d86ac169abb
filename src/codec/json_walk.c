/*
 * json_walk.c: events and picks out of a parsed text, whichever parser made it.
 * Owns nothing: a walk borrows from its reader. Runs in: any thread. Never fails, never allocates.
 */
#include "base/panic.h"
#include "codec/json_tape.h"

static char kind_at(const uint64_t *tape, size_t at)
{
    return (char)(tape[at] >> 56);
}

/* A pick passes every member on its way: but for containers, by arithmetic. */
static size_t after(const uint64_t *tape, size_t at)
{
    char kind = kind_at(tape, at);
    if (kind == '{' || kind == '[')
        return (uint32_t)tape[at];
    return at + 1 + (kind == 'l' || kind == 'u' || kind == 'd');
}

static struct slice text_at(const char *strings, uint64_t word)
{
    const char *at = strings + (word & JSON_TAPE_PAYLOAD);
    uint32_t len;
    memcpy(&len, at, sizeof(len));
    return (struct slice){at + sizeof(len), len};
}

static void begin_at(struct json_walk *w, const uint64_t *tape, const char *strings, size_t at)
{
    w->tape = tape;
    w->strings = strings;
    w->at = at;
    w->end = after(tape, at);
    w->depth = 0;
    w->in_object = false;
}

void json_walk_root(const struct json_reader *r, struct json_walk *w)
{
    struct json_tape t = json_reader_tape(r);
    CHECK(t.words != NULL);
    begin_at(w, t.words, t.strings, 1);
}

/* Does a pointer's segment, with its ~0 and ~1, name this member? */
static bool names(struct slice segment, struct slice name)
{
    size_t n = 0;
    for (size_t i = 0; i < segment.len; i++, n++) {
        char c = segment.at[i];
        if (c == '~' && i + 1 < segment.len)
            c = segment.at[++i] == '1' ? '/' : '~';
        if (n >= name.len || name.at[n] != c)
            return false;
    }
    return n == name.len;
}

/*
 * Strings lie one behind the other in the order of the tape: so a name has its length told by where the next string is,
 * and its bytes, which are far from the processor, are only looked at when they may be the wanted ones. The next one is
 * the member's value or, behind a scalar, the name of the member at `next`; within a container it is not looked for.
 */
static bool has_other_length(const uint64_t *tape, size_t at, size_t next, size_t len)
{
    char kind = kind_at(tape, at + 1);
    uint64_t string = tape[kind == '"' ? at + 1 : next];
    if (kind == '{' || kind == '[' || kind == 'b' || string >> 56 != '"')
        return false;
    return string - tape[at] != sizeof(uint32_t) + len + 1;
}

/* The last member of that name, or 0. */
static size_t member(struct json_tape t, size_t at, struct slice segment)
{
    size_t found = 0, end = after(t.words, at) - 1;
    bool plain = memchr(segment.at, '~', segment.len) == NULL;
    for (size_t i = at + 1, next; i < end; i = next) {
        next = after(t.words, i + 1);
        if (plain && has_other_length(t.words, i, next, segment.len))
            continue; /* most are told apart by this */
        struct slice name = text_at(t.strings, t.words[i]);
        if (plain && (name.len != segment.len || (name.len > 0 && name.at[0] != segment.at[0])))
            continue;
        if (plain ? slice_equal(segment, name) : names(segment, name))
            found = i + 1;
    }
    return found;
}

/* The element at a decimal index without leading zeros (RFC 6901 section 4), or 0. */
static size_t element(struct json_tape t, size_t at, struct slice segment)
{
    unsigned long long wanted;
    if ((segment.len > 1 && segment.at[0] == '0') || !slice_to_u64(segment, UINT32_MAX, &wanted))
        return 0;
    size_t end = after(t.words, at) - 1, i = at + 1;
    while (i < end && wanted-- > 0)
        i = after(t.words, i);
    return i < end ? i : 0;
}

bool json_walk_at(const struct json_reader *r, struct slice pointer, struct json_walk *w)
{
    struct json_tape t = json_reader_tape(r);
    CHECK(t.words != NULL);
    size_t at = 1;
    while (pointer.len > 0) {
        pointer = slice_from(pointer, 1);
        size_t len = slice_find(pointer, '/');
        struct slice segment = {pointer.at, len == SIZE_MAX ? pointer.len : len};
        pointer = slice_from(pointer, segment.len);
        char kind = kind_at(t.words, at);
        at = kind == '{' ? member(t, at, segment) : kind == '[' ? element(t, at, segment) : 0;
        if (at == 0)
            return false;
    }
    begin_at(w, t.words, t.strings, at);
    return true;
}

static void descend(struct json_walk *w, bool object)
{
    w->depth++;
    w->in_object = object;
    uint64_t bit = UINT64_C(1) << (w->depth % 64), *word = &w->objects[w->depth / 64];
    *word = object ? *word | bit : *word & ~bit;
}

static void ascend(struct json_walk *w)
{
    w->depth--;
    w->in_object = w->depth > 0 && (w->objects[w->depth / 64] >> (w->depth % 64) & 1);
}

/* The scalars; false for what is none. */
static bool scalar(struct json_walk *w, uint64_t word, struct json_token *token)
{
    switch ((char)(word >> 56)) {
    case '"':
    case 'b':
        token->kind = (char)(word >> 56) == 'b' ? JSON_BIG : JSON_STRING;
        token->text = text_at(w->strings, word);
        return true;
    case 'l':
        token->kind = JSON_INT;
        token->i = (int64_t)w->tape[w->at++];
        return true;
    case 'u':
        token->kind = JSON_UINT;
        token->u = w->tape[w->at++];
        return true;
    case 'd':
        token->kind = JSON_DOUBLE;
        memcpy(&token->d, &w->tape[w->at++], sizeof(token->d));
        return true;
    case 't':
        token->kind = JSON_TRUE;
        return true;
    case 'f':
        token->kind = JSON_FALSE;
        return true;
    case 'n':
        token->kind = JSON_NULL;
        return true;
    default:
        return false;
    }
}

void json_next(struct json_walk *w, struct json_token *token_out)
{
    token_out->name = SLICE_NONE;
    if (w->at >= w->end) {
        token_out->kind = JSON_DONE;
        return;
    }
    uint64_t word = w->tape[w->at++];
    char kind = (char)(word >> 56);
    if (w->in_object && kind != '}') {
        token_out->name = text_at(w->strings, word);
        word = w->tape[w->at++];
        kind = (char)(word >> 56);
    }
    if (scalar(w, word, token_out))
        return;
    if (kind == '{' || kind == '[') {
        token_out->kind = kind == '{' ? JSON_OBJECT : JSON_ARRAY;
        token_out->count = word >> 32 & JSON_TAPE_COUNT_MAX;
        descend(w, kind == '{');
        return;
    }
    token_out->kind = JSON_END;
    ascend(w);
}
