// Hosts that are slow, broken, hostile or gone: each fault is a clear nil, err; the worker goes on, and leaves nothing.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import { test } from 'node:test';
import zlib from 'node:zlib';
import { authority } from './authority.mjs';
import { folder, ms, sleep, start, until } from './helper.mjs';
import { bare, full, lua, nobody, plain, replying, runner, secure } from './upstreams.mjs';

const serve = (t, options) => start(t, { workers: 1, hooks: { 'run.lua': runner }, ...options });
const fails = async (server, url, code, options = '') => {
    const begun = Date.now();
    const reply = await lua(server, `return http.get("${url}", { timeout = "20s" ${options} })`);
    assert.equal(reply.code, code, `${url}: ${JSON.stringify(reply).slice(0, 500)}`);
    return { words: reply.words, took: Date.now() - begun };
};
const head = 'HTTP/1.1 200 OK\r\n';

test('nobody there, no such name', async (t) => {
    const server = await serve(t);
    const port = await nobody();
    assert.match((await fails(server, `http://127.0.0.1:${port}/secret?key=1`, 'refused')).words, new RegExp(`^GET http://127.0.0.1:${port}: nobody listens there`));
    assert.doesNotMatch((await fails(server, `http://u:p@127.0.0.1:${port}/secret?key=1`, 'refused')).words, /secret|key|u:p/);
    await fails(server, 'http://no-such-name.invalid/', 'dns');
});

test('slow in every way: what is waited for is said', async (t) => {
    const server = await serve(t);
    const silent = await bare(t, (s) => s.resume());
    const dripHead = await bare(t, (s) => { s.resume().write(head); const timer = setInterval(() => s.write('a: b\r\n'), 50); s.on('close', () => clearInterval(timer)); });
    const dripBody = await bare(t, (s) => { s.resume().write(`${head}content-length: 100000\r\n\r\n`); const timer = setInterval(() => s.write('x'), 50); s.on('close', () => clearInterval(timer)); });
    for (const [up, words] of [[silent, /waiting for a reply/], [dripHead, /waiting for a reply/], [dripBody, /waiting for the rest of the reply/]]) {
        const begun = Date.now();
        const reply = await lua(server, `return http.get("${up.url}", { timeout = "300ms" })`);
        assert.equal(reply.code, 'timeout');
        assert.match(reply.words, words);
        assert.match(reply.words, /300ms were spent/);
        assert.ok(Date.now() - begun < ms(3000));
        await until(() => up.sockets.size === 0, 'the connection is closed');
    }
    const reply = await lua(server, `return http.get("${silent.url.replace('http', 'https')}", { connect_timeout = "200ms" })`);
    assert.equal(reply.code, 'timeout', JSON.stringify(reply)); // the handshake belongs to the connection
    assert.match(reply.words, /waiting for the handshake/);
});

// libcurl closes a socket that is still connecting without a word, and the next one of its own has the same number.
test('a connection that is never made, by time or since another address answered first; then names are looked up', async (t) => {
    const up = await full(t), six = http.createServer((q, r) => r.setHeader('connection', 'close').end('six')).listen(up.port, '::1');
    t.after(() => six.close());
    const server = await serve(t), [worker] = server.children('worker');
    for (const options of [', connect_timeout = "100ms"', ', timeout = "100ms"']) {
        await fails(server, `${up.url}/`, 'timeout', options);
        await fails(server, 'http://no-such-name.invalid/', 'dns');
    }
    for (let i = 0; i < 3; i++) {
        assert.equal((await lua(server, `return http.get("http://localhost:${up.port}/")`)).body, 'six');
        await fails(server, 'http://no-such-name.invalid/', 'dns');
    }
    assert.deepEqual(server.children('worker'), [worker]);
});

