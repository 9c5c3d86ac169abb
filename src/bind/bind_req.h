/*
 * bind_req.h: req as a script sees it: fields, headers, query, cookies, body readers; read-only.
 * The userdata points at a struct bind_req of its exchange; when the exchange ends, bind_req_end cuts it off, and a
 * later use is an error in words. Runs in: the state's thread.
 */
#ifndef CRESCENT_BIND_BIND_REQ_H
#define CRESCENT_BIND_BIND_REQ_H

#include "http/content.h"
#include "http/request.h"
#include "policy/verify.h"
#include "route/router.h"
#include <lua.h>

struct bind_req {
    struct http_request *http;
    struct router_match *match; /* params */
    struct verify_auth *auth;
    struct slice event_type;    /* at == NULL: none */
    void **userdata;            /* the Lua object's pointer to this, or NULL: bind_req_end clears both ways */
    struct state *state;        /* where its body is parsed without an object, or NULL */
    struct content content;     /* the body unpacked, once somebody has asked */
    size_t max_body;            /* of the body when it is unpacked */
    struct body_memory *memory; /* what counts that */
    uint64_t peer;              /* for whom, as shm/peers has it; 0: nobody */
    bool verifying; /* a script's own verifier runs: req.body and req:save are of what was sent, as it was signed */
};

/* Puts the types of req into the registry; once per state, before any bind_req_push. [-0,+0,m] */
void bind_req_register(lua_State *L);
/* Pushes req for this request, the same object each time. [-0,+1,m] */
void bind_req_push(lua_State *L, struct bind_req *r);
/* The request has ended: the script's object becomes an error. Raises nothing, runs nothing of the script. */
void bind_req_end(struct bind_req *r);
/* The table at the top of the stack, of lower-case names, gives a header whatever its spelling. [-0,+0,m] */
void bind_req_headers(lua_State *L);
/* The request behind argument `index`, or a Lua error. */
struct bind_req *bind_req_check(lua_State *L, int index);
/* The request behind the userdata of a req, which its caller keeps alive; NULL: it has ended. */
struct bind_req *bind_req_of(void *object);
/*
 * The body of the request behind the object that bind_req_check has passed, and false when the request has ended. For
 * what goes on over waits: the object must be anchored meanwhile, the bytes are good until the next wait. Unpacked
 * already: the caller has asked bind_content_bytes first.
 */
bool bind_req_bytes(void *object, struct slice *bytes_out);

#endif
