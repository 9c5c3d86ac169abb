/*
 * config_listen.c: addresses to listen on: from their text, looked up, compared, in a configuration's text form. See
 * config.h.
 * Owns: the strings of a config_listen. Runs in: any process; looks up only in the config child. Fails: with words.
 */
#include "base/ascii.h"
#include "base/config.h"
#include "base/panic.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/un.h>

void config_listen_free(struct config_listen *l)
{
    free(l->text);
    free(l->host);
    free(l->path);
    free(l->numbers);
    *l = (struct config_listen){0};
}

/* What is wrong with host and port, or NULL. */
static const char *split_address(struct slice text, struct slice *host_out, struct slice *port_out)
{
    size_t end;
    if (text.len > 0 && text.at[0] == '[') {
        end = slice_find(text, ']');
        if (end == SIZE_MAX || end + 1 >= text.len || text.at[end + 1] != ':')
            return "expected [v6]:port";
        *host_out = (struct slice){text.at + 1, end - 1};
        *port_out = slice_from(text, end + 2);
        if (host_out->len == 0 || strspn(host_out->at, "0123456789abcdefABCDEF:.") < host_out->len)
            return "expected an IPv6 address in [ ]";
        return NULL;
    }
    end = slice_find(text, ':');
    if (end == SIZE_MAX)
        return "expected host:port";
    *host_out = (struct slice){text.at, end};
    *port_out = slice_from(text, end + 1);
    if (slice_find(*port_out, ':') != SIZE_MAX)
        return "an IPv6 address stands in [ ]: [::1]:8080";
    if (host_out->len == 0)
        return "no host: write 0.0.0.0:port or [::]:port for every address";
    for (size_t i = 0; i < host_out->len; i++) {
        char c = host_out->at[i];
        if (!ascii_is_alnum(c) && !ascii_is_one_of(c, ".-"))
            return "expected host:port, [v6]:port or unix:path, with http:// or https:// before it";
    }
    return NULL;
}

/* A host that is one already, in the one spelling that the kernel's addresses have in words; else NULL. */
static char *numeric(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    char text[INET6_ADDRSTRLEN];
    if (inet_pton(AF_INET, host, address) == 1)
        return need_strdup(host);
    if (inet_pton(AF_INET6, host, address) != 1)
        return NULL;
    return need_strdup(inet_ntop(AF_INET6, address, text, sizeof(text)));
}

static int parse_unix(const char *text, struct slice path, bool tls, struct config_listen *listen_out,
                      struct error *err)
{
    if (path.len == 0)
        return error_set(err, "\"%s\": expected a path after unix:", text);
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)path.at[i] < ' ')
            return error_set(err, "unix: a control character in the path");
    if (path.at[0] == '@')
        return error_set(err, "\"%s\": abstract sockets are not supported: no permission guards their names", text);
    *listen_out = (struct config_listen){.text = need_strdup(text), .path = slice_dup(path), .tls = tls};
    return 0;
}

int config_parse_listen(const char *text, bool tls_default, struct config_listen *listen_out, struct error *err)
{
    struct slice rest = slice_of(text), host, port;
    unsigned long long number;
    bool tls = tls_default;
    *listen_out = (struct config_listen){0};
    if (slice_starts(rest, SLICE("http://"))) {
        tls = false;
        rest = slice_from(rest, 7);
    } else if (slice_starts(rest, SLICE("https://"))) {
        tls = true;
        rest = slice_from(rest, 8);
    }
    if (slice_starts(rest, SLICE("unix:")))
        return parse_unix(text, slice_from(rest, 5), tls, listen_out, err);
    const char *fault = split_address(rest, &host, &port);
    if (fault != NULL)
        return error_set(err, "\"%s\": %s", text, fault);
    if (!slice_to_u64(port, 65535, &number))
        return error_set(err, "\"%s\": expected a port 0-65535, got \"%.*s\"", text, SLICE_ARG(port));
    *listen_out = (struct config_listen){
        .text = need_strdup(text), .host = slice_dup(host), .port = (uint16_t)number, .tls = tls};
    listen_out->numbers = numeric(listen_out->host);
    return 0;
}

/* --- looked up --- */

