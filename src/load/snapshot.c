/*
 * snapshot.c: the wire form of snapshots and of one env set; see snapshot.h.
 * The bytes come from another process: every count is bounded by the bytes that are left, every index checked, names
 * are not empty and hold no NUL, and nothing may be left over.
 * Owns: the arrays of what it read. Runs in: keeper, workers, trial. Fails: with words.
 */
#include "load/snapshot.h"
#include "base/fd.h"
#include "base/panic.h"
#include <stdlib.h>
#include <sys/mman.h>

#define SNAPSHOT_MAGIC 0x504e5343u /* "CSNP" */
#define ENV_MAGIC 0x564e4543u      /* "CENV" */
#define FORM_VERSION 2u

enum { HAS_TEXT = 1, HAS_ERROR = 2, HAS_NEWER = 4, HAS_CLASH = 8, HAS_ENV_FAULT = 16, HAS_ALL = 31 };

/* The fewest bytes that one of each can take: what a count is checked against. */
enum { PAIR_MIN = 12, ENV_MIN = 4, MODULE_MIN = 28, SCRIPT_MIN = 44, INDEX_MIN = 4 };

/* --- writing --- */

static void write_pairs(const struct snapshot_env *e, struct buf *out)
{
    buf_add_u32(out, (uint32_t)e->count);
    for (size_t i = 0; i < e->count; i++) {
        buf_add_string(out, e->names[i]);
        buf_add_string(out, e->values[i]);
        buf_add_u32(out, e->faults != NULL && e->faults[i] ? 1 : 0);
    }
}

static void write_indices(const uint32_t *indices, size_t count, struct buf *out)
{
    buf_add_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        buf_add_u32(out, indices[i]);
}

static void write_module(const struct snapshot_module *m, struct buf *out)
{
    buf_add_string(out, m->name);
    buf_add_string(out, m->file);
    buf_add_string(out, m->text);
    buf_add_u64(out, m->version);
    buf_add_u32(out, m->env);
    write_indices(m->requires, m->require_count, out);
}

static void write_script(const struct snapshot_script *s, struct buf *out)
{
    buf_add_u32(out, (s->text.at ? HAS_TEXT : 0u) | (s->error.at ? HAS_ERROR : 0u) | (s->newer.at ? HAS_NEWER : 0u) |
                         (s->clash ? HAS_CLASH : 0u) | (s->env_fault ? HAS_ENV_FAULT : 0u));
    buf_add_string(out, s->name);
    buf_add_string(out, s->file);
    buf_add_string(out, s->text);
    buf_add_u64(out, s->version);
    buf_add_u32(out, s->env);
    write_indices(s->modules, s->module_count, out);
    buf_add_string(out, s->description);
    buf_add_string(out, s->error);
    buf_add_string(out, s->newer);
}

void snapshot_write(const struct snapshot *s, struct buf *out)
{
    buf_add_u32(out, SNAPSHOT_MAGIC);
    buf_add_u32(out, FORM_VERSION);
    buf_add_u64(out, s->generation);
    buf_add_u64(out, s->next_version);
    buf_add_u32(out, (uint32_t)s->env_count);
    for (size_t i = 0; i < s->env_count; i++)
        write_pairs(&s->envs[i], out);
    buf_add_u32(out, (uint32_t)s->module_count);
    for (size_t i = 0; i < s->module_count; i++)
        write_module(&s->modules[i], out);
    buf_add_u32(out, (uint32_t)s->script_count);
    for (size_t i = 0; i < s->script_count; i++)
        write_script(&s->scripts[i], out);
}

void snapshot_env_write(const struct snapshot_env *e, struct buf *out)
{
    buf_add_u32(out, ENV_MAGIC);
    buf_add_u32(out, FORM_VERSION);
    write_pairs(e, out);
}

/* --- reading --- */

static size_t take_count(struct slice *from, size_t element_min, bool *bad)
{
    uint32_t count = buf_take_u32(from, bad);
    if (*bad || count > from->len / element_min) {
        *bad = true;
        return 0;
    }
    return count;
}

/* A name becomes a C string: not empty, without NUL. */
static struct slice take_name(struct slice *from, bool *bad)
{
    struct slice name = buf_take_string(from, bad);
    if (name.len == 0 || slice_find(name, '\0') != SIZE_MAX)
        *bad = true;
    return name;
}

/* A text that is there or not, which its length cannot tell. */
static struct slice take_text(struct slice *from, bool there, bool *bad)
{
    struct slice text = buf_take_string(from, bad);
    if (!there && text.len > 0)
        *bad = true;
    return !there ? SLICE_NONE : text.at != NULL ? text : SLICE("");
}

static void take_pairs(struct slice *from, struct snapshot_env *e, bool *bad)
{
    e->count = take_count(from, PAIR_MIN, bad);
    e->names = need_zero(e->count + 1, sizeof *e->names);
    e->values = need_zero(e->count + 1, sizeof *e->values);
    e->faults = need_zero(e->count + 1, sizeof *e->faults);
    for (size_t i = 0; i < e->count && !*bad; i++) {
        e->names[i] = take_name(from, bad);
        e->values[i] = buf_take_string(from, bad);
        uint32_t fault = buf_take_u32(from, bad);
        *bad = *bad || fault > 1;
        e->faults[i] = fault == 1;
    }
}

static uint32_t *take_indices(struct slice *from, size_t below, size_t *count_out, bool *bad)
{
    *count_out = take_count(from, INDEX_MIN, bad);
    uint32_t *indices = need_zero(*count_out + 1, sizeof *indices);
    for (size_t i = 0; i < *count_out && !*bad; i++) {
        indices[i] = buf_take_u32(from, bad);
        if (indices[i] >= below)
            *bad = true;
    }
    return indices;
}

