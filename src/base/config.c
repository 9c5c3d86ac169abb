/*
 * config.c: defaults, text form and checks of struct config; see config.h. The text form is a list of (name, value)
 * texts; numbers are decimal, in the unit of their member.
 * Owns: the strings of a config. Runs in: any process. Fails: with words.
 */
#include "base/config.h"
#include "base/duration.h"
#include "base/panic.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KIB 1024
#define MIB (1024 * KIB)
#define SECOND 1000000000LL
#define FORM "crescent config 1"
#define LISTENERS_MAX 64
#define PROGRAMS_MAX 1024
#define TRUSTED_MAX 65536
#define RATE_LIMITS_MAX 64

#define SETTING(kind, name, member, fallback, least, most, help) \
    {name, CONFIG_##kind, true, offsetof(struct config, member), fallback, least, most, help},
#define FIXED(kind, name, member, fallback, least, most, help) \
    {name, CONFIG_##kind, false, offsetof(struct config, member), fallback, least, most, help},
const struct config_setting config_settings[] = {
#include "base/config.def"
};
#undef SETTING
#undef FIXED
const size_t config_setting_count = sizeof config_settings / sizeof *config_settings;

static const struct {
    const char *name;
    size_t offset;
    bool required;
} texts[] = {
    {"root", offsetof(struct config, root), true},
    {"hooks", offsetof(struct config, hooks), true},
    {"files", offsetof(struct config, files), true},
    {"env_file", offsetof(struct config, env_file), true},
    {"file", offsetof(struct config, file), true},
    {"admin_token", offsetof(struct config, admin_token), false},
    {"log.file", offsetof(struct config, log_file), false},
    {"store", offsetof(struct config, store), true},
    {"public_url", offsetof(struct config, public_url), false},
};
enum { TEXT_COUNT = sizeof texts / sizeof *texts };

static char **text_at(const struct config *c, size_t i)
{
    return (char **)((char *)c + texts[i].offset);
}

int64_t config_number(const struct config *c, const struct config_setting *s)
{
    const void *at = (const char *)c + s->offset;
    switch (s->kind) {
    case CONFIG_U32:
        return *(const uint32_t *)at;
    case CONFIG_COUNT:
    case CONFIG_SIZE:
        return (int64_t) * (const size_t *)at;
    case CONFIG_DURATION:
        return ((const dur_t *)at)->ns;
    case CONFIG_BOOL:
        return *(const bool *)at;
    case CONFIG_LEVEL:
        return *(const enum log_level *)at;
    case CONFIG_FORMAT:
    case CONFIG_ACCESS:
        return *(const uint32_t *)at;
    }
    PANIC("setting %s of no kind", s->name);
}

static void put_number(struct config *c, const struct config_setting *s, int64_t n)
{
    void *at = (char *)c + s->offset;
    switch (s->kind) {
    case CONFIG_U32:
    case CONFIG_FORMAT:
    case CONFIG_ACCESS:
        *(uint32_t *)at = (uint32_t)n;
        break;
    case CONFIG_COUNT:
    case CONFIG_SIZE:
        *(size_t *)at = (size_t)n;
        break;
    case CONFIG_DURATION:
        ((dur_t *)at)->ns = n;
        break;
    case CONFIG_BOOL:
        *(bool *)at = n != 0;
        break;
    case CONFIG_LEVEL:
        *(enum log_level *)at = (enum log_level)n;
        break;
    }
}

/* "a number 1-128", "a size 1KiB-64KiB", ... */
const char *config_expected(const struct config_setting *s, char room[128])
{
    char least[32], most[32];
    switch (s->kind) {
    case CONFIG_SIZE:
        snprintf(room, 128, "a size %s-%s", duration_size_text((size_t)s->least, least),
                 duration_size_text((size_t)s->most, most));
        break;
    case CONFIG_DURATION:
        snprintf(room, 128, "a duration %s-%s", duration_text((dur_t){s->least}, least),
                 duration_text((dur_t){s->most}, most));
        break;
    case CONFIG_BOOL:
        return "true or false";
    case CONFIG_LEVEL:
        return "debug, info, warn, error or off";
    case CONFIG_FORMAT:
        return "json or text";
    case CONFIG_ACCESS:
        return "all, off, sampled or a fraction 0-1";
    default:
        snprintf(room, 128, "a number %lld-%lld", (long long)s->least, (long long)s->most);
    }
    return room;
}

/* "0.25": at most six digits behind the point count; 0 to 1, in millionths. */
static bool parse_fraction(struct slice text, int64_t *millionths_out)
{
    struct slice whole, part = text;
    unsigned long long ones, rest = 0;
    if (!slice_cut(&part, '.', &whole) || !slice_to_u64(whole, 1, &ones))
        return false;
    if (part.at != NULL) {
        char digits[7] = "000000";
        if (part.len == 0)
            return false;
        for (size_t i = 0; i < part.len; i++)
            if (part.at[i] < '0' || part.at[i] > '9')
                return false;
        memcpy(digits, part.at, part.len < 6 ? part.len : 6);
        slice_to_u64((struct slice){digits, 6}, 999999, &rest);
    }
    *millionths_out = (int64_t)(ones * CONFIG_ACCESS_ALL + rest);
    return *millionths_out <= CONFIG_ACCESS_ALL;
}

/* One of `count` words: its place. */
static bool parse_word(struct slice text, const char *const *words, size_t count, int64_t *place_out)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal(text, slice_of(words[i]))) {
            *place_out = (int64_t)i;
            return true;
        }
    return false;
}

