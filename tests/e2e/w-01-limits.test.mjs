// Each limit of what a peer controls: its setting holds to the last one, what passes it is refused or cut as the README
// says, and counted under its name; nobody else notices.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import zlib from 'node:zlib';
import { assertProblem, certificate, folder, load, ms, raw, repository, request, request2, session, sleep, start, until } from './helper.mjs';
import { Attacker, block, DATA, END_HEADERS, END_STREAM, frame, get, GOAWAY, HEADERS, memory, mib, RST_STREAM, SETTINGS, unharmed } from './attack/frames.mjs';

const hooks = {
    'hello.lua': 'return { methods = { "GET", "POST" }, handle = function() return "hello" end }',
    'slow.lua': 'return function() sleep "400ms" return "slow" end',
    'read.lua': 'return { max_body = "4MiB", handle = function(req) return 200, tostring(#req.body) end }',
    'json.lua': 'return { max_body = "4MiB", handle = function(req) return 200, { kind = type(req:json()) } end }',
    'event.lua': 'return { max_body = "4MiB", events = { "push" }, event_type = "/type", handle = function(req) return 200, req.event_type end }',
    'form.lua': 'return { max_body = "16MiB", handle = function(req) local n = 0 for _ in pairs((req:form())) do n = n + 1 end return 200, tostring(n) end }',
    'query.lua': 'return { methods = { "GET" }, handle = function(req) local n = 0 for _ in pairs(req.query) do n = n + 1 end return 200, tostring(n) end }',
    'cookies.lua': 'return { methods = { "GET" }, handle = function(req) return 200, tostring(req.cookies.c1) end }',
    'files.lua': 'return { max_body = "16MiB", handle = function(req) return 200, tostring(#req:files()) end }',
    'big.lua': 'return { methods = { "GET" }, max_run = "5s", handle = function() return 200, ("x"):rep(20 * 1024 * 1024) end }',
};
const limits = (text) => `return { limits = { ${text} } }`;
const cut = (server, reason) => server.metric('crescent_connections_cut_total', `reason="${reason}"`);
const content = (server, reason) => server.metric('crescent_content_refused_total', `reason="${reason}"`);
const refused = (server, reason) => server.metric('crescent_refused_total', `reason="${reason}"`);
const form = { 'content-type': 'application/x-www-form-urlencoded' };

// --- what is read out of bodies ------------------------------------------------------------------------------------

const deep = (n) => '['.repeat(n) + ']'.repeat(n);
const fields = (n) => Array.from({ length: n }, (_, i) => `f${i}=${i}`).join('&');
const parts = (n) => Array.from({ length: n }, (_, i) => `--b\r\nContent-Disposition: form-data; name="f${i}"; filename="f"\r\n\r\nx\r\n`).join('') + '--b--\r\n';
const multipart = { 'content-type': 'multipart/form-data; boundary=b' };

test('json_depth, form_fields, parts and inflated: one more is too much', async (t) => {
    const server = await start(t, { hooks, config: limits('json_depth = 5, form_fields = 7, parts = 3, inflated = "2KiB"') });
    assert.deepEqual((await server.post('/json', deep(5))).json, { kind: 'table' });
    assertProblem(await server.post('/json', deep(6)), 400, /nested too deep/);
    assertProblem(await server.post('/event', `{"type":"push","x":${deep(5)}}`), 400, /nested too deep/);
    assert.equal((await server.post('/event', `{"type":"push","x":${deep(4)}}`)).text, 'push');
    assert.equal(await content(server, 'json_depth'), 2);

    assert.equal((await server.post('/form', fields(7), form)).text, '7');
    assertProblem(await server.post('/form', fields(8), form), 400, /too many/);
    assert.equal((await server.get(`/query?${fields(7)}`)).text, '7');
    assertProblem(await server.get(`/query?${fields(8)}`), 400, /too many/);
    const cookie = (n) => ({ cookie: Array.from({ length: n }, (_, i) => `c${i}=v`).join('; ') });
    assert.equal((await server.get('/cookies', cookie(7))).text, 'v');
    assertProblem(await server.get('/cookies', cookie(8)), 400, /too many/);
    assert.equal(await content(server, 'form_fields'), 3);

    assert.equal((await server.post('/files', parts(3), multipart)).text, '3');
    assertProblem(await server.post('/files', parts(4), multipart), 400, /too many parts/);
    assert.equal(await content(server, 'parts'), 1);

    const gzip = { 'content-encoding': 'gzip' };
    assert.equal((await server.post('/read', zlib.gzipSync(Buffer.alloc(2048)), gzip)).text, '2048');
    assertProblem(await server.post('/read', zlib.gzipSync(Buffer.alloc(2049)), gzip), 413);
    assert.equal((await server.post('/read', Buffer.alloc(4096))).text, '4096'); // not of what is sent as it is
    assert.equal(await content(server, 'inflated'), 1);
});

