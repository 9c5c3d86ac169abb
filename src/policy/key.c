/*
 * key.c: see key.h.
 */
#include "policy/key.h"
#include "base/ascii.h"
#include "base/panic.h"
#include "codec/form.h"
#include "codec/json.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#define EXPECTED                                                                                                   \
    "expected \"ip\", \"auth\", \"body\", \"header:NAME\", \"query:NAME\", \"param:NAME\" or a JSON pointer like " \
    "\"/a/b\""
#define SHOWN(text) SLICE_SHOWN(text, 60)

static const char *const words[] = {
    [KEY_IP] = "ip",       [KEY_AUTH] = "auth",   [KEY_BODY] = "body",       [KEY_HEADER] = "header",
    [KEY_QUERY] = "query", [KEY_PARAM] = "param", [KEY_POINTER] = "pointer", [KEY_FUNCTION] = "function"};

const char *key_kind_name(enum key_kind kind)
{
    CHECK((unsigned)kind < sizeof words / sizeof *words);
    return words[kind];
}

/* --- parsing ---------------------------------------------------------------------------------------------------- */

static const char *name_fault(enum key_kind kind, struct slice name)
{
    if (name.len == 0)
        return "the name is missing";
    if (kind != KEY_QUERY && !ascii_is_token(name))
        return "a name has no such characters";
    return NULL;
}

