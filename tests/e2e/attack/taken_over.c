/*
 * taken_over.c: preloaded, makes a worker do what one that was taken over would: a name that is looked up says what,
 * or one of a file that is opened. The answer is how it went: 127.0.0.1 (the file /dev/null) where the call succeeded,
 * "no such name" ("Permission denied") where it was refused.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static long starts_a_program(void)
{
    char *const argv[] = {"true", NULL};
    return syscall(SYS_execve, "/usr/bin/true", argv, argv + 1);
}

static long traces(void)
{
    return syscall(SYS_ptrace, PTRACE_ATTACH, getppid(), NULL, NULL);
}

static long forks(void)
{
    return syscall(SYS_fork);
}

/* At the terminal that the server was started at, if it is still descriptor 0; the order alone must end it. */
static long types(void)
{
    return syscall(SYS_ioctl, 0, TIOCSTI, "x");
}

static long reads_passwords(void)
{
    return open("/etc/shadow", O_RDONLY);
}

static long reads_the_store(void)
{
    return open("crescent.db", O_RDONLY);
}

static long reads_the_configuration(void)
{
    return open("crescent.lua", O_RDONLY);
}

static long writes_a_hook(void)
{
    return open("hooks/index.lua", O_WRONLY | O_CREAT, 0600);
}

static long reaches_a_local_service(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0);
}

static long asks_the_table_of_sockets(void)
{
    return socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG);
}

static long takes_an_address(void)
{
    const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(18431)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? 0 : bind(fd, (const struct sockaddr *)&any, sizeof(any)); /* 0: a socket it must get */
}

static long listens(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? 0 : listen(fd, 1);
}

static long opens_a_folder_to_all(void)
{
    return chmod(".", 0777);
}

static long ends_the_supervisor(void)
{
    return kill(getppid(), SIGKILL);
}

/* The keeper and the other workers: all children of its parent. */
static long ends_the_others(void)
{
    char path[64];
    int pid;
    long done = -1;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", getppid(), getppid());
    FILE *children = fopen(path, "r");
    if (children == NULL)
        return 0; /* so that the test sees that it has tried nothing */
    while (fscanf(children, "%d", &pid) == 1)
        if (pid != getpid() && kill(pid, SIGKILL) == 0)
            done = 0;
    fclose(children);
    return done;
}

static struct sockaddr_in admin_listener(void)
{
    const char *port = getenv("TAKEN_OVER_ADMIN");
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((unsigned short)atoi(port != NULL ? port : "0")),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* 0 where the admin listener gives its figures to this socket. */
static long asks_by(int fd)
{
    static const char question[] = "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
    const struct sockaddr_in admin = admin_listener();
    const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    char answer[13] = "";

    if (fcntl(fd, F_SETFL, 0) != 0 || connect(fd, (const struct sockaddr *)&admin, sizeof(admin)) != 0 ||
        send(fd, question, sizeof(question) - 1, 0) < 0 || recv(fd, answer, sizeof(answer) - 1, MSG_WAITALL) < 12)
        return 0;                           /* it must get an answer */
    connect(fd, &nowhere, sizeof(nowhere)); /* so that another one of this address may connect */
    return strcmp(answer + 9, "403") == 0 ? -1 : 0;
}

/* Whether a connection to the admin listener's port can be made at all. */
static long reaches_the_admin(void)
{
    const struct sockaddr_in admin = admin_listener();
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? 0 : connect(fd, (const struct sockaddr *)&admin, sizeof(admin)); /* 0: a socket it must get */
}

/* The same without a call of connect: by the first message (TCP Fast Open). */
static long reaches_by_a_message(int fd)
{
    const struct sockaddr_in admin = admin_listener();
    return sendto(fd, "x", 1, MSG_FASTOPEN, (const struct sockaddr *)&admin, sizeof(admin)) < 0 && errno != EINPROGRESS
               ? -1
               : 0;
}

static long reaches_the_admin_by_a_message(void)
{
    return reaches_by_a_message(socket(AF_INET, SOCK_STREAM, 0));
}

#define KEPT 100 /* where those begin that are kept */

static int is_listening(int fd)
{
    int on;
    socklen_t len = sizeof(on);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on == 1;
}

/* A socket that root has made: one that this worker listens at, or has kept. Below 0: there is none. */
static int a_listener(void)
{
    for (int fd = 3; fd < 2 * KEPT; fd++)
        if (is_listening(fd))
            return fd;
    return -1;
}

static long reaches_the_admin_by_a_listeners_message(void)
{
    int fd = a_listener();
    return fd < 0 || shutdown(fd, SHUT_RDWR) != 0 ? 0 : reaches_by_a_message(fd);
}

static long asks_the_admin(void)
{
    return asks_by(socket(AF_INET, SOCK_STREAM, 0));
}

/* It is no listener any more when it is shut. */
static long asks_the_admin_by_a_listener(void)
{
    int fd = a_listener();
    return fd < 0 || shutdown(fd, SHUT_RDWR) != 0 ? 0 : asks_by(fd);
}

/* So that it has them still when it is told to close those that it had. */
static long keeps_its_listeners(void)
{
    long kept = -1;

    for (int fd = 3; fd < KEPT; fd++)
        if (is_listening(fd))
            kept = fcntl(fd, F_DUPFD_CLOEXEC, KEPT);
    return kept;
}

static const struct {
    const char *name;
    long (*act)(void);
} acts[] = {
    {"execve", starts_a_program},
    {"ptrace", traces},
    {"fork", forks},
    {"tiocsti", types},
    {"shadow", reads_passwords},
    {"store", reads_the_store},
    {"configuration", reads_the_configuration},
    {"hooks", writes_a_hook},
    {"local", reaches_a_local_service},
    {"sockets", asks_the_table_of_sockets},
    {"bind", takes_an_address},
    {"listen", listens},
    {"chmod", opens_a_folder_to_all},
    {"supervisor", ends_the_supervisor},
    {"others", ends_the_others},
    {"reach", reaches_the_admin},
    {"message", reaches_the_admin_by_a_message},
    {"listeners-message", reaches_the_admin_by_a_listeners_message},
    {"admin", asks_the_admin},
    {"listener", asks_the_admin_by_a_listener},
    {"keep", keeps_its_listeners},
};

/* 1: the name is none of an act. */
static long act(const char *name)
{
    const char *end = name != NULL ? strrchr(name, '.') : NULL;

    if (end == NULL || strcmp(end, ".taken-over") != 0)
        return 1;
    for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
        if (strlen(acts[i].name) == (size_t)(end - name) && memcmp(acts[i].name, name, (size_t)(end - name)) == 0)
            return acts[i].act() < 0 ? -1 : 0;
    return 0; /* so that a test sees that it is asked at all */
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(RTLD_NEXT,
                                                                                                "getaddrinfo");
    long done = act(name);

    if (done < 0)
        return EAI_NONAME;
    return real(done == 0 ? "127.0.0.1" : name, service, hints, result);
}

/* For workers that look no names up. */
FILE *fopen64(const char *name, const char *mode)
{
    FILE *(*real)(const char *, const char *) = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen64");
    long done = act(name);

    if (done < 0) {
        errno = EACCES;
        return NULL;
    }
    return real(done == 0 ? "/dev/null" : name, mode);
}

FILE *fopen(const char *name, const char *mode)
{
    return fopen64(name, mode);
}
