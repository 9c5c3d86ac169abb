/*
 * test_config_load.c: promises: flags beat environment beat crescent.lua; every message names where the value came
 * from; unknown and not yet built settings are refused by name; paths begin where documented.
 */
#include "cli/cli.h"
#include "cli/config_load.h"
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[PATH_MAX] = "/tmp/crescent-config-XXXXXX";
static struct config config;
static struct error err;

static int make_folder(void **state)
{
    for (char **e = environ; *e != NULL;) { /* what whoever runs the tests has set is no part of them */
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*e, "="), *e);
        if (strncmp(name, "CRESCENT_", 9) != 0 || unsetenv(name) != 0)
            e++;
    }
    char *real = mkdtemp(folder) != NULL ? realpath(folder, NULL) : NULL;
    if (real == NULL)
        return -1;
    snprintf(folder, sizeof folder, "%s", real);
    free(real);
    return chdir(folder) || mkdir("hooks", 0700) || mkdir("other", 0700) || mkdir("other/hooks", 0700);
}

static int remove_folder(void **state)
{
    char command[PATH_MAX + 16];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return chdir("/") || system(command);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* flags: words separated by spaces. Returns config_load's exit code, or 2 for flags that cannot be read. */
static int load(const char *flags)
{
    char words[512], *argv[16] = {(char *)"serve"};
    struct options options;
    int argc = 1;
    snprintf(words, sizeof words, "%s", flags);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    if (options_parse(argc, argv, &options, &err) != 0)
        return CLI_USAGE;
    int code = config_load(&options, true, &config, &err);
    if (code != CLI_DONE)
        config_free(&config);
    return code;
}

static void refuse(const char *flags, int code, const char *words)
{
    assert_int_equal(load(flags), code);
    assert_string_equal(err.text, words);
}

static void refuse_file(const char *text, const char *words)
{
    write_file("crescent.lua", text);
    refuse("", CLI_FAILED, words);
    unlink("crescent.lua");
}

static void accept(const char *flags)
{
    if (load(flags) != CLI_DONE)
        fail_msg("%s", err.text);
}

/* The configuration as another process reads it; the caller's to free. */
static void pass_on(struct config *to)
{
    struct buf text = {0};
    config_write(&config, &text);
    assert_int_equal(config_read(buf_slice(&text), to, &err), 0);
    buf_free(&text);
}

static void test_defaults(void **state)
{
    char path[PATH_MAX + 32];
    accept("");
    assert_string_equal(config.root, folder);
    snprintf(path, sizeof path, "%s/hooks", folder);
    assert_string_equal(config.hooks, path);
    snprintf(path, sizeof path, "%s/.env", folder);
    assert_string_equal(config.env_file, path);
    snprintf(path, sizeof path, "%s/crescent.lua", folder);
    assert_string_equal(config.file, path);
    snprintf(path, sizeof path, "%s/files", folder);
    assert_string_equal(config.files, path); /* there or not: the first save makes it */
    assert_string_equal(config.listen[0].text, "127.0.0.1:8080");
    assert_string_equal(config.admin.text, "127.0.0.1:8081");
    assert_int_equal(config.limits.max_run.ns, 250000000);
    snprintf(path, sizeof path, "sqlite:%s/crescent.db", folder);
    assert_string_equal(config.store, path);
    assert_false(config.store_given);
    config_free(&config);
}

/* A store is named by a URL, and is beside the configuration wherever it was named. */
static void test_store(void **state)
{
    char path[PATH_MAX + 32];
    mkdir("other", 0700);
    mkdir("other/hooks", 0700);
    write_file("other/crescent.lua", "return { store = 'sqlite:data/./kept.db' }");
    accept("--config other/crescent.lua");
    snprintf(path, sizeof path, "sqlite:%s/other/data/kept.db", folder);
    assert_string_equal(config.store, path);
    assert_true(config.store_given);
    config_free(&config);
    setenv("CRESCENT_STORE", "sqlite:/srv/e.db", 1);
    accept("--config other/crescent.lua");
    assert_string_equal(config.store, "sqlite:/srv/e.db");
    config_free(&config);
    accept("--config other/crescent.lua --store sqlite:flag.db");
    snprintf(path, sizeof path, "sqlite:%s/other/flag.db", folder);
    assert_string_equal(config.store, path);
    config_free(&config);
    accept("--store sqlite:///srv//deep/x.db");
    assert_string_equal(config.store, "sqlite:/srv/deep/x.db");
    config_free(&config);
    setenv("CRESCENT_STORE", "crescent.db", 1);
    refuse("", CLI_FAILED,
           "CRESCENT_STORE: expected sqlite:PATH, got \"crescent.db\" (did you mean sqlite:crescent.db?)");
    unsetenv("CRESCENT_STORE");
    write_file("other/crescent.lua", "return {\nstore = 'sqlite:' }");
    refuse("--config other/crescent.lua", CLI_FAILED,
           "other/crescent.lua:2: store: \"sqlite:\" names no file: sqlite:PATH");
    unlink("other/crescent.lua");
    refuse("--store postgres://db/x", CLI_USAGE, "--store: PostgreSQL is not in this version of crescent: sqlite:PATH");
    refuse("--store mysql://u:secret@db/x", CLI_USAGE, "--store: expected sqlite:PATH, got \"mysql:...\"");
    refuse("--store sqlite://x.db", CLI_USAGE,
           "--store: \"sqlite://x.db\": a store in a file has no host: sqlite:PATH");
    refuse("--store sqlite::memory:", CLI_USAGE,
           "--store: \"sqlite::memory:\": a store must outlive the process: sqlite:PATH");
    refuse("--store sqlite:x.db?mode=ro", CLI_USAGE,
           "--store: \"sqlite:x.db?mode=ro\": no options are known behind the path");
    refuse("--store sqlite:data/", CLI_USAGE, "--store: \"sqlite:data/\" names a folder: sqlite:PATH of a file");
}

static void test_precedence(void **state)
{
    write_file("crescent.lua", "return { workers = 2, listen = { '127.0.0.1:1', '[::1]:2' }, admin = false,\n"
                               "limits = { uri = '4KiB', header_time = 2.5 }, log = { level = 'warn' } }");
    accept("");
    assert_int_equal(config.workers, 2);
    assert_int_equal(config.listen_count, 2);
    assert_null(config.admin.text);
    assert_int_equal(config.limits.uri, 4096);
    assert_int_equal(config.limits.header_time.ns, 2500000000);
    assert_int_equal(config.log_level, LOG_WARN);
    config_free(&config);
    setenv("CRESCENT_WORKERS", "3", 1);
    setenv("CRESCENT_LISTEN", "127.0.0.1:3, 127.0.0.1:4", 1);
    setenv("CRESCENT_LIMITS_URI", "5KiB", 1);
    accept("");
    assert_int_equal(config.workers, 3);
    assert_string_equal(config.listen[1].text, "127.0.0.1:4");
    assert_int_equal(config.limits.uri, 5120);
    config_free(&config);
    accept("--workers=4 --listen 127.0.0.1:5 --admin 127.0.0.1:6");
    assert_int_equal(config.workers, 4);
    assert_int_equal(config.listen_count, 1);
    assert_int_equal(config.listen[0].port, 5);
    assert_int_equal(config.admin.port, 6);
    config_free(&config);
    unsetenv("CRESCENT_WORKERS");
    unsetenv("CRESCENT_LISTEN");
    unsetenv("CRESCENT_LIMITS_URI");
    unlink("crescent.lua");
}

static void test_addresses_become_numbers(void **state)
{
    struct config back;
    accept("--listen localhost:1 --listen [0:0::1]:2 --admin 127.0.0.1:3");
    assert_non_null(strstr(config.listen[0].numbers, "127.0.0.1"));
    assert_string_equal(config.listen[1].numbers, "::1");
    assert_string_equal(config.admin.numbers, "127.0.0.1");
    pass_on(&back);
    assert_string_equal(back.listen[0].numbers, config.listen[0].numbers);
    config_free(&back);
    config_free(&config);
    assert_int_equal(load("--listen no-such-host.invalid:1"), CLI_FAILED); /* in whatever words of the resolver's */
    assert_non_null(strstr(err.text, "cannot listen on no-such-host.invalid:1: "));
}

static void test_paths(void **state)
{
    char path[PATH_MAX + 96];
    write_file("other/crescent.lua", "return { hooks = './hooks/' }");
    accept("--config other/crescent.lua");
    snprintf(path, sizeof path, "%s/other/hooks", folder);
    assert_string_equal(config.hooks, path);
    snprintf(path, sizeof path, "%s/other/.env", folder);
    assert_string_equal(config.env_file, path);
    snprintf(path, sizeof path, "%s/other/crescent.lua", folder);
    assert_string_equal(config.file, path);
    config_free(&config);
    write_file("other/crescent.lua", "return { hooks = './hooks/', files = 'kept/' }");
    accept("--config other/crescent.lua");
    snprintf(path, sizeof path, "%s/other/kept", folder);
    assert_string_equal(config.files, path);
    config_free(&config);
    setenv("CRESCENT_FILES", "/srv/kept", 1);
    accept("--config other/crescent.lua");
    assert_string_equal(config.files, "/srv/kept");
    config_free(&config);
    unsetenv("CRESCENT_FILES");
    write_file("other/kept", "");
    snprintf(path, sizeof path, "files folder %s/other/kept (other/crescent.lua:1: files): not a folder", folder);
    refuse("--config other/crescent.lua", CLI_FAILED, path);
    unlink("other/kept");
    accept("hooks --config other/crescent.lua"); /* typed in the working directory */
    snprintf(path, sizeof path, "%s/hooks", folder);
    assert_string_equal(config.hooks, path);
    config_free(&config);
}

static void test_origins(void **state)
{
    char words[PATH_MAX + 64];
    refuse("--workers x", CLI_USAGE, "--workers: expected a number 1-128, got \"x\"");
    refuse("--listen 8080", CLI_USAGE, "--listen: \"8080\": expected host:port");
    refuse("--lisen x", CLI_USAGE, "unknown flag --lisen (did you mean --listen?)");
    refuse("--user x", CLI_USAGE, "--user is not in this version of crescent");
    refuse("--dev --workers 2", CLI_USAGE, "--dev runs one worker: --workers 2 does not go with it");
    refuse("--workers", CLI_USAGE, "--workers needs a value: --workers N");
    refuse("--admin 0.0.0.0:1", CLI_FAILED,
           "--admin: \"0.0.0.0:1\" is not a loopback address: that needs admin_token (CRESCENT_ADMIN_TOKEN)");
    snprintf(words, sizeof words, "hooks folder %s/none (HOOKS): No such file or directory", folder);
    refuse("none", CLI_FAILED, words);
    setenv("CRESCENT_WORKERS", "x", 1);
    refuse("", CLI_FAILED, "CRESCENT_WORKERS: expected a number 1-128, got \"x\"");
    unsetenv("CRESCENT_WORKERS");
    setenv("CRESCENT_WORKER", "1", 1);
    refuse("", CLI_FAILED, "CRESCENT_WORKER in the environment: unknown setting (did you mean CRESCENT_WORKERS?)");
    unsetenv("CRESCENT_WORKER");
    static const char *const later[][2] = {
        {"CRESCENT_SPOOL", "spool"}, {"CRESCENT_OTLP", "otlp"}, {"CRESCENT_SMTP", "smtp"}};
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        snprintf(words, sizeof words, "%s: setting '%s' is not in this version of crescent", later[i][0], later[i][1]);
        setenv(later[i][0], "on", 1);
        refuse("", CLI_FAILED, words);
        unsetenv(later[i][0]);
    }
    setenv("CRESCENT_PORT", "tcp://10.0.0.1:80", 1); /* a cluster's, not ours */
    accept("");
    config_free(&config);
    unsetenv("CRESCENT_PORT");
    setenv("CRESCENT_ADMIN_TOKEN", "t", 1);
    accept("--admin 0.0.0.0:1");
    config_free(&config);
    unsetenv("CRESCENT_ADMIN_TOKEN");
}

