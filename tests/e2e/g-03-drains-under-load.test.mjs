import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { Attacker as Frames, block, CONTINUATION, DATA, END_HEADERS, END_STREAM, frame, get, GOAWAY, HEADERS, INITIAL_WINDOW, post, RST_STREAM, setting, u32, WINDOW_UPDATE } from './attack/frames.mjs';
import { load1, load2 } from './clients.mjs';
import { certificate, folder, ms, sleep, start, tool, until } from './helper.mjs';

const size = 1500000; // of /large
const hooks = {
    'large.lua': `local text = ("x"):rep(${size}) return function() return text end`,
    'hello.lua': 'return function() return "hello" end', 'nap.lua': 'return function() sleep "30ms" return "nap" end',
    'slow.lua': 'return function() sleep "1500ms" return "slow" end',
    'take.lua': 'return { handle = function(req) return { size = #req.body } end }',
    'stuck.lua': 'return { timeout = "60s", methods = { "GET" }, handle = function() return (("a"):rep(4e4) .. "b"):find(".-.-.-.-c") and "x" or "y" end }',
};

for (let round = 0; round < 3; round++)
    test(`TERM under load on both versions: no request is reset or lost, newcomers are refused (${round + 1})`, async (t) => {
        const server = await start(t, { hooks, workers: 2 });
        const all = [load1(t, server.port, '/hello', { connections: 8, expect: 'hello' }), load1(t, server.port, '/nap', { connections: 8, expect: 'nap' }),
            load1(t, server.port, '/hello', { connections: 12, each: 1, expect: 'hello' }), load1(t, server.port, '/nap', { connections: 6, each: 3, expect: 'nap' }),
            load2(t, server.url, '/nap', { sessions: 4, streams: 6, expect: 'nap' }), load2(t, server.url, '/hello', { sessions: 2, streams: 2, expect: 'hello' })];
        await sleep(500);
        process.kill(server.pid, 'SIGTERM');
        const began = Date.now();
        await until(() => server.ended, 'its end', 10000);
        assert.ok(Date.now() - began < ms(4000), `${Date.now() - began} ms`);
        const results = await Promise.all(all.map((one) => one.stop()));
        assert.deepEqual(results.map((r) => r.failures), all.map(() => []), `TERM was at ${began}`);
        assert.ok(results.every((r) => r.answers > 20), results.map((r) => r.answers).join());
        assert.ok(results[2].refused.length > 0 && results[2].refused[0].at - began < ms(2000));
    });

test('HTTP/2 at TERM, frame by frame: each stream that was opened before GOAWAY could be heard is answered', async (t) => {
    const server = await start(t, { hooks, workers: 2 });
    const all = await Promise.all(Array.from({ length: 6 }, () => Frames.open(t, server.port)));
    let asking = true;
    const asked = all.map(async (client) => {
        let stream = 1;
        // A peer that is 150 ms away goes on for so long after the server has said GOAWAY.
        for (let heard = 0; asking && (heard === 0 || Date.now() - heard < 150) && !client.isClosed; stream += 2) {
            await client.send(get(stream, stream % 3 ? '/nap' : '/hello'));
            await sleep(3);
            heard ||= client.goaway === undefined ? 0 : Date.now();
        }
        return stream - 2;
    });
    await sleep(300);
    process.kill(server.pid, 'SIGTERM');
    const last = await Promise.all(asked);
    asking = false;
    await until(() => server.ended, 'its end', 10000);
    all.forEach((client, i) => {
        const ended = new Set(client.frames.filter((f) => f.type === DATA && f.flags & END_STREAM).map((f) => f.stream));
        assert.equal(client.goaway, 0);
        assert.ok(client.frames.filter((f) => f.type === GOAWAY).at(-1).payload.readUInt32BE(0) >= last[i]);
        assert.deepEqual(client.frames.filter((f) => f.type === RST_STREAM), []);
        assert.ok(last[i] > 50);
        for (let stream = 1; stream <= last[i]; stream += 2) assert.ok(ended.has(stream), `stream ${stream} of ${last[i]}`);
    });
});

