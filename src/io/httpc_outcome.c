/*
 * httpc_outcome.c: from libcurl's many codes to the few that scripts see, with words: where, what, and libcurl's own
 * detail. A URL's path and query may be secrets, so only its origin is ever named. See httpc_internal.h.
 */
#include "base/duration.h"
#include "io/httpc_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct {
    const char *name, *meaning;
} codes[] = {
#define HTTPC_CODE(name, text, meaning) {text, meaning},
    HTTPC_CODES(HTTPC_CODE)
#undef HTTPC_CODE
};

const char *httpc_code_name(enum httpc_code code)
{
    return codes[code].name;
}

void httpc_outcome_say(struct httpc_call *call, enum httpc_code code, const char *meaning, const char *words)
{
    struct slice origin = buf_slice(&call->origin);
    bool more = words != NULL && words[0] != '\0';
    call->reply.code = code;
    error_set(&call->words, "%.*s%s%s%s%s%s", SLICE_ARG(origin), origin.len > 0 ? ": " : "", meaning, more ? " (" : "",
              more ? words : "", more ? ")" : "");
    call->reply.words = call->words.text;
}

void httpc_outcome_set(struct httpc_call *call, enum httpc_code code, const char *words)
{
    httpc_outcome_say(call, code, codes[code].meaning, words);
}

static bool mentions(const struct httpc_call *call, const char *word)
{
    return strstr(call->detail, word) != NULL;
}

static enum httpc_code of_connect(struct httpc_call *call)
{
    long os = 0;
    curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &os);
    return os == ECONNREFUSED ? HTTPC_REFUSED : HTTPC_UNREACHABLE;
}

static enum httpc_code code_of(struct httpc_call *call, CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return HTTPC_DNS;
    case CURLE_COULDNT_CONNECT:
        return of_connect(call);
    case CURLE_OPERATION_TIMEDOUT:
        return HTTPC_TIMEOUT;
    case CURLE_URL_MALFORMAT:
        return HTTPC_BAD_URL;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CLIENTCERT:
        return HTTPC_TLS;
    case CURLE_UNSUPPORTED_PROTOCOL: /* of a reply that is no HTTP */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return HTTPC_BAD_RESPONSE;
    case CURLE_OUT_OF_MEMORY: /* a line of the header that is longer than libcurl takes */
    case CURLE_FILESIZE_EXCEEDED:
        return HTTPC_TOO_LARGE;
    case CURLE_RECV_ERROR:
        return mentions(call, "chunk") ? HTTPC_BAD_RESPONSE : mentions(call, "SSL") ? HTTPC_TLS : HTTPC_CLOSED;
    default:
        return HTTPC_CLOSED;
    }
}

