// PROXY protocol on a listener: a gate. With its header the connection is whose it says, without it there is none.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { connect, from, haproxy, header1, header2, hooks, readAll, see, see2 } from './addresses.mjs';
import { Attacker, block, DATA, END_HEADERS, frame, get, HEADERS, RST_STREAM, u32 } from './attack/frames.mjs';
import { certificate, folder, ms, raw, run, sleep, start, tool, until, write } from './helper.mjs';

const gate = (server, reason) => server.metric('crescent_proxy_protocol_failures_total', `reason="${reason}"`);
const gated = (t, options = {}) => start(t, { hooks, config: 'return { proxy_protocol = true }', ...options });
const ask = 'GET /see HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n';

test('both versions, curl and by hand: the peer is whom the header names', async (t) => {
    const server = await gated(t);
    const curl = (...args) => tool('curl', ['-sS', '--haproxy-protocol', '--interface', '127.0.0.9', `${server.url}/see`, ...args]);
    assert.equal(JSON.parse(await curl()).ip, '127.0.0.9');
    assert.equal(JSON.parse(await curl('--http2-prior-knowledge')).ip, '127.0.0.9');
    for (const [bytes, ip] of [
        [header1('192.0.2.7'), '192.0.2.7'], [header1('2001:db8::7'), '2001:db8::7'], [Buffer.from('PROXY UNKNOWN\r\n'), '127.0.0.1'],
        [header2({ source: '192.0.2.7' }), '192.0.2.7'], [header2({ source: '2001:db8::7' }), '2001:db8::7'],
        [header2({ source: '::ffff:c000:207' }), '192.0.2.7'], [header2(), '127.0.0.1'], [header2({ command: 0 }), '127.0.0.1'],
        [header2({ command: 0, source: '192.0.2.7' }), '127.0.0.1'],
        [header2({ source: '192.0.2.7', rest: Buffer.concat([Buffer.from([4, 15, 160]), Buffer.alloc(4000)]) }), '192.0.2.7'],
        [header2({ family: 0x31, rest: Buffer.alloc(216) }), 'unix:'],
    ]) {
        assert.equal((await see(await connect(server.port, bytes))).ip, ip);
        assert.equal((await see(await connect(server.port, bytes, { size: bytes.length > 100 ? 50 : 1, pause: 1 }))).ip, ip, 'in pieces');
        const socket = await connect(server.port, Buffer.concat([bytes, Buffer.from(ask)]));
        assert.match(await readAll(socket), new RegExp(`"ip":"${ip}"`), 'with the request behind it');
    }
    for (const { ip } of await see2(t, await connect(server.port, header2({ source: '192.0.2.7' })), server.url)) assert.equal(ip, '192.0.2.7');
    await server.said((r) => r.message === 'request' && r.ip === '2001:db8::7');
    for (const reason of ['missing', 'malformed', 'untrusted', 'closed']) assert.equal(await gate(server, reason), 0, reason);
});

test('over TLS the header comes first, in clear; HTTP/1 and HTTP/2', async (t) => {
    const dir = folder(t), { args, cert } = await certificate(dir);
    const server = await gated(t, { dir, args });
    for (const bytes of [header1('192.0.2.7'), header2({ source: '192.0.2.7' })]) {
        const seen = await see(await connect(server.port, bytes, { secure: { ALPNProtocols: ['http/1.1'] } }));
        assert.deepEqual({ ip: seen.ip, scheme: seen.scheme }, { ip: '192.0.2.7', scheme: 'https' });
        for (const { ip } of await see2(t, await connect(server.port, bytes, { secure: { ALPNProtocols: ['h2'] } }), server.url)) assert.equal(ip, '192.0.2.7');
    }
    const curl = JSON.parse(await tool('curl', ['-sS', '--http2', '--cacert', cert, '--haproxy-protocol', '--connect-to', `localhost:443:127.0.0.1:${server.port}`, 'https://localhost/see']));
    assert.equal(curl.ip, '127.0.0.1');
    await assert.rejects(connect(server.port, Buffer.alloc(0), { secure: {} }), 'a handshake without the header');
    assert.equal(await gate(server, 'missing'), 1);
});