/* Who may say who the client is: a misspelt one is no proxy that is silently not trusted, or a listener without its
 * gate. */
static void test_proxies(void **state)
{
    char words[PATH_MAX + 128];
    accept("");
    assert_int_equal(config.trusted_count, 0);
    assert_null(config.public_url);
    assert_false(config.listen[0].proxy);
    config_free(&config);
    write_file("crescent.lua", "return { trusted_proxies = { '10.0.0.0/8', 'unix' }, public_url = "
                               "'HTTPS://Hooks.Example.COM:443/Base/', proxy_protocol = true }");
    accept("--listen 127.0.0.1:0 --listen unix:x.sock");
    assert_int_equal(config.trusted_count, 2);
    assert_string_equal(config.trusted[0], "10.0.0.0/8");
    assert_string_equal(config.public_url, "https://hooks.example.com/Base");
    assert_true(config.listen[0].proxy && config.listen[1].proxy);
    config_free(&config);
    setenv("CRESCENT_TRUSTED_PROXIES", "127.0.0.1, ::1", 1);
    setenv("CRESCENT_PUBLIC_URL", "http://[::1]:8443", 1);
    setenv("CRESCENT_PROXY_PROTOCOL", "https://127.0.0.1:1, unix:x.sock", 1);
    write_file("crescent.lua", "return { trusted_proxies = 'unix' }");
    accept("--listen 127.0.0.1:1 --listen 127.0.0.1:2 --listen unix:x.sock");
    assert_int_equal(config.trusted_count, 2);
    assert_string_equal(config.trusted[1], "::1");
    assert_string_equal(config.public_url, "http://[::1]:8443");
    assert_true(config.listen[0].proxy && !config.listen[1].proxy && config.listen[2].proxy);
    config_free(&config);
    refuse("--listen 127.0.0.1:1 --listen unix:y.sock", CLI_FAILED,
           "CRESCENT_PROXY_PROTOCOL: the server does not listen on \"unix:x.sock\" (did you mean \"unix:y.sock\"?)");
    unsetenv("CRESCENT_TRUSTED_PROXIES");
    unsetenv("CRESCENT_PUBLIC_URL");
    setenv("CRESCENT_PROXY_PROTOCOL", "false", 1);
    write_file("crescent.lua", "return { proxy_protocol = true }");
    accept("");
    assert_false(config.listen[0].proxy);
    config_free(&config);
    setenv("CRESCENT_PROXY_PROTOCOL", "yes", 1);
    refuse("", CLI_FAILED, "CRESCENT_PROXY_PROTOCOL: \"yes\": expected host:port");
    static const char *const nowhere[] = {",", " ", " , ", "127.0.0.1:8080,"};
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        setenv("CRESCENT_PROXY_PROTOCOL", nowhere[i], 1);
        refuse("", CLI_FAILED, "CRESCENT_PROXY_PROTOCOL: \"\": expected host:port");
    }
    unsetenv("CRESCENT_PROXY_PROTOCOL");
    static const char *const bad[][2] = {
        {"trusted_proxies = { '10.0.0.1/8' }", "trusted_proxies: \"10.0.0.1/8\": the address has bits beyond the "
                                               "prefix: write 10.0.0.0/8 for the network, or "
                                               "10.0.0.1 alone"},
        {"trusted_proxies = true", "trusted_proxies: expected a list of addresses and networks, like { \"10.0.0.0/8\", "
                                   "\"unix\" }, got a boolean"},
        {"trusted_proxies = { 7 }",
         "trusted_proxies: expected a list of addresses and networks, like { \"10.0.0.0/8\", "
         "\"unix\" }, got a number in it"},
        {"trusted_proxies = { x = '::1' }", "trusted_proxies: expected a list of addresses and networks, like { "
                                            "\"10.0.0.0/8\", \"unix\" }, got a name in it"},
        {"trusted_proxy = '::1'", "unknown setting 'trusted_proxy' (did you mean 'trusted_proxies'?)"},
        {"public_url = 'hooks.example.com'", NULL},
        {"public_url = 'ftp://hooks.example.com'", NULL},
        {"public_url = 'https://u:p@hooks.example.com'", NULL},
        {"public_url = 'https://hooks.example.com/?x'", NULL},
        {"public_url = 'https://hooks.example.com/#x'", NULL},
        {"public_url = 'https://hooks.example.com/caf\xc3\xa9'", NULL},
        {"public_url = true", "public_url: expected a URL like \"https://hooks.example.com\", got a boolean"},
        {"proxy_protocol = 'on'", "proxy_protocol: expected true, false or a list of addresses that the server listens "
                                  "on, got a string"},
        {"proxy_protocol = { '8080' }", "proxy_protocol: \"8080\": expected host:port"},
        {"proxy_protocol = {}", "proxy_protocol: expected true, false or a list of addresses that the server listens "
                                "on, got an empty list"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char file[256];
        snprintf(file, sizeof file, "return { %s }", bad[i][0]);
        snprintf(words, sizeof words, "crescent.lua:1: %s", bad[i][1] != NULL ? bad[i][1] : "");
        if (bad[i][1] != NULL) {
            refuse_file(file, words);
            continue;
        }
        write_file("crescent.lua", file);
        assert_int_equal(load(""), CLI_FAILED);
        if (strstr(err.text, "crescent.lua:1: public_url: expected a URL like \"https://hooks.example.com\", got \"") !=
            err.text)
            fail_msg("%s: %s", file, err.text);
    }
    unlink("crescent.lua");
}

