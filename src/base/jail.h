/*
 * jail.h: what a process gives up before it meets strangers. In this order: the user (jail_become), core dumps and
 * being traced (jail_close), files and system calls (jail_enter); none of it can be had back.
 * The supervisor and the config child stay outside: they bind, read keys and set ids. So does a spawner: what scripts
 * start by `exec` runs as it would from a shell.
 * Owns nothing. Runs in: the process itself, before it has threads. Fails: with words; a process that cannot be jailed
 * must not go on.
 */
#ifndef CRESCENT_BASE_JAIL_H
#define CRESCENT_BASE_JAIL_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* Such a process traces itself as it ends: it may start programs, and make calls that are not known. */
#define JAIL_SANITIZED true
#else
#define JAIL_SANITIZED false
#endif

enum jail_role { JAIL_KEEPER, JAIL_WORKER, JAIL_TRIAL };

#define JAIL_GROUPS_MAX 64

/* Who keeper, workers and trials run as. name NULL: as whoever started the server. */
struct jail_user {
    char *name; /* as given, "www-data" or "www-data:adm" */
    uid_t uid;
    gid_t gid;
    gid_t groups[JAIL_GROUPS_MAX]; /* supplementary */
    size_t group_count;
};

/* A file, or a folder with all beneath it. */
struct jail_path {
    const char *path;
    bool write; /* and make, remove, rename within it */
};

struct jail_rules {
    enum jail_role role;
    const struct jail_path *paths; /* what is not there is passed over */
    size_t path_count;
    bool only_ports; /* a worker connects to no TCP ports but these, and 53 for names; none of them: no socket */
    const uint16_t *ports;
    size_t port_count;
    bool any_file;    /* no rules for files */
    bool any_program; /* the process may start programs: the setting `sandbox` is off */
    bool any_signal;  /* a worker that has a spawner to end */
};

/*
 * Becomes the user for good, with its groups; the capabilities go with the old one. Without a name: an ordinary user
 * gives up what capabilities it has; root keeps those about files. -1 with words where the system refuses.
 */
int jail_become(const struct jail_user *user, struct error *err);
/*
 * The supervisor's part, where there is a user to become: of its capabilities it keeps those to bind, to set ids, to
 * signal its children, and about files.
 */
int jail_keep_few(struct error *err);
/*
 * No other process of the same user may trace this one, or read its memory, environment and descriptors in /proc: what
 * scripts start by `exec` may be of that user. The process's first act, for each exec undoes it; a change of ids does
 * as the system has it (fs.suid_dumpable), so jail_close says it again. Its own files in /proc/self are root's from
 * then on: of those, links and descriptors are there for the process still, `environ`, `maps` and `mem` are not.
 */
void jail_hide(void);

/* What a process is, while it acts as somebody else. */
struct jail_own {
    uid_t uid;
    gid_t gid, groups[2 * JAIL_GROUPS_MAX];
    int group_count, dumpable, death_signal;
};

/* For a moment root has the rights of the user, and no others: for files, by the real and saved ids it stays root, whom
 * this user cannot signal or trace. Only in a process with one thread. -1 with words: all is as before. */
int jail_borrow(const struct jail_user *user, struct jail_own *own_out, struct error *err);
/* Keeps errno. */
void jail_give_back(const struct jail_own *own);

/* No core dumps, and hidden. */
void jail_close(void);
/* The supervisor's own: as jail_close, but its children (what scripts start, too) may lift the limit of core dumps. */
void jail_close_supervisor(void);
/*
 * No new privileges, the rules for files (Landlock, where the kernel has it: files_out tells), the filter of system
 * calls. A call that no honest process of the role makes ends the process by SIGSYS (starting programs, tracing,
 * mounting, typing into a terminal, …); one that is merely not known is ENOSYS, as is what reaches beyond the process
 * (signals to others, modes of files, listening). Sockets for a keeper or trial, processes instead of threads: EACCES,
 * EPERM. Ports to bind: EACCES, where Landlock knows them; so are ports to
 * connect to, where only some are allowed, and always what would connect past that rule: a message with MSG_FASTOPEN,
 * the option TCP_ULP.
 */
int jail_enter(const struct jail_rules *rules, bool *files_out, struct error *err);

/* Whether this kernel can hold a process to ports of TCP; to be asked outside the jail. */
bool jail_knows_ports(void);

/* jail_files.c: Landlock, for files and ports. 0; *on_out false: there are no rules for files. */
int jail_files(const struct jail_rules *rules, bool *on_out, struct error *err);
/* jail_calls.c: seccomp. */
int jail_calls(const struct jail_rules *rules, struct error *err);

#endif
