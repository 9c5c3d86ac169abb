import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import tls from 'node:tls';
import { Attacker, block, frame, integer, memory, mib, RST_STREAM } from './attack/frames.mjs';
import { certificate, folder, ms, sleep, start, until } from './helper.mjs';

const hooks = { 'up.lua': `return { max_body = "4MiB", methods = { "GET", "POST" }, handle = function(req)
    if #req.body > 100000 then sleep(0.1) end
    return 200, tostring(#req.body)
end }` };
const config = 'return { limits = { body_memory = "7MiB", body = "4MiB", body_time = "2s", header_time = "1s" } }';
const ENHANCE_YOUR_CALM = 0xb, REFUSED_STREAM = 7;
const sanitized = Number(process.env.CRESCENT_TIME_FACTOR ?? 1) > 1; // its memory is not the server's own
const below = (n) => Math.floor(Math.random() * n);
const some = (n, make) => Buffer.concat(Array.from({ length: n }, (_, i) => make(i)));

const big = Buffer.alloc(3 << 20, 'z');
const post = (more = '', size = big.length) => Buffer.from(`POST /up HTTP/1.1\r\nHost: x\r\n${more}Content-Length: ${size}\r\n\r\n`);
const get = (more = '') => Buffer.from(`GET /up HTTP/1.1\r\nHost: x\r\n${more}\r\n`);
const h2c = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n';
const preface = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0, Buffer.alloc(0))]);
const head = (stream, flags = 4) => frame(1, flags, stream, Buffer.from('\x83\x86\x44\x03/up\x41\x01x', 'latin1'));
const data = (stream, n) => some(n, () => frame(0, 0, stream, Buffer.alloc(16384)));
const openings = [
    () => Buffer.concat([post(), big]),
    () => Buffer.concat([post('Expect: 100-continue\r\n'), big]),
    () => Buffer.concat([get(), get(), post('', 5), Buffer.from('hello'), post(), big]),
    () => Buffer.concat([preface, head(1), data(1, 100 + below(60)), head(3), data(3, 30)]),
    () => Buffer.concat([preface, some(50, (i) => Buffer.concat([head(2 * i + 1), data(2 * i + 1, below(4))]))]),
    () => Buffer.concat([preface, head(1, 0), some(20, () => frame(9, 0, 1, Buffer.alloc(4096, 0x82))), big]),
    () => Buffer.concat([post(h2c), big, preface, data(1, 50)]),
    () => Buffer.concat([get(h2c), preface, head(3), data(3, 120)]),
    () => Buffer.concat([Buffer.from('POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'),
        some(3000, () => Buffer.from(`400\r\n${'x'.repeat(1024)}\r\n`))]),
    () => Buffer.concat([Buffer.from('POST /up HTTP/1.1\r\nHost: x\r\nX: '), Buffer.alloc(300000, 'y'), Buffer.from('\r\n\r\n'), big]),
    () => Buffer.concat([Buffer.from('NONSENSE\r\n\r\n'), big]),
];

test('whatever comes while there is no memory for it, no worker dies and nothing stays held', async (t) => {
    const dir = folder(t), { args } = await certificate(dir);
    const server = await start(t, { hooks, config, dir, args, listen: ['http://127.0.0.1:0', 'https://127.0.0.1:0'] });
    const workers = server.children('worker');
    const end = Date.now() + 4000;
    let connections = 0;
    const one = () => new Promise((done) => {
        const bytes = openings[below(openings.length)](), secure = below(3) === 0;
        const port = Number(new URL(server.urls.find((u) => u.startsWith('https') === secure)).port);
        const socket = secure ? tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: [['h2', 'http/1.1'][below(2)]] })
            : net.connect(port, '127.0.0.1');
        socket.on('error', () => {}).on('close', done).resume();
        const length = below(4) === 0 ? below(bytes.length) : bytes.length, first = below(3) === 0 ? 100 : length;
        socket.write(bytes.subarray(0, first));
        if (first < length) setTimeout(() => socket.destroyed || socket.write(bytes.subarray(first, length)), below(30));
        setTimeout(() => secure || below(2) ? socket.destroy() : socket.resetAndDestroy(), 20 + below(900));
        connections++;
    });
    await Promise.all(Array.from({ length: 24 }, async () => { while (Date.now() < end) await one(); }));
    t.diagnostic(`${connections} connections`);
    await until(async () => await server.metric('crescent_body_memory_bytes') === 0, 'nothing is held', 10000);
    assert.deepEqual(server.children('worker'), workers);
    await sleep(ms(100));
    assert.equal((await server.post('/up', Buffer.alloc(500000))).text, '500000');
});

// --- header sections over HTTP/2 -------------------------------------------------------------------------------------

/** A literal field: a name of one letter, a value of n bytes. */
const literal = (n) => Buffer.concat([Buffer.from([0, 1, 0x78]), integer(n, 7, 0), Buffer.alloc(n, 'v')]);
/** A section with n bytes in fields of 4 KB; open: without END_HEADERS. Its body is still to come. */
function section(stream, n, { open = false } = {}) {
    const whole = Buffer.concat([block('/up', { method: 'POST' }), some(Math.ceil(n / 4000), (i) => literal(Math.min(4000, n - 4000 * i)))]);
    return some(Math.ceil(whole.length / 16384), (i) => {
        const last = !open && (i + 1) * 16384 >= whole.length;
        return frame(i === 0 ? 1 : 9, last ? 4 : 0, stream, whole.subarray(i * 16384, (i + 1) * 16384));
    });
}
const counting = { 'up.lua': 'return function(req) return 200, tostring(#req.body) end' };
/** An address may have 4 MiB, so that a body has room, and a quarter more of what is small. */
const shared = 'return { limits = { body = "1MiB", body_memory = "32MiB", body_memory_per_ip = "2MiB" } }';
const held = (server) => server.metric('crescent_body_memory_bytes');
const cut = (server, reason) => server.metric('crescent_connections_cut_total', `reason="${reason}"`);
const MiB = 1 << 20;
/** Honest, from another address. */
const other = (server, body) => new Promise((done, fail) => {
    const req = http.request(`${server.url}/up`, { method: 'POST', localAddress: '127.0.0.2', agent: false, headers: { 'content-length': body.length } }, (res) => {
        res.resume();
        done(res.statusCode);
    });
    req.on('error', fail).end(body);
});

