/*
 * fuzz_snapshot.c: a snapshot, an env set, a trial's result, a description and a configuration, as any bytes of another
 * process: refused with words, or whole.
 */
#include "base/config.h"
#include "fuzz.h"
#include "load/description.h"
#include "load/snapshot.h"
#include "load/trial.h"

static void touch_snapshot(const struct snapshot *s)
{
    for (size_t i = 0; i < s->module_count; i++) {
        fuzz_touch(s->modules[i].name);
        fuzz_touch(s->modules[i].text);
        for (size_t k = 0; k < s->modules[i].require_count; k++)
            CHECK(s->modules[i].requires[k] < s->module_count);
    }
    for (size_t i = 0; i < s->script_count; i++) {
        const struct snapshot_script *one = &s->scripts[i];
        fuzz_touch(one->name);
        fuzz_touch(one->text);
        fuzz_touch(one->description);
        CHECK(one->env < s->env_count || one->text.at == NULL);
        for (size_t k = 0; k < one->module_count; k++)
            CHECK(one->modules[k] < s->module_count);
    }
}

static void read_snapshot(struct slice bytes)
{
    struct snapshot s;
    struct snapshot_env e;
    struct error err = {""};
    if (snapshot_parse(bytes, &s, &err) == 0) {
        touch_snapshot(&s);
        snapshot_free(&s);
    } else {
        CHECK(err.text[0] != '\0');
    }
    if (snapshot_env_parse(bytes, &e, &err) == 0) {
        for (size_t i = 0; i < e.count; i++)
            fuzz_touch(e.values[i]);
        snapshot_env_free(&e);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice bytes = fuzz_copy(data + 1, size - 1);
    struct error err = {""};
    struct trial_result result;
    struct description description;
    struct config config;
    switch (data[0] % 4) {
    case 0:
        read_snapshot(bytes);
        break;
    case 1:
        if (trial_result_read(bytes, &result, &err) == 0)
            trial_result_free(&result);
        break;
    case 2:
        if (description_read(bytes, &description, &err) == 0)
            description_free(&description);
        break;
    case 3:
        if (config_read(bytes, &config, &err) == 0)
            config_free(&config);
        break;
    }
    free((void *)bytes.at);
    return 0;
}
