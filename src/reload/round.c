/*
 * round.c: see round.h. Versions are given here: a load that differs in text, modules or env from the one that is there
 * is a new version; else the one that is there stays, and workers keep what they have.
 */
#include "reload/round.h"
#include "base/log.h"
#include "base/panic.h"
#include "http/redact.h"
#include "reload/deps.h"
#include <stdlib.h>

/* --- the candidate ------------------------------------------------------------------------------------------------ */

void round_candidate(struct reload *r, struct snapshot *candidate_out)
{
    const struct catalog *c = &r->catalog;
    *candidate_out = (struct snapshot){.next_version = c->next_version};
    candidate_out->modules = need_zero(c->module_count + 1, sizeof(*candidate_out->modules));
    candidate_out->scripts = need_zero(r->try_count + 1, sizeof(*candidate_out->scripts));
    free(r->module_places);
    r->module_places = need_zero(c->module_count + 1, sizeof(*r->module_places));
    for (size_t i = 0; i < c->module_count; i++) {
        const struct catalog_module *m = c->modules[i].module;
        if (m == NULL)
            continue;
        r->module_places[candidate_out->module_count] = i;
        candidate_out->modules[candidate_out->module_count++] = (struct snapshot_module){
            .name = slice_of(m->name),
            .file = slice_of(m->file),
            .text = catalog_text_slice(m->text),
            .version = m->version,
        };
    }
    for (size_t i = 0; i < r->try_count; i++)
        candidate_out->scripts[candidate_out->script_count++] = (struct snapshot_script){
            .name = slice_of(r->tries[i].script->name),
            .file = slice_of(r->tries[i].script->file),
            .text = catalog_text_slice(r->tries[i].text),
            .version = c->next_version + i,
        };
}

/* --- what the trial says ------------------------------------------------------------------------------------------ */

void round_secrets(struct reload *r, const struct snapshot_env *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->faults == NULL || !set->faults[i])
            redact_learn(r->redact, set->names[i], set->values[i]);
}

static void env_broken(struct reload *r, const char *error)
{
    if (r->env_error == NULL || strcmp(r->env_error, error) != 0)
        log_at(LOG_ERROR, "env values cannot be read, scripts keep those they have", LOG_STR("error", error));
    char *copy = need_strdup(error);
    free(r->env_error);
    r->env_error = copy;
}

/* True: they were broken. */
static bool env_mended(struct reload *r)
{
    if (r->env_error == NULL)
        return false;
    log_at(LOG_INFO, "env values can be read again");
    free(r->env_error);
    r->env_error = NULL;
    return true;
}

void round_env(struct reload *r, const struct snapshot_env *set, const char *error)
{
    struct catalog *c = &r->catalog;
    if (set == NULL) {
        env_broken(r, error);
        return;
    }
    r->ask_env = false;
    bool mended = env_mended(r), same = catalog_env_is(c->env, set);
    /* What this round does not try has the old values still, or was refused while none could be read: all is next. */
    if (!r->trying_all && (mended || (c->env != NULL && !same)))
        r->look = r->all = true;
    if (same)
        return;
    round_secrets(r, set);
    struct catalog_env *fresh = catalog_env_new(set);
    deps_renew(c, fresh);
    catalog_env_release(&c->env);
    c->env = fresh;
}

static struct catalog_module *candidate_module(const struct reload *r, uint32_t index, size_t count)
{
    return index < count ? r->catalog.modules[r->module_places[index]].module : NULL;
}

static size_t candidate_module_count(const struct reload *r)
{
    size_t count = 0;
    for (size_t i = 0; i < r->catalog.module_count; i++)
        count += r->catalog.modules[i].module != NULL;
    return count;
}

/* The records of so many candidate indices; NULL when one of them is none. */
static struct catalog_module **modules_of(const struct reload *r, const uint32_t *indices, size_t count)
{
    size_t known = candidate_module_count(r);
    struct catalog_module **modules = need_zero(count + 1, sizeof(struct catalog_module *));
    for (size_t i = 0; i < count; i++) {
        modules[i] = candidate_module(r, indices[i], known);
        if (modules[i] == NULL) {
            free(modules);
            return NULL;
        }
    }
    return modules;
}

static void take_requires(const struct reload *r, struct catalog_module *const *used, const struct trial_result *result)
{
    for (size_t i = 0; i < result->module_count; i++) {
        struct catalog_module **requires = modules_of(r, result->requires[i], result->require_counts[i]);
        bool itself = false;
        for (size_t k = 0; requires != NULL && k < result->require_counts[i]; k++)
            itself = itself || requires[k] == used[i];
        if (requires != NULL && !itself)
            catalog_module_requires(used[i], requires, result->require_counts[i]);
        free(requires);
    }
}

