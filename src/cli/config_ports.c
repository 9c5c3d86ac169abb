/*
 * config_ports.c: see config_ports.h.
 */
#include "cli/config_ports.h"

#include "cli/config_list.h"

#include <lauxlib.h>
#include <stdio.h>

#define EXPECTED "expected true, false or a list of ports"

static int add(struct config *c, double number, const char *shown, struct error *err)
{
    if (!(number >= 1 && number <= UINT16_MAX) || number != (double)(uint16_t)number)
        return error_set(err, EXPECTED " 1-65535, got %.32s", shown);
    if (c->http_port_count == CONFIG_PORTS_MAX)
        return error_set(err, EXPECTED ", got more than %d", CONFIG_PORTS_MAX);
    config_add_http_port(c, (uint16_t)number);
    return 0;
}

static int add_item(lua_State *L, struct config *c, struct error *err)
{
    double number = lua_tonumber(L, -1);
    char shown[32];

    snprintf(shown, sizeof(shown), "%.14g", number);
    return add(c, number, shown, err);
}

int config_ports_value(lua_State *L, struct config *c, struct error *err)
{
    config_forget_http_ports(c);
    switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN:
        c->http_ports_only = !lua_toboolean(L, -1);
        return 0;
    case LUA_TTABLE:
        c->http_ports_only = true;
        return config_list_each(L, LUA_TNUMBER, EXPECTED, add_item, c, err);
    default:
        return error_set(err, EXPECTED ", got a %s", luaL_typename(L, -1));
    }
}

int config_ports_text(struct slice text, struct config *c, struct error *err)
{
    struct slice one;
    int result = 0;

    config_forget_http_ports(c);
    c->http_ports_only = !slice_equal(text, SLICE("true"));
    if (!c->http_ports_only || slice_equal(text, SLICE("false")))
        return 0;
    while (result == 0 && slice_cut(&text, ',', &one)) {
        unsigned long long number;
        char shown[40];

        one = slice_trim(one);
        snprintf(shown, sizeof(shown), "\"%.*s\"", one.len > 32 ? 32 : (int)one.len, one.len > 0 ? one.at : "");
        result = add(c, slice_to_u64(one, UINT16_MAX, &number) ? (double)number : 0, shown, err);
    }
    return result;
}
