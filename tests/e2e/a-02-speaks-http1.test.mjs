import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import { ms, raw, request, request2, session, start, tool, until } from './helper.mjs';

const hooks = {
    'echo.lua': 'return { methods = { "POST", "PUT" }, handle = function(req) return 200, req.body, { ["x-length"] = tostring(#req.body) } end }',
    'hello.lua': 'return function(req) return "hello " .. (req.query.n or "") end',
    'ran.lua': 'return { methods = { "POST" }, handle = function(req) log.info("ran", { size = #req.body }) return 200 end }',
    'slow.lua': 'return function() sleep "300ms" return "slow" end',
};
const setup = (t) => start(t, { hooks });

test('keep-alive: one connection, many requests', async (t) => {
    const server = await setup(t);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    const ports = new Set();
    agent.on('free', (socket) => ports.add(socket.localPort));
    for (let i = 0; i < 20; i++) assert.equal((await request(`${server.url}/hello?n=${i}`, { agent })).text, `hello ${i}`);
    assert.equal(ports.size, 1);
});

test('pipelined requests are answered in their order', async (t) => {
    const server = await setup(t);
    const names = ['slow', ...Array.from({ length: 8 }, (_, i) => `hello?n=${i}`)];
    const bytes = names.map((n) => `GET /${n} HTTP/1.1\r\nHost: x\r\n\r\n`).join('');
    const { text } = await raw(server.port, bytes, { enough: (all) => (all.match(/HTTP\/1\.1 200/g) ?? []).length === 9 && all.endsWith('hello 7') });
    const bodies = text.split(/HTTP\/1\.1 200 OK\r\n/).slice(1).map((part) => part.split('\r\n\r\n')[1]);
    assert.deepEqual(bodies, ['slow', ...Array.from({ length: 8 }, (_, i) => `hello ${i}`)]);
});

test('curl: chunked upload, Expect: 100-continue, HEAD, HTTP/1.0', async (t) => {
    const server = await setup(t);
    const body = 'x'.repeat(300_000);
    const chunked = await tool('curl', ['-sS', '-i', '-H', 'Transfer-Encoding: chunked', '--data-binary', '@-', `${server.url}/echo`], { input: body });
    assert.match(chunked, /x-length: 300000/i);
    assert.ok(chunked.endsWith(body));
    const expect = await tool('curl', ['-sS', '-i', '-H', 'Expect: 100-continue', '--data-binary', '@-', `${server.url}/echo`], { input: body });
    assert.match(expect, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200/);
    assert.ok(expect.endsWith(body));
    const head = await tool('curl', ['-sS', '-I', `${server.url}/hello?n=1`]);
    assert.match(head, /^HTTP\/1\.1 200/);
    assert.match(head, /content-length: 7\r\n/i);
    const old = await tool('curl', ['-sS', '--http1.0', `${server.url}/hello?n=old`]);
    assert.equal(old, 'hello old');
});

test('HEAD sends no body: the next answer on the connection follows at once', async (t) => {
    const server = await setup(t);
    const { text } = await raw(server.port, 'HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /hello?n=2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n(?:[^\r]+\r\n)+\r\nHTTP\/1\.1 200 OK\r\n/);
    assert.ok(text.endsWith('hello 2'));
});

test('a body of every byte value comes back as it was', async (t) => {
    const server = await setup(t);
    const body = Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7 + (i >> 8)) & 255));
    assert.deepEqual((await server.post('/echo', body)).body, body);
});

for (const [what, bytes] of Object.entries({
    'no version': 'GET /hello\r\n\r\n',
    'garbage': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage\r\n\r\n',
    'a space in a header name': 'GET /hello HTTP/1.1\r\nHost : x\r\n\r\n',
    'a folded header': 'GET /hello HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n',
    'a bad content length': 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc',
    'an unknown transfer coding': 'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    'a chunk size that is no number': 'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n',
    'a path without a slash': 'GET hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    'a NUL in a header': 'GET /hello HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n',
})) {
    test(`malformed: ${what} is refused, and the server serves on`, async (t) => {
        const server = await setup(t);
        const { text } = await raw(server.port, Buffer.from(bytes, 'latin1'), { enough: (all) => /HTTP\/1\.\d \d+/.test(all) });
        if (text) assert.match(text, /^HTTP\/1\.[01] (?:400|501)/);
        assert.equal((await server.get('/hello')).status, 200);
    });
}

