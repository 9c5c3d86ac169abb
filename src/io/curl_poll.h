/*
 * curl_poll.h: what libcurl asks the kernel twice about one socket. It looks whether a kept connection is still there,
 * sends the request over it, and looks at once whether the reply has come, microseconds later: it never has. Whatever
 * the second look would miss the epoll set tells, as it is asked by level.
 * Owns: nothing. Runs in: any thread; only one that says so is answered like that. Fails: never.
 */
#ifndef CRESCENT_IO_CURL_POLL_H
#define CRESCENT_IO_CURL_POLL_H

/*
 * Around a call of libcurl's, on the calling thread: libc's poll is interposed. A socket that was asked, without
 * waiting, whether there is something to be read, and had nothing, is not asked again if it is the next one to be
 * asked.
 */
void io_curl_poll_begin(void);
void io_curl_poll_end(void);

#endif
