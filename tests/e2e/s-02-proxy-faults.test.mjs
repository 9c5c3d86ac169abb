// reply.proxy where upstreams fail: what the client is told, what the log says, who is asked instead, and who never is.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import { frame } from './attack/frames.mjs';
import { authority } from './authority.mjs';
import { assertProblem, folder, load, ms, raw, request, request2, session, sleep, start, tool, until } from './helper.mjs';
import { open1, open2, streamsAre } from './streams.mjs';
import { nobody, rawUpstream, upstream } from './proxied.mjs';

const methods = 'methods = { "GET", "POST", "PUT", "DELETE", "TRACE" }';
const script = (urls, opts = '', fields = '') => `return { ${methods}, ${fields} handle = function(req)
  return reply.proxy({ ${[urls].flat().map((u) => JSON.stringify(u)).join(', ')} }, { ${opts} })
end }`;
const details = {
    reached: /^the upstream could not be reached$/, valid: /^the upstream gave no valid answer$/,
    time: /^the upstream did not answer in time$/, none: /^no upstream is available now$/,
};
const failed = (server, code, upstreamUrl) => server.said((r) => r.message === 'upstream failed' && r.code === code && r.upstream === upstreamUrl, `an upstream that failed: ${code}`);

test('an upstream that cannot be reached is a 502, one that is silent a 504; the log says which and why', async (t) => {
    const refusing = `http://127.0.0.1:${await nobody()}`;
    const silent = await rawUpstream(t, () => {});
    const closing = await rawUpstream(t, (socket) => socket.end());
    const resetting = await rawUpstream(t, (socket) => socket.resetAndDestroy());
    const plain = await rawUpstream(t, () => {});
    const tls = `https://127.0.0.1:${(await rawUpstream(t, () => {}).then((s) => s.port))}`;
    const dead = await upstream(t);
    const server = await start(t, { workers: 1, hooks: {
        'refused.lua': script(refusing), 'name.lua': script('http://no-such-host.invalid:80'), 'silent.lua': script(silent.url, 'timeout = "300ms"'),
        'endpoint.lua': script(silent.url, '', 'timeout = "400ms",'), 'closing.lua': script(closing.url), 'resetting.lua': script(resetting.url),
        'handshake.lua': script(tls, 'connect_timeout = "300ms"'), 'secret.lua': script(`${refusing}/secret-path?token=secret`),
        'unused.lua': script([plain.url, dead.url]),
    } });
    const h2 = await session(t, server.url);
    for (const [path, status, detail, code, where] of [
        ['/refused', 502, details.reached, 'refused', refusing], ['/name', 502, details.reached, 'dns', 'http://no-such-host.invalid:80'],
        ['/silent', 504, details.time, 'timeout', silent.url], ['/endpoint', 504, details.time, 'timeout', silent.url],
        ['/closing', 502, details.valid, 'closed', closing.url], ['/resetting', 502, details.valid, 'closed', resetting.url],
        ['/handshake', 504, details.time, 'timeout', tls], ['/secret', 502, details.reached, 'refused', refusing]]) {
        for (const answer of [await server.get(path), await request2(h2, path), await server.post(path, 'x')]) {
            assertProblem(answer, status, detail);
            assert.doesNotMatch(answer.text, /127\.0\.0\.1|secret|invalid/);
        }
        await failed(server, code, where);
        const head = await server.request(path, { method: 'HEAD' });
        assert.deepEqual([head.status, head.body.length], [status, 0]);
    }
    assert.ok(server.log.every((r) => !JSON.stringify(r).includes('token=secret')), 'a URL in the log');
    assert.ok(await server.metric('crescent_upstream_failures_total', 'reason="unreachable"') >= 12);
    assert.ok(await server.metric('crescent_upstream_failures_total', 'reason="timeout"') >= 12);
    assert.ok(await server.metric('crescent_upstream_failures_total', 'reason="bad_response"') >= 8);
});

