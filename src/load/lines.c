/*
 * lines.c: a tokenizer of Lua 5.1 that knows just enough: comments, strings, names, brackets, blocks; see lines.h.
 * Owns: the fields found. Runs in: any thread, pure. Fails: never; a text that is no Lua gives some line of it.
 */
#include "load/lines.h"
#include "base/ascii.h"
#include "base/buf.h"
#include "base/panic.h"
#include <ctype.h>
#include <stdlib.h>

enum token_kind { TOKEN_END, TOKEN_NAME, TOKEN_STRING, TOKEN_OTHER };

struct token {
    enum token_kind kind;
    struct slice text; /* NAME: the word; STRING: what is between short quotes, escapes unread; OTHER: one character */
    unsigned line;
};

struct reader {
    const char *at, *end;
    unsigned line;
};

/* What encloses the current token, from the returned constructor down. */
struct finder {
    struct lines *lines;
    int blocks;        /* functions, ifs, loops that are open */
    int brackets;      /* ( [ { that are open, the constructor's own not counted */
    int constructors;  /* 0: outside; 1: in the returned one; 2: in one right below */
    struct slice key;  /* of the constructor right below */
    bool field_begins; /* a key may stand here */
};

static char peek(const struct reader *r, size_t ahead)
{
    return (size_t)(r->end - r->at) > ahead ? r->at[ahead] : '\0';
}

static void skip(struct reader *r, size_t count)
{
    for (; count > 0 && r->at < r->end; count--, r->at++)
        if (*r->at == '\n')
            r->line++;
}

/* At "[[" or "[==[": passes it and its end. False: not a long bracket. */
static bool skip_long(struct reader *r)
{
    size_t level = 0;
    while (peek(r, 1 + level) == '=')
        level++;
    if (peek(r, 0) != '[' || peek(r, 1 + level) != '[')
        return false;
    skip(r, level + 2);
    for (; r->at < r->end; skip(r, 1)) {
        size_t equals = 0;
        if (*r->at != ']')
            continue;
        while (peek(r, 1 + equals) == '=')
            equals++;
        if (equals == level && peek(r, 1 + equals) == ']') {
            skip(r, level + 2);
            break;
        }
    }
    return true;
}

static void skip_blank(struct reader *r)
{
    while (r->at < r->end) {
        if (isspace((unsigned char)*r->at)) {
            skip(r, 1);
        } else if (peek(r, 0) == '-' && peek(r, 1) == '-') {
            skip(r, 2);
            if (peek(r, 0) != '[' || !skip_long(r))
                while (r->at < r->end && *r->at != '\n')
                    skip(r, 1);
        } else {
            return;
        }
    }
}

static struct slice read_quoted(struct reader *r)
{
    char quote = *r->at;
    skip(r, 1);
    const char *start = r->at;
    while (r->at < r->end && *r->at != quote && *r->at != '\n')
        skip(r, *r->at == '\\' ? 2 : 1);
    struct slice text = {start, (size_t)(r->at - start)};
    skip(r, 1);
    return text;
}

static struct token next(struct reader *r)
{
    skip_blank(r);
    struct token t = {TOKEN_OTHER, {r->at, 1}, r->line};
    if (r->at >= r->end)
        return (struct token){TOKEN_END, SLICE_NONE, r->line};
    if (ascii_is_alnum(*r->at) || *r->at == '_') {
        /* A number is a word as well: nothing here looks at one. */
        while (r->at < r->end && (ascii_is_alnum(*r->at) || *r->at == '_'))
            skip(r, 1);
        t.kind = TOKEN_NAME;
        t.text.len = (size_t)(r->at - t.text.at);
    } else if (*r->at == '"' || *r->at == '\'') {
        t.kind = TOKEN_STRING;
        t.text = read_quoted(r);
    } else if (*r->at == '[' && skip_long(r)) {
        t.kind = TOKEN_STRING;
        t.text = SLICE_NONE;
    } else {
        skip(r, 1);
    }
    return t;
}

static bool is_char(const struct token *t, char c)
{
    return t->kind == TOKEN_OTHER && *t->text.at == c;
}

static bool is_word(const struct token *t, const char *word)
{
    return t->kind == TOKEN_NAME && slice_equal(t->text, slice_of(word));
}

