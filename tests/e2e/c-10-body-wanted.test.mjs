// What one address may take of the memory for bodies, and which bodies nobody waits for: refused by their header alone.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import http2 from 'node:http2';
import net from 'node:net';
import { test } from 'node:test';
import zlib from 'node:zlib';
import { DATA, frame, get, post, PREFACE, SETTINGS } from './attack/frames.mjs';
import { assertProblem, certificate, folder, ms, raw as rawly, request, sleep, start, tool, until } from './helper.mjs';

const MiB = 1 << 20;
const raw = async (...args) => (await rawly(...args)).text;
const up = 'return { max_body = "4MiB", handle = function(req) return 200, tostring(#req.body) end }';
const held = (server) => server.metric('crescent_body_memory_bytes');
const refused = (server, reason) => server.metric('crescent_refused_total', `reason="${reason}"`);
const cut = (server) => server.metric('crescent_connections_cut_total', 'reason="body_memory_per_ip"');
const config = 'return { limits = { body_memory = "48MiB", body_memory_per_ip = "8MiB", body = "4MiB" } }';
const share = 8 * MiB;

/** A connection from `from` that sends a body but for its last byte, which end() sends; answer: all that it hears. */
function upload(t, server, { from = '127.0.0.1', head = '', size = 4 * MiB, sent = size - 1 } = {}) {
    const socket = net.connect({ port: server.port, host: '127.0.0.1', localAddress: from });
    t.after(() => socket.destroy());
    const answer = new Promise((done) => {
        let text = '';
        socket.on('data', (d) => { text += d; }).on('error', () => {}).on('close', () => done(text));
    });
    socket.write(`POST /up HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${size}\r\n${head}\r\n`);
    socket.write(Buffer.alloc(sent));
    return { answer, end: () => socket.write('x') };
}

test('an address has its share of the memory for bodies, at all workers together; others do not feel it', async (t) => {
    const server = await start(t, { hooks: { 'up.lua': up }, config, workers: 2 });
    const ours = Array.from({ length: 12 }, () => upload(t, server));
    await until(async () => await cut(server) >= 10, 'those past the share are refused', 15000);
    assert.ok(await held(server) <= share + 2 * MiB, `${await held(server)} bytes held`);
    await server.said('bodies refused: an address has used up limits.body_memory_per_ip');
    const theirs = ['127.0.0.2', '127.0.0.3'].map((from) => upload(t, server, { from }));
    for (const u of theirs) u.end();
    for (const u of theirs) assert.match(await u.answer, /^HTTP\/1.1 200 [^]*4194304$/);
    assert.equal((await request(`${server.url}/up`, { method: 'POST', body: Buffer.alloc(30000) })).text, '30000'); // small ones, too
    for (const u of ours) u.end();
    const answers = await Promise.all(ours.map((u) => u.answer));
    const taken = answers.filter((a) => a.startsWith('HTTP/1.1 200 ')).length;
    assert.ok(taken >= 1 && taken <= 2, answers.map((a) => a.slice(0, 12)).join());
    const said = answers.filter((a) => /^HTTP\/1.1 503 [^]*retry-after: 1\r\n[^]*this address has too many bodies/i.test(a)).length;
    assert.equal(taken + said, 12);
    assert.equal(await refused(server, 'body_memory_per_ip'), said);
    await until(async () => await held(server) === 0, 'all is given back');
    assert.equal((await request(`${server.url}/up`, { method: 'POST', body: Buffer.alloc(4 * MiB) })).text, String(4 * MiB));
});

