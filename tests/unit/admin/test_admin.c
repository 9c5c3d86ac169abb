/*
 * test_admin.c: the admin listener answers its three paths and nothing else, to nobody under a foreign name, and its
 * figures only for the token. The client is a plain socket: what is sent and read here is HTTP by hand.
 */
#include "../reload/fake.h"
#include "admin/admin.h"
#include "admin/metrics.h"
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

static struct fake *fake;
static struct admin *admin;
static struct sockaddr_in address;

static int begin(void **state)
{
    void *made;
    socklen_t len = sizeof(address);
    signal(SIGPIPE, SIG_IGN); /* as in the keeper */
    fake_setup(&made);
    fake = made;
    fake->config.admin_token = need_strdup("s3cret");
    free(fake->config.admin.host);
    fake->config.admin.host = need_strdup("admin.example");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(listen(fd, 16), 0);
    struct heritage_socket socket = {.fd = fd, .listener = UINT32_MAX};
    struct heritage heritage = {.sockets = &socket, .socket_count = 1};
    fake_write(fake, "a.lua", "BAD");
    fake_begin_keeper(fake, -1, 0);
    const struct admin_host host = {.loop = fake->loop,
                                    .config = &fake->config,
                                    .area = fake->area,
                                    .reload = fake->reload,
                                    .heritage = &heritage,
                                    .tls_ends = 2000000000};
    admin = admin_new(&host);
    return 0;
}

static int remove_folder(void **state)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", fake->root);
    return system(command);
}

