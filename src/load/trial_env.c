/*
 * trial_env.c: the values of `env`: `.env`, the environment over it, systemd's credentials over that, and last the
 * files that variables NAME_FILE name; see trial.h. A file of the last two kinds that cannot be read is a fault of its
 * name: told to the script that asks for it. Lines of .env are NAME=value, with an optional `export`; '...' is literal,
 * "..." knows \n \r \t \" \\ \$ and, like '...', may go over lines; without quotes a value ends at the line's end, or
 * before " #". Nothing is expanded. Of two lines with one name the later counts. Owns: nothing beyond a call. Runs in:
 * trial, check, routes. Fails: with ".env:LINE: words".
 */
#include "base/ascii.h"
#include "base/fd.h"
#include "base/map.h"
#include "base/panic.h"
#include "load/env_sources.h"
#include "load/trial.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct pair { /* offsets in room, which moves as it grows */
    size_t name, name_len, value, value_len;
    bool fault; /* there is no value: it says why */
};

struct reader {
    const char *at, *end;
    unsigned line;
    struct buf *room;
    struct map *places; /* name → index of its pair, plus one */
    struct pair *pairs;
    size_t count;
};

static void put(struct reader *r, struct slice name, struct slice value, bool fault)
{
    struct pair p = {r->room->len, name.len, r->room->len + name.len, value.len, fault};
    if (slice_equal(name, SLICE("CRESCENT_ADMIN_TOKEN")))
        return; /* the server's own secret is none of the scripts' */
    buf_add_slice(r->room, name);
    buf_add_slice(r->room, value);
    size_t place = (size_t)map_get(r->places, name);
    if (place == 0) {
        r->pairs = need_realloc(r->pairs, (r->count + 1) * sizeof *r->pairs);
        place = ++r->count;
        map_set(r->places, name, (void *)place);
    }
    r->pairs[place - 1] = p;
}

