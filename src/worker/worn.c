/*
 * worn.c: see worn.h. It asks each time anew, for an upgrade that was refused meanwhile lets the supervisor forget it;
 * the log has it once.
 */
#include "worker/worn.h"

#include "base/log.h"

static void ask_for_successor(struct worker *w)
{
    w->worn = true;
    link_send(w->supervisor, &(struct message){.type = MESSAGE_worn, .worn = {.incarnation = w->heritage.incarnation}});
}

/* A leak is no reason to wait for another's start. */
void worn_by_scripts(void *cookie, const struct host_full *full)
{
    struct worker *w = cookie;
    struct log_field fields[5] = {LOG_INT("lua_memory", w->config.limits.lua_memory), LOG_INT("held", full->held)};
    size_t count = 2;

    if (w->draining || !w->serving)
        return;
    if (full->most != NULL) {
        fields[count++] = LOG_STR("script", full->most);
        fields[count++] = LOG_INT("script_holds", full->most_bytes);
    }
    if (!w->worn)
        log_write(LOG_ERROR,
                  SLICE("scripts keep more than this worker's lua_memory has room for: another takes its place"),
                  fields, count);
    ask_for_successor(w);
}

/* Who has not served yet is started anew. */
static void give_way(struct worker *w)
{
    if (w->serving) {
        ask_for_successor(w);
        return;
    }
    w->exit_code = 1;
    loop_stop(w->loop);
}

/* From within the jail no other spawner can be started. */
void worn_by_spawner(void *cookie)
{
    struct worker *w = cookie;

    if (!w->draining)
        give_way(w);
}

/* The keeper thinks it gone: no save would ever reach it, no call of kv be answered. */
static void look_at_link(struct worker *w)
{
    if (!w->cut_off)
        return;
    if (!w->worn)
        log_at(LOG_ERROR, "too few descriptors for a message of the keeper: another worker takes this one's place");
    give_way(w);
}

static void look_at_files(struct worker *w)
{
    char real[PATH_MAX];

    if (!jail_folder_lost(&w->files, real))
        return;
    if (!w->worn)
        log_at(LOG_WARN,
               "a folder was replaced by another, which the jail of this worker does not know: another takes its place",
               LOG_STR("folder", real));
    ask_for_successor(w);
}

static void look_at_libraries(struct worker *w)
{
    const char *lost = jail_libraries_lost(&w->libraries);

    if (lost == NULL)
        return;
    if (!w->worn)
        log_at(LOG_INFO,
               "a file was replaced by another, which the jail of this worker does not know: another takes its place",
               LOG_STR("file", lost));
    ask_for_successor(w);
}

void worn_look(struct worker *w)
{
    if (w->draining)
        return;
    look_at_link(w);
    if (!w->serving)
        return;
    look_at_libraries(w);
    look_at_files(w);
}