test('bombs of every kind are refused within the defaults, and memory stays', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    const before = server.children('worker');
    const gzip = zlib.gzipSync(Buffer.alloc(256 << 20), { level: 9 });
    assert.ok((256 << 20) / gzip.length > 1000);
    const all = [['/read', gzip, { 'content-encoding': 'gzip' }, 413], ['/json', zlib.gzipSync('['.repeat(8 << 20)), { 'content-encoding': 'gzip' }, 413],
        ['/json', deep(100_000), {}, 400], ['/json', `{"a":`.repeat(100_000), {}, 400], ['/form', fields(100_000), form, 400], ['/form', '&'.repeat(1 << 20), form, 400],
        ['/files', parts(100_000), multipart, 400]];
    for (const [target, body, headers, status] of all) assertProblem(await server.post(target, body, headers), status);
    const size = memory(before[0]);
    for (let i = 0; i < 5; i++)
        await Promise.all(all.map(async ([target, body, headers, status]) => assertProblem(await server.post(target, body, headers), status)));
    assert.ok(memory(before[0]) - size < mib(64), `${size} became ${memory(before[0])} MiB`);
    await unharmed(server, before, assert);
});

test('bodies of a gibibyte that are only declared cost nothing', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    const before = server.children('worker'), size = memory(before[0]);
    const head = `POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: ${1 << 30}\r\n\r\n`;
    for (const { text } of await Promise.all(Array.from({ length: 100 }, () => raw(server.port, head, { enough: (all) => all.includes('\r\n\r\n') }))))
        assert.match(text, /^HTTP\/1\.1 413/);
    const declared = Buffer.concat([Buffer.from([0x0f, 0x0d, 10]), Buffer.from(String(1 << 30))]);
    const a = await Attacker.open(t, server.port);
    for (let i = 0; i < 100; i++) await a.send(frame(HEADERS, END_HEADERS, 1 + 2 * i, block('/read', { method: 'POST', more: declared })));
    await sleep(200);
    assert.ok(memory(before[0]) - size < mib(16), `${size} became ${memory(before[0])} MiB`);
    a.socket.destroy();
    await unharmed(server, before, assert);
});

// --- connections ----------------------------------------------------------------------------------------------------

/** A connection with one answered request, left open. Resolves with the socket, or null where it was closed at once. */
function hold(t, port, { host = '127.0.0.1', from, say = 'GET /hello HTTP/1.1\r\nHost: x\r\n\r\n' } = {}) {
    return new Promise((done) => {
        const socket = net.connect({ port, host, localAddress: from });
        t.after(() => socket.destroy());
        socket.on('error', () => done(null)).on('close', () => done(null)).on('connect', () => say && socket.write(say));
        socket.on('data', () => done(socket));
        if (!say) setTimeout(() => done(socket.destroyed ? null : socket), ms(200));
    });
}
const holdMany = (t, n, port, options) => Promise.all(Array.from({ length: n }, () => hold(t, port, options)));
const held = (sockets) => sockets.filter(Boolean).length;
const destroy = (sockets) => sockets.forEach((s) => s?.destroy());

