/*
 * test_prepare.c: the generation word decides what a request meets: what is prepared aside flips with it, what is owed
 * is prepared first, what did not change stays, what does not load is told and served as before.
 */
#include "base/fd.h"
#include "base/log.h"
#include "http/redact.h"
#include "worker/prepare.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    struct loop *loop;
    struct area *area;
    int area_fd;
    struct config config;
    struct script_host script_host;
    struct state *state;
    struct load *load;
    struct redact *redact;
    struct prepare *prepare;
    unsigned told, lives;
    uint64_t told_generation;
    size_t told_broken;       /* bytes */
    char told_words[512];     /* the same, as far as there is room */
    uint64_t owed_generation; /* comes when it is listened to */
    int owed;
};

static void no_globals(lua_State *L)
{
}

static void on_tell(void *cookie, const struct message *m)
{
    struct world *w = cookie;
    assert_int_equal(m->type, MESSAGE_prepared);
    assert_int_equal(m->prepared.incarnation, 3);
    w->told++;
    w->told_generation = m->prepared.generation;
    w->told_broken = m->prepared.broken.len;
    if (w->told_broken > 0 && w->told_broken < sizeof(w->told_words))
        memcpy(w->told_words, m->prepared.broken.at, w->told_broken);
}

static void on_hear(void *cookie)
{
    struct world *w = cookie;
    int fd = w->owed;
    w->owed = -1;
    if (fd != -1)
        prepare_begin(w->prepare, w->owed_generation, fd);
}

static void on_live(void *cookie)
{
    ((struct world *)cookie)->lives++;
}

static int begin(void **state)
{
    static struct world world;
    struct world *w = &world;
    struct error err;
    *w = (struct world){.loop = loop_new(), .redact = redact_new(), .owed = -1};
    log_open(STDERR_FILENO, LOG_OFF, "test", false);
    w->area = area_new(&w->area_fd, &err);
    config_defaults(&w->config);
    w->script_host = (struct script_host){.loop = w->loop,
                                          .progress = &w->area->worker[0].progress,
                                          .redact = w->redact,
                                          .memory = 64 << 20,
                                          .max_run = DUR_MS(40),
                                          .sandbox = true,
                                          .jit = true};
    w->state = state_new(&w->script_host, no_globals, &err);
    assert_non_null(w->state);
    w->load = load_new(w->state, &w->config, false);
    const struct prepare_host prepare = {.loop = w->loop,
                                         .load = w->load,
                                         .redact = w->redact,
                                         .area = w->area,
                                         .incarnation = 3,
                                         .tell = on_tell,
                                         .hear = on_hear,
                                         .live = on_live,
                                         .cookie = w};
    w->prepare = prepare_new(&prepare);
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    prepare_free(&w->prepare);
    load_free(&w->load);
    state_free(&w->state);
    redact_free(&w->redact);
    area_free(&w->area);
    fd_close(&w->area_fd);
    config_free(&w->config);
    loop_free(&w->loop);
    return 0;
}

struct text {
    const char *name, *text; /* NULL: never loaded */
    uint64_t version;
};

static int snapshot_of(uint64_t generation, const struct text *texts, size_t count)
{
    struct snapshot_script scripts[8];
    struct slice env_name = SLICE("API_TOKEN"), env_value = SLICE("t0p-s3cret");
    struct snapshot_env env = {.names = &env_name, .values = &env_value, .count = 1};
    struct buf bytes = {0};
    struct error err;
    char files[8][32];
    for (size_t i = 0; i < count; i++) {
        snprintf(files[i], sizeof(files[i]), "%s.lua", texts[i].name);
        scripts[i] = (struct snapshot_script){.name = slice_of(texts[i].name),
                                              .file = slice_of(files[i]),
                                              .text = slice_of(texts[i].text),
                                              .version = texts[i].version};
    }
    const struct snapshot s = {
        .generation = generation, .envs = &env, .env_count = 1, .scripts = scripts, .script_count = count};
    snapshot_write(&s, &bytes);
    int fd = fd_sealed("test", buf_slice(&bytes), &err);
    assert_true(fd != -1);
    buf_free(&bytes);
    return fd;
}

static void word(struct world *w, uint64_t generation)
{
    atomic_store(area_generation(w->area), generation);
}

static void pass(struct world *w)
{
    for (int i = 0; i < 20; i++)
        loop_pass(w->loop, DUR_MS(1));
}

#define GOOD "return function() return 200 end"