test('what has no header, or a bad one, is closed without a word, counted and said', async (t) => {
    const server = await gated(t);
    const heard = async (bytes) => readAll(await connect(server.port, Buffer.from(bytes, 'latin1')));
    for (const bytes of [ask, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '\x16\x03\x01\x02\x00', `proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n${ask}`, '\r\n\r\n\0\r\nQUIX\n', '\0'])
        assert.equal(await heard(bytes), '', JSON.stringify(bytes));
    assert.equal(await gate(server, 'missing'), 6);
    for (const bytes of [`PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n${ask}`, `PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n${ask}`, `PROXY UNKNOWN ${'x'.repeat(200)}`,
        header2({ source: '192.0.2.7' }).fill(0x31, 12, 13).toString('latin1'), header2({ family: 0x41, source: '192.0.2.7' }).toString('latin1'),
        header2({ source: '192.0.2.7', rest: Buffer.from([4, 9, 9]) }).toString('latin1'), header2().fill(0xff, 14, 16).toString('latin1')])
        assert.equal(await heard(bytes), '', JSON.stringify(bytes));
    assert.equal(await gate(server, 'malformed'), 7);
    const gone = await connect(server.port, Buffer.from('PROXY TC'));
    gone.destroy();
    await until(async () => await gate(server, 'closed') === 1, 'the closed one, counted');
    // a megabyte that is no header is not read for long
    const flood = await connect(server.port, Buffer.alloc(1 << 20, 'x'));
    assert.equal(await readAll(flood), '');
    const line = await server.said((r) => r.message === 'connection refused: PROXY protocol' && /header/.test(r.error)); // each worker says its first
    assert.equal(line.peer, '127.0.0.1');
    // a second header is no header
    assert.match(await heard(`PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\nPROXY TCP4 5.6.7.8 1.2.3.4 1 2\r\n${ask}`), /^HTTP\/1\.1 400/);
    assert.equal((await see(await connect(server.port, header1('192.0.2.7')))).ip, '192.0.2.7', 'it serves on');
});

test('a header that does not come is cut at header_time; so is one that drips', async (t) => {
    const server = await gated(t, { config: 'return { proxy_protocol = true, limits = { header_time = "0.5s" } }' });
    const begun = Date.now();
    const silent = await connect(server.port, Buffer.alloc(0)), half = await connect(server.port, Buffer.from('PROXY TCP4 1.2'));
    const dripping = await connect(server.port, Buffer.from('PROXY UNKNOWN '));
    const drip = setInterval(() => dripping.write('x'), 50);
    assert.deepEqual(await Promise.all([silent, half, dripping].map((s) => readAll(s))), ['', '', '']);
    clearInterval(drip);
    assert.ok(Date.now() - begun >= 400);
    assert.equal(await server.metric('crescent_connections_cut_total', 'reason="header_time"'), 3);
    // what is in time with its header has the rest of that time for its request
    const late = await connect(server.port, header1('192.0.2.7'));
    assert.equal(await readAll(late), '');
    assert.equal(await server.metric('crescent_connections_cut_total', 'reason="header_time"'), 4);
});

test('trusted_proxies says who may send one, and through it who may forward', async (t) => {
    const server = await gated(t, { listen: ['0.0.0.0:0'], config: 'return { proxy_protocol = true, trusted_proxies = { "127.0.0.1", "192.0.2.0/24" } }' });
    assert.equal((await see(await connect(server.port, header1('203.0.113.7')), 'X-Forwarded-For: 1.1.1.1\r\n')).ip, '203.0.113.7', 'named by the header, and no proxy');
    assert.equal((await see(await connect(server.port, header1('192.0.2.7')), 'X-Forwarded-For: 1.1.1.1\r\n')).ip, '1.1.1.1', 'a proxy behind a proxy');
    assert.equal((await see(await connect(server.port, header2({ command: 0 })), 'X-Forwarded-For: 1.1.1.1\r\n')).ip, '1.1.1.1');
    const other = net.connect({ port: server.port, host: '127.0.0.1', localAddress: '127.0.0.2' });
    other.write(Buffer.concat([header1('192.0.2.7'), Buffer.from(ask)]));
    assert.equal(await readAll(other), '');
    assert.equal(await gate(server, 'untrusted'), 1);
    assert.equal((await server.said((r) => /trusted_proxies/.test(r.error ?? ''))).peer, '127.0.0.2');
});

test('a header that names nobody: what is forwarded over its connection is its client\'s own word', async (t) => {
    const server = await gated(t, { env: { CRESCENT_TRUSTED_PROXIES: '127.0.0.1' } });
    const fields = 'X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Host: internal.example.com\r\n';
    for (const bytes of [Buffer.from('PROXY UNKNOWN\r\n'), header2({ family: 0 })]) {
        const seen = await see(await connect(server.port, bytes), fields);
        assert.equal(seen.ip, '127.0.0.1');
        assert.notEqual(seen.host, 'internal.example.com');
    }
    assert.equal((await see(await connect(server.port, header1('127.0.0.1')), fields)).ip, '203.0.113.9'); // the proxy's own
    assert.equal((await see(await connect(server.port, header2({ command: 0 })), fields)).ip, '203.0.113.9'); // likewise
});