test('connections_per_ip: exact over all workers, by address; a closed connection and a dead worker give theirs back', async (t) => {
    const server = await start(t, { hooks, workers: 3, listen: ['127.0.0.1:0', '[::1]:0'], config: limits('connections_per_ip = 20') });
    const one = await holdMany(t, 20, server.port, { from: '127.0.0.2' });
    assert.equal(held(one), 20);
    assert.equal(held(await holdMany(t, 5, server.port, { from: '127.0.0.2' })), 0);
    assert.equal(await cut(server, 'connections_per_ip'), 5);
    assert.equal(held(await holdMany(t, 3, server.port, { from: '127.0.0.3' })), 3);
    const v6 = Number(new URL(server.urls[1]).port);
    assert.equal(held(await holdMany(t, 21, v6, { host: '::1' })), 20);
    await server.said('connections turned away');

    const open = async () => await server.metric('crescent_connections_total') - await server.metric('crescent_connections_closed_total');
    const before = await open();
    destroy(one.slice(0, 7));
    await until(async () => await open() === before - 7, 'their ends');
    assert.equal(held(await holdMany(t, 10, server.port, { from: '127.0.0.2' })), 7);

    for (const pid of server.children('worker')) {
        process.kill(pid, 'SIGKILL');
        await until(() => server.children('worker').length === 3 && !server.children('worker').includes(pid), 'a new worker');
    }
    await until(async () => await server.metric('crescent_workers_serving') === 3, 'three that serve');
    assert.equal(held(await holdMany(t, 20, server.port, { from: '127.0.0.2' })), 20);
    assert.equal(held(await holdMany(t, 1, server.port, { from: '127.0.0.2' })), 0);
});

test('connections_per_ip: whom PROXY protocol names; who comes by a trusted proxy does not count as it', async (t) => {
    const named = await start(t, { hooks, workers: 2, config: 'return { proxy_protocol = true, limits = { connections_per_ip = 3 } }' });
    const by = (client) => ({ say: `PROXY TCP4 ${client} 192.0.2.1 1234 80\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n` });
    assert.equal(held(await holdMany(t, 5, named.port, by('198.51.100.1'))), 3);
    assert.equal(held(await holdMany(t, 3, named.port, by('198.51.100.2'))), 3);
    assert.equal(await cut(named, 'connections_per_ip'), 2);
    const trusting = await start(t, { hooks, workers: 2, config: 'return { trusted_proxies = { "127.0.0.1" }, limits = { connections_per_ip = 3 } }' });
    assert.equal(held(await holdMany(t, 10, trusting.port)), 10);
    assert.equal(held(await holdMany(t, 5, trusting.port, { from: '127.0.0.2' })), 3);
});

test('connections: past them an idle one makes room; where none is idle, newcomers are turned away', async (t) => {
    const server = await start(t, { hooks: { ...hooks, 'long.lua': 'return function() sleep "5s" return "long" end' }, workers: 1, config: limits('connections = 10') });
    const idle = await holdMany(t, 10, server.port);
    assert.equal(held(idle), 10);
    assert.equal(held(await holdMany(t, 3, server.port)), 0); // none has been idle for a second
    assert.equal(await cut(server, 'connections'), 3);
    await sleep(2500); // so long, and a sweep has passed
    for (let i = 0; i < 3; i++) assert.equal((await server.get('/hello')).text, 'hello');
    assert.ok(idle.some((s) => s.destroyed) && idle.some((s) => !s.destroyed));
    destroy(idle);
    await until(async () => await server.metric('crescent_connections_open', 'protocol="http"') === 0, 'all closed', 5000);
    const busy = Array.from({ length: 10 }, () => request(`${server.url}/long`, { limit: 20000 }));
    await until(async () => await server.metric('crescent_requests_under_way') === 10, 'ten under way');
    await sleep(1500);
    await assert.rejects(server.get('/hello'));
    for (const reply of await Promise.all(busy)) assert.equal(reply.text, 'long');
    assert.equal((await server.get('/hello')).text, 'hello');
});