static void nothing_is_live_before_the_word_says_so(void **state)
{
    struct world *w = *state;
    const struct text one = {"a", GOOD, 1};
    assert_null(prepare_live(w->prepare));
    prepare_begin(w->prepare, 1, snapshot_of(1, &one, 1));
    pass(w);
    assert_int_equal(w->told, 1);
    assert_int_equal(w->told_generation, 1);
    assert_null(prepare_live(w->prepare));
    word(w, 1);
    struct generation *g = prepare_live(w->prepare);
    assert_non_null(g);
    assert_int_equal(g->number, 1);
    assert_non_null(generation_find(g, "a"));
    assert_int_equal(w->lives, 1);
}

/* A worker that joins after the flip hears of no other, and no request will come before it serves. */
static void what_the_word_says_already_is_live_as_soon_as_it_is_whole(void **state)
{
    struct world *w = *state;
    word(w, 1);
    prepare_begin(w->prepare, 1, snapshot_of(1, &(struct text){"a", GOOD, 1}, 1));
    assert_int_equal(w->lives, 0);
    pass(w);
    assert_int_equal(w->lives, 1);
    assert_int_equal(w->told_generation, 1);
}

static void what_did_not_change_is_kept(void **state)
{
    struct world *w = *state;
    const struct text before[] = {{"a", GOOD, 1}, {"b", GOOD, 2}}, after[] = {{"a", GOOD, 3}, {"b", GOOD, 2}};
    word(w, 1);
    struct error err;
    assert_int_equal(prepare_inherited(w->prepare, 1, snapshot_of(1, before, 2), &err), 0);
    struct endpoint *a = generation_find(prepare_live(w->prepare), "a");
    struct endpoint *b = generation_find(prepare_live(w->prepare), "b");
    struct generation *held = generation_hold(prepare_live(w->prepare)); /* a request under way */
    prepare_begin(w->prepare, 2, snapshot_of(2, after, 2));
    pass(w);
    word(w, 2);
    assert_ptr_not_equal(generation_find(prepare_live(w->prepare), "a"), a);
    assert_ptr_equal(generation_find(prepare_live(w->prepare), "b"), b);
    assert_ptr_equal(generation_find(held, "a"), a);
    generation_release(&held);
}

static void what_is_owed_is_prepared_before_the_request(void **state)
{
    struct world *w = *state;
    const struct text before = {"a", GOOD, 1}, after = {"b", GOOD, 2};
    struct error err;
    word(w, 1);
    assert_int_equal(prepare_inherited(w->prepare, 1, snapshot_of(1, &before, 1), &err), 0);
    w->owed_generation = 2;
    w->owed = snapshot_of(2, &after, 1);
    word(w, 2); /* flipped without us */
    assert_non_null(generation_find(prepare_live(w->prepare), "b"));
    assert_int_equal(w->told_generation, 2);
    word(w, 9); /* a word that nobody can explain: serve on */
    assert_int_equal(prepare_live(w->prepare)->number, 2);
}

static void a_script_that_raises_here_is_told_and_served_as_before(void **state)
{
    struct world *w = *state;
    const struct text before = {"a", GOOD, 1}, after = {"a", "error 'no'", 2};
    struct error err;
    word(w, 1);
    assert_int_equal(prepare_inherited(w->prepare, 1, snapshot_of(1, &before, 1), &err), 0);
    prepare_begin(w->prepare, 2, snapshot_of(2, &after, 1));
    pass(w);
    assert_true(w->told_broken > 0);
    word(w, 2);
    struct endpoint *a = generation_find(prepare_live(w->prepare), "a");
    assert_int_equal(a->version, 1);
    assert_null(a->broken);
}

static bool told(const struct world *w, const char *words)
{
    return memmem(w->told_words, w->told_broken, words, strlen(words)) != NULL;
}

/* The keeper logs the words and keeps them, and it knows nothing of env. */
static void what_env_gave_is_not_told_with_an_error(void **state)
{
    struct world *w = *state;
    const struct text texts[] = {{"a", "error('no ' .. env.API_TOKEN .. '!')", 1},
                                 {"b", "return { path = '/' .. env.API_TOKEN, handle = function() end }", 2},
                                 {"c", "return { path = '/' .. env.API_TOKEN, handle = function() end }", 3}};
    prepare_begin(w->prepare, 1, snapshot_of(1, texts, 3));
    pass(w);
    assert_true(told(w, "no [redacted]!"));
    assert_true(told(w, "/[redacted]")); /* two scripts on one route */
    assert_false(told(w, "t0p-s3cret"));
}

static void what_is_broken_in_the_inheritance_is_told_to_the_keeper_that_comes(void **state)
{
    struct world *w = *state;
    const struct text one = {"a", "error 'no'", 2};
    struct error err;
    word(w, 1);
    assert_int_equal(prepare_inherited(w->prepare, 1, snapshot_of(1, &one, 1), &err), 0);
    assert_int_equal(w->told, 0);
    assert_int_equal(prepare_new_keeper(w->prepare), 1);
    prepare_confess(w->prepare);
    assert_int_equal(w->told_generation, 1);
    assert_true(w->told_broken > 0);
}

