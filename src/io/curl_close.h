/*
 * curl_close.h: which descriptors libcurl closes. It tells that of connections only: a socket that is still connecting,
 * and the ones that its resolver waits by, it closes without a word, and their numbers come back as others' at once.
 * Owns: nothing. Runs in: any thread; only one that says so is told. Fails: never.
 */
#ifndef CRESCENT_IO_CURL_CLOSE_H
#define CRESCENT_IO_CURL_CLOSE_H

/* Around a call of libcurl's, on the calling thread: libc's close is interposed. closing(cookie, fd): it is open yet.
 */
void io_curl_close_begin(void (*closing)(void *cookie, int fd), void *cookie);
void io_curl_close_end(void);

#endif
