import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { test } from 'node:test';
import { assertProblem, start } from './helper.mjs';

const hooks = {
    'hmac.lua': `return { verify = verify.hmac { secret = env.KEY, header = "x-signature", algorithm = "sha512", encoding = "base64", prefix = "v=",
  payload = "{header:x-timestamp}.{body}", timestamp = "header:x-timestamp", tolerance = "5m" }, handle = function() return 200 end }`,
    'plain.lua': 'return { verify = verify.hmac { secret = env.KEY, header = "x-sig" }, handle = function() return 200 end }',
    'key.lua': `return { verify = verify.api_key { header = "x-api-key", keys = { alice = "k-alice", bob = "sha256:${createHash('sha256').update('k-bob').digest('hex')}" } },
  handle = function(req) return req.auth.by .. " " .. req.auth.subject end }`,
    'query.lua': 'return { verify = verify.api_key { query = "key", keys = { "one", "two" } }, handle = function() return 200 end }',
    'basic.lua': 'return { verify = verify.basic { users = { alice = "pass:word" } }, handle = function(req) return req.auth.subject end }',
    'bearer.lua': 'return { verify = verify.bearer { tokens = { ci = env.KEY } }, handle = function(req) return req.auth.subject end }',
    'func.lua': `return { verify = function(req) sleep(0.01) if req.headers["x-pass"] == "yes" then return true end
  if req.headers["x-pass"] == "one" then return 1 end
  if req.headers["x-pass"] == "boom" then error "boom" end
  return nil, "no pass" end, handle = function() return 200 end }`,
    'both.lua': 'return { verify = { verify.bearer { tokens = { "t" } }, verify.api_key { header = "x-api-key", keys = { "k" } } }, handle = function() return 200 end }',
    'any.lua': 'return { verify = verify.any { verify.bearer { tokens = { "t" } }, verify.api_key { header = "x-api-key", keys = { "k" } } }, handle = function(req) return req.auth.by end }',
    'mixed.lua': 'return { verify = { verify.bearer { tokens = { "t" } }, function(req) return req.method == "POST" end }, handle = function() return 200 end }',
    'call.lua': `local check = verify.hmac { secret = "k", header = "x-sig" }
return function(req) local ok, reason = check(req) return 200, { ok = ok == true, reason = reason } end`,
    'own.lua': `return function(req) return 200, { mac = crypto.hmac("sha256", "k", req.body, "hex"), sha = crypto.sha256(req.body, "hex"), raw = crypto.hex(crypto.hmac("sha256", "k", req.body)), bytes = #crypto.sha256(req.body), same = crypto.equals("a", "a"), not_same = crypto.equals("a", "b") } end`,
};
hooks['typed.lua'] = 'return { events = { "paid" }, event_type = "/t/x", handle = function(req) return req.event_type end }';
hooks['seen.lua'] = 'return { event_type = "/t/x", handle = function(req) return req.event_type or "none" end }';
const setup = (t, more) => start(t, { hooks, env: { KEY: 'the-key' }, ...more });
const post = async (server, path, headers, body = 'the body') => (await server.post(path, body, headers));

test('hmac: algorithm, encoding, prefix, payload, timestamp', async (t) => {
    const server = await setup(t);
    const at = String(Math.floor(Date.now() / 1000)), old = String(at - 400);
    const sig = (time, body = 'the body', key = 'the-key') => 'v=' + createHmac('sha512', key).update(`${time}.${body}`).digest('base64');
    assert.equal((await post(server, '/hmac', { 'x-timestamp': at, 'x-signature': sig(at) })).status, 200);
    for (const headers of [{ 'x-timestamp': at, 'x-signature': sig(at, 'the bodx') }, { 'x-timestamp': at, 'x-signature': sig(at, 'the body', 'k') }, { 'x-timestamp': at }, { 'x-signature': sig(at) },
        { 'x-timestamp': old, 'x-signature': sig(old) }, { 'x-timestamp': at, 'x-signature': sig(at).slice(2) }, { 'x-timestamp': at, 'x-signature': sig(at).slice(0, -3) }, {}])
        assertProblem(await post(server, '/hmac', headers), 401);
    assert.equal((await post(server, '/plain', { 'x-sig': createHmac('sha256', 'the-key').update('the body').digest('hex') })).status, 200);
});