test('connection_requests: HTTP/1 closes with its last answer, also when pipelined', async (t) => {
    const server = await start(t, { hooks, workers: 1, config: limits('connection_requests = 3') });
    const asked = 'GET /hello HTTP/1.1\r\nHost: x\r\n\r\n';
    const { text, closed } = await raw(server.port, asked.repeat(5));
    assert.ok(closed);
    assert.equal(text.match(/HTTP\/1\.1 200/g).length, 3);
    assert.equal(text.match(/connection: close/gi).length, 1);
    assert.equal(await cut(server, 'connection_requests'), 1);
    const clients = load(`${server.url}/hello`, { connections: 4 });
    await sleep(500);
    assert.deepEqual((await clients.stop()).failures, []);
});

test('connection_requests: HTTP/2 says goodbye, and no request of a client that hears it fails', async (t) => {
    const tls = await certificate(folder(t));
    const server = await start(t, { hooks, workers: 1, args: tls.args, listen: ['http://127.0.0.1:0', 'https://127.0.0.1:0'], config: limits('connection_requests = 10, header_time = "1s"') });
    for (const url of server.urls) {
        const client = await session(t, url, { rejectUnauthorized: false });
        let answered = 0;
        await until(async () => {
            if (client.gone || client.closed) return true;
            assert.equal((await request2(client, '/slow')).text, 'slow');
            answered++;
            return false;
        }, 'a GOAWAY', 10000);
        assert.ok(answered >= 10, `${answered}`);
        await until(() => client.destroyed || client.closed, 'the end', 10000);
    }
    assert.equal(await cut(server, 'connection_requests'), 2);
    // one that does not care is ended all the same
    const a = await Attacker.open(t, Number(new URL(server.urls[0]).port));
    for (let i = 0; !a.isClosed && i < 300; i++) {
        await a.send(get(1 + 2 * i, '/hello'));
        await sleep(20);
    }
    await a.ended('a client that goes on');
    assert.equal(a.frames.filter((f) => f.type === GOAWAY).length, 2);
    assert.equal(a.goaway, 0);
});

test('connection_rate: past it a connection gets 429 until it has waited; others do not notice', async (t) => {
    const server = await start(t, { hooks, workers: 1, config: limits('connection_rate = 50') });
    const client = await session(t, server.url), other = await session(t, server.url);
    const replies = await Promise.all(Array.from({ length: 90 }, () => request2(client, '/hello')));
    const good = replies.filter((r) => r.status === 200).length;
    assert.ok(good >= 50 && good <= 75, `${good} of 90`);
    const late = replies.find((r) => r.status === 429);
    assertProblem(late, 429);
    assert.equal(late.headers['retry-after'], '1');
    assert.equal(await refused(server, 'connection_rate'), 90 - good);
    assert.equal((await request2(other, '/hello')).status, 200);
    await sleep(1100);
    assert.equal((await request2(client, '/hello')).status, 200);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const statuses = [];
    for (let i = 0; i < 120; i++) statuses.push((await request(`${server.url}/hello`, { agent })).status);
    agent.destroy();
    assert.ok(statuses.includes(429) && statuses[0] === 200);
});

test('connection_rate: what is refused for its host counts, too', async (t) => {
    const server = await start(t, { hooks, workers: 1, config: limits('connection_rate = 5') });
    const client = await session(t, server.url);
    const replies = await Promise.all(Array.from({ length: 20 }, () => request2(client, '/hello', { headers: { ':authority': 'bad host' } })));
    const late = replies.filter((r) => r.status === 429);
    assert.ok(replies[0].status === 400 && late.length >= 10, `${replies.map((r) => r.status)}`);
    assertProblem(late[0], 429);
    assert.equal(await refused(server, 'connection_rate'), late.length);
});