const unnamed = [Buffer.from('PROXY UNKNOWN\r\n'), header2({ family: 0 })], local = header2({ command: 0 });
const cut = (server, reason) => server.metric('crescent_connections_cut_total', `reason="${reason}"`);

test('connections that name nobody count as their proxy\'s address, all together; what it says of itself is exempt', async (t) => {
    const server = await gated(t, { config: 'return { proxy_protocol = true, trusted_proxies = { "127.0.0.1" }, limits = { connections_per_ip = 4 } }' });
    const held = async (bytes) => {
        const socket = await connect(server.port, Buffer.concat([bytes, Buffer.from('GET /see HTTP/1.1\r\nHost: a\r\n\r\n')]));
        t.after(() => socket.destroy());
        return new Promise((done) => socket.on('error', () => {}).once('data', () => done(true)).once('close', () => done(false)));
    };
    const all = [];
    for (let i = 0; i < 4; i++) all.push(await held(unnamed[i % 2]));
    assert.deepEqual(all, [true, true, true, true]);
    for (const bytes of unnamed) assert.equal(await held(bytes), false, 'one more');
    assert.equal(await cut(server, 'connections_per_ip'), 2);
    for (let i = 0; i < 6; i++) assert.equal(await held(local), true, 'the proxy itself');
    assert.equal(await held(header1('192.0.2.7')), true, 'who is named is somebody else');
    assert.equal(await cut(server, 'connections_per_ip'), 2);
});

test('one that names nobody is cut for resets and for what is slow, as any client\'s is', async (t) => {
    const server = await gated(t, {
        hooks: { ...hooks, 'late.lua': 'return function() sleep "300ms" return "late" end' },
        config: `return { proxy_protocol = true, trusted_proxies = { "127.0.0.1" }, limits = { resets = 5, body_time = "${ms(600)}ms" } }`,
    });
    for (const before of [...unnamed, local]) {
        const exempt = before === local, resets = await cut(server, 'resets'), slow = await cut(server, 'body_time');
        const flood = await Attacker.open(t, server.port, { before }), body = await Attacker.open(t, server.port, { before });
        for (let i = 0; i < 20; i++) await flood.send(Buffer.concat([get(1 + 2 * i, '/late'), frame(RST_STREAM, 0, 1 + 2 * i, u32(8))]));
        await body.send(Buffer.concat([frame(HEADERS, END_HEADERS, 1, block('/see', { method: 'POST' })), frame(DATA, 0, 1, Buffer.from('x'))]));
        if (exempt) {
            await flood.send(get(99, '/see'));
            await until(() => flood.frames.some((f) => f.type === DATA && f.stream === 99), 'an answer beside the resets');
            await until(() => body.frames.some((f) => f.type === RST_STREAM && f.stream === 1), 'the end of the slow stream', ms(10000));
            assert.ok(!body.isClosed);
        } else {
            await flood.ended('resets');
            await body.ended('a slow body');
        }
        assert.equal(await cut(server, 'resets') - resets, exempt ? 0 : 1);
        assert.equal(await cut(server, 'body_time') - slow, 1);
    }
});

test('bodies that come for nobody share the proxy\'s part of the memory; none is waited for in vain', async (t) => {
    const server = await gated(t, {
        hooks: { 'up.lua': 'return { max_body = "3MiB", handle = function(req) return 200, tostring(#req.body) end }' },
        config: 'return { proxy_protocol = true, trusted_proxies = { "127.0.0.1" }, limits = { body = "4MiB", body_memory_per_ip = "4MiB" } }',
    });
    const refused = () => server.metric('crescent_refused_total', 'reason="body_memory_per_ip"');
    const MiB = 1 << 20, part = Buffer.alloc(2.5 * MiB, 'x');
    const post = (target, length) => Buffer.from(`POST ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${length}\r\n\r\n`);
    for (const before of [...unnamed, local]) {
        const held = [], had = await refused();
        for (let i = 0; i < 4; i++) held.push(await connect(server.port, Buffer.concat([before, post('/up', 3 * MiB), part])));
        for (const socket of held) t.after(() => socket.on('error', () => {}).destroy());
        await until(async () => before === local ? await server.metric('crescent_body_memory_bytes') > 9 * MiB : await refused() > had, 'the share is used up');
        const { text } = await raw(server.port, Buffer.concat([before, post('/up', 3 * MiB), part, Buffer.alloc(MiB / 2)]), { enough: (s) => /\r\n\r\n./s.test(s) });
        assert.match(text, before === local ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 503 /);
        for (const socket of held) socket.destroy();
        await until(async () => await server.metric('crescent_body_memory_bytes') === 0, 'nothing is held');
        if (before === local) continue;
        const answer = await raw(server.port, Buffer.concat([before, post('/nowhere', 3 * MiB)]), { enough: (s) => /\r\n\r\n./s.test(s) });
        assert.match(answer.text, /^HTTP\/1\.1 404 /, 'its header alone refuses it');
    }
});