static void skip_blanks(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

static struct slice read_name(struct reader *r)
{
    const char *start = r->at;
    while (r->at < r->end && (ascii_is_alnum(*r->at) || *r->at == '_'))
        r->at++;
    return (struct slice){start, (size_t)(r->at - start)};
}

static const char *read_escape(struct reader *r, struct buf *value)
{
    static const char from[] = "nrt\"\\$", to[] = "\n\r\t\"\\$";
    const char *found = r->at < r->end && *r->at != '\0' ? strchr(from, *r->at) : NULL;
    if (found == NULL)
        return "unknown escape in \"...\": there are \\n \\r \\t \\\" \\\\ \\$";
    buf_add_char(value, to[found - from]);
    r->at++;
    return NULL;
}

static const char *read_quoted(struct reader *r, struct buf *value)
{
    char quote = *r->at++;
    while (r->at < r->end && *r->at != quote) {
        char c = *r->at++;
        const char *fault = NULL;
        if (c == '\n')
            r->line++;
        if (c == '\\' && quote == '"')
            fault = read_escape(r, value);
        else
            buf_add_char(value, c);
        if (fault != NULL)
            return fault;
    }
    if (r->at == r->end)
        return "a quote that does not end";
    r->at++;
    skip_blanks(r);
    if (r->at < r->end && *r->at != '\n' && *r->at != '#')
        return "something stands behind the closing quote";
    return NULL;
}

static void read_bare(struct reader *r, struct buf *value)
{
    const char *start = r->at;
    while (r->at < r->end && *r->at != '\n' &&
           !(*r->at == '#' && (r->at == start || r->at[-1] == ' ' || r->at[-1] == '\t')))
        r->at++;
    struct slice text = {start, (size_t)(r->at - start)};
    while (text.len > 0 && isspace((unsigned char)text.at[text.len - 1]))
        text.len--;
    buf_add_slice(value, text);
}

/* One line, from its first character that is no blank. */
static const char *read_line(struct reader *r, struct buf *value)
{
    struct slice name = read_name(r);
    if (slice_equal(name, SLICE("export")) && r->at < r->end && (*r->at == ' ' || *r->at == '\t')) {
        skip_blanks(r);
        name = read_name(r);
    }
    if (name.len == 0 || ascii_is_digit(name.at[0]))
        return "expected NAME=value";
    skip_blanks(r);
    if (r->at == r->end || *r->at != '=')
        return "expected NAME=value";
    r->at++;
    skip_blanks(r);
    const char *fault = NULL;
    if (r->at < r->end && (*r->at == '"' || *r->at == '\''))
        fault = read_quoted(r, value);
    else
        read_bare(r, value);
    if (fault != NULL)
        return fault;
    if (slice_find(buf_slice(value), '\0') != SIZE_MAX)
        return "a NUL byte";
    put(r, name, buf_slice(value), false);
    return NULL;
}

static int read_lines(struct reader *r, const char *base, struct error *err)
{
    struct buf value = {.secret = true};
    if (r->end - r->at >= 3 && memcmp(r->at, "\xef\xbb\xbf", 3) == 0)
        r->at += 3; /* editors of some systems put a mark first */
    while (r->at < r->end) {
        unsigned line = r->line;
        skip_blanks(r);
        const char *fault = NULL;
        buf_clear(&value);
        if (r->at < r->end && *r->at != '\n' && *r->at != '#')
            fault = read_line(r, &value);
        if (fault != NULL) {
            buf_free(&value);
            return error_set(err, "%s:%u: %s", base, line, fault);
        }
        while (r->at < r->end && *r->at != '\n')
            r->at++; /* a comment */
        if (r->at < r->end)
            r->at++, r->line++;
    }
    buf_free(&value);
    return 0;
}

static int read_file(struct reader *r, const char *env_file, struct error *err)
{
    struct buf text = {.secret = true};
    if (access(env_file, F_OK) != 0 && errno == ENOENT)
        return 0;
    const char *slash = strrchr(env_file, '/');
    int done = fd_read_file(env_file, ENV_FILE_MAX, &text, err);
    r->at = buf_text(&text);
    r->end = r->at + text.len;
    if (done == 0)
        done = read_lines(r, slash != NULL ? slash + 1 : env_file, err);
    buf_free(&text);
    return done;
}

static void read_environment(struct reader *r)
{
    for (char **e = environ; *e != NULL; e++) {
        struct slice all = slice_of(*e);
        size_t equals = slice_find(all, '=');
        if (equals != SIZE_MAX && equals > 0)
            put(r, (struct slice){all.at, equals}, slice_from(all, equals + 1), false);
    }
}

/* The line break that editors and `echo` put at the end is not meant. */
static struct slice without_break(struct slice s)
{
    if (slice_ends(s, SLICE("\n")))
        s.len--;
    if (slice_ends(s, SLICE("\r")))
        s.len--;
    return s;
}

/* what: where the path comes from, for the words of a fault. */
static void read_value_file(struct reader *r, const struct env_source *from, const char *what)
{
    struct buf text = {.secret = true}, words = {0};
    struct error err;
    int done = fd_read_file(from->path, ENV_VALUE_FILE_MAX, &text, &err);
    if (done == 0 && slice_find(buf_slice(&text), '\0') != SIZE_MAX)
        done = error_set(&err, "%s: a NUL byte", from->path);
    if (done != 0)
        buf_addf(&words, "env.%s: %s: %s", from->name, what, err.text);
    put(r, slice_of(from->name), done == 0 ? without_break(buf_slice(&text)) : buf_slice(&words), done != 0);
    buf_free(&text);
    buf_free(&words);
}

static int read_value_files(struct reader *r, const char *env_file, struct error *err)
{
    struct env_sources sources;
    struct env_source *credentials;
    size_t count;
    char what[128];
    env_sources_list(env_file, &sources);
    int done = env_sources_credentials(&sources, &credentials, &count, err);
    for (size_t i = 0; i < count; i++)
        read_value_file(r, &credentials[i], "a credential");
    for (size_t i = 0; i < sources.file_count; i++) {
        snprintf(what, sizeof what, "of %.100s_FILE", sources.files[i].name);
        read_value_file(r, &sources.files[i], what);
    }
    env_sources_free_list(credentials, count);
    env_sources_free(&sources);
    return done;
}

/*
 * NAME_FILE in .env is a value like others, and names no file. Who asks for NAME, which has no value, is told so: it
 * would be taken for one that nobody has set.
 */
static void tell_named_in_file(struct reader *r, size_t of_file)
{
    struct buf name = {0}, words = {0};
    for (size_t i = 0; i < of_file; i++) {
        struct slice base, variable = {r->room->at + r->pairs[i].name, r->pairs[i].name_len};
        if (!env_sources_names_file(variable, &base) || map_get(r->places, base) != NULL)
            continue;
        buf_clear(&name);
        buf_clear(&words);
        buf_add_slice(&name, base);
        buf_addf(&words, "env.%.*s: %.*s stands in .env, where it names no file: only the environment's does",
                 SLICE_ARG(base), SLICE_ARG(variable));
        put(r, buf_slice(&name), buf_slice(&words), true);
    }
    buf_free(&name);
    buf_free(&words);
}

static int by_name(const void *a, const void *b, void *cookie)
{
    const struct buf *room = cookie;
    const struct pair *x = a, *y = b;
    size_t len = x->name_len < y->name_len ? x->name_len : y->name_len;
    int order = memcmp(room->at + x->name, room->at + y->name, len);
    return order != 0 ? order : x->name_len < y->name_len ? -1 : x->name_len > y->name_len;
}

/* Sorted, so that the same values are the same bytes each time. */
static void give(struct reader *r, struct snapshot_env *env_out)
{
    if (r->count > 1)
        qsort_r(r->pairs, r->count, sizeof *r->pairs, by_name, r->room);
    env_out->count = r->count;
    env_out->names = need_zero(r->count + 1, sizeof *env_out->names);
    env_out->values = need_zero(r->count + 1, sizeof *env_out->values);
    env_out->faults = need_zero(r->count + 1, sizeof *env_out->faults);
    for (size_t i = 0; i < r->count; i++) {
        env_out->names[i] = (struct slice){r->room->at + r->pairs[i].name, r->pairs[i].name_len};
        env_out->values[i] = (struct slice){r->room->at + r->pairs[i].value, r->pairs[i].value_len};
        env_out->faults[i] = r->pairs[i].fault;
    }
}

int trial_read_env(const char *env_file, struct buf *room, struct snapshot_env *env_out, struct error *err)
{
    struct reader r = {.line = 1, .room = room, .places = map_new()};
    *env_out = (struct snapshot_env){0};
    int done = env_file != NULL ? read_file(&r, env_file, err) : 0;
    if (done == 0) {
        size_t of_file = r.count;
        read_environment(&r);
        done = env_file != NULL ? read_value_files(&r, env_file, err) : 0;
        tell_named_in_file(&r, of_file);
    }
    if (done == 0)
        give(&r, env_out);
    map_free(&r.places);
    free(r.pairs);
    return done;
}
