/*
 * notify.h: tells the service manager that started this server how it is: the datagram protocol of sd_notify(3), spoken
 * by ourselves. Without a manager that listens (no NOTIFY_SOCKET) nothing is sent. No call waits: what the manager's
 * queue has no room for is sent at the next notify_tick.
 * Owns: its socket, and the three variables of the environment, which it takes out: no child, and no script, sees them.
 * Runs in: the supervisor. Fails: at opening, with words; later with one log record, and the server goes on.
 */
#ifndef CRESCENT_SUPERVISE_NOTIFY_H
#define CRESCENT_SUPERVISE_NOTIFY_H

#include "base/buf.h"
#include "base/error.h"
#include "base/time.h"

struct notify {         /* born by notify_open */
    int socket;         /* -1: nobody wants to know */
    char *path;         /* as the environment had it; '@' at its start stands for NUL */
    dur_t watchdog;     /* a sign of life is due this often; 0: never */
    mono_t next;        /* the next one */
    char *usec, *pid;   /* as the environment had them; NULL: not there */
    struct buf waiting; /* messages that wait to be sent, each with a NUL behind it */
    bool told;          /* that it fails */
};

/* Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the environment. 0, or -1: one of them is malformed. */
int notify_open(struct notify *n, struct error *err);
/* Serving, from the start or from a reload: READY=1. status: one line for `systemctl status`. */
void notify_ready(struct notify *n, const char *status);
/* A reload has begun; notify_ready ends it, also one that changed nothing: RELOADING=1, MONOTONIC_USEC. */
void notify_reloading(struct notify *n, const char *status);
/* The end has begun and may take `within`, for which the manager is asked to wait: STOPPING=1, EXTEND_TIMEOUT_USEC. */
void notify_stopping(struct notify *n, dur_t within);
/* Each pass of the loop: sends what waits; and, if serving, the watchdog's sign of life when half its time is over. */
void notify_tick(struct notify *n, mono_t now, bool serving);
/* Before an exec in place: puts the environment back as it was, for notify_open of the program that comes (or, where
 * the exec has failed, of this one: close first). */
void notify_restore(const struct notify *n);
void notify_close(struct notify *n);

#endif
