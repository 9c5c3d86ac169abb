import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { assertProblem, binary, childrenOf, environment, folder, request, run, start, tool, until, write } from './helper.mjs';

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
    for (const accept of ['*/*', 'text/html'])
        for (const mark of ['\u202e', '\u061c', '\u2066', '\u2028'])
            assert.match((await server.get(`/a${encodeURIComponent(mark)}b%e2%80`, { accept })).text, /GET \/a\?{2,3}b/, mark);
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

test('a file that cannot be sent and a handler that took too long say why, too', async (t) => {
    const dir = folder(t);
    write(dir, { 'files/kept/x': 'kept', 'files/ok': 'ok' });
    fs.symlinkSync('/etc/hostname', path.join(dir, 'files/out'));
    fs.symlinkSync('loop', path.join(dir, 'files/loop'));
    const server = await dev(t, { dir, config: 'return { files = "files" }', hooks: {
        'file.lua': 'return { methods = { "GET" }, handle = function(req) return reply.file(req.query.name) end }',
        'late.lua': 'local function rest()\n  sleep "5s"\nend\nreturn { methods = { "GET" }, timeout = "200ms", handle = function()\n  rest()\n  return "never" end }',
    } });
    for (const headers of [{}, browser, { accept: 'application/json' }]) {
        for (const [name, status, words] of [['out', 404, /out: a symbolic link leads out of the folder/], ['loop', 404, /loop: its symbolic links lead nowhere/],
            ['none', 404, /none: (No such file|there is no)/], ['kept', 404, /kept: it is a folder/], ['../x', 404, /the path has a part /]]) {
            const page = await server.get(`/file?name=${name}`, headers);
            assert.equal(page.status, status);
            assert.match(page.text, words);
        }
        const late = await server.get('/late', headers);
        assert.equal(late.status, 504);
        assert.match(late.text, /late\.lua took longer than its timeout of 0\.2 s, and waited here:/);
        assert.match(late.text, /late\.lua:2: in function[\s\S]*late\.lua:5: in function/);
    }
    assert.equal((await server.get('/file?name=ok')).text, 'ok');
});

test('what broke a stream off is not told with the next answer, which may be another client\'s', async (t) => {
    const server = await dev(t, { hooks: { ...hooks, 'stream.lua': 'return function() return reply.stream(function() error("only of the stream") end) end' } });
    await assert.rejects(server.get('/stream'));
    await server.said('script error');
    const reply = await server.get('/raise');
    assert.match(reply.text, /raise\.lua:2:/);
    assert.doesNotMatch(reply.text, /only of the stream/);
});

test('no value of env is in it: what is on the screen is seen by others, too', async (t) => {
    const secret = 't0ken-of-the-shop';
    const server = await dev(t, {
        hooks: { 'raise.lua': 'return function() error("no shop at " .. env.SHOP_TOKEN) end', 'reply.lua': 'return function() return nil, "no shop at " .. env.SHOP_TOKEN end',
            'broken.lua': 'error("no shop at " .. env.SHOP_TOKEN)' },
        dotenv: `SHOP_TOKEN=${secret}`,
    });
    for (const headers of [{}, browser, { accept: 'application/json' }])
        for (const target of ['/raise', '/reply', '/broken']) {
            const page = await server.get(target, headers);
            assert.ok(page.status >= 500, page.text);
            assert.match(page.text, /no shop at \[redacted\]/);
            assert.ok(!page.text.includes(secret), page.text);
        }
});

test('nor is one that is part of a route: in the list of routes, in what is said of two on one, of an old keeper or a new one', async (t) => {
    const secret = 'w4y-into-the-shop-secret', way = (more) => `return { path = "/x/" .. env.SHOP_SECRET, methods = { "GET" }, handle = function() return "${more}" end }`;
    const server = await dev(t, { hooks: { 'first.lua': way('first'), 'second.lua': way('second') }, dotenv: `SHOP_SECRET=${secret}` });
    assert.equal((await server.get(`/x/${secret}`)).text, 'first');
    for (const headers of [{}, browser, { accept: 'application/json' }]) {
        const page = (await server.get('/nowhere', headers)).text;
        assert.match(page, /\/x\/\[redacted\] {2}\(first\.lua\)/);
        assert.ok(!page.includes(secret), page);
        const asked = (await server.get(`/nowhere/${secret}`, headers)).text; // others see that screen, too
        assert.ok(!asked.includes(secret), asked);
    }
    const said = () => server.records('script broken').filter((r) => r.error === 'second.lua: route /x/[redacted] is also claimed by first.lua').length;
    await until(() => said() === 1, () => server.tail());
    process.kill(server.children('keeper')[0], 'SIGKILL');
    server.replace('second.lua', way('third'));
    await until(() => said() === 2, () => server.tail(), 10000);
    assert.doesNotMatch(JSON.stringify([server.log, server.noise]), new RegExp(secret));
});

