// HTTP/2 as RFC 9113 has it, where Crescent configures or guards it: what is announced holds, what is owed is answered,
// what is forbidden ends the stream or the connection with the code that says why, and nothing else. By frames made here,
// and by python3-h2, which refuses what the protocol forbids a server.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep, start, tool, until } from './helper.mjs';
import { Attacker, block, CONTINUATION, DATA, END_HEADERS, END_STREAM, frame, get, GOAWAY, HEADERS, INITIAL_WINDOW, PING, post, PRIORITY, RST_STREAM, setting, SETTINGS, u32, WINDOW_UPDATE } from './attack/frames.mjs';

const NO_ERROR = 0, PROTOCOL = 1, FLOW_CONTROL = 3, STREAM_CLOSED = 5, FRAME_SIZE = 6, REFUSED_STREAM = 7, COMPRESSION = 9, CALM = 0xb;
const PUSH_PROMISE = 5, MAX_STREAMS = 3, MAX_FRAME = 5, HEADER_LIST = 6, ENABLE_PUSH = 2;
const hooks = {
    'hello.lua': 'return { methods = { "GET", "POST" }, handle = function(req) return 200, "hello" end }',
    'size.lua': 'return { max_body = "20MiB", handle = function(req) return 200, tostring(#req.body) end }',
    'slow.lua': 'return { methods = { "GET", "POST" }, handle = function() sleep "300ms" return "slow" end }',
    'page.lua': 'return function() return 200, ("x"):rep(300000) end',
    'trailer.lua': 'return { handle = function(req) return 200, req.headers["x-t"] and "a field" or req.body end }',
    'host.lua': 'return { methods = { "GET" }, handle = function(req) return (req.host or "none") .. " " .. (req.headers.host or "none") end }',
};
const answered = (a, stream, text) => a.frames.some((f) => f.type === DATA && f.stream === stream && f.payload.toString() === text);
const resetOf = (a, stream) => a.frames.find((f) => f.type === RST_STREAM && f.stream === stream)?.payload.readUInt32BE(0);
const settingsOf = (a) => Object.assign({}, ...a.frames.filter((f) => f.type === SETTINGS && !(f.flags & 1)).map((f) => Object.fromEntries(
    Array.from({ length: f.payload.length / 6 }, (_, i) => [f.payload.readUInt16BE(6 * i), f.payload.readUInt32BE(6 * i + 2)]))));
const python = async (server, steps) => JSON.parse(await tool('/usr/bin/python3', ['tests/e2e/h2client.py', String(server.port), JSON.stringify(steps)], { cwd: new URL('../..', import.meta.url).pathname }));

// --- by hand --------------------------------------------------------------------------------------------------------

const server = async (t) => start(t, { hooks, workers: 1 });

test('SETTINGS come first, say what holds, and ours are acknowledged', async (t) => {
    const s = await server(t), a = await Attacker.open(t, s.port, { settings: setting(MAX_STREAMS, 50) });
    await a.send(get(1, '/hello'));
    await until(() => answered(a, 1, 'hello'), 'the answer');
    assert.equal(a.frames[0].type, SETTINGS);
    assert.deepEqual(settingsOf(a), { [MAX_STREAMS]: 100, [INITIAL_WINDOW]: 16777216, [HEADER_LIST]: 32768 + 96 * 32 });
    assert.equal(a.frames.filter((f) => f.type === SETTINGS && f.flags === 1 && f.payload.length === 0 && f.stream === 0).length, 1);
    await a.send(Buffer.concat([frame(SETTINGS, 0, 0, setting(0x99, 7)), frame(SETTINGS, 0, 0)])); // an unknown one; none
    await until(() => a.frames.filter((f) => f.type === SETTINGS && f.flags === 1).length === 3, 'two more acknowledgements');
    assert.ok(!a.isClosed);
});

test('PING is answered with its bytes, ahead of what waits; an answer to none is passed over', async (t) => {
    const s = await server(t), a = await Attacker.open(t, s.port);
    await a.send(Buffer.concat([get(1, '/slow'), frame(PING, 1, 0, Buffer.from('unasked!')), frame(PING, 0, 0, Buffer.from('12345678'))]));
    await until(() => answered(a, 1, 'slow'), 'the answer');
    const pongs = a.frames.filter((f) => f.type === PING);
    assert.deepEqual(pongs.map((f) => [f.flags, f.stream, f.payload.toString()]), [[1, 0, '12345678']]);
    assert.ok(a.frames.indexOf(pongs[0]) < a.frames.findIndex((f) => f.type === HEADERS));
});

