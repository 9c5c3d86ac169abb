/*
 * redact.h: what never reaches a log: values under names that speak of a secret, and values that scripts got from
 * `env`, wherever they stand. Owns: copies of the values of env. Runs in: the state's thread. Never fails.
 */
#ifndef CRESCENT_HTTP_REDACT_H
#define CRESCENT_HTTP_REDACT_H

#include "base/buf.h"

#define REDACT_WORD "[redacted]"

struct redact;

struct redact *redact_new(void);
void redact_free(struct redact **r);
/*
 * A value of env: it is a secret when its name says so and it has 6 bytes or more, or when it has 16 or more, whatever
 * its name is, and is neither a path nor the host's name. Shorter ones ("eu-west-1") would blank out words. Twice is
 * fine. None is forgotten, however many there are: a script may hold a value long after env has lost it.
 */
void redact_learn(struct redact *r, struct slice name, struct slice value);
/* Whether such a name is of a secret: authorization, cookie, password, secret, token, signature, credential in it,
 * "key", "*_key" (not those of databases and deduplication). Case and dashes do not matter. */
bool redact_name(struct slice name);
/* Whether learned values stand in the text, or the first 6 bytes or more of one before "..."; then out gets it with
 * REDACT_WORD in their place (appended). r may be NULL. */
bool redact_text(const struct redact *r, struct slice text, struct buf *out);
/* The text as it may be told: itself, or without the values, then in `room`, which the caller frees. */
struct slice redact_clean(const struct redact *r, struct slice text, struct buf *room);
/* redact_text for JSON text of our own writer, which stays JSON: a number that holds a value becomes a string. Members
 * with the name of a secret lose their value too. */
bool redact_json(const struct redact *r, struct slice json, struct buf *out);

#endif
