/*
 * main.c: the table of commands, and the way to one. Exit codes: 0 done, 1 failed, 2 wrong usage.
 * Owns: nothing. Runs in: every process first. Fails: a command that is not there is wrong usage.
 */
#include "base/jail.h"
#include "base/slice.h"
#include "cli/cli.h"
#include "cli/print.h"
#include "exec/spawner.h"
#include "keeper/keeper.h"
#include "load/trial.h"
#include "worker/worker.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static int run_keeper(int argc, char **argv)
{
    return keeper_main();
}

static int run_worker(int argc, char **argv)
{
    return worker_main();
}

static int run_trial(int argc, char **argv)
{
    return trial_main();
}

static int run_spawner(int argc, char **argv)
{
    return spawner_main(argc > 1 ? argv[1] : NULL);
}

const struct command cli_commands[] = {
    {"serve", cmd_serve, "serve the scripts of a folder"},
    {"check", cmd_check, "compile and validate every script"},
    {"routes", cmd_routes, "print the routing table, with each route's policies"},
    {"unquarantine", cmd_unquarantine, "let requests through again to an endpoint in quarantine"},
    {"version", cmd_version, "print the version"},
    {"help", cmd_help, "print help, of one command or of all"},
    {"keeper", run_keeper, NULL},
    {"worker", run_worker, NULL},
    {"spawner", run_spawner, NULL},
    {"trial", run_trial, NULL},
    {"config", cmd_config, NULL},
    {NULL, NULL, NULL},
};

/* Those that hold the token, keys of TLS or values of .env for long. A spawner has none, so it stays as it is. */
static bool is_hidden(const char *name)
{
    static const char *const names[] = {"serve", "keeper", "worker", "trial", "config"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Of the design, and not built yet. */
static const char *const later[] = {"new", "send", "events", "dead", "pause", "resume", "test", "handshake", "connect"};

static int no_command(const char *name)
{
    const char *known[sizeof cli_commands / sizeof *cli_commands];
    size_t count = 0;
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        if (strcmp(later[i], name) == 0)
            return print_fail(CLI_USAGE, "the command '%s' is not in this version of crescent", name);
    for (const struct command *c = cli_commands; c->name != NULL; c++)
        if (c->help != NULL)
            known[count++] = c->name;
    const char *near = slice_nearest(slice_of(name), known, count);
    return print_fail(CLI_USAGE, "no command \"%.80s\"%s%s%s (see 'crescent help')", name,
                      near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

/* What else is opened must not get the number of a standard descriptor that was closed: what is said there would go to
 * a socket, say. The lowest number is taken each time, so none before it is free. */
static bool fill_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY) != fd)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    if (!fill_standard())
        return print_fail(CLI_FAILED, "a standard descriptor is closed, and /dev/null does not open in its place");
    signal(SIGPIPE, SIG_IGN); /* a peer or reader that has gone is an error of the write */
    signal(SIGXFSZ, SIG_IGN); /* so is a limit of the process's files */
    if (argc < 2) {
        fprintf(stderr, "crescent: no command (see 'crescent help')\n");
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    argv[1] = (char *)name;
    if (is_hidden(name))
        jail_hide();
    for (const struct command *c = cli_commands; c->name != NULL; c++)
        if (strcmp(c->name, name) == 0)
            return c->run(argc - 1, argv + 1);
    return no_command(name);
}
