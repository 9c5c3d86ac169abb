// Clients that leave before their answer, and a server that leaves while clients are still speaking.
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { ms, request, request2, session, sleep, start, until } from '../helper.mjs';
import { Attacker, block, DATA, END_HEADERS, END_STREAM, frame, GOAWAY, HEADERS, PING, RST_STREAM, u32 } from './frames.mjs';

const hooks = {
    'hello.lua': 'return function() return "hello" end',
    'notes.lua': 'local notes = {} return { methods = { "GET", "POST" }, handle = function(req) if req.method == "POST" then notes[#notes + 1] = req:json() return 204 end return 200, json.array(notes) end }',
    // tells what it sees of its request, before and after a wait, through the log: its client is gone by then
    'late/[id].lua': `
local function look(req)
  return table.concat({ req.id, req.method, req.path, req.params.id, req.query.q, req.headers["x-one"], req.host, req.ip, req.body,
    req.event_type, req.auth.by, tostring(req.auth.subject), tostring(req:pick "/n") }, "|")
end
return {
  methods = { "POST", "GET" }, event_type = "/type",
  verify = verify.api_key { header = "x-key", keys = { alice = "alice-secret-key-1" } },
  handle = function(req)
    local before = look(req)
    sleep "400ms"
    local after = look(req)
    log.info("looked", { before = before, after = after, again = tostring(req:json().n), asis = tostring(before == after) })
    return "late"
  end,
}`,
    'asked/[id].lua': `return {
  methods = { "POST" }, on_disconnect = "finish",
  verify = function(req) sleep "300ms" return req.params.id == "yes" and req.headers["x-one"] == "1" end,
  handle = function(req) log.info("handled", { id = req.params.id, body = req.body }) return 204 end,
}`,
};
const literal = (name, value) => Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)]);
const more = Buffer.concat([literal('x-one', '1'), literal('x-key', 'alice-secret-key-1'), literal('content-type', 'application/json')]);
const body = Buffer.from('{"type":"push","n":12345678901234567890}');
const late = (stream, target) => Buffer.concat([frame(HEADERS, END_HEADERS, stream, block(target, { method: 'POST', more })), frame(DATA, END_STREAM, stream, body)]);

test('HTTP/2: a script whose client has gone still has its whole request', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    const a = await Attacker.open(t, server.port), b = await Attacker.open(t, server.port);
    await a.send(Buffer.concat(Array.from({ length: 20 }, (_, i) => late(1 + 2 * i, `/late/a%20b${i}?q=x${i}`))));
    await b.send(late(1, '/late/gone?q=y'));
    await sleep(100);
    b.socket.destroy(); // a connection's end is its streams' end
    await a.send(Buffer.concat(Array.from({ length: 20 }, (_, i) => frame(RST_STREAM, 0, 1 + 2 * i, u32(8)))));
    // what was freed is used by others meanwhile
    const client = await session(t, server.url);
    for (let i = 0; i < 50; i++) await request2(client, `/nope/${'z'.repeat(i * 20)}`, { method: 'POST', body: 'z'.repeat(i * 50), headers: { 'x-one': 'zzzz' } });
    const looked = await until(() => server.records('looked').length === 21 && server.records('looked'), () => `21 records\n${server.tail()}`);
    for (const [i, record] of looked.entries()) {
        assert.equal(record.asis, 'true', JSON.stringify(record));
        assert.equal(record.again, '12345678901234567890');
        assert.match(record.before, /\|POST\|\/late\/(a b\d+\|a b\d+\|x\d+|gone\|gone\|y)\|1\|x\|127\.0\.0\.1\|\{"type":"push","n":12345678901234567890\}\|push\|api_key\|alice\|12345678901234567890$/, `${i}`);
    }
    assert.equal(await server.metric('crescent_requests_gone_total'), 21);
});

test('HTTP/2: gone while a verifier in Lua waits: the request is judged and handled all the same', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    const a = await Attacker.open(t, server.port);
    await a.send(Buffer.concat([late(1, '/asked/yes'), late(3, '/asked/no')]));
    await sleep(100);
    await a.send(Buffer.concat([frame(RST_STREAM, 0, 1, u32(8)), frame(RST_STREAM, 0, 3, u32(8))]));
    await server.said('handled');
    await sleep(100);
    assert.equal(server.records('handled').length, 1);
    assert.equal(server.records('handled')[0].body, body.toString());
    assert.equal(server.records('request refused')[0].reason, 'verifier_refused');
});

