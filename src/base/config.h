/*
 * config.h: the settings of a running server, as plain data; and their text form, in which the config child hands them
 * to the supervisor and the supervisor to every child (sealed memory file; it holds the private key and tokens).
 * The scalar settings, their kinds, defaults, bounds and help are one line each in config.def.
 * Owns: all its strings. Immutable once finished; passed as const struct config *. Fails: with words.
 */
#ifndef CRESCENT_BASE_CONFIG_H
#define CRESCENT_BASE_CONFIG_H

#include "base/buf.h"
#include "base/config_tls.h"
#include "base/error.h"
#include "base/jail.h"
#include "base/log.h"
#include "base/time.h"
#include <stdbool.h>
#include <stdint.h>

struct config_listen {
    char *text;    /* as given: "127.0.0.1:8080", "https://[::1]:8443", "unix:/run/x.sock" */
    char *host;    /* without brackets; NULL: a unix socket */
    char *path;    /* of a unix socket; absolute once finished */
    char *numbers; /* the host's addresses, "127.0.0.1 ::1"; NULL: a name that was not looked up yet */
    uint16_t port;
    bool tls;
    bool proxy;     /* each connection begins with a header of PROXY protocol */
    bool inherited; /* handed over when the server was started: text is that of supervise/sockets_inherited */
};
/* What a socket that was handed over is for, by the name that it has: `any` is a listener without a scheme. */
enum config_role { CONFIG_ROLE_ANY, CONFIG_ROLE_HTTP, CONFIG_ROLE_HTTPS, CONFIG_ROLE_ADMIN, CONFIG_ROLE_HEALTH };

struct config {
    char *root;     /* the folder relative paths start at; absolute */
    char *hooks;    /* absolute */
    char *files;    /* absolute; where scripts save and read, there or not */
    char *env_file; /* absolute path of .env, there or not */
    char *file;     /* absolute path of this configuration (crescent.lua, or what --config names), there or not */
    struct config_listen *listen;
    size_t listen_count;
    struct config_listen admin;  /* text == NULL: off */
    struct config_listen health; /* text == NULL: none */
    char *admin_token;           /* NULL: none */
    struct config_tls *tls;      /* the first is for unknown names; none: no TLS */
    size_t tls_count;
    char *store;    /* "sqlite:" and an absolute path */
    char **trusted; /* trusted_proxies: addresses, networks, "unix"; as policy/ips reads them */
    size_t trusted_count;
    char *
        public_url; /* "https://hooks.example.com/base": lower case but for its path, no slash at its end; NULL: none */
    bool http_ports_only; /* scripts connect to no TCP ports but those of */
    uint16_t *http_ports; /* this list; none: no requests go out at all */
    size_t http_port_count;
    bool exec_any; /* scripts may start any program; else those of */
    char **exec;   /* this list, as written */
    size_t exec_count;
    struct jail_user user; /* who keeper, workers and trials run as; name NULL: who started the server */
    char **rate_limit;     /* limits of endpoints that give none: texts of policy/ratelimit */
    size_t rate_limit_count;
    uint32_t workers;
    bool require_verify, http_private, sandbox, dev;
    bool store_given; /* not the default */
    bool client_ca;   /* some entry of tls has one, also where their files are not read */
    dur_t drain;
    enum log_level log_level;
    uint32_t log_format; /* enum config_log_format */
    uint32_t log_access; /* millionths of the ordinary requests; CONFIG_ACCESS_SAMPLED: the first of each second */
    char *log_file;      /* absolute; NULL: stderr */
    struct config_limits {
        size_t body, headers, fields, uri, lua_memory, body_memory, body_memory_per_ip; /* bytes, but fields: a count */
        size_t connections, connections_per_ip, connection_requests, connection_rate;   /* counts; requests a second */
        size_t answers;                                                                 /* bytes, of HTTP/2 */
        size_t body_rate, write_rate;                                                   /* bytes a second; 0: none */
        size_t streams, resets, pings, settings, empty_frames, frames, continuations;   /* counts, of HTTP/2 */
        size_t inflated, json_depth, form_fields, parts, requests;                      /* bytes; counts */
        dur_t first_byte_time, header_time, body_time, write_time, stall_time, idle_time, max_run, lag;
    } limits;
};

