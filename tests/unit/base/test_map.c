/*
 * test_map.c: the hash map against a plain array as its model.
 */
#include "base/map.h"
#include <stdio.h>
#include <stdlib.h>
// clang-format off
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

#define KEYS 500

static void agrees_with_an_array_through_random_changes(void **state)
{
    static int values[KEYS];
    bool there[KEYS] = {false};
    struct map *m = map_new();
    srand(7);
    for (int step = 0; step < 20000; step++) {
        int k = rand() % KEYS;
        char key[16];
        struct slice name = {key, (size_t)snprintf(key, sizeof(key), "key%d", k)};
        if (rand() % 3 == 0) {
            assert_ptr_equal(map_remove(m, name), there[k] ? &values[k] : NULL);
            there[k] = false;
        } else {
            assert_ptr_equal(map_set(m, name, &values[k]), there[k] ? &values[k] : NULL);
            there[k] = true;
        }
        assert_ptr_equal(map_get(m, name), there[k] ? &values[k] : NULL);
    }
    size_t count = 0, at = 0, seen = 0;
    for (int k = 0; k < KEYS; k++)
        count += there[k];
    assert_int_equal(map_count(m), count);
    struct slice key;
    void *value;
    while (map_next(m, &at, &key, &value)) {
        assert_true(there[(int *)value - values]);
        seen++;
    }
    assert_int_equal(seen, count);
    map_free(&m);
    assert_null(m);
    map_free(&m);
}

static void iterates_in_insertion_order(void **state)
{
    static int value;
    static const char *const keys[] = {"z", "a", "m"};
    struct map *m = map_new();
    for (int i = 0; i < 3; i++)
        map_set(m, slice_of(keys[i]), &value);
    size_t at = 0;
    struct slice key;
    for (int i = 0; i < 3; i++) {
        assert_true(map_next(m, &at, &key, NULL));
        assert_true(slice_equal(key, slice_of(keys[i])));
    }
    assert_false(map_next(m, &at, &key, NULL));
    map_free(&m);
}

static void keys_may_hold_nul_bytes(void **state)
{
    static int one, two;
    struct map *m = map_new();
    map_set(m, SLICE("a\0b"), &one);
    map_set(m, SLICE("a\0c"), &two);
    assert_ptr_equal(map_get(m, SLICE("a\0b")), &one);
    assert_ptr_equal(map_get(m, SLICE("a\0c")), &two);
    assert_null(map_get(m, SLICE("a")));
    map_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_an_array_through_random_changes),
        cmocka_unit_test(iterates_in_insertion_order),
        cmocka_unit_test(keys_may_hold_nul_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
