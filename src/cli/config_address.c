/*
 * config_address.c: see config_address.h.
 */
#include "cli/config_address.h"
#include "cli/config_proxies.h"
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>

/* As config_parse_listen, with the place of a unix socket. */
static int parse(const struct config *c, const char *text, bool tls, struct config_listen *l, struct error *err)
{
    if (config_parse_listen(text, tls, l, err) != 0)
        return -1;
    return l->path == NULL ? 0 : config_listen_place(l, config_load_path(c->root, l->path), err);
}

/* --- listen --- */

static int stands_twice(const struct config_listen *first, const struct config_listen *l, const char *where,
                        struct error *err)
{
    if (!l->inherited)
        return error_set(err, "%s: \"%s\" stands twice", where, l->text);
    if (first->inherited)
        return error_set(err, "handed over (LISTEN_FDS): both \"%s\" and \"%s\"", first->text, l->text);
    return error_set(
        err, "listen: \"%s\", and a socket that listens there was handed over (LISTEN_FDS): \"%s\": leave one out",
        first->text, l->text);
}

/* The last of the listeners, which has just been added, beside the others. */
static int check_listener(const struct config *c, const char *where, struct error *err)
{
    const struct config_listen *l = &c->listen[c->listen_count - 1];
    if (l->tls && c->tls_count == 0)
        return error_set(err, "%s: \"%s\" needs a certificate: --tls-cert and --tls-key, or the setting tls", where,
                         l->text);
    for (size_t k = 0; k + 1 < c->listen_count; k++)
        if (config_listen_same(&c->listen[k], l))
            return stands_twice(&c->listen[k], l, where, err);
    if (c->listen_count > OPTIONS_LISTEN_MAX)
        return error_set(err, "%s: more than %d addresses", where, OPTIONS_LISTEN_MAX);
    return 0;
}

static void forget_default(struct config *c)
{
    while (c->listen_count > 0)
        config_listen_free(&c->listen[--c->listen_count]);
}

static int add_given(struct config_draft *d, struct error *err)
{
    struct config *c = d->config;
    if (d->listen_count == 0) {
        c->listen[0].tls = c->tls_count > 0;
        return 0;
    }
    forget_default(c);
    for (size_t i = 0; i < d->listen_count; i++) {
        const char *where = d->listen[i].where;
        if (parse(c, d->listen[i].text, c->tls_count > 0, config_add_listen(c), err) != 0)
            return error_prefix(err, "%s", where);
        if (check_listener(c, where, err) != 0)
            return -1;
    }
    return 0;
}

static int take_one(struct config_listen *into, const struct config_text *set, struct config_listen *from,
                    const char *name, struct error *err)
{
    int done = 0;
    if (set->text != NULL)
        done = error_set(err, "%s: the setting %s, and a socket of that name was handed over: leave one out",
                         set->where, name);
    else if (into->inherited)
        done = error_set(err, "two sockets named %s were handed over", name);
    if (done != 0) {
        config_listen_free(from);
        return -1;
    }
    config_listen_free(into);
    *into = *from;
    return 0;
}

static int add_inherited(struct config_draft *d, const char *text, bool *listening, struct error *err)
{
    struct config *c = d->config;
    struct config_listen l;
    enum config_role role;
    if (config_parse_inherited(text, c->tls_count > 0, &l, &role, err) != 0)
        return -1;
    if (role == CONFIG_ROLE_ADMIN)
        return take_one(&c->admin, &d->admin, &l, "admin", err);
    if (role == CONFIG_ROLE_HEALTH)
        return take_one(&c->health, &d->health, &l, "health", err);
    if (!*listening && d->listen_count == 0)
        forget_default(c);
    *listening = true;
    *config_add_listen(c) = l;
    return check_listener(c, "handed over", err);
}

/* --- admin and health --- */

/* Who may reach it: only this machine, or only its own user. Else a token must be asked for. */
static bool guarded(const struct config_listen *l)
{
    const char *host = l->host;
    struct stat st;
    if (l->path != NULL) /* one of our own gets mode 0600 */
        return !l->inherited || (stat(l->path, &st) == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0);
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host));
}

/* An address of the keeper's, from its text: plain HTTP, "off" for none. */
static int finish_plain(const struct config *c, const struct config_text *t, const char *name, struct config_listen *l,
                        struct error *err)
{
    if (t->text == NULL)
        return 0;
    config_listen_free(l);
    if (strcmp(t->text, "off") == 0)
        return 0;
    if (parse(c, t->text, false, l, err) != 0)
        return error_prefix(err, "%s", t->where);
    if (l->tls)
        return error_set(err, "%s: \"%s\": the %s listener speaks plain HTTP", t->where, l->text, name);
    return 0;
}

/* Where the value came from, for messages. */
static const char *where_of(const struct config_text *t, const struct config_listen *l, const char *by_default)
{
    return t->where != NULL ? t->where : l->inherited ? "handed over" : by_default;
}

static int check_apart(const struct config *c, const struct config_listen *l, const char *where, struct error *err)
{
    for (size_t i = 0; l->text != NULL && i < c->listen_count; i++)
        if (config_listen_same(&c->listen[i], l))
            return error_set(err, "%s: \"%s\" is also where the server listens", where, l->text);
    return 0;
}

/* Here, in a process that may wait and be given up: the supervisor, which opens them, must not. */
static int look_up_all(struct config *c, struct error *err)
{
    for (size_t i = 0; i < c->listen_count; i++)
        if (config_listen_look_up(&c->listen[i], err) != 0)
            return -1;
    return config_listen_look_up(&c->admin, err) != 0 || config_listen_look_up(&c->health, err) != 0 ? -1 : 0;
}

int config_address_finish(struct config_draft *d, const struct options *o, struct error *err)
{
    struct config *c = d->config;
    bool listening = false;
    if (add_given(d, err) != 0)
        return -1;
    for (size_t i = 0; i < o->inherited_count; i++)
        if (add_inherited(d, o->inherited[i], &listening, err) != 0)
            return -1;
    if (config_proxies_finish(d, err) != 0)
        return -1;
    if (finish_plain(c, &d->admin, "admin", &c->admin, err) != 0 ||
        finish_plain(c, &d->health, "health", &c->health, err) != 0)
        return -1;
    const char *admin = where_of(&d->admin, &c->admin, "admin (the default)");
    const char *health = where_of(&d->health, &c->health, "health");
    if (c->admin.text != NULL && c->admin_token == NULL && !guarded(&c->admin)) {
        if (c->admin.path != NULL)
            return error_set(err, "%s: others may write to \"%s\": that needs SocketMode=0600, or admin_token", admin,
                             c->admin.text);
        return error_set(err, "%s: \"%s\" is not a loopback address: that needs admin_token (CRESCENT_ADMIN_TOKEN)",
                         admin, c->admin.text);
    }
    if (check_apart(c, &c->admin, admin, err) != 0 || check_apart(c, &c->health, health, err) != 0)
        return -1;
    if (c->admin.text != NULL && c->health.text != NULL && config_listen_same(&c->admin, &c->health))
        return error_set(err, "%s: \"%s\" is also where admin listens, which answers /healthz and /readyz too", health,
                         c->health.text);
    return look_up_all(c, err);
}

int config_address_foresee(struct config_draft *d, struct error *err)
{
    struct config *c = d->config;
    if (d->listen_count > 0)
        forget_default(c);
    for (size_t i = 0; i < d->listen_count; i++)
        if (parse(c, d->listen[i].text, false, config_add_listen(c), err) != 0)
            return error_prefix(err, "%s", d->listen[i].where);
    return config_proxies_finish(d, err);
}