test('a reply that readers may understand in two ways is a 502, and nothing of it reaches the client', async (t) => {
    const bad = {
        folded: 'HTTP/1.1 200 OK\r\nX-A: 1\r\n folded\r\nContent-Length: 1\r\n\r\nx',
        control: 'HTTP/1.1 200 OK\r\nX-A: a\x01b\r\nContent-Length: 1\r\n\r\nx',
        nul: 'HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 1\r\n\r\nx',
        space: 'HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 1\r\n\r\nx',
        name: 'HTTP/1.1 200 OK\r\nX A: b\r\nContent-Length: 1\r\n\r\nx',
        lengths: 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx',
        length: 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx',
        letters: 'HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nx',
        switching: 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nx',
        status: 'HTTP/1.1 999 Odd\r\nContent-Length: 1\r\n\r\nx',
        garbage: 'what is this\r\n\r\n',
        nothing: '\r\n\r\n\r\n',
        headers: `HTTP/1.1 200 OK\r\n${'X-A: y\r\n'.repeat(300)}Content-Length: 1\r\n\r\nx`,
        large: `HTTP/1.1 200 OK\r\nX-A: ${'y'.repeat(70000)}\r\nContent-Length: 1\r\n\r\nx`,
        none: 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n',
        header: 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n',
    };
    const up = await rawUpstream(t, (socket, asked) => socket.end(bad[/x-which: (\w+)/i.exec(asked)[1]], 'latin1'));
    const endless = await rawUpstream(t, (socket) => {
        socket.write('HTTP/1.1 200 OK\r\n');
        const more = () => { while (!socket.destroyed && socket.write(`X-${'a'.repeat(50)}: ${'b'.repeat(50)}\r\n`)); };
        socket.on('drain', more);
        more();
    });
    const server = await start(t, { workers: 1, hooks: { 'bad.lua': script(up.url), 'endless.lua': script(endless.url), 'good.lua': 'return function() return "good" end' } });
    const h2 = await session(t, server.url);
    const single = (which) => server.get('/bad', { 'x-which': which });
    for (const which of Object.keys(bad)) {
        const answer = await single(which);
        assert.equal(answer.status, 502, which);
        assertProblem(answer, 502, /^(the upstream gave no valid answer|no upstream is available now)$/);
        assert.equal(answer.headers['x-a'], undefined);
        assertProblem(await request2(h2, '/bad', { headers: { 'x-which': which } }), 502);
        await sleep(ms(5));
        if (which === 'name' || which === 'garbage') await until(async () => !/no upstream/.test((await single(which)).text), 'it to be asked again', 10000);
    }
    await sleep(1100); // the log has ten lines a second about upstreams
    for (let i = 0; i < 3; i++) assertProblem(await server.get('/endless'), 502, details.valid);
    await failed(server, 'too_large', endless.url);
    assert.equal((await server.get('/good')).text, 'good');
    const [worker] = server.children('worker');
    assert.ok(Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${worker}/status`, 'utf8'))[1]) < 200 * 1024);
});

test('headers that are too large together are no answer, whoever adds them; a list of one long string is refused where it is read', async (t) => {
    const up = await rawUpstream(t, (socket) => socket.end(`HTTP/1.1 200 OK\r\nX-A: ${'y'.repeat(40000)}\r\nContent-Length: 1\r\n\r\nx`));
    const own = (size) => script(up.url, `response_headers = { ["x-b"] = ("z"):rep(${size}) }`);
    const listed = (option) => `return { ${methods}, handle = function(req)
      local s, l = ("x"):rep(10e6), {}
      for i = 1, 60 do l[i] = s end
      return reply.proxy("${up.url}", { ${option} = { ["x-b"] = l } })
    end }`;
    const server = await start(t, { workers: 1, hooks: { 'fits.lua': own(20000), 'over.lua': own(30000), 'there.lua': listed('headers'), 'back.lua': listed('response_headers') } });
    const h2 = await session(t, server.url);
    for (const version of ['--http1.1', '--http2-prior-knowledge']) { // other clients take less
        const [status, size] = (await tool('curl', ['-s', version, '-o', '/dev/null', '-w', '%{http_code} %{size_header}', `${server.url}/fits`])).split(' ');
        assert.ok(status === '200' && size > 60000, `${status} ${size}`);
    }
    for (const get of [(path) => server.get(path), (path) => request2(h2, path)]) {
        assertProblem(await get('/over'), 502, details.valid);
        for (const path of ['/there', '/back']) assertProblem(await get(path), 500);
    }
    await server.said((r) => r.message === 'upstream failed' && /header x-b: with it the headers are larger than 64 KiB/.test(r.error), 'why it is no answer');
    for (const option of ['headers', 'response_headers']) await server.said((r) => r.message === 'script error' && r.error.includes(`reply.proxy: ${option}: more than 64 KiB`), option);
    const [worker] = server.children('worker');
    const peak = Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${worker}/status`, 'utf8'))[1]) / 1024;
    if (!process.env.CRESCENT_SANITIZE) assert.ok(peak < 150, `${peak} MiB`);
});

