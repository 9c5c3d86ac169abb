/*
 * config_lists.c: the settings that are lists: exec, trusted_proxies, rate_limit, http_ports. See config.h.
 * Owns: the lists, which config_free gives back. Runs in: any process. Never fails.
 */
#include "base/config.h"
#include "base/panic.h"
#include <stdlib.h>

static void add(char ***texts, size_t *count, struct slice text)
{
    *texts = need_realloc(*texts, (*count + 1) * sizeof **texts);
    (*texts)[(*count)++] = slice_dup(text);
}

static void forget(char ***texts, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        free((*texts)[i]);
    free(*texts);
    *texts = NULL;
    *count = 0;
}

void config_add_exec(struct config *c, struct slice name)
{
    add(&c->exec, &c->exec_count, name);
}

void config_forget_exec(struct config *c)
{
    forget(&c->exec, &c->exec_count);
    c->exec_any = false;
}

void config_add_trusted(struct config *c, struct slice network)
{
    add(&c->trusted, &c->trusted_count, network);
}

void config_forget_trusted(struct config *c)
{
    forget(&c->trusted, &c->trusted_count);
}

void config_add_rate_limit(struct config *c, struct slice text)
{
    add(&c->rate_limit, &c->rate_limit_count, text);
}

void config_forget_rate_limit(struct config *c)
{
    forget(&c->rate_limit, &c->rate_limit_count);
}

void config_add_http_port(struct config *c, uint16_t port)
{
    c->http_ports = need_realloc(c->http_ports, (c->http_port_count + 1) * sizeof *c->http_ports);
    c->http_ports[c->http_port_count++] = port;
}

void config_forget_http_ports(struct config *c)
{
    free(c->http_ports);
    c->http_ports = NULL;
    c->http_port_count = 0;
    c->http_ports_only = false;
}
