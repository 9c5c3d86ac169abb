/*
 * bind_save.c: open and first piece, further pieces, last piece with sync and name: each one job of a helper thread,
 * with a look at the world between them. Whoever stops waiting leaves the job that is under way to its end, and the
 * file is dropped, unless it is being given its name just then. See bind_save.h.
 * Owns: one struct per save, freed when it has completed, or after the drop.
 */
#include "bind/bind_save.h"
#include "base/panic.h"
#include "io/file.h"
#include "io/pool.h"
#include "script/await.h"
#include "script/error.h"
#include "script/failure.h"
#include "script/table.h"
#include <lauxlib.h>
#include <stdatomic.h>
#include <stdlib.h>

#define PIECE ((size_t)256 << 10) /* copied at a time: far less than a millisecond of the loop */

struct save {
    struct await await;
    struct pool_job job;
    struct pool *pool;
    lua_State *main; /* where the object is anchored */
    int anchor;
    void *object;
    bool (*bytes)(void *object, struct slice *bytes_out);
    size_t taken; /* of the bytes: copied so far */

    /* For the thread, while the job is under way. */
    const char *root;
    char *path;
    bool overwrite, mkdir;
    char *piece;
    size_t piece_len;
    bool open, last, drop; /* file is open; the piece is the last; there is none, drop the file */
    struct file_save file;
    enum file_code code; /* what came of it */
    struct error err;

    atomic_bool abandoned; /* nobody waits any more; set on the loop, looked at by the thread, too */
    bool ended;            /* the request of the bytes is over: another request's script has kept its object */
};

/* --- on a helper thread ----------------------------------------------------------------------------------------- */

static void drop(struct save *s)
{
    if (s->open)
        file_save_drop(&s->file);
    s->open = false;
}

static void run(struct pool_job *job)
{
    struct save *s = CONTAINER_OF(job, struct save, job);
    if (s->drop || atomic_load(&s->abandoned)) { /* it may have waited long for its turn */
        drop(s);
        return;
    }
    if (!s->open) {
        s->code = file_save_open(&s->file, s->root, s->path, s->overwrite, s->mkdir, &s->err);
        s->open = s->code == FILE_OK;
    }
    if (s->open)
        s->code = file_save_write(&s->file, (struct slice){s->piece, s->piece_len}, &s->err);
    if (s->open && (s->code != FILE_OK || atomic_load(&s->abandoned))) {
        drop(s);
    } else if (s->open && s->last) {
        s->code = file_save_finish(&s->file, &s->err);
        s->open = false;
    }
}

/* --- on the loop ------------------------------------------------------------------------------------------------ */

/* Copies the next piece. False: the bytes are gone. */
static bool take_piece(struct save *s)
{
    struct slice bytes;
    if (!s->bytes(s->object, &bytes))
        return false;
    CHECK(s->taken <= bytes.len);
    bytes = slice_from(bytes, s->taken);
    s->last = bytes.len <= PIECE;
    s->piece_len = s->last ? bytes.len : PIECE;
    if (s->piece == NULL)
        s->piece = need_alloc(s->piece_len + 1); /* the first one is the largest */
    if (s->piece_len > 0)
        memcpy(s->piece, bytes.at, s->piece_len);
    s->taken += s->piece_len;
    return true;
}

static void submit(struct save *s)
{
    CHECK(pool_submit(s->pool, &s->job, NULL) == 0); /* there are threads by now */
}

static void end(struct save *s)
{
    luaL_unref(s->main, LUA_REGISTRYINDEX, s->anchor);
    free(s->path);
    free(s->piece);
    free(s);
}

static int push_result(lua_State *co, void *cookie)
{
    struct save *s = cookie;
    if (s->ended)
        return failure_push(co, "ended", "the request that the bytes are of has ended");
    if (s->code != FILE_OK)
        return failure_push(co, file_code_name(s->code), s->err.text);
    lua_pushstring(co, s->path);
    return 1;
}

static void done(struct pool_job *job)
{
    struct save *s = CONTAINER_OF(job, struct save, job);
    bool over = s->drop || s->code != FILE_OK || s->last;
    if (!over && !s->abandoned) {
        s->ended = !take_piece(s);
        s->drop = s->ended;
        submit(s);
    } else if (s->open) { /* abandoned between two pieces: closing a large file may wait as well */
        s->drop = true;
        submit(s);
    } else {
        if (!s->abandoned)
            await_complete(&s->await, push_result, s);
        end(s);
    }
}

static void cancel(struct await *a)
{
    atomic_store(&CONTAINER_OF(a, struct save, await)->abandoned, true);
}

/* --- the call --------------------------------------------------------------------------------------------------- */

static void check_arguments(lua_State *L, const char *what, bool *overwrite_out, bool *mkdir_out)
{
    static const char *const known[] = {"overwrite", "mkdir", NULL};
    struct table_reader options;
    *overwrite_out = *mkdir_out = false;
    if (lua_gettop(L) > 3)
        script_error_words(L, "%s: expected a path and options, got %d values", what, lua_gettop(L) - 1);
    if (lua_type(L, 2) != LUA_TSTRING)
        script_error_words(L, "%s: expected a path, got %s", what, lua_isnone(L, 2) ? "nothing" : luaL_typename(L, 2));
    if (lua_isnoneornil(L, 3))
        return;
    table_begin(&options, L, 3, what, known, false);
    table_bool(&options, "overwrite", overwrite_out);
    table_bool(&options, "mkdir", mkdir_out);
}

int bind_save(lua_State *L, const char *what, bool (*bytes)(void *object, struct slice *bytes_out))
{
    const struct script_host *host = state_host(state_of(L));
    struct slice path;
    struct error err;
    bool overwrite, mkdir;
    check_arguments(L, what, &overwrite, &mkdir);
    await_check(L, what);
    CHECK(host->pool != NULL && host->files != NULL);
    path.at = lua_tolstring(L, 2, &path.len);
    enum file_code code = file_check_path(path, &err);
    if (code != FILE_OK)
        return failure_push(L, file_code_name(code), err.text);
    if (pool_full(host->pool))
        return failure_push(L, file_code_name(FILE_BUSY), "too much is waiting for the disk");
    lua_pushvalue(L, 1);
    int anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    struct save *s = need_zero(1, sizeof(*s));
    s->job = (struct pool_job){.run = run, .done = done};
    s->pool = host->pool;
    s->main = state_lua(state_of(L));
    s->anchor = anchor;
    s->object = lua_touserdata(L, 1);
    s->bytes = bytes;
    s->root = host->files;
    s->path = slice_dup(path);
    s->overwrite = overwrite;
    s->mkdir = mkdir;
    CHECK(take_piece(s)); /* the object has been checked */
    if (pool_submit(host->pool, &s->job, &err) != 0) {
        end(s);
        return failure_push(L, file_code_name(FILE_BUSY), err.text);
    }
    return await_begin(L, &s->await, cancel);
}