test('a request in every framing that is allowed', async (t) => {
    const s = await server(t), a = await Attacker.open(t, s.port);
    const head = block('/trailer', { method: 'POST' });
    const cut = Array.from(head, (_, i) => frame(i === 0 ? HEADERS : CONTINUATION, i === head.length - 1 ? END_HEADERS : 0, 1, head.subarray(i, i + 1)));
    const padded = Buffer.concat([Buffer.from([4]), head, Buffer.alloc(4)]);
    const prioritised = Buffer.concat([u32(0x80000000), Buffer.from([255]), head]);
    const trailer = Buffer.concat([Buffer.from([0, 3]), Buffer.from('x-t'), Buffer.from([1]), Buffer.from('v')]);
    const body = Buffer.from('body'), data = (stream, flags) => frame(DATA, flags, stream, body);
    await a.send(Buffer.concat([
        ...cut, data(1, END_STREAM),
        frame(HEADERS, END_HEADERS | 8, 3, padded), frame(DATA, END_STREAM | 8, 3, Buffer.concat([Buffer.from([9]), body, Buffer.alloc(9)])),
        frame(HEADERS, END_HEADERS | 0x20, 5, prioritised), data(5, END_STREAM),
        frame(HEADERS, END_HEADERS, 7, head), data(7, 0), frame(HEADERS, END_HEADERS | END_STREAM, 7, trailer),
        frame(HEADERS, END_HEADERS, 9, head), data(9, 0), frame(DATA, END_STREAM, 9),
        frame(PRIORITY, 0, 21, Buffer.from([0, 0, 0, 0, 10])), frame(HEADERS, END_HEADERS, 21, head), data(21, END_STREAM)]));
    for (const stream of [1, 3, 5, 7, 9, 21]) await until(() => answered(a, stream, 'body'), `stream ${stream}`);
    assert.ok(!a.isClosed && a.goaway === undefined);
});

/** A literal field without indexing. */
const field = (name, value) => Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)]);

test('Host stands for an :authority that is not there (RFC 9113 8.3.1); two that differ, or what is no host, are a 400', async (t) => {
    const s = await server(t);
    const ask = async (...fields) => {
        const a = await Attacker.open(t, s.port);
        const pseudo = fields.filter(([name]) => name.startsWith(':')), others = fields.filter(([name]) => !name.startsWith(':'));
        const head = Buffer.concat([Buffer.from([0x82, 0x86]), ...[[':path', '/host'], ...pseudo, ...others].map(([name, value]) => field(name, value))]);
        await a.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, head));
        await until(() => a.frames.some((f) => f.type === DATA && f.stream === 1), 'an answer');
        return Buffer.concat(a.frames.filter((f) => f.type === DATA && f.stream === 1).map((f) => f.payload)).toString();
    };
    assert.equal(await ask(['host', 'Hooks.example.com:81']), 'hooks.example.com Hooks.example.com:81');
    assert.equal(await ask([':authority', 'hooks.example.com']), 'hooks.example.com hooks.example.com');
    assert.equal(await ask([':authority', 'hooks.example.com'], ['host', 'HOOKS.example.com']), 'hooks.example.com HOOKS.example.com');
    assert.match(await ask([':authority', 'hooks.example.com'], ['host', 'other.example.com']), /"status":400.*Host and :authority/);
    assert.match(await ask(['host', 'a.example.com'], ['host', 'a.example.com']), /"status":400.*more than one Host/);
    for (const bad of ['a b', 'a/b', 'u@a', 'a,b', '[::1', 'a:99999', 'a:', '']) {
        assert.match(await ask(['host', bad]), /"status":400.*no host/, bad);
        assert.match(await ask([':authority', bad]), /"status":400.*no host/, bad);
    }
});