/* The whole answer to a request, which must end the connection itself. */
static const char *ask(const char *request)
{
    static char answer[32 << 10];
    size_t len = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(fd_write_all(fd, slice_of(request)), 0);
    for (int i = 0; i < 200; i++) {
        loop_pass(fake->loop, DUR_MS(2));
        ssize_t got = recv(fd, answer + len, sizeof(answer) - 1 - len, MSG_DONTWAIT);
        if (got == 0)
            break;
        len += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    answer[len] = '\0';
    return answer;
}

static int status_of(const char *request)
{
    int status = 0;
    assert_int_equal(sscanf(ask(request), "HTTP/1.%*d %d", &status), 1);
    return status;
}

#define GET(path, headers) "GET " path " HTTP/1.1\r\nConnection: close\r\n" headers "\r\n"
#define LOCAL "Host: localhost:8081\r\n"
#define TOKEN "Authorization: Bearer s3cret\r\n"

static void its_paths_and_no_other(void **state)
{
    assert_int_equal(status_of(GET("/healthz", LOCAL)), 200);
    assert_int_equal(status_of(GET("/metrics", LOCAL TOKEN)), 200);
    assert_int_equal(status_of(GET("/", LOCAL)), 404);
    assert_non_null(strstr(ask(GET("/", LOCAL)), "crescent-admin: 1")); /* by which the command line knows it */
    assert_int_equal(status_of(GET("/healthz/x", LOCAL)), 404);
    assert_int_equal(status_of("POST /healthz HTTP/1.1\r\nConnection: close\r\n" LOCAL "Content-Length: 0\r\n\r\n"),
                     405);
}

static void a_foreign_name_is_refused(void **state)
{
    assert_int_equal(status_of(GET("/healthz", "Host: evil.example\r\n")), 403);
    assert_int_equal(status_of(GET("/metrics", "Host: evil.example\r\n" TOKEN)), 403);
    assert_int_equal(status_of(GET("/healthz", "Host: 127.0.0.1.evil.example\r\n")), 403);
    assert_int_equal(status_of(GET("/healthz", "Host: localhost.evil.example\r\n")), 403);
    assert_int_equal(status_of(GET("/healthz", "Host: [::1\r\n")), 403);
    assert_int_equal(status_of(GET("/healthz", "Host: admin.example:8081\r\n")), 200);
    assert_int_equal(status_of(GET("/healthz", "Host: 192.0.2.7:8081\r\n")), 200);
    assert_int_equal(status_of(GET("/healthz", "Host: [2001:db8::1]:8081\r\n")), 200);
    assert_int_equal(status_of("GET /healthz HTTP/1.0\r\n\r\n"), 200); /* health checkers that send none */
}

static void figures_only_for_the_token(void **state)
{
    assert_int_equal(status_of(GET("/metrics", LOCAL)), 401);
    assert_non_null(strstr(ask(GET("/metrics", LOCAL)), "www-authenticate: Bearer"));
    assert_int_equal(status_of(GET("/metrics", LOCAL "Authorization: Bearer s3cre\r\n")), 401);
    assert_int_equal(status_of(GET("/metrics", LOCAL "Authorization: Bearer s3crets\r\n")), 401);
    assert_int_equal(status_of(GET("/metrics", LOCAL "Authorization: Basic s3cret\r\n")), 401);
    assert_int_equal(status_of(GET("/metrics", LOCAL "Authorization: Bearer\r\n")), 401);
    assert_int_equal(status_of(GET("/metrics", LOCAL "Authorization: bearer s3cret\r\n")), 200);
}

#define POST(path, headers) "POST " path " HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n" headers "\r\n"
#define ORDER "/api/v1/scripts/a/unquarantine"

static void orders_are_for_the_token_and_no_other_site(void **state)
{
    assert_int_equal(status_of(POST(ORDER, LOCAL TOKEN)), 200);
    assert_int_equal(status_of(POST(ORDER, LOCAL)), 401);
    assert_int_equal(status_of(GET(ORDER, LOCAL TOKEN)), 405);
    assert_non_null(strstr(ask(GET(ORDER, LOCAL TOKEN)), "allow: POST"));
    assert_int_equal(status_of(POST("/api/v1/quarantine", LOCAL TOKEN)), 405);
    assert_int_equal(status_of(GET("/api/v1/quarantine", LOCAL)), 401);
    assert_int_equal(status_of(POST(ORDER, LOCAL TOKEN "Origin: http://localhost:8081\r\n")), 200);
    assert_int_equal(status_of(POST(ORDER, LOCAL TOKEN "Origin: http://localhost:8082\r\n")), 403);
    assert_int_equal(status_of(POST(ORDER, LOCAL TOKEN "Origin: http://localhost\r\n")), 403);
    assert_int_equal(status_of(POST(ORDER, LOCAL TOKEN "Origin: null\r\n")), 403);
    assert_int_equal(status_of(POST(ORDER, LOCAL TOKEN "Origin: localhost:8081\r\n")), 403);
    assert_int_equal(status_of(POST(ORDER, LOCAL TOKEN "Origin:\r\n")), 403);
    assert_int_equal(status_of(POST(ORDER, "Host: evil.example\r\n" TOKEN)), 403);
}

static void an_order_names_a_script(void **state)
{
    assert_non_null(strstr(ask(POST(ORDER, LOCAL TOKEN)), "{\"endpoint\":\"a\",\"was_quarantined\":false}"));
    assert_int_equal(status_of(POST("/api/v1/scripts//unquarantine", LOCAL TOKEN)), 404);
    assert_int_equal(status_of(POST("/api/v1/scripts/unquarantine", LOCAL TOKEN)), 404);
    assert_int_equal(status_of(POST("/api/v1/scripts/a", LOCAL TOKEN)), 404);
    assert_int_equal(status_of(POST("/api/v1/scripts/b/unquarantine", LOCAL TOKEN)), 404);
    assert_int_equal(status_of(POST("/api/v1/scripts/%61/unquarantine", LOCAL TOKEN)), 200);
    assert_int_equal(status_of(POST("/api/v1/scripts/%00/unquarantine", LOCAL TOKEN)), 404);
    assert_non_null(strstr(ask(GET("/api/v1/quarantine", LOCAL TOKEN)), "{\"quarantined\":[]}"));
}

static void ready_is_live_and_serving_and_not_draining(void **state)
{
    assert_int_equal(status_of(GET("/readyz", LOCAL)), 503);
    while (!reload_is_live(fake->reload))
        loop_pass(fake->loop, DUR_MS(2));
    assert_int_equal(status_of(GET("/readyz", LOCAL)), 503);
    atomic_store(&fake->area->worker[1].state, AREA_SERVING);
    assert_int_equal(status_of(GET("/readyz", LOCAL)), 200); /* a broken script does not count */
    admin_drain(admin);
    assert_int_equal(status_of(GET("/readyz", LOCAL)), 503);
    assert_int_equal(status_of(GET("/healthz", LOCAL)), 200);
}

static void figures_are_sums_over_all_processes(void **state)
{
    counters_add(&fake->area->worker[0].counters, COUNTER_requests_2xx, 3);
    counters_add(&fake->area->worker[1].counters, COUNTER_requests_2xx, 4);
    counters_refused(&fake->area->worker[1].counters, 1);
    const char *text = ask(GET("/metrics", LOCAL TOKEN));
    assert_non_null(strstr(text, "\ncrescent_requests_total{class=\"2xx\"} 7\n"));
    assert_non_null(strstr(text, "\ncrescent_refused_total{reason=\"no_route\"} 1\n"));
    assert_non_null(strstr(text, "\ncrescent_scripts 1\n"));
    assert_non_null(strstr(text, "\ncrescent_scripts_broken 1\n"));
    assert_non_null(strstr(text, "\ncrescent_workers_serving 1\n"));
    assert_non_null(strstr(text, "\ncrescent_reload_errors_total 1\n"));
    assert_non_null(strstr(text, "\ncrescent_tls_certificate_expiry_seconds 2000000000\n"));
    const char *type = "# TYPE crescent_requests_total counter\n"; /* once for all its labels */
    assert_null(strstr(strstr(text, type) + 1, type));
}

/* --- more connections than are let in ----------------------------------------------------------------------------- */

enum { FULL = 100 };

static void passes(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        loop_pass(fake->loop, DUR_MS(1));
}

/* A connection that has been let in, and has sent this. */
static int guest(const char *bytes)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(fd_write_all(fd, slice_of(bytes)), 0);
    passes(3);
    return fd;
}

