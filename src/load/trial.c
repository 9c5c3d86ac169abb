/*
 * trial.c: evaluates the scripts of a candidate one after the other in one state, as a worker will have them: compiler
 * off, memory ceiling, CPU limit for each top level; and the wire form of a result. See trial.h.
 * Owns: the state and the endpoints, until all are tried. Runs in: trial, check, routes. Fails: per script.
 */
#include "load/trial.h"
#include "base/panic.h"
#include "bind/bind.h"
#include "http/redact.h"
#include "load/limit.h"
#include "load/load.h"
#include <stdlib.h>

#define RESULT_MAGIC 0x53455243u /* "CRES" */

/* --- wire form --- */

static void write_indices(const uint32_t *indices, size_t count, struct buf *out)
{
    buf_add_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        buf_add_u32(out, indices[i]);
}

void trial_result_write(const struct trial_result *r, struct buf *out)
{
    buf_add_u32(out, RESULT_MAGIC);
    buf_add_u32(out, (r->good ? 1u : 0u) | (r->is_public ? 2u : 0u));
    buf_add_string(out, r->errors);
    buf_add_string(out, r->description);
    write_indices(r->modules, r->module_count, out);
    for (size_t i = 0; i < r->module_count; i++)
        write_indices(r->requires[i], r->require_counts[i], out);
}

static uint32_t *take_indices(struct slice *from, size_t *count_out, bool *bad)
{
    uint32_t count = buf_take_u32(from, bad);
    *count_out = 0;
    if (*bad || count > from->len / 4) {
        *bad = true;
        return NULL;
    }
    uint32_t *indices = need_zero((size_t)count + 1, sizeof *indices);
    for (; *count_out < count; (*count_out)++)
        indices[*count_out] = buf_take_u32(from, bad);
    return indices;
}

int trial_result_read(struct slice bytes, struct trial_result *r_out, struct error *err)
{
    bool bad = false;
    *r_out = (struct trial_result){0};
    if (buf_take_u32(&bytes, &bad) != RESULT_MAGIC || bad)
        return error_set(err, "not a trial's result");
    uint32_t flags = buf_take_u32(&bytes, &bad);
    bad = bad || flags > 3;
    r_out->good = flags & 1;
    r_out->is_public = flags & 2;
    r_out->errors = buf_take_string(&bytes, &bad);
    r_out->description = buf_take_string(&bytes, &bad);
    r_out->modules = take_indices(&bytes, &r_out->module_count, &bad);
    r_out->requires = need_zero(r_out->module_count + 1, sizeof *r_out->requires);
    r_out->require_counts = need_zero(r_out->module_count + 1, sizeof *r_out->require_counts);
    for (size_t i = 0; i < r_out->module_count && !bad; i++)
        r_out->requires[i] = take_indices(&bytes, &r_out->require_counts[i], &bad);
    if (!bad && bytes.len == 0)
        return 0;
    trial_result_free(r_out);
    return error_set(err, "malformed result of a trial");
}

void trial_result_free(struct trial_result *r)
{
    for (size_t i = 0; r->requires != NULL && i < r->module_count; i++)
        free(r->requires[i]);
    free(r->requires);
    free(r->require_counts);
    free(r->modules);
    *r = (struct trial_result){0};
}

/* --- evaluating --- */

struct trial {
    const struct snapshot *candidate;
    const struct config *config;
    struct state *state;
    struct load *load;
    struct redact *redact;       /* an error may quote what env gave */
    struct endpoint **endpoints; /* all that loaded, until the end: they live together in a worker too */
    struct buf errors, description;
};

static uint32_t *copy_indices(const uint32_t *indices, size_t count)
{
    uint32_t *copy = need_zero(count + 1, sizeof *copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = indices[i];
    return copy;
}

static void note_modules(const struct load *l, struct trial_result *r)
{
    const uint32_t *used = load_modules_used(l, &r->module_count);
    r->modules = copy_indices(used, r->module_count);
    r->requires = need_zero(r->module_count + 1, sizeof *r->requires);
    r->require_counts = need_zero(r->module_count + 1, sizeof *r->require_counts);
    for (size_t i = 0; i < r->module_count; i++) {
        const uint32_t *direct = load_module_requires(l, r->modules[i], &r->require_counts[i]);
        r->requires[i] = copy_indices(direct, r->require_counts[i]);
    }
}

static void keep_secrets(struct trial *t)
{
    struct buf clean = {0};
    if (!redact_text(t->redact, buf_slice(&t->errors), &clean))
        return;
    buf_free(&t->errors);
    t->errors = clean;
}

static struct trial_result try_script(struct trial *t, size_t script)
{
    struct trial_result r = {0};
    lua_State *L = state_lua(t->state);
    buf_clear(&t->errors);
    buf_clear(&t->description);
    limit_begin(L, "top level", t->config->limits.max_run);
    struct endpoint *e = load_script(t->load, t->candidate, script, &t->errors);
    limit_end(L);
    t->endpoints[script] = e;
    r.good = e != NULL;
    if (e != NULL) {
        load_describe(e, &t->description);
        r.is_public = e->verify == NULL;
    }
    keep_secrets(t);
    while (t->errors.len > 0 && t->errors.at[t->errors.len - 1] == '\n')
        t->errors.len--;
    r.errors = buf_slice(&t->errors);
    r.description = buf_slice(&t->description);
    note_modules(t->load, &r);
    return r;
}

static void trial_end(struct trial *t)
{
    for (size_t i = 0; i < t->candidate->script_count; i++)
        endpoint_release(&t->endpoints[i]);
    free(t->endpoints);
    load_free(&t->load);
    state_free(&t->state);
    buf_free(&t->errors);
    buf_free(&t->description);
    redact_free(&t->redact);
}

void trial_run(const struct snapshot *candidate, const struct config *config, bool no_secrets,
               void (*trying)(void *cookie, size_t script),
               void (*tried)(void *cookie, size_t script, const struct trial_result *r), void *cookie)
{
    struct error err;
    struct redact *redact = redact_new();
    struct script_host host = {.memory = config->limits.lua_memory,
                               .limits = &config->limits,
                               .sandbox = config->sandbox,
                               .redact = redact,
                               .http_private = config->http_private};
    struct trial t = {.candidate = candidate, .config = config, .redact = redact};
    t.state = state_new(&host, bind_open, &err);
    if (t.state == NULL) {
        struct trial_result none = {.errors = slice_of(err.text)};
        for (size_t i = 0; i < candidate->script_count; i++)
            if (candidate->scripts[i].text.at != NULL)
                tried(cookie, i, &none);
        redact_free(&redact);
        return;
    }
    t.load = load_new(t.state, config, no_secrets);
    t.endpoints = need_zero(candidate->script_count + 1, sizeof *t.endpoints);
    for (size_t i = 0; i < candidate->script_count; i++) {
        if (candidate->scripts[i].text.at == NULL)
            continue;
        trying(cookie, i);
        struct trial_result r = try_script(&t, i);
        tried(cookie, i, &r);
        r.errors = r.description = SLICE_NONE; /* the trial's */
        trial_result_free(&r);
    }
    trial_end(&t);
}
