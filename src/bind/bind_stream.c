/*
 * bind_stream.c: see bind_stream.h. The object lies in Lua's memory, under its ceiling, anchored until the stream ends;
 * write and send hold it too, and find it over when they are kept longer than that. A large text is not copied: it is
 * anchored in a slot of the registry that is there from the start, so that nothing can fail while it is on its way.
 */
#include "bind/bind_stream.h"
#include "base/panic.h"
#include "bind/bind_json.h"
#include "bind/bind_stream_internal.h"
#include "script/error.h"
#include <lauxlib.h>

#define KEPT 1024 /* the frame of a stream at rest keeps no more memory than this */

/* --- the object's life ------------------------------------------------------------------------------------------ */

static void beat(struct timeout *t);

static void arm(struct bind_stream *b)
{
    if (b->heartbeat.ns > 0)
        timeout_set(b->loop, &b->timer, mono_add(b->written_at, b->heartbeat), beat);
}

void bind_stream_push(lua_State *L, struct bind_reply_plan *plan, const struct bind_stream_host *h,
                      struct bind_stream **out)
{
    *out = NULL;
    lua_rawgeti(L, LUA_REGISTRYINDEX, plan->function);
    struct bind_stream *b = lua_newuserdata(L, sizeof(*b));
    *b = (struct bind_stream){.host = *h,
                              .state = state_of(L),
                              .loop = state_host(state_of(L))->loop,
                              .name = plan->sse ? "send" : "write",
                              .heartbeat = plan->heartbeat,
                              .text = plan->function};
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, plan->sse ? bind_stream_send : bind_stream_write, 1);
    lua_insert(L, -2);
    b->self = luaL_ref(L, LUA_REGISTRYINDEX);
    /* Nothing raises from here on. */
    plan->function = 0;
    b->open = true;
    b->written_at = loop_now(b->loop);
    arm(b);
    *out = b;
}

void bind_stream_belongs(struct bind_stream *b, struct task *task)
{
    b->task = task;
}

void bind_stream_free(struct bind_stream **bp)
{
    struct bind_stream *b = *bp;
    if (b == NULL)
        return;
    CHECK(b->open && b->await.task == NULL);
    b->open = false;
    timeout_clear(&b->timer);
    buf_free(&b->frame);
    buf_free(&b->json);
    lua_State *L = state_lua(b->state);
    luaL_unref(L, LUA_REGISTRYINDEX, b->text);
    luaL_unref(L, LUA_REGISTRYINDEX, b->self); /* the collector may take it now */
    *bp = NULL;
}

/* --- the heartbeat ---------------------------------------------------------------------------------------------- */

/* Silent since the last write: a comment, unless an event is half way or the client has not taken what there is. */
static void beat(struct timeout *t)
{
    struct bind_stream *b = CONTAINER_OF(t, struct bind_stream, timer);
    mono_t now = loop_now(b->loop);
    if (mono_since(now, b->written_at).ns >= b->heartbeat.ns) {
        b->written_at = now;
        if (!b->writing && !b->host.waits(b->host.cookie))
            b->host.write(b->host.cookie, SSE_HEARTBEAT);
    }
    arm(b);
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

/* Hands over what there is while there is room; whether that was all, with room left. */
static bool advance(struct bind_stream *b)
{
    bool room = true;
    while (room && b->framing) {
        b->framing = !sse_lines_take(&b->lines, &b->frame, b->host.room(b->host.cookie));
        room = b->host.write(b->host.cookie, buf_slice(&b->frame));
        buf_clear(&b->frame);
    }
    while (room && b->rest.len > 0) {
        size_t most = b->host.room(b->host.cookie);
        struct slice piece = {b->rest.at, b->rest.len < most ? b->rest.len : most};
        b->rest = slice_from(b->rest, piece.len);
        room = b->host.write(b->host.cookie, piece);
    }
    return room;
}

static void written(struct bind_stream *b)
{
    b->writing = false;
    b->written_at = loop_now(b->loop);
    if (b->frame.room > KEPT)
        buf_free(&b->frame);
    buf_free(&b->json);
}

static int push_nothing(lua_State *L, void *cookie)
{
    struct bind_stream *b = cookie;
    lua_pushboolean(L, false); /* lets go of the text */
    lua_rawseti(L, LUA_REGISTRYINDEX, b->text);
    return 0;
}

void bind_stream_ready(struct bind_stream *b)
{
    if (b->await.task == NULL || !advance(b))
        return;
    written(b);
    await_complete(&b->await, push_nothing, b);
}

bool bind_stream_writing(const struct bind_stream *b)
{
    return b->writing;
}

/*
 * The task was cancelled in the middle of a write, and bind_stream_free follows; or only a part of it was (parallel),
 * and the client has half a text.
 */
static void cancel(struct await *a)
{
    CONTAINER_OF(a, struct bind_stream, await)->cut = true;
}

struct bind_stream *bind_stream_check(lua_State *L)
{
    struct bind_stream *b = lua_touserdata(L, lua_upvalueindex(1));
    if (!b->open)
        script_error_words(L, "%s: the stream has ended", b->name);
    if (b->task != NULL && task_whole(task_current(b->state)) != b->task)
        script_error_words(L, "%s: this stream belongs to another request", b->name);
    if (b->cut)
        script_error_words(L, "%s: another %s of this stream was ended half way: nothing can follow it", b->name,
                           b->name);
    if (b->writing)
        script_error_words(L, "%s: another %s of this stream waits for its client", b->name, b->name);
    await_check(L, b->name);
    return b;
}

int bind_stream_go(lua_State *L, struct bind_stream *b, int anchor)
{
    b->writing = true;
    if (advance(b)) {
        written(b);
        return 0;
    }
    if (anchor != 0) {
        lua_pushvalue(L, anchor);
        lua_rawseti(L, LUA_REGISTRYINDEX, b->text);
    }
    return await_begin(L, &b->await, cancel);
}

int bind_stream_write(lua_State *L)
{
    struct bind_stream *b = bind_stream_check(L);
    if (lua_gettop(L) != 1 || lua_type(L, 1) != LUA_TSTRING)
        return script_error_words(L, "write: expected one string, got %s",
                                  lua_gettop(L) == 0  ? "nothing"
                                  : lua_gettop(L) > 1 ? "several values"
                                                      : luaL_typename(L, 1));
    b->rest.at = lua_tolstring(L, 1, &b->rest.len);
    return bind_stream_go(L, b, 1);
}

/* --- the end ---------------------------------------------------------------------------------------------------- */

int bind_stream_result(const struct bind_stream *b, lua_State *co, int count, struct error *err)
{
    if (b->cut)
        return error_set(err, "a %s of the stream was ended half way, with the function of parallel that waited for it",
                         b->name);
    for (int i = 1; i <= count; i++) {
        if (lua_isnil(co, i))
            continue;
        if (i == 2 && lua_type(co, i) == LUA_TSTRING) {
            struct slice words;
            words.at = lua_tolstring(co, i, &words.len);
            return error_set(err, "the stream's function returned nil, %.*s%s", SLICE_SHOWN(words, 200));
        }
        return error_set(err, "the stream's function returned a %s: what it has to say, it writes",
                         luaL_typename(co, i));
    }
    return 0;
}