test('more than was said is not taken; less breaks the answer off, and is never a clean end', async (t) => {
    const replies = {
        more: ['HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdefHTTP/1.1 200 OK\r\n\r\n', 0],
        less: [`HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n${'x'.repeat(150000)}`, 0],
        reset: [`HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n${'x'.repeat(150000)}`, 1],
        chunk: ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n', 0],
        size: ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n', 0],
        both: ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n5\r\nhello\r\n0\r\n\r\n', 0],
        close: ['HTTP/1.1 200 OK\r\n\r\nuntil the end', 0],
        small: ['HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhello', 0],
    };
    const up = await rawUpstream(t, (socket, asked) => {
        const [bytes, reset] = replies[/x-which: (\w+)/i.exec(asked)[1]];
        socket.write(bytes, () => setTimeout(() => reset ? socket.resetAndDestroy() : socket.end(), ms(100)));
    });
    const server = await start(t, { workers: 1, hooks: { 'a.lua': script(up.url) } });
    const h2 = await session(t, server.url);
    for (const [which, end, text] of [['more', 'clean', 'abc'], ['both', 'clean', 'hello'], ['close', 'clean', 'until the end'],
        ['less', 'broken', 'x'], ['reset', 'broken', 'x'], ['chunk', 'broken', 'hello'], ['small', 'broken', 'hello']]) {
        for (const s of [await open1(`${server.url}/a`, { headers: { 'x-which': which } }), await open2(h2, '/a', { headers: { 'x-which': which } })]) {
            const how = await s.ended();
            assert.equal(how === 'clean' ? 'clean' : 'broken', end, `${which}: ${how} ${s.text.slice(0, 20)}`);
            assert.deepEqual([which, s.status, s.text.startsWith(text)], [which, 200, true]);
            if (end === 'clean') assert.equal(s.text, text);
        }
    }
    for (const get of [() => server.get('/a', { 'x-which': 'size' }), () => request2(h2, '/a', { headers: { 'x-which': 'size' } })]) // not begun, where it fails at once
        assert.ok(await get().then((a) => a.status === 502, () => true));
    await until(async () => (await server.get('/a', { 'x-which': 'more' })).text === 'abc', 'it to be asked again'); // ten failures in a row: it is left out
    const old = await raw(server.port, 'GET /a HTTP/1.0\r\nX-Which: chunk\r\n\r\n');
    assert.ok(old.text.endsWith('hello'));
    await streamsAre(server, 0);
    // The client's next request on its connection is answered by its own reply.
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (const [which, text] of [['more', 'abc'], ['both', 'hello'], ['more', 'abc']]) assert.equal((await request(`${server.url}/a`, { agent, headers: { 'x-which': which } })).text, text);
    agent.destroy();
});

