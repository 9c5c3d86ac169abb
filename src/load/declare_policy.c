/*
 * declare_policy.c: the fields that decide before handle runs: allow_ips, verify, events, event_type, and the limits
 * max_body, timeout, max_run, on_disconnect; see declare.h. Owns: nothing. Runs in: the state's thread. Fails: by noted
 * faults.
 */
#include "base/duration.h"
#include "base/panic.h"
#include "bind/bind_verify.h"
#include "load/declare.h"
#include "policy/event_type.h"
#include "policy/ips.h"
#include "policy/verify.h"
#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_BODY_DEFAULT ((size_t)1 << 20)
#define TIMEOUT_MIN DUR_MS(1)
#define TIMEOUT_MAX DUR_S(24 * 3600)
#define MAX_RUN_MIN DUR_MS(1)

void declare_allow_ips(struct declare *d, int table)
{
    struct endpoint *e = d->endpoint;
    struct error err;
    if (table == 0 || !declare_field(d, table, "allow_ips"))
        return;
    if (declare_texts(d, "allow_ips", true, &e->allowed, &e->allowed_count) &&
        (e->allow_ips = ips_new(e->allowed, e->allowed_count, &err)) == NULL)
        declare_note(d, "allow_ips", "%s", err.text);
    lua_pop(d->L, 1);
}

/* The value of `verify` at the top of the stack. */
static void read_verifier(struct declare *d)
{
    lua_State *L = d->L;
    struct error err;
    if (lua_type(L, -1) == LUA_TSTRING) {
        if (strcmp(lua_tostring(L, -1), "none") != 0)
            declare_note(d, "verify", "expected a verifier, a list of verifiers, or \"none\", got \"%.*s%s\"",
                         SLICE_SHOWN(slice_of(lua_tostring(L, -1)), 40));
        return;
    }
    d->endpoint->verify = bind_verify_make(L, lua_gettop(L), &err);
    if (d->endpoint->verify == NULL)
        declare_note(d, "verify", "%s", err.text);
}

void declare_verify(struct declare *d, int table)
{
    struct endpoint *e = d->endpoint;
    if (table != 0 && declare_field(d, table, "verify")) {
        size_t faults = d->fault_count;
        read_verifier(d);
        d->verify_failed = d->fault_count > faults;
        lua_pop(d->L, 1);
    }
    if (e->verify != NULL && verify_needs_certificate(e->verify) && !d->config->client_ca &&
        !bind_verify_secrets_optional(d->L))
        declare_note(d, "verify", "no client is asked for a certificate: that is client_ca of the setting tls");
    if (e->verify != NULL) {
        const char *place = verify_event_type(e->verify);
        if (place != NULL)
            e->event_type = need_strdup(place);
        if (verify_ack_status(e->verify) != 0)
            e->ack_status = verify_ack_status(e->verify);
    } else if (!d->verify_failed && d->config->require_verify) {
        declare_note(d, "verify", "this endpoint is PUBLIC, and require_verify forbids that: give it a verifier");
    }
}

static void read_event_type(struct declare *d, int table)
{
    struct error err;
    if (!declare_field(d, table, "event_type"))
        return;
    size_t len = 0;
    const char *place = lua_type(d->L, -1) == LUA_TSTRING ? lua_tolstring(d->L, -1, &len) : NULL;
    if (place == NULL || strlen(place) != len) {
        declare_note(d, "event_type", "expected \"header:NAME\" or a JSON pointer like \"/type\"");
    } else if (event_type_check(place, &err) != 0) {
        declare_note(d, "event_type", "%s", err.text);
    } else {
        free(d->endpoint->event_type);
        d->endpoint->event_type = need_strdup(place);
    }
    lua_pop(d->L, 1);
}

void declare_events(struct declare *d, int table)
{
    struct endpoint *e = d->endpoint;
    if (table == 0)
        return;
    size_t faults = d->fault_count;
    read_event_type(d, table);
    bool refused = d->fault_count > faults;
    if (!declare_field(d, table, "events"))
        return;
    declare_texts(d, "events", false, &e->events, &e->event_count);
    lua_pop(d->L, 1);
    if (e->event_type == NULL && !refused && !d->verify_failed)
        declare_note(d, "events",
                     "where is the event's type? give event_type = \"header:NAME\" or a JSON pointer like \"/type\"");
}

