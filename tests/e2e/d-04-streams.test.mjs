// reply.stream and reply.sse: what a client gets, on each version, and what misuse is told.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import { test } from 'node:test';
import { assertProblem, certificate, folder, ms, raw, request2, session, sleep, start, tool, until } from './helper.mjs';
import { eventSource, open0, open1, open2, streamsAre } from './streams.mjs';

const hooks = {
    'count.lua': `return function(req)
  return reply.stream(function(write)
    for i = 1, 3 do write(req.method .. " " .. i .. "\\n") sleep "150ms" end
  end, { status = tonumber(req.query.status) or 200, headers = { ["x-a"] = "b" }, cookies = { sid = "1" }, type = "text/csv" })
end`,
    'empty.lua': 'return function() return reply.stream(function() end) end',
    'silent.lua': 'return function() return reply.stream(function(write) sleep "1h" end) end',
    'nobody.lua': 'return function(req) return reply.stream(function() end, tonumber(req.query.status)) end',
};
const counted = 'GET 1\nGET 2\nGET 3\n';

const live = (s) => assert.ok(s.pieces.length >= 3 && s.pieces.at(-1) - s.pieces[0] >= 200, `pieces at ${s.pieces.map((p) => p - s.began)}`);

test('each piece arrives when it is written: HTTP/1.0, 1.1, 2, and in TLS', async (t) => {
    const tls = await certificate(folder(t));
    const server = await start(t, { hooks, listen: ['http://127.0.0.1:0', 'https://127.0.0.1:0'], args: tls.args, workers: 1 });
    const trusting = { rejectUnauthorized: false };
    const [plain, secure] = server.urls;
    const h2 = await session(t, plain), h2s = await session(t, secure, trusting);
    const all = await Promise.all([open1(`${plain}/count`), open1(`${secure}/count`, trusting), open2(h2, '/count'), open2(h2s, '/count')]);
    for (const s of all) {
        assert.equal(await s.ended(), 'clean');
        assert.equal(s.text, counted);
        assert.deepEqual([s.status, s.headers['x-a'], s.headers['content-type'], String(s.headers['set-cookie'])], [200, 'b', 'text/csv', 'sid=1']);
        live(s);
    }
    const old = open0(server.port, 'GET /count HTTP/1.0\r\n\r\n');
    assert.equal(await old.ended(), 'clean');
    assert.ok(old.text.endsWith(`\r\n\r\n${counted}`) && !/chunked/i.test(old.text), old.text);
    assert.equal(await tool('curl', ['-sSN', '--http1.1', `${plain}/count`]), counted);
    assert.equal(await tool('curl', ['-sSN', '--http2', '-k', `${secure}/count`]), counted);
    await streamsAre(server, 0);
    assert.equal(await server.metric('crescent_streams_ended_total', 'end="complete"'), 7);
});

test('headers are out before the first byte; an empty stream ends cleanly; any status; then the connection goes on', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    const h2 = await session(t, server.url);
    for (const s of [await open1(`${server.url}/silent`), await open2(h2, '/silent')]) {
        assert.equal(s.status, 200);
        assert.equal(s.bytes, 0);
        s.leave();
    }
    assert.equal((await server.get('/empty')).text, '');
    assert.equal((await request2(h2, '/empty')).text, '');
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set();
    for (const status of [200, 201, 404, 503]) {
        const s = await open1(`${server.url}/count?status=${status}`, { agent });
        ports.add(s.res.socket.localPort);
        assert.deepEqual([await s.ended(), s.status, s.text], ['clean', status, counted]);
    }
    assert.equal(ports.size, 1);
    agent.destroy();
    const pipelined = await raw(server.port, 'GET /empty HTTP/1.1\r\nHost: a\r\n\r\nGET /count HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.deepEqual(pipelined.text.match(/^HTTP\/1\.1 \d+/gm), ['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 404']);
});

