/*
 * config_user.c: the user that the processes become, in the text form of the configuration. See config.h.
 * Owns: nothing. Runs in: any process. Fails: with words.
 */
#include "base/config.h"

#include <stdlib.h>

void config_user_write(const struct jail_user *u, struct buf *out)
{
    buf_addf(out, "%u %u ", u->uid, u->gid);
    for (size_t i = 0; i < u->group_count; i++)
        buf_addf(out, "%s%u", i > 0 ? "," : "", u->groups[i]);
    buf_addf(out, " %s", u->name);
}

static bool read_id(struct slice text, unsigned *id_out)
{
    unsigned long long number;

    if (!slice_to_u64(text, UINT32_MAX - 1, &number))
        return false;
    *id_out = (unsigned)number;
    return true;
}

int config_user_read(struct slice text, struct jail_user *user_out, struct error *err)
{
    struct slice uid, gid, groups, one;
    struct jail_user u = {0};
    bool good = slice_cut(&text, ' ', &uid) && slice_cut(&text, ' ', &gid) && slice_cut(&text, ' ', &groups) &&
                read_id(uid, &u.uid) && read_id(gid, &u.gid) && text.len > 0 && slice_find(text, '\0') == SIZE_MAX;

    while (good && groups.len > 0 && slice_cut(&groups, ',', &one))
        good = u.group_count < JAIL_GROUPS_MAX && read_id(one, &u.groups[u.group_count++]);
    if (!good)
        return error_set(err, "user: not as it is written");
    u.name = slice_dup(text);
    *user_out = u;
    return 0;
}
