/*
 * taken_over.c: preloaded, makes a worker do what one that was taken over would: a name that is looked up says what.
 * The answer is how it went: 127.0.0.1 where the call succeeded, "no such name" where it was refused.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static long act(const char *name)
{
    char *const argv[] = {"true", NULL};
    if (strcmp(name, "execve.taken-over") == 0)
        return syscall(SYS_execve, "/usr/bin/true", argv, argv + 1);
    if (strcmp(name, "ptrace.taken-over") == 0)
        return syscall(SYS_ptrace, PTRACE_ATTACH, getppid(), NULL, NULL);
    if (strcmp(name, "shadow.taken-over") == 0)
        return open("/etc/shadow", O_RDONLY);
    if (strcmp(name, "store.taken-over") == 0)
        return open("crescent.db", O_RDONLY);
    if (strcmp(name, "hooks.taken-over") == 0)
        return open("hooks/index.lua", O_WRONLY | O_CREAT, 0600);
    if (strcmp(name, "fork.taken-over") == 0)
        return syscall(SYS_fork);
    if (strcmp(name, "local.taken-over") == 0)
        return socket(AF_UNIX, SOCK_STREAM, 0);
    return 0; /* so that a test sees that it is asked at all */
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(RTLD_NEXT,
                                                                                                "getaddrinfo");
    const char *end = name != NULL ? strrchr(name, '.') : NULL;
    if (end == NULL || strcmp(end, ".taken-over") != 0)
        return real(name, service, hints, result);
    return act(name) < 0 ? EAI_NONAME : real("127.0.0.1", service, hints, result);
}
