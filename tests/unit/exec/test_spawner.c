/*
 * test_spawner.c: the spawner does not trust its worker: it asks its own list, refuses what is no sense, and at its
 * worker's end, or at the first senseless message, kills all that it started, and leaves.
 */
#include "exec/spawner.h"
#include "ipc/channel.h"
#include "programs.h"

static struct channel *channel;
static pid_t spawner;
static char folder[64];

static int set_up(void **state)
{
    struct error err;
    int fd;
    strcpy(folder, "/tmp/crescent-spawner-XXXXXX");
    if (mkdtemp(folder) == NULL || chdir(folder) != 0 || spawner_start("test", &spawner, &fd, &err) != 0)
        return -1;
    channel = channel_new(fd);
    return 0;
}

static int tear_down(void **state)
{
    char command[96];
    channel_free(&channel);
    if (spawner != 0)
        waitpid(spawner, NULL, 0);
    spawner = 0;
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return chdir("/") || system(command);
}

static void greet(bool any, const char *allowed)
{
    struct buf list = {0};
    if (allowed != NULL)
        buf_add_string(&list, slice_of(allowed));
    channel_send(channel,
                 &(struct message){.type = MESSAGE_spawner,
                                   .spawner = {.root = slice_of(folder), .any = any, .allowed = buf_slice(&list)}});
    buf_free(&list);
}

static void send_program(uint64_t id, struct slice arguments)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    channel_send(channel, &(struct message){.type = MESSAGE_program,
                                            .program = {.id = id,
                                                        .arguments = arguments,
                                                        .cwd = slice_of(folder),
                                                        .in = null,
                                                        .out = dup(null),
                                                        .err = dup(null)}});
}

static void start(uint64_t id, const char *const *argv)
{
    struct buf strings = {0};
    for (; *argv != NULL; argv++)
        buf_add_string(&strings, slice_of(*argv));
    send_program(id, buf_slice(&strings));
    buf_free(&strings);
}
#define START(id, ...) start(id, (const char *const[]){__VA_ARGS__, NULL})

static struct message_program_ended next_end(void)
{
    struct message m;
    assert_int_equal(channel_wait(channel, &m), 1);
    assert_int_equal(m.type, MESSAGE_program_ended);
    return m.program_ended;
}

/* It has seen through us: it leaves, with status 0, within twenty seconds. */
static void it_leaves(void)
{
    int status = -1;
    mono_t end = mono_add(mono_now(), DUR_S(20));
    while (waitpid(spawner, &status, WNOHANG) == 0 && mono_before(mono_now(), end))
        usleep(2000);
    assert_int_equal(status, 0);
    spawner = 0;
}

static void its_own_list_counts(void **state)
{
    greet(false, "true");
    START(1, "true");
    struct message_program_ended e = next_end();
    assert_int_equal(e.id, 1);
    assert_int_equal(e.code.len, 0);
    assert_int_equal(e.status, 0);
    START(2, "sh", "-c", "true");
    e = next_end();
    assert_int_equal(e.id, 2);
    assert_true(slice_equal(e.code, SLICE("not_allowed")));
    assert_true(slice_equal(e.words, SLICE("sh: the setting exec does not allow it")));
    greet(true, NULL); /* it is told once */
    it_leaves();
}

static void what_is_malformed_starts_nothing(void **state)
{
    static const struct slice bad[] = {
        {"", 0}, {"\1\0\0\0", 4}, {"\0\0\0\0", 4}, {"\4\0\0\0tr\0e", 8}, {"\4\0\0\0true\xff\xff\xff\xff", 12},
        {"x", 1}};
    greet(true, NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        send_program(i, bad[i]);
        struct message_program_ended e = next_end();
        assert_int_equal(e.id, i);
        assert_true(slice_equal(e.code, SLICE("bad_argument")));
    }
    START(9, "true");
    assert_int_equal(next_end().status, 0);
}

static void nothing_is_started_before_it_knows_the_rules(void **state)
{
    START(1, "touch", "started");
    it_leaves();
    assert_int_equal(access("started", F_OK), -1);
}

static void a_message_of_others_ends_it_and_its_programs(void **state)
{
    greet(true, NULL);
    START(1, "sh", "-c", "echo $$ >pid; exec sleep 1000");
    pid_t pid = pid_in("pid");
    channel_send(channel, &(struct message){.type = MESSAGE_pong});
    it_leaves();
    assert_false(lives(pid));
}

static void nothing_outlives_the_link(void **state)
{
    greet(true, NULL);
    START(1, "sh", "-c", "echo $$ >one; exec sleep 1000");
    START(2, "setsid", "-f", "sh", "-c", "trap '' TERM HUP INT; echo $$ >two; while :; do sleep 1000; done");
    START(3, "sh", "-c", "(setsid sh -c '(setsid sh -c \"echo \\$\\$ >three; exec sleep 1000\" &) ; exit' &)");
    START(4, "sh", "-c", "trap '' TERM; kill -STOP $$");
    pid_t pids[] = {pid_in("one"), pid_in("two"), pid_in("three")};
    channel_free(&channel);
    it_leaves();
    for (int i = 0; i < 3; i++)
        assert_false(lives(pids[i]));
}

static void signals_meant_for_others_do_not_end_it(void **state)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGCHLD};
    greet(true, NULL);
    START(1, "true");
    next_end(); /* it is up */
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        kill(spawner, numbers[i]);
    assert_int_not_equal(getpgid(spawner), getpgrp()); /* and what the whole group gets does not reach it */
    START(2, "true");
    assert_int_equal(next_end().id, 2);
}

static void it_has_nothing_of_its_workers(void **state)
{
    char path[64], link[96];
    struct buf env = {0};
    struct error err;
    int fd, extra;
    channel_free(&channel);
    it_leaves();
    setenv("SECRET", "x", 1);
    extra = open(folder, O_RDONLY | O_DIRECTORY); /* not close-on-exec */
    assert_int_equal(spawner_start("test", &spawner, &fd, &err), 0);
    channel = channel_new(fd);
    greet(true, NULL);
    START(1, "true");
    next_end();
    snprintf(path, sizeof(path), "/proc/%d/environ", (int)spawner);
    assert_int_equal(fd_read_file(path, 1 << 20, &env, NULL), 0);
    assert_non_null(memmem(env.at, env.len, "PATH=", 5));
    assert_null(memmem(env.at, env.len, "SECRET", 6));
    for (int i = 0; i < 64; i++) {
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)spawner, i);
        ssize_t len = readlink(path, link, sizeof(link));
        assert_false(len > 0 && slice_equal((struct slice){link, (size_t)len}, slice_of(folder)));
    }
    close(extra);
    buf_free(&env);
    unsetenv("SECRET");
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "spawner") == 0)
        return spawner_main(argc > 2 ? argv[2] : NULL);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(its_own_list_counts),
        TEST(what_is_malformed_starts_nothing),
        TEST(nothing_is_started_before_it_knows_the_rules),
        TEST(a_message_of_others_ends_it_and_its_programs),
        TEST(nothing_outlives_the_link),
        TEST(signals_meant_for_others_do_not_end_it),
        TEST(it_has_nothing_of_its_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