static bool parse_access(struct slice text, int64_t *value_out)
{
    static const char *const words[] = {"off", "all", "sampled"};
    static const int64_t values[] = {0, CONFIG_ACCESS_ALL, CONFIG_ACCESS_SAMPLED};
    int64_t place;
    if (!parse_word(text, words, 3, &place))
        return parse_fraction(text, value_out);
    *value_out = values[place];
    return true;
}

static bool parse_format(struct slice text, int64_t *value_out)
{
    static const char *const words[] = {"json", "text"};
    if (!parse_word(text, words, 2, value_out))
        return false;
    *value_out += CONFIG_FORMAT_JSON;
    return true;
}

static bool parse_value(const struct config_setting *s, struct slice text, int64_t *value_out)
{
    unsigned long long number;
    size_t size;
    dur_t duration;
    enum log_level level;
    bool good = false;
    switch (s->kind) {
    case CONFIG_U32:
    case CONFIG_COUNT:
        if ((good = slice_to_u64(text, INT64_MAX, &number)))
            *value_out = (int64_t)number;
        break;
    case CONFIG_SIZE:
        if ((good = duration_parse_size(text, &size) && size <= INT64_MAX))
            *value_out = (int64_t)size;
        break;
    case CONFIG_DURATION:
        if ((good = duration_parse(text, &duration)))
            *value_out = duration.ns;
        break;
    case CONFIG_BOOL:
        *value_out = slice_equal(text, SLICE("true")) || slice_equal(text, SLICE("1"));
        good = *value_out || slice_equal(text, SLICE("false")) || slice_equal(text, SLICE("0"));
        break;
    case CONFIG_LEVEL:
        if ((good = log_level_parse(text, &level)))
            *value_out = level;
        break;
    case CONFIG_FORMAT:
        good = parse_format(text, value_out);
        break;
    case CONFIG_ACCESS:
        good = parse_access(text, value_out);
        break;
    }
    return good && *value_out >= s->least && *value_out <= s->most;
}

int config_set(struct config *c, const struct config_setting *s, struct slice text, struct error *err)
{
    int64_t value = 0;
    char room[128];
    if (!parse_value(s, text, &value))
        return error_set(err, "expected %s, got \"%.*s\"", config_expected(s, room), text.len > 80 ? 80 : (int)text.len,
                         text.len > 0 ? text.at : "");
    put_number(c, s, value);
    return 0;
}

enum log_form config_log_form(const struct config *c)
{
    bool terminal = c->log_file == NULL && isatty(STDERR_FILENO) == 1;
    if (c->log_format == CONFIG_FORMAT_JSON || (c->log_format == CONFIG_FORMAT_AUTO && !terminal))
        return LOG_JSON_LINES;
    return terminal ? LOG_COLOURED : LOG_PLAIN;
}

static uint32_t cores(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < 1 ? 1 : count > 128 ? 128 : (uint32_t)count;
}

void config_defaults(struct config *c)
{
    *c = (struct config){0};
    for (size_t i = 0; i < config_setting_count; i++)
        put_number(c, &config_settings[i], config_settings[i].fallback);
    c->workers = cores();
    c->listen = need_zero(1, sizeof *c->listen);
    c->listen_count = 1;
    c->exec_any = true;
    CHECK(config_parse_listen("127.0.0.1:8080", false, &c->listen[0], NULL) == 0);
    CHECK(config_parse_listen("127.0.0.1:8081", false, &c->admin, NULL) == 0);
}