test('an upstream that falls silent within its reply is left after idle_timeout; a slow client is no silence', async (t) => {
    const up = await upstream(t, (req, res) => {
        if (req.url === '/silent') { res.write('some'); return; }
        if (req.url === '/waiting') { res.writeHead(200, { 'content-length': 100 }); res.flushHeaders(); return; }
        if (req.url === '/drip') { let n = 0; const timer = setInterval(() => { res.write('.'); if (++n === 8) { clearInterval(timer); res.end(); } }, 150); return; }
        res.end(Buffer.alloc(8 << 20));
    });
    const server = await start(t, { workers: 1, hooks: { '[...rest].lua': script(up.url, 'idle_timeout = "500ms"') } });
    const silent = await open1(`${server.url}/silent`);
    assert.notEqual(await silent.ended(), 'clean');
    assert.equal(silent.text, 'some');
    await server.said((r) => r.message === 'upstream failed' && r.code === 'timeout');
    assertProblem(await server.get('/waiting'), 504, details.time); // nothing was sent yet
    const drip = await open1(`${server.url}/drip`);
    assert.equal(await drip.ended(), 'clean');
    assert.equal(drip.bytes, 8);
    const slow = await open1(`${server.url}/large`, { counting: true });
    slow.pause();
    await sleep(ms(1500));
    slow.resume();
    assert.equal(await slow.ended(), 'clean');
    assert.equal(slow.bytes, 8 << 20);
});

test('another upstream is tried: after what failed on the way, and a POST only where nothing of it was sent', async (t) => {
    const gone = `http://127.0.0.1:${await nobody()}`;
    const closing = await rawUpstream(t, (socket) => socket.end()), silent = await rawUpstream(t, () => {}), twice = await rawUpstream(t, (socket) => socket.end());
    const odd = await rawUpstream(t, (socket) => socket.end('HTTP/1.1 200 OK\r\nX : y\r\n\r\n'));
    const failing = await upstream(t, (req, res) => { res.statusCode = 503; res.end('theirs'); });
    const good = await upstream(t, (req, res, body) => res.end(`good ${req.method} ${body}`));
    const made = (first) => ({ made: `local turn = 0
return { ${methods}, handle = function(req)
  turn = turn + 1
  return reply.proxy({ "${first}", "${good.url}" }, { timeout = "300ms", retries = tonumber(req.query.retries) })
end }` }).made;
    const server = await start(t, { workers: 1, hooks: { 'gone.lua': made(gone), 'closing.lua': made(closing.url), 'silent.lua': made(silent.url), 'odd.lua': made(odd.url), 'failing.lua': made(failing.url),
        'same.lua': script(twice.url, 'retries = 2'), 'trust.lua': script([`https://127.0.0.1:${good.port}`, good.url]) } });
    /** Asks until the bad one was asked first `times`; the answers of these. */
    const bad = async (path, options, times = 3) => {
        const answers = [];
        for (let i = 0; i < 4 * times && answers.length < times; i++) {
            const before = await server.metricSum('crescent_upstream_failures_total');
            const answer = await server.request(path, options);
            if (await server.metricSum('crescent_upstream_failures_total') > before) answers.push(answer);
        }
        assert.equal(answers.length, times);
        return answers;
    };
    for (const answer of await bad('/gone')) assert.equal(answer.text, 'good GET ');
    for (const answer of await bad('/gone', { method: 'POST', body: 'x' })) assert.equal(answer.text, 'good POST x');
    for (const answer of await bad('/gone?retries=0')) assertProblem(answer, 502, details.reached);
    for (const answer of await bad('/closing')) assert.equal(answer.text, 'good GET ');
    for (const answer of await bad('/closing', { method: 'PUT', body: 'x' })) assert.equal(answer.text, 'good PUT x');
    const sent = closing.asked.length, taken = good.asked.length;
    for (const answer of await bad('/closing', { method: 'POST', body: 'x' }, 2)) assertProblem(answer, 502, details.valid);
    assert.equal(closing.asked.slice(sent).filter((a) => a.startsWith('POST')).length, 2);
    assert.ok(good.asked.slice(taken).every((a) => a.method === 'POST'));
    for (const answer of await bad('/silent', undefined, 1)) assert.equal(answer.text, 'good GET ');
    for (const answer of await bad('/silent', { method: 'POST', body: 'x' }, 1)) assertProblem(answer, 504, details.time);
    for (const answer of await bad('/odd', undefined, 1)) assertProblem(answer, 502, details.valid); // it did answer
    for (let i = 0; i < 2; i++) { // so did one that says 503
        const answer = await server.get('/failing');
        assert.ok(answer.text === 'theirs' && answer.status === 503 || answer.text === 'good GET ', answer.text);
    }
    for (const answer of await bad('/trust', undefined, 1)) assert.equal(answer.text, 'good GET ');
    assertProblem(await server.get('/same'), 502);
    assert.equal(twice.asked.length, 3);
    assert.ok(await server.metric('crescent_upstream_retries_total') >= 12);
});

