/*
 * The promise: HTTP/2 is offered only where libh2o calls the guard, HTTP/1 too, and the proof of it takes milliseconds.
 */
#include "base/time.h"
#include "server/http1_guard.h"
#include "server/http2_guard.h"
#include "server/http2_proof.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void the_guard_is_bound_and_refuses(void **state)
{
    struct error err = {""};
    uint64_t refused = http2_guard_calls().refused;
    mono_t before = mono_now();
    assert_int_equal(http1_guard_proved(&err), -1);
    if (http2_proof_run(&err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(http2_guard_calls().refused, refused + 1);
    assert_true(mono_since(mono_now(), before).ns < DUR_MS(500).ns);
    if (http1_guard_proved(&err) != 0)
        fail_msg("%s", err.text);
}

static void the_proof_can_be_made_again(void **state)
{
    struct error err = {""};
    assert_int_equal(http2_proof_run(&err), 0);
    assert_int_equal(http2_proof_run(&err), 0);
}

/* libh2o does not free a queue that it has destroyed. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_multithread_create_queue";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_guard_is_bound_and_refuses),
        cmocka_unit_test(the_proof_can_be_made_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
