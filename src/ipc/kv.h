/*
 * ipc/kv.h: the words in which workers and the keeper speak of kv: operations, kinds of values, ends, and the bounds
 * that both hold to. The numbers travel in messages and stand in the store beside the answers that are kept: they never
 * change. Owns nothing; constants only.
 */
#ifndef CRESCENT_IPC_KV_H
#define CRESCENT_IPC_KV_H

#define KV_KEY_MAX 512u                       /* bytes, any; at least one */
#define KV_BUCKET_MAX 128u                    /* bytes, any; none: the scripts' common one */
#define KV_VALUE_MAX (1u << 20)               /* bytes of a string, or of a table as JSON */
#define KV_LIST_MAX 1000u                     /* keys at once */
#define KV_EXACT_MAX 9007199254740992.0       /* 2^53: beyond it a number no longer counts */
#define KV_TTL_MAX_MS UINT64_C(9000000000000) /* what a duration can be, about 285 years */

enum kv_what { KV_GET, KV_SET, KV_ADD, KV_INCR, KV_DELETE, KV_TTL, KV_LIST, KV_WHAT_COUNT };

enum kv_kind {
    KV_NOTHING, /* no such key */
    KV_STRING,
    KV_NUMBER,
    KV_JSON, /* a table, as text */
    KV_TRUE,
    KV_FALSE,
    KV_FOREVER, /* of ttl: the key has none */
    KV_KEYS,    /* of list: strings (u32 length, bytes), in order; the number is 1 where there are more */
    KV_SPOILED  /* there is the key, and no value: somebody has changed it by hand */
};

enum kv_end {
    KV_DONE,
    KV_NOT_A_NUMBER, /* incr of something else: nothing was changed */
    KV_OUT_OF_RANGE, /* incr beyond 2^53: nothing was changed */
    KV_NOT_DONE,     /* the store is not available: nothing was changed */
    KV_UNKNOWN       /* it failed in the middle: perhaps it was changed */
};

#endif
