/*
 * test_sockets.c: promises: an address that stays has the same sockets in the next set, by name or by number, others
 * are bound; what the server itself holds is said so; a failure touches nothing of the set at hand; a set survives an
 * exec in place; whose group member is whose; a stale path makes way, a living one, and a file that is no socket, does
 * not; a path is removed by its owner, and by nobody else.
 */
#include "base/panic.h"
#include "supervise/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int make_folder(void **state)
{
    strcpy(folder, "/tmp/crescent-test-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    return rmdir(folder); /* what is left behind in it is a failure */
}

/* A configuration of these addresses, separated by spaces; admin NULL: off. "unix:x" stands in the folder. */
static struct config config_of(const char *listen, const char *admin, uint32_t workers)
{
    struct config c = {.workers = workers};
    struct slice rest = slice_of(listen), one;
    char path[128];

    while (slice_cut(&rest, ' ', &one)) {
        char *text = slice_dup(one);
        struct config_listen *l = config_add_listen(&c);

        NEED(config_parse_listen(text, false, l, NULL) == 0 && config_listen_look_up(l, NULL) == 0);
        snprintf(path, sizeof(path), "%s/%s", folder, l->path != NULL ? l->path : "");
        NEED(l->path == NULL || config_listen_place(l, need_strdup(path), NULL) == 0);
        free(text);
    }
    NEED(admin == NULL || config_parse_listen(admin, false, &c.admin, NULL) == 0);
    snprintf(path, sizeof(path), "%s/%s", folder, c.admin.path != NULL ? c.admin.path : "");
    NEED(c.admin.path == NULL || config_listen_place(&c.admin, need_strdup(path), NULL) == 0);
    return c;
}

static int open_set(struct sockets *s, const char *listen, const char *admin, uint32_t workers,
                    const struct sockets *have, struct error *err)
{
    struct config c = config_of(listen, admin, workers);
    int done = sockets_open(s, &c, have, (dur_t){0}, err);

    config_free(&c);
    return done;
}

static void open_well(struct sockets *s, const char *listen, const char *admin, uint32_t workers,
                      const struct sockets *have)
{
    struct error err;

    if (open_set(s, listen, admin, workers, have, &err) != 0)
        fail_msg("%s", err.text);
}

static unsigned port_of(int fd)
{
    struct sockaddr_in at;
    socklen_t len = sizeof(at);

    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    return ntohs(at.sin_port);
}

/* The number of the socket itself: duplicates have the same. */
static ino_t socket_of(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    return st.st_ino;
}

static size_t open_descriptors(void)
{
    size_t count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void an_address_that_stays_has_the_same_sockets(void **state)
{
    struct sockets a = {0}, b = {0};
    size_t before = open_descriptors();

    open_well(&a, "127.0.0.1:0 127.0.0.1:0 unix:s", "127.0.0.1:0", 3, NULL);
    assert_int_equal(a.worker_count, 7);
    assert_int_equal(a.keeper_count, 1);
    /* in another order, with a new address, another number of workers, and TLS */
    open_well(&b, "unix:s https://127.0.0.1:0 http://127.0.0.1:0 localhost:0", "127.0.0.1:0", 2, &a);
    assert_int_equal(socket_of(b.worker[0].fd), socket_of(a.worker[6].fd));
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(socket_of(b.worker[1 + i].fd), socket_of(a.worker[i].fd));
        assert_int_equal(b.worker[1 + i].listener, 1 + i / 3);
        assert_int_equal(b.worker[1 + i].member, i % 3);
        assert_int_equal(b.worker[1 + i].members, 3);
        assert_true(fcntl(b.worker[1 + i].fd, F_GETFD) & FD_CLOEXEC);
    }
    assert_int_equal(b.worker[7].members, 2);
    assert_int_equal(socket_of(b.keeper[0].fd), socket_of(a.keeper[0].fd));
    sockets_close(&a, &b);
    open_well(&a, "unix:s", NULL, 1, &b); /* the path was not removed with a */
    sockets_close(&b, &a);
    sockets_close(&a, NULL);
    assert_int_equal(open_descriptors(), before);
}

static void a_name_and_its_numbers_are_the_same_address(void **state)
{
    struct sockets a = {0}, b = {0};
    struct buf gone = {0};
    char text[64], both[64];

    open_well(&a, "127.0.0.1:0", NULL, 2, NULL); /* finds a free port */
    snprintf(text, sizeof(text), "127.0.0.1:%u", port_of(a.worker[0].fd));
    snprintf(both, sizeof(both), "localhost:%u", port_of(a.worker[0].fd));
    sockets_close(&a, NULL);
    open_well(&a, text, NULL, 2, NULL);
    open_well(&b, both, NULL, 2, &a);
    for (size_t i = 0, found = 0; i < b.worker_count || found != 2; i++) {
        assert_true(i < b.worker_count);
        found += socket_of(b.worker[i].fd) == socket_of(a.worker[found % 2].fd);
    }
    sockets_gone(&a, &b, &gone);
    assert_int_equal(gone.len, 0);
    sockets_gone(&b, &a, &gone); /* of a name, each address by itself: ::1, where there is one */
    assert_int_equal(gone.len, (b.worker_count - 2) / 2 * 4);
    sockets_close(&a, &b);
    open_well(&a, text, NULL, 2, &b);
    sockets_close(&b, &a);
    sockets_close(&a, NULL);
    buf_free(&gone);
}

static void what_the_server_itself_holds_is_said_so(void **state)
{
    struct sockets a = {0}, b = {0};
    struct error err;
    char text[64], words[256];
    unsigned port, admin;

    open_well(&a, "127.0.0.1:0 unix:s", "127.0.0.1:0", 2, NULL);
    port = port_of(a.worker[0].fd);
    admin = port_of(a.keeper[0].fd);
    snprintf(text, sizeof(text), "0.0.0.0:%u", port);
    snprintf(words, sizeof(words), "cannot listen on %s: this server itself holds 127.0.0.1:%u: that needs a restart",
             text, port);
    assert_int_equal(open_set(&b, text, NULL, 2, &a, &err), -1);
    assert_string_equal(err.text, words);
    snprintf(text, sizeof(text), "127.0.0.1:%u", admin); /* where requests come in now, and the operator before */
    snprintf(words, sizeof(words), "cannot listen on %s: this server itself holds %s: that needs a restart", text,
             text);
    assert_int_equal(open_set(&b, text, NULL, 2, &a, &err), -1);
    assert_string_equal(err.text, words);
    assert_int_equal(open_set(&b, "127.0.0.1:0", "unix:s", 2, &a, &err), -1);
    assert_non_null(strstr(err.text, "/s: this server itself holds it: that needs a restart"));
    snprintf(text, sizeof(text), "127.0.0.1:%u", port);
    sockets_close(&a, NULL);
    snprintf(words, sizeof(words), "%s 0.0.0.0:%u", text, port);
    assert_int_equal(open_set(&b, words, NULL, 2, NULL, &err), -1);
    snprintf(words, sizeof(words), "cannot listen on 0.0.0.0:%u: this configuration listens on %s already", port, text);
    assert_string_equal(err.text, words);
}

static void a_name_is_never_looked_up_here(void **state)
{
    struct config c = {.workers = 1};
    struct sockets a = {0};
    struct error err;

    NEED(config_parse_listen("localhost:0", false, config_add_listen(&c), NULL) == 0);
    assert_int_equal(sockets_open(&a, &c, NULL, (dur_t){0}, &err), -1);
    assert_string_equal(err.text, "cannot listen on localhost:0: it has no address");
    config_free(&c);
}

static void a_failure_touches_nothing(void **state)
{
    struct sockets a = {0}, b = {0}, other = {0};
    struct error err;
    char taken[64], at[128];
    size_t before;
    struct stat st;

    open_well(&other, "127.0.0.1:0", NULL, 1, NULL);
    open_well(&a, "127.0.0.1:0 unix:old", "127.0.0.1:0", 2, NULL);
    snprintf(taken, sizeof(taken), "unix:old unix:new 127.0.0.1:%u", port_of(other.worker[0].fd));
    before = open_descriptors();
    assert_int_equal(open_set(&b, taken, NULL, 2, &a, &err), -1);
    snprintf(taken, sizeof(taken), "cannot listen on 127.0.0.1:%u: Address already in use",
             port_of(other.worker[0].fd));
    assert_string_equal(err.text, taken);
    assert_int_equal(b.place_count, 0);
    assert_int_equal(open_descriptors(), before);
    snprintf(at, sizeof(at), "%s/old", folder);
    assert_int_equal(stat(at, &st), 0);
    snprintf(at, sizeof(at), "%s/new", folder);
    assert_int_equal(stat(at, &st), -1);
    sockets_close(&a, NULL);
    sockets_close(&other, NULL);
}

static void a_set_survives_an_exec(void **state)
{
    struct sockets a = {0}, back = {0};
    struct buf text = {0}, again = {0};
    struct error err;

    open_well(&a, "127.0.0.1:0 unix:s", "127.0.0.1:0", 2, NULL);
    assert_int_equal(sockets_inheritable(&a, true), 0);
    assert_false(fcntl(a.worker[1].fd, F_GETFD) & FD_CLOEXEC);
    sockets_write(&a, &text);
    if (sockets_read(buf_slice(&text), &back, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(fcntl(a.worker[1].fd, F_GETFD) & FD_CLOEXEC);
    sockets_write(&back, &again);
    assert_true(slice_equal(buf_slice(&text), buf_slice(&again)));
    assert_true(slice_equal(buf_slice(&a.listen_urls), buf_slice(&back.listen_urls)));
    /* the set read back goes on as the first: it knows its addresses, and removes its file */
    for (size_t i = 0; i < back.worker_count; i++)
        back.worker[i].fd = fcntl(back.worker[i].fd, F_DUPFD_CLOEXEC, 0);
    for (size_t i = 0; i < back.keeper_count; i++)
        back.keeper[i].fd = fcntl(back.keeper[i].fd, F_DUPFD_CLOEXEC, 0);
    sockets_close(&a, &back);
    open_well(&a, "127.0.0.1:0 unix:s", NULL, 2, &back);
    assert_int_equal(socket_of(a.worker[0].fd), socket_of(back.worker[0].fd));
    sockets_close(&back, &a);
    sockets_close(&a, NULL);
    buf_free(&text);
    buf_free(&again);
}

static void a_cut_or_foreign_description_is_refused(void **state)
{
    struct sockets a = {0}, back = {0};
    struct buf text = {0};
    struct error err;
    size_t before;

    open_well(&a, "127.0.0.1:0 unix:s", NULL, 1, NULL);
    sockets_write(&a, &text);
    before = open_descriptors();
    for (size_t len = 0; len < text.len; len++) {
        assert_int_equal(sockets_read((struct slice){text.at, len}, &back, &err), -1);
        assert_int_equal(back.place_count, 0);
    }
    assert_int_equal(open_descriptors(), before);
    buf_add_char(&text, 'x');
    assert_int_equal(sockets_read(buf_slice(&text), &back, &err), -1);
    text.len--;
    sockets_close(&a, NULL); /* now it names descriptors that are not open */
    assert_int_equal(sockets_read(buf_slice(&text), &back, &err), -1);
    buf_free(&text);
}

static void every_member_has_an_owner_and_every_worker_a_member(void **state)
{
    for (uint32_t members = 1; members <= 9; members++)
        for (uint32_t workers = 1; workers <= 9; workers++) {
            unsigned of_worker[9] = {0};

            for (uint32_t m = 0; m < members; m++) {
                struct heritage_socket one = {.member = m, .members = members};
                unsigned owners = 0;

                for (uint32_t w = 0; w < workers; w++)
                    if (heritage_owns(&one, w, workers)) {
                        owners++;
                        of_worker[w]++;
                        assert_true(members != workers || w == m);
                    }
                assert_int_equal(owners, members < workers ? workers : 1); /* too few: everybody's */
            }
            for (uint32_t w = 0; w < workers; w++)
                assert_true(of_worker[w] >= 1 &&
                            of_worker[w] <= (members < workers ? members : (members + workers - 1) / workers));
        }
}

static void a_waiting_connection_is_its_owners(void **state)
{
    struct sockets a = {0};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    open_well(&a, "127.0.0.1:0 unix:s", NULL, 2, NULL);
    to.sin_port = htons((uint16_t)port_of(a.worker[0].fd));
    assert_false(sockets_waiting(&a, 0, 2) || sockets_waiting(&a, 1, 2));
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_true(sockets_waiting(&a, 0, 2) != sockets_waiting(&a, 1, 2));
    assert_true(sockets_waiting(&a, 0, 1));
    close(fd);
    sockets_close(&a, NULL);
}

/* --- unix --- */

/* What a dead server leaves behind. */
static void leave_stale(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(at.sun_path, sizeof(at.sun_path), "%s/%s", folder, name);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    close(fd);
}

static void a_stale_path_makes_way_and_a_living_one_does_not(void **state)
{
    struct sockets a = {0}, b = {0};
    struct error err;
    char at[128];
    struct stat st;

    leave_stale("s");
    umask(077); /* the mode is ours to choose */
    open_well(&a, "unix:s", NULL, 4, NULL);
    umask(022);
    assert_int_equal(a.worker_count, 1);
    assert_int_equal(a.worker[0].member, HERITAGE_SHARED);
    snprintf(at, sizeof(at), "[\"http://unix:%s/s\"]", folder);
    assert_string_equal(buf_text(&a.listen_urls), at);
    snprintf(at, sizeof(at), "%s/s", folder);
    assert_int_equal(stat(at, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0666);
    assert_int_equal(open_set(&b, "unix:s", NULL, 4, NULL, &err), -1);
    assert_non_null(strstr(err.text, "Address already in use"));
    assert_int_equal(stat(at, &st), 0);
    sockets_close(&a, NULL);
    assert_int_equal(stat(at, &st), -1);
}

static void what_is_no_socket_is_never_removed(void **state)
{
    struct sockets a = {0};
    struct error err;
    char at[128], link[128];
    struct stat st;

    snprintf(at, sizeof(at), "%s/f", folder);
    snprintf(link, sizeof(link), "%s/l", folder);
    close(open(at, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(open_set(&a, "unix:f", NULL, 1, NULL, &err), -1);
    assert_non_null(strstr(err.text, "no socket"));
    assert_int_equal(stat(at, &st), 0);
    unlink(at);
    assert_int_equal(symlink(at, link), 0); /* to nowhere */
    assert_int_equal(open_set(&a, "unix:l", NULL, 1, NULL, &err), -1);
    assert_non_null(strstr(err.text, "no socket"));
    assert_int_equal(unlink(link), 0);
    assert_int_equal(open_set(&a, "unix:no/such", NULL, 1, NULL, &err), -1);
    assert_non_null(strstr(err.text, "No such file or directory"));
}

static void anothers_socket_at_our_path_is_left_alone(void **state)
{
    struct sockets a = {0}, b = {0};
    char at[128], aside[128];
    struct stat st;

    open_well(&a, "unix:s", NULL, 1, NULL);
    snprintf(at, sizeof(at), "%s/s", folder);
    snprintf(aside, sizeof(aside), "%s/aside", folder);
    assert_int_equal(rename(at, aside), 0);
    open_well(&b, "unix:s", NULL, 1, NULL);
    sockets_close(&a, NULL);
    assert_int_equal(stat(at, &st), 0);
    sockets_close(&b, NULL);
    assert_int_equal(stat(at, &st), -1);
    assert_int_equal(unlink(aside), 0);
}

static void a_path_that_vanished_is_bound_anew(void **state)
{
    struct sockets a = {0}, b = {0};
    struct buf gone = {0};
    char at[128];
    struct stat st;

    open_well(&a, "127.0.0.1:0 unix:s", NULL, 2, NULL);
    snprintf(at, sizeof(at), "%s/s", folder);
    unlink(at);
    open_well(&b, "127.0.0.1:0 unix:s", NULL, 2, &a);
    assert_int_equal(stat(at, &st), 0);
    assert_int_not_equal(socket_of(b.worker[2].fd), socket_of(a.worker[2].fd));
    sockets_gone(&a, &b, &gone);
    assert_int_equal(gone.len, 4);
    assert_int_equal(gone.at[0], 2);
    sockets_shut(&a, &b);
    sockets_close(&a, &b);
    assert_int_equal(stat(at, &st), 0); /* the new one's */
    sockets_close(&b, NULL);
    assert_int_equal(stat(at, &st), -1);
    buf_free(&gone);
}

static void draining_removes_the_path_first(void **state)
{
    struct sockets a = {0};
    char at[128];
    struct stat st;

    open_well(&a, "unix:s", NULL, 1, NULL);
    snprintf(at, sizeof(at), "%s/s", folder);
    sockets_shut(&a, NULL);
    assert_int_equal(stat(at, &st), -1);
    leave_stale("s"); /* somebody else's, from here on */
    sockets_close(&a, NULL);
    assert_int_equal(unlink(at), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_that_stays_has_the_same_sockets),
        cmocka_unit_test(a_name_and_its_numbers_are_the_same_address),
        cmocka_unit_test(what_the_server_itself_holds_is_said_so),
        cmocka_unit_test(a_name_is_never_looked_up_here),
        cmocka_unit_test(a_failure_touches_nothing),
        cmocka_unit_test(a_set_survives_an_exec),
        cmocka_unit_test(a_cut_or_foreign_description_is_refused),
        cmocka_unit_test(every_member_has_an_owner_and_every_worker_a_member),
        cmocka_unit_test(a_waiting_connection_is_its_owners),
        cmocka_unit_test(a_stale_path_makes_way_and_a_living_one_does_not),
        cmocka_unit_test(what_is_no_socket_is_never_removed),
        cmocka_unit_test(anothers_socket_at_our_path_is_left_alone),
        cmocka_unit_test(a_path_that_vanished_is_bound_anew),
        cmocka_unit_test(draining_removes_the_path_first),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