const smuggled = 'GET /hello?n=smuggled HTTP/1.1\r\nHost: x\r\n\r\n';
const chunks = '3\r\nabc\r\n0\r\n\r\n';
/** Each would have a proxy and the server see two different ends of the request, or two hosts. */
for (const [what, [head, body, detail]] of Object.entries({
    'two Content-Length': ['Host: x\r\nContent-Length: 3\r\nContent-Length: 5\r\n', 'abc', /more than one Content-Length/],
    'two equal Content-Length': ['Host: x\r\nContent-Length: 3\r\ncontent-length: 3\r\n', 'abc', /more than one Content-Length/],
    'a list in Content-Length': ['Host: x\r\nContent-Length: 3, 3\r\n', 'abc'],
    'a sign in Content-Length': ['Host: x\r\nContent-Length: +3\r\n', 'abc'],
    'a blank in Content-Length': ['Host: x\r\nContent-Length: 0 3\r\n', 'abc'],
    'an empty Content-Length': ['Host: x\r\nContent-Length: \r\n', 'abc'],
    'a hexadecimal Content-Length': ['Host: x\r\nContent-Length: 0x3\r\n', 'abc'],
    'a Content-Length that overflows': ['Host: x\r\nContent-Length: 18446744073709551619\r\n', 'abc'],
    'two Content-Length, one with a blank': ['Host: x\r\nContent-Length: 3 \r\nContent-Length: 3\r\n', 'abc', /more than one Content-Length/],
    'a blank behind chunked, beside Content-Length': ['Host: x\r\nContent-Length: 40\r\nTransfer-Encoding: chunked \r\n', chunks, /Content-Length and Transfer-Encoding/],
    'a vertical tab behind chunked': ['Host: x\r\nTransfer-Encoding: chunked\v\r\n', chunks],
    'a bare LF behind a blank': ['Host: x\r\nA: b \nContent-Length: 3\r\n', 'abc', /CR LF/],
    'Content-Length before Transfer-Encoding': ['Host: x\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n', chunks, /Content-Length and Transfer-Encoding/],
    'Content-Length behind Transfer-Encoding': ['Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 40\r\n', chunks, /Content-Length and Transfer-Encoding/],
    'two Transfer-Encoding': ['Host: x\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n', chunks, /more than one Transfer-Encoding/],
    'gzip, chunked': ['Host: x\r\nTransfer-Encoding: gzip, chunked\r\n', chunks],
    'xchunked': ['Host: x\r\nTransfer-Encoding: xchunked\r\n', chunks],
    'chunked in HTTP/1.0': ['Host: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n', chunks, /in HTTP\/1\.0/],
    'two Host': ['Host: x\r\nHost: y\r\n', '', /more than one Host/],
    'a folded Transfer-Encoding': ['Host: x\r\nTransfer-Encoding:\r\n chunked\r\nContent-Length: 3\r\n', chunks, /folded/],
    'a folded first line': [' Host: x\r\nContent-Length: 3\r\n', 'abc'],
    'a blank before the colon': ['Host: x\r\nContent-Length : 3\r\n', 'abc'],
    'a bare CR in a value': ['Host: x\r\nA: b\rContent-Length: 3\r\n', 'abc'],
    'a bare LF behind a value': ['Host: x\r\nA: b\nContent-Length: 3\r\n', 'abc', /CR LF/],
    'a bare LF at the end': ['Host: x\r\nContent-Length: 0\r\nA: b\n', '', /CR LF/],
    'a NUL in a value': ['Host: x\r\nA: b\0\r\nContent-Length: 3\r\n', 'abc'],
    'a bare LF behind the request line': ['', '', /CR LF/],
})) {
    test(`framing: ${what} is refused, and what stands behind it is no request`, async (t) => {
        const server = await setup(t);
        const version = head === '' ? '1.1\nHost: x' : what.includes('1.0') ? '1.0' : '1.1';
        const bytes = `POST /echo HTTP/${version}\r\n${head}\r\n${body}`;
        for (const behind of ['', smuggled]) {
            const { text, closed } = await raw(server.port, Buffer.from(bytes + behind, 'latin1'), { limit: 8000 });
            assert.ok(closed, 'the connection ends');
            assert.doesNotMatch(text, /smuggled|HTTP\/1\.1 200/);
            assert.equal((text.match(/^HTTP\/1\.1 /gm) ?? []).length <= 1, true, text);
            if (!detail) continue;
            assert.match(text, /^HTTP\/1\.1 400 .*\r\n(?:.+\r\n)*connection: close\r\n/i);
            assert.match(text, detail);
        }
        if (detail) assert.equal(await server.metric('crescent_refused_total', 'reason="bad_request"'), 2);
    });
}

