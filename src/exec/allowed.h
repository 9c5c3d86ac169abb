/*
 * allowed.h: which programs scripts may start, and which file a program's name means. Worker and spawner both ask: the
 * worker for its script's sake, the spawner because it does not trust its worker.
 * A name is as in a shell: with a slash it is a path, which begins at the configuration's folder (never at the `cwd` of
 * a call); without, it is looked for in the server's own PATH (never in one that a script gives).
 * Owns nothing. Runs in: worker, spawner; pure, but for the look at the file system. Fails: with a code and words.
 */
#ifndef CRESCENT_EXEC_ALLOWED_H
#define CRESCENT_EXEC_ALLOWED_H

#include "base/config.h"
#include "base/error.h"

/* What the configuration says, as a list of strings (buf_add_string), each in the form that names are compared in. */
void allowed_write(const struct config *c, struct buf *out);
/* A name in that form: a path absolute, a bare name as it is. malloc'ed. */
char *allowed_name(const char *root, const char *name);
/* Whether the list has that name, which is in that form. */
bool allowed_has(struct slice list, const char *name);
/* The server's PATH: where bare names are looked for. One of the usual places where it has none, or an empty one. */
const char *allowed_path(void);
/*
 * The file of a name in that form, malloc'ed; NULL with words, and the code: not_found, not_executable. path: a PATH;
 * entries in it that are not absolute are no places to look in.
 */
char *allowed_file(const char *name, const char *path, const char **code_out, struct error *err);

#endif
