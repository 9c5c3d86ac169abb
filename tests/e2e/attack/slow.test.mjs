// Peers that are slow on purpose, at each stage of a request, on both versions: each is cut after its limit, and
// counted; plain libh2o holds the worst of them for ever.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import tls from 'node:tls';
import { certificate, folder, ms, sleep, start, tool, until } from '../helper.mjs';
import { Attacker, DATA, END_HEADERS, frame, get, HEADERS, INITIAL_WINDOW, PING, post, setting, u32, unharmed, victim } from './frames.mjs';

const hooks = {
    'hello.lua': 'return { methods = { "GET", "POST" }, handle = function() return "hello" end }',
    'big.lua': 'return function() return 200, ("x"):rep(20 * 1024 * 1024) end',
    'slow.lua': 'return function() sleep "2500ms" return "late" end',
};
const limits = 'return { limits = { header_time = "600ms", body_time = "900ms", write_time = "900ms", idle_time = "1200ms" } }';
const cut = (server, reason) => server.metric('crescent_connections_cut_total', `reason="${reason}"`);

/** A connection that says `first`, then `drip` every 100 ms, never reads if deaf; resolves with how long it lived, ms. */
function drip(t, port, first, more, { deaf = false, tlsOptions, limit = 6000 } = {}) {
    return new Promise((done) => {
        const begun = Date.now();
        const socket = tlsOptions ? tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...tlsOptions }) : net.connect(port, '127.0.0.1');
        const end = () => {
            clearInterval(timer);
            clearTimeout(late);
            socket.destroy();
            done(Date.now() - begun);
        };
        const timer = setInterval(() => more && !socket.destroyed && socket.write(more), 100);
        const late = setTimeout(end, ms(limit));
        socket.on('error', () => {}).on('close', end);
        socket.once(tlsOptions ? 'secureConnect' : 'connect', () => {
            socket.write(first);
            if (deaf) socket.pause();
            else socket.resume();
        });
        t.after(end);
    });
}
const between = (lived, least, most, what) => assert.ok(lived >= least && lived <= ms(most), `${what}: lived ${lived} ms`);

test('HTTP/1: silence, a slow header, a slow body, an idle connection', async (t) => {
    const server = await start(t, { hooks, config: limits });
    const [silent, header, body, idle] = await Promise.all([
        drip(t, server.port, '', null),
        drip(t, server.port, 'GET /hello HTTP/1.1\r\nHost: x\r\nX-A: ', 'a'),
        drip(t, server.port, 'POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n', 'a'),
        drip(t, server.port, 'GET /hello HTTP/1.1\r\nHost: x\r\n\r\n', null),
    ]);
    between(silent, 500, 1500, 'silent');
    between(header, 500, 1500, 'header');
    between(body, 800, 1800, 'body');
    between(idle, 1000, 2200, 'idle');
    assert.equal(await cut(server, 'header_time'), 2);
    assert.equal(await cut(server, 'body_time'), 1);
    assert.equal(await cut(server, 'idle_time'), 1);
    assert.equal((await server.get('/hello')).text, 'hello');
});

test('a client that does not read a large answer, clear and over TLS', async (t) => {
    const dir = folder(t), pair = await certificate(dir);
    const server = await start(t, { hooks, config: limits, listen: ['http://127.0.0.1:0', 'https://127.0.0.1:0'], args: pair.args });
    const ask = 'GET /big HTTP/1.1\r\nHost: x\r\n\r\n';
    const lived = await Promise.all([
        drip(t, server.port, ask, null, { deaf: true }),
        drip(t, Number(new URL(server.urls[1]).port), ask, null, { deaf: true, tlsOptions: { ALPNProtocols: ['http/1.1'] } }),
    ]);
    // a deaf socket does not see its end before it reads: the server's count is the witness
    assert.equal(lived.length, 2);
    await until(async () => await cut(server, 'write_time') === 2, 'both to be cut');
    assert.equal((await server.get('/hello')).text, 'hello');
});

test('while requests come and wait without end, slow peers are cut all the same', async (t) => {
    const nap = 'return function() sleep "20ms" return "x" end';
    const server = await start(t, { hooks: { ...hooks, 'nap.lua': nap }, workers: 1,
        config: 'return { limits = { header_time = "600ms", connection_requests = 1000000000 } }' });
    const flood = tool('h2load', ['--h1', '-c1000', '-D4', `${server.url}/nap`]);
    await sleep(1000);
    const lived = await drip(t, server.port, 'GET /hello HTTP/1.1\r\nHost: x\r\nX-A: ', 'a', { limit: 6000 });
    between(lived, 500, 2500, 'a slow header');
    await flood;
});

/** Bytes that the kernel holds for each peer of a port that has not acknowledged them, as /proc/net/tcp tells. */
function held(port) {
    const lines = fs.readFileSync('/proc/net/tcp', 'latin1').split('\n').map((line) => line.trim().split(/\s+/));
    const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
    return lines.filter(([, local, , state]) => local?.endsWith(wanted) && state === '01').map((line) => parseInt(line[4].split(':')[0], 16));
}