/** Frames that end the connection: what they are, by which code. */
const fatal = {
    'a preface that is none': [null, Buffer.from('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n')],
    'DATA on stream 0': [PROTOCOL, frame(DATA, 0, 0, Buffer.from('x'))],
    'HEADERS on stream 0': [PROTOCOL, frame(HEADERS, END_HEADERS | END_STREAM, 0, block('/hello'))],
    'HEADERS on a stream of the server': [PROTOCOL, frame(HEADERS, END_HEADERS | END_STREAM, 2, block('/hello'))],
    'HEADERS that depend on themselves': [PROTOCOL, frame(HEADERS, END_HEADERS | END_STREAM | 0x20, 1, Buffer.concat([u32(1), Buffer.from([1]), block('/hello')]))],
    'HEADERS whose padding is longer than they': [PROTOCOL, frame(HEADERS, END_HEADERS | END_STREAM | 8, 1, Buffer.from([200, 0x82]))],
    'DATA whose padding is longer than it': [PROTOCOL, Buffer.concat([post(1, '/size'), frame(DATA, 8, 1, Buffer.from([200, 1]))])],
    'DATA on a stream that was never opened': [PROTOCOL, frame(DATA, 0, 5, Buffer.from('x'))],
    'RST_STREAM on stream 0': [PROTOCOL, frame(RST_STREAM, 0, 0, u32(8))],
    'RST_STREAM on a stream that was never opened': [PROTOCOL, frame(RST_STREAM, 0, 5, u32(8))],
    'RST_STREAM of three bytes': [FRAME_SIZE, Buffer.concat([get(1, '/slow'), frame(RST_STREAM, 0, 1, Buffer.alloc(3))])],
    'PING on a stream': [PROTOCOL, frame(PING, 0, 1, Buffer.alloc(8))],
    'PING of seven bytes': [FRAME_SIZE, frame(PING, 0, 0, Buffer.alloc(7))],
    'PRIORITY on stream 0': [PROTOCOL, frame(PRIORITY, 0, 0, Buffer.alloc(5))],
    'PRIORITY of four bytes': [FRAME_SIZE, frame(PRIORITY, 0, 1, Buffer.alloc(4))],
    'SETTINGS on a stream': [PROTOCOL, frame(SETTINGS, 0, 1)],
    'SETTINGS of five bytes': [FRAME_SIZE, frame(SETTINGS, 0, 0, Buffer.alloc(5))],
    'an acknowledgement with settings in it': [FRAME_SIZE, frame(SETTINGS, 1, 0, setting(MAX_STREAMS, 1))],
    'SETTINGS of a push that is no boolean': [PROTOCOL, frame(SETTINGS, 0, 0, setting(ENABLE_PUSH, 2))],
    'SETTINGS of a window of 2^31': [FLOW_CONTROL, frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW, 2 ** 31))],
    'SETTINGS of frames of 100 bytes': [PROTOCOL, frame(SETTINGS, 0, 0, setting(MAX_FRAME, 100))],
    'GOAWAY on a stream': [PROTOCOL, frame(GOAWAY, 0, 1, Buffer.alloc(8))],
    'PUSH_PROMISE': [PROTOCOL, Buffer.concat([get(1, '/slow'), frame(PUSH_PROMISE, END_HEADERS, 1, Buffer.concat([u32(2), block('/hello')]))])],
    'WINDOW_UPDATE of nothing for the connection': [PROTOCOL, frame(WINDOW_UPDATE, 0, 0, u32(0))],
    'WINDOW_UPDATE of three bytes': [FRAME_SIZE, frame(WINDOW_UPDATE, 0, 0, Buffer.alloc(3))],
    'WINDOW_UPDATE of a stream that was never opened': [PROTOCOL, frame(WINDOW_UPDATE, 0, 5, u32(1))],
    'a window of the connection past 2^31': [FLOW_CONTROL, Buffer.concat([frame(WINDOW_UPDATE, 0, 0, u32(0x7fffffff)), frame(WINDOW_UPDATE, 0, 0, u32(1))])],
    'a frame larger than was agreed': [FRAME_SIZE, Buffer.concat([post(1, '/size'), frame(DATA, 0, 1, Buffer.alloc(16385))])],
    'CONTINUATION of nothing': [PROTOCOL, frame(CONTINUATION, END_HEADERS, 1, block('/hello'))],
    'CONTINUATION behind the end': [PROTOCOL, Buffer.concat([get(1, '/slow'), frame(CONTINUATION, END_HEADERS, 1, Buffer.from([0x82]))])],
    'CONTINUATION of another stream': [PROTOCOL, Buffer.concat([frame(HEADERS, END_STREAM, 1, Buffer.from([0x82])), frame(CONTINUATION, END_HEADERS, 3, Buffer.from([0x82]))])],
    'another frame within a header block': [PROTOCOL, Buffer.concat([frame(HEADERS, END_STREAM, 1, Buffer.from([0x82])), frame(PING, 0, 0, Buffer.alloc(8))])],
    'a stream number that goes back': [STREAM_CLOSED, Buffer.concat([get(5, '/hello'), get(3, '/hello')])],
    'trailers that do not end the stream': [PROTOCOL, Buffer.concat([post(1, '/size'), frame(HEADERS, END_HEADERS, 1, Buffer.from([0, 1, 0x78, 1, 0x79]))])],
    'a header block that is not HPACK': [COMPRESSION, frame(HEADERS, END_HEADERS | END_STREAM, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))],
};

