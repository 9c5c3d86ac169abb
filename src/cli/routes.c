/*
 * routes.c: prints the routing table, with each route's policies; errors of scripts on standard error.
 * Owns: nothing beyond a call. Runs in: its own process. Fails: exit 1 with errors, 2 on wrong usage.
 */
#include "base/panic.h"
#include "cli/cli.h"
#include "cli/config_load.h"
#include "cli/folder.h"
#include "cli/print.h"
#include "policy/cors.h"
#include <stdio.h>
#include <stdlib.h>

enum { METHODS, PATH, HOST, SCRIPT, ADDRESSES, VERIFY, RATE_LIMIT, EVENTS, CORS, COLUMNS };

struct row {
    const struct endpoint *endpoint;
    const struct endpoint_route *route;
    const char *verify;
    char *methods, *addresses, *rate_limit, *events, *cors;
};

static char *joined(char **texts, size_t count, const char *none)
{
    struct buf all = {0};
    if (texts == NULL)
        buf_add_text(&all, none);
    for (size_t i = 0; i < count; i++)
        buf_addf(&all, "%s%s", i > 0 ? ", " : "", texts[i]);
    return buf_take(&all);
}

static char *origins(const struct cors *c)
{
    struct buf all = {0};
    if (c == NULL)
        buf_add_text(&all, "none");
    for (size_t i = 0; c != NULL && i < c->count; i++)
        buf_addf(&all, "%s%s", i > 0 ? ", " : "", c->entries[i].text);
    return buf_take(&all);
}

static int by_path(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int order = strcmp(x->route->path, y->route->path);
    if (order != 0)
        return order;
    return strcmp(x->route->host ? x->route->host : "", y->route->host ? y->route->host : "");
}

static struct row *make_rows(const struct folder *f, size_t *count_out)
{
    struct row *rows = NULL;
    *count_out = 0;
    for (size_t i = 0; i < f->script_count; i++) {
        const struct description *d = &f->scripts[i].description;
        for (size_t k = 0; d->endpoint != NULL && k < d->endpoint->route_count; k++) {
            const struct endpoint *e = d->endpoint;
            rows = need_realloc(rows, (*count_out + 1) * sizeof *rows);
            rows[(*count_out)++] = (struct row){e,
                                                &e->routes[k],
                                                d->verify ? d->verify : "PUBLIC",
                                                joined(e->methods, e->method_count, "any"),
                                                joined(e->allowed, e->allowed_count, "all"),
                                                joined(d->rate_limit, d->rate_limit_count, "none"),
                                                joined(e->events, e->event_count, "all"),
                                                origins(e->cors)};
        }
    }
    if (*count_out > 1)
        qsort(rows, *count_out, sizeof *rows, by_path);
    return rows;
}

static void print_rows(const struct folder *f)
{
    size_t count;
    struct row *rows = make_rows(f, &count);
    const char **cells = need_zero((count + 1) * COLUMNS, sizeof *cells), **cell = cells;
    static const char *const heads[COLUMNS] = {"METHODS", "PATH",       "HOST",   "SCRIPT", "ALLOW_IPS",
                                               "VERIFY",  "RATE_LIMIT", "EVENTS", "CORS"};
    for (size_t i = 0; i < COLUMNS; i++)
        *cell++ = heads[i];
    for (size_t i = 0; i < count; i++, cell += COLUMNS) {
        cell[METHODS] = rows[i].methods;
        cell[PATH] = rows[i].route->path;
        cell[HOST] = rows[i].route->host ? rows[i].route->host : "any";
        cell[SCRIPT] = rows[i].endpoint->file;
        cell[ADDRESSES] = rows[i].addresses;
        cell[VERIFY] = rows[i].verify;
        cell[RATE_LIMIT] = rows[i].rate_limit;
        cell[EVENTS] = rows[i].events;
        cell[CORS] = rows[i].cors;
    }
    print_table(cells, COLUMNS, count + 1);
    for (size_t i = 0; i < count; i++) {
        free(rows[i].methods);
        free(rows[i].addresses);
        free(rows[i].rate_limit);
        free(rows[i].events);
        free(rows[i].cors);
    }
    free(rows);
    free(cells);
}

static void print_json(const struct folder *f)
{
    const char *between = "[";
    for (size_t i = 0; i < f->script_count; i++) {
        const struct buf *json = &f->scripts[i].json;
        if (json->len == 0)
            continue;
        printf("%s%.*s", between, (int)json->len, json->at);
        between = ",\n ";
    }
    puts(between[0] == '[' ? "[]" : "]");
}

int cmd_routes(int argc, char **argv)
{
    struct options options;
    struct config config;
    struct folder folder;
    struct error err;
    if (options_parse(argc, argv, &options, &err) != 0)
        return print_usage("routes", err.text);
    if (options.help)
        return cmd_help(2, (char *[]){(char *)"help", argv[0], NULL});
    int code = config_load(&options, false, &config, &err);
    /* The table says what is routed where; a secret that is missing here is no reason to leave a route out. */
    if (code == CLI_DONE && folder_load(&config, true, &folder, &err) != 0)
        code = CLI_FAILED;
    if (code != CLI_DONE) {
        config_free(&config);
        return print_fail(code, "%s", err.text);
    }
    if (options.json)
        print_json(&folder);
    else
        print_rows(&folder);
    for (size_t i = 0; i < folder.error_count; i++)
        print_error_line(folder.errors[i]);
    code = print_end(folder.error_count == 0 ? CLI_DONE : CLI_FAILED);
    folder_free(&folder);
    config_free(&config);
    return code;
}
