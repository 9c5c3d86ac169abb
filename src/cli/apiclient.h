/*
 * apiclient.h: one question or order to a running server's admin listener, over libcurl. The address is --admin, else
 * CRESCENT_ADMIN, else 127.0.0.1:8081; the token is CRESCENT_TOKEN (not a flag: the list of processes shows those).
 * Owns: what it has read. Runs in: a command's process. Fails: exit code and words; an answer that is no 2xx is
 * CLI_FAILED with the words of the server's problem; whoever does not say that it is an admin listener (the field
 * crescent-admin) is not quoted. A token that could not stand in a header field is wrong usage.
 */
#ifndef CRESCENT_CLI_APICLIENT_H
#define CRESCENT_CLI_APICLIENT_H

#include "base/buf.h"
#include "base/error.h"
#include "cli/options.h"

/* method: "GET", "POST". path: "/api/v1/...", percent-encoded. The answer's body is appended to body. */
int apiclient_call(const struct options *o, const char *method, const char *path, struct buf *body, struct error *err);
/* Appends a name as part of a path: every byte that could mean something else is encoded, but '/'. */
void apiclient_add_name(struct buf *path, const char *name);

#endif
