/*
 * httpc_internal.h: what the files of the HTTP client share: a call, and the client that it belongs to.
 */
#ifndef CRESCENT_IO_HTTPC_INTERNAL_H
#define CRESCENT_IO_HTTPC_INTERNAL_H

#include "base/buf.h"
#include "base/list.h"
#include "codec/url.h"
#include "io/curl.h"
#include "io/httpc.h"
#include "io/timeout.h"

#define HTTPC_MAGIC 0x68747063u
#define HTTPC_PIECE ((size_t)64 << 10) /* of a streamed body, held at most */

enum httpc_state {
    HTTPC_IDLE,    /* in the pool */
    HTTPC_WAITING, /* for its turn at the host */
    HTTPC_RUNNING, /* libcurl has it */
    HTTPC_OVER     /* this hop has ended */
};

enum httpc_how { HTTPC_GET, HTTPC_HEAD, HTTPC_PLAIN, HTTPC_BODY }; /* what libcurl is told of the method */

enum httpc_stop { /* why one of our callbacks has stopped libcurl */
                  HTTPC_STOP_NONE,
                  HTTPC_STOP_HEADER,  /* its header is too large */
                  HTTPC_STOP_BODY,    /* the reply is too large */
                  HTTPC_STOP_MEMORY,  /* all replies together are */
                  HTTPC_STOP_ENOUGH,  /* of a redirect's body */
                  HTTPC_STOP_CODING,  /* its coding is corrupt, or none that was asked for: said already */
                  HTTPC_STOP_LENGTH,  /* nobody can tell where its body ends */
                  HTTPC_STOP_TWICE,   /* it would be sent again */
                  HTTPC_STOP_SPOILED, /* before anything was sent: its connection is none to be used again */
                  HTTPC_STOP_SWITCH,  /* the host leaves HTTP, which nobody asked for */
                  HTTPC_STOP_LOOKUPS  /* too many names are being looked up */
};

struct httpc_line { /* one header field to be sent; a curl_slist first, so that libcurl reads the list as its own */
    struct curl_slist list;
    bool origin_only; /* credentials and the like: not to another origin */
    bool of_body;     /* dropped with the body */
    bool open;        /* ordinary ones may be written behind it */
};

struct httpc_handle {  /* what libcurl's handle was told beyond the basics: told again only where it differs */
    bool tls, special; /* special: reset it whole */
    bool wary;         /* of its connection: io_curl_rest_guard, or that is to be closed */
    enum httpc_how how;
};

struct httpc_call {
    unsigned magic;
    struct httpc *client;
    CURL *easy;
    CURLU *parsed;    /* libcurl's reading of `known` */
    struct buf known; /* the URL that the handle has; empty: none */
    struct buf given; /* what url and origin were read from last; empty: something else */
    struct httpc_handle handle;
    struct list link;  /* in client.idle or .calls */
    struct list ready; /* in client.ready: there is news to tell */
    struct httpc_events events;
    void *cookie;
    struct httpc_reply reply;

    /* The request. Slices of it point into text. */
    struct httpc_request request;
    struct buf text; /* all texts, allocated in one */
    struct httpc_line *lines;
    size_t line_count, line_room;
    struct buf body;   /* a copy of the request's */
    char *credentials; /* the line of those that stood in the URL, or NULL */

    /* This hop. */
    enum httpc_state state;
    mono_t ran;                   /* from when on its host could answer: the call's start, its turn, or the next hop */
    struct buf url, origin, next; /* next: where a redirect leads */
    struct outbound_wait turn;
    bool foreign;     /* not the first origin: no credentials */
    bool head_done;   /* the header is there */
    unsigned codings; /* how many fields it has that name a content-encoding */
    bool chunked;     /* a transfer-encoding */
    bool framed;      /* it came by HTTP/2 */
    uint64_t length;  /* the content-length that it names, or 0 */
    bool sized;       /* it names one */
    bool missized;    /* what it names is none, or are several that differ */
    bool following;   /* it is a redirect, and is followed */
    unsigned asked;   /* how often libcurl was about to send it */
    size_t head_size; /* of all header lines, interim ones and trailers included */
    size_t dropped;   /* of a redirect's body */
    size_t received;  /* of a streamed one */
    enum httpc_stop stop;
    int no_socket;       /* errno of a socket that could not be made, or 0 */
    const char *refused; /* why an address was */
    char refused_ip[48];
    char detail[CURL_ERROR_SIZE]; /* libcurl's words */

    /* The reply. */
    struct buf head, data;  /* data: collected, or what is not handed over yet */
    size_t handed;          /* of data: this much is */
    struct inflate *unpack; /* NULL: it is not packed */
    struct buf packed;      /* streamed: what is unpacked when data was handed over */
    bool unpack_waits;      /* there is such, or unpack has some left */
    bool unpacked;          /* to its end */
    bool told;              /* streamed: the header was */
    bool held;              /* the consumer wants no more for now */
    bool paused;            /* libcurl is */
    struct timeout deadline, connect;
    struct list young; /* in client.young */
    struct error words;
};

