import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertProblem, request, run, start, tool } from './helper.mjs';

const hooks = {
    'ok.lua': 'return function() return "ok" end',
    'raise.lua': 'local function deep(x)\n  return x.a.b\nend\nreturn function() deep({}) return "never" end',
    'html.lua': 'return function() error("<script>alert(1)</script> & more") end',
    'reply.lua': 'return function() return nil, "no such order" end',
    'meant.lua': 'return function() error { status = 422, detail = "no amount" } end',
    'broken.lua': 'return function(\n',
    'github.lua': 'return { verify = verify.github { secret = "s" }, handle = function() return "x" end }',
};
const browser = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };
// The log is text under --dev; here it is JSON, so that the helper can read it.
const dev = (t, options = {}) => start(t, { hooks, workers: 0, args: ['--dev'], env: { CRESCENT_LOG_FORMAT: 'json' }, ...options });

test('one worker, whatever the configuration says; a contradiction is an error', async (t) => {
    const server = await dev(t, { config: 'return { workers = 3 }' });
    assert.equal(server.children('worker').length, 1);
    const { code, stderr } = await run(['serve', server.hooks, '--dev', '--workers', '2', '--listen', '127.0.0.1:0'], { cwd: server.dir });
    assert.equal(code, 2);
    assert.match(stderr, /--dev runs one worker: --workers 2/);
    const set = await run(['serve', server.hooks], { cwd: server.dir, env: { CRESCENT_DEV: '1' } });
    assert.notEqual(set.code, 0);
});

test('curl is told in text what a script raised, with the traceback', async (t) => {
    const server = await dev(t);
    const text = await tool('curl', ['-sS', '-i', `${server.url}/raise`]);
    assert.match(text, /^HTTP\/1\.1 500 /);
    assert.match(text, /content-type: text\/plain; charset=utf-8/i);
    assert.match(text, /500 Internal Server Error: raise\.lua/);
    assert.match(text, /raise\.lua:2: attempt to index field 'a' \(a nil value\)/);
    assert.match(text, /stack traceback:[\s\S]*raise\.lua:4: in function/);
    assert.match(text, /GET \/raise, request [0-9a-f-]{36}/);
    assert.match((await server.get('/reply')).text, /no such order/);
});

test('a browser gets a page; nothing of the script is markup in it', async (t) => {
    const server = await dev(t);
    const page = await server.get('/html', browser);
    assert.equal(page.status, 500);
    assert.equal(page.headers['content-type'], 'text/html; charset=utf-8');
    assert.match(page.headers['content-security-policy'], /default-src 'none'/);
    assert.match(page.text, /<pre>[\s\S]*html\.lua:1: &#60;script&#62;alert\(1\)&#60;\/script&#62; &#38; more/);
    assert.doesNotMatch(page.text, /<script>/);
    const odd = await server.get('/%3Cb%3E', browser);
    assert.doesNotMatch(odd.text, /<b>/);
});

test('Accept is read as it is meant: names in any case, weights of zero; no control reaches a terminal', async (t) => {
    const server = await dev(t);
    const type = async (accept) => (await server.get('/raise', { accept })).headers['content-type'].split(';')[0];
    assert.equal(await type('Text/HTML'), 'text/html');
    assert.equal(await type('text/html ; level=1 ; q=0.1'), 'text/html');
    assert.equal(await type('text/html;q=0, */*'), 'text/plain');
    assert.equal(await type('application/json;q=0.000'), 'text/plain');
    assert.equal(await type('application/problem+json'), 'application/problem+json');
    assert.equal(await type('text/html-not'), 'text/plain');
    assert.equal(await type(',;,'), 'text/plain');
    assert.match((await server.get('/a%1b%5b2Jb')).text, /GET \/a\?\[2Jb,/);
    assert.match((await server.get('/a%c2%9b2Jb%c2%a0%c3%9b')).text, /GET \/a\?\?2Jb\u00a0\u00db,/);
});

test('who asks for JSON gets the problem, with the explanation as a member', async (t) => {
    const server = await dev(t);
    const reply = await server.get('/raise', { accept: 'application/json' });
    assert.equal(reply.headers['content-type'], 'application/problem+json');
    assert.match(reply.json.explanation, /raise\.lua:2:/);
    assert.equal(reply.json.status, 500);
});

test('a script that never loaded, a missing route and a refusal say why; a meant problem stays what it is', async (t) => {
    const server = await dev(t);
    const broken = await server.get('/broken');
    assert.equal(broken.status, 503);
    assert.match(broken.text, /broken\.lua:[12]: .*expected/);
    assert.equal(broken.headers['retry-after'], '1');
    const missing = await server.get('/nowhere');
    assert.equal(missing.status, 404);
    assert.match(missing.text, /These routes are served:[\s\S]*\/github {2}\(github\.lua\)[\s\S]*\/ok {2}\(ok\.lua\)/);
    const refused = await server.post('/github', '{}');
    assert.equal(refused.status, 401);
    assert.match(refused.text, /refused: missing_header/);
    assertProblem(await server.get('/meant'), 422, /no amount/);
    assert.equal((await server.get('/ok')).text, 'ok');
});

test('what broke a stream off is not told with the next answer, which may be another client\'s', async (t) => {
    const server = await dev(t, { hooks: { ...hooks, 'stream.lua': 'return function() return reply.stream(function() error("only of the stream") end) end' } });
    await assert.rejects(server.get('/stream'));
    await server.said('script error');
    const reply = await server.get('/raise');
    assert.match(reply.text, /raise\.lua:2:/);
    assert.doesNotMatch(reply.text, /only of the stream/);
});

test('without --dev nothing of it is there', async (t) => {
    const server = await start(t, { hooks });
    for (const headers of [{}, browser]) assertProblem(await server.get('/raise', headers), 500);
    const missing = assertProblem(await server.get('/nowhere', browser), 404);
    assert.equal(missing.explanation, undefined);
    assert.doesNotMatch((await request(`${server.url}/broken`)).text, /expected/);
});
