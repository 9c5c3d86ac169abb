/*
 * config_log.c: see config_log.h. By where the paths really lead: whatever link is among them, and of what is not there
 * yet by where it would be made.
 */
#include "cli/config_log.h"

#include "base/buf.h"
#include "base/fd.h"
#include "base/logfile.h"
#include "base/path.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* --- what else it may be ------------------------------------------------------------------------------------------ */

struct place {
    const struct config_draft *draft;
    const char *log; /* where it really is */
    struct error *err;
};

static int refuse(const struct place *p, const char *is, const char *what)
{
    return error_set(p->err, "%s: the log file %s %s: %s", p->draft->log_file.where, p->draft->config->log_file, is,
                     what);
}

/* By another name, too: a hard link. */
static bool is_one(const char *a, const char *b)
{
    struct stat x, y;

    return strcmp(a, b) == 0 || (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

static int is_no_file(const struct place *p, const char *is, const char *path)
{
    char *real = path_real(path);
    bool one = is_one(p->log, real);

    free(real);
    return one ? refuse(p, is, path) : 0;
}

static int is_not_in(const struct place *p, const char *is, const char *folder)
{
    char *real = path_real(folder);
    bool inside = path_is_in(p->log, real);

    free(real);
    return inside ? refuse(p, is, folder) : 0;
}

/* SQLite puts its log and the like beside the file itself, not beside a link to it. */
static int is_not_the_store(const struct place *p)
{
    static const char *const companions[] = {"", "-wal", "-shm", "-journal"};
    char *real = path_real(strchr(p->draft->config->store, ':') + 1);
    int done = 0;

    for (size_t i = 0; i < sizeof companions / sizeof *companions && done == 0; i++) {
        struct buf path = {0};
        buf_addf(&path, "%s%s", real, companions[i]);
        done = is_no_file(p, "is the store's own", buf_text(&path));
        buf_free(&path);
    }
    free(real);
    return done;
}

static int is_not_of_tls(const struct place *p, const struct config_text *t)
{
    if (t->text == NULL)
        return 0;
    char *path = config_load_path(p->draft->config->root, t->text);
    int done = is_no_file(p, "is one of the setting tls", path);
    free(path);
    return done;
}

static int is_not_of_any_tls(const struct place *p)
{
    const struct config_draft *d = p->draft;

    for (size_t i = 0; i < d->tls_count; i++) {
        const struct config_draft_tls *t = &d->tls[i];
        if (is_not_of_tls(p, &t->cert) != 0 || is_not_of_tls(p, &t->key) != 0 || is_not_of_tls(p, &t->client_ca) != 0 ||
            is_not_of_tls(p, &t->ocsp) != 0)
            return -1;
    }
    return is_not_of_tls(p, &d->tls_cert) != 0 ? -1 : is_not_of_tls(p, &d->tls_key);
}

int config_log_place(const struct config_draft *d, struct error *err)
{
    const struct config *c = d->config;

    if (c->log_file == NULL)
        return 0;
    char *log = path_real(c->log_file);
    const struct place p = {d, log, err};
    bool good = is_not_the_store(&p) == 0 && is_no_file(&p, "is the configuration itself", c->file) == 0 &&
                is_no_file(&p, "holds the values of env", c->env_file) == 0 &&
                is_not_in(&p, "lies in the folder of scripts", c->hooks) == 0 &&
                is_not_in(&p, "lies in the folder of 'files', where scripts write", c->files) == 0 &&
                is_not_of_any_tls(&p) == 0;
    free(log);
    return good ? 0 : -1;
}

/* --- whether it can be written ------------------------------------------------------------------------------------ */

/* That it cannot would else be found out when it is needed. */
int config_log_try(const struct config_draft *d, struct error *err)
{
    const struct config *c = d->config;
    int fd = c->log_file != NULL ? logfile_open(c->log_file, &c->user, err) : -1;

    if (c->log_file != NULL && fd < 0)
        return error_prefix(err, "%s", d->log_file.where);
    fd_close(&fd);
    return 0;
}
