/*
 * apiclient.c: see apiclient.h.
 */
#include "cli/apiclient.h"
#include "base/ascii.h"
#include "base/config.h"
#include "base/panic.h"
#include "cli/cli.h"
#include "codec/json.h"
#include <ctype.h>
#include <curl/curl.h>
#include <stdlib.h>

#define BY_DEFAULT "127.0.0.1:8081"
#define CONNECT_MS 5000L
#define WHOLE_MS 30000L
#define BODY_MOST ((size_t)16 << 20)

struct call {
    CURL *curl;
    struct curl_slist *headers;
    struct buf *body;
    struct config_listen to;
    struct buf url;
    char words[CURL_ERROR_SIZE];
};

void apiclient_add_name(struct buf *path, const char *name)
{
    for (; *name != '\0'; name++)
        if (ascii_is_alnum(*name) || ascii_is_one_of(*name, "-._~/"))
            buf_add_char(path, *name);
        else
            buf_addf(path, "%%%02X", (unsigned char)*name);
}

/* --- where to --------------------------------------------------------------------------------------------------- */

static int find_address(const struct options *o, struct config_listen *to, struct error *err)
{
    const char *text = o->admin, *from = "--admin";
    if (text == NULL) {
        text = getenv("CRESCENT_ADMIN");
        from = "CRESCENT_ADMIN";
    }
    if (text == NULL)
        text = BY_DEFAULT;
    if (strcmp(text, "off") == 0)
        return error_set(err, "%s: there is no admin listener to ask", from);
    if (config_parse_listen(text, false, to, err) != 0)
        return error_prefix(err, "%s", from);
    if (to->tls)
        return error_set(err, "%s: \"%s\": the admin listener speaks plain HTTP", from, text);
    return 0;
}

static void make_url(struct call *c, const char *path)
{
    bool colons = c->to.host != NULL && strchr(c->to.host, ':') != NULL;
    if (c->to.path != NULL)
        buf_addf(&c->url, "http://localhost%s", path);
    else
        buf_addf(&c->url, "http://%s%s%s:%u%s", colons ? "[" : "", c->to.host, colons ? "]" : "", c->to.port, path);
}

/* --- the call --------------------------------------------------------------------------------------------------- */

static size_t on_body(char *bytes, size_t one, size_t count, void *cookie)
{
    struct buf *body = cookie;
    if (body->len + count > BODY_MOST)
        return 0;
    buf_add(body, bytes, count);
    return count;
}

/* Its bytes go into a header field: none may end the line. */
static int check_token(struct error *err)
{
    const char *token = getenv("CRESCENT_TOKEN");
    for (; token != NULL && *token != '\0'; token++)
        if (iscntrl((unsigned char)*token))
            return error_set(err, "CRESCENT_TOKEN: it holds a control character (a line break?), as no token does");
    return 0;
}

static void add_token(struct call *c)
{
    const char *token = getenv("CRESCENT_TOKEN");
    struct buf line = {0};
    if (token == NULL || token[0] == '\0')
        return;
    buf_addf(&line, "Authorization: Bearer %s", token);
    c->headers = curl_slist_append(c->headers, buf_text(&line));
    NEED(c->headers != NULL);
    buf_free(&line);
}

/* Nothing of the environment has a say (no proxy), no other protocol, no redirect: the token goes there and nowhere
 * else. */
static void set_up(struct call *c, const char *method)
{
    NEED((c->curl = curl_easy_init()) != NULL);
    add_token(c);
    CURL *curl = c->curl;
    bool done = curl_easy_setopt(curl, CURLOPT_URL, buf_text(&c->url)) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, WHOLE_MS) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_HTTPHEADER, c->headers) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, c->words) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_WRITEDATA, c->body) == CURLE_OK;
    if (done && c->to.path != NULL)
        done = curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->to.path) == CURLE_OK;
    if (done && strcmp(method, "POST") == 0)
        done = curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "") == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L) == CURLE_OK;
    NEED(done);
}

static bool is_admin(struct call *c)
{
    struct curl_header *mark;
    return curl_easy_header(c->curl, "crescent-admin", 0, CURLH_HEADER, -1, &mark) == CURLHE_OK;
}

/* What the server says of an answer that is no 2xx. */
static int refused(struct call *c, long status, struct error *err)
{
    struct json_reader *json = json_reader_new();
    struct json_fault fault;
    struct json_walk walk;
    struct json_token t = {.kind = JSON_NULL};
    if (json_parse(json, buf_slice(c->body), &fault) == 0 && json_walk_at(json, SLICE("/detail"), &walk))
        json_next(&walk, &t);
    if (!is_admin(c)) /* a public listener has words, too, but for other questions */
        error_set(err, "%s is no crescent's admin listener: it answered with status %ld", c->to.text, status);
    else if (status == 401)
        error_set(err, "the server wants its admin token: set CRESCENT_TOKEN");
    else if (t.kind == JSON_STRING)
        error_set(err, "%.*s", SLICE_ARG(t.text));
    else
        error_set(err, "the server does not do this: it answered with status %ld", status);
    json_reader_free(&json);
    return CLI_FAILED;
}

static int perform(struct call *c, struct error *err)
{
    long status = 0;
    CURLcode code = curl_easy_perform(c->curl);
    if (code != CURLE_OK) {
        error_set(err, "cannot ask the server at %s: %s", c->to.text,
                  c->words[0] != '\0' ? c->words : curl_easy_strerror(code));
        return CLI_FAILED;
    }
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status < 300 ? CLI_DONE : refused(c, status, err);
}

int apiclient_call(const struct options *o, const char *method, const char *path, struct buf *body, struct error *err)
{
    struct call c = {.body = body};
    int code = CLI_USAGE;
    if (check_token(err) == 0 && find_address(o, &c.to, err) == 0) {
        make_url(&c, path);
        set_up(&c, method);
        code = perform(&c, err);
    }
    curl_easy_cleanup(c.curl);
    curl_slist_free_all(c.headers);
    buf_free(&c.url);
    config_listen_free(&c.to);
    return code;
}
