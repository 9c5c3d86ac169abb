/*
 * jail_files.c: the files, and ports of TCP, that a process may reach from now on, by Landlock (landlock(7)). What it
 * has open stays open. The C library has no functions for it, and the headers of Debian 12 end at its second version:
 * the newer rights are named here, and asked for only where the kernel knows them.
 */
#include "base/fd.h"
#include "base/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ACCESS_TRUNCATE (UINT64_C(1) << 14) /* since the third version */
#define NET_VERSION 4
#define NET_BIND_TCP (UINT64_C(1) << 0) /* since that one */
#define NET_CONNECT_TCP (UINT64_C(1) << 1)

#define OF_A_FILE \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | ACCESS_TRUNCATE)
#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define MAKE                                                                                        \
    (LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER)
#define WRITE (LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE | MAKE)
#define NEVER                                                                                   \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK | \
     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

#define RULE_NET_PORT 2
struct port_rule {
    uint64_t access, port;
};
#define NAMES_PORT 53 /* who looks names up asks again by TCP where an answer is long */

/* As the kernel of the fourth version takes it; an older one takes the first member alone. */
struct ruleset {
    uint64_t files, net;
};

static uint64_t known_rights(long version)
{
    uint64_t rights = READ | WRITE | NEVER;

    if (version < 2)
        rights &= ~(uint64_t)LANDLOCK_ACCESS_FS_REFER;
    if (version < 3)
        rights &= ~ACCESS_TRUNCATE;
    return rights;
}

static int allow(int ruleset, const struct jail_path *p, uint64_t known, struct error *err)
{
    struct landlock_path_beneath_attr rule = {.parent_fd = open(p->path, O_PATH | O_CLOEXEC)};
    struct stat st;
    int done = 0;

    if (rule.parent_fd < 0) /* not there, or out of reach anyway */
        return 0;
    rule.allowed_access = (READ | (p->write ? WRITE : 0)) & known;
    if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &= OF_A_FILE;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        done = error_errno(err, "the rule for %s", p->path);
    close(rule.parent_fd);
    return done;
}

static int allow_port(int ruleset, uint16_t port, struct error *err)
{
    const struct port_rule rule = {.access = NET_CONNECT_TCP, .port = port};

    if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) != 0)
        return error_errno(err, "the rule for port %u", port);
    return 0;
}

static int allow_ports(int ruleset, const struct jail_rules *rules, struct error *err)
{
    int done = allow_port(ruleset, NAMES_PORT, err);

    for (size_t i = 0; i < rules->port_count && done == 0; i++)
        done = allow_port(ruleset, rules->ports[i], err);
    return done;
}

static long version_of_kernel(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

bool jail_knows_ports(void)
{
    return version_of_kernel() >= NET_VERSION;
}

/* Programs that scripts start from within the jail may bind. */
static uint64_t net_rights(const struct jail_rules *rules)
{
    if (rules->role == JAIL_WORKER)
        return (rules->any_file ? 0 : NET_BIND_TCP) | (rules->only_ports ? NET_CONNECT_TCP : 0);
    return rules->any_file ? 0 : NET_BIND_TCP | NET_CONNECT_TCP;
}

int jail_files(const struct jail_rules *rules, bool *on_out, struct error *err)
{
    long version = version_of_kernel();
    struct ruleset what = {.files = rules->any_file || version < 1 ? 0 : known_rights(version),
                           .net = version < NET_VERSION ? 0 : net_rights(rules)};

    *on_out = false;
    if (what.files == 0 && what.net == 0) /* wanted nothing; not built in, or switched off */
        return 0;
    int ruleset =
        (int)syscall(SYS_landlock_create_ruleset, &what, version >= NET_VERSION ? sizeof(what) : sizeof(what.files), 0);
    if (ruleset < 0)
        return error_errno(err, "cannot make rules for files");
    int done = 0;
    for (size_t i = 0; i < rules->path_count && done == 0 && what.files != 0; i++)
        done = allow(ruleset, &rules->paths[i], what.files, err);
    if (done == 0 && rules->role == JAIL_WORKER && (what.net & NET_CONNECT_TCP) != 0 && rules->port_count > 0)
        done = allow_ports(ruleset, rules, err);
    if (done == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        done = error_errno(err, "cannot enter the rules for files");
    fd_close(&ruleset);
    *on_out = done == 0 && what.files != 0;
    return done;
}