static bool same_load(const struct catalog_loaded *l, const struct catalog_text *text, const struct catalog_env *env,
                      struct catalog_module *const *modules, size_t count)
{
    if (l == NULL || l->env != env || l->module_count != count ||
        !slice_equal(catalog_text_slice(l->text), catalog_text_slice(text)))
        return false;
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        for (size_t k = 0; k < count && !found; k++)
            found = l->modules[k] == modules[i];
        if (!found)
            return false;
    }
    return true;
}

/* It loads here; another script may have its route, or workers fail to load it: it is told as fixed when it is live. */
static void script_good(struct reload *r, struct catalog_script *s, struct catalog_loaded *fresh)
{
    if (s->error != NULL)
        s->mended = r->changed = true;
    if (fresh == NULL)
        return;
    catalog_loaded_set(&s->next, fresh);
    s->strikes = 0;
    r->changed = true;
}

static void take_good(struct reload *r, const struct reload_try *try, const struct trial_result *result)
{
    struct catalog *c = &r->catalog;
    struct catalog_script *s = try->script;
    struct error err = {.text = "the trial's answer names a module that is not there"};
    struct catalog_module **used = modules_of(r, result->modules, result->module_count);
    if (used == NULL || c->env == NULL) {
        round_broken(r, s, try->text, err.text);
        free(used);
        return;
    }
    take_requires(r, used, result);
    if (same_load(s->next, try->text, c->env, used, result->module_count)) {
        script_good(r, s, NULL);
        free(used);
        return;
    }
    struct catalog_loaded *fresh =
        catalog_loaded_new(try->text, c->next_version++, c->env, used, result->module_count, result->description, &err);
    free(used);
    if (fresh == NULL)
        round_broken(r, s, try->text, err.text);
    else
        script_good(r, s, fresh);
    catalog_loaded_release(&fresh);
}

void round_tried(struct reload *r, size_t script, const struct trial_result *result)
{
    CHECK(script < r->try_count);
    const struct reload_try *try = &r->tries[script];
    if (result->good) {
        take_good(r, try, result);
        return;
    }
    char *errors = slice_dup(result->errors);
    round_broken(r, try->script, try->text, errors);
    try->script->env_fault = r->env_error != NULL; /* then that is what they say, of every script */
    free(errors);
}

/* --- broken ------------------------------------------------------------------------------------------------------- */

static void take_errors(struct reload *r, struct catalog_script *s, struct catalog_text *text, const char *errors)
{
    bool known = s->error != NULL && strcmp(s->error, errors) == 0 &&
                 slice_equal(catalog_text_slice(s->newer), catalog_text_slice(text));
    s->clash = s->env_fault = s->mended = false;
    if (known)
        return;
    log_at(LOG_ERROR, "script broken", LOG_STR("file", s->file), LOG_STR("error", errors),
           LOG_STR("serving", s->next != NULL ? "its last good version" : "503"));
    counters_add(&r->host.area->keeper, COUNTER_reload_errors, 1);
    catalog_text_hold(text);
    catalog_text_release(&s->newer);
    s->newer = text;
    char *copy = need_strdup(errors); /* errors may be the one that is there */
    free(s->error);
    s->error = copy;
    r->changed = true;
}

void round_broken(struct reload *r, struct catalog_script *s, struct catalog_text *text, const char *errors)
{
    struct buf clean = {0};
    bool any = redact_text(r->redact, slice_of(errors), &clean);
    take_errors(r, s, text, any ? buf_text(&clean) : errors);
    buf_free(&clean);
}

void round_fixed(struct catalog_script *s)
{
    log_at(LOG_INFO, "script fixed", LOG_STR("file", s->file));
    free(s->error);
    s->error = NULL;
    s->clash = s->env_fault = s->mended = false;
    catalog_text_release(&s->newer);
}

void round_demote(struct reload *r, struct catalog_script *s, const char *errors)
{
    struct catalog_text *text = s->next != NULL ? catalog_text_hold(s->next->text) : NULL;
    if (s->next != s->live) {
        catalog_loaded_set(&s->next, s->live);
    } else {
        /* Back before the live one: that is no longer what the next routes are held against. */
        catalog_loaded_set(&s->next, s->before != s->live ? s->before : NULL);
        catalog_loaded_set(&s->live, NULL);
        catalog_loaded_set(&s->before, NULL);
    }
    s->strikes = 0;
    r->changed = true;
    /* A newer text that is broken too keeps its own error. */
    if (!catalog_is_broken(s))
        round_broken(r, s, text, errors);
    catalog_text_release(&text);
}

void round_end(struct reload *r)
{
    for (size_t i = 0; i < r->try_count; i++)
        catalog_text_release(&r->tries[i].text);
    free(r->tries);
    free(r->module_places);
    r->tries = NULL;
    r->module_places = NULL;
    r->try_count = 0;
}
