/*
 * config_exec.c: see config_exec.h.
 */
#include "cli/config_exec.h"

#include "base/log.h"
#include "cli/config_list.h"
#include "exec/allowed.h"

#include <lauxlib.h>
#include <stdlib.h>

#define EXPECTED "expected true, false or a list of programs"

static int add(struct config *c, struct slice name, struct error *err)
{
    if (name.len == 0)
        return error_set(err, EXPECTED ", got an empty name");
    if (slice_find(name, '\0') != SIZE_MAX)
        return error_set(err, EXPECTED ", got a name with a NUL byte");
    config_add_exec(c, name);
    return 0;
}

static int add_item(lua_State *L, struct config *c, struct error *err)
{
    struct slice name;

    name.at = lua_tolstring(L, -1, &name.len);
    return add(c, name, err);
}

int config_exec_value(lua_State *L, struct config *c, struct error *err)
{
    config_forget_exec(c);
    switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN:
        c->exec_any = lua_toboolean(L, -1);
        return 0;
    case LUA_TTABLE:
        return config_list_each(L, LUA_TSTRING, EXPECTED, add_item, c, err);
    default:
        return error_set(err, EXPECTED ", got a %s", luaL_typename(L, -1));
    }
}

int config_exec_text(struct slice text, struct config *c, struct error *err)
{
    struct slice name;

    config_forget_exec(c);
    c->exec_any = slice_equal(text, SLICE("true")) || slice_equal(text, SLICE("1"));
    if (c->exec_any || slice_equal(text, SLICE("false")) || slice_equal(text, SLICE("0")))
        return 0;
    while (slice_cut(&text, ',', &name))
        if (add(c, slice_trim(name), err) != 0)
            return -1;
    return 0;
}

void config_exec_warn(const struct config *c)
{
    for (size_t i = 0; i < c->exec_count; i++) {
        char *name = allowed_name(c->root, c->exec[i]);
        const char *code;
        struct error err;
        char *file = allowed_file(name, allowed_path(), &code, &err);

        if (file == NULL)
            log_at(LOG_WARN, "the setting exec allows a program that cannot be started", LOG_STR("program", c->exec[i]),
                   LOG_STR("error", err.text));
        free(file);
        free(name);
    }
}