test('header blocks without end are in the share of their address', async (t) => {
    const server = await start(t, { hooks: counting, config: shared, workers: 1 });
    const attackers = await Promise.all(Array.from({ length: 200 }, () => Attacker.open(t, server.port)));
    for (const a of attackers) await a.send(section(1, 60_000, { open: true }));
    await until(async () => await cut(server, 'body_memory_per_ip') >= 30, 'many are cut');
    assert.ok(await held(server) <= 6 * MiB, `${await held(server)} bytes held`);
    assert.equal(await other(server, Buffer.alloc(200_000)), 200);
    for (const a of attackers) assert.ok([undefined, ENHANCE_YOUR_CALM].includes(a.goaway), `${a.goaway}`);
    for (const a of attackers) a.socket.destroy();
    await until(async () => await held(server) === 0, 'all memory is given back');
});

test('header sections whose bodies are awaited are in the share of their address', async (t) => {
    const server = await start(t, { hooks: counting, config: shared, workers: 1 });
    const [pid] = server.children('worker'), size = memory(pid);
    const attackers = await Promise.all(Array.from({ length: 20 }, () => Attacker.open(t, server.port)));
    for (const a of attackers) for (let i = 0; i < 90; i++) await a.send(section(1 + 2 * i, 30_000));
    await until(async () => await cut(server, 'body_memory_per_ip') >= 20, 'many are refused');
    assert.ok(await held(server) <= 6 * MiB, `${await held(server)} bytes held`);
    assert.ok(sanitized || memory(pid) - size < mib(24), `${size} became ${memory(pid)} MiB`);
    assert.ok(attackers.some((a) => a.frames.some((f) => f.type === RST_STREAM && f.payload.readUInt32BE(0) === REFUSED_STREAM)));
    assert.equal(await other(server, Buffer.alloc(200_000)), 200);
    for (const a of attackers) a.socket.destroy();
    await until(async () => await held(server) === 0, 'all memory is given back');
});

for (const [what, more, status] of [['fields', Buffer.alloc(0), 431], ['a path', Buffer.concat([Buffer.from([0x04]), integer(30_001, 7, 0), Buffer.from('/'), Buffer.alloc(30_000, 'p')]), 414]])
    test(`${what} past the limits: nothing of it is held while its body is awaited, the answer is ${status}`, async (t) => {
        const server = await start(t, { hooks, workers: 1 });
        const [pid] = server.children('worker'), size = memory(pid);
        const attackers = await Promise.all(Array.from({ length: 20 }, () => Attacker.open(t, server.port)));
        const head = status === 414 ? Buffer.concat([Buffer.from([0x83, 0x86]), more]) : undefined;
        const one = (stream) => head ? Buffer.concat([frame(1, 0, stream, head.subarray(0, 16384)), frame(9, 4, stream, head.subarray(16384))]) : section(stream, 60_000);
        for (const a of attackers) for (let i = 0; i < 90; i++) await a.send(one(1 + 2 * i));
        await sleep(ms(300));
        assert.ok(sanitized || memory(pid) - size < mib(24), `${size} became ${memory(pid)} MiB`);
        const [a] = attackers;
        assert.ok(!a.isClosed);
        await a.send(frame(0, 1, 1, Buffer.from('body')));
        await until(() => a.frames.some((f) => f.stream === 1 && f.flags & 1), 'an answer');
        assert.match(a.frames.find((f) => f.stream === 1 && f.type === 0).payload.toString(), new RegExp(`"status":${status}`));
        for (const each of attackers) each.socket.destroy();
        await until(async () => await held(server) === 0, 'all memory is given back');
    });

test('trailers are read, and not held', async (t) => {
    const server = await start(t, { hooks: { 'up.lua': 'return function(req) sleep "2s" return 200, req.headers["x"] or "none" end' }, workers: 1 });
    const [pid] = server.children('worker'), size = memory(pid);
    const attackers = await Promise.all(Array.from({ length: 10 }, () => Attacker.open(t, server.port)));
    const trailer = some(15, () => literal(4000));
    for (const a of attackers)
        for (let i = 0; i < 90; i++)
            await a.send(Buffer.concat([head(1 + 2 * i), frame(0, 0, 1 + 2 * i, Buffer.from('b')), some(4, (k) => frame(k === 0 ? 1 : 9, (k === 0 ? 1 : 0) | (k === 3 ? 4 : 0), 1 + 2 * i, trailer.subarray(k * 16384, (k + 1) * 16384)))]));
    assert.ok(sanitized || memory(pid) - size < mib(24), `${size} became ${memory(pid)} MiB`);
    const [a] = attackers;
    await until(() => a.frames.filter((f) => f.type === 0 && f.payload.toString() === 'none').length === 90, 'all answers', 10000);
});