test('fields: over HTTP/2 those that the client sent, and :authority; no length that it did not give', async (t) => {
    const server = await start(t, { hooks, workers: 1, config: limits('fields = 20') });
    const client = await session(t, server.url);
    for (const [method, body] of [['GET', undefined], ['POST', undefined], ['POST', 'text']]) {
        const ask = (n) => request2(client, '/hello', { method, body, headers: Object.fromEntries(Array.from({ length: n }, (_, i) => [`x-${i}`, '1'])) });
        assert.equal((await ask(19)).status, 200, method);
        assertProblem(await ask(20), 431, /too many header fields/);
    }
});

test('a limit that another one always comes before is told of at start, where somebody has set it', async (t) => {
    const none = 'a limit has no effect: another one comes first';
    const server = await start(t, { hooks, config: limits('first_byte_time = "20s", header_time = "1s", stall_time = "5s", write_time = "5s", body_memory_per_ip = "1GiB", connections_per_ip = 50, connections = 50') });
    assert.deepEqual(server.records(none).map((r) => [r.level, r.limit, r.first]), [
        ['warn', 'limits.first_byte_time', 'limits.header_time'], ['warn', 'limits.stall_time', 'limits.write_time'],
        ['warn', 'limits.body_memory_per_ip', 'limits.body_memory'], ['warn', 'limits.connections_per_ip', 'limits.connections'],
    ]);
    const other = await start(t, { hooks, config: limits('header_time = "1s", write_time = "5s", body_memory = "48MiB", connections = 50, first_byte_time = "1s"') });
    assert.deepEqual(other.records(none), []);
});

test('connections: more than the descriptors of the workers allow are told of at start', async (t) => {
    const few = ['sh', '-c', 'ulimit -Sn 200 && ulimit -Hn 300 && exec "$@"', 'sh'];
    const server = await start(t, { hooks, prefix: few, config: limits('connections = 1000') });
    const said = await server.said((r) => r.message.startsWith('limits.connections cannot be reached'));
    assert.deepEqual([said.level, said.connections, said.workers, said.descriptors_each], ['warn', 1000, 2, 300]);
    assert.match(said.remedy, /LimitNOFILE=.*limits\.connections/);
    assert.equal((await server.get('/hello')).text, 'hello');
    for (const [config, connections] of [[limits('connections = 100'), 100], ['return {}', 2 * (300 - 75)]]) { // nobody asked for the default: it fits itself
        const enough = await start(t, { hooks, prefix: few, config });
        assert.deepEqual(enough.records((r) => r.level === 'warn' && /connections|descriptors|RLIMIT/.test(r.message)), []);
        assert.equal(enough.records('serving')[0].connections, connections);
    }
});

test('streams: no more at once, the rest may be sent again; clients are told', async (t) => {
    const server = await start(t, { hooks, workers: 1, config: limits('streams = 3, fields = 50, headers = "4KiB"') });
    const a = await Attacker.open(t, server.port);
    await a.send(Buffer.concat(Array.from({ length: 5 }, (_, i) => get(1 + 2 * i, '/slow'))));
    await until(() => a.frames.filter((f) => f.type === DATA && f.flags & END_STREAM).length === 3, 'three answers');
    const resets = a.frames.filter((f) => f.type === RST_STREAM);
    assert.deepEqual(resets.map((f) => [f.stream, f.payload.readUInt32BE(0)]), [[7, 7], [9, 7]]); // REFUSED_STREAM
    assert.equal(await server.metric('crescent_http2_streams_refused_total'), 2);
    await a.send(get(11, '/hello'));
    await until(() => a.frames.some((f) => f.stream === 11 && f.type === DATA), 'one more afterwards');

    const client = await session(t, server.url);
    await request2(client, '/hello');
    assert.equal(client.remoteSettings.maxConcurrentStreams, 3);
    assert.equal(client.remoteSettings.maxHeaderListSize, 4096 + 50 * 32);
    const replies = await Promise.all(Array.from({ length: 20 }, () => request2(client, '/slow')));
    for (const reply of replies) assert.equal(reply.text, 'slow');
    assert.equal(await server.metric('crescent_http2_streams_refused_total'), 2, 'a client that was told keeps to it');
});

// --- time and rate --------------------------------------------------------------------------------------------------

