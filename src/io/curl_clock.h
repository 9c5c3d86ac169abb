/*
 * curl_clock.h: the time as libcurl sees it. It reads the clock some twenty-five times for a small request, which is a
 * twentieth of what that costs. So libc's clock_gettime is interposed: while libcurl runs on the loop, one reading in
 * sixteen is a true one, and the others repeat it: they are behind by what a few lines of its code take.
 * Owns: nothing. Runs in: any thread; only one that says so is answered like that. Fails: as clock_gettime.
 */
#ifndef CRESCENT_IO_CURL_CLOCK_H
#define CRESCENT_IO_CURL_CLOCK_H

/*
 * Around a call of libcurl's, on the calling thread. Between the two nobody else should ask for CLOCK_MONOTONIC. The
 * first reading is true.
 */
void io_curl_clock_begin(void);
void io_curl_clock_end(void);

#endif
