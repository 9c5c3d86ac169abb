/*
 * unit.c: runs a program as a unit of systemd with SystemCallFilter= and NoNewPrivileges= does: within the system calls
 * that are named, for all others it gets EPERM. unit NAME,NAME,… PROGRAM [ARGUMENT …]; names this machine lacks are
 * left out.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (argc < 3 || filter == NULL)
        return 2;
    for (char *name = strtok(argv[1], ","); name != NULL; name = strtok(NULL, ",")) {
        int number = seccomp_syscall_resolve_name(name);
        if (number >= 0 && seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0) != 0)
            return 2;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || seccomp_load(filter) != 0)
        return 2;
    seccomp_release(filter);
    execv(argv[2], argv + 2);
    perror(argv[2]);
    return 2;
}
