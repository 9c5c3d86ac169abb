/*
 * check.c: compiles and validates every script: each error as "file:line: message" on standard error, and what is wrong
 * with the addresses that are set; PUBLIC endpoints and the outcome on standard output.
 * Owns: nothing beyond a call. Runs in: its own process. Fails: exit 1 with errors, 2 on wrong usage.
 */
#include "base/panic.h"
#include "cli/cli.h"
#include "cli/config_load.h"
#include "cli/folder.h"
#include "cli/print.h"
#include "codec/json.h"
#include <stdio.h>
#include <stdlib.h>

static void print_public(const struct folder *f)
{
    for (size_t i = 0; i < f->script_count; i++) {
        const struct endpoint *e = f->scripts[i].description.endpoint;
        if (e == NULL || f->scripts[i].description.verify != NULL)
            continue;
        printf("PUBLIC %s (", e->name);
        for (size_t k = 0; k < e->route_count; k++)
            printf("%s%s%s", k > 0 ? ", " : "", e->routes[k].host ? e->routes[k].host : "", e->routes[k].path);
        printf("): no verify\n");
    }
}

/* "hooks/github.lua:12: words" → file, line, message */
static void write_error(struct json_writer *w, const char *error)
{
    struct slice rest = slice_of(error), file = SLICE_NONE, line = SLICE_NONE;
    unsigned long long number = 0;
    slice_cut(&rest, ':', &file);
    slice_cut(&rest, ':', &line);
    bool whole = slice_to_u64(line, 1u << 30, &number);
    json_write_object(w);
    json_write_name(w, SLICE("file"));
    json_write_text(w, whole ? file : SLICE(""));
    json_write_name(w, SLICE("line"));
    json_write_uint(w, number);
    json_write_name(w, SLICE("message"));
    json_write_text(w, whole ? slice_trim(rest) : slice_of(error));
    json_write_end(w, '}');
}

/* addresses: what is wrong with them; NULL: nothing. */
static void print_json(const struct folder *f, const char *addresses)
{
    struct buf out = {0};
    struct json_writer w;
    json_write_begin(&w, &out);
    json_write_object(&w);
    json_write_name(&w, SLICE("scripts"));
    json_write_uint(&w, f->script_count);
    json_write_name(&w, SLICE("modules"));
    json_write_uint(&w, f->module_count);
    json_write_name(&w, SLICE("errors"));
    json_write_array(&w);
    for (size_t i = 0; i < f->error_count; i++)
        write_error(&w, f->errors[i]);
    json_write_end(&w, ']');
    json_write_name(&w, SLICE("public"));
    json_write_array(&w);
    for (size_t i = 0; i < f->script_count; i++)
        if (f->scripts[i].description.endpoint != NULL && f->scripts[i].description.verify == NULL)
            json_write_text(&w, slice_of(f->scripts[i].description.endpoint->name));
    json_write_end(&w, ']');
    json_write_name(&w, SLICE("addresses"));
    if (addresses != NULL)
        json_write_text(&w, slice_of(addresses));
    else
        json_write_null(&w);
    json_write_end(&w, '}');
    puts(buf_text(&out));
    buf_free(&out);
}

/* No failure: only the start knows its flags, and what it is handed. */
static void print_addresses(const char *words)
{
    struct buf line = {0};
    buf_addf(&line, "%s (serve does not start so, unless --listen or a socket that is handed over names others)",
             words);
    print_error_line(buf_text(&line));
    buf_free(&line);
}

static int report(const struct folder *f, const struct options *o, const char *addresses)
{
    if (o->json) {
        print_json(f, addresses);
    } else {
        if (addresses != NULL)
            print_addresses(addresses);
        for (size_t i = 0; i < f->error_count; i++)
            print_error_line(f->errors[i]);
        print_public(f);
        if (f->error_count == 0)
            printf("%zu script%s, %zu module%s: no errors\n", f->script_count, f->script_count == 1 ? "" : "s",
                   f->module_count, f->module_count == 1 ? "" : "s");
    }
    return print_end(f->error_count == 0 ? CLI_DONE : CLI_FAILED);
}

int cmd_check(int argc, char **argv)
{
    struct options options;
    struct config config;
    struct folder folder;
    struct error doubt, err;
    if (options_parse(argc, argv, &options, &err) != 0)
        return print_usage("check", err.text);
    if (options.help)
        return cmd_help(2, (char *[]){(char *)"help", argv[0], NULL});
    int code = config_load_foresee(&options, &config, &doubt, &err);
    if (code == CLI_DONE && folder_load(&config, options.no_secrets, &folder, &err) != 0)
        code = CLI_FAILED;
    if (code != CLI_DONE) {
        config_free(&config);
        return print_fail(code, "%s", err.text);
    }
    code = report(&folder, &options, doubt.text[0] != '\0' ? doubt.text : NULL);
    folder_free(&folder);
    config_free(&config);
    return code;
}
