import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertProblem, start } from './helper.mjs';

const hooks = {
    'any.lua': 'return function(req) return req.method end',
    'post.lua': 'return { handle = function(req) return req.method end }',
    'listed.lua': 'return { methods = { "GET", "PUT" }, handle = function(req) return req.method end }',
    'each.lua': 'return { handle = { GET = function() return "got" end, POST = function() return 201, "made" end } }',
    'own.lua': 'return { methods = { "GET", "OPTIONS" }, handle = function(req) return 200, req.method .. "!", { allow = "mine" } end }',
};
const allow = (reply) => reply.headers.allow.split(/,\s*/).sort();

test('a table takes POST only; another method is a 405 with Allow', async (t) => {
    const server = await start(t, { hooks });
    assert.equal((await server.post('/post')).text, 'POST');
    const refused = await server.get('/post');
    assertProblem(refused, 405);
    assert.deepEqual(allow(refused), ['OPTIONS', 'POST']);
    for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'PURGE'])
        assert.equal((await server.request('/any', { method })).text, method);
});

test('methods and per-method handle; HEAD follows GET', async (t) => {
    const server = await start(t, { hooks });
    assert.equal((await server.request('/listed', { method: 'PUT' })).text, 'PUT');
    assertProblem(await server.post('/listed'), 405);
    assert.equal((await server.get('/each')).text, 'got');
    const made = await server.post('/each');
    assert.deepEqual([made.status, made.text], [201, 'made']);
    const head = await server.request('/each', { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers['content-length'], head.text], [200, '3', '']);
    const refused = await server.request('/each', { method: 'DELETE' });
    assert.deepEqual(allow(refused), ['GET', 'HEAD', 'OPTIONS', 'POST']);
    assert.equal((await server.request('/post', { method: 'HEAD' })).status, 405);
});

test('OPTIONS is answered with Allow, unless the script lists it', async (t) => {
    const server = await start(t, { hooks });
    const reply = await server.request('/each', { method: 'OPTIONS' });
    assert.ok([200, 204].includes(reply.status));
    assert.deepEqual(allow(reply), ['GET', 'HEAD', 'OPTIONS', 'POST']);
    const own = await server.request('/own', { method: 'OPTIONS' });
    assert.deepEqual([own.text, own.headers.allow], ['OPTIONS!', 'mine']);
});

test('methods beside a table of handlers is a load error; so is an unknown field, with the nearest name', async (t) => {
    const server = await start(t, {
        hooks: {
            'both.lua': 'return { methods = { "GET" }, handle = { GET = function() end } }',
            'typo.lua': 'return {\n  verfy = "none",\n  handle = function() end\n}',
            'later.lua': 'return { dedupe = true, handle = function() end }',
        },
    });
    for (const name of ['both', 'typo', 'later']) assertProblem(await server.get(`/${name}`), 503);
    const text = server.tail();
    assert.match(text, /both\.lua:1: .*methods/);
    assert.match(text, /typo\.lua:2: .*verfy.*verify/);
    assert.match(text, /later\.lua:1: .*dedupe/);
});
