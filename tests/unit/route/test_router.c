/*
 * test_router.c: promises of routing: static beats parameter beats catch-all, with backtracking; trailing slash
 * ignored; an exact host beats any; clashes name both files; a file's route is that of the design's table.
 */
#include "base/buf.h"
#include "base/panic.h"
#include "route/generation.h"
#include "route/router.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* paths separated by spaces */
static struct endpoint *make(const char *file, const char *paths, const char *host)
{
    struct endpoint *e = endpoint_new();
    struct slice rest = slice_of(paths), one;
    e->file = need_strdup(file);
    e->name = need_strdup(file);
    e->routes = need_zero(8, sizeof *e->routes);
    while (slice_cut(&rest, ' ', &one))
        e->routes[e->route_count++] = (struct endpoint_route){host != NULL ? need_strdup(host) : NULL, slice_dup(one)};
    return e;
}

static void add(struct generation *g, const char *file, const char *paths, const char *host)
{
    struct error err;
    if (generation_add(g, make(file, paths, host), &err) != 0)
        fail_msg("%s", err.text);
}

static void refuse(struct generation *g, const char *file, const char *paths, const char *host, const char *words)
{
    struct error err;
    size_t before = g->endpoint_count;
    assert_int_equal(generation_add(g, make(file, paths, host), &err), -1);
    assert_string_equal(err.text, words);
    assert_int_equal(g->endpoint_count, before);
}

/* "file name=value ..." of what the path leads to; "-" for none. */
static void leads(const struct generation *g, const char *host, const char *path, const char *expected)
{
    struct router_match m;
    struct buf found = {0};
    router_find(g->router, slice_of(host), slice_of(path), &m);
    buf_add_text(&found, m.endpoint != NULL ? m.endpoint->file : "-");
    for (size_t i = 0; m.endpoint != NULL && i < m.param_count; i++)
        buf_addf(&found, " %.*s=%.*s", SLICE_ARG(m.names[i]), SLICE_ARG(m.values[i]));
    assert_string_equal(buf_text(&found), expected);
    buf_free(&found);
}

static void test_precedence(void **state)
{
    struct generation *g = generation_new(1);
    add(g, "root", "/", NULL);
    add(g, "static", "/orders/new", NULL);
    add(g, "param", "/orders/:id", NULL);
    add(g, "items", "/orders/:order/items/:item", NULL);
    add(g, "rest", "/orders/*rest", NULL);
    add(g, "deep", "/orders/new/items/special", NULL);
    leads(g, "", "/", "root");
    leads(g, "", "/orders/new", "static");
    leads(g, "", "/orders/new/", "static");
    leads(g, "", "/orders/7", "param id=7");
    leads(g, "", "/orders/7/", "param id=7");
    leads(g, "", "/orders/7/items/9", "items order=7 item=9");
    leads(g, "", "/orders/new/items/special", "deep");
    /* backtracking out of the static branch, then out of the parameter's */
    leads(g, "", "/orders/new/items/9", "items order=new item=9");
    leads(g, "", "/orders/new/items", "rest rest=new/items");
    leads(g, "", "/orders/a/b/c/d/", "rest rest=a/b/c/d");
    leads(g, "", "/orders", "-");
    leads(g, "", "/orders/", "-");
    leads(g, "", "/order", "-");
    leads(g, "", "/other", "-");
    leads(g, "", "", "-");
    leads(g, "", "*", "-");
    generation_release(&g);
}

static void test_empty_segments(void **state)
{
    struct generation *g = generation_new(1);
    add(g, "param", "/a/:x/b", NULL);
    add(g, "rest", "/files/*path", NULL);
    leads(g, "", "/a//b", "-");
    leads(g, "", "/files//x", "rest path=/x");
    leads(g, "", "/files/a/b/c", "rest path=a/b/c");
    generation_release(&g);
}

static void test_hosts(void **state)
{
    struct generation *g = generation_new(1);
    add(g, "any", "/x", NULL);
    add(g, "exact", "/x", "hooks.example.com");
    add(g, "other", "/y/:p", "api.example.com");
    add(g, "fallback", "/y/*all", NULL);
    leads(g, "hooks.example.com", "/x", "exact");
    leads(g, "else.example.com", "/x", "any");
    leads(g, "api.example.com", "/y/1", "other p=1");
    leads(g, "api.example.com", "/y/1/2", "fallback all=1/2");
    leads(g, "hooks.example.com", "/z", "-");
    refuse(g, "again", "/x", "hooks.example.com", "again: route /x on host hooks.example.com is also claimed by exact");
    generation_release(&g);
}