test('one of two upstreams is killed under load, again and again: no request that may be repeated fails', async (t) => {
    const answering = (req, res) => setTimeout(() => res.end('ok'), 2);
    const one = await upstream(t, answering), two = await upstream(t, answering);
    const server = await start(t, { workers: 2, hooks: { 'a.lua': script([one.url, two.url]) } });
    const running = load(`${server.url}/a`, { connections: 16 });
    for (let i = 0; i < 3; i++) {
        await sleep(ms(300));
        for (const s of two.sockets) s.resetAndDestroy();
        two.close();
        await sleep(ms(500));
        await new Promise((done) => two.listen(two.port, '127.0.0.1', done));
        const asked = two.asked.length;
        await until(() => two.asked.length > asked + 5, 'the upstream to be asked again', 20000);
    }
    const result = await running.stop();
    assert.deepEqual(result.failures, []);
    assert.ok(result.answers > 300, String(result.answers));
    for (const s of [one, two]) assert.ok(s.asked.length > 50);
});

test('an upstream that is down is not asked by everybody; when it is back, it is asked within seconds', async (t) => {
    let up = await upstream(t, (req, res) => res.end('up'));
    const { port } = up;
    const server = await start(t, { workers: 1, hooks: { 'a.lua': script(up.url) } });
    assert.equal((await server.get('/a')).text, 'up');
    up.stop();
    let knocks = 0;
    const door = net.createServer((socket) => { knocks++; socket.resetAndDestroy(); });
    await new Promise((done) => door.listen(port, '127.0.0.1', done));
    const answers = [];
    for (let i = 0; i < 60; i++) answers.push(await server.get('/a'));
    for (const a of answers) assertProblem(a, 502);
    assert.ok(answers.some((a) => details.none.test(a.json.detail)));
    assert.ok(knocks < 40, `${knocks} knocks`);
    assert.ok(server.records((r) => r.message === 'upstream failed').length <= 40, 'a line for each');
    // However long it was away: four probes fail, which would double the wait of others each time.
    const begun = knocks;
    await until(async () => { await server.get('/a'); await sleep(50); return knocks >= begun + 3; }, 'probes', 20000);
    await new Promise((done) => door.close(done));
    up = http.createServer((req, res) => res.end('again'));
    await new Promise((done) => up.listen(port, '127.0.0.1', done));
    t.after(() => { up.closeAllConnections(); up.close(); });
    const back = Date.now();
    await until(async () => { await sleep(20); return (await server.get('/a')).text === 'again'; }, 'it to be asked', 10000);
    assert.ok(Date.now() - back < ms(4000), `${Date.now() - back} ms`);
    for (let i = 0; i < 20; i++) assert.equal((await server.get('/a')).text, 'again');
});

