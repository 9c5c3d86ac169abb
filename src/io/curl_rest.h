/*
 * curl_rest.h: whether a connection that has rested may serve the next request. libcurl 7.88 looks only whether it has
 * ended: what its host said beyond a reply (one reply too many, a body behind the header for HEAD) would be what the
 * next one gets. Such bytes can lie in three places: in the socket, in OpenSSL's buffer, and in libcurl's own, which
 * drops them and waits for no more of them. Whatever is found costs the connection; where nothing is, it costs no
 * system call.
 * Owns: nothing. Runs in: any thread; only one that says so is answered like that. Fails: never.
 */
#ifndef CRESCENT_IO_CURL_REST_H
#define CRESCENT_IO_CURL_REST_H

#include <curl/curl.h>
#include <stdbool.h>

/*
 * Around a call of libcurl's, on the calling thread: libc's recv is interposed, and libcurl's look at a connection
 * finds its end where there is anything to be read. framed(cookie, fd): not there: HTTP/2 may speak unasked. A ticket
 * of TLS 1.3 that comes behind a reply costs the connection, too, as it does with nginx: before it is read it looks
 * like a reply.
 */
void io_curl_rest_begin(bool (*framed)(const void *cookie, int fd), const void *cookie);
void io_curl_rest_end(void);
/* In a PREREQFUNCTION, over TLS: more than the last reply was read from this connection. Not so of HTTP/2. */
bool io_curl_rest_is_spoiled(CURL *easy);
/*
 * In a HEADERFUNCTION, at the end of the header: the reply has no body, or libcurl alone sees where that ends. If it
 * finds more there, FORBID_REUSE is set, as VERBOSE is now: the handle's next transfer wants both back at 0.
 */
void io_curl_rest_guard(CURL *easy);
/* Options that a handle must have for that. */
void io_curl_rest_prepare(CURL *easy);

#endif