static void test_clashes(void **state)
{
    struct generation *g = generation_new(1);
    add(g, "orders/[key].lua", "/orders/:key", NULL);
    add(g, "files/[...p].lua", "/files/*p", NULL);
    refuse(g, "orders/[id].lua", "/orders/:id", NULL,
           "orders/[id].lua: route /orders/:id is also claimed by orders/[key].lua");
    refuse(g, "b.lua", "/free /files/*q", NULL, "b.lua: route /files/*q is also claimed by files/[...p].lua");
    leads(g, "", "/free", "-"); /* none of its routes was added */
    refuse(g, "c.lua", "/c/:a /c/:b", NULL, "c.lua: route /c/:b is given twice");
    refuse(g, "orders/[key].lua", "/new", NULL,
           "orders/[key].lua: the name orders/[key].lua is also that of orders/[key].lua");
    add(g, "d.lua", "/orders/:other/deeper", NULL); /* another shape: names may differ */
    leads(g, "", "/orders/1/deeper", "d.lua other=1");
    leads(g, "", "/orders/1", "orders/[key].lua key=1");
    generation_release(&g);
}

static void test_patterns(void **state)
{
    static const char *const good[] = {"/", "/a", "/a/", "/:id", "/*rest", "/a/:b/c/*d", "/a.b/c-d", "/ä"};
    static const char *const bad[] = {"",        "a",      "//", "/a//b",   "/:",    "/*",   "/:1",
                                      "/a/*b/c", "/:a/:a", "/.", "/a/../b", "/:a-b", "/x\ny"};
    struct error err;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(router_check_pattern(good[i], &err), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(router_check_pattern(bad[i], &err), -1);
    assert_int_equal(router_check_pattern("/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/:p", &err), 0);
    assert_int_equal(router_check_pattern("/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/:p/:q", &err), -1);
}

static void test_file_routes(void **state)
{
    static const char *const rows[][2] = {
        {"github.lua", "/github"},
        {"billing/stripe.lua", "/billing/stripe"},
        {"index.lua", "/"},
        {"billing/index.lua", "/billing"},
        {"orders/[id].lua", "/orders/:id"},
        {"files/[...path].lua", "/files/*path"},
        {"index/a.lua", "/index/a"},
        {"[a]/[b].lua", "/:a/:b"},
        {"_x.lua", NULL},
        {".x.lua", NULL},
        {"_lib/x.lua", NULL},
        {"a/.b/c.lua", NULL},
    };
    static const char *const bad[] = {"a.txt",   "[.lua",  "[a.lua", "a].lua", "a[b].lua", "[...a]/b.lua",
                                      "[1].lua", "[].lua", ":a.lua", "*a.lua", ".lua"};
    const char *why;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *route = endpoint_route_of_file(rows[i][0], &why);
        assert_null(why);
        if (rows[i][1] == NULL)
            assert_null(route);
        else
            assert_string_equal(route, rows[i][1]);
        free(route);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(endpoint_route_of_file(bad[i], &why));
        assert_non_null(why);
    }
}

static char *const get_post[] = {(char *)"GET", (char *)"POST"};

static void test_methods(void **state)
{
    struct endpoint_handler handlers[] = {{(char *)"GET", 1}, {(char *)"POST", 2}}, one[] = {{NULL, 3}};
    struct endpoint e = {.magic = ENDPOINT_MAGIC, .handlers = handlers, .handler_count = 2};
    e.methods = (char **)get_post;
    e.method_count = 2;
    assert_int_equal(endpoint_handler_for(&e, "GET", 3)->function, 1);
    assert_int_equal(endpoint_handler_for(&e, "HEAD", 4)->function, 1);
    assert_int_equal(endpoint_handler_for(&e, "POST", 4)->function, 2);
    assert_null(endpoint_handler_for(&e, "PUT", 3));
    assert_null(endpoint_handler_for(&e, "get", 3));
    assert_null(endpoint_handler_for(&e, "OPTIONS", 7));
    e.handlers = one;
    e.handler_count = 1;
    assert_int_equal(endpoint_handler_for(&e, "HEAD", 4)->function, 3);
    assert_null(endpoint_handler_for(&e, "DELETE", 6));
    e.methods = (char **)get_post + 1;
    e.method_count = 1;
    assert_null(endpoint_handler_for(&e, "HEAD", 4));
    e.methods = NULL;
    assert_int_equal(endpoint_handler_for(&e, "PURGE", 5)->function, 3);
}

static void test_many(void **state)
{
    struct generation *g = generation_new(7);
    char path[32], expected[32];
    for (int i = 0; i < 2000; i++) {
        snprintf(path, sizeof path, "/s%d", (i * 7919) % 2000);
        add(g, path + 1, path, NULL);
    }
    for (int i = 0; i < 2000; i++) {
        snprintf(path, sizeof path, "/s%d", i);
        snprintf(expected, sizeof expected, "s%d", i);
        leads(g, "", path, expected);
        assert_ptr_equal(generation_find(g, expected)->file[0] == 's' ? g : NULL, g);
    }
    assert_null(generation_find(g, "s2000"));
    struct generation *second = generation_hold(g);
    generation_release(&g);
    assert_null(g);
    leads(second, "", "/s1", "s1");
    generation_release(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_precedence), cmocka_unit_test(test_empty_segments), cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_clashes),    cmocka_unit_test(test_patterns),       cmocka_unit_test(test_file_routes),
        cmocka_unit_test(test_methods),    cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