test('what waits in an accept queue at TERM is answered, also that of a worker that cannot', async (t) => {
    const server = await start(t, { hooks, workers: 2 });
    const workers = server.children('worker');
    for (const pid of workers) process.kill(pid, 'SIGSTOP');
    const waiting = Promise.all(Array.from({ length: 40 }, () => new Promise((done) => {
        const socket = net.connect(server.port, '127.0.0.1', () => socket.write('GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'));
        let text = '';
        socket.on('data', (part) => { text += part; }).on('end', () => done(text.endsWith('hello'))).on('error', (e) => done(e.code));
    })));
    await sleep(100);
    process.kill(server.pid, 'SIGTERM');
    await sleep(100);
    process.kill(workers[0], 'SIGCONT');
    assert.deepEqual([...new Set(await waiting)], [true]);
    process.kill(workers[1], 'SIGCONT');
    await until(() => server.ended, 'its end', 5000);
});

test('once TERM has been heard a new connection is refused, while old requests are answered', async (t) => {
    const server = await start(t, { hooks, workers: 2, listen: ['127.0.0.1:0', '[::1]:0'] });
    const waiting = Promise.all([1, 2, 3, 4].map(() => server.get('/slow')));
    await sleep(150);
    process.kill(server.pid, 'SIGTERM');
    await server.said('draining');
    await sleep(500); // who knocks in the first moment is neither let in nor told; then the sockets are closed
    for (const url of server.urls) {
        const { port, hostname } = new URL(url);
        const code = await new Promise((done) => net.connect(Number(port), hostname.replace(/[[\]]/g, '')).on('connect', () => done('connected')).on('error', (e) => done(e.code)));
        assert.equal(code, 'ECONNREFUSED', url);
    }
    assert.ok(!server.ended);
    assert.deepEqual((await waiting).map((r) => r.text), ['slow', 'slow', 'slow', 'slow']);
});

test('an upload under way at TERM is taken to its end, on HTTP/1.1 and in TLS', async (t) => {
    const dir = folder(t);
    const { cert, args } = await certificate(dir);
    const server = await start(t, { hooks, workers: 1, listen: ['http://127.0.0.1:0', 'https://127.0.0.1:0'], args });
    const upload = (url, ...more) => tool('curl', ['-sS', '--limit-rate', '200K', '--cacert', cert, '--resolve', `localhost:${new URL(url).port}:127.0.0.1`,
        '-H', 'Expect:', '-H', 'content-type: application/octet-stream', '--data-binary', '@-', ...more, `${url.replace('127.0.0.1', 'localhost')}/take`], { input: Buffer.alloc(300000, 'x') });
    const all = Promise.all([upload(server.urls[0], '--http1.1'), upload(server.urls[0], '--http2-prior-knowledge'), upload(server.urls[1], '--http1.1'), upload(server.urls[1], '--http2')]);
    await sleep(500);
    process.kill(server.pid, 'SIGTERM');
    assert.deepEqual((await all).map((text) => JSON.parse(text).size), [300000, 300000, 300000, 300000]);
});

test('h2load at TERM: each answer that was begun is ended', async (t) => {
    const server = await start(t, { hooks, workers: 2 });
    const shooting = tool('h2load', ['-c', '8', '-m', '8', '-D', '2', `${server.url}/nap`]);
    await sleep(1000);
    process.kill(server.pid, 'SIGTERM');
    const text = await shooting;
    const told = /(\d+) succeeded, \d+ failed, (\d+) errored/.exec(text);
    assert.ok(Number(told[1]) > 100, text);
    assert.match(text, /status codes: \d+ 2xx, 0 3xx, 0 4xx, 0 5xx/);
    assert.ok(Number(/status codes: (\d+) 2xx/.exec(text)[1]) <= Number(told[1]), text);
});

test('a worker stuck in a C function does not hold up the end', async (t) => {
    const server = await start(t, { hooks, workers: 2 });
    const stuck = server.get('/stuck').then((r) => r.status, (e) => e.code ?? e.message);
    await sleep(100);
    const began = Date.now();
    process.kill(server.pid, 'SIGTERM');
    await until(() => server.ended, 'its end', 5000);
    assert.ok(Date.now() - began < ms(3500));
    assert.notEqual(await stuck, 200);
});