#define EXEC_EXPECTED "exec: expected true, false or a list of programs, got "
#define EXEC_LIST "exec: expected true, false or a list of programs: "

static void test_exec(void **state)
{
    accept("");
    assert_true(config.exec_any);
    config_free(&config);
    write_file("crescent.lua", "return { exec = false }");
    accept("");
    assert_false(config.exec_any);
    assert_int_equal(config.exec_count, 0);
    config_free(&config);
    write_file("crescent.lua", "return { exec = { 'git', './deploy.sh' } }");
    accept("");
    assert_false(config.exec_any);
    assert_int_equal(config.exec_count, 2);
    assert_string_equal(config.exec[1], "./deploy.sh");
    struct config again;
    pass_on(&again);
    assert_false(again.exec_any);
    assert_int_equal(again.exec_count, 2);
    assert_string_equal(again.exec[0], "git");
    config_free(&again);
    config_free(&config);
    setenv("CRESCENT_EXEC", "true", 1);
    accept("");
    assert_true(config.exec_any);
    assert_int_equal(config.exec_count, 0);
    config_free(&config);
    setenv("CRESCENT_EXEC", "make, /bin/true", 1);
    accept("");
    assert_false(config.exec_any);
    assert_string_equal(config.exec[1], "/bin/true");
    config_free(&config);
    setenv("CRESCENT_EXEC", "make,,true", 1);
    refuse("", CLI_FAILED, "CRESCENT_EXEC: expected true, false or a list of programs, got an empty name");
    unsetenv("CRESCENT_EXEC");
    refuse_file("return { exec = 'git' }", "crescent.lua:1: " EXEC_EXPECTED "a string");
    refuse_file("return {\n exec = { 'git', 1 } }", "crescent.lua:2: " EXEC_EXPECTED "a number in it");
    refuse_file("return { exec = { git = true } }", "crescent.lua:1: " EXEC_LIST "'git' is no position of a list");
    refuse_file("return { exec = { 'git', nil, 'make' } }",
                "crescent.lua:1: " EXEC_LIST "position 2 of the list is nil");
    refuse_file("return { exec = { 'git', [1.5] = 'make' } }",
                "crescent.lua:1: " EXEC_LIST "1.5 is no position of a list");
    refuse_file("return { exec = { 'a\\0b' } }", "crescent.lua:1: " EXEC_EXPECTED "a name with a NUL byte");
}

