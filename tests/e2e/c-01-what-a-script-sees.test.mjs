import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertProblem, raw, request2, session, start } from './helper.mjs';

const hooks = {
    'see/[id].lua': `return function(req)
  local all = {}
  for i, v in ipairs(req:all_headers "X-Many") do all[i] = v end
  return 200, {
    id = req.id, method = req.method, path = req.path, host = req.host, scheme = req.scheme, version = tostring(req.version), ip = req.ip,
    q = req.query.q, Q = req.query.Q or "none", first = req.headers["X-Many"], lower = req.headers["x-many"], all = all,
    cookie = req.cookies.session, param = req.params.id, body = req.body, missing = req.headers["x-none"] == nil,
    received = type(req.received_at),
  }
end`,
    'readonly.lua': 'return function(req) req.path = "/other" end',
    'unknown.lua': 'return function(req) return tostring(req.paht) end',
    'keep.lua': 'local kept\nreturn function(req) local old = kept; kept = req; if old then return old.path end return "first" end',
};

test('every field of req', async (t) => {
    const server = await start(t, { hooks });
    const reply = await server.request('/see/a%20b?q=one&q=two&empty', {
        method: 'POST', body: 'the body',
        headers: { host: 'Hooks.Example.com:99', 'x-many': ['1', '2'], cookie: 'a=b; session=s%3D1; c=d' },
    });
    const seen = reply.json;
    assert.match(seen.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/);
    assert.deepEqual({ ...seen, id: 0, version: 0, cookie: 0 }, {
        id: 0, version: 0, cookie: 0, method: 'POST', path: '/see/a b', host: 'hooks.example.com', scheme: 'http', ip: '127.0.0.1', q: 'one', Q: 'none',
        first: '1', lower: '1', all: ['1', '2'], param: 'a b', body: 'the body', missing: true, received: 'number',
    });
    assert.match(seen.version, /1\.1|^1$/);
    assert.ok(['s=1', 's%3D1'].includes(seen.cookie));
    const two = await request2(await session(t, server.url), '/see/x', { headers: { 'x-many': 'h2' } });
    assert.equal(two.json.first, 'h2');
    assert.match(two.json.version, /^2/);
});

test('req is read-only, its unknown fields are errors, and it ends with its request', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    assertProblem(await server.get('/readonly'), 500);
    assertProblem(await server.get('/unknown'), 500);
    await server.said((r) => /paht.*path/.test(JSON.stringify(r)), 'the unknown field and its neighbour');
    assert.equal((await server.get('/keep')).text, 'first');
    assertProblem(await server.get('/keep'), 500);
});

test('malformed query strings and cookies are a 400 problem that says where, when they are read', async (t) => {
    const server = await start(t, { hooks });
    for (const query of ['q=%zz', 'q=%4', 'q=%']) assertProblem(await server.get(`/see/1?${query}`), 400, /query/i);
    const odd = await server.get('/see/1?&&a=1&=x&q=a%26b+c&b=%00');
    assert.equal(odd.status, 200);
    assert.equal(odd.json.q, 'a&b c');
    for (const cookie of [';;;', 'session', '=x', 'session="q"; x', 'a=%zz']) {
        const reply = await server.get('/see/1', { cookie });
        assert.ok([200, 400].includes(reply.status), `${cookie}: ${reply.status} ${reply.text}`);
        if (reply.status === 400) assertProblem(reply, 400);
    }
    const { text } = await raw(server.port, 'GET /see/1 HTTP/1.1\r\nConnection: close\r\n\r\n');
    assert.match(text, /^HTTP\/1\.1 (?:200|400)/);
});