static int parse_named(enum key_kind kind, struct slice text, struct slice name, struct key *key_out, struct error *err)
{
    const char *fault = name_fault(kind, name);
    if (fault != NULL)
        return error_set(err, "'%.*s%s': %s", SHOWN(text), fault);
    *key_out = (struct key){.kind = kind, .name = slice_dup(name)};
    for (char *c = key_out->name; kind == KEY_HEADER && *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return 0;
}

static int unknown(struct slice text, struct error *err)
{
    static const char *const whole[] = {"ip", "auth", "body"}, *const marks[] = {"header", "query", "param"};
    size_t colon = slice_find(text, ':');
    struct slice word = {text.at, colon == SIZE_MAX ? text.len : colon};
    const char *near = slice_nearest(word, colon == SIZE_MAX ? whole : marks, 3);
    if (near == NULL && colon == SIZE_MAX)
        near = slice_nearest(word, marks, 3);
    bool mark = near != NULL && ascii_is_one_of(near[0], "hqp");
    return error_set(err, "'%.*s%s' is no key%s%s%s%s: " EXPECTED, SHOWN(text), near ? " (did you mean \"" : "",
                     near ? near : "", mark ? ":" : "", near ? "\"?)" : "");
}

int key_parse(struct slice text, struct key *key_out, struct error *err)
{
    *key_out = (struct key){0};
    if (slice_find(text, '\0') != SIZE_MAX)
        return error_set(err, "a key with a NUL byte in it");
    if (text.len > 0 && text.at[0] == '/') {
        const char *fault = pointer_check(text);
        if (fault != NULL)
            return error_set(err, "'%.*s%s': %s", SHOWN(text), fault);
        *key_out = (struct key){.kind = KEY_POINTER, .name = slice_dup(text)};
        return 0;
    }
    for (enum key_kind kind = KEY_IP; kind < KEY_POINTER; kind++) {
        struct slice word = slice_of(words[kind]);
        if (!slice_starts(text, word))
            continue;
        if (kind < KEY_HEADER && text.len == word.len) {
            key_out->kind = kind;
            return 0;
        }
        if (kind >= KEY_HEADER && text.len > word.len && text.at[word.len] == ':')
            return parse_named(kind, text, slice_from(text, word.len + 1), key_out, err);
    }
    return unknown(text, err);
}

void key_free(struct key *key)
{
    free(key->name);
    if (key->function.release != NULL)
        key->function.release(key->function.owner, key->function.ref);
    *key = (struct key){0};
}

void key_describe(const struct key *key, struct buf *out)
{
    if (key->kind == KEY_POINTER)
        buf_add_text(out, key->name);
    else if (key->name != NULL)
        buf_addf(out, "%s:%s", words[key->kind], key->name);
    else
        buf_add_text(out, words[key->kind]);
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

struct slice key_read_ip(const struct http_request *http)
{
    const struct ip *client = &http->client;
    const char *bytes = (const char *)client->at;
    switch (client->kind) {
    case IP_V4:
        return (struct slice){bytes, 4};
    case IP_V6:
        return (struct slice){bytes, 8};
    case IP_UNIX:
        return SLICE("unix:");
    default:
        return SLICE("unknown");
    }
}

/* Who it is where the verifier knows names, else with which secret it was signed. */
static struct slice read_auth(const struct verify_auth *auth, struct buf *room)
{
    if (auth == NULL || auth->by.at == NULL)
        return SLICE_NONE;
    buf_add_slice(room, auth->by);
    buf_add_char(room, '\0');
    if (auth->subject.at != NULL)
        buf_add_slice(room, auth->subject);
    else
        buf_addf(room, "%d", auth->index);
    return buf_slice(room);
}

static struct slice read_param(const struct key_source *from, struct slice name)
{
    for (size_t i = 0; i < from->param_count; i++)
        if (slice_equal(from->param_names[i], name))
            return from->param_values[i];
    return SLICE_NONE;
}

/* Decoded into room, behind what is there; a broken encoding is none. */
static struct slice decoded(struct slice text, struct buf *room)
{
    struct form_fault fault;
    char *to = buf_reserve(room, text.len + 1);
    size_t len = form_percent_decode(text, to, &fault);
    if (len == SIZE_MAX)
        return SLICE_NONE;
    room->len += len;
    return (struct slice){to, len};
}

/* The first value of that name, as req.query has it ('+' is a space). */
static struct slice read_query(struct slice query, struct slice name, struct buf *room)
{
    struct slice part, spaced;
    buf_add_slice(room, query);
    for (size_t i = 0; i < room->len; i++)
        if (room->at[i] == '+')
            room->at[i] = ' ';
    buf_reserve(room, query.len * 2 + 4); /* so that what is decoded does not move what is read */
    spaced = buf_slice(room);
    while (slice_cut(&spaced, '&', &part)) {
        size_t equals = slice_find(part, '='), len = room->len;
        if (equals == SIZE_MAX) /* a name alone has an empty value */
            equals = part.len;
        if (slice_equal(decoded((struct slice){part.at, equals}, room), name))
            return decoded(slice_from(part, equals + 1), room);
        room->len = len;
    }
    return SLICE_NONE;
}

static struct slice read_pointer(const struct json_reader *json, struct slice pointer, struct buf *room)
{
    struct json_walk walk;
    struct json_token t;
    if (json == NULL || !json_walk_at(json, pointer, &walk))
        return SLICE_NONE;
    json_next(&walk, &t);
    switch (t.kind) {
    case JSON_STRING:
    case JSON_BIG:
        return t.text;
    case JSON_INT:
        buf_addf(room, "%" PRId64, t.i);
        return buf_slice(room);
    case JSON_UINT:
        buf_addf(room, "%" PRIu64, t.u);
        return buf_slice(room);
    case JSON_DOUBLE:
        buf_addf(room, "%.17g", t.d);
        return buf_slice(room);
    case JSON_TRUE:
        return SLICE("true");
    case JSON_FALSE:
        return SLICE("false");
    default:
        return SLICE_NONE;
    }
}

static struct slice read_any(const struct key *key, const struct key_source *from, struct buf *room)
{
    struct slice name = slice_of(key->name);
    switch (key->kind) {
    case KEY_IP:
        return key_read_ip(from->http);
    case KEY_AUTH:
        return read_auth(from->auth, room);
    case KEY_BODY:
        return from->http->body;
    case KEY_HEADER:
        return slice_trim(http_request_header(from->http, name));
    case KEY_QUERY:
        return from->http->query.len > 0 ? read_query(from->http->query, name, room) : SLICE_NONE;
    case KEY_PARAM:
        return read_param(from, name);
    case KEY_POINTER:
        return read_pointer(from->json, name, room);
    case KEY_FUNCTION:
        return SLICE_NONE;
    }
    PANIC("a key of no kind");
}

struct slice key_read(const struct key *key, const struct key_source *from, struct buf *room)
{
    buf_clear(room);
    struct slice found = read_any(key, from, room);
    return found.len > 0 ? found : SLICE_NONE;
}
