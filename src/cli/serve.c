/*
 * serve.c: the command serve, and the hidden command config: the configuration is evaluated and checked in a child that
 * may die; what comes back is plain data, sealed, and handed to the supervisor.
 * Owns: the configuration. Runs in: the process that becomes the supervisor; the config child. Fails: one line, exit 1
 * or 2, nothing started.
 */
#include "base/fd.h"
#include "base/log.h"
#include "base/panic.h"
#include "cli/cli.h"
#include "cli/config_exec.h"
#include "cli/config_files.h"
#include "cli/config_limits.h"
#include "cli/config_load.h"
#include "cli/config_tls_files.h"
#include "cli/print.h"
#include "ipc/heritage.h"
#include "load/limit.h"
#include "supervise/binary.h"
#include "supervise/notify.h"
#include "supervise/offer.h"
#include "supervise/spawn.h"
#include "supervise/supervise.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the config child --- */

/* What the parent was started with. */
struct order {
    int argc;
    char **argv;      /* ends with NULL */
    char **inherited; /* the sockets that were handed over; ends with NULL */
};

static char **take_texts(struct slice *bytes, int *count_out, bool *bad)
{
    uint32_t count = buf_take_u32(bytes, bad);
    *bad = *bad || count > bytes->len / 4;
    *count_out = *bad ? 0 : (int)count;
    char **texts = need_zero((size_t)*count_out + 1, sizeof *texts);
    for (int i = 0; i < *count_out; i++)
        texts[i] = slice_dup(buf_take_string(bytes, bad));
    return texts;
}

static void free_texts(char **texts)
{
    for (char **one = texts; one != NULL && *one != NULL; one++)
        free(*one);
    free(texts);
}

/* Two lists of texts in a sealed file. */
static int read_order(int fd, struct order *o, struct error *err)
{
    struct slice file;
    bool bad = false;
    int count;
    if (fd_map_sealed(fd, &file, err) != 0)
        return -1;
    struct slice bytes = file;
    o->argv = take_texts(&bytes, &o->argc, &bad);
    o->inherited = take_texts(&bytes, &count, &bad);
    if (file.len > 0)
        munmap((void *)file.at, file.len);
    if (bad || o->argc == 0 || count > OPTIONS_LISTEN_MAX)
        return error_set(err, "malformed command line");
    return 0;
}

/* Reads, checks, and writes what came out into `out`. Returns the exit code. */
static int answer(const struct order *o, int out)
{
    struct options options;
    struct config config;
    struct error err;
    struct buf text = {.secret = true};
    if (options_parse(o->argc, o->argv, &options, &err) != 0)
        return print_usage(o->argv[0], err.text);
    for (char **one = o->inherited; *one != NULL; one++)
        options.inherited[options.inherited_count++] = *one;
    int code = config_load(&options, true, &config, &err);
    if (code == CLI_DONE) {
        offer_write(&config, &text);
        if (fd_write_all(out, buf_slice(&text)) != 0)
            code = print_fail(CLI_FAILED, "config: %s", strerror(errno));
        log_open(STDERR_FILENO, config.log_level, "config", isatty(STDERR_FILENO) == 1);
        config_tls_files_warn(&config);
        config_exec_warn(&config);
        config_files_warn(&config);
        config_limits_warn(&config);
    } else {
        print_fail(code, "%s", err.text);
    }
    buf_free(&text);
    config_free(&config);
    return code;
}

int cmd_config(int argc, char **argv)
{
    struct heritage h;
    struct error err;
    if (heritage_read(&h, &err) != 0)
        return print_fail(CLI_FAILED, "%s", err.text);
    struct order order = {0};
    int code = h.kind == HERITAGE_CONFIG && read_order(h.config, &order, &err) == 0
                   ? answer(&order, h.extra)
                   : print_fail(CLI_FAILED, "config: not started by crescent");
    free_texts(order.argv);
    free_texts(order.inherited);
    heritage_free(&h);
    return code;
}

/* --- the supervisor to be --- */

