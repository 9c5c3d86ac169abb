import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { alive, binary, childrenOf, environment, folder, request, start, tool, until, write } from './helper.mjs';

const hello = { 'hello.lua': 'return function() return "hello" end' };

test('a script answers, and TERM ends everything with exit code 0', async (t) => {
    const server = await start(t, { hooks: hello });
    const reply = await server.get('/hello');
    assert.equal(reply.status, 200);
    assert.equal(reply.text, 'hello');
    assert.match(reply.headers['content-type'], /^text\/plain/);
    assert.equal(server.children('worker').length, 2);
    assert.equal(server.children('keeper').length, 1);
    const children = childrenOf(server.pid);
    await server.stop();
    await until(() => !children.some(alive), 'children gone');
    await assert.rejects(request(`${server.url}/hello`), /ECONNREFUSED/);
});

test('INT ends it as TERM does', async (t) => {
    const server = await start(t, { hooks: hello });
    process.kill(server.pid, 'SIGINT');
    await until(() => server.ended, 'end after INT');
    assert.equal(server.ended.code, 0);
});

test('several addresses, IPv4 and IPv6, each with a port of its own', async (t) => {
    const server = await start(t, { hooks: hello, listen: ['127.0.0.1:0', 'http://127.0.0.1:0', '[::1]:0'] });
    assert.equal(server.urls.length, 3);
    assert.equal(new Set(server.urls.map((u) => new URL(u).port)).size, 3);
    for (const url of server.urls) assert.equal((await request(`${url}/hello`)).text, 'hello');
    assert.match(server.urls[2], /^http:\/\/\[::1\]:\d+/);
});

test('the admin listener tells health, readiness and figures, and nothing else', async (t) => {
    const server = await start(t, { hooks: { ...hello, 'broken.lua': 'return {' } });
    for (const path of ['/healthz', '/readyz']) assert.equal((await request(server.admin + path)).status, 200, path);
    assert.equal((await request(`${server.admin}/nothing`)).status, 404);
    assert.equal((await request(`${server.admin}/healthz`, { headers: { host: 'evil.example.com' } })).status >= 400, true);
    const before = await server.metric('crescent_requests_total', 'class="2xx"');
    for (let i = 0; i < 5; i++) await server.get('/hello');
    await server.get('/nowhere');
    await until(async () => await server.metric('crescent_requests_total', 'class="2xx"') === before + 5, 'five more answers counted');
    const text = (await request(`${server.admin}/metrics`)).text;
    assert.match(text, /reason="no_route"\} 1\n/);
    assert.match(text, /^# TYPE crescent_requests_total counter$/m);
    assert.ok(await server.metric('crescent_reload_errors_total') >= 1);
});

test('an admin listener beyond loopback needs a token, and asks for it', async (t) => {
    const server = await start(t, { hooks: hello, admin: '0.0.0.0:0', config: 'return { admin_token = "tok-3f9a" }' });
    const port = new URL(server.admin).port, admin = `http://127.0.0.1:${port}`;
    assert.equal((await request(`${admin}/healthz`)).status, 200);
    assert.equal((await request(`${admin}/metrics`)).status, 401);
    assert.equal((await request(`${admin}/metrics`, { headers: { authorization: 'Bearer tok-3f9b' } })).status, 401);
    assert.equal((await request(`${admin}/metrics`, { headers: { authorization: 'Bearer tok-3f9a' } })).status, 200);
});

test('under a limit of file sizes that is too small the start fails with words', async (t) => {
    const dir = folder(t);
    write(path.join(dir, 'hooks'), hello);
    const said = await tool('sh', ['-c', `ulimit -f 8; ${binary} serve hooks --listen 127.0.0.1:0 --admin off 2>&1; echo "code $?"`], { cwd: dir, env: environment() });
    assert.match(said, /File too large[^]*code 1\n$/);
});

test('--admin off: no admin listener', async (t) => {
    const server = await start(t, { hooks: hello, admin: 'off' });
    assert.ok(!server.admin);
    assert.equal((await server.get('/hello')).text, 'hello');
});
