/*
 * multipart.h: multipart/form-data (RFC 7578 over RFC 2046 5.1) of a body that is there as a whole. A part's data is a
 * place in the body, never a copy. Strict wherever two readers could see different parts (line ends, boundaries,
 * doubled headers and parameters), lenient where clients differ: preamble and epilogue, spaces behind a boundary,
 * quoted or bare parameters, backslashes and %22 in a quoted name.
 * Owns: the parts' texts, in struct multipart. Runs in: any thread. Fails: -1 with the part, the place and words.
 */
#ifndef CRESCENT_CODEC_MULTIPART_H
#define CRESCENT_CODEC_MULTIPART_H

#include "base/slice.h"
#include <stdbool.h>

#define MULTIPART_PARTS 1000  /* where nobody says otherwise: as many as a urlencoded form may have pairs */
#define MULTIPART_HEAD 8192   /* bytes of one part's header fields; the whole of a request's are 32 KiB */
#define MULTIPART_FIELDS 16   /* header fields of a part: clients send two or three */
#define MULTIPART_NAME 1024   /* bytes of a name, of a file's name */
#define MULTIPART_BOUNDARY 70 /* RFC 2046 5.1.1 */

struct multipart_part {
    struct slice name;         /* of the field; %22, %0D and %0A decoded, as browsers send them */
    struct slice filename_raw; /* as sent, without quotes; at == NULL: this part is a field, no file */
    struct slice filename;     /* its bare name (codec/filename.h), or at == NULL when nothing is left */
    struct slice type;         /* Content-Type as sent; at == NULL: none */
    size_t offset, size;       /* of the data, in the body */
    char *own;                 /* memory of the texts */
};

struct multipart { /* in the order sent; born as {0} */
    struct multipart_part *at;
    size_t count, room;
};

struct multipart_fault {
    const char *what; /* static text */
    size_t part;      /* counted from 1; 0: before the first */
    size_t offset;    /* in the body */
    bool many;        /* the fault is their number */
};

/* Whether a Content-Type's media type is `type` ("multipart/form-data"), parameters left aside. */
bool multipart_is_type(struct slice content_type, struct slice type);
/* The boundary out of a Content-Type, written to room. 0, or -1 and a static text. */
int multipart_boundary(struct slice content_type, char room[MULTIPART_BOUNDARY], struct slice *boundary_out,
                       const char **why_out);
/* All parts of the body; more than `most` are a fault. On a fault nothing is left in *parts_out. */
int multipart_parse(struct slice body, struct slice boundary, size_t most, struct multipart *parts_out,
                    struct multipart_fault *fault_out);
/* Frees what parse made; leaves {0}. */
void multipart_free(struct multipart *parts);

#endif
