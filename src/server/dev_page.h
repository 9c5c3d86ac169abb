/*
 * dev_page.h: with --dev, an answer that tells what went wrong says why: the script's error with its traceback, the
 * reason of a refusal, the routes that there are. HTML for a browser, text for curl, a member of the problem for who
 * asks for JSON. Without --dev nothing here does anything: strangers learn nothing of scripts and paths.
 * Owns nothing. Runs in: the worker's thread. Never fails.
 */
#ifndef CRESCENT_SERVER_DEV_PAGE_H
#define CRESCENT_SERVER_DEV_PAGE_H

#include "base/slice.h"
#include "policy/policy.h"

struct exchange;
struct generation;
struct server;

/* Says more of the problem that is answered next; what env gave is not shown. */
void dev_page_note(struct server *s, struct slice text);
/* The same with the reason of a refusal. */
void dev_page_note_reason(struct server *s, enum reason reason);
/* The same with every route of a generation. */
void dev_page_note_routes(struct server *s, const struct generation *g);
/* The same of an exchange that has passed its endpoint's timeout: where its script waits. */
void dev_page_note_timeout(struct exchange *ex);
/*
 * Makes the server's response that page. False (and the notes are gone): it is to be an ordinary problem, since there
 * is no --dev, or nothing more to say. detail, members: as of problem_make.
 */
bool dev_page_make(struct exchange *ex, int status, struct slice detail, struct slice members);

#endif