/** `serve --dev` with its log on a terminal: all that it shows, colours and all. */
async function onTerminal(t, hooks) {
    const dir = folder(t);
    write(path.join(dir, 'hooks'), hooks);
    const port = await new Promise((done) => { const s = net.createServer().listen(0, '127.0.0.1', () => { const { port: free } = s.address(); s.close(() => done(free)); }); });
    const child = spawn('script', ['-qec', `exec ${binary} serve hooks --dev --listen 127.0.0.1:${port} --admin off`, '/dev/null'],
        { cwd: dir, env: environment({ TERM: 'xterm' }), stdio: ['ignore', 'pipe', 'inherit'] });
    let screen = '';
    child.stdout.setEncoding('latin1').on('data', (text) => { screen += text; });
    const ended = new Promise((done) => child.once('close', done));
    t.after(async () => {
        for (const pid of childrenOf(child.pid)) process.kill(pid, 'SIGTERM');
        await ended;
    });
    await until(() => /serving/.test(screen), () => screen, 10000);
    return { url: `http://127.0.0.1:${port}`, screen: () => screen, ended };
}

test('on a terminal each request is one readable line, an error the lines of its traceback, and nothing else moves the cursor', async (t) => {
    const server = await onTerminal(t, { 'raise.lua': hooks['raise.lua'],
        'says.lua': 'return function(req) log.warn("said " .. req.body, { plain = req.body, deep = { req.body } }) return "ok" end' });
    await request(`${server.url}/says`, { method: 'POST', body: 'a\x1b[2J\r\n\u009b2J\x7f\u0085b', headers: { 'user-agent': 'me/1\x9b2J' } });
    await request(`${server.url}/raise`);
    await until(() => /GET \/raise 500/.test(server.screen()), server.screen);
    const lines = server.screen().split('\r\n');
    const said = lines.find((l) => l.includes('said a')), shown = 'a\\u001b[2J\\u000d\\n\\u009b2J\\u007f\\u0085b';
    assert.match(said, /^[0-9T:.-]{23}Z \x1b\[33mwarn \x1b\[0m worker 0: said a/);
    assert.ok(said.includes(`said ${shown}  at="hooks/says.lua:1"`), said);
    // `plain` is of several lines here, and fields have no order
    assert.ok(server.screen().includes(`deep=["${shown.replace('\\u000d', '\\r')}"]`), server.screen());
    assert.match(lines.find((l) => l.includes('POST /says')), /Z info \x1b\[0m worker 0: POST \/says 200 {2}duration_ms=[\d.]+ {2}bytes_in=\d+ {2}bytes_out=2 {2}endpoint="says".* {2}user_agent="me\/1[^"]*2J"/);
    const failed = lines.findIndex((l) => /\x1b\[31merror\x1b\[0m worker 0: script error/.test(l));
    assert.match(lines[failed], /error="hooks\/raise\.lua:2: attempt to index field 'a' \(a nil value\)$/);
    assert.match(lines[failed + 1], /^ {4}stack traceback:$/);
    assert.match(lines[failed + 2], /^ {6}hooks\/raise\.lua.* in function/);
    const rest = server.screen().replaceAll(/\x1b\[\d*m/g, '').replaceAll('\r\n', '');
    assert.doesNotMatch(rest, /[\x00-\x1f\x7f]|\xc2[\x80-\x9f]/);
});

test('without --dev nothing of it is there', async (t) => {
    const server = await start(t, { hooks });
    for (const headers of [{}, browser]) assertProblem(await server.get('/raise', headers), 500);
    const missing = assertProblem(await server.get('/nowhere', browser), 404);
    assert.equal(missing.explanation, undefined);
    assert.doesNotMatch((await request(`${server.url}/broken`)).text, /expected/);
});