test('headers without end', async (t) => {
    const server = await serve(t);
    const flood = (line) => bare(t, (s) => {
        s.write(head);
        const more = () => { while (s.write(line)); };
        s.on('drain', more);
        more();
    });
    for (const line of [`x-a: ${'y'.repeat(1000)}\r\n`, 'a:b\r\n', 'y'.repeat(10000)]) {
        const up = await flood(line);
        await fails(server, up.url, 'too_large');
        await until(() => up.sockets.size === 0, 'the connection is closed');
    }
    const interim = await bare(t, (s) => {
        const more = () => { while (s.write('HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n')); };
        s.on('drain', more);
        more();
    });
    await fails(server, interim.url, 'too_large');
    const fine = await replying(t, `HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n${head}x-big: ${'z'.repeat(60000)}\r\ncontent-length: 2\r\n\r\nok`);
    const reply = await lua(server, `local r = http.get("${fine.url}") return { r.status, r.body, #r.headers["x-big"], r.headers.link == nil }`);
    assert.deepEqual(reply.value, [200, 'ok', 60000, true]);
});

test('one long string named many times is not copied as often: headers, a query, a URL, a certificate', async (t) => {
    const server = await start(t, { workers: 1, hooks: { 'run.lua': runner }, config: 'return { limits = { lua_memory = "64MiB" } }' });
    const [worker] = server.children('worker');
    const asks = (options) => lua(server, `local s = ("x"):rep(10e6) local l = {} for i = 1, 60 do l[i] = s end
        return http.get("http://127.0.0.1:1/", { ${options} })`);
    await asks('');
    fs.writeFileSync(`/proc/${worker}/clear_refs`, '5');
    assert.match((await asks('headers = { ["x-a"] = l }')).raised, /http.get: headers: more than 256 KiB$/);
    assert.match((await asks('headers = { ["x-a"] = ("x"):rep(262142) }')).raised, /headers: more than 256 KiB$/);
    assert.equal((await asks('headers = { ["x-a"] = ("x"):rep(262141) }')).code, 'refused');
    const long = await asks('query = { a = l, b = "1" }');
    assert.deepEqual([long.code, /too long/.test(long.words)], ['bad_url', true]);
    const rest = 65536 - 'http://127.0.0.1:1/?a='.length;
    for (const [size, code] of [[rest, 'refused'], [rest + 1, 'bad_url'], [rest + 9, 'bad_url']]) {
        assert.equal((await asks(`query = { a = ("x"):rep(${size}) }`)).code, code);
        assert.equal((await lua(server, `return http.get("http://127.0.0.1:1/?a=" .. ("x"):rep(${size}))`)).code, code);
        assert.equal((await lua(server, `return http.get("http://127.0.0.1:1/?a=" .. ("x"):rep(${size}), { query = {} })`)).code, code);
    }
    assert.equal((await lua(server, `return http.get("http://127.0.0.1:1/" .. ("x"):rep(65518), { query = {} })`)).code, 'bad_url');
    assert.equal((await lua(server, `return http.get("http://127.0.0.1:1/" .. ("x"):rep(10e6), { retry = true })`)).code, 'bad_url');
    assert.match((await lua(server, 'return http.get("https://127.0.0.1:1/", { ca = ("x"):rep(2e6) })')).raised, /http.get: ca: expected at most 1MiB$/);
    const peak = Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${worker}/status`, 'utf8'))[1]) / 1024;
    if (!process.env.CRESCENT_SANITIZE) assert.ok(peak < 150, `${peak} MiB`);
});

test('bodies that are too large: said to be, endless, packed', async (t) => {
    const server = await serve(t);
    const said = await replying(t, `${head}content-length: 9000000000\r\n\r\nxx`, true);
    const one = await fails(server, said.url, 'too_large');
    assert.match(one.words, /more than 8MiB/);
    const endless = await bare(t, (s) => {
        s.write(`${head}\r\n`);
        const chunk = Buffer.alloc(65536, 'x');
        const more = () => { while (s.write(chunk)); };
        s.on('drain', more);
        more();
    });
    assert.match((await fails(server, endless.url, 'too_large', ', max_body = "1MiB"')).words, /more than 1MiB/);
    await until(() => endless.sockets.size === 0, 'the connection is closed');
    const bomb = zlib.gzipSync(Buffer.alloc(200 << 20)); // 200 MiB in 200 KiB
    const packed = await plain(t, (req, res) => (res.writeHead(200, { 'content-encoding': 'gzip' }), res.end(bomb), true));
    await fails(server, packed.url, 'too_large');
    const worker = server.children('worker')[0];
    const peak = () => Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${worker}/status`, 'utf8'))[1]) / 1024;
    if (!process.env.CRESCENT_SANITIZE) assert.ok(peak() < 150, `${peak()} MiB`);
    const streamed = await lua(server, `local r = http.get("${packed.url}", { stream = true }) local n = 0 for p in r:pieces() do n = n + #p end return n`);
    assert.equal(streamed.value, 200 << 20);
    if (!process.env.CRESCENT_SANITIZE) assert.ok(peak() < 200, `${peak()} MiB`);
    const exact = await replying(t, `${head}content-length: 10\r\n\r\n0123456789`);
    assert.equal((await lua(server, `return http.get("${exact.url}", { max_body = 10 })`)).body, '0123456789');
    await fails(server, exact.url, 'too_large', ', max_body = 9');
    assert.equal((await lua(server, `return http.get("${exact.url}", { max_body = 0, expect = 200 })`)).code, 'too_large');
});