test('what must not be reached is not: the admin listener, link-local addresses, private ones on demand', async (t) => {
    const up = await upstream(t);
    const server = await start(t, { workers: 1, hooks: { 'a.lua': `return function(req)
  local opts = {}
  if req.query.public then opts.private = false end
  return reply.proxy(req.query.url, opts)
end` } });
    const ask = (url, more = '') => server.get(`/a?url=${encodeURIComponent(url)}${more}`);
    assert.equal((await ask(up.url)).status, 200);
    const admin = new URL(server.admin).port;
    for (const [url, more] of [[server.admin], [`http://localhost:${admin}`], [`http://127.1:${admin}`], [`http://2130706433:${admin}`], ['http://169.254.169.254/latest'], ['http://[::ffff:169.254.169.254]/'], [up.url, '&public=1'], [`http://localhost:${up.port}`, '&public=1']]) {
        const asked = up.asked.length;
        assertProblem(await ask(url, more), 502, details.reached);
        assert.equal(up.asked.length, asked);
    }
    await server.said((r) => r.code === 'address_refused' && /the admin listener of this server/.test(r.error));
    const strict = await start(t, { workers: 1, config: 'return { http_private = false }', hooks: { 'a.lua': script(up.url), 'b.lua': `local up = reply.proxy("${up.url}", { private = true }) return function() return up end` } });
    assertProblem(await strict.get('/a'), 502, details.reached);
    await strict.said((r) => JSON.stringify(r).includes('the setting http_private forbids it'));
    assert.equal((await strict.get('/b')).status, 503);
});

test('what is not passed on is refused in words: WebSocket, TRACE, circles, and what HTTP/1 cannot carry', async (t) => {
    const up = await upstream(t);
    const server = await start(t, { workers: 1, hooks: { 'a.lua': script(up.url), 'self.lua': `return function(req) return reply.proxy("http://" .. req.headers.host .. "/self", { timeout = "10s" }) end` } });
    assertProblem(await server.get('/a', { Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Key': 'x' }), 501, /WebSocket/);
    assertProblem(await server.request('/a', { method: 'TRACE' }), 501);
    assertProblem(await server.get('/self'), 508, /circles/);
    assert.equal(up.asked.length, 0);
    // A line break in a value, as only HTTP/2 can send it: by a client that checks nothing.
    const answer = await rawHttp2(server.port, [[':method', 'GET'], [':path', '/a'], [':scheme', 'http'], [':authority', 'a'], ['x-a', 'b\r\nX-Injected: 1\r\n\r\nGET /b HTTP/1.1']]);
    assert.notEqual(answer, 200);
    assert.ok(up.asked.every((a) => a.headers['x-injected'] === undefined && a.url !== '/b'));
    assert.equal((await server.get('/a')).status, 200);
});

/** Sends one request as literal fields over HTTP/2 without any check; the status, or 0 where there is none. */
function rawHttp2(port, fields) {
    const text = (s) => Buffer.concat([Buffer.from([s.length]), Buffer.from(s, 'latin1')]);
    const block = Buffer.concat(fields.map(([n, v]) => Buffer.concat([Buffer.from([0]), text(n), text(v)])));
    return new Promise((done) => {
        let got = Buffer.alloc(0);
        const socket = net.connect(port, '127.0.0.1', () => socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0, Buffer.alloc(0)), frame(1, 5, 1, block)])));
        const end = (status) => { clearTimeout(timer); socket.destroy(); done(status); };
        const timer = setTimeout(() => end(0), ms(3000));
        socket.on('data', (part) => {
            got = Buffer.concat([got, part]);
            while (got.length >= 9 && got.length >= 9 + got.readUIntBE(0, 3)) {
                const length = got.readUIntBE(0, 3), type = got[3];
                const payload = got.subarray(9, 9 + length);
                got = got.subarray(9 + length);
                // :status 400 is 0x8c, 404 0x8d, 500 0x8e, 200 0x88 in HPACK's static table (RFC 7541, A).
                if (type === 1) end({ 0x88: 200, 0x8c: 400, 0x8d: 404, 0x8e: 500 }[payload[0]] ?? 1);
                if (type === 3 || type === 7) end(0);
            }
        }).on('close', () => end(0)).on('error', () => end(0));
    });
}