test('HEAD gets the headers and runs nothing; 204 and 304 cannot be streamed', async (t) => {
    const server = await start(t, { hooks: { ...hooks, 'ran.lua': `local ran = 0
return { path = { "/ran", "/ran/stream" }, methods = { "GET" }, handle = function(req)
  if req.path == "/ran" then return tostring(ran) end
  return reply.sse(function(send) ran = ran + 1 send "x" end)
end }` }, workers: 1 });
    const h2 = await session(t, server.url);
    const heads = [await server.request('/ran/stream', { method: 'HEAD' }), await request2(h2, '/ran/stream', { method: 'HEAD' })];
    for (const head of heads) {
        assert.deepEqual([head.status, head.body.length, head.headers['content-type']], [200, 0, 'text/event-stream']);
        assert.equal(head.headers['content-length'], undefined);
    }
    const kept = await raw(server.port, 'HEAD /ran/stream HTTP/1.1\r\nHost: a\r\n\r\nGET /ran HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.deepEqual(kept.text.match(/^HTTP\/1\.1 \d+/gm), ['HTTP/1.1 200', 'HTTP/1.1 200']);
    assert.ok(kept.text.endsWith('\r\n\r\n0'), kept.text);
    for (const status of [204, 304]) {
        assertProblem(await server.get(`/nobody?status=${status}`), 500);
        await server.said((r) => String(r.error).includes(`a ${status} answer cannot have a body`));
    }
});

test('64 MiB in one write, and a million small ones, arrive whole, and are not held in memory twice', async (t) => {
    const server = await start(t, { workers: 1, config: 'return { limits = { lua_memory = "256MiB" } }', hooks: {
        'large.lua': `local piece = "0123456789abcdef"
return { path = { "/large", "/make" }, methods = { "GET" }, timeout = "${ms(10000)}ms", max_run = "5s", handle = function(req)
  if req.path == "/large" then return reply.stream(function(write) write(piece) write "end" end) end
  while #piece < 64 * 1024 * 1024 do piece = piece .. piece sleep "1ms" end -- memory that is new may be slow
  for i = 1, 300 do local _ = ("x"):rep(1e6) .. i sleep "1ms" end -- its smaller pieces are collected
end }`,
        'small.lua': 'return function() return reply.stream(function(write) for i = 1, 1e6 do write "0123456789abcdef" end end) end',
    } });
    const digest = (block, times, tail) => {
        const hash = crypto.createHash('sha256');
        for (let i = 0; i < times; i++) hash.update(block);
        return hash.update(tail).digest('hex');
    };
    const fetched = (args) => tool('sh', ['-c', `curl -sSf ${args} | sha256sum | cut -c1-64`]).then((out) => out.trim());
    const [worker] = server.children('worker');
    const memory = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(fs.readFileSync(`/proc/${worker}/status`, 'utf8'))[1]) / 1024;
    assert.equal((await server.get('/make')).status, 204);
    const large = digest('0123456789abcdef'.repeat(65536), 64, 'end');
    fs.writeFileSync(`/proc/${worker}/clear_refs`, '5'); // the peak begins anew
    const before = memory('VmRSS');
    for (const version of ['-0', '--http1.1', '--http2-prior-knowledge']) assert.equal(await fetched(`${version} ${server.url}/large`), large);
    const added = memory('VmHWM') - before;
    if (!process.env.CRESCENT_TIME_FACTOR) assert.ok(added < 16, `${added.toFixed(1)} MiB more for streaming 64`);
    const small = digest('0123456789abcdef'.repeat(1000), 1000, '');
    for (const version of ['--http1.1', '--http2-prior-knowledge']) assert.equal(await fetched(`${version} ${server.url}/small`), small);
});

test('write waits for its client: a reader that pauses pauses the script, and then gets everything', async (t) => {
    const server = await start(t, { workers: 1, hooks: { 'flow.lua': `local written = {}
return { path = { "/flow/:id", "/written/:id" }, methods = { "GET" }, handle = function(req)
  local id = req.params.id
  if req.path:find "^/written" then return tostring(written[id] or 0) end
  local piece = ("x"):rep(100000)
  return reply.stream(function(write) for i = 1, 400 do write(piece) written[id] = i end end)
end }` } });
    const written = async (id) => Number((await server.get(`/written/${id}`)).text);
    const h2 = await session(t, server.url);
    for (const [id, open] of [['one', () => open1(`${server.url}/flow/one`, { counting: true })], ['two', () => open2(h2, '/flow/two', { counting: true })]]) {
        const s = await open();
        s.pause();
        let last = -1, now = await written(id);
        await until(async () => { await sleep(100); [last, now] = [now, await written(id)]; return now === last; }, 'a standstill');
        assert.ok(now < 400, `all ${now} pieces were written for a client that reads none`);
        s.resume();
        assert.equal(await s.ended(), 'clean');
        assert.equal(s.bytes, 40000000);
    }
});

test('events: as an EventSource reads them, with its last id, and a heartbeat while the script is silent', async (t) => {
    const server = await start(t, { workers: 1, hooks: { 'events.lua': `return function(req)
  return reply.sse(function(send)
    send { retry = "1500ms" }
    send("hello\\nworld\\r\\n:no comment\\rid: no id")
    send { event = "tick", id = (tonumber(req.headers["last-event-id"]) or 0) + 1, data = { n = 1 } }
    sleep "2500ms"
    send(("line\\n"):rep(50000))
    send ""
  end, { heartbeat = "1s" })
end` } });
    const h2 = await session(t, server.url);
    for (const s of [await open1(`${server.url}/events`, { headers: { 'last-event-id': '41' } }), await open2(h2, '/events', { headers: { 'last-event-id': '41' } })]) {
        assert.deepEqual([s.headers['content-type'], s.headers['cache-control'], s.headers['x-accel-buffering']], ['text/event-stream', 'no-cache', 'no']);
        assert.equal(await s.ended(), 'clean');
        const seen = eventSource(s.text);
        assert.equal(seen.retry, 1500);
        assert.ok(seen.comments >= 1 && seen.comments <= 3, `${seen.comments} heartbeats`);
        assert.deepEqual(seen.events, [
            { type: 'message', data: 'hello\nworld\n:no comment\nid: no id', id: '' },
            { type: 'tick', data: '{"n":1}', id: '42' },
            { type: 'message', data: 'line\n'.repeat(50000), id: '42' },
            { type: 'message', data: '', id: '42' }]);
    }
});