test('the share holds for HTTP/2 bodies, also for many small ones; for TLS; a dead worker gives its part back', async (t) => {
    const dir = folder(t), { args } = await certificate(dir);
    const server = await start(t, { hooks: { 'up.lua': up }, config, dir, args, workers: 2, listen: ['http://127.0.0.1:0', 'https://127.0.0.1:0'] });
    const open = (url) => new Promise((done) => {
        const client = http2.connect(url, { rejectUnauthorized: false });
        t.after(() => client.destroy());
        client.on('error', () => {}).once('connect', () => done(client));
    });
    const send = (client, size) => new Promise((done) => {
        const stream = client.request({ ':method': 'POST', ':path': '/up' });
        let code;
        stream.on('response', (h) => { code = h[':status']; }).on('error', () => {}).on('close', () => done(code ?? 'reset')).resume();
        stream.write(Buffer.alloc(size)); // and never ends
    });
    const plain = server.urls.find((u) => u.startsWith('http:')), secure = server.urls.find((u) => u.startsWith('https:'));
    for (const url of [secure, plain]) {
        const before = await cut(server), clients = await Promise.all(Array.from({ length: 8 }, () => open(url)));
        for (const client of clients) for (let i = 0; i < 10; i++) send(client, MiB);
        await until(async () => await cut(server) > before, 'streams are reset', 15000);
        await sleep(ms(300)); // what a window lets through comes on
        assert.ok(await held(server) <= share * 1.25 + 4 * MiB, `${await held(server)} bytes held`);
        for (const client of clients) client.destroy();
        await until(async () => await held(server) === 0, 'all is given back');
    }
    const before = await cut(server), clients = await Promise.all(Array.from({ length: 20 }, () => open(plain)));
    for (const client of clients) for (let i = 0; i < 90; i++) send(client, 9000);
    await until(async () => await cut(server) > before, 'small ones are refused as well', 15000);
    assert.ok(await held(server) <= share * 1.25 + 2 * MiB, `${await held(server)} bytes held`);
    for (const pid of server.children('worker')) process.kill(pid, 'SIGKILL');
    await until(() => request(`${plain}/up`, { method: 'POST', body: Buffer.alloc(4 * MiB) }).then((r) => r.status === 200, () => false), 'all of it is there again');
});

test('an upgrade to h2c is not offered: what comes with it is answered over HTTP/1.1, and has its share', async (t) => {
    const server = await start(t, { hooks: { 'up.lua': up }, config, workers: 1 });
    const streams = [3, 5, 7, 9], frames = (stream) => Buffer.concat([post(stream, '/up'), frame(DATA, 0, stream, Buffer.alloc(9000))]);
    const attackers = Array.from({ length: 3 }, () => {
        const socket = net.connect(server.port, '127.0.0.1');
        t.after(() => socket.destroy());
        socket.heard = '';
        socket.on('data', (d) => { socket.heard += d.toString('latin1'); }).on('error', () => {});
        socket.write(Buffer.concat([Buffer.from('POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: Upgrade, HTTP2-Settings, keep-alive\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\nx'),
            PREFACE, frame(SETTINGS, 0, 0), ...streams.map(frames)]));
        return socket;
    });
    await until(() => attackers.every((a) => /^HTTP\/1\.1 /.test(a.heard)), 'all are answered');
    for (const { heard } of attackers) assert.match(heard, /^HTTP\/1\.1 200 [^]*\r\n\r\n1/);
    await sleep(ms(100));
    for (const a of attackers) for (let i = 0; i < 2 * MiB; i += 16384) a.write(Buffer.concat(streams.map((stream) => frame(DATA, 0, stream, Buffer.alloc(16384)))));
    await until(async () => await cut(server) > 0, 'streams are reset', 15000);
    await sleep(ms(300));
    assert.ok(await held(server) <= share * 1.25 + 2 * MiB, `${await held(server)} bytes held`);
    for (const a of attackers) a.destroy();
    await until(async () => await held(server) === 0, 'all is given back');
    assert.equal(await tool('curl', ['-sS', '--http2', '-d', 'hello', '-w', ' %{http_code} %{http_version}', `${server.url}/up`]), '5 200 1.1');
    assert.equal(await tool('curl', ['-sS', '--http2-prior-knowledge', '-d', 'hello', '-w', ' %{http_code} %{http_version}', `${server.url}/up`]), '5 200 2');
});

test('what an address has used up is not refused to the next one who comes behind a frame of it', async (t) => {
    const server = await start(t, { hooks: { 'up.lua': 'return function() return 200 end' }, config: 'return { limits = { body_memory_per_ip = "1MiB", body = "64KiB" } }', workers: 1 });
    const sockets = [];
    const attack = (...frames) => {
        const socket = net.connect(server.port, '127.0.0.1', () => socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0), ...frames])));
        sockets.push(socket);
        return new Promise((done) => { socket.on('error', () => {}).once('data', done); });
    };
    const bodies = (count, size) => Array.from({ length: count }, (_, i) => [post(2 * i + 1, '/up'), frame(DATA, 0, 2 * i + 1, Buffer.alloc(size))]).flat();
    for (const [streams, size, connections] of [[3, 16384, 120], [6, 1000, 120]]) { // what is read at once counts, too
        const before = await cut(server);
        for (let i = 0; i < connections; i++) attack(...bodies(streams, size));
        await until(async () => await cut(server) > before, 'the share is used up');
        await sleep(ms(200));
    }
    const before = await cut(server);
    await attack(get(1, '/up'), frame(DATA, 0, 1, Buffer.alloc(10))); // its first bytes, which end with a frame that has no room
    const victim = upload(t, server, { from: '127.0.0.2', size: 1 });
    victim.end();
    assert.match(await victim.answer, /^HTTP\/1\.1 200 /);
    assert.equal(await cut(server), before);
    for (const socket of sockets) socket.destroy();
});