test('allow_ips goes by the header', async (t) => {
    const server = await gated(t, { hooks: { 'a.lua': 'return { allow_ips = "192.0.2.0/24", methods = { "GET" }, handle = function(req) return req.ip end }' } });
    const status = async (bytes) => {
        const socket = await connect(server.port, bytes);
        socket.write('GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
        return (await readAll(socket)).slice(9, 12);
    };
    assert.equal(await status(header1('192.0.2.7')), '200');
    assert.equal(await status(header2({ source: '198.51.100.7' })), '403');
    assert.equal(await status(header2({ command: 0 })), '403');
});

test('some listeners, by their addresses; a unix socket; the admin listener never', async (t) => {
    const dir = folder(t), where = path.join(dir, 'x.sock');
    const server = await start(t, {
        dir, hooks, listen: ['127.0.0.1:0', `unix:${where}`], config: `return { proxy_protocol = { "unix:x.sock" } }`,
    });
    assert.equal((await from('127.0.0.1', `${server.url}/see`)).json.ip, '127.0.0.1', 'the other one has no gate');
    const over = async (bytes) => {
        const socket = net.connect(where);
        socket.write(bytes);
        return see(socket);
    };
    assert.equal((await over(header1('192.0.2.7'))).ip, '192.0.2.7');
    assert.equal((await over(header2({ command: 0 }))).ip, 'unix:');
    assert.equal(await over(''), '');
    assert.equal((await from('127.0.0.1', `${server.admin}/healthz`)).status, 200);
    const wrong = await run(['serve', server.hooks, '--listen', '127.0.0.1:8089'], { cwd: folder(t), env: { CRESCENT_PROXY_PROTOCOL: '127.0.0.1:8088' } });
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /CRESCENT_PROXY_PROTOCOL: the server does not listen on "127\.0\.0\.1:8088" \(did you mean "127\.0\.0\.1:8089"\?\)/);
});