test('an upstream that answers before it has read the body is heard; one that only closes is a 502', async (t) => {
    const early = await rawUpstream(t, (socket) => { socket.pause(); socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig'); });
    const deaf = await rawUpstream(t, (socket) => { socket.pause(); setTimeout(() => socket.resetAndDestroy(), 100); });
    const server = await start(t, { workers: 1, hooks: { 'early.lua': script(early.url, '', 'max_body = "16MiB",'), 'deaf.lua': script(deaf.url, '', 'max_body = "16MiB",') } });
    const h2 = await session(t, server.url);
    const body = Buffer.alloc(8 << 20);
    for (const post of [(p) => server.post(p, body), (p) => request2(h2, p, { method: 'POST', body })]) {
        const answer = await post('/early');
        assert.deepEqual([answer.status, answer.text], [413, 'big']);
        assertProblem(await post('/deaf'), 502, details.valid);
    }
});

test('a client that takes nothing is cut after write_time, a stream without end at the end of a drain; the upstream hears of both', async (t) => {
    const up = await upstream(t, (req, res) => {
        res.on('error', () => {});
        if (req.url === '/endless') { res.write('data: x\n\n'); return; }
        const more = () => { while (res.write(Buffer.alloc(65536))); res.once('drain', more); };
        more();
    });
    const server = await start(t, { workers: 1, config: 'return { limits = { write_time = "1s" }, drain = "2s" }', hooks: { '[...rest].lua': script(up.url) } });
    const h2 = await session(t, server.url, { settings: { initialWindowSize: 100 } });
    for (const open of [() => open1(`${server.url}/flood`, { counting: true }), () => open2(h2, '/flood', { counting: true })]) {
        (await open()).pause();
        const one = up.last();
        await until(() => one.closed, 'the upstream to hear of it', 10000);
    }
    assert.equal(await server.metric('crescent_connections_cut_total', 'reason="write_time"'), 2);
    const s = await open1(`${server.url}/endless`);
    await s.has('data');
    const one = up.last();
    const stopped = server.stop();
    assert.notEqual(await s.ended(), 'clean');
    await until(() => one.closed, 'the upstream to hear of it');
    await stopped;
});

test('an upstream whose header came has answered: long streams, silent ones and those that clients leave close it to nobody', async (t) => {
    let dead = false;
    const up = await upstream(t, (req, res) => {
        if (dead) { req.socket.destroy(); return; }
        if (!req.url.startsWith('/stream')) { res.end('fine'); return; }
        res.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n');
    });
    const server = await start(t, { workers: 1, hooks: { '[...rest].lua': script(up.url, 'idle_timeout = "1s"'), 'long.lua': `return { path = "/stream-long", methods = { "GET" }, handle = function() return reply.proxy("${up.url}", { idle_timeout = false }) end }` } });
    const fine = async () => assert.deepEqual(await server.get('/x').then((r) => [r.status, r.text]), [200, 'fine']);
    const fail = async (times) => {
        dead = true;
        for (let i = 0; i < times; i++) assertProblem(await server.get('/x'), 502, details.valid);
        dead = false;
    };
    const silent = await Promise.all(Array.from({ length: 12 }, () => open1(`${server.url}/stream`)));
    for (const s of silent) assert.notEqual(await s.ended(), 'clean');
    await fine();

    await fail(9);
    for (let i = 0; i < 5; i++) (await (await open1(`${server.url}/stream-long`)).has('data')).leave();
    await until(() => up.sockets.size <= 1, 'the streams are over');
    await fail(1);
    await fine();

    await fail(10);
    assertProblem(await server.get('/x'), 502, details.none);
    await sleep(2100); // then one may probe
    const probe = await (await open1(`${server.url}/stream-long`)).has('data');
    for (let i = 0; i < 5; i++) await fine();
    assert.equal(probe.end, undefined);
    probe.leave();
});

test('an upstream whose TLS fails is left out for a while; what we lack for it, or a script that trusts others, is no fault of it', async (t) => {
    const dir = folder(t), ca = await authority(dir), pair = await ca.issue('up', { names: ['localhost'] });
    const tls = { cert: fs.readFileSync(pair.cert), key: fs.readFileSync(pair.key) };
    const untrusted = await upstream(t, undefined, { tls }), good = await upstream(t, (req, res) => res.end('good'));
    const other = await upstream(t, (req, res) => res.end('other'), { tls });
    const server = await start(t, { workers: 1, hooks: {
        'two.lua': script([untrusted.url, good.url]), 'other.lua': script(other.url, `ca = ${JSON.stringify(ca.cert)}`), 'lacks.lua': script(other.url, `ca = "${dir}/missing.pem"`),
        'get.lua': `return { methods = { "GET" }, handle = function() local _, err = http.get("${other.url}") return 200, err.code end }` } });
    for (let i = 0; i < 60; i++) assert.equal((await server.get('/two')).text, 'good');
    const failures = await server.metricSum('crescent_upstream_failures_total');
    assert.ok(failures >= 10 && failures <= 14, `${failures} of 60`);
    for (let i = 0; i < 12; i++) assertProblem(await server.get('/lacks'), 502, details.reached);
    for (let i = 0; i < 12; i++) assert.equal((await server.get('/get')).text, 'tls');
    assert.equal((await server.get('/other')).text, 'other');
});

test('nothing is left of thousands of requests that fail, are tried again, are left or end well', async (t) => {
    const gone = `http://127.0.0.1:${await nobody()}`;
    const up = await upstream(t, (req, res) => {
        if (req.url.startsWith('/cut')) { res.write('x'); setTimeout(() => res.socket.resetAndDestroy(), 1); return; }
        if (req.url.startsWith('/slow')) { setTimeout(() => res.end('late'), 50); return; }
        res.end(Buffer.alloc(req.url.startsWith('/large') ? 300000 : 10));
    });
    const server = await start(t, { workers: 1, hooks: { '[...rest].lua': script([gone, up.url], 'headers = { ["x-a"] = ("y"):rep(200) }') } });
    const [worker] = server.children('worker');
    const memory = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${worker}/status`, 'utf8'))[1]);
    const files = () => fs.readdirSync(`/proc/${worker}/fd`).length;
    const round = async (times) => {
        const agent = new http.Agent({ keepAlive: true, maxSockets: 20 });
        await Promise.all(Array.from({ length: 20 }, async (_, i) => {
            for (let n = 0; n < times; n++) {
                const path = ['/good', '/large', '/cut', '/slow', '/leave'][(n + i) % 5];
                if (path !== '/leave') { await request(`${server.url}${path}`, { agent, method: n % 3 ? 'GET' : 'POST' }).catch(() => {}); continue; }
                const req = http.get(`${server.url}/slow`, { agent: false });
                req.on('error', () => {});
                await sleep(5);
                req.destroy();
            }
        }));
        agent.destroy();
        await until(async () => await server.metric('crescent_requests_under_way') === 0, 'all to end', 10000);
    };
    await round(80);
    const before = memory(), open = files();
    await round(120);
    const grown = memory() - before;
    if (!process.env.CRESCENT_TIME_FACTOR) assert.ok(grown < 6000, `${grown} KiB more`);
    assert.ok(files() <= open + 20, `${open} descriptors, then ${files()}`);
    assert.equal((await server.get('/good')).status, 200); // who cuts its bodies has answered
});

test('a worker that dies takes its transfers with it: the upstream hears of it, and the client of an incomplete answer', async (t) => {
    const up = await upstream(t, (req, res) => { res.write('some'); });
    const server = await start(t, { workers: 1, hooks: { 'a.lua': script(up.url) } });
    const s = await open1(`${server.url}/a`);
    await s.has('some');
    process.kill(server.children('worker')[0], 'SIGKILL');
    assert.notEqual(await s.ended(), 'clean');
    await until(() => up.last().closed, 'the upstream to hear of it');
    await until(async () => (await server.get('/none').catch(() => ({}))).status === 404, 'another worker');
});