/* The value at the top of the stack, for a message. */
static const char *shown(lua_State *L, char room[64])
{
    if (lua_type(L, -1) == LUA_TNUMBER)
        snprintf(room, 64, "%.14g", lua_tonumber(L, -1));
    else if (lua_type(L, -1) == LUA_TSTRING)
        snprintf(room, 64, "\"%.*s%s\"", SLICE_SHOWN(slice_of(lua_tostring(L, -1)), 40));
    else
        snprintf(room, 64, "a %s", luaL_typename(L, -1));
    return room;
}

/* A number (whole bytes) or a text at the top of the stack. */
static bool read_size(lua_State *L, size_t *size_out)
{
    size_t len;
    if (lua_type(L, -1) == LUA_TNUMBER) {
        double n = lua_tonumber(L, -1);
        *size_out = n >= 0 && n < 9e15 ? (size_t)n : 0;
        return n >= 0 && n < 9e15 && floor(n) == n;
    }
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
    return text != NULL && duration_parse_size((struct slice){text, len}, size_out);
}

static bool read_duration(lua_State *L, dur_t *duration_out)
{
    size_t len;
    if (lua_type(L, -1) == LUA_TNUMBER) {
        double n = lua_tonumber(L, -1);
        if (!(n >= 0 && n < 9e8))
            return false;
        duration_out->ns = (int64_t)llround(n * 1e9);
        return true;
    }
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
    return text != NULL && duration_parse((struct slice){text, len}, duration_out);
}

static void read_max_body(struct declare *d, int table)
{
    struct endpoint *e = d->endpoint;
    size_t bound = d->config->limits.body, theirs = e->verify != NULL ? verify_max_body(e->verify) : 0;
    char room[32], got[64];
    e->max_body = theirs != 0 ? theirs : MAX_BODY_DEFAULT;
    if (e->max_body > bound)
        e->max_body = bound;
    if (table == 0 || !declare_field(d, table, "max_body"))
        return;
    size_t size;
    if (!read_size(d->L, &size))
        declare_note(d, "max_body", "expected a size like \"2MiB\", or a number of bytes, got %s", shown(d->L, got));
    else if (size > bound)
        declare_note(d, "max_body", "more than the server takes: limits.body is %s", duration_size_text(bound, room));
    else
        e->max_body = size;
    lua_pop(d->L, 1);
}

static void read_timeout(struct declare *d, int table)
{
    dur_t timeout;
    char got[64];
    if (!declare_field(d, table, "timeout"))
        return;
    if (!read_duration(d->L, &timeout) || timeout.ns < TIMEOUT_MIN.ns || timeout.ns > TIMEOUT_MAX.ns)
        declare_note(d, "timeout", "expected a duration 1ms-24h like \"10s\", or a number of seconds, got %s",
                     shown(d->L, got));
    else
        d->endpoint->timeout = timeout;
    lua_pop(d->L, 1);
}

static void read_max_run(struct declare *d, int table)
{
    dur_t run;
    char got[64];
    d->endpoint->max_run = d->config->limits.max_run;
    if (table == 0 || !declare_field(d, table, "max_run"))
        return;
    if (!read_duration(d->L, &run) || run.ns < MAX_RUN_MIN.ns || run.ns > CONFIG_MAX_RUN_MOST)
        declare_note(d, "max_run", "expected a duration 1ms-10s like \"250ms\", or a number of seconds, got %s",
                     shown(d->L, got));
    else
        d->endpoint->max_run = run;
    lua_pop(d->L, 1);
}

static void read_on_disconnect(struct declare *d, int table)
{
    if (!declare_field(d, table, "on_disconnect"))
        return;
    char got[64];
    const char *text = lua_type(d->L, -1) == LUA_TSTRING ? lua_tostring(d->L, -1) : "";
    if (strcmp(text, "finish") == 0)
        d->endpoint->on_disconnect = DISCONNECT_FINISH;
    else if (strcmp(text, "cancel") == 0)
        d->endpoint->on_disconnect = DISCONNECT_CANCEL;
    else
        declare_note(d, "on_disconnect", "expected \"finish\" or \"cancel\", got %s", shown(d->L, got));
    lua_pop(d->L, 1);
}

void declare_limits(struct declare *d, int table)
{
    read_max_body(d, table);
    read_max_run(d, table);
    if (table == 0)
        return;
    read_timeout(d, table);
    read_on_disconnect(d, table);
}
