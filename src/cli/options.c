/*
 * options.c: the table of flags and its reader; see options.h. "--flag value" and "--flag=value" are the same.
 * Owns: nothing. Runs in: any command. Fails: with words.
 */
#include "cli/options.h"
#include "base/slice.h"
#include <string.h>

#define MEMBER(name) offsetof(struct options, name)

const struct options_flag options_flags[] = {
    {"--listen", "ADDR", "serve",
     "address to serve on: host:port, [v6]:port, unix:path, with http:// or https:// before it;\n"
     "may be repeated (default 127.0.0.1:8080)",
     MEMBER(listen)},
    {"--tls-cert", "FILE", "serve", "certificate chain, PEM; a listener without http:// then speaks TLS",
     MEMBER(tls_cert)},
    {"--tls-key", "FILE", "serve", "its private key, PEM", MEMBER(tls_key)},
    {"--workers", "N", "serve", "worker processes (default: one per core)", MEMBER(workers)},
    {"--admin", "ADDR", "serve", "address of the admin listener, or off (default 127.0.0.1:8081)", MEMBER(admin)},
    {"--admin", "ADDR", "unquarantine", "the server's admin listener (CRESCENT_ADMIN; default 127.0.0.1:8081)",
     MEMBER(admin)},
    {"--dev", NULL, "serve",
     "for developing: one worker, errors with their traceback in the answer, every request in the log, as text",
     MEMBER(dev)},
    {"--store", "URL", "serve",
     "where kv is kept: sqlite:PATH, a file that no other server uses (default sqlite:crescent.db)", MEMBER(store)},
    {"--config", "FILE", "serve check routes", "configuration (default: ./crescent.lua, where it is there)",
     MEMBER(config)},
    {"--no-secrets", NULL, "check", "a verifier whose secret is not there is no error", MEMBER(no_secrets)},
    {"--json", NULL, "check routes unquarantine", "print JSON", MEMBER(json)},
    {"--help", NULL, "serve check routes unquarantine version help", "print this", MEMBER(help)},
    {NULL, NULL, NULL, NULL, 0},
};
enum { FLAG_COUNT = sizeof options_flags / sizeof *options_flags - 1 };

static const char *const later[] = {"--admin-token", "--user"};

bool options_knows(const struct options_flag *f, const char *command)
{
    struct slice rest = slice_of(f->commands), one;
    while (slice_cut(&rest, ' ', &one))
        if (slice_equal(one, slice_of(command)))
            return true;
    return false;
}

static int unknown(const char *command, struct slice name, struct error *err)
{
    const char *known[FLAG_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        if (slice_equal(name, slice_of(later[i])))
            return error_set(err, "%s is not in this version of crescent", later[i]);
    for (const struct options_flag *f = options_flags; f->name != NULL; f++) {
        if (options_knows(f, command))
            known[count++] = f->name;
        if (slice_equal(name, slice_of(f->name)))
            return error_set(err, "%s is no flag of 'crescent %s'", f->name, command);
    }
    const char *near = slice_nearest(name, known, count);
    return error_set(err, "unknown flag %.*s%s%s%s", name.len > 80 ? 80 : (int)name.len, name.at,
                     near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

static const struct options_flag *find(const char *command, struct slice name)
{
    for (const struct options_flag *f = options_flags; f->name != NULL; f++)
        if (slice_equal(name, slice_of(f->name)) && options_knows(f, command))
            return f;
    return NULL;
}

static int set(struct options *o, const struct options_flag *f, const char *value, struct error *err)
{
    if (f->value == NULL) {
        *(bool *)((char *)o + f->offset) = true;
        return 0;
    }
    if (value[0] == '\0')
        return error_set(err, "%s: empty value", f->name);
    if (f->offset != MEMBER(listen)) {
        *(const char **)((char *)o + f->offset) = value;
        return 0;
    }
    if (o->listen_count == OPTIONS_LISTEN_MAX)
        return error_set(err, "%s: more than %d addresses", f->name, OPTIONS_LISTEN_MAX);
    o->listen[o->listen_count++] = value;
    return 0;
}

/* One flag at argv[*at]; *at is left on the last word it used. */
static int read_flag(struct options *o, int argc, char **argv, int *at, struct error *err)
{
    struct slice name = slice_of(argv[*at]);
    const char *value = strchr(name.at, '=');
    if (value != NULL)
        name.len = (size_t)(value++ - name.at);
    if (slice_equal(name, SLICE("-h")))
        name = SLICE("--help");
    const struct options_flag *f = find(argv[0], name);
    if (f == NULL)
        return unknown(argv[0], name, err);
    if (f->value == NULL && value != NULL)
        return error_set(err, "%s takes no value", f->name);
    if (f->value != NULL && value == NULL) {
        if (*at + 1 >= argc)
            return error_set(err, "%s needs a value: %s %s", f->name, f->name, f->value);
        value = argv[++*at];
    }
    return set(o, f, value, err);
}

int options_parse(int argc, char **argv, struct options *o_out, struct error *err)
{
    *o_out = (struct options){0};
    bool flags = true;
    for (int i = 1; i < argc; i++) {
        if (flags && strcmp(argv[i], "--") == 0) {
            flags = false;
        } else if (flags && argv[i][0] == '-' && argv[i][1] != '\0') {
            if (read_flag(o_out, argc, argv, &i, err) != 0)
                return -1;
        } else if (argv[i][0] == '\0') { /* a variable of the shell that is not set? */
            return error_set(err, "an argument is empty");
        } else if (o_out->hooks != NULL) {
            return error_set(err, "one argument is taken, \"%.80s\" is too many", argv[i]);
        } else {
            o_out->hooks = argv[i];
        }
    }
    return 0;
}