test('a packed reply that is streamed is unpacked no faster than it is read', async (t) => {
    const server = await serve(t);
    const text = Buffer.alloc(100 << 20), bomb = zlib.gzipSync(text);
    const packed = await plain(t, (req, res) => {
        const body = { '/cut': bomb.subarray(0, 10000), '/corrupt': Buffer.concat([bomb.subarray(0, -8), Buffer.alloc(8, 'x')]),
            '/trailing': Buffer.concat([bomb, Buffer.from('more')]) }[req.url] ?? bomb;
        return res.writeHead(200, { 'content-encoding': 'gzip' }), res.end(body), true;
    });
    const worker = server.children('worker')[0];
    const rss = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${worker}/status`, 'utf8'))[1]) / 1024;
    const before = rss();
    const held = lua(server, `local kept = {} for i = 1, 30 do
        local r = assert(http.get("${packed.url}", { stream = true })) kept[i] = r
        for j = 1, 3 do r:read() end
    end sleep(1) local n = 0 for p in kept[1]:pieces() do n = n + #p end return n`);
    await until(() => packed.requests.length === 30, 'all are begun');
    await new Promise((done) => setTimeout(done, 500));
    if (!process.env.CRESCENT_SANITIZE) assert.ok(rss() - before < 60, `${before} -> ${rss()} MiB`);
    assert.ok((await held).value > 99 << 20, 'what was not read yet comes when it is');
    const all = (path, more = '') => lua(server, `local r = assert(http.get("${packed.url}${path}", { stream = true ${more} })) local n = 0
        while true do local p, err = r:read() if not p then return { n, tostring(err) } end n = n + #p if n % 7 == 0 then sleep(0) end end`);
    assert.deepEqual((await all('/')).value, [100 << 20, 'nil']);
    const cut = (await all('/cut')).value;
    assert.ok(cut[0] > 1 << 20, `${cut}`);
    assert.match(cut[1], /ends too early/);
    for (const [path, words] of [['/corrupt', /is corrupt/], ['/trailing', /something behind its end/]]) {
        const [count, why] = (await all(path)).value;
        assert.equal(count, 100 << 20);
        assert.match(why, words);
    }
    const bounded = (await all('/', ', max_body = "1MiB"')).value;
    assert.ok(bounded[0] <= 1 << 20);
    assert.match(bounded[1], /more than 1MiB/);
});

test('replies that are none, or end too early', async (t) => {
    const server = await serve(t);
    const cases = [
        ['closed', ''],
        ['closed', 'HTTP/1.1 200 OK\r\nconte'],
        ['bad_response', 'SSH-2.0-OpenSSH_9.2\r\n'],
        ['bad_response', 'garbage\r\n\r\n'],
        ['closed', `${head}content-length: 100\r\n\r\nhalf`],
        ['closed', `${head}transfer-encoding: chunked\r\n\r\n5\r\nab`],
        ['closed', `${head}transfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n`],
        ['bad_response', `${head}transfer-encoding: chunked\r\n\r\nzz\r\nab`],
        ['bad_response', `${head}content-length: abc\r\n\r\n`],
        ['bad_response', `${head}content-length: -5\r\n\r\n`],
        ['bad_response', `${head}content-length: 5\r\ncontent-length: 6\r\n\r\n012345`],
        ['bad_response', `${head}content-length: 6\r\nx: y\r\nContent-Length: 5\r\n\r\n012345`],
        ['bad_response', `${head}content-length: 5, 6\r\n\r\n012345`],
        ['bad_response', `${head}content-length: 6x\r\n\r\n012345`],
        ['bad_response', `${head}content-length:\r\n\r\n012345`],
        [undefined, `${head}content-length: 6\r\ncontent-length: 6\r\n\r\n012345`],
        [undefined, `${head}content-length: 6, 6\r\n\r\n012345`],
        [undefined, `${head}content-length: 5\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n6\r\n012345\r\n0\r\n\r\n`],
        [undefined, `HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n`],
    ];
    for (const [code, bytes] of cases) {
        const up = await replying(t, bytes);
        const reply = await lua(server, `return http.get("${up.url}", { timeout = "5s" })`);
        assert.equal(reply.code, code, `${JSON.stringify(bytes)}: ${JSON.stringify(reply)}`);
    }
    // more than was said: the rest is nobody's answer
    const more = await replying(t, `${head}content-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged`, true);
    for (let i = 0; i < 3; i++) assert.equal((await lua(server, `return http.get("${more.url}")`)).body, 'ok');
});

