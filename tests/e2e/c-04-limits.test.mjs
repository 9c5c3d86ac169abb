import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { assertProblem, raw, request, request2, session, sleep, start, tool, until } from './helper.mjs';

const hooks = {
    'size.lua': 'return { methods = { "GET", "POST" }, handle = function(req) return tostring(#req.body) end }',
    'small.lua': 'return { max_body = "1KiB", handle = function(req) return tostring(#req.body) end }',
    'large.lua': 'return { max_body = "4MiB", handle = function(req) return tostring(#req.body) end }',
};

test('413: max_body, on both versions, with its exact bound', async (t) => {
    const server = await start(t, { hooks });
    const client = await session(t, server.url);
    assert.equal((await server.post('/small', 'x'.repeat(1024))).text, '1024');
    assertProblem(await server.post('/small', 'x'.repeat(1025)), 413);
    assert.equal((await request2(client, '/small', { method: 'POST', body: 'x'.repeat(1024) })).text, '1024');
    assertProblem(await request2(client, '/small', { method: 'POST', body: 'x'.repeat(1025) }), 413);
    assert.equal((await server.post('/size', 'x'.repeat(1 << 20))).text, String(1 << 20));
    assertProblem(await server.post('/size', 'x'.repeat((1 << 20) + 1)), 413);
    assert.equal((await server.post('/large', 'x'.repeat(4 << 20))).text, String(4 << 20));
    const chunked = await tool('curl', ['-sS', '-H', 'Transfer-Encoding: chunked', '-w', ' %{http_code}', '--data-binary', '@-', `${server.url}/small`], { input: 'x'.repeat(5000) });
    assert.match(chunked, / 413$/);
});

test('beyond limits.body the library refuses, and the server serves on', async (t) => {
    const server = await start(t, { hooks, config: 'return { limits = { body = "5MiB" } }' });
    const { text } = await raw(server.port, 'POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: 6000000\r\n\r\n', { enough: (all) => all.includes('\r\n\r\n') });
    assert.match(text, /^HTTP\/1\.1 413/);
    const client = await session(t, server.url);
    await request2(client, '/large', { method: 'POST', body: 'x'.repeat(6_000_000) }).then((reply) => assert.equal(reply.status, 413),
        (e) => assert.match(e.message, /NGHTTP2_ENHANCE_YOUR_CALM/)); // REFUSED_STREAM would say that it may be sent again
    assert.equal((await server.post('/large', 'x'.repeat(1 << 20))).text, String(1 << 20));
});

test('max_body beyond limits.body is a load error', async (t) => {
    const server = await start(t, { hooks, config: 'return { limits = { body = "2MiB" } }' });
    assertProblem(await server.post('/large', 'x'), 503);
    assert.match(server.tail(), /large\.lua:1: .*max_body/);
});

test('414 and 431 are problems on both versions', async (t) => {
    const server = await start(t, { hooks });
    const client = await session(t, server.url);
    for (const get of [(p, headers) => server.get(p, headers), (p, headers) => request2(client, p, { headers })]) {
        assert.equal((await get(`/size?${'q'.repeat(8000)}`)).status, 200);
        assertProblem(await get(`/size?${'q'.repeat(8200)}`), 414);
        const many = (n) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`x-h${i}`, 'v']));
        assert.equal((await get('/size', many(85))).status, 200);
        assertProblem(await get('/size', many(98)), 431);
        assert.equal((await get('/size', { 'x-big': 'v'.repeat(30_000) })).status, 200);
        assertProblem(await get('/size', { 'x-big': 'v'.repeat(34_000) }), 431);
    }
    // more than libh2o has room for, in one piece and in several; what is malformed is so among many, too
    const before = await server.metric('crescent_refused_total', 'reason="headers_too_large"');
    const lots = (n, more = '') => `POST /size HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n${Array.from({ length: n }, (_, i) => `x-${i}: v\r\n`).join('')}${more}\r\nx`;
    for (const n of [99, 100, 200, 4000]) assert.match((await raw(server.port, lots(n))).text, /^HTTP\/1\.1 431 [^]*too many header fields/, String(n));
    const pieces = net.connect(server.port, '127.0.0.1'), bytes = lots(150);
    let text = '';
    pieces.on('data', (part) => { text += part; });
    for (let at = 0; at < bytes.length; at += 700) {
        pieces.write(bytes.slice(at, at + 700));
        await sleep(10);
    }
    await until(() => text.includes('too many header fields'), 'an answer');
    await until(() => pieces.closed || pieces.readableEnded, 'the end');
    assert.equal(await server.metric('crescent_refused_total', 'reason="headers_too_large"'), before + 5);
    assert.match((await raw(server.port, lots(150, 'a b: c\r\n'))).text, /^HTTP\/1\.1 400 /);
});