test('HTTP/1: a reset cancels a GET and is noticed within a sweep; a POST goes on', async (t) => {
    const server = await start(t, { hooks, workers: 1, config: 'return { limits = { header_time = "200ms" } }' });
    const ask = (method) => new Promise((done) => {
        const socket = net.connect(server.port, '127.0.0.1', () => {
            socket.write(`${method} /late/1?q=2 HTTP/1.1\r\nHost: x\r\nX-One: 1\r\nX-Key: alice-secret-key-1\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
            setTimeout(() => done(socket), 100);
        });
        socket.on('error', () => {});
    });
    for (const method of ['GET', 'POST']) (await ask(method)).resetAndDestroy();
    await server.said('looked');
    await sleep(300);
    assert.equal(server.records('looked').length, 1);
    assert.match(server.records('looked')[0].after, /\|POST\|/);
    assert.equal(await server.metric('crescent_requests_gone_total'), 2);
    assert.equal((await server.get('/hello')).text, 'hello');
});

test('HTTP/1: a client that has said all and waits is not gone, where the request finishes', async (t) => {
    const server = await start(t, { hooks, config: 'return { limits = { header_time = "200ms" } }' });
    const text = await new Promise((done, fail) => {
        let heard = '';
        const socket = net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.end(
            `POST /late/1?q=2 HTTP/1.1\r\nHost: x\r\nX-One: 1\r\nX-Key: alice-secret-key-1\r\nContent-Length: ${body.length}\r\n\r\n${body}`));
        socket.on('data', (part) => { heard += part; }).on('end', () => done(heard)).on('error', fail);
    });
    assert.match(text, /^HTTP\/1\.1 200 [^]*late$/);
});

test('TERM: an upload under way is taken and answered, on both versions; what is idle is closed', async (t) => {
    const server = await start(t, { hooks: { 'size.lua': 'return { handle = function(req) return tostring(#req.body) end }', ...hooks }, workers: 1 });
    const idle1 = net.connect(server.port, '127.0.0.1', () => idle1.write('GET /hello HTTP/1.1\r\nHost: x\r\n\r\n'));
    idle1.resume();
    const idle2 = await Attacker.open(t, server.port);
    await idle2.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, block('/hello')));
    const closed = new Promise((done) => idle1.on('close', done));
    let heard = '';
    const upload1 = net.connect(server.port, '127.0.0.1', () => upload1.write('POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n'));
    upload1.on('data', (part) => { heard += part; });
    const upload2 = await Attacker.open(t, server.port);
    await upload2.send(frame(HEADERS, END_HEADERS, 1, block('/size', { method: 'POST' })));
    await sleep(200);
    const ended = server.stop();
    for (let i = 0; i < 20; i++) { // 2 s: longer than libh2o would leave an upload after its GOAWAY
        await sleep(100);
        upload1.write('x');
        await upload2.send(frame(DATA, i === 19 ? END_STREAM : 0, 1, Buffer.from('y')));
    }
    await until(() => heard.includes('\r\n\r\n20'), () => `the answer on HTTP/1: ${heard}`);
    assert.match(heard, /connection: close/i);
    await until(() => upload2.frames.some((f) => f.type === DATA && f.payload.toString() === '20'), 'the answer on HTTP/2');
    await closed;
    await ended;
    assert.ok(idle2.isClosed && upload2.isClosed);
    assert.ok(idle2.frames.some((f) => f.type === GOAWAY));
});

test('TERM: a connection in use learns of the end by its next answer, and no request fails', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    let text = '', after = 0;
    const socket = net.connect(server.port, '127.0.0.1', () => {});
    const closed = new Promise((done) => socket.on('close', done));
    socket.on('data', (part) => { text += part; });
    const timer = setInterval(() => {
        if (!/connection: close/i.test(text)) {
            socket.write('GET /hello HTTP/1.1\r\nHost: x\r\n\r\n');
            after++;
        }
    }, 20);
    await sleep(200);
    const ended = server.stop();
    await closed;
    clearInterval(timer);
    await ended;
    assert.match(text, /connection: close/i);
    assert.equal(text.match(/HTTP\/1\.1 200/g).length, text.match(/hello/g).length);
    assert.ok(text.match(/HTTP\/1\.1 200/g).length >= after - 1);
});
