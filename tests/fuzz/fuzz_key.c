/*
 * fuzz_key.c: policy/key and policy/ratelimit on a limit's text, an address, a query and a body, each behind a line
 * break: what is accepted is described as it is read again; a key of the query is what codec/form finds under that
 * name.
 */
#include "base/panic.h"
#include "codec/form.h"
#include "codec/json.h"
#include "fuzz.h"
#include "policy/ratelimit.h"
#include <stdlib.h>

static void check_query(const struct key *key, struct slice query, struct slice found)
{
    struct form_pairs pairs = {0};
    struct form_fault fault;
    if (form_parse(query, FORM_PAIRS_MAX, &pairs, &fault) != 0)
        return;
    struct slice wanted = form_first(&pairs, slice_of(key->name));
    CHECK(wanted.len == 0 ? found.at == NULL : slice_equal(found, wanted));
    form_free(&pairs);
}

static void check_again(const struct ratelimit_rule *rule)
{
    struct ratelimit *again = ratelimit_new();
    struct error err;
    CHECK(ratelimit_add_text(again, slice_of(rule->text), &err) == 0);
    CHECK(strcmp(again->rule[0].text, rule->text) == 0 && again->rule[0].rate.interval == rule->rate.interval &&
          again->rule[0].rate.depth == rule->rate.depth);
    CHECK(rule->rate.interval > 0 && rule->rate.interval <= rule->rate.depth && rule->rate.depth <= LIMITS_MOST.ns);
    ratelimit_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice whole = fuzz_copy(data, size), rest = whole;
    struct slice limit = fuzz_part(&rest, '\n'), ip = fuzz_part(&rest, '\n'), query = fuzz_part(&rest, '\n');
    struct http_header header = {SLICE("x"), ip};
    struct http_request http = {.query = query, .body = rest, .headers = &header, .header_count = 1};
    struct json_reader *reader = json_reader_new();
    struct json_fault fault;
    struct buf room = {0};
    struct ratelimit *r = ratelimit_new();
    struct error err;
    if (ratelimit_add_text(r, limit, &err) == 0) {
        const struct key *key = &r->rule[0].by;
        bool json = key->kind == KEY_POINTER && json_parse(reader, rest, &fault) == 0;
        struct slice found = key_read(key, &(struct key_source){.http = &http, .json = json ? reader : NULL}, &room);
        fuzz_touch(found);
        CHECK((found.at == NULL) == (found.len == 0));
        if (key->kind == KEY_QUERY)
            check_query(key, query, found);
        check_again(&r->rule[0]);
        ratelimit_finish(r, "x");
    }
    if (ip_parse(ip, &http.client))
        fuzz_touch(key_read_ip(&http));
    ratelimit_free(&r);
    buf_free(&room);
    json_reader_free(&reader);
    free((void *)whole.at);
    return 0;
}