test('an answer that is still being read when the last GOAWAY is said is whole, on both versions and in TLS', async (t) => {
    const dir = folder(t);
    const { cert, args } = await certificate(dir);
    const server = await start(t, { hooks, workers: 1,
        listen: ['http://127.0.0.1:0', 'https://127.0.0.1:0'], args });
    const read = (url, version) => tool('curl', ['-sS', '--limit-rate', '600K', version, '--cacert', cert, '--resolve', `localhost:${new URL(url).port}:127.0.0.1`,
        '-o', '/dev/null', '-w', '%{http_code} %{size_download}', `${url.replace('127.0.0.1', 'localhost')}/large`]);
    const [plain, secure] = server.urls;
    const all = Promise.all([read(plain, '--http1.1'), read(plain, '--http2-prior-knowledge'), read(secure, '--http1.1'), read(secure, '--http2')]);
    await sleep(500);
    process.kill(server.pid, 'SIGTERM');
    assert.deepEqual(await all, Array(4).fill(`200 ${size}`));
    await until(() => server.ended, 'its end', 10000);
});

test('HTTP/2 behind the last GOAWAY: an upload goes on to its answer, what is opened later is passed over, then it ends', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    const client = await Frames.open(t, server.port);
    await client.send(post(1, '/take'));
    await client.send(frame(DATA, 0, 1, Buffer.alloc(1000, 'x')));
    process.kill(server.pid, 'SIGTERM');
    const last = () => client.frames.filter((f) => f.type === GOAWAY).at(-1)?.payload.readUInt32BE(0);
    await until(() => last() === 1, () => `the last GOAWAY, not ${last()}`);
    const late = block('/hello');
    await client.send(frame(HEADERS, END_STREAM, 3, late.subarray(0, 3)));
    await client.send(frame(CONTINUATION, END_HEADERS, 3, late.subarray(3)));
    await client.send(post(5, '/take'));
    for (let i = 0; i < 4; i++) await client.send(frame(DATA, i === 3 ? END_STREAM : 0, 5, Buffer.alloc(16000))); // all but the whole window
    await client.send(Buffer.concat([frame(WINDOW_UPDATE, 0, 5, u32(10)), frame(RST_STREAM, 0, 3, u32(8))]));
    const given = () => client.frames.filter((f) => f.type === WINDOW_UPDATE && f.stream === 0).reduce((sum, f) => sum + f.payload.readUInt32BE(0), 0);
    await until(() => given() >= 48000, () => `a window for the first one, not ${given()}`);
    await client.send(frame(DATA, 0, 1, Buffer.alloc(1000, 'y')));
    await sleep(300); // what it might say of the late ones
    await client.send(frame(DATA, END_STREAM, 1, Buffer.alloc(1000, 'z')));
    await client.ended('the drain');
    const said = client.frames.filter((f) => f.type === DATA || f.type === RST_STREAM || f.type === HEADERS);
    assert.deepEqual([...new Set(said.map((f) => f.stream))], [1]);
    assert.equal(JSON.parse(Buffer.concat(said.filter((f) => f.type === DATA).map((f) => f.payload))).size, 3000);
    assert.equal(client.goaway, 0);
    await until(() => server.ended, 'its end', 10000);
});

// Of 3 s the second half is a hurry.
for (const drain of ['30s', '3s']) test(`a client of HTTP/2 that reads slowly, and says so while the connection closes, gets its whole answer (drain ${drain})`, async (t) => {
    const server = await start(t, { workers: 1, config: `return { drain = "${drain}" }`, hooks });
    const client = await Frames.open(t, server.port, { settings: setting(INITIAL_WINDOW, 1 << 24) });
    await client.send(frame(WINDOW_UPDATE, 0, 0, u32(1 << 24)));
    client.socket.pause();
    await client.send(get(1, '/large'));
    await sleep(ms(200));
    process.kill(server.pid, 'SIGTERM');
    await sleep(1600); // both GOAWAYs are said
    client.socket.resume();
    const whole = () => client.frames.some((f) => f.type === DATA && f.flags & END_STREAM);
    for (let i = 0; i < 100 && !whole() && !client.isClosed; i++) {
        client.send(frame(WINDOW_UPDATE, 0, 0, u32(1000)));
        await sleep(1);
        client.socket.pause();
        await sleep(60);
        client.socket.resume();
    }
    await until(whole, () => `the end of the answer; ${client.bytes} bytes came`);
    assert.equal(client.frames.filter((f) => f.type === DATA).reduce((sum, f) => sum + f.payload.length, 0), size);
    client.socket.end();
    await until(() => server.ended, 'its end', 10000);
});
