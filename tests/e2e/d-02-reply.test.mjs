import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertProblem, start } from './helper.mjs';

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

test('an unknown option, a reply of a later version, a line break, a status that cannot be: 500, named in the log', async (t) => {
    const server = await start(t, { hooks });
    for (const name of ['unknown', 'later', 'split', 'early']) assertProblem(await server.get(`/${name}`), 500);
    for (const words of [/statuss/, /reply\.proxy/]) await server.said((r) => words.test(JSON.stringify(r)), String(words));
    const none = await server.get('/not_modified');
    assert.deepEqual([none.status, none.body.length], [304, 0]);
});