#define PORTS_EXPECTED "http_ports: expected true, false or a list of ports"

static void test_http_ports(void **state)
{
    accept("");
    assert_false(config.http_ports_only);
    config_free(&config);
    write_file("crescent.lua", "return { http_ports = { 443, 8443 } }");
    accept("");
    assert_true(config.http_ports_only);
    assert_int_equal(config.http_port_count, 2);
    assert_int_equal(config.http_ports[1], 8443);
    config_free(&config);
    setenv("CRESCENT_HTTP_PORTS", "true", 1);
    accept("");
    assert_false(config.http_ports_only);
    assert_int_equal(config.http_port_count, 0);
    config_free(&config);
    setenv("CRESCENT_HTTP_PORTS", "1, 65535", 1);
    accept("");
    assert_true(config.http_ports_only);
    assert_int_equal(config.http_ports[0], 1);
    assert_int_equal(config.http_ports[1], 65535);
    config_free(&config);
    setenv("CRESCENT_HTTP_PORTS", "false", 1);
    accept("");
    assert_true(config.http_ports_only);
    assert_int_equal(config.http_port_count, 0);
    config_free(&config);
    setenv("CRESCENT_HTTP_PORTS", "443,https", 1);
    refuse("", CLI_FAILED, "CRESCENT_HTTP_PORTS: expected true, false or a list of ports 1-65535, got \"https\"");
    setenv("CRESCENT_HTTP_PORTS", "443,,80", 1);
    refuse("", CLI_FAILED, "CRESCENT_HTTP_PORTS: expected true, false or a list of ports 1-65535, got \"\"");
    unsetenv("CRESCENT_HTTP_PORTS");
    refuse_file("return { http_ports = 443 }", "crescent.lua:1: " PORTS_EXPECTED ", got a number");
    refuse_file("return {\n http_ports = { '443' } }", "crescent.lua:2: " PORTS_EXPECTED ", got a string in it");
    refuse_file("return { http_ports = { 0 } }", "crescent.lua:1: " PORTS_EXPECTED " 1-65535, got 0");
    refuse_file("return { http_ports = { 65536 } }", "crescent.lua:1: " PORTS_EXPECTED " 1-65535, got 65536");
    refuse_file("return { http_ports = { 80.5 } }", "crescent.lua:1: " PORTS_EXPECTED " 1-65535, got 80.5");
    refuse_file("return { http_ports = { 1/0 } }", "crescent.lua:1: " PORTS_EXPECTED " 1-65535, got inf");
    write_file("crescent.lua", "return { http_ports = { 0/0 } }"); /* its sign is the compiler's */
    assert_int_equal(load(""), CLI_FAILED);
    unlink("crescent.lua");
    refuse_file("return { http_ports = { https = 443 } }",
                "crescent.lua:1: " PORTS_EXPECTED ": 'https' is no position of a list");
    refuse_file("return { http_port = {} }",
                "crescent.lua:1: unknown setting 'http_port' (did you mean 'http_ports'?)");
}