test('a connection that is reset: before, within, between', async (t) => {
    const server = await serve(t);
    const before = await bare(t, (s) => s.once('data', () => s.resetAndDestroy()));
    await fails(server, before.url, 'closed');
    const within = await bare(t, (s) => s.once('data', () => s.write(`${head}content-length: 100\r\n\r\nhalf`, () => setTimeout(() => s.resetAndDestroy(), 30))));
    await fails(server, within.url, 'closed');
    const between = await bare(t, (s) => s.on('data', () => s.write(`${head}content-length: 2\r\n\r\nok`, () => setTimeout(() => s.resetAndDestroy(), 20))));
    for (let i = 0; i < 5; i++) {
        assert.equal((await lua(server, `return http.get("${between.url}")`)).body, 'ok');
        await sleep(40);
    }
});

test('a kept connection that dies as it is asked again costs nobody anything, however often that was', async (t) => {
    const server = await serve(t);
    const race = await bare(t, (s) => {
        s.on('error', () => {});
        s.once('data', () => s.write(`${head}content-length: 2\r\n\r\nok`, () => s.once('data', () => s.resetAndDestroy())));
    });
    const asks = `local all = {} for i = 1, 30 do local r, err = http.get("${race.url}") all[i] = r and r.body or err.code sleep "5ms" end return table.concat(all, " ")`;
    assert.equal((await lua(server, asks)).value, Array(30).fill('ok').join(' '));
});

test('HTTP/2: streams that are reset, goodbyes, a host that dies', async (t) => {
    const dir = folder(t);
    const ca = await authority(dir);
    const up = await secure(t, await ca.issue('up', { names: ['localhost'] }), (req, res) => {
        if (req.url === '/reset') return req.stream.close(2), true;
        if (req.url === '/half') return res.write('half'), setTimeout(() => req.stream.close(2), 30), true;
        if (req.url === '/bye') return req.stream.session.goaway(), res.end('bye'), true;
        if (req.url === '/die') return req.stream.session.destroy(), true;
    }, { http2: true });
    const server = await serve(t);
    const ask = (what) => lua(server, `return http.get("${up.url}${what}", { ca = "${ca.cert}" })`);
    assert.equal((await ask('/')).status, 200);
    assert.equal((await ask('/reset')).code, 'closed');
    assert.equal((await ask('/half')).code, 'closed');
    for (let i = 0; i < 3; i++) assert.equal((await ask('/bye')).body, 'bye');
    for (let i = 0; i < 2; i++) { // whether it was taken in is not known
        assert.equal((await ask('/die')).code, 'closed');
        assert.equal((await ask('/')).status, 200);
    }
});