/* Whether the server has ended it; what came before is read. */
static bool ended(int fd)
{
    char room[4096];
    ssize_t got;
    while ((got = recv(fd, room, sizeof(room), MSG_DONTWAIT)) > 0)
        continue;
    return got == 0 || errno == ECONNRESET;
}

static uint64_t cut(void)
{
    return counters_get(&fake->area->keeper, COUNTER_cut_admin);
}

static void who_has_waited_longest_makes_room(void **state)
{
    int fds[FULL];
    uint64_t before = cut();
    for (int i = 0; i < FULL; i++)
        fds[i] = guest("GET /healthz HTTP/1.1\r\nHos");
    assert_int_equal(cut(), before);
    /* It has asked now, so the next one waits longest. */
    assert_int_equal(fd_write_all(fds[0], SLICE("t: localhost\r\n\r\n")), 0);
    passes(5);
    assert_int_equal(status_of(GET("/healthz", LOCAL)), 200);
    assert_int_equal(cut(), before + 1);
    assert_true(ended(fds[1]));
    assert_false(ended(fds[0]));
    assert_false(ended(fds[2]));
    char line[96];
    snprintf(line, sizeof(line), "\ncrescent_connections_cut_total{reason=\"admin_connections\"} %d\n",
             (int)before + 1);
    assert_non_null(strstr(ask(GET("/metrics", LOCAL TOKEN)), line));
    for (int i = 0; i < FULL; i++)
        close(fds[i]);
    passes(20);
    assert_int_equal(cut(), before + 1);
}

static void who_takes_no_answers_makes_room_as_well(void **state)
{
    int fds[FULL];
    const char request[] = "GET /metrics HTTP/1.1\r\n" LOCAL TOKEN "\r\n";
    fds[0] = guest("");
    int small = 4096;
    assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    for (int i = 0; i < 500; i++) /* until an answer has no room in the kernel: then no more is read */
        if (send(fds[0], request, sizeof(request) - 1, MSG_DONTWAIT) == -1)
            break;
        else
            passes(1);
    for (int i = 1; i < FULL; i++)
        fds[i] = guest("G");
    uint64_t before = cut(), descriptors = fd_count() - 1;
    assert_int_equal(status_of(GET("/healthz", LOCAL)), 200);
    assert_int_equal(cut(), before + 1);
    passes(5);
    assert_int_equal(fd_count(), descriptors); /* the server's end of it is closed */
    for (int i = 0; i < FULL; i++)
        close(fds[i]);
    passes(20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_paths_and_no_other),
        cmocka_unit_test(a_foreign_name_is_refused),
        cmocka_unit_test(figures_only_for_the_token),
        cmocka_unit_test(orders_are_for_the_token_and_no_other_site),
        cmocka_unit_test(an_order_names_a_script),
        cmocka_unit_test(ready_is_live_and_serving_and_not_draining),
        cmocka_unit_test(figures_are_sums_over_all_processes),
        cmocka_unit_test(who_has_waited_longest_makes_room),
        cmocka_unit_test(who_takes_no_answers_makes_room_as_well),
    };
    /* The listener lives as long as its process: it is made once, and no leak at the end. */
    int failed = cmocka_run_group_tests(tests, begin, remove_folder);
    fflush(NULL);
    _exit(failed);
}