enum config_kind {
    CONFIG_U32,
    CONFIG_COUNT,
    CONFIG_SIZE,
    CONFIG_DURATION,
    CONFIG_BOOL,
    CONFIG_LEVEL,
    CONFIG_FORMAT,
    CONFIG_ACCESS
};
enum config_log_format { CONFIG_FORMAT_AUTO, CONFIG_FORMAT_JSON, CONFIG_FORMAT_TEXT };
#define CONFIG_MAX_RUN_MOST INT64_C(10000000000) /* ns: of limits.max_run, and of a script's own */
#define CONFIG_PORTS_MAX 1024
#define CONFIG_ACCESS_ALL 1000000u
#define CONFIG_ACCESS_SAMPLED (CONFIG_ACCESS_ALL + 1)

/* One line of config.def. */
struct config_setting {
    const char *name; /* "limits.body" */
    enum config_kind kind;
    bool settable; /* false: this version has it, and lets nobody set it */
    size_t offset; /* in struct config */
    int64_t fallback, least, most;
    const char *help;
};
extern const struct config_setting config_settings[];
extern const size_t config_setting_count;

/* Sets it from its spelling ("4", "1MiB", "5s", "true", "warn"); -1: "expected a number 1-128, got \"x\"". */
int config_set(struct config *c, const struct config_setting *s, struct slice text, struct error *err);
/* How the log's lines look in this process: by log.format; left open, text where stderr is a terminal. */
enum log_form config_log_form(const struct config *c);
/* Its value in the member's unit; and what is expected of one, in words, for messages and help. */
int64_t config_number(const struct config *c, const struct config_setting *s);
const char *config_expected(const struct config_setting *s, char room[128]);

/* All defaults of config.def and of the design; strings where there is no default stay NULL. */
void config_defaults(struct config *c);
void config_free(struct config *c);
/* "host:port", "[v6]:port", "unix:path", with http:// or https:// before it; tls_default: what a bare one speaks. */
int config_parse_listen(const char *text, bool tls_default, struct config_listen *listen_out, struct error *err);
/* "inherited:NUMBER:ROLE:ADDRESS", as the supervisor names a socket that was handed over to it, bound to ADDRESS. */
int config_parse_inherited(const char *text, bool tls_default, struct config_listen *listen_out,
                           enum config_role *role_out, struct error *err);
/* "https" to its role; what is no role's name is CONFIG_ROLE_ANY, as "any" is. And back. */
enum config_role config_role_of(struct slice name);
const char *config_role_name(enum config_role role);
/* Takes `path` (absolute, malloc'ed) as the place of a unix socket; -1: longer than the kernel allows. */
int config_listen_place(struct config_listen *l, char *path, struct error *err);
/* Makes numbers of a host that is a name: asks DNS, and waits for it. -1: "cannot listen on x.example:80: ..." */
int config_listen_look_up(struct config_listen *l, struct error *err);
/* Whether both mean the same place; two of port 0 never do. */
bool config_listen_same(const struct config_listen *a, const struct config_listen *b);
/* One more listener, empty; valid until the next. */
struct config_listen *config_add_listen(struct config *c);
void config_listen_free(struct config_listen *l);
/* One listener in the text form, and back. */
void config_listen_write(const struct config_listen *l, struct buf *out);
int config_listen_read(struct slice text, struct config_listen *listen_out, struct error *err);
/* One more program that scripts may start. */
void config_add_exec(struct config *c, struct slice name);
void config_forget_exec(struct config *c);
/* One more port that scripts may connect to; and any, as by default. */
void config_add_http_port(struct config *c, uint16_t port);
void config_forget_http_ports(struct config *c);
/* The user in the text form, "33 33 4,33 www-data", and back. */
void config_user_write(const struct jail_user *u, struct buf *out);
int config_user_read(struct slice text, struct jail_user *user_out, struct error *err);
/* One more trusted proxy; none any more. */
void config_add_trusted(struct config *c, struct slice network);
void config_forget_trusted(struct config *c);
/* One more limit of the setting rate_limit; and none. */
void config_add_rate_limit(struct config *c, struct slice text);
void config_forget_rate_limit(struct config *c);
/* One more TLS entry, empty; valid until the next. */
struct config_tls *config_add_tls(struct config *c);
/* The text form and back. What it does not know, or lacks, is an error. */
void config_write(const struct config *c, struct buf *out);
int config_read(struct slice text, struct config *c_out, struct error *err);

#endif