void config_free(struct config *c)
{
    for (size_t i = 0; i < c->listen_count; i++)
        config_listen_free(&c->listen[i]);
    free(c->listen);
    config_listen_free(&c->admin);
    config_listen_free(&c->health);
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        char *text = *text_at(c, i);
        if (text != NULL)
            explicit_bzero(text, strlen(text)); /* the token is among them */
        free(text);
    }
    for (size_t i = 0; i < c->tls_count; i++)
        config_tls_free(&c->tls[i]);
    free(c->tls);
    config_forget_exec(c);
    config_forget_http_ports(c);
    free(c->user.name);
    config_forget_trusted(c);
    config_forget_rate_limit(c);
    *c = (struct config){0};
}

/* --- the text form --- */

static void write_pair(struct buf *out, const char *name, const char *value)
{
    buf_add_string(out, slice_of(name));
    buf_add_string(out, slice_of(value));
}

static void write_listen(struct buf *out, const char *name, const struct config_listen *l)
{
    struct buf value = {0};
    config_listen_write(l, &value);
    write_pair(out, name, buf_text(&value));
    buf_free(&value);
}

void config_write(const struct config *c, struct buf *out)
{
    buf_add_string(out, SLICE(FORM));
    for (size_t i = 0; i < config_setting_count; i++) {
        char number[32];
        snprintf(number, sizeof number, "%lld", (long long)config_number(c, &config_settings[i]));
        write_pair(out, config_settings[i].name, number);
    }
    for (size_t i = 0; i < TEXT_COUNT; i++)
        if (*text_at(c, i) != NULL)
            write_pair(out, texts[i].name, *text_at(c, i));
    for (size_t i = 0; i < c->listen_count; i++)
        write_listen(out, "listen", &c->listen[i]);
    if (c->admin.text != NULL)
        write_listen(out, "admin", &c->admin);
    for (size_t i = 0; i < c->tls_count; i++)
        config_tls_write(&c->tls[i], out);
    if (c->health.text != NULL)
        write_listen(out, "health", &c->health);
    if (c->user.name != NULL) {
        struct buf value = {0};
        config_user_write(&c->user, &value);
        write_pair(out, "user", buf_text(&value));
        buf_free(&value);
    }
    if (c->http_ports_only)
        write_pair(out, "http_ports.only", "");
    for (size_t i = 0; i < c->http_port_count; i++) {
        char number[8];
        snprintf(number, sizeof number, "%u", c->http_ports[i]);
        write_pair(out, "http_ports", number);
    }
    if (c->exec_any)
        write_pair(out, "exec.any", "");
    for (size_t i = 0; i < c->exec_count; i++)
        write_pair(out, "exec", c->exec[i]);
    for (size_t i = 0; i < c->trusted_count; i++)
        write_pair(out, "trusted_proxies", c->trusted[i]);
    for (size_t i = 0; i < c->rate_limit_count; i++)
        write_pair(out, "rate_limit", c->rate_limit[i]);
}

static int read_scalar(struct config *c, size_t i, bool *seen, struct slice value, struct error *err)
{
    const struct config_setting *s = &config_settings[i];
    unsigned long long number;
    if (seen[i])
        return error_set(err, "%s stands twice", s->name);
    if (!slice_to_u64(value, INT64_MAX, &number) || (int64_t)number < s->least || (int64_t)number > s->most)
        return error_set(err, "%s out of range", s->name);
    seen[i] = true;
    put_number(c, s, (int64_t)number);
    return 0;
}

static int read_exec(struct config *c, struct slice value, struct error *err)
{
    if (value.len == 0 || slice_find(value, '\0') != SIZE_MAX || c->exec_count >= PROGRAMS_MAX)
        return error_set(err, "exec: too many, or one that is empty or holds a NUL");
    config_add_exec(c, value);
    return 0;
}

static int read_http_port(struct config *c, struct slice value, struct error *err)
{
    unsigned long long port;
    if (!slice_to_u64(value, UINT16_MAX, &port) || port == 0 || c->http_port_count >= CONFIG_PORTS_MAX)
        return error_set(err, "http_ports: too many, or one that is no port");
    config_add_http_port(c, (uint16_t)port);
    return 0;
}

static int read_trusted(struct config *c, struct slice value, struct error *err)
{
    if (value.len == 0 || slice_find(value, '\0') != SIZE_MAX || c->trusted_count >= TRUSTED_MAX)
        return error_set(err, "trusted_proxies: too many, or one that is empty or holds a NUL");
    config_add_trusted(c, value);
    return 0;
}