/** Bodies in chunks that a front end with another reading would take for longer, or shorter, or for other requests. */
const looseChunks = {
    'a bare LF behind a size': '5\nhello\r\n0\r\n\r\n',
    'a bare LF behind an extension': '5;x\nhello\r\n0\r\n\r\n',
    'a bare LF behind data': '5\r\nhello\n0\r\n\r\n',
    'CRs behind data': '5\r\nhello\r\r\r\n0\r\n\r\n',
    'a bare LF at the end': '5\r\nhello\r\n0\r\n\n',
    'a bare LF behind the last size': '5\r\nhello\r\n0\n\r\n',
    'letters behind a size': '5xyz\r\nhello\r\n0\r\n\r\n',
    'a blank behind a size': '5 \r\nhello\r\n0\r\n\r\n',
    'a size in C notation': '0x5\r\nhello\r\n0\r\n\r\n',
    'a sign': '+5\r\nhello\r\n0\r\n\r\n',
    'a size of 17 digits': '10000000000000005\r\nhello\r\n0\r\n\r\n',
    'more data than its size': '4\r\nhello\r\n0\r\n\r\n',
    'a control character in an extension': '5;\0\r\nhello\r\n0\r\n\r\n',
    'a trailer that is no field': '5\r\nhello\r\n0\r\nGET /hello HTTP/1.1\r\n\r\n',
    'a bare LF behind a trailer field': '5\r\nhello\r\n0\r\na: b\n\r\n',
    'an extension without an end': `5;${'x'.repeat(20000)}`,
    'trailer fields without an end': `5\r\nhello\r\n0\r\n${'a: b\r\n'.repeat(4000)}`,
    'requests between lines with a bare LF': '2;\nxx\r\n3a\r\n0\r\n\r\nPOST /ran HTTP/1.1\r\nHost: a\r\nContent-Length: 47\r\n\r\n\r\n0\r\n\r\n',
};
const inChunks = 'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';

test('framing: chunks that two readers could read differently are a 400 that ends the connection', async (t) => {
    const server = await setup(t);
    await Promise.all(Object.entries(looseChunks).flatMap(([what, body]) => ['', smuggled].map(async (behind) => {
        const { text, closed } = await raw(server.port, Buffer.from(inChunks.replace('echo', 'ran') + body + behind, 'latin1'), { limit: 15000 });
        assert.match(text, /^HTTP\/1\.1 400 .*\r\n(?:.+\r\n)*connection: close\r\n/i, what);
        assert.equal(text.match(/HTTP\/1\.1 \d/g).length, 1, `${what}: ${text}`);
        assert.ok(closed, what);
    })));
    assert.match((await raw(server.port, `${inChunks.replace('echo', 'ran').replace('Host', 'Connection: close\r\nHost')}${chunks}`)).text, /^HTTP\/1\.1 200 /);
    await until(() => server.records('ran').some((record) => record.size === 3), 'the good one has run');
    assert.equal(server.records('ran').length, 1, 'no other has');
});

/** Writes the bytes before `at`, and those behind it once the first were read. */
async function cut(port, bytes, at) {
    const socket = net.connect(port, '127.0.0.1').setNoDelay();
    let text = '';
    const closed = new Promise((done) => socket.on('error', () => {}).on('close', done));
    socket.on('data', (part) => { text += part.toString('latin1'); });
    socket.write(bytes.subarray(0, at));
    await new Promise((done) => setTimeout(done, 20));
    if (socket.writable) socket.write(bytes.subarray(at));
    await closed;
    return text;
}

test('framing: chunks mean the same wherever a connection cuts them', async (t) => {
    const server = await setup(t);
    const last = 'GET /hello?n=last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
    const good = Buffer.from(`${inChunks}3\r\nabc\r\n00a;x=y\r\n0123\r\n6789\r\n0\r\na: b\r\n\r\n${last}`);
    const bad = Buffer.from(`${inChunks}3\r\nabc\r\n0\r\n\r\n${inChunks}5;x\nhello\r\n0\r\n\r\n${last}`);
    const from = inChunks.length - 2; // the header is read the same way, as other tests have it
    await Promise.all(Array.from({ length: good.length - from }, async (_, i) => {
        const text = await cut(server.port, good, from + i);
        assert.match(text, /^HTTP\/1\.1 200 [^]*\r\n\r\nabc0123\r\n6789HTTP\/1\.1 200 [^]*hello last$/, `cut at ${from + i}`);
    }));
    await Promise.all(Array.from({ length: bad.length - from }, async (_, i) => {
        const text = await cut(server.port, bad, from + i);
        assert.match(text, /^HTTP\/1\.1 200 [^]*\r\n\r\nabcHTTP\/1\.1 400 /, `cut at ${from + i}`);
        assert.equal(text.match(/HTTP\/1\.1 \d/g).length, 2, text);
    }));
});

