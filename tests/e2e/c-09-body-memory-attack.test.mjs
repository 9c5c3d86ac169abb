import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import tls from 'node:tls';
import { frame } from './attack/frames.mjs';
import { certificate, folder, ms, sleep, start, until } from './helper.mjs';

const hooks = { 'up.lua': `return { max_body = "4MiB", methods = { "GET", "POST" }, handle = function(req)
    if #req.body > 100000 then sleep(0.1) end
    return 200, tostring(#req.body)
end }` };
const config = 'return { limits = { body_memory = "7MiB", body = "4MiB", body_time = "2s", header_time = "1s" } }';
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
