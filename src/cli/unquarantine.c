/*
 * unquarantine.c: ends the quarantine of an endpoint of a running server.
 * Owns: nothing beyond a call. Runs in: its own process. Fails: exit 1 with words (no such endpoint, no server), 2 on
 * wrong usage.
 */
#include "base/panic.h"
#include "cli/apiclient.h"
#include "cli/cli.h"
#include "cli/print.h"
#include "codec/json.h"
#include <stdio.h>

/* The answer says whether it was; anything else is no answer of ours. */
static int read_answer(struct slice body, bool *was_out)
{
    struct json_reader *json = json_reader_new();
    struct json_fault fault;
    struct json_walk walk;
    struct json_token t = {.kind = JSON_NULL};
    if (json_parse(json, body, &fault) == 0 && json_walk_at(json, SLICE("/was_quarantined"), &walk))
        json_next(&walk, &t);
    json_reader_free(&json);
    *was_out = t.kind == JSON_TRUE;
    return t.kind == JSON_TRUE || t.kind == JSON_FALSE ? 0 : -1;
}

static int report(const char *endpoint, bool as_json, const struct buf *body)
{
    bool was;
    if (read_answer(buf_slice(body), &was) != 0)
        return print_fail(CLI_FAILED, "the server's answer is none: is it a crescent's admin listener?");
    if (as_json)
        printf("%.*s\n", SLICE_ARG(buf_slice(body)));
    else
        printf(was ? "%s is out of quarantine\n" : "%s is not in quarantine\n", endpoint);
    return print_end(CLI_DONE);
}

int cmd_unquarantine(int argc, char **argv)
{
    struct options options;
    struct error err;
    struct buf path = {0}, body = {0};
    if (options_parse(argc, argv, &options, &err) != 0)
        return print_usage("unquarantine", err.text);
    if (options.help)
        return cmd_help(2, (char *[]){(char *)"help", argv[0], NULL});
    const char *endpoint = options.hooks;
    if (endpoint == NULL)
        return print_usage("unquarantine", "which endpoint? its name is the script's path without .lua");
    buf_add_text(&path, "/api/v1/scripts/");
    apiclient_add_name(&path, endpoint);
    buf_add_text(&path, "/unquarantine");
    int code = apiclient_call(&options, "POST", buf_text(&path), &body, &err);
    if (code == CLI_USAGE)
        code = print_usage("unquarantine", err.text);
    else if (code != CLI_DONE)
        print_fail(code, "%s", err.text);
    else
        code = report(endpoint, options.json, &body);
    buf_free(&path);
    buf_free(&body);
    return code;
}