static void test_rate_limit(void **state)
{
    struct config again;
    write_file("crescent.lua", "return {}");
    accept("");
    assert_int_equal(config.rate_limit_count, 0);
    config_free(&config);
    write_file("crescent.lua", "return { rate_limit = { '100/m', { limit = 5, per = 's', by = 'header:X-Key' } } }");
    accept("");
    pass_on(&again);
    assert_int_equal(again.rate_limit_count, 2);
    assert_string_equal(again.rate_limit[0], "100/m by ip");
    assert_string_equal(again.rate_limit[1], "5/s by header:x-key");
    config_free(&again);
    config_free(&config);
    setenv("CRESCENT_RATE_LIMIT", "7/h burst 2 , 9/d by /a", 1); /* in place of the file's, not beside them */
    accept("");
    assert_int_equal(config.rate_limit_count, 2);
    assert_string_equal(config.rate_limit[0], "7/h burst 2 by ip");
    assert_string_equal(config.rate_limit[1], "9/d by /a");
    config_free(&config);
    setenv("CRESCENT_RATE_LIMIT", "none", 1);
    accept("");
    assert_int_equal(config.rate_limit_count, 0);
    config_free(&config);
    setenv("CRESCENT_RATE_LIMIT", "7/h,", 1);
    refuse("", CLI_FAILED, "CRESCENT_RATE_LIMIT: expected a limit like \"100/m\", got \"\"");
    unsetenv("CRESCENT_RATE_LIMIT");
    refuse_file("return {\n rate_limit = { limit = 5, per = 'm', by = function() end } }",
                "crescent.lua:2: rate_limit: by: a function can be given in a script only");
    refuse_file("return { rate_limt = '5/m' }",
                "crescent.lua:1: unknown setting 'rate_limt' (did you mean 'rate_limit'?)");
    refuse_file(
        "return { rate_limit = '5/fortnight' }",
        "crescent.lua:1: rate_limit: \"5/fortnight\": the period is \"s\", \"m\", \"h\", \"d\" or a duration like "
        "\"30s\"");
}

