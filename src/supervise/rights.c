/*
 * rights.c: see rights.h.
 */
#include "supervise/rights.h"

#include "base/jail.h"
#include "base/log.h"

#include <unistd.h>

/* Without a user to become there is no telling what its children need. */
int rights_give_up(const struct config *config, struct error *err)
{
    return config->user.name != NULL && geteuid() == 0 ? jail_keep_few(err) : 0;
}

void rights_warn(const struct config *config)
{
    if (config->user.name == NULL && geteuid() == 0)
        log_at(LOG_WARN, "scripts run as root: the setting `user` names another user");
}
