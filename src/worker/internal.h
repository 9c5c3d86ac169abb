/*
 * internal.h: one worker process, as the files of worker/ share it.
 */
#ifndef CRESCENT_WORKER_INTERNAL_H
#define CRESCENT_WORKER_INTERNAL_H

#include "base/config.h"
#include "base/jail_folder.h"
#include "base/jail_libraries.h"
#include "exec/exec.h"
#include "io/httpc.h"
#include "io/pool.h"
#include "io/timeout.h"
#include "ipc/calls.h"
#include "ipc/heritage.h"
#include "ipc/link.h"
#include "ipc/records.h"
#include "script/host.h"
#include "script/state.h"
#include "server/server.h"
#include "worker/prepare.h"

struct worker {
    char name[24]; /* "worker 1" */
    struct heritage heritage;
    struct config config;
    struct area *area;
    struct redact *redact;
    struct records_sink records; /* its log lines and exchanges */
    struct loop *loop;
    struct jail_libraries libraries; /* as they were when the jail was entered */
    struct jail_folder files;        /* likewise */
    struct exec *exec;               /* NULL: the configuration allows no program */
    struct pool *pool;
    struct calls *calls;
    struct address_rules addresses; /* that no script may reach */
    struct httpc *http;
    struct script_host script_host; /* of the state, which keeps the pointer */
    struct state *state;
    struct load *load;
    struct prepare *prepare;
    struct server *server;
    struct link *supervisor, *keeper; /* keeper: NULL while it is away */
    bool serving;                     /* accepts */
    bool draining;
    bool cut_off; /* from a keeper that lives, for want of descriptors */
    bool worn;    /* has asked for a successor */
    int exit_code;
};

#endif
