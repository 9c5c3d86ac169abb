import assert from 'node:assert/strict';
import { test } from 'node:test';
import { certificate, folder, request, request2, session, start, tool } from './helper.mjs';

const hooks = {
    'echo.lua': 'return { handle = function(req) return 200, req.body, { ["x-version"] = tostring(req.version), ["x-scheme"] = req.scheme } end }',
    'hello.lua': 'return function() return "hello" end',
    'slow.lua': 'return function() sleep "200ms" return "slow" end',
};

test('HTTP/2 in clear by prior knowledge: many streams at once', async (t) => {
    const server = await start(t, { hooks });
    const client = await session(t, server.url);
    const began = Date.now();
    const slow = Array.from({ length: 20 }, () => request2(client, '/slow'));
    const quick = Array.from({ length: 50 }, (_, i) => request2(client, '/echo', { method: 'POST', body: `body ${i}` }));
    for (const [i, reply] of (await Promise.all(quick)).entries()) assert.equal(reply.text, `body ${i}`);
    for (const reply of await Promise.all(slow)) assert.equal(reply.text, 'slow');
    assert.ok(Date.now() - began < 4000, 'waits run side by side');
    const head = await request2(client, '/hello', { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(head.body.length, 0);
    const big = await request2(client, '/echo', { method: 'POST', body: 'y'.repeat(900_000) });
    assert.equal(big.body.length, 900_000);
});

test('TLS: ALPN chooses HTTP/2 or HTTP/1.1; TLS 1.1 is refused', async (t) => {
    const dir = folder(t), tls = await certificate(dir);
    const server = await start(t, { hooks, args: tls.args });
    assert.match(server.url, /^https:/);
    const client = await session(t, server.url, { rejectUnauthorized: false });
    assert.equal(client.alpnProtocol, 'h2');
    const reply = await request2(client, '/echo', { method: 'POST', body: 'over tls' });
    assert.equal(reply.text, 'over tls');
    assert.equal(reply.headers['x-scheme'], 'https');
    const old = await request(`${server.url}/hello`, { rejectUnauthorized: false });
    assert.equal(old.text, 'hello');
    const curl = await tool('curl', ['-sS', '--http2', '--cacert', tls.cert, '-o', '/dev/null', '-w', '%{http_version} %{http_code}',
        `https://localhost:${server.port}/hello`, '--resolve', `localhost:${server.port}:127.0.0.1`]);
    assert.equal(curl, '2 200');
    for (const version of ['TLSv1.2', 'TLSv1.3'])
        assert.equal((await request(`${server.url}/hello`, { rejectUnauthorized: false, minVersion: version, maxVersion: version })).text, 'hello');
    await assert.rejects(request(`${server.url}/hello`, { rejectUnauthorized: false, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }));
});

test('clear and TLS listeners side by side; a clear request to the TLS port is refused', async (t) => {
    const dir = folder(t), tls = await certificate(dir);
    const server = await start(t, { hooks, listen: ['https://127.0.0.1:0', 'http://127.0.0.1:0'], args: tls.args });
    assert.equal((await request(`${server.urls[1]}/hello`)).text, 'hello');
    assert.equal((await request(`${server.urls[0]}/hello`, { rejectUnauthorized: false })).text, 'hello');
    await assert.rejects(request(`${server.urls[0].replace('https', 'http')}/hello`, { limit: 3000 }));
    assert.equal((await request(`${server.urls[1]}/hello`)).text, 'hello');
});

test('h2load: twenty thousand requests over ten connections, all answered 2xx', async (t) => {
    const server = await start(t, { hooks });
    const out = await tool('h2load', ['-n', '20000', '-c', '10', '-m', '20', `${server.url}/hello`]);
    assert.match(out, /20000 succeeded, 0 failed, 0 errored, 0 timeout/);
    assert.match(out, /status codes: 20000 2xx/);
});