test('first_byte_time: silence, in clear and where TLS is spoken; whoever has said something has header_time', async (t) => {
    const tls = await certificate(folder(t));
    const server = await start(t, { hooks, workers: 1, args: tls.args, listen: ['http://127.0.0.1:0', 'https://127.0.0.1:0'],
        config: limits('first_byte_time = "500ms", header_time = "3s"') });
    const gated = await start(t, { hooks, workers: 1, config: 'return { proxy_protocol = true, limits = { first_byte_time = "500ms", header_time = "3s" } }' });
    const lived = (port, say) => new Promise((done) => {
        const begun = Date.now(), socket = net.connect(port, '127.0.0.1', () => say && socket.write(say));
        t.after(() => socket.destroy());
        socket.resume().on('error', () => {}).on('close', () => done(Date.now() - begun));
    });
    const ports = server.urls.map((u) => Number(new URL(u).port));
    const [clear, secure, header, hello, preface] = await Promise.all([lived(ports[0]), lived(ports[1]), lived(ports[0], 'G'), lived(ports[1], '\x16\x03\x01'), lived(ports[0], 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')]);
    for (const time of [clear, secure]) assert.ok(time >= 400 && time < ms(2000), `silent: ${time}`);
    for (const time of [header, hello, preface]) assert.ok(time >= 2500 && time < ms(8000), `has begun: ${time}`);
    assert.equal(await cut(server, 'first_byte_time'), 2);
    assert.equal(await cut(server, 'header_time'), 3);
    const [gate, begun] = await Promise.all([lived(gated.port), lived(gated.port, 'PROXY TCP4 ')]);
    assert.ok(gate >= 400 && gate < ms(2000) && begun >= 2500, `${gate} ${begun}`);
    assert.equal(await cut(gated, 'first_byte_time'), 1);
});

test('body_rate: a body by drips is cut after ten seconds, long before body_time; a slow one is not', async (t) => {
    const server = await start(t, { hooks, workers: 1, config: limits('body_rate = 100') });
    const drip = async (bytes) => {
        const socket = net.connect(server.port, '127.0.0.1');
        let heard = '';
        t.after(() => socket.destroy());
        socket.on('error', () => {}).on('data', (part) => { heard += part; });
        socket.write(`POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes * 26}\r\n\r\n`);
        for (let i = 0; i < 26 && !socket.destroyed; i++) {
            socket.write('x'.repeat(bytes));
            await sleep(500);
        }
        return heard;
    };
    const drip2 = async (bytes) => {
        const a = await Attacker.open(t, server.port);
        await a.send(frame(HEADERS, END_HEADERS, 1, block('/read', { method: 'POST' })));
        for (let i = 0; i < 26 && !a.isClosed; i++) {
            await a.send(frame(DATA, i === 25 ? END_STREAM : 0, 1, Buffer.alloc(bytes, 'x')));
            await sleep(500);
        }
        return a.frames.filter((f) => f.type === DATA).map((f) => f.payload).join('');
    };
    const [slow, fast, slow2, fast2] = await Promise.all([drip(20), drip(200), drip2(20), drip2(200)]);
    assert.equal(slow, '');
    assert.match(fast, /^HTTP\/1\.1 200 [^]*5200$/);
    assert.equal(slow2, '');
    assert.equal(fast2, '5200');
    assert.equal(await cut(server, 'body_rate'), 2);
    assert.equal(await cut(server, 'body_time'), 0);
});

test('write_rate: a reader of drips over HTTP/1 is cut, one that is merely slow is not', async (t) => {
    const server = await start(t, { hooks, workers: 1, config: limits('write_time = "2s", write_rate = "64KiB"') });
    const read = async (bytes) => {
        const socket = new net.Socket({ readableHighWaterMark: 1024 });
        t.after(() => socket.destroy());
        socket.on('error', () => {}).connect(server.port, '127.0.0.1', () => socket.write('GET /big HTTP/1.1\r\nHost: x\r\n\r\n'));
        for (let i = 0; i < 80 && await cut(server, 'write_rate') === 0; i++) {
            for (let got = 0; got < bytes;) {
                const part = socket.read();
                if (part === null) break;
                got += part.length;
            }
            await sleep(100);
        }
        return socket;
    };
    await read(20_000_000 / 100); // two megabytes a second
    assert.equal(await cut(server, 'write_rate'), 0);
    await read(1000);
    assert.equal(await cut(server, 'write_rate') + await cut(server, 'write_time'), 1);
    assert.equal((await server.get('/hello')).text, 'hello');
});

// --- the list itself ------------------------------------------------------------------------------------------------

test('each limit is in the README, with its default and its count, and each count is there', async (t) => {
    const units = { KIB: 1024, MIB: 1 << 20, SECOND: 1e9, CONFIG_MAX_RUN_MOST: 1e10 };
    const value = (text) => text.replaceAll(/[A-Z_]{3,}/g, (name) => units[name]).replaceAll('LL', '').split('*').reduce((product, part) => product * part.split('/').map(Number).reduce((x, y) => x / y), 1);
    const spelled = (text) => {
        const [, n, unit] = /^(\d+)(\w*)$/.exec(text);
        return Number(n) * ({ '': 1, KiB: 1024, MiB: 1 << 20, ms: 1e6, s: 1e9 })[unit];
    };
    const readme = fs.readFileSync(path.join(repository, 'README.md'), 'utf8').split('\n## ').find((part) => part.startsWith('Limits\n'));
    const settings = [...fs.readFileSync(path.join(repository, 'src/base/config.def'), 'utf8').matchAll(/^SETTING\(\w+, "limits\.(\w+)", [\w.]+, ([^,]+),/gm)];
    assert.ok(settings.length >= 30);
    for (const [, name, fallback] of settings) {
        const row = readme.split('\n').find((l) => l.startsWith(`| \`${name}\` |`))?.split('|').map((cell) => cell.trim());
        assert.equal(row?.length, 6, `limits.${name}: a row of four cells`);
        assert.equal(spelled(row[2].replaceAll('`', '')), value(fallback), name);
        assert.ok(row[4].includes('`'), `${name}: a count`);
    }
    const server = await start(t, { hooks });
    const text = (await request(`${server.admin}/metrics`)).text;
    for (const metric of new Set([...readme.matchAll(/`(crescent_\w+)(?:\{[^}]*\})?`/g)].map((m) => m[1]))) assert.ok(text.includes(metric), metric);
    for (const [, kind, reason] of readme.matchAll(/(cut|refused|content) `(\w+)`/g))
        assert.match(text, new RegExp(`^crescent_(${{ cut: 'connections_cut', refused: 'refused', content: 'content_refused' }[kind]})_total\\{reason="${reason}"\\} 0`, 'm'));
});

// --- a proxy's connection -------------------------------------------------------------------------------------------

const CALM = 0xb, NO_WINDOW = 4;
const resetOf = (a, stream) => a.frames.find((f) => f.type === RST_STREAM && f.stream === stream)?.payload.readUInt32BE(0);
const textOf = (a, stream) => Buffer.concat(a.frames.filter((f) => f.type === DATA && f.stream === stream).map((f) => f.payload)).toString();
const whole = (a, stream) => a.frames.some((f) => f.type === DATA && f.stream === stream && f.flags & END_STREAM);

test('what is one client\'s fault ends its stream, not the HTTP/2 connection of a trusted proxy, which has others\'', async (t) => {
    const got = (text) => `return { methods = { "GET" }, handle = function() ${text} end }`;
    const own = {
        'written.lua': got('return reply.stream(function(write) while true do write(("x"):rep(10000)) end end)'), 'huge.lua': got('return 200, ("x"):rep(1000000)'),
        'long.lua': got('sleep(3) return "long"'), 'late.lua': got('sleep "400ms" return "late"'),
    };
    for (const proxied of [true, false]) {
        const server = await start(t, {
            hooks: { ...hooks, ...own },
            config: `return { ${proxied ? 'trusted_proxies = "127.0.0.1",' : ''} limits = { body_time = "${ms(600)}ms", write_time = "${ms(600)}ms", stall_time = "${ms(600)}ms", resets = 5 } }`,
        });
        const faults = {
            body: (a) => a.send(Buffer.concat([frame(HEADERS, END_HEADERS, 3, block('/read', { method: 'POST' })), frame(DATA, 0, 3, Buffer.from('x'))])),
            answer: (a) => a.send(get(3, '/huge')), // its window is closed
            stream: (a) => a.send(get(3, '/written')),
        };
        for (const [what, begin] of Object.entries(faults)) {
            const a = await Attacker.open(t, server.port, { settings: Buffer.concat([Buffer.from([0, NO_WINDOW]), Buffer.from([0, 0, 0, 0])]) });
            await a.send(Buffer.concat([get(1, '/long'), frame(8, 0, 1, Buffer.from([0, 0, 1, 0]))])); // this one has a window
            await begin(a);
            if (proxied) {
                await until(() => resetOf(a, 3) === CALM, () => `${what}: the end of its stream`, ms(10000));
                await until(() => whole(a, 1), `${what}: the other answer`, ms(20000));
                assert.equal(textOf(a, 1), 'long');
                assert.ok(!a.isClosed && a.goaway === undefined, what);
            } else {
                await a.ended(what);
            }
            a.socket.destroy();
        }
        const counted = await cut(server, 'body_time') + await cut(server, 'write_time') + await cut(server, 'stall_time');
        assert.equal(counted, 3);
        const a = await Attacker.open(t, server.port);
        await a.send(get(1, '/late'));
        for (let i = 0; i < 20; i++) await a.send(Buffer.concat([get(3 + 2 * i, '/long'), frame(RST_STREAM, 0, 3 + 2 * i, Buffer.from([0, 0, 0, 8]))]));
        if (proxied) {
            await until(() => textOf(a, 1) === 'late', 'the other answer beside resets');
            assert.equal(await cut(server, 'resets'), 0);
        } else {
            await a.ended('resets');
            assert.equal(await cut(server, 'resets'), 1);
        }
        // too many fields, of the header and in trailers
        const field = (i) => Buffer.concat([Buffer.from([0, 5]), Buffer.from(`x-${String(i).padStart(3, '0')}`), Buffer.from([1, 0x76])]);
        const lots = (n) => Buffer.concat(Array.from({ length: n }, (_, i) => field(i)));
        for (const [what, begin] of Object.entries({
            header: (b) => b.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, block('/hello', { more: lots(135) }))),
            trailers: (b) => b.send(Buffer.concat([frame(HEADERS, END_HEADERS, 3, block('/hello', { method: 'POST', more: lots(70) })),
                frame(HEADERS, END_HEADERS | END_STREAM, 3, lots(70))])),
        })) {
            const b = await Attacker.open(t, server.port);
            await b.send(get(1, '/late'));
            await begin(b);
            if (proxied) {
                await until(() => textOf(b, 1) === 'late', `${what}: the other answer beside too many fields`);
                await until(() => what === 'header' ? resetOf(b, 3) !== undefined : textOf(b, 3) === 'hello', `${what}: its own end`);
            } else {
                await b.ended(what);
            }
        }
        // uploads that are given up
        const c = await Attacker.open(t, server.port);
        await c.send(get(1, '/long'));
        for (let i = 0; i < 1500; i++) await c.send(Buffer.concat([frame(HEADERS, END_HEADERS, 3 + 2 * i, block('/read', { method: 'POST' })), frame(RST_STREAM, 0, 3 + 2 * i, Buffer.from([0, 0, 0, 8]))]));
        if (proxied) await until(() => textOf(c, 1) === 'long', 'the other answer beside uploads that are given up', ms(20000));
        else await c.ended('uploads that are given up');
        assert.equal((await server.get('/hello')).text, 'hello');
        await until(async () => await server.metric('crescent_body_memory_bytes').catch(() => 0) === 0, 'all memory is given back');
    }
});
