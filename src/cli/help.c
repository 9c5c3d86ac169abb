/*
 * help.c: help [COMMAND] and version, from the tables of commands and flags.
 * Owns: nothing. Runs in: its own process. Fails: exit 2 for a command that is not there.
 */
#include "base/slice.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/print.h"
#include <stdio.h>

static const char *arguments_of(const char *command)
{
    if (strcmp(command, "help") == 0)
        return " [COMMAND]";
    if (strcmp(command, "unquarantine") == 0)
        return " ENDPOINT [FLAGS]";
    return strcmp(command, "version") == 0 ? "" : " [HOOKS] [FLAGS]";
}

static void print_commands(void)
{
    printf("crescent: a webhook router scripted in Lua\n\n");
    for (const struct command *c = cli_commands; c->name != NULL; c++) {
        char call[40];
        snprintf(call, sizeof call, "%s%s", c->name, arguments_of(c->name));
        if (c->help != NULL)
            printf("  crescent %-30s %s\n", call, c->help);
    }
    printf("\n'crescent help COMMAND' lists the flags of a command.\n");
}

static void print_flag(const struct options_flag *f)
{
    struct slice rest = slice_of(f->help), line;
    char name[40];
    snprintf(name, sizeof name, "%s%s%s", f->name, f->value ? " " : "", f->value ? f->value : "");
    for (const char *head = name; slice_cut(&rest, '\n', &line); head = "")
        printf("  %-18s %.*s\n", head, SLICE_ARG(line));
}

static void print_command(const struct command *c)
{
    printf("crescent %s%s: %s\n\n", c->name, arguments_of(c->name), c->help);
    for (const struct options_flag *f = options_flags; f->name != NULL; f++)
        if (options_knows(f, c->name))
            print_flag(f);
    if (strcmp(arguments_of(c->name), " [HOOKS] [FLAGS]") == 0)
        printf("\nHOOKS is the folder of scripts (default ./hooks). Flags beat the environment (CRESCENT_WORKERS=2),\n"
               "which beats crescent.lua.\n");
    if (strcmp(c->name, "unquarantine") == 0)
        printf("\nENDPOINT is a script's path without .lua (billing/stripe). Where the server has an admin token, it "
               "is taken\n"
               "from the environment: CRESCENT_TOKEN.\n");
}

int cmd_help(int argc, char **argv)
{
    const char *known[32];
    size_t count = 0;
    if (argc < 2) {
        print_commands();
        return print_end(CLI_DONE);
    }
    for (const struct command *c = cli_commands; c->name != NULL; c++) {
        if (c->help == NULL)
            continue;
        known[count++] = c->name;
        if (strcmp(c->name, argv[1]) == 0) {
            print_command(c);
            return print_end(CLI_DONE);
        }
    }
    const char *near = slice_nearest(slice_of(argv[1]), known, count);
    return print_fail(CLI_USAGE, "no command \"%.80s\"%s%s%s", argv[1], near ? " (did you mean " : "", near ? near : "",
                      near ? "?)" : "");
}

int cmd_version(int argc, char **argv)
{
    struct options options;
    struct error err;
    if (options_parse(argc, argv, &options, &err) != 0)
        return print_usage("version", err.text);
    if (options.help)
        return cmd_help(2, (char *[]){(char *)"help", argv[0], NULL});
    if (options.hooks != NULL)
        return print_usage("version", "no argument is taken");
    printf("crescent %s\n", CRESCENT_VERSION);
    return print_end(CLI_DONE);
}
