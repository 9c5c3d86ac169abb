/*
 * cli.h: the commands' shared ground: the command table's row, exit codes. One file per command.
 */
#ifndef CRESCENT_CLI_CLI_H
#define CRESCENT_CLI_CLI_H

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

struct command {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit code */
    const char *help;                  /* one line; NULL: hidden */
};

/* The table, in main.c; ends with name == NULL. */
extern const struct command cli_commands[];

int cmd_serve(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_routes(int argc, char **argv);
int cmd_unquarantine(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_config(int argc, char **argv); /* hidden: the config child */

#endif