/* One of our callbacks has ended it. True where it says why. */
static bool of_stop(struct httpc_call *call)
{
    char room[32];
    struct error words;
    size_t header = call->request.max_header > 0 ? call->request.max_header : HTTPC_HEADER_ROOM;
    switch (call->stop) {
    case HTTPC_STOP_HEADER:
        error_set(&words, "more than %s of header", duration_size_text(header, room));
        break;
    case HTTPC_STOP_BODY:
        error_set(&words, "more than %s", duration_size_text(call->request.max_body, room));
        break;
    case HTTPC_STOP_MEMORY:
        httpc_outcome_set(call, HTTPC_BUSY, "no memory for the reply");
        return true;
    case HTTPC_STOP_SWITCH:
        httpc_outcome_set(call, HTTPC_BAD_RESPONSE, "status 101: it changes to another protocol, unasked");
        return true;
    case HTTPC_STOP_LENGTH:
        httpc_outcome_set(call, HTTPC_BAD_RESPONSE, "its content-length is none, or there are several that differ");
        return true;
    case HTTPC_STOP_LOOKUPS:
        error_set(&words, "%d names are being looked up", IO_CURL_LOOKUPS_MAX);
        httpc_outcome_set(call, HTTPC_BUSY, words.text);
        return true;
    case HTTPC_STOP_TWICE:
        httpc_outcome_set(call, HTTPC_CLOSED, "it may have been taken in; it was not sent again");
        return true;
    default:
        return false;
    }
    httpc_outcome_set(call, HTTPC_TOO_LARGE, words.text);
    return true;
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static int lacks_descriptors(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

/* What this process lacks; the host has nothing to do with it. True: it was that, and it is said. */
static bool of_shortage(struct httpc_call *call, CURLcode code)
{
    /* A lookup and a file need descriptors as well, and do not say that there were none. */
    bool silent =
        code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_CERTPROBLEM;
    int why = silent ? lacks_descriptors() : call->no_socket;
    if (!is_shortage(why))
        return false;
    httpc_outcome_say(call, HTTPC_BUSY, "no connection can be opened from here", strerror(why));
    return true;
}

/* NULL: it can be read. Else why not. */
static const char *file_fault(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = fd >= 0 ? read(fd, &byte, 1) : -1;
    const char *fault = got < 0 ? strerror(errno) : got == 0 ? "it is empty" : NULL;
    if (fd >= 0)
        close(fd);
    return fault;
}

/* True: the file of this option is of no use, and that is said. */
static bool is_bad_file(struct httpc_call *call, const char *option, struct slice given)
{
    struct buf path = {0};
    struct error meaning, words;
    const char *fault = NULL;
    if (given.len > 0 && httpc_handle_path(call, given, &path))
        fault = file_fault(buf_text(&path));
    if (fault != NULL) {
        error_set(&meaning, "the file of '%s' cannot be read", option);
        error_set(&words, "%s: %s", buf_text(&path), fault);
        httpc_outcome_say(call, HTTPC_TLS, meaning.text, words.text);
    }
    buf_free(&path);
    return fault != NULL;
}

/* The same for what a script gave us for the handshake. */
static bool of_file(struct httpc_call *call, CURLcode code)
{
    const struct httpc_request *r = &call->request;
    if (code == CURLE_SSL_CACERT_BADFILE && r->ca.len > 0) {
        if (!is_bad_file(call, "ca", r->ca))
            httpc_outcome_say(call, HTTPC_TLS, "no certificate can be read from 'ca'", call->detail);
        return true;
    }
    if (code == CURLE_SSL_CERTPROBLEM && r->cert.len > 0) {
        if (!is_bad_file(call, "cert", r->cert) && !is_bad_file(call, "key", r->key))
            httpc_outcome_say(call, HTTPC_TLS, "'cert' and 'key' cannot be used", call->detail);
        return true;
    }
    return false;
}

static void note_sent(struct httpc_call *call)
{
    long bytes = 0;
    curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &bytes);
    call->reply.sent = call->reply.sent || bytes > 0;
}

void httpc_outcome_of(struct httpc_call *call, CURLcode code)
{
    struct error words;
    note_sent(call);
    if (call->reply.code != HTTPC_OK) /* said already */
        return;
    if (code == CURLE_OK && !call->head_done) /* for libcurl a header that just ends is one */
        httpc_outcome_set(call, HTTPC_CLOSED, "its header ended too early");
    if (code == CURLE_OK || call->stop == HTTPC_STOP_ENOUGH)
        return;
    if (of_stop(call))
        return;
    if (call->following) /* what follows its header is not needed, so it may break off; its connection has ended */
        return;
    if (of_shortage(call, code) || of_file(call, code))
        return;
    if (call->refused != NULL && (code == CURLE_COULDNT_CONNECT || code == CURLE_ABORTED_BY_CALLBACK)) {
        error_set(&words, "%s: %s", call->refused_ip, call->refused);
        httpc_outcome_set(call, HTTPC_ADDRESS_REFUSED, words.text);
        return;
    }
    httpc_outcome_set(call, code_of(call, code), call->detail[0] != '\0' ? call->detail : curl_easy_strerror(code));
}

/* What it was waiting for. */
static const char *phase(const struct httpc_call *call)
{
    curl_off_t looked_up = 0, ready = 0;
    long connected = 0; /* CURLINFO_CONNECT_TIME_T is set after the handshake, in libcurl 7.88 */
    if (call->state == HTTPC_WAITING)
        return "for its turn: as many requests as allowed are under way there";
    curl_easy_getinfo(call->easy, CURLINFO_NAMELOOKUP_TIME_T, &looked_up);
    curl_easy_getinfo(call->easy, CURLINFO_NUM_CONNECTS, &connected);
    curl_easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &ready);
    if (call->head_done)
        return "for the rest of the reply";
    if (call->asked > 0 || ready > 0)
        return "for a reply";
    return connected > 0 ? "for the handshake" : looked_up > 0 ? "for a connection" : "for its address or a connection";
}

void httpc_outcome_timeout(struct httpc_call *call, dur_t spent)
{
    char room[32];
    struct error words;
    if (call->state == HTTPC_RUNNING)
        note_sent(call);
    error_set(&words, "%s were spent waiting %s", duration_text(spent, room), phase(call));
    httpc_outcome_set(call, HTTPC_TIMEOUT, words.text);
}

/* Not the host's end: what we have for the handshake cannot be used. */
static bool is_ours(CURLcode code)
{
    switch (code) {
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_ENGINE_INITFAILED:
        return true;
    default:
        return false;
    }
}

/*
 * Of a handshake that fails the fault may be on our side: some script trusts another authority than the one that it
 * needs, which must not close the host to all others. But whoever proxies wants another upstream then.
 */
enum outbound_outcome httpc_outcome_judge(const struct httpc_call *call, CURLcode code)
{
    switch (call->reply.code) {
    case HTTPC_OK:
    case HTTPC_TOO_LARGE:
    case HTTPC_REDIRECTS:
        return OUTBOUND_GOOD;
    case HTTPC_DNS:
    case HTTPC_REFUSED:
    case HTTPC_UNREACHABLE:
    case HTTPC_TIMEOUT:
    case HTTPC_CLOSED:
    case HTTPC_BAD_RESPONSE:
        return OUTBOUND_FAILED;
    case HTTPC_TLS:
        return call->request.upstream && !is_ours(code) ? OUTBOUND_FAILED : OUTBOUND_UNKNOWN;
    default:
        return OUTBOUND_UNKNOWN;
    }
}