static uint32_t take_env(struct slice *from, const struct snapshot *s, bool *bad)
{
    /* A candidate carries no set: the trial makes set 0. */
    uint32_t env = buf_take_u32(from, bad);
    if (env >= (s->env_count > 0 ? s->env_count : 1))
        *bad = true;
    return env;
}

static void take_module(struct slice *from, const struct snapshot *s, struct snapshot_module *m, bool *bad)
{
    m->name = take_name(from, bad);
    m->file = take_name(from, bad);
    m->text = take_text(from, true, bad);
    m->version = buf_take_u64(from, bad);
    m->env = take_env(from, s, bad);
    m->requires = take_indices(from, s->module_count, &m->require_count, bad);
}

static void take_script(struct slice *from, const struct snapshot *s, struct snapshot_script *p, bool *bad)
{
    uint32_t flags = buf_take_u32(from, bad);
    if ((flags & ~(uint32_t)HAS_ALL) != 0)
        *bad = true;
    p->name = take_name(from, bad);
    p->file = take_name(from, bad);
    p->text = take_text(from, flags & HAS_TEXT, bad);
    p->version = buf_take_u64(from, bad);
    p->env = take_env(from, s, bad);
    p->modules = take_indices(from, s->module_count, &p->module_count, bad);
    p->description = buf_take_string(from, bad);
    p->error = take_text(from, flags & HAS_ERROR, bad);
    p->newer = take_text(from, flags & HAS_NEWER, bad);
    p->clash = (flags & HAS_CLASH) != 0;
    p->env_fault = (flags & HAS_ENV_FAULT) != 0;
}

static int name_order(struct slice a, struct slice b)
{
    int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : a.len < b.len ? -1 : a.len > b.len;
}

static void take_all(struct slice *from, struct snapshot *s, bool *bad)
{
    s->generation = buf_take_u64(from, bad);
    s->next_version = buf_take_u64(from, bad);
    s->env_count = take_count(from, ENV_MIN, bad);
    s->envs = need_zero(s->env_count + 1, sizeof *s->envs);
    for (size_t i = 0; i < s->env_count && !*bad; i++)
        take_pairs(from, &s->envs[i], bad);
    s->module_count = take_count(from, MODULE_MIN, bad);
    s->modules = need_zero(s->module_count + 1, sizeof *s->modules);
    for (size_t i = 0; i < s->module_count && !*bad; i++)
        take_module(from, s, &s->modules[i], bad);
    s->script_count = take_count(from, SCRIPT_MIN, bad);
    s->scripts = need_zero(s->script_count + 1, sizeof *s->scripts);
    for (size_t i = 0; i < s->script_count && !*bad; i++) {
        take_script(from, s, &s->scripts[i], bad);
        if (!*bad && i > 0 && name_order(s->scripts[i - 1].name, s->scripts[i].name) >= 0)
            *bad = true;
    }
}

int snapshot_parse(struct slice bytes, struct snapshot *s_out, struct error *err)
{
    bool bad = false;
    *s_out = (struct snapshot){0};
    if (buf_take_u32(&bytes, &bad) != SNAPSHOT_MAGIC || bad)
        return error_set(err, "not a snapshot");
    uint32_t version = buf_take_u32(&bytes, &bad);
    if (version != FORM_VERSION)
        return error_set(err, "a snapshot of form %u, this program reads form %u", version, FORM_VERSION);
    take_all(&bytes, s_out, &bad);
    if (!bad && bytes.len == 0)
        return 0;
    snapshot_free(s_out);
    return error_set(err, "malformed snapshot");
}

int snapshot_map(int fd, struct snapshot *s_out, struct error *err)
{
    struct slice bytes;
    *s_out = (struct snapshot){0};
    if (fd_map_sealed(fd, &bytes, err) != 0)
        return -1;
    if (snapshot_parse(bytes, s_out, err) == 0) {
        s_out->mapping = bytes;
        return 0;
    }
    if (bytes.len > 0)
        munmap((void *)bytes.at, bytes.len);
    return -1;
}

int snapshot_env_parse(struct slice bytes, struct snapshot_env *e_out, struct error *err)
{
    bool bad = false;
    *e_out = (struct snapshot_env){0};
    if (buf_take_u32(&bytes, &bad) != ENV_MAGIC || buf_take_u32(&bytes, &bad) != FORM_VERSION || bad)
        return error_set(err, "not an env set");
    take_pairs(&bytes, e_out, &bad);
    if (!bad && bytes.len == 0)
        return 0;
    snapshot_env_free(e_out);
    return error_set(err, "malformed env set");
}

void snapshot_env_free(struct snapshot_env *e)
{
    free(e->names);
    free(e->values);
    free(e->faults);
    *e = (struct snapshot_env){0};
}

void snapshot_free(struct snapshot *s)
{
    for (size_t i = 0; s->envs != NULL && i < s->env_count; i++)
        snapshot_env_free(&s->envs[i]);
    for (size_t i = 0; s->modules != NULL && i < s->module_count; i++)
        free(s->modules[i].requires);
    for (size_t i = 0; s->scripts != NULL && i < s->script_count; i++)
        free(s->scripts[i].modules);
    free(s->envs);
    free(s->modules);
    free(s->scripts);
    if (s->mapping.len > 0)
        munmap((void *)s->mapping.at, s->mapping.len);
    *s = (struct snapshot){0};
}