static void add_field(struct finder *f, struct slice name, unsigned line)
{
    struct lines *l = f->lines;
    struct buf full = {0};
    if (f->constructors == 2)
        buf_addf(&full, "%.*s.", SLICE_ARG(f->key));
    buf_add_slice(&full, name);
    l->fields = need_realloc(l->fields, (l->count + 1) * sizeof *l->fields);
    l->fields[l->count++] = (struct lines_field){buf_take(&full), line};
}

static void forget_fields(struct lines *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->fields[i].name);
    l->count = 0;
}

/* Where a key may stand: NAME = or ["name"] =. Passes it, and the brace of a constructor right below. */
static void read_key(struct finder *f, struct reader *r, struct token first)
{
    struct reader ahead = *r;
    struct slice key = first.text;
    f->field_begins = false;
    if (is_char(&first, '[')) {
        struct token name = next(&ahead), close = next(&ahead);
        if (name.kind != TOKEN_STRING || name.text.at == NULL || !is_char(&close, ']')) {
            f->brackets++;
            return;
        }
        key = name.text;
    }
    struct token equals = next(&ahead);
    if (!is_char(&equals, '=') || peek(&ahead, 0) == '=')
        return;
    add_field(f, key, first.line);
    *r = ahead;
    struct token value = next(&ahead);
    if (f->constructors == 1 && is_char(&value, '{')) {
        *r = ahead;
        f->constructors = 2;
        f->key = key;
        f->field_begins = true;
    }
}

static void count_blocks(struct finder *f, const struct token *t)
{
    static const char *const open[] = {"function", "do", "if", "repeat"};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        if (is_word(t, open[i]))
            f->blocks++;
    if (is_word(t, "end") || is_word(t, "until"))
        f->blocks--;
}

static void count_brackets(struct finder *f, const struct token *t)
{
    char c = *t->text.at;
    if (c == '(' || c == '{' || c == '[') {
        f->brackets++;
    } else if (c == '}' && f->brackets == 0 && f->constructors > 0) {
        f->constructors--;
        f->field_begins = false;
    } else if (c == ')' || c == '}' || c == ']') {
        f->brackets--;
    } else if ((c == ',' || c == ';') && f->brackets == 0 && f->constructors > 0) {
        f->field_begins = true;
    }
}

static void read_return(struct finder *f, struct reader *r, unsigned line)
{
    forget_fields(f->lines);
    f->lines->fallback = line;
    struct reader ahead = *r;
    struct token value = next(&ahead);
    if (!is_char(&value, '{'))
        return;
    *r = ahead;
    f->constructors = 1;
    f->field_begins = true;
}

void lines_read(struct slice text, struct lines *lines_out)
{
    *lines_out = (struct lines){.fallback = 1};
    struct reader r = {text.at, text.at + text.len, 1};
    struct finder f = {.lines = lines_out};
    for (;;) {
        struct token t = next(&r);
        bool top = f.blocks == 0 && f.brackets == 0;
        if (t.kind == TOKEN_END)
            return;
        if (top && f.constructors == 0 && is_word(&t, "return")) {
            read_return(&f, &r, t.line);
        } else if (top && f.field_begins && f.constructors > 0 && (t.kind == TOKEN_NAME || is_char(&t, '['))) {
            struct reader before = r;
            read_key(&f, &r, t);
            if (r.at == before.at)
                count_blocks(&f, &t); /* no key: a value that may open a function */
        } else {
            if (t.kind == TOKEN_NAME)
                count_blocks(&f, &t);
            else if (t.kind == TOKEN_OTHER)
                count_brackets(&f, &t);
            if (!is_char(&t, ',') && !is_char(&t, ';'))
                f.field_begins = false;
        }
    }
}

void lines_free(struct lines *l)
{
    forget_fields(l);
    free(l->fields);
    *l = (struct lines){0};
}

unsigned lines_of(const struct lines *l, const char *field)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->fields[i].name, field) == 0)
            return l->fields[i].line;
    const char *dot = strchr(field, '.');
    for (size_t i = 0; dot != NULL && i < l->count; i++)
        if (strlen(l->fields[i].name) == (size_t)(dot - field) &&
            memcmp(l->fields[i].name, field, (size_t)(dot - field)) == 0)
            return l->fields[i].line;
    return l->fallback;
}