test('a host that is killed and comes back under load: errors in words, then replies; nothing is left', async (t) => {
    const up = await plain(t);
    const server = await serve(t, { hooks: { 'one.lua': `return function()
        local r, err = http.get("${up.url}/", { timeout = "2s" })
        if not r then return 200, err.code end
        return 200, "reply"
    end` } });
    const worker = server.children('worker')[0];
    const descriptors = () => fs.readdirSync(`/proc/${worker}/fd`).length;
    const counts = {};
    const round = async (n) => {
        const replies = await Promise.all(Array.from({ length: n }, () => server.get('/one')));
        for (const reply of replies) counts[reply.text] = (counts[reply.text] ?? 0) + 1;
    };
    await round(50);
    for (let i = 0; i < 5; i++) {
        const load = round(50);
        await sleep(5);
        for (const socket of up.sockets) socket.resetAndDestroy();
        await load;
    }
    // Ten resets in a row have opened the circuit already, now and then.
    await until(async () => (await server.get('/one')).text === 'reply', 'a reply after the resets');
    const { port } = up;
    await new Promise((done) => { up.server.close(done); for (const socket of up.sockets) socket.destroy(); });
    await round(50);
    await round(50);
    assert.ok(counts.refused > 0 && counts.circuit_open > 0, JSON.stringify(counts));
    await new Promise((done) => up.server.listen(port, '127.0.0.1', done));
    await until(async () => (await server.get('/one')).text === 'reply', 'the host is asked again');
    await round(100);
    assert.ok(Object.keys(counts).every((c) => ['reply', 'closed', 'refused', 'unreachable', 'circuit_open'].includes(c)), JSON.stringify(counts));
    await new Promise((done) => { up.server.close(done); for (const socket of up.sockets) socket.destroy(); });
    const before = descriptors();
    await round(20);
    await until(() => descriptors() <= before, () => `${before} → ${descriptors()} descriptors`);
    assert.equal(server.children('worker')[0], worker);
});

test('calls that end in every way leave no descriptor, and no memory that grows', async (t) => {
    const up = await plain(t, (req, res) => {
        if (req.url === '/silent') return true;
        if (req.url === '/half') return res.write('half'), setTimeout(() => res.socket?.destroy(), 5), true;
    });
    const port = await nobody();
    const server = await serve(t, { hooks: { 'mix.lua': `return { timeout = "30s", handle = function(req)
        local kind = tonumber(req.query.k)
        if kind == 0 then http.get("${up.url}/")
        elseif kind == 1 then http.get("${up.url}/silent", { timeout = "30ms" })
        elseif kind == 2 then http.get("${up.url}/half")
        elseif kind == 3 then http.get("http://127.0.0.1:${port}/", { retry = { attempts = 2, min = "1ms" } })
        elseif kind == 4 then local r = http.get("${up.url}/", { stream = true }) if r then r:read() end
        elseif kind == 5 then http.post("${up.url}/", { json = { a = ("x"):rep(100000) }, sign = { scheme = "standard", secret = "c2VjcmV0" }, retry = true })
        elseif kind == 6 then http.get("http://169.254.1.1/")
        else local r = http.get("${up.url}/", { stream = true }) error "on purpose" end
        return 200
    end }` } });
    const worker = server.children('worker')[0];
    const descriptors = () => fs.readdirSync(`/proc/${worker}/fd`).length;
    const rss = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${worker}/status`, 'utf8'))[1]) / 1024;
    const round = () => Promise.all(Array.from({ length: 80 }, (_, i) => server.get(`/mix?k=${i % 8}`)));
    for (let i = 0; i < 5; i++) await round();
    const before = rss();
    for (let i = 0; i < 15; i++) await round();
    const after = rss();
    if (!process.env.CRESCENT_SANITIZE) assert.ok(after - before < 24, `${before} → ${after} MiB`);
    const open = up.sockets.size;
    await until(() => descriptors() < open + 80, () => `${descriptors()} descriptors, ${open} connections`);
});

// [bug] the task that ended with what it was told of its transfer cancelled it once more, which was a panic.
test('a script that ends with the news of a streamed reply ends nothing else', async (t) => {
    const up = await plain(t, (req, res) => req.url === '/half' && (res.write('half'), setTimeout(() => res.socket?.destroy(), 5), true));
    const port = await nobody();
    const server = await serve(t, { hooks: { 'end.lua': `return { methods = { "GET" }, handle = function(req)
        local r = assert(http.get(req.query.url, { stream = true }))
        while assert(r:read()) do end
    end }` } });
    const worker = server.children('worker')[0];
    for (const url of [`http://127.0.0.1:${port}/`, `${up.url}/half`, `${up.url}/whole`])
        assert.equal((await server.get(`/end?url=${encodeURIComponent(url)}`)).status, 500);
    assert.deepEqual(server.children('worker'), [worker]);
});
