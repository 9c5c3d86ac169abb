/*
 * bind_http.h: the global http: http.get(url, options), head, post, put, patch, delete, and http.request{ … }. Each
 * suspends the coroutine and returns the reply { status, headers, body, url }, or nil and an error whose `code` is one
 * of io/httpc.h's, or "status" where `expect` names others (err.status and err.response are that reply then).
 *
 *   headers           name → value, or a list of them
 *   query             name → value, or a list: added to the URL
 *   body json form multipart   one of them: the bytes, a value, a table, a table of fields and files
 *   timeout           of all of it, redirects and retries too: 10s
 *   connect_timeout   of name, connection and handshake: 5s
 *   max_body          of the reply, unpacked: 8MiB
 *   redirects         how many are followed: 5 of GET and HEAD, else none
 *   expect            "2xx", a status, or a list of these; others are nil, err
 *   private           false: no private addresses (never more than the setting http_private allows)
 *   ca cert key       PEM text, or files from the configuration's folder on. Verification cannot be switched off: a
 *                     certificate that is not signed by anybody known is trusted by naming it as `ca`
 *   sign              { scheme = "standard", secret, id }: bind_http_sign.h
 *   retry             bind_http_retry.h
 *   concurrency       at most so many requests to this host at once, of one worker: 128
 *   decompress        false: the reply as it is sent; so it is where headers name an accept-encoding
 *   stream            true: bind_http_stream.h
 *
 * Runs in: the state's thread. Fails: misuse raises.
 */
#ifndef CRESCENT_BIND_BIND_HTTP_H
#define CRESCENT_BIND_BIND_HTTP_H

#include <lua.h>

/* Pushes the table http. Once per state, after json. [-0,+1,m] */
void bind_http_open(lua_State *L);

#endif