const hold = { 'hold.lua': 'return { max_body = "4MiB", handle = function(req) local n = #req.body sleep(3) return 200, tostring(n) end }' };
const gzipped = (server, packed, from = '127.0.0.1', coding = 'gzip') => request(`${server.url}/hold`, { method: 'POST', headers: { 'content-encoding': coding }, body: packed, localAddress: from });

test('what bodies are unpacked to is in the share of their address, too', async (t) => {
    const server = await start(t, { hooks: { ...hold, 'event.lua': 'return { max_body = "4MiB", event_type = "/type", events = { "push" }, handle = function(req) return 200 end }' }, config, workers: 1 });
    const size = 3.5 * MiB, zeros = zlib.gzipSync(Buffer.alloc(size));
    const ours = Array.from({ length: 12 }, () => gzipped(server, zeros));
    const counted = () => server.metric('crescent_content_refused_total', 'reason="body_memory_per_ip"');
    await until(async () => await counted() === 10, 'those past the share are refused', 15000);
    assert.ok(await held(server) <= share, `${await held(server)} bytes held`);
    assertProblem(await request(`${server.url}/event`, { method: 'POST', headers: { 'content-encoding': 'gzip' }, body: zeros }), 503, /this address has too many bodies/);
    assert.equal(await refused(server, 'body_memory_per_ip'), 1);
    assert.equal((await gzipped(server, zeros, '127.0.0.2')).text, String(size));
    const answers = await Promise.all(ours);
    assert.equal(answers.filter((r) => r.status === 200).length, 2);
    for (const r of answers.filter(({ status }) => status !== 200)) assertProblem(r, 503, /this address has too many bodies/);
    await until(async () => await held(server) === 0, 'all is given back');
    assert.equal((await gzipped(server, zeros)).text, String(size));
});

test('a trusted proxy has no share, and one body of limits.body has room whatever the share is', async (t) => {
    const trusting = await start(t, { hooks: { 'up.lua': up }, config: config.replace('{ limits', '{ trusted_proxies = { "127.0.0.1" }, limits') });
    const all = Array.from({ length: 8 }, () => upload(t, trusting));
    await until(async () => await held(trusting) >= 8 * 4 * MiB, 'all are received', 15000);
    for (const u of all) u.end();
    for (const u of all) assert.match(await u.answer, /^HTTP\/1.1 200 /);
    const narrow = await start(t, { hooks: { 'up.lua': up, ...hold }, config: 'return { limits = { body_memory_per_ip = "1MiB", body = "4MiB" } }' });
    const one = upload(t, narrow);
    one.end();
    assert.match(await one.answer, /^HTTP\/1.1 200 [^]*4194304$/);
    const size = 4 * MiB - 8192, packed = zlib.gzipSync(crypto.randomBytes(size), { level: 1 }); // and what it is unpacked to
    assert.equal((await gzipped(narrow, packed)).text, String(size));
    assert.equal((await gzipped(narrow, zlib.gzipSync(packed, { level: 1 }), '127.0.0.1', 'gzip, gzip')).text, String(size));
});

const hooks = {
    'up.lua': up,
    'small.lua': 'return function(req) return 200, tostring(#req.body) end', // max_body: 1 MiB
    'get.lua': 'return { methods = { "GET" }, handle = function() return 200 end }',
    'inside.lua': 'return { allow_ips = { "192.0.2.0/24" }, max_body = "4MiB", handle = function() return 200 end }',
};
const refusals = [
    ['/nothing', 404, 'no_route'], ['/inside', 403, 'address_not_allowed'], ['/get', 405, 'method_not_allowed'], ['/small', 413, 'body_too_large'],
];
const after = 'GET /small HTTP/1.1\r\nHost: x\r\n\r\n';