test('api_key: named keys, hashed keys, in a query; basic; bearer', async (t) => {
    const server = await setup(t);
    assert.equal((await post(server, '/key', { 'x-api-key': 'k-alice' })).text, 'api_key alice');
    assert.equal((await post(server, '/key', { 'x-api-key': 'k-bob' })).text, 'api_key bob');
    for (const key of ['k-alic', 'k-alicee', '', 'sha256:', 'bob']) assertProblem(await post(server, '/key', { 'x-api-key': key }), 401);
    assertProblem(await post(server, '/key', {}), 401);
    assert.equal((await post(server, '/query?key=two', {})).status, 200);
    assertProblem(await post(server, '/query?key=three', {}), 401);
    const basic = (text) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
    assert.equal((await post(server, '/basic', basic('alice:pass:word'))).text, 'alice');
    for (const headers of [basic('alice:pass'), basic('alice'), basic(':'), basic('bob:pass:word'), { authorization: 'Basic !!!' }, { authorization: 'Bearer x' }, {}]) {
        const reply = await post(server, '/basic', headers);
        assertProblem(reply, 401);
        assert.match(reply.headers['www-authenticate'], /^Basic realm=/);
    }
    assert.equal((await post(server, '/bearer', { authorization: 'Bearer the-key' })).text, 'ci');
    assert.equal((await post(server, '/bearer', { authorization: 'bearer the-key' })).text, 'ci');
    for (const authorization of ['Bearer the-ke', 'Bearer', 'the-key', 'Basic the-key']) {
        const reply = await post(server, '/bearer', { authorization });
        assertProblem(reply, 401);
        assert.match(reply.headers['www-authenticate'], /^Bearer/);
    }
});

test('a function passes with exactly true; lists need all; any needs one; verifiers can be called', async (t) => {
    const server = await setup(t);
    assert.equal((await post(server, '/func', { 'x-pass': 'yes' })).status, 200);
    for (const pass of ['one', 'no', '']) assertProblem(await post(server, '/func', { 'x-pass': pass }), 401);
    assertProblem(await post(server, '/func', { 'x-pass': 'boom' }), 500);
    const bearer = { authorization: 'Bearer t' }, key = { 'x-api-key': 'k' };
    assert.equal((await post(server, '/both', { ...bearer, ...key })).status, 200);
    assertProblem(await post(server, '/both', bearer), 401);
    assertProblem(await post(server, '/both', key), 401);
    assert.equal((await post(server, '/any', bearer)).text, 'bearer');
    assert.equal((await post(server, '/any', key)).text, 'api_key');
    assertProblem(await post(server, '/any', {}), 401);
    assert.equal((await post(server, '/mixed', bearer)).status, 200);
    assertProblem(await post(server, '/mixed', {}), 401);
    assert.deepEqual((await post(server, '/call', { 'x-sig': createHmac('sha256', 'k').update('the body').digest('hex') })).json, { ok: true });
    assert.deepEqual((await post(server, '/call', {})).json, { ok: false, reason: 'missing_header' });
});

test('crypto agrees with node\'s', async (t) => {
    const server = await setup(t);
    const body = 'the body \u{1F319}';
    assert.deepEqual((await post(server, '/own', {}, body)).json, {
        mac: createHmac('sha256', 'k').update(body).digest('hex'), sha: createHash('sha256').update(body).digest('hex'),
        raw: createHmac('sha256', 'k').update(body).digest('hex'), bytes: 32, same: true, not_same: false,
    });
});

test('an event\'s type in the body: others and missing ones are acknowledged, a body that does not parse is not', async (t) => {
    const server = await setup(t);
    assert.equal((await post(server, '/typed', {}, '{"t":{"x":"paid"}}')).text, 'paid');
    for (const body of ['{"t":{"x":"void"}}', '{"t":{"x":7}}', '{"t":{}}', '[]', '']) assert.equal((await post(server, '/typed', {}, body)).status, 204, body);
    const reply = await post(server, '/typed', {}, '{"t":\n{"x":"paid"');
    assertProblem(reply, 400);
    assert.match(reply.json.detail, /line 2, column 12: /);
    assert.equal((await post(server, '/seen', {}, '{"t":')).text, 'none');
});

test('no secret is a load error; require_verify forbids public endpoints; "none" is said', async (t) => {
    const open = 'return { verify = "none", handle = function() return 200 end }';
    const server = await setup(t, {
        config: 'return { require_verify = true }',
        hooks: { 'open.lua': open, 'empty.lua': 'return { verify = verify.github { secret = "" }, handle = function() end }', 'shut.lua': hooks['bearer.lua'] },
    });
    assertProblem(await server.post('/open'), 503);
    assertProblem(await server.post('/empty'), 503);
    assert.equal((await post(server, '/shut', { authorization: 'Bearer the-key' })).status, 200);
});