test('faults of the connection: GOAWAY says which, and it ends', async (t) => {
    const s = await server(t), before = s.children('worker');
    for (const [name, [code, bytes]] of Object.entries(fatal)) {
        const a = code === null ? new Attacker(t, s.port) : await Attacker.open(t, s.port);
        await a.ready;
        await a.send(bytes);
        await a.ended(name);
        // after a close, what was still on its way makes a reset, which may be quicker than GOAWAY
        if (code !== null) assert.ok([undefined, code].includes(a.goaway), `${name}: ${a.goaway}, not ${code}`);
    }
    assert.deepEqual(s.children('worker'), before);
    assert.equal((await s.get('/hello')).text, 'hello');
});

/** Frames that end a stream, and leave the connection as it is. */
const single = {
    'a window opened by nothing': [PROTOCOL, (n) => Buffer.concat([get(n, '/slow'), frame(WINDOW_UPDATE, 0, n, u32(0))])],
    'a window past 2^31': [FLOW_CONTROL, (n) => Buffer.concat([get(n, '/slow'), frame(WINDOW_UPDATE, 0, n, u32(0x7fffffff))])],
    'DATA behind the end': [STREAM_CLOSED, (n) => Buffer.concat([get(n, '/slow'), frame(DATA, 0, n, Buffer.from('x'))])],
    'a body shorter than was said': [PROTOCOL, (n) => Buffer.concat([frame(HEADERS, END_HEADERS, n, block('/size', { method: 'POST', more: Buffer.from('\x0f\x0d\x015', 'latin1') })), frame(DATA, END_STREAM, n, Buffer.from('abc'))])],
    'a request without a path': [PROTOCOL, (n) => frame(HEADERS, END_HEADERS | END_STREAM, n, Buffer.from([0x82, 0x86, 0x01, 1, 0x78]))],
    'a request without a method': [PROTOCOL, (n) => frame(HEADERS, END_HEADERS | END_STREAM, n, Buffer.from([0x86, 0x84, 0x01, 1, 0x78]))],
};

test('faults of a stream: it is reset with their code, the connection goes on', async (t) => {
    const s = await server(t), a = await Attacker.open(t, s.port);
    let stream = 1;
    for (const [name, [code, bytes]] of Object.entries(single)) {
        await a.send(bytes(stream));
        await until(() => resetOf(a, stream) !== undefined, name);
        assert.equal(resetOf(a, stream), code, name);
        await a.send(get(stream + 2, '/hello'));
        await until(() => answered(a, stream + 2, 'hello'), `a request after ${name}`);
        stream += 4;
    }
    assert.ok(!a.isClosed && a.goaway === undefined);
});

test('a hundred streams are taken at once, the next is refused and may come again', async (t) => {
    const s = await server(t), a = await Attacker.open(t, s.port);
    await a.send(Buffer.concat(Array.from({ length: 101 }, (_, i) => get(1 + 2 * i, '/slow'))));
    await until(() => a.frames.filter((f) => f.type === DATA && f.payload.toString() === 'slow').length === 100, 'a hundred answers', 10000);
    assert.equal(resetOf(a, 201), REFUSED_STREAM);
    await a.send(get(203, '/hello'));
    await until(() => answered(a, 203, 'hello'), 'one more');
});