test('HTTP/1.1 without a Host is a 400, whole and no more: the next request on the connection is served', async (t) => {
    const server = await setup(t);
    const { text } = await raw(server.port, `GET /hello HTTP/1.1\r\n\r\nGET /hello?n=2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    assert.match(text, /^HTTP\/1\.1 400 [^]*there is no Host header[^]*HTTP\/1\.1 200 [^]*hello 2$/);
});

test('framing: what RFC 9112 allows is taken as before', async (t) => {
    const server = await setup(t);
    for (const head of ['Content-Length: 3', 'Content-Length:3', 'content-length: \t3', 'Content-Length: 003']) {
        const { text } = await raw(server.port, `POST /echo HTTP/1.1\r\nHost: x\r\n${head}\r\nA:\r\nB: c \t\r\nConnection: close\r\n\r\nabc`);
        assert.match(text, /^HTTP\/1\.1 200[^]*\r\n\r\nabc$/, head);
    }
    const { text } = await raw(server.port, `\r\nPOST /echo HTTP/1.1\r\nTRANSFER-ENCODING: Chunked\r\nhost: x\r\nConnection: close\r\n\r\n${chunks}`);
    assert.match(text, /^HTTP\/1\.1 200[^]*\r\n\r\nabc$/);
    const sizes = '3;a="b; c";d\r\nabc\r\n0A ;e\r\n0123456789\r\n000\r\nX-Sum: 1\r\nempty:\r\n\r\n';
    const several = await raw(server.port, `${inChunks.replace('Host', 'Connection: close\r\nHost')}${sizes}`);
    assert.match(several.text, /^HTTP\/1\.1 200[^]*\r\n\r\nabc0123456789$/);
    const old = await raw(server.port, 'POST /echo HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc');
    assert.match(old.text, /^HTTP\/1\.[01] 200[^]*\r\n\r\nabc$/);
});

test('blanks around a value are none of it, whoever reads it: a script, the server or libh2o', async (t) => {
    const server = await start(t, { hooks: { ...hooks,
        'seen.lua': 'return { methods = { "GET" }, cors = { origins = { "https://a.test" } }, handle = function(req) return 200, { x = req.headers["x-a"], all = req:all_headers("x-a"), host = req.host } end }' } });
    const ask = async (head, method = 'GET', target = '/seen', body = '') => (await raw(server.port, `${method} ${target} HTTP/1.1\r\n${head}\r\nConnection: close \r\n\r\n${body}`)).text;
    const seen = await ask(['Host:\t127.0.0.1\t', 'X-A: v w \t ', 'X-A: \t', 'Origin: https://a.test ',
        'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 '].join('\r\n'));
    assert.match(seen, /^HTTP\/1\.1 200 /);
    assert.deepEqual(JSON.parse(seen.split('\r\n\r\n')[1]), { x: 'v w', all: ['v w', ''], host: '127.0.0.1' });
    assert.match(seen, /access-control-allow-origin: https:\/\/a\.test\r\n/i);
    assert.match(seen, /traceresponse: 00-0af7651916cd43dd8448eb211c80319c-/i);
    for (const head of ['Content-Length: 3 ', 'Content-Length: 3\t \r\nExpect: 100-continue '])
        assert.match(await ask(`Host: x\r\n${head}`, 'POST', '/echo', 'abc'), /HTTP\/1\.1 200[^]*\r\n\r\nabc$/, head);
    assert.match(await ask('Host: x\r\nTransfer-Encoding: chunked\t', 'POST', '/echo', chunks), /^HTTP\/1\.1 200[^]*\r\n\r\nabc$/);
    const { hostname, port } = new URL(server.admin);
    const admin = await raw(port, `POST /api/v1/scripts/seen/unquarantine HTTP/1.1\r\nHost: ${hostname}:${port} \r\nOrigin: ${server.admin} \r\nContent-Length: 0 \r\nConnection: close \r\n\r\n`);
    assert.match(admin.text, /^HTTP\/1\.1 200 /);
    const client = await session(t, server.url); // of HTTP/2, too, where they should not be: RFC 9113 8.2.1
    assert.equal((await request2(client, '/seen', { headers: { 'x-a': ' v ' } })).json.x, 'v');
});

test('a request that never ends its header is cut after header_time', async (t) => {
    const server = await start(t, { hooks, config: 'return { limits = { header_time = "1s", body_time = "1s", idle_time = "1s" } }' });
    const began = Date.now();
    for (const bytes of ['GET /hello HTTP/1.1\r\nHost: x\r\nA: b', 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc', '']) {
        const { closed } = await raw(server.port, bytes, { limit: 8000 });
        assert.ok(closed, JSON.stringify(bytes));
    }
    assert.ok(Date.now() - began < ms(15000));
});
