import assert from 'node:assert/strict';
import { test } from 'node:test';
import fs from 'node:fs';
import { assertProblem, ms, request2, session, start } from './helper.mjs';

const handlers = {
    json: 'return reply.json({ a = json.null }, 201)', json_opts: 'return reply.json({}, { status = 202, headers = { ["x-a"] = "b" }, type = "application/vnd.x+json" })',
    text: 'return reply.text("words")', html: 'return reply.html("<p>é</p>")', bytes: 'return reply.bytes("\\0\\255", { type = "image/x" })',
    redirect: 'return reply.redirect "/elsewhere?x=1"', permanent: 'return reply.redirect("https://example.com/", 308)', problem: 'return reply.problem(409, "already there")',
    cookies: 'return reply.text("ok", { cookies = { session = "abc" } })', unknown: 'return reply.text("x", { statuss = 200 })', later: 'return reply.proxy "x"',
    split: 'return reply.redirect "/x\\r\\nset-cookie: a=b"', not_modified: 'return reply.bytes("", 304)', early: 'return reply.text("x", 101)',
};
const hooks = Object.fromEntries(Object.entries(handlers).map(([name, body]) => [`${name}.lua`, `return function(req) ${body} end`]));

test('reply.json, text, html, bytes, redirect, problem', async (t) => {
    const server = await start(t, { hooks });
    const get = (name) => server.get(`/${name}`);
    const json = await get('json');
    assert.deepEqual([json.status, json.text], [201, '{"a":null}']);
    const opts = await get('json_opts');
    assert.deepEqual([opts.status, opts.headers['x-a'], opts.headers['content-type'], opts.text], [202, 'b', 'application/vnd.x+json', '{}']);
    assert.match((await get('text')).headers['content-type'], /^text\/plain/);
    const html = await get('html');
    assert.match(html.headers['content-type'], /^text\/html; charset=utf-8/);
    assert.equal(html.text, '<p>é</p>');
    const bytes = await get('bytes');
    assert.deepEqual([bytes.headers['content-type'], [...bytes.body]], ['image/x', [0, 255]]);
    const redirect = await get('redirect');
    assert.ok([302, 303, 307].includes(redirect.status));
    assert.equal(redirect.headers.location, '/elsewhere?x=1');
    assert.deepEqual([(await get('permanent')).status, (await get('permanent')).headers.location], [308, 'https://example.com/']);
    assertProblem(await get('problem'), 409, /already there/);
    assert.match((await get('cookies')).headers['set-cookie'][0], /^session=abc/);
});

test('headers and cookies that a table inherits: 500, named in the log; those of a request can be handed back', async (t) => {
    const inherited = 'setmetatable({}, { __index = { a = "b" } })';
    const server = await start(t, {
        hooks: {
            'third.lua': `return function() return 200, "x", ${inherited} end`,
            'cookies.lua': `return function() return reply.text("x", { cookies = ${inherited} }) end`,
            'cookie.lua': `return function() return reply.text("x", { cookies = { c = ${inherited} } }) end`,
            'back.lua': 'return function(req) local h = req.headers h.connection = nil return reply.text("x", { headers = h }) end',
        },
    });
    for (const [name, place] of [['third', 'headers'], ['cookies', 'cookies'], ['cookie', "cookie 'c'"]]) {
        assertProblem(await server.get(`/${name}`), 500);
        await server.said((r) => JSON.stringify(r).includes(`${place}: its metatable has an __index`), name);
    }
    assert.equal((await server.get('/back', { 'x-mine': 'yes' })).headers['x-mine'], 'yes');
});

test('headers that are too large together: 500 at once, named in the log, and the memory is free again', async (t) => {
    const list = (size) => `local s = ("x"):rep(${size}) local l = {} for i = 1, 30 do l[i] = s end`;
    const server = await start(t, {
        workers: 1,
        config: 'return { limits = { lua_memory = "64MiB" } }',
        hooks: {
            'large.lua': `return function() ${list('10e6')} return 200, "x", { ["x-a"] = l } end`,
            'file.lua': `return function() ${list('10e6')} return reply.stream(function() end, { headers = { ["x-a"] = l } }) end`,
            'some.lua': `return function() ${list(400)} return 200, "x", { ["x-a"] = l } end`,
        },
    });
    const [worker] = server.children('worker');
    const h2 = await session(t, server.url);
    for (const get of [(path) => server.get(path), (path) => request2(h2, path)]) {
        for (const path of ['/large', '/file']) {
            const began = Date.now();
            assertProblem(await get(path), 500);
            assert.ok(Date.now() - began < ms(1000), path);
        }
        assert.equal((await get('/some')).status, 200);
    }
    await server.said((r) => r.script === 'large' && /header x-a: with it the headers are larger than 64 KiB/.test(r.error), 'the reason');
    const peak = Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${worker}/status`, 'utf8'))[1]) / 1024;
    if (!process.env.CRESCENT_SANITIZE) assert.ok(peak < 150, `${peak} MiB`);
});

test('an unknown option, a reply of a later version, a line break, a status that cannot be: 500, named in the log', async (t) => {
    const server = await start(t, { hooks });
    for (const name of ['unknown', 'later', 'split', 'early']) assertProblem(await server.get(`/${name}`), 500);
    for (const words of [/statuss/, /reply\.proxy/]) await server.said((r) => words.test(JSON.stringify(r)), String(words));
    const none = await server.get('/not_modified');
    assert.deepEqual([none.status, none.body.length], [304, 0]);
});
