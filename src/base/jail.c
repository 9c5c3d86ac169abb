/*
 * jail.c: see jail.h. Capabilities are set by the bare system call: the C library has no word for them.
 */
#include "base/jail.h"

#include "base/panic.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(capability) (UINT64_C(1) << (capability))

/* Of the capabilities that the process has, these stay. */
static int keep_capabilities(uint64_t wanted, struct error *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &header, data) != 0)
        return error_errno(err, "cannot read the capabilities");
    for (int i = 0; i < 2; i++) {
        data[i].permitted &= (uint32_t)(wanted >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
        return error_errno(err, "cannot give up ambient capabilities");
    if (syscall(SYS_capset, &header, data) != 0)
        return error_errno(err, "cannot give up capabilities");
    return 0;
}

static const uint64_t about_files = BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER) | BIT(CAP_CHOWN);

int jail_keep_few(struct error *err)
{
    return keep_capabilities(about_files | BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_SETUID) | BIT(CAP_SETGID) |
                                 BIT(CAP_KILL) | BIT(CAP_SYS_RESOURCE),
                             err);
}

static int change_ids(const struct jail_user *user, struct error *err)
{
    if (geteuid() == user->uid && getuid() == user->uid && getegid() == user->gid && geteuid() != 0)
        return 0; /* it is the one that it shall be, and may not set groups */
    if (setgroups(user->group_count, user->groups) != 0 || setresgid(user->gid, user->gid, user->gid) != 0 ||
        setresuid(user->uid, user->uid, user->uid) != 0)
        return error_errno(err, "cannot become user %s", user->name);
    if (user->uid != 0 && setresuid(-1, 0, -1) == 0)
        return error_set(err, "became user %s, and could become root again", user->name);
    return 0;
}

int jail_become(const struct jail_user *user, struct error *err)
{
    pid_t parent = getppid();

    if (user->name != NULL && change_ids(user, err) != 0)
        return -1;
    if (keep_capabilities(geteuid() == 0 ? about_files : 0, err) != 0)
        return -1;
    /* The kernel forgets it with a change of ids; and the parent may have died in between. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return error_errno(err, "death signal");
    return getppid() == parent ? 0 : error_set(err, "the supervisor has gone");
}

void jail_hide(void)
{
    if (!JAIL_SANITIZED)
        prctl(PR_SET_DUMPABLE, 0);
}

/* The kernel forgets the last two with each change of ids. */
static void take_down(struct jail_own *own)
{
    own->uid = geteuid();
    own->gid = getegid();
    own->group_count = getgroups(2 * JAIL_GROUPS_MAX, own->groups);
    own->dumpable = prctl(PR_GET_DUMPABLE);
    if (prctl(PR_GET_PDEATHSIG, &own->death_signal) != 0)
        own->death_signal = 0;
}

int jail_borrow(const struct jail_user *user, struct jail_own *own_out, struct error *err)
{
    take_down(own_out);
    if (own_out->group_count < 0)
        return error_errno(err, "user %s", user->name);
    if (setgroups(user->group_count, user->groups) == 0 && setegid(user->gid) == 0 && seteuid(user->uid) == 0)
        return 0;
    error_errno(err, "user %s", user->name);
    jail_give_back(own_out);
    return -1;
}

void jail_give_back(const struct jail_own *own)
{
    int kept = errno;

    NEED(seteuid(own->uid) == 0 && setegid(own->gid) == 0 && setgroups((size_t)own->group_count, own->groups) == 0);
    prctl(PR_SET_DUMPABLE, own->dumpable); /* refused where it is the system's own third kind, which it then is again */
    prctl(PR_SET_PDEATHSIG, own->death_signal);
    errno = kept;
}

void jail_close(void)
{
    const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none); /* to lower a limit is always allowed */
    jail_hide();
}

void jail_close_supervisor(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_CORE, &limit) == 0) {
        limit.rlim_cur = 0;
        setrlimit(RLIMIT_CORE, &limit);
    }
    jail_hide();
}

int jail_enter(const struct jail_rules *rules, bool *files_out, struct error *err)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_errno(err, "no new privileges");
    if (jail_files(rules, files_out, err) != 0)
        return -1;
    return jail_calls(rules, err);
}