/* Starts the child and waits for its end; 0 when it has written the configuration, else the exit code. */
static int run_child(int command_line, int out, int binary)
{
    struct heritage h = {.kind = HERITAGE_CONFIG,
                         .supervisor = HERITAGE_NO_FD,
                         .area = HERITAGE_NO_FD,
                         .wake = HERITAGE_NO_FD,
                         .config = command_line,
                         .snapshot = HERITAGE_NO_FD,
                         .extra = out};
    struct error err;
    pid_t pid;
    int status;
    if (spawn_child(&(struct spawn){.heritage = &h, .binary = binary, .words = -1}, &pid, &err) != 0)
        return print_fail(CLI_FAILED, "%s", err.text);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return print_fail(CLI_FAILED, "the configuration's process: %s", strerror(errno));
    if (WIFSIGNALED(status))
        return print_fail(CLI_FAILED, "the process that reads the configuration was ended by signal %d (%s)",
                          WTERMSIG(status), strsignal(WTERMSIG(status)));
    return WEXITSTATUS(status) <= CLI_USAGE ? WEXITSTATUS(status) : CLI_FAILED;
}

/* The order of a config child, and the file that it is to write. */
static int make_files(int argc, char **argv, const struct sockets *handed, int *command_line_out, int *out_out,
                      struct error *err)
{
    struct buf bytes = {0};
    buf_add_u32(&bytes, (uint32_t)argc);
    for (int i = 0; i < argc; i++)
        buf_add_string(&bytes, slice_of(argv[i]));
    sockets_inherited(handed, &bytes);
    *command_line_out = fd_sealed("crescent-command-line", buf_slice(&bytes), err);
    buf_free(&bytes);
    if (*command_line_out < 0)
        return -1;
    *out_out = memfd_create("crescent-configuration", MFD_CLOEXEC);
    return *out_out < 0 ? error_errno(err, "memory file") : 0;
}

static int read_config(int command_line, int out, int binary, struct offer_taken *taken_out)
{
    struct error err;
    int code = run_child(command_line, out, binary);
    if (code == CLI_DONE && offer_take(out, taken_out, &err) != 0)
        code = print_fail(CLI_FAILED, "%s", err.text);
    return code;
}

/* Takes what of `start` is there, in any case. */
static int serve(struct supervise_start *start, int argc, char **argv)
{
    struct error err;
    struct offer_taken taken;
    int out = -1;
    int code = CLI_FAILED;
    if ((start->binary = binary_running(&err)) >= 0 &&
        make_files(argc, argv, &start->sockets, &start->command_line, &out, &err) == 0)
        code = read_config(start->command_line, out, start->binary, &taken);
    else
        print_fail(CLI_FAILED, "%s", err.text);
    fd_close(&out);
    if (code != CLI_DONE) {
        supervise_start_free(start);
        return code;
    }
    log_open(STDERR_FILENO, taken.config.log_level, "supervisor", config_log_form(&taken.config));
    if (taken.config.dev)
        log_at(LOG_WARN, "--dev: answers show errors, tracebacks and routes to everybody who can connect");
    start->config = taken.config;
    start->config_text = taken.text;
    start->binary_path = binary_path();
    return supervise_run(start);
}

int cmd_serve(int argc, char **argv)
{
    struct supervise_start start = {.config_text = -1, .command_line = -1, .binary = -1, .notify = {.socket = -1}};
    struct options options;
    struct error err;
    bool rehearsal;
    int state = supervise_given_state(&rehearsal);
    if (state >= 0)
        return supervise_take_over(state, rehearsal);
    if (options_parse(argc, argv, &options, &err) != 0)
        return print_usage("serve", err.text);
    if (options.help)
        return cmd_help(2, (char *[]){(char *)"help", argv[0], NULL});
    if (notify_open(&start.notify, &err) == 0 && sockets_inherit(&start.sockets, &err) == 0)
        return serve(&start, argc, argv);
    supervise_start_free(&start);
    return print_fail(CLI_FAILED, "%s", err.text);
}