struct httpc {
    struct httpc_host host;
    struct io_curl *curl;
    struct outbound *outbound;
    struct list calls, idle, ready;
    struct list young; /* begun, and libcurl has not had its turn: a kept connection needs no timer */
    size_t call_count, idle_count;
    size_t memory;              /* of collected replies, and of requests' bodies */
    struct httpc_call *current; /* whose events are told now; NULL where it was ended meanwhile */
    struct loop_later later;
};

/* --- httpc.c */
/* There is news to tell of it. */
void httpc_tell(struct httpc_call *call);
/* Libcurl is through with this hop, for which CURLE_OK is all of the reply: what that means is noted, and told later.
 */
void httpc_done(struct httpc_call *call, CURLcode code);
/* Out of wherever it is, without an end of its own; what it means for the host. */
void httpc_abandon(struct httpc_call *call, enum outbound_outcome outcome);
/* Tells its end; it is gone when this returns. */
void httpc_end(struct httpc_call *call);
static inline bool httpc_is_streamed(const struct httpc_call *call)
{
    return call->events.data != NULL;
}

/* --- httpc_stream.c */
/* Tells the consumer of the header, and of as much of the body as it takes. False: it has ended the call. */
bool httpc_stream_hand_over(struct httpc_call *call);
/* Some of the body is not handed over yet. */
bool httpc_stream_has_more(const struct httpc_call *call);

/* --- httpc_deadline.c */
/* The time for all of it begins. */
void httpc_deadline_begin(struct httpc_call *call);
/* Libcurl has had its turn: who is not about to be sent by now needs a new connection, or waits for one: within its
 * time. */
void httpc_deadline_connections(struct httpc *c);
/* Streamed, from the header on, at each piece: silence counts while more is wanted. */
void httpc_deadline_silence(struct httpc_call *call);
/* It is cancelled now: what that means for the host. */
enum outbound_outcome httpc_deadline_blame(const struct httpc_call *call);

/* --- httpc_handle.c: libcurl's options and callbacks */
void httpc_handle_open(struct httpc_call *call);
/* Tells the handle this hop. */
void httpc_handle_set(struct httpc_call *call);
/* Forgets what was borrowed, and what is not of the basics. */
void httpc_handle_rest(struct httpc_call *call);

/* The path of what may be PEM text or a file's name; false: it is text. Frees nothing: path_out is the caller's. */
bool httpc_handle_path(const struct httpc_call *call, struct slice given, struct buf *path_out);

/* To call.data, within the bounds. False: it is too much, and call.stop says of what. */
bool httpc_handle_take(struct httpc_call *call, struct slice bytes);

/* --- httpc_unpack.c: a reply's coding */
/*
 * Takes the bytes of the body, unpacked where they are packed. False: stopped, and why is said, here or by call.stop.
 * Of a streamed one no more than a piece is unpacked at once: the rest is kept, packed, and call.unpack_waits is set.
 */
bool httpc_unpack(struct httpc_call *call, struct slice bytes);
/* The next piece of what was kept; as httpc_unpack. */
bool httpc_unpack_on(struct httpc_call *call);
/* The body is over, and nothing of it waits: -1 where it ended too early, with the outcome set. */
int httpc_unpack_end(struct httpc_call *call);
void httpc_unpack_free(struct httpc_call *call);

/* --- httpc_request.c: what is sent */
/* Takes copies of all that the call needs. */
void httpc_request_take(struct httpc_call *call, const struct httpc_request *r);
/* The lines for this hop, or NULL where there are none. */
struct curl_slist *httpc_request_lines(struct httpc_call *call);
bool httpc_request_has_body(const struct httpc_call *call);

/* --- httpc_redirect.c */
/* The header is there: is it a redirect that is followed? Then call.next is where it leads. -1: it leads nowhere. */
int httpc_redirect_look(struct httpc_call *call);
/* The request becomes the next one's: url, and method. */
void httpc_redirect_take(struct httpc_call *call);

/* --- httpc_outcome.c: codes and words */
/* Sets the reply's code and words from what libcurl says. */
void httpc_outcome_of(struct httpc_call *call, CURLcode code);
/* The same for what is ours: words behind the origin and the code's meaning, or NULL. */
void httpc_outcome_set(struct httpc_call *call, enum httpc_code code, const char *words);
/* The same, with other words than the code's meaning. */
void httpc_outcome_say(struct httpc_call *call, enum httpc_code code, const char *meaning, const char *words);
/* The deadline has passed, in whatever state. */
void httpc_outcome_timeout(struct httpc_call *call, dur_t spent);
/* What it means for the host that it ended like this. */
enum outbound_outcome httpc_outcome_judge(const struct httpc_call *call, CURLcode code);

#endif
