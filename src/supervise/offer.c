/*
 * offer.c: see offer.h.
 */
#include "supervise/offer.h"

#include "base/fd.h"
#include "ipc/heritage.h"
#include "ipc/messages.h"
#include "shm/area.h"

#include <stdio.h>
#include <unistd.h>

#define OFFER_MAGIC 0x316f7263u /* "cro1" */

void offer_write(const struct config *config, struct buf *out)
{
    struct buf text = {.secret = true}; /* the private key and tokens are in it */

    buf_add_u32(out, OFFER_MAGIC);
    buf_add_string(out, SLICE(CRESCENT_VERSION));
    buf_add_u32(out, MESSAGES_VERSION);
    buf_add_u32(out, area_version());
    buf_add_u32(out, heritage_version());
    buf_add_u32(out, OFFER_STATE);
    config_write(config, &text);
    buf_add_string(out, buf_slice(&text));
    buf_free(&text);
}

int offer_read(struct slice bytes, struct offer *offer_out, struct error *err)
{
    bool bad = buf_take_u32(&bytes, &(bool){false}) != OFFER_MAGIC;
    struct slice version = buf_take_string(&bytes, &bad);

    *offer_out = (struct offer){0};
    snprintf(offer_out->version, sizeof(offer_out->version), "%.*s", SLICE_ARG(version));
    offer_out->messages = buf_take_u32(&bytes, &bad);
    offer_out->area = buf_take_u32(&bytes, &bad);
    offer_out->heritage = buf_take_u32(&bytes, &bad);
    offer_out->state = buf_take_u32(&bytes, &bad);
    offer_out->config = buf_take_string(&bytes, &bad);
    if (bad || bytes.len != 0)
        return error_set(err, "the binary there is no crescent that this one can hand over to: that needs a restart");
    return 0;
}

static int differs(const char *what, const struct offer *offer, uint32_t theirs, uint32_t ours, struct error *err)
{
    if (theirs == ours)
        return 0;
    return error_set(err, "%s of version %s are of another form (%u, here %u): that needs a restart", what,
                     offer->version, theirs, ours);
}

int offer_fits(const struct offer *offer, struct error *err)
{
    if (differs("the messages", offer, offer->messages, MESSAGES_VERSION, err) != 0 ||
        differs("the counters in shared memory", offer, offer->area, area_version(), err) != 0 ||
        differs("the start orders", offer, offer->heritage, heritage_version(), err) != 0)
        return -1;
    return differs("the state", offer, offer->state, OFFER_STATE, err);
}

static int take(struct slice bytes, struct offer_taken *taken_out, struct error *err)
{
    struct offer offer;

    if (offer_read(bytes, &offer, err) != 0 || offer_fits(&offer, err) != 0)
        return -1;
    if (config_read(offer.config, &taken_out->config, err) != 0)
        return error_prefix(err, "the configuration of version %s is of another form, that needs a restart",
                            offer.version);
    snprintf(taken_out->version, sizeof(taken_out->version), "%s", offer.version);
    taken_out->text = fd_sealed("crescent-configuration", offer.config, err);
    if (taken_out->text >= 0)
        return 0;
    config_free(&taken_out->config);
    return -1;
}

int offer_take(int file, struct offer_taken *taken_out, struct error *err)
{
    struct buf bytes = {.secret = true};
    int done =
        lseek(file, 0, SEEK_SET) == 0 ? fd_read_all(file, OFFER_MOST, &bytes, err) : error_errno(err, "memory file");

    if (done == 0)
        done = take(buf_slice(&bytes), taken_out, err);
    buf_free(&bytes);
    return done;
}