test('the record of a target that is too long has its method and the begin of its path, on both versions', async (t) => {
    const server = await start(t, { hooks: { ...hooks, 'knows.lua': 'local token = env.A_TOKEN return function() return token end' }, env: { A_TOKEN: 'a-secret-that-is-long' } });
    const client = await session(t, server.url);
    const refused = () => server.records((r) => r.message === 'request refused' && r.status === 414);
    const targets = [[`/size?${'q'.repeat(8200)}`, /^\/size$/], [`/size/${'a'.repeat(9000)}`, /^\/size\/a{180,}/], [`/s%69ze/${'%41'.repeat(4000)}`, /^\/size\/A{60,}/], [`/a${'%2Fb'.repeat(2500)}`, /^\/a(\/b){40,}/],
        [`/${'b'.repeat(190)}a-secret-that-is-long${'b'.repeat(9000)}`, /^\/b{190}\[redacted\]/]];
    for (const ask of [(p) => request(server.url + p, { method: 'PUT' }), (p) => request2(client, p, { method: 'PUT' })])
        for (const [target, shown] of targets) {
            const before = refused().length;
            assertProblem(await ask(target), 414);
            const record = await until(() => refused()[before], 'a record');
            assert.equal(record.method, 'PUT');
            assert.match(record.path, shown);
            assert.doesNotMatch(record.path, /xxx|q/);
        }
});

test('limits are settings, with their bounds', async (t) => {
    const server = await start(t, { hooks, config: 'return { limits = { uri = "1KiB", headers = "2KiB", fields = 20 } }' });
    assertProblem(await server.get(`/size?${'q'.repeat(1100)}`), 414);
    assertProblem(await server.get('/size', { 'x-big': 'v'.repeat(2100) }), 431);
    assertProblem(await server.get('/size', Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`x-${i}`, 'v']))), 431);
    assert.equal((await server.get('/size')).status, 200);
});

test('the edge of uri is the same over HTTP/1 and HTTP/2: path and query, not the mark between them', async (t) => {
    const server = await start(t, { hooks, config: 'return { limits = { uri = "1KiB" } }' });
    const client = await session(t, server.url);
    const path = `/${'p'.repeat(1023)}`, query = 'q'.repeat(1019);
    for (const [target, status] of [[path, 404], [`${path}?`, 404], [`${path}p`, 414], [`${path}p?`, 414], [`${path}?q`, 414],
        [`/size?${query}`, 200], [`/size?${query}q`, 414], [`/size?${query.slice(1)}?`, 200], [`/size?${query}?`, 414]]) {
        assert.equal((await server.get(target)).status, status, `HTTP/1: ${target}`);
        assert.equal((await request2(client, target)).status, status, `HTTP/2: ${target}`);
    }
    const absolute = (target) => raw(server.port, `GET http://a.example${target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n`);
    assert.match((await absolute(`/size?${query}`)).text, /^HTTP\/1\.1 200 /);
    assert.match((await absolute(`/size?${query}q`)).text, /^HTTP\/1\.1 414 /);
});

test('refusals are counted by reason', async (t) => {
    const server = await start(t, { hooks });
    await server.post('/small', 'x'.repeat(2000));
    await server.get(`/size?${'q'.repeat(8200)}`);
    const { text } = await request(`${server.admin}/metrics`);
    for (const reason of ['body_too_large', 'uri_too_long']) assert.match(text, new RegExp(`reason="${reason}"\\} 1\\b`));
});
