/*
 * Each case is a process of its own that enters the jail and then does what code that was taken over would do; how it
 * ends says what it met. Sanitizers need to trace and to start programs, so that these cases are left out under them.
 */
#include "base/jail.h"

#include "base/panic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/io_uring.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
// cmocka wants the headers above first
#include <cmocka.h>

#define STOPPED (256 + SIGSYS)

static char folder[] = "/tmp/crescent-jail-XXXXXX", inside[64], outside[64];

static int errno_of(long result)
{
    return result < 0 ? errno : 0;
}

/* What it ended with: an exit status (an errno, by the cases' own doing), or 256 and a signal. */
static int end_of(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int in_jail(enum jail_role role, int (*act)(void))
{
    pid_t pid = fork();

    if (pid == 0) {
        const struct jail_path paths[] = {{"/usr", false}, {"/lib", false}, {"/proc", false}, {inside, true}};
        const struct jail_rules rules = {.role = role, .paths = paths, .path_count = 4};
        struct error err;
        bool ruled;

        jail_close();
        if (jail_enter(&rules, &ruled, &err) != 0) {
            fprintf(stderr, "%s\n", err.text);
            _exit(255);
        }
        _exit(act());
    }
    return end_of(pid);
}

static bool has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

/* --- what ends it --- */

static int starts_a_program(void)
{
    char *const argv[] = {(char *)"true", NULL};
    return errno_of(execve("/usr/bin/true", argv, argv + 1));
}

static int starts_a_program_by_descriptor(void)
{
    char *const argv[] = {(char *)"true", NULL};
    int fd = open("/usr/bin/true", O_RDONLY | O_CLOEXEC);
    return errno_of(syscall(SYS_execveat, fd, "", argv, argv + 1, AT_EMPTY_PATH));
}

static int traces(void)
{
    return errno_of(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int reads_anothers_memory(void)
{
    char byte;
    return errno_of(
        syscall(SYS_process_vm_readv, getppid(), &(struct iovec){&byte, 1}, 1, &(struct iovec){&byte, 1}, 1, 0));
}

static int mounts(void)
{
    return errno_of(syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL));
}

static int unshares(void)
{
    return errno_of(unshare(CLONE_NEWUSER));
}

static int becomes_root(void)
{
    return errno_of(syscall(SYS_setresuid, 0, 0, 0));
}

static int asks_io_uring(void)
{
    struct io_uring_params params = {0};
    return errno_of(syscall(SYS_io_uring_setup, 1, &params));
}

static int loads_a_filter_into_the_kernel(void)
{
    return errno_of(syscall(SYS_bpf, 0, NULL, 0));
}

static int loads_a_module(void)
{
    return errno_of(syscall(SYS_finit_module, -1, "", 0));
}

static int types_into_a_terminal(void)
{
    return errno_of(syscall(SYS_ioctl, 0, UINT64_C(0x100000000) | TIOCSTI, "x"));
}

static int asks_as_another_machine(void)
{
#ifdef __x86_64__
    long result;
    signal(SIGSEGV, SIG_DFL); /* cmocka's is none to end with */
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
    return 0;
#else
    return errno_of(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
#endif
}

/* How it ends outside of the jail where the kernel has no such calls; by the filter else. */
static int end_as_another_machine(void)
{
#ifdef __x86_64__
    pid_t pid = fork();

    if (pid == 0)
        _exit(asks_as_another_machine());
    if (end_of(pid) == 256 + SIGSEGV)
        return 256 + SIGSEGV;
#endif
    return STOPPED;
}

static void what_no_honest_process_does_ends_it(void **unused)
{
    static int (*const acts[])(void) = {starts_a_program,
                                        starts_a_program_by_descriptor,
                                        traces,
                                        types_into_a_terminal,
                                        asks_as_another_machine,
                                        reads_anothers_memory,
                                        mounts,
                                        unshares,
                                        becomes_root,
                                        asks_io_uring,
                                        loads_a_filter_into_the_kernel,
                                        loads_a_module};

    const int other = end_as_another_machine();

    for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
        for (enum jail_role role = JAIL_KEEPER; role <= JAIL_TRIAL; role++)
            if (!JAIL_SANITIZED || i > 4)
                assert_int_equal(in_jail(role, acts[i]), acts[i] == asks_as_another_machine ? other : STOPPED);
}

/* --- what is refused --- */

static int forks(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return errno_of(pid);
}

static int reads_the_passwords(void)
{
    return errno_of(open("/etc/shadow", O_RDONLY | O_CLOEXEC));
}

static int writes_outside(void)
{
    return errno_of(open(outside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int overwrites_a_program(void)
{
    return errno_of(open("/usr/bin/true", O_WRONLY | O_CLOEXEC));
}

static int makes_an_unknown_call(void)
{
    return errno_of(syscall(SYS_clone3, NULL, 0));
}

static int opens_a_local_socket(void)
{
    return errno_of(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int opens_a_socket(void)
{
    return errno_of(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int connects(void)
{
    const struct sockaddr_in nobody = {
        .sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return errno_of(connect(0, (const struct sockaddr *)&nobody, sizeof(nobody)));
}

static int changes_a_mode(void)
{
    return errno_of(chmod(inside, 0777));
}

static int signals_another(void)
{
    return errno_of(kill(getppid(), 0));
}

static int listens(void)
{
    return errno_of(listen(0, 1));
}

static void what_is_not_its_part_is_refused(void **unused)
{
    for (enum jail_role role = JAIL_KEEPER; role <= JAIL_TRIAL; role++) {
        if (!JAIL_SANITIZED) {
            assert_int_equal(in_jail(role, forks), EPERM);
            assert_int_equal(in_jail(role, makes_an_unknown_call), ENOSYS);
            assert_int_equal(in_jail(role, changes_a_mode), ENOSYS);
            assert_int_equal(in_jail(role, signals_another), ENOSYS);
            assert_int_equal(in_jail(role, listens), ENOSYS);
        }
        assert_int_equal(in_jail(role, opens_a_local_socket), EACCES);
        if (!has_landlock())
            continue;
        assert_int_equal(in_jail(role, reads_the_passwords), EACCES);
        assert_int_equal(in_jail(role, writes_outside), EACCES);
        assert_int_equal(in_jail(role, overwrites_a_program), EACCES);
    }
    assert_int_equal(in_jail(JAIL_KEEPER, opens_a_socket), EACCES);
    assert_int_equal(in_jail(JAIL_TRIAL, opens_a_socket), EACCES);
    assert_int_equal(in_jail(JAIL_KEEPER, connects), EACCES);
    assert_int_equal(in_jail(JAIL_TRIAL, connects), EACCES);
}

/* --- what goes on --- */

static void *nothing(void *cookie)
{
    return cookie;
}

static int works(void)
{
    char path[128];
    pthread_t thread;
    void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    snprintf(path, sizeof(path), "%s/saved", inside);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 || fsync(fd) != 0 || unlink(path) != 0)
        return 1;
    if (open("/usr/bin/true", O_RDONLY | O_CLOEXEC) < 0)
        return 2;
    if (pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
        return 3;
    if (code == MAP_FAILED || mprotect(code, 4096, PROT_READ | PROT_EXEC) != 0) /* what a compiler needs */
        return 4;
    return 0;
}

static int asks_others(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in nobody = {
        .sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return fd < 0 ? 1 : errno_of(connect(fd, (const struct sockaddr *)&nobody, sizeof(nobody)));
}

static int has_its_mark(void)
{
    char text[4096];
    FILE *file = fopen("/proc/self/status", "re");
    size_t len = file != NULL ? fread(text, 1, sizeof(text) - 1, file) : 0;

    text[len] = '\0';
    if (strstr(text, "\nNoNewPrivs:\t1\n") == NULL)
        return 1;
    if (strstr(text, "\nSeccomp:\t2\n") == NULL)
        return 2;
    struct rlimit core;
    return getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0 ? 3 : 0;
}

static void its_own_work_goes_on(void **unused)
{
    assert_int_equal(in_jail(JAIL_WORKER, works), 0);
    assert_int_equal(in_jail(JAIL_KEEPER, works), 0);
    assert_int_equal(in_jail(JAIL_WORKER, asks_others), ECONNREFUSED);
    for (enum jail_role role = JAIL_KEEPER; role <= JAIL_TRIAL; role++)
        assert_int_equal(in_jail(role, has_its_mark), 0);
}

/* --- the user --- */

static int become_nobody(void)
{
    struct jail_user user = {.name = (char *)"nobody", .uid = 65534, .gid = 65534, .groups = {4}, .group_count = 1};
    struct error err;
    gid_t groups[4];
    char text[4096];

    if (jail_become(&user, &err) != 0)
        return 1;
    if (getuid() != 65534 || geteuid() != 65534 || getgid() != 65534 || getgroups(4, groups) != 1 || groups[0] != 4)
        return 2;
    if (setuid(0) == 0 || setgid(0) == 0)
        return 3;
    FILE *file = fopen("/proc/self/status", "re");
    size_t len = file != NULL ? fread(text, 1, sizeof(text) - 1, file) : 0;
    text[len] = '\0';
    if (strstr(text, "\nCapEff:\t0000000000000000\n") == NULL || strstr(text, "\nCapPrm:\t0000000000000000\n") == NULL)
        return 4;
    int signal_number = 0;
    return prctl(PR_GET_PDEATHSIG, &signal_number) != 0 || signal_number != SIGKILL ? 5 : 0;
}

static void a_user_is_become_for_good(void **unused)
{
    if (geteuid() != 0)
        skip();
    pid_t pid = fork();
    if (pid == 0)
        _exit(become_nobody());
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_no_honest_process_does_ends_it),
        cmocka_unit_test(what_is_not_its_part_is_refused),
        cmocka_unit_test(its_own_work_goes_on),
        cmocka_unit_test(a_user_is_become_for_good),
    };

    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(inside, sizeof(inside), "%s/files", folder);
    snprintf(outside, sizeof(outside), "%s/outside", folder);
    mkdir(inside, 0700);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(inside);
    unlink(outside);
    rmdir(folder);
    return failed;
}