int config_listen_look_up(struct config_listen *l, struct error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    struct buf numbers = {0};
    char host[NI_MAXHOST];
    if (l->host == NULL || l->numbers != NULL)
        return 0;
    int code = getaddrinfo(l->host, NULL, &hints, &found);
    if (code != 0)
        return error_set(err, "cannot listen on %s: %s", l->text,
                         code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
    for (struct addrinfo *i = found; i != NULL; i = i->ai_next)
        if (getnameinfo(i->ai_addr, i->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST) == 0)
            buf_addf(&numbers, numbers.len > 0 ? " %s" : "%s", host);
    freeaddrinfo(found);
    l->numbers = buf_take(&numbers);
    return 0;
}

/* --- handed over --- */

static const char *const roles[] = {"any", "http", "https", "admin", "health"}; /* by enum config_role */

enum config_role config_role_of(struct slice name)
{
    for (size_t i = 0; i < sizeof(roles) / sizeof(*roles); i++)
        if (slice_equal(name, slice_of(roles[i])))
            return (enum config_role)i;
    return CONFIG_ROLE_ANY;
}

const char *config_role_name(enum config_role role)
{
    return roles[role];
}

int config_parse_inherited(const char *text, bool tls_default, struct config_listen *listen_out,
                           enum config_role *role_out, struct error *err)
{
    struct slice rest = slice_of(text), word, number, role;
    *listen_out = (struct config_listen){0};
    if (!slice_cut(&rest, ':', &word) || !slice_equal(word, SLICE("inherited")) || !slice_cut(&rest, ':', &number) ||
        !slice_cut(&rest, ':', &role) || rest.at == NULL)
        return error_set(err, "\"%s\": malformed", text);
    *role_out = config_role_of(role);
    bool tls = *role_out == CONFIG_ROLE_HTTPS || (*role_out == CONFIG_ROLE_ANY && tls_default);
    if (slice_starts(rest, SLICE("unix:"))) /* also an abstract one, or one without a name: it is there already */
        *listen_out = (struct config_listen){.path = slice_dup(slice_from(rest, 5)), .tls = tls};
    else if (config_parse_listen(rest.at, tls, listen_out, err) != 0)
        return -1;
    free(listen_out->text);
    listen_out->text = need_strdup(text);
    listen_out->inherited = true;
    return 0;
}

/* --- placed and compared --- */

int config_listen_place(struct config_listen *l, char *path, struct error *err)
{
    const size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
    CHECK(l->path != NULL);
    free(l->path);
    l->path = path;
    if (strlen(path) > most)
        return error_set(err, "\"%s\": the path %s is longer than a socket's may be (%zu bytes)", l->text, path, most);
    return 0;
}

bool config_listen_same(const struct config_listen *a, const struct config_listen *b)
{
    if (a->path != NULL || b->path != NULL)
        return a->path != NULL && b->path != NULL && strcmp(a->path, b->path) == 0;
    return a->host != NULL && b->host != NULL && a->port != 0 && a->port == b->port &&
           strcasecmp(a->host, b->host) == 0;
}

/* --- the text form --- */

/* Whether it speaks TLS and PROXY protocol ('0' to '3'), its text, the numbers of its host, and the whole path of a
 * unix socket. */
void config_listen_write(const struct config_listen *l, struct buf *out)
{
    buf_addf(out, "%c%s\n%s\n%s", '0' + (l->tls ? 1 : 0) + (l->proxy ? 2 : 0), l->text,
             l->numbers != NULL ? l->numbers : "", l->path != NULL ? l->path : "");
}

int config_listen_read(struct slice text, struct config_listen *listen_out, struct error *err)
{
    struct slice path = text, first = SLICE_NONE, numbers = SLICE_NONE;
    *listen_out = (struct config_listen){0};
    if (!slice_cut(&path, '\n', &first) || !slice_cut(&path, '\n', &numbers) || path.at == NULL || first.len < 2 ||
        text.at[0] < '0' || text.at[0] > '3' || slice_find(text, '\0') != SIZE_MAX)
        return error_set(err, "malformed address");
    char *given = slice_dup(slice_from(first, 1));
    bool tls = ((text.at[0] - '0') & 1) != 0, proxy = ((text.at[0] - '0') & 2) != 0;
    enum config_role role;
    int done = slice_starts(slice_of(given), SLICE("inherited:"))
                   ? config_parse_inherited(given, tls, listen_out, &role, err)
                   : config_parse_listen(given, tls, listen_out, err);
    free(given);
    if (done == 0 && (path.len > 0) != (listen_out->path != NULL && listen_out->path[0] != '\0'))
        done = error_set(err, "malformed address");
    else if (done == 0 && path.len > 0)
        done = config_listen_place(listen_out, slice_dup(path), err);
    listen_out->proxy = proxy;
    if (done == 0 && numbers.len > 0 && listen_out->numbers == NULL)
        listen_out->numbers = slice_dup(numbers);
    if (done != 0)
        config_listen_free(listen_out);
    return done;
}