static void test_file(void **state)
{
    refuse_file("return {\n\n\n  workers = 'x' }", "crescent.lua:4: workers: expected a number 1-128, got \"x\"");
    refuse_file("return { worker = 1 }", "crescent.lua:1: unknown setting 'worker' (did you mean 'workers'?)");
    refuse_file("return { smtp = true }", "crescent.lua:1: setting 'smtp' is not in this version of crescent");
    refuse_file("return { limits = {\n  requests = 0 } }",
                "crescent.lua:2: limits.requests: expected a number 1-1000000, got \"0\"");
    refuse_file("return { limits = {\n  lag = '1ms' } }",
                "crescent.lua:2: limits.lag: expected a duration 20ms-1h, got \"1ms\"");
    refuse_file("return { limits = {\n  max_run = '11s' } }",
                "crescent.lua:2: limits.max_run: expected a duration 1ms-10s, got \"11s\"");
    refuse_file("return {\n tls = { { cert = 'a', key = 'b' }, 'c' } }",
                "crescent.lua:2: tls: expected { cert = FILE, key = FILE }, got a string");
    refuse_file("return { tls = { { cert = 'a', key = 'b' }, x = 1 } }",
                "crescent.lua:1: tls: expected an entry or a list of entries: 'x' is no position of a list");
    refuse_file("return { listen = { '127.0.0.1:0', admin = '127.0.0.1:1' } }",
                "crescent.lua:1: listen: 'admin' is no position of a list");
    refuse_file("return { listen = { '127.0.0.1:0', nil, '127.0.0.1:1' } }",
                "crescent.lua:1: listen: position 2 of the list is nil");
    refuse_file("return { tls = { cert = 'a', key = 'b', cleint_ca = 'c' } }",
                "crescent.lua:1: unknown setting 'tls.cleint_ca' (did you mean 'tls.client_ca'?)");
    refuse_file("return { tls = { cert = 'a', key = true } }",
                "crescent.lua:1: tls.key: expected a string, got a boolean");
    refuse_file("return { tls = {} }", "crescent.lua:1: tls: an entry without cert and key");
    refuse_file("return { tls = { cert = 'a' } }",
                "crescent.lua:1: tls.cert: a certificate and a key belong together: the key is missing");
    refuse_file("return { listen = 'https://127.0.0.1:1' }",
                "crescent.lua:1: listen: \"https://127.0.0.1:1\" needs a "
                "certificate: --tls-cert and --tls-key, or the setting tls");
    refuse_file("return { sandbox = 'false', [1] = 2 }", "crescent.lua:1: a value without a name");
    refuse_file("return setmetatable({}, { __index = { sandbox = true } })",
                "crescent.lua:1: the table of settings: its metatable has an __index, whose values are not seen here: "
                "write them into the table");
    refuse_file("return { limits = setmetatable({}, { __index = { body = '8MiB' } }) }",
                "crescent.lua:1: limits: its metatable has an __index, whose values are not seen here: write them into "
                "the table");
    refuse_file("return", "crescent.lua:1: it must return a table of settings, got nothing");
    refuse_file("x = = 1", "crescent.lua:1: unexpected symbol near '='");
    refuse_file("error {}", "crescent.lua: it raised an error that is no text");
#ifndef __SANITIZE_THREAD__ /* tsan holds signals back until the next call into the C library: this loop makes none */
    refuse_file("while true do end", "crescent.lua:1: the configuration ran longer than 1s");
#endif
    refuse_file("local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end",
                "crescent.lua: it needs more than 64MiB of memory");
    refuse_file("io.open('x')", "crescent.lua:1: attempt to index global 'io' (a nil value)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_defaults), cmocka_unit_test(test_precedence),
                                       cmocka_unit_test(test_store),    cmocka_unit_test(test_addresses_become_numbers),
                                       cmocka_unit_test(test_paths),    cmocka_unit_test(test_origins),
                                       cmocka_unit_test(test_exec),     cmocka_unit_test(test_http_ports),
                                       cmocka_unit_test(test_proxies),  cmocka_unit_test(test_rate_limit),
                                       cmocka_unit_test(test_file)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