static void a_script_that_never_loaded_takes_no_route_away(void **state)
{
    struct world *w = *state;
    const struct text texts[] = {{"a", NULL, 0}, {"b", "return { path = '/a', handle = function() end }", 1}};
    struct error err;
    struct router_match match;
    word(w, 1);
    assert_int_equal(prepare_inherited(w->prepare, 1, snapshot_of(1, texts, 2), &err), 0);
    router_find(prepare_live(w->prepare)->router, SLICE("x"), SLICE("/a"), &match);
    assert_non_null(match.endpoint);
    assert_string_equal(match.endpoint->name, "b");
}

static void a_newer_prepare_replaces_a_half_done_one(void **state)
{
    struct world *w = *state;
    const struct text one = {"a", GOOD, 1}, two = {"b", GOOD, 2};
    prepare_begin(w->prepare, 1, snapshot_of(1, &one, 1));
    prepare_begin(w->prepare, 2, snapshot_of(2, &two, 1));
    pass(w);
    assert_int_equal(w->told, 1);
    assert_int_equal(w->told_generation, 2);
    word(w, 2);
    assert_non_null(generation_find(prepare_live(w->prepare), "b"));
}

/* A dead keeper's number can come again with other content. */
static void what_a_dead_keeper_began_counts_no_more(void **state)
{
    struct world *w = *state;
    const struct text live = {"a", GOOD, 1}, begun = {"b", GOOD, 2}, other = {"c", GOOD, 9};
    struct error err;
    word(w, 1);
    assert_int_equal(prepare_inherited(w->prepare, 1, snapshot_of(1, &live, 1), &err), 0);
    prepare_begin(w->prepare, 2, snapshot_of(2, &begun, 1));
    pass(w);
    assert_int_equal(prepare_new_keeper(w->prepare), 1);
    prepare_begin(w->prepare, 2, snapshot_of(2, &other, 1));
    pass(w);
    word(w, 2);
    assert_non_null(generation_find(prepare_live(w->prepare), "c"));
    assert_null(generation_find(prepare_live(w->prepare), "b"));
}

/* The trial had found them good: what they do here is another matter. */
static void a_script_that_does_not_end_here_is_told_and_served_as_before(void **state)
{
#ifdef __SANITIZE_THREAD__
    skip(); /* tsan holds signals back until the next call into the C library, and these loops make none */
#endif
    struct world *w = *state;
    const struct text live[] = {{"a", GOOD, 1}, {"b", GOOD, 2}, {"c", GOOD, 3}};
    const struct text next[] = {
        {"a", "local x = 1\nwhile true do x = x + 1 end", 4},
        {"b", "local f = function() while true do end end\nreturn pcall(f) or function() end", 5},
        {"c", GOOD, 6}};
    struct error err;
    word(w, 1);
    assert_int_equal(prepare_inherited(w->prepare, 1, snapshot_of(1, live, 3), &err), 0);
    struct endpoint *c = generation_find(prepare_live(w->prepare), "c");
    prepare_begin(w->prepare, 2, snapshot_of(2, next, 3));
    pass(w);
    assert_int_equal(w->told_generation, 2);
    const char words[] = "hooks/a.lua:2: ran for longer than max_run (40ms)";
    assert_non_null(memmem(w->told_words, sizeof(w->told_words), words, strlen(words)));
    assert_non_null(memmem(w->told_words, sizeof(w->told_words), "hooks/b.lua:", 12));
    word(w, 2);
    assert_int_equal(generation_find(prepare_live(w->prepare), "a")->version, 1);
    assert_int_equal(generation_find(prepare_live(w->prepare), "b")->version, 2);
    assert_int_equal(generation_find(prepare_live(w->prepare), "c")->version, 6);
    assert_ptr_not_equal(generation_find(prepare_live(w->prepare), "c"), c);
}

#define PROMISE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROMISE(nothing_is_live_before_the_word_says_so),
        PROMISE(what_the_word_says_already_is_live_as_soon_as_it_is_whole),
        PROMISE(what_did_not_change_is_kept),
        PROMISE(what_is_owed_is_prepared_before_the_request),
        PROMISE(a_script_that_raises_here_is_told_and_served_as_before),
        PROMISE(a_script_that_does_not_end_here_is_told_and_served_as_before),
        PROMISE(what_env_gave_is_not_told_with_an_error),
        PROMISE(what_is_broken_in_the_inheritance_is_told_to_the_keeper_that_comes),
        PROMISE(a_script_that_never_loaded_takes_no_route_away),
        PROMISE(a_newer_prepare_replaces_a_half_done_one),
        PROMISE(what_a_dead_keeper_began_counts_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