test('what goes wrong within a stream is logged, and the client sees it broken off on every version', async (t) => {
    const server = await start(t, { workers: 1, hooks: { 'wrong.lua': `local kept, kept2
local bodies = {
  raise = function(write) error "boom" end,
  problem = function(write) error { status = 422, detail = "too late for this" } end,
  value = function(write) return "text" end,
  failed = function(write) return nil, "no connection" end,
  number = function(write) write(5) end,
  sort = function(write) table.sort({ 1, 2, 3 }, function(a, b) write "x" return a < b end) end,
  memory = function(write) local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end end,
}
return { path = { "/wrong/:how", "/keep", "/use", "/use2" }, methods = { "GET" }, handle = function(req)
  if req.path == "/keep" then return reply.stream(function(write) kept = write write "a" end) end
  if req.path == "/use" then kept "b" return "written" end
  if req.path == "/use2" then kept2 "b" return "written" end
  local body = bodies[req.params.how]
  return reply.stream(function(write) kept2 = write write "begun\\n" sleep "20ms" if body then return body(write) end sleep "1h" end)
end }` } });
    const h2 = await session(t, server.url);
    const words = { raise: /boom\nstack traceback:/, problem: /problem 422: too late for this/, value: /returned a string: what it has to say, it writes/,
        failed: /returned nil, no connection/, number: /write: expected one string, got number/, sort: /write: cannot wait inside a callback/, memory: /not enough memory/ };
    for (const [how, expected] of Object.entries(words)) {
        const s1 = await open1(`${server.url}/wrong/${how}`);
        assert.equal(await s1.ended(), 'ECONNRESET', `${how} ${s1.status} ${s1.text}`); // node's name for an end without the last chunk
        const s2 = await open2(h2, `/wrong/${how}`);
        assert.equal(await s2.ended(), 'ERR_HTTP2_STREAM_ERROR');
        const s0 = open0(server.port, `GET /wrong/${how} HTTP/1.0\r\n\r\n`);
        assert.equal(await s0.ended(), 'ECONNRESET');
        for (const s of [s1, s2]) assert.equal(s.text, 'begun\n');
        await server.said((r) => r.message === 'script error' && expected.test(r.error), `${how} in the log`);
    }
    assert.equal(await server.metric('crescent_streams_ended_total', 'end="broken_off"'), 21);
    await assert.rejects(tool('curl', ['-sS', `${server.url}/wrong/raise`]), /curl: \(18\)/);
    await assert.rejects(tool('curl', ['-sS', '-0', `${server.url}/wrong/raise`]), /curl: \(56\)/);
    await assert.rejects(tool('curl', ['-sS', '--http2-prior-knowledge', `${server.url}/wrong/raise`]), /curl: \(92\)/);
    assert.equal((await server.get('/keep')).text, 'a');
    assertProblem(await server.get('/use'), 500);
    await server.said((r) => /write: the stream has ended/.test(r.error));
    const other = await open1(`${server.url}/wrong/none`);
    await other.has('begun');
    assertProblem(await server.get('/use2'), 500);
    await server.said((r) => /write: this stream belongs to another request/.test(r.error));
    other.leave();
});

test('timeout bounds handle, not the stream; a stream has its own', async (t) => {
    const server = await start(t, { workers: 1, hooks: {
        'handle.lua': `return { timeout = "300ms", methods = { "GET" }, handle = function(req)
  sleep "100ms"
  return reply.stream(function(write) write "a" sleep "600ms" write "b" end)
end }`,
        'bound.lua': 'return function() return reply.stream(function(write) for i = 1, 100 do pcall(write, "a") pcall(sleep, "50ms") end end, { timeout = "400ms" }) end',
    } });
    const h2 = await session(t, server.url);
    for (const s of [await open1(`${server.url}/handle`), await open2(h2, '/handle')]) assert.deepEqual([await s.ended(), s.text], ['clean', 'ab']);
    for (const s of [await open1(`${server.url}/bound`), await open2(h2, '/bound')]) {
        assert.notEqual(await s.ended(ms(3000)), 'clean');
        assert.ok(s.bytes >= 1 && s.bytes < 10, `${s.bytes}`);
    }
    await until(() => server.records('stream timed out').length === 2, 'both in the log');
});
