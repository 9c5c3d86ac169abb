import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertProblem, start, until } from './helper.mjs';

test('path overrides the file, one or a list; host limits it', async (t) => {
    const server = await start(t, {
        hooks: {
            'one.lua': 'return { path = "/x/:id/*rest", methods = { "GET" }, handle = function(req) return 200, req.params end }',
            'two.lua': 'return { path = { "/p", "/q/:n" }, methods = { "GET" }, handle = function(req) return req.path end }',
            'h.lua': 'return { host = "hooks.example.com", methods = { "GET" }, handle = function(req) return "h " .. req.host end }',
            'everywhere.lua': 'return { path = "/h", methods = { "GET" }, handle = function() return "anywhere" end }',
        },
    });
    assert.deepEqual((await server.get('/x/7/a/b')).json, { id: '7', rest: 'a/b' });
    assertProblem(await server.get('/one'), 404);
    assert.equal((await server.get('/p')).text, '/p');
    assert.equal((await server.get('/q/3')).text, '/q/3');
    for (const host of ['hooks.example.com', 'HOOKS.example.com', 'hooks.example.com:8080'])
        assert.equal((await server.get('/h', { host })).text, 'h hooks.example.com');
    assert.equal((await server.get('/h', { host: 'other.example.com' })).text, 'anywhere');
});

test('two scripts on one route: an error that names both; the one already live stays', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': 'return function() return "a" end' } });
    assert.equal((await server.get('/a')).text, 'a');
    server.write({ 'b.lua': 'return { path = "/a", handle = function() return "b" end }' });
    await server.said((r) => /a\.lua/.test(JSON.stringify(r)) && /b\.lua/.test(JSON.stringify(r)), 'both files named');
    assert.equal((await server.get('/a')).text, 'a');
    server.write({ 'b.lua': 'return { path = "/b", methods = { "GET" }, handle = function() return "b" end }' });
    await server.said((r) => /live/.test(r.message), 'b live');
    await until(async () => (await server.get('/b')).text === 'b', 'b answers');
});

test('the same path on two hosts is no clash; parameters of other names are', async (t) => {
    const server = await start(t, {
        hooks: {
            'a.lua': 'return { path = "/same", host = "a.example.com", methods = { "GET" }, handle = function() return "a" end }',
            'b.lua': 'return { path = "/same", host = "b.example.com", methods = { "GET" }, handle = function() return "b" end }',
            'n/[x].lua': 'return function() return "x" end',
            'n/[y].lua': 'return function() return "y" end',
        },
    });
    assert.equal((await server.get('/same', { host: 'a.example.com' })).text, 'a');
    assert.equal((await server.get('/same', { host: 'b.example.com' })).text, 'b');
    assertProblem(await server.get('/same', { host: 'c.example.com' }), 404);
    assert.match(server.tail(), /n\/\[x\]\.lua/);
    assert.match(server.tail(), /n\/\[y\]\.lua/);
});