test('windows: not a byte more than they let, on a stream and on the connection; frames no larger than asked', async (t) => {
    const s = await server(t), a = await Attacker.open(t, s.port, { settings: Buffer.concat([setting(INITIAL_WINDOW, 1000), setting(MAX_FRAME, 20000)]) });
    const got = (stream) => a.frames.filter((f) => f.type === DATA && f.stream === stream).reduce((sum, f) => sum + f.payload.length, 0);
    await a.send(get(1, '/page'));
    await until(() => got(1) === 1000, 'the first window');
    await a.send(frame(WINDOW_UPDATE, 0, 1, u32(500)));
    await until(() => got(1) === 1500, 'half a window more');
    await a.send(frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW, 3000))); // applies to open streams (RFC 9113 6.9.2)
    await until(() => got(1) === 3500, 'what the settings add');
    await a.send(frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW, 0))); // below nothing: 3000 bytes must be made up for
    await a.send(frame(WINDOW_UPDATE, 0, 1, u32(3000)));
    await sleep(200);
    assert.equal(got(1), 3500);
    await a.send(frame(WINDOW_UPDATE, 0, 1, u32(1)));
    await until(() => got(1) === 3501, 'one byte');
    await a.send(frame(WINDOW_UPDATE, 0, 1, u32(1 << 20)));
    await until(() => got(1) === 65535, 'the window of the connection');
    await sleep(100);
    assert.equal(got(1), 65535);
    await a.send(frame(WINDOW_UPDATE, 0, 0, u32(1 << 20)));
    await until(() => got(1) === 300000, 'the rest');
    assert.ok(Math.max(...a.frames.filter((f) => f.type === DATA).map((f) => f.payload.length)) <= 20000);
});

test('TERM: two GOAWAYs without a fault; what was asked before the second is answered', async (t) => {
    const s = await server(t), a = await Attacker.open(t, s.port);
    await a.send(get(1, '/hello'));
    await until(() => answered(a, 1, 'hello'), 'the answer');
    const ended = s.stop();
    await until(() => a.goaway !== undefined, 'a GOAWAY');
    await a.send(get(3, '/slow'));
    await until(() => answered(a, 3, 'slow'), 'the answer of a request that was on its way');
    await ended;
    const last = a.frames.filter((f) => f.type === GOAWAY);
    assert.deepEqual(last.map((f) => [f.payload.readUInt32BE(0), f.payload.readUInt32BE(4)]), [[0x7fffffff, NO_ERROR], [3, NO_ERROR]]);
});

// --- python3-h2 -----------------------------------------------------------------------------------------------------

test('python3-h2 finds nothing to object to: requests, uploads, windows, settings, pings', async (t) => {
    const s = await server(t);
    const [remote, one, many, up, pings, settings, slow, again] = await python(s, [{ remote: true }, { get: '/hello' }, { get: '/slow', count: 90 }, { post: '/size', bytes: 18_000_000 },
        { pings: 20 }, { settings: { [MAX_FRAME]: 32768 } }, { slow: '/page', window: 777 }, { get: '/page', count: 5 }]);
    assert.deepEqual(remote, { streams: 100, window: 16777216, frame: 16384, list: 35840, push: 0 });
    assert.deepEqual(one, [[200, 5]]);
    assert.deepEqual(many, Array(90).fill([200, 4]));
    assert.deepEqual(up, [200, '18000000']);
    assert.equal(pings, 20);
    assert.equal(settings, true);
    assert.deepEqual(slow, [300000, 777]);
    assert.deepEqual(again, Array(5).fill([200, 300000]));
});

test('python3-h2: a connection that has had its requests ends without a fault', async (t) => {
    const s = await start(t, { hooks, workers: 1, config: 'return { limits = { connection_requests = 5, streams = 20, header_time = "1s" } }' });
    const [remote, answers, goodbye] = await python(s, [{ remote: true }, { get: '/hello', count: 4 }, { goaway: true }]);
    assert.equal(remote.streams, 20);
    assert.deepEqual(answers, Array(4).fill([200, 5]));
    assert.deepEqual(goodbye, [NO_ERROR, 9]);
});