for (const [target, status, reason] of refusals)
    test(`${status} for a large body of which nothing was read yet`, async (t) => {
        const server = await start(t, { hooks, workers: 1 });
        const framings = [`Content-Length: ${20 * MiB}\r\n`, `Content-Length: ${20 * MiB}\r\nExpect: 100-continue\r\n`,
            `Content-Length: ${20 * MiB}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n`];
        if (status !== 413) framings.push('Transfer-Encoding: chunked\r\n');
        for (const [i, framing] of framings.entries()) {
            const text = await raw(server.port, `POST ${target} HTTP/1.1\r\nHost: x\r\n${framing}\r\n${after}`, { enough: (s) => s.endsWith('}') });
            assert.match(text, new RegExp(`^HTTP/1.1 ${status} [^]*\r\n\r\n\\{[^{}]*\\}$`)); // once, and what follows is no request
            assert.match(text, /\r\nconnection: close\r\n/i);
            assert.equal(await refused(server, reason), i + 1);
        }
        assertProblem(await request(`${server.url}${target}`, { method: 'POST', body: Buffer.alloc(20 * MiB) }), status); // all of it is sent
        assert.ok(await held(server) < MiB);
        const port = server.port, small = `POST ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n${'y'.repeat(1000)}${after}`;
        if (status !== 413) // the connection of a small one goes on
            assert.match(await raw(port, small, { enough: (s) => s.endsWith('0') }), new RegExp(`^HTTP/1.1 ${status} [^]*HTTP/1.1 200 OK[^]*0$`));
    });

test('400 without a Host, whoever asks, before anything of a large body is read', async (t) => {
    const server = await start(t, { hooks, config: 'return { trusted_proxies = { "127.0.0.2" } }', workers: 1 });
    for (const from of ['127.0.0.1', '127.0.0.2'])
        for (const framing of [`Content-Length: ${20 * MiB}`, 'Transfer-Encoding: chunked']) {
            const socket = net.connect({ port: server.port, host: '127.0.0.1', localAddress: from });
            t.after(() => socket.destroy());
            let text = '';
            socket.on('data', (d) => { text += d; }).on('error', () => {});
            socket.write(`POST /up HTTP/1.1\r\n${framing}\r\n\r\n`);
            await until(() => text.endsWith('}'), 'an answer');
            assert.match(text, /^HTTP\/1.1 400 [^]*\r\nconnection: close\r\n[^]*there is no Host header/i);
        }
    const old = `POST /up HTTP/1.0\r\nContent-Length: ${2 * MiB}\r\n\r\n${'y'.repeat(2 * MiB)}`; // which may name none
    assert.match(await raw(server.port, old, { enough: (s) => s.endsWith(String(2 * MiB)) }), /^HTTP\/1.[01] 200 /);
});

test('a chunked body is refused as soon as it is too long, and taken up to that', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    const chunk = `100000\r\n${'z'.repeat(MiB)}\r\n`, head = 'POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';
    const socket = net.connect(server.port, '127.0.0.1');
    t.after(() => socket.destroy());
    let text = '', sent = 0;
    socket.on('data', (d) => { text += d; }).on('error', () => {});
    socket.write(head);
    while (!text && sent < 30) {
        socket.write(chunk);
        sent++;
        await sleep(ms(50));
    }
    assert.match(text, /^HTTP\/1.1 413 [^]*the body has more than 1048576 bytes/);
    assert.ok(sent < 20, `${sent} MiB sent`);
    const whole = await raw(server.port, `${head}${chunk}0\r\n\r\n${after}`, { enough: (s) => (s.match(/HTTP/g) ?? []).length === 2 });
    assert.match(whole, /^HTTP\/1.1 200 [^]*1048576HTTP\/1.1 200 /);
    const onebyte = `${head}${'1\r\nz\r\n'.repeat(MiB)}0\r\n\r\n`; // six bytes for each
    assert.match(await raw(server.port, onebyte, { enough: (s) => s.endsWith('1048576'), limit: 10000 }), /^HTTP\/1.1 200 [^]*1048576$/);
});

test('pipelined requests behind a large body are served; a trusted proxy may name another host later', async (t) => {
    const server = await start(t, { hooks: { ...hooks, 'named.lua': 'return { routes = { "example.com/up" }, max_body = "4MiB", handle = function(req) return 200, tostring(#req.body) end }' },
        config: 'return { trusted_proxies = { "127.0.0.2" } }', workers: 1 });
    const body = 'q'.repeat(4 * MiB), many = 20000;
    const text = await raw(server.port, `POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: ${4 * MiB}\r\n\r\n${body}${'GET /small HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(many)}`,
        { enough: (s) => s.length > 100 * many && (s.match(/HTTP\/1.1 200/g) ?? []).length === many + 1, limit: 20000 });
    assert.equal((text.match(/HTTP\/1.1 200/g) ?? []).length, many + 1);
    const proxied = upload(t, server, { from: '127.0.0.2', head: 'X-Forwarded-Host: example.com\r\n' });
    proxied.end();
    assert.match(await proxied.answer, /^HTTP\/1.1 200 /);
});