static int read_rate_limit(struct config *c, struct slice value, struct error *err)
{
    if (value.len == 0 || slice_find(value, '\0') != SIZE_MAX || c->rate_limit_count >= RATE_LIMITS_MAX)
        return error_set(err, "rate_limit: too many, or one that is empty or holds a NUL");
    config_add_rate_limit(c, value);
    return 0;
}

static int read_pair(struct config *c, bool *seen, struct slice name, struct slice value, struct error *err)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (slice_equal(name, slice_of(config_settings[i].name)))
            return read_scalar(c, i, seen, value, err);
    for (size_t i = 0; i < TEXT_COUNT; i++)
        if (slice_equal(name, slice_of(texts[i].name))) {
            if (*text_at(c, i) != NULL || slice_find(value, '\0') != SIZE_MAX)
                return error_set(err, "%s stands twice, or holds a NUL", texts[i].name);
            *text_at(c, i) = slice_dup(value);
            return 0;
        }
    if (slice_equal(name, SLICE("admin")) && c->admin.text == NULL)
        return config_listen_read(value, &c->admin, err);
    if (slice_equal(name, SLICE("health")) && c->health.text == NULL)
        return config_listen_read(value, &c->health, err);
    if (slice_equal(name, SLICE("listen")) && c->listen_count < LISTENERS_MAX)
        return config_listen_read(value, config_add_listen(c), err);
    if (slice_equal(name, SLICE("exec.any")) && value.len == 0 && !c->exec_any) {
        c->exec_any = true;
        return 0;
    }
    if (slice_equal(name, SLICE("exec")))
        return read_exec(c, value, err);
    if (slice_equal(name, SLICE("http_ports.only")) && value.len == 0 && !c->http_ports_only) {
        c->http_ports_only = true;
        return 0;
    }
    if (slice_equal(name, SLICE("http_ports")) && c->http_ports_only)
        return read_http_port(c, value, err);
    if (slice_equal(name, SLICE("user")) && c->user.name == NULL)
        return config_user_read(value, &c->user, err);
    if (slice_equal(name, SLICE("trusted_proxies")))
        return read_trusted(c, value, err);
    if (slice_equal(name, SLICE("rate_limit")))
        return read_rate_limit(c, value, err);
    if (slice_equal(name, SLICE("tls")))
        config_add_tls(c);
    if (config_tls_knows(name) && c->tls_count > 0)
        return config_tls_read(&c->tls[c->tls_count - 1], name, value, err);
    return error_set(err, "unknown setting \"%.*s\"", name.len > 80 ? 80 : (int)name.len, name.len ? name.at : "");
}

struct config_listen *config_add_listen(struct config *c)
{
    c->listen = need_realloc(c->listen, (c->listen_count + 1) * sizeof *c->listen);
    c->listen[c->listen_count] = (struct config_listen){0};
    return &c->listen[c->listen_count++];
}

struct config_tls *config_add_tls(struct config *c)
{
    c->tls = need_realloc(c->tls, (c->tls_count + 1) * sizeof *c->tls);
    c->tls[c->tls_count] = (struct config_tls){0};
    return &c->tls[c->tls_count++];
}

static int read_all(struct slice text, struct config *c, struct error *err)
{
    bool bad = false, seen[sizeof config_settings / sizeof *config_settings] = {false};
    if (!slice_equal(buf_take_string(&text, &bad), SLICE(FORM)) || bad)
        return error_set(err, "not a configuration, or of another version");
    while (text.len > 0) {
        struct slice name = buf_take_string(&text, &bad), value = buf_take_string(&text, &bad);
        if (bad)
            return error_set(err, "cut short");
        if (read_pair(c, seen, name, value, err) != 0)
            return -1;
    }
    for (size_t i = 0; i < config_setting_count; i++)
        if (!seen[i])
            return error_set(err, "%s is missing", config_settings[i].name);
    for (size_t i = 0; i < TEXT_COUNT; i++)
        if (texts[i].required && *text_at(c, i) == NULL)
            return error_set(err, "%s is missing", texts[i].name);
    return c->listen_count > 0 ? 0 : error_set(err, "listen is missing");
}

int config_read(struct slice text, struct config *c_out, struct error *err)
{
    *c_out = (struct config){0};
    if (read_all(text, c_out, err) == 0)
        return 0;
    config_free(c_out);
    return error_prefix(err, "configuration text");
}
