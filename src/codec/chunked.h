/*
 * chunked.h: the chunked transfer coding (RFC 9112 7.1), decoded in place while it comes in. Nothing but its grammar is
 * taken, for whoever reads a line in another way sees other requests behind it: sizes are hexadecimal digits alone,
 * every line ends with CR LF, so does every chunk's data. Extensions and trailer fields are read and dropped. Owns
 * nothing. Runs in: any thread. Fails: CHUNKED_BAD, for good.
 */
#ifndef CRESCENT_CODEC_CHUNKED_H
#define CRESCENT_CODEC_CHUNKED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHUNKED_DIGITS 16   /* of a size, leading zeros among them */
#define CHUNKED_ASIDE 16384 /* bytes of extensions and trailer fields by which they may exceed the data before them */

enum { CHUNKED_BAD = -1, CHUNKED_MORE = -2 };

struct chunked {    /* a body's decoder, born as {0} */
    uint64_t left;  /* bytes of the chunk's data that are to come; its size as far as it was read */
    uint32_t aside; /* bytes of extensions and trailer fields, less what data has made up for */
    uint8_t state, digits;
};

/*
 * Decodes the *size bytes at `buf`, those that have come since the last call. *size is then how many bytes of data
 * stand there. CHUNKED_MORE: the body goes on. CHUNKED_BAD: it is none, at any later call, too. Else it has ended, and
 * the result is how many bytes behind it follow the data at once; it must not be called again.
 */
ssize_t chunked_decode(struct chunked *c, char *buf, size_t *size);

#endif