test('check says of a listener that is not there what serve would, and refuses nothing that --listen may bring', async (t) => {
    const dir = folder(t), words = 'the server does not listen on "127.0.0.1:9999"';
    const check = async (config, ...args) => {
        write(dir, { 'hooks/a.lua': 'return function() end', 'crescent.lua': `return { ${config} }` });
        return run(['check', ...args], { cwd: dir });
    };
    const listed = 'proxy_protocol = { "127.0.0.1:9999" }';
    for (const config of [listed, `${listed}, listen = "127.0.0.1:9998"`, `${listed}, listen = { "unix:x.sock", "https://127.0.0.1:9998" }`]) {
        const said = await check(config), serve = await run(['serve', '--admin', 'off', '--listen', '127.0.0.1:9997'], { cwd: dir });
        assert.deepEqual([said.code, serve.code], [0, 1]);
        for (const { stderr } of [said, serve]) assert.ok(stderr.includes(`crescent.lua:1: proxy_protocol: ${words}`), stderr);
        assert.match(said.stderr, / \(serve does not start so, unless --listen or a socket that is handed over names others\)$/m);
        assert.ok(JSON.parse((await check(config, '--json')).stdout).addresses.includes(words));
    }
    for (const config of ['', 'proxy_protocol = true', `${listed}, listen = "127.0.0.1:9999"`, `${listed}, listen = { "unix:x.sock", "https://127.0.0.1:9999" }`,
        'proxy_protocol = { "127.0.0.1:8080" }', 'proxy_protocol = { "unix:x.sock" }, listen = "unix:./x.sock"']) {
        const said = await check(config);
        assert.deepEqual([said.code, said.stderr], [0, ''], config);
        assert.equal(JSON.parse((await check(config, '--json')).stdout).addresses, null);
    }
    const bad = await check(`${listed}, listen = "nowhere"`);
    assert.match(bad.stderr, /crescent\.lua:1: listen: "nowhere": expected host:port \(serve does not start so/);
});

test('HAProxy sends it: version 1, version 2 with a checksum and more, over TLS, and its health checks', async (t) => {
    const dir = folder(t), { args } = await certificate(dir);
    const server = await gated(t, { dir, args, listen: ['http://127.0.0.1:0', 'https://127.0.0.1:0'] });
    const [plain, secure] = server.urls.map((u) => new URL(u).port);
    for (const options of ['send-proxy', 'send-proxy-v2', 'send-proxy-v2 proxy-v2-options crc32c,unique-id']) {
        const port = await haproxy(t, dir, 'tcp', `127.0.0.1:${plain} ${options}`, options.includes('unique') ? 'unique-id-format %[uuid()]' : '');
        assert.equal((await from('127.0.0.9', `http://127.0.0.1:${port}/see`)).json.ip, '127.0.0.9', options);
    }
    const port = await haproxy(t, dir, 'tcp', `127.0.0.1:${secure} send-proxy-v2 check check-send-proxy inter 100`);
    const seen = JSON.parse(await tool('curl', ['-sSk', '--http2', '--interface', '127.0.0.9', `https://127.0.0.1:${port}/see`]));
    assert.deepEqual([seen.ip, seen.scheme], ['127.0.0.9', 'https']);
    await sleep(500);
    assert.equal(await gate(server, 'missing') + await gate(server, 'malformed'), 0, 'its checks are LOCAL ones');
});

test('thousands of connections that end at every byte, closed or reset: nothing is left of them', async (t) => {
    const dir = folder(t), { args } = await certificate(dir);
    const server = await gated(t, { dir, args, workers: 1, listen: ['http://127.0.0.1:0', 'https://127.0.0.1:0'] });
    const [plain, secure] = server.urls.map((u) => Number(new URL(u).port));
    const [worker] = server.children('worker');
    const open = () => readdirSync(`/proc/${worker}/fd`).length;
    const settled = () => until(async () => {
        const [all, closed] = [await server.metric('crescent_connections_total'), await server.metric('crescent_connections_closed_total')];
        return all > 0 && all === closed;
    }, 'each connection has ended', 30000);
    assert.equal((await see(await connect(plain, header1('192.0.2.7')))).ip, '192.0.2.7');
    await settled();
    const before = open(), whole = [header1('192.0.2.7'), header2({ source: '192.0.2.7', rest: Buffer.from([4, 0, 1, 9]) })];
    const hello = Buffer.from('160301020001000001', 'hex');
    const ends = [];
    for (const port of [plain, secure]) for (const header of whole) for (const behind of [Buffer.alloc(0), Buffer.from(ask).subarray(0, 20), hello])
        for (let len = 0; len <= header.length + behind.length; len += 1) ends.push([port, Buffer.concat([header, behind]).subarray(0, len)]);
    assert.ok(ends.length > 400);
    for (let at = 0; at < ends.length; at += 50) {
        await Promise.all(ends.slice(at, at + 50).map(async ([port, bytes], i) => {
            for (const end of ['destroy', 'end', 'resetAndDestroy']) {
                const socket = await connect(port, bytes);
                const closed = new Promise((done) => socket.on('error', () => {}).on('close', done).resume());
                if (i % 2) await sleep(2);
                socket[end]();
                await closed;
            }
        }));
    }
    await settled();
    assert.equal(open(), before, 'descriptors');
    assert.deepEqual(server.children('worker'), [worker]);
    assert.equal((await see(await connect(plain, header1('192.0.2.7')))).ip, '192.0.2.7');
});

test('a drain ends connections whose header has not come; an upgrade to a gate', async (t) => {
    const dir = folder(t);
    const server = await start(t, { dir, hooks, config: 'return { proxy_protocol = false, drain = "5s" }', env: {} });
    const { writeFileSync } = await import('node:fs');
    const change = async (text, message) => {
        const before = server.records((r) => r.message === message).length;
        writeFileSync(path.join(dir, 'crescent.lua'), text);
        process.kill(server.pid, 'SIGHUP');
        await until(() => server.records((r) => r.message === message).length > before, () => server.tail(), 20000);
    };
    assert.equal((await from('127.0.0.1', `${server.url}/see`)).json.ip, '127.0.0.1');
    await change('return { proxy_protocol = true, drain = "5s" }', 'upgrade: done');
    await until(async () => (await see(await connect(server.port, header1('192.0.2.7')))).ip === '192.0.2.7', 'the gate', 20000);
    await until(async () => await readAll(await connect(server.port, Buffer.from(ask))) === '', 'nobody without', 20000);
    const waiting = await connect(server.port, Buffer.from('PROXY TCP4 '));
    const begun = Date.now();
    const closed = readAll(waiting, 20000);
    await server.stop();
    assert.equal(await closed, '');
    assert.ok(Date.now() - begun < ms(6000));
});