test('a hundred that do not read: the kernel holds little for each, and all are cut', async (t) => {
    const some = 'return function() return 200, ("x"):rep(3 * 1024 * 1024) end'; // all of which the kernel would take by itself
    const server = await start(t, { hooks: { ...hooks, 'some.lua': some }, workers: 1, config: 'return { limits = { write_time = "8s" } }' });
    for (let i = 0; i < 100; i++) drip(t, server.port, 'GET /some HTTP/1.1\r\nHost: x\r\n\r\n', null, { deaf: true, limit: 60000 });
    await until(() => held(server.port).filter((bytes) => bytes > 0).length === 100, 'a hundred answers under way', 10000);
    await sleep(500);
    const most = Math.max(...held(server.port));
    assert.ok(most > 64 * 1024 && most < 1 << 20, `${most} bytes for one`);
    assert.equal((await server.get('/hello')).text, 'hello');
    await until(async () => await cut(server, 'write_time') === 100, 'all to be cut', 30000);
});

test('a slow but steady reader gets it all', async (t) => {
    const server = await start(t, { hooks, config: limits });
    const got = await new Promise((done, fail) => {
        let bytes = 0;
        const socket = net.connect(server.port, '127.0.0.1', () => socket.write('GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'));
        const timer = setInterval(() => {
            const part = socket.read(1 << 20) ?? socket.read();
            if (part) bytes += part.length;
        }, 50);
        socket.on('error', fail).on('close', () => {
            clearInterval(timer);
            done(bytes);
        }).on('end', () => {
            for (let part; (part = socket.read()) !== null;) bytes += part.length;
        }).on('readable', () => {});
    });
    assert.ok(got > 20 * 1024 * 1024, `${got} bytes`);
});

test('a request that waits is not idle', async (t) => {
    const server = await start(t, { hooks, config: limits });
    assert.equal((await server.get('/slow')).text, 'late');
});

test('HTTP/2: half a frame, slow bodies, pings without requests: plain libh2o holds them', async (t) => {
    const plain = await victim(t);
    const a = await Attacker.open(t, plain.port);
    await a.send(post(1, '/hello'));
    for (let i = 0; i < 30; i++) {
        await a.send(frame(DATA, 0, 1, Buffer.from('x')));
        await sleep(100);
    }
    assert.ok(!a.isClosed);
});

test('HTTP/2: half a frame, slow bodies, pings without requests: ours cuts them', async (t) => {
    const server = await start(t, { hooks, config: limits, workers: 1 });
    const before = server.children('worker');
    const timed = async (name, least, most, begin, more) => {
        const a = await Attacker.open(t, server.port);
        const begun = Date.now();
        await a.send(begin);
        while (!a.isClosed && Date.now() - begun < ms(6000)) {
            if (more) await a.send(more);
            await sleep(100);
        }
        assert.ok(a.isClosed, name);
        between(Date.now() - begun, least, most, name);
    };
    const half = Buffer.concat([get(1, '/hello'), frame(DATA, 0, 3, Buffer.alloc(100)).subarray(0, 9)]);
    await Promise.all([
        timed('no request, only pings', 500, 1800, frame(PING, 0, 0, Buffer.alloc(8)), frame(PING, 0, 0, Buffer.alloc(8))),
        timed('a header block without end', 500, 1500, frame(HEADERS, 0, 1, Buffer.from([0x82])), frame(9, 0, 1)),
        timed('a body by drips', 800, 2000, post(1, '/hello'), frame(DATA, 0, 1, Buffer.from('x'))),
        timed('half a frame by drips', 500, 2400, post(1, '/hello').subarray(0, 12), null),
        timed('idle but for pings', 1000, 2600, get(1, '/hello'), frame(PING, 0, 0, Buffer.alloc(8))),
        timed('half a frame after a request', 800, 2600, half, Buffer.from('x')),
    ]);
    assert.equal(await cut(server, 'body_time'), 1);
    await unharmed(server, before, assert);
});

test('HTTP/2: windows that never open', async (t) => {
    const server = await start(t, { hooks, config: limits });
    const a = await Attacker.open(t, server.port, { settings: setting(INITIAL_WINDOW, 0) });
    await a.send(Buffer.concat([get(1, '/hello'), get(3, '/big')]));
    const begun = Date.now();
    while (!a.isClosed && Date.now() - begun < ms(6000)) {
        await a.send(frame(PING, 0, 0, Buffer.alloc(8)));
        await sleep(100);
    }
    assert.ok(a.isClosed);
    assert.equal(await cut(server, 'write_time'), 1);
});

test('an upload longer than header_time and idle_time, within body_time, is taken', async (t) => {
    const server = await start(t, { hooks, config: 'return { limits = { header_time = "300ms", idle_time = "400ms", body_time = "5s" } }' });
    const text = await new Promise((done, fail) => {
        let heard = '';
        const socket = net.connect(server.port, '127.0.0.1', async () => {
            socket.write('POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n');
            for (let i = 0; i < 15; i++) {
                await sleep(100);
                socket.write('x');
            }
        });
        socket.on('data', (part) => {
            heard += part;
            if (heard.includes('hello')) {
                socket.destroy();
                done(heard);
            }
        }).on('error', fail).on('close', () => done(heard));
    });
    assert.match(text, /^HTTP\/1\.1 200/);
});

test('connections that send one byte each do not keep others out', async (t) => {
    const server = await start(t, { hooks, config: limits, workers: 1 });
    const all = Array.from({ length: 300 }, () => drip(t, server.port, 'G', null));
    await sleep(200);
    assert.equal((await server.get('/hello')).text, 'hello');
    for (const lived of await Promise.all(all)) between(lived, 500, 2500, 'one byte');
});
