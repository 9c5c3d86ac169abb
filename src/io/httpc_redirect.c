/*
 * httpc_redirect.c: which replies are followed, where to, and what becomes of the request (RFC 9110 15.4, as browsers
 * do it). Not libcurl's own: each hop is a request to a host like any other, with its turn, its circuit breaker, and no
 * credentials or client certificate for another origin. See httpc_internal.h.
 */
#include "io/httpc_internal.h"
#include <stdlib.h>

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* The reference, resolved against this hop's URL (RFC 3986 5.2), in the form that url_write gives. NULL, or the fault.
 */
static const char *resolve(struct httpc_call *call, struct slice location)
{
    char *reference = slice_dup(location), *text = NULL;
    const char *fault = "its location is malformed";
    struct url u;
    CURLU *joined = curl_url();
    if (joined != NULL && curl_url_set(joined, CURLUPART_URL, buf_text(&call->url), 0) == CURLUE_OK &&
        curl_url_set(joined, CURLUPART_URL, reference, CURLU_URLENCODE | CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
        curl_url_get(joined, CURLUPART_URL, &text, 0) == CURLUE_OK) {
        fault = url_parse(slice_of(text), &u);
        if (fault == NULL && u.user.at != NULL)
            fault = "its location holds credentials";
        buf_clear(&call->next);
        if (fault == NULL)
            url_write(&u, &call->next);
    }
    curl_free(text);
    curl_url_cleanup(joined);
    free(reference);
    return fault;
}

int httpc_redirect_look(struct httpc_call *call)
{
    call->following = false;
    if (call->request.redirects == 0 || !is_redirect(call->reply.status))
        return 0;
    struct slice location = httpc_header(call->reply.head, SLICE("location"));
    if (location.at == NULL)
        return 0;
    if (call->reply.hops >= call->request.redirects) {
        struct error words;
        error_set(&words, "more than %u redirects", call->request.redirects);
        httpc_outcome_set(call, HTTPC_REDIRECTS, words.text);
        return -1;
    }
    const char *fault = resolve(call, location);
    if (fault != NULL) {
        httpc_outcome_set(call, HTTPC_REDIRECTS, fault);
        return -1;
    }
    call->following = true;
    return 0;
}

void httpc_redirect_take(struct httpc_call *call)
{
    struct httpc_request *r = &call->request;
    int status = call->reply.status;
    bool get = slice_equal(r->method, SLICE("GET")), head = slice_equal(r->method, SLICE("HEAD"));
    struct url u;
    struct buf before = call->origin;
    if ((status == 303 && !get && !head) ||
        ((status == 301 || status == 302) && slice_equal(r->method, SLICE("POST")))) {
        r->method = SLICE("GET");
        r->body = SLICE_NONE;
    }
    struct buf swapped = call->url;
    call->url = call->next;
    call->next = swapped;
    call->origin = (struct buf){0};
    if (url_parse(buf_slice(&call->url), &u) == NULL) /* it was written by url_write */
        url_origin(&u, &call->origin);
    call->foreign = call->foreign || !slice_equal(buf_slice(&before), buf_slice(&call->origin));
    buf_free(&before);
    buf_clear(&call->given);
    call->reply.hops++;
}
