// Bytes at random, near HTTP/1.1 and far from it, against a whole server with every kind of reader and answer: it lives,
// its memory stays bounded, no sanitizer speaks (in the sanitized build), what comes back is HTTP, and others are served.
// $CRESCENT_FUZZ_SECONDS and $CRESCENT_FUZZ_SEED choose another run. (HTTP/2 frames: e2e/attack/random.)
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import zlib from 'node:zlib';
import { childrenOf, folder, load, ms, sleep, start, threadSanitizer } from '../e2e/helper.mjs';
import { factor, generator, resident, whole } from './fault.mjs';

const seconds = Number(process.env.CRESCENT_FUZZ_SECONDS ?? 12), seed = Number(process.env.CRESCENT_FUZZ_SEED ?? 20261124);
const secret = 'fuzz-secret';
const hooks = {
    'v.lua': 'return function() return "one" end',
    'echo.lua': 'return function(req) return { path = req.path, query = req.query, body = #req.body, agent = req.headers["user-agent"], cookie = req.cookies.a } end',
    'json.lua': 'return function(req) return { picked = req:pick("/a/b", "/0") or "none", all = req:json() } end',
    'form.lua': 'return function(req) return req:form() end',
    'data.lua': 'return function(req) local d = req:data() return type(d) == "table" and d or { text = d } end',
    'files.lua': 'return function(req) local n = 0 for _, f in ipairs(req:files()) do n = n + #f.data end return { bytes = n } end',
    'github.lua': `return { verify = verify.github { secret = "${secret}" }, events = { "push" }, handle = function(req) return req:pick "/ref" end }`,
    'sleep.lua': 'return { methods = { "GET", "POST" }, handle = function() sleep(0.02) return "slept" end }',
    'stream.lua': 'return function() return reply.stream(function(write) for i = 1, 20 do write(("x"):rep(i * 50)) sleep(0.001) end end) end',
    'sse.lua': 'return function() return reply.sse(function(send) for i = 1, 5 do send { data = tostring(i), id = tostring(i) } sleep(0.002) end end) end',
    'save.lua': `return { methods = { "POST" }, handle = function(req)
  local name = tostring(req.body and #req.body % 50)
  if (req.headers["content-type"] or ""):find "multipart" then
    for _, f in ipairs(req:files()) do f:save(f.filename or name, { overwrite = true }) end
  else req:save(name, { overwrite = true }) end
end }`,
    'get/[...path].lua': 'return function(req) return reply.file(req.params.path) end',
    'users/[id].lua': 'return function(req) return req.params.id end',
    'rest/[...path].lua': 'return function(req) return req.params.path end',
};
const targets = ['/v', '/echo?a=1&b=%20x', '/json', '/form', '/data', '/files', '/github', '/sleep', '/stream', '/sse', '/users/1%2F2', '/rest/a/../b//c', '/save', '/get/large', '/get/large', '/get/7', '/get/a.txt', '/get/..%2fcrescent.lua', '/nope', '/../../etc/passwd', '/%00', '*', 'http://a/v'];
const methods = ['GET', 'POST', 'POST', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'DELETE', 'TRACE', 'CONNECT', 'PATCH', 'get', 'PRI'];

/** A body with its type, as clients send it. */
function bodyOf(r) {
    const boundary = r.pick(['x', '----WebKitFormBoundaryABC', 'a b', "'()+_,-./:=?"]);
    const part = (n) => `--${boundary}\r\nContent-Disposition: form-data; name="f${n}"; filename="${r.pick(['a.txt', '../../x', 'C:\\y', '\u202Egnp.exe', ''])}"\r\nContent-Type: text/plain\r\n\r\n${'z'.repeat(r.below(300))}\r\n`;
    return r.pick([
        () => ['application/json', JSON.stringify({ a: { b: r.below(1000) }, ref: 'refs/heads/main', list: Array(r.below(20)).fill('x') })],
        () => ['application/json', '['.repeat(r.below(400)) + ']'.repeat(r.below(400))],
        () => ['application/x-www-form-urlencoded', `a=1&b=%${r.below(256).toString(16)}&payload=%7B%22a%22:1%7D`],
        () => [`multipart/form-data; boundary="${boundary}"`, Array.from({ length: r.below(6) }, (_, i) => part(i)).join('') + `--${boundary}--\r\n`],
        () => ['text/plain', r.bytes(r.below(3000))],
        () => ['application/octet-stream', ''],
    ])();
}

function chunked(r, body) {
    const parts = [];
    for (let at = 0; at < body.length;) {
        const size = Math.min(body.length - at, 1 + r.below(200));
        parts.push(Buffer.from(`${size.toString(16)}${r.below(10) ? '' : ';ext=1'}\r\n`), body.subarray(at, at + size), Buffer.from('\r\n'));
        at += size;
    }
    return Buffer.concat([...parts, Buffer.from(r.below(8) ? '0\r\n\r\n' : '0\r\nTrailer: x\r\n\r\n')]);
}

/** One request, mostly well formed. */
function requestOf(r) {
    let [type, text] = bodyOf(r), body = Buffer.from(text);
    const head = [`${r.pick(methods)} ${r.pick(targets)} HTTP/1.${r.below(12) ? 1 : 0}`, 'Host: a'];
    if (r.below(5) === 0) {
        const coding = r.pick(['gzip', 'deflate', 'gzip, deflate', 'br', 'x-gzip']);
        if (/gzip/.test(coding)) body = zlib.gzipSync(body);
        else if (coding === 'deflate') body = zlib.deflateSync(body);
        head.push(`Content-Encoding: ${coding}`);
    }
    if (r.below(2)) head.push(`X-Hub-Signature-256: sha256=${createHmac('sha256', secret).update(body).digest('hex')}`, `X-GitHub-Event: ${r.pick(['push', 'ping', ''])}`);
    if (r.below(3) === 0) head.push(`Cookie: a=${r.below(100)}; b="${r.below(9)}`);
    if (r.below(12) === 0) head.push(...Array.from({ length: r.below(140) }, (_, i) => `x-${i}: ${'y'.repeat(r.below(300))}`));
    if (r.below(15) === 0) head.push('Expect: 100-continue');
    if (r.below(20) === 0) head.push('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__');
    if (r.below(20) === 0) head.push('traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
    if (r.below(4) === 0) head.push(`Range: bytes=${r.pick([`${r.below(10)}-${r.below(400000)}`, `-${r.below(10)}`, `${r.below(10)}-`, '0-0,2-3', '5-2', '9999999999999999999-'])}`);
    if (r.below(6) === 0) head.push(`${r.pick(['If-Match', 'If-None-Match', 'If-Range'])}: ${r.pick(['*', '"a"', 'W/"a", "b"', '"', 'Sun, 06 Nov 1994 08:49:37 GMT'])}`);
    if (r.below(6) === 0) head.push(`${r.pick(['If-Modified-Since', 'If-Unmodified-Since', 'If-Range'])}: ${r.pick(['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994', 'Sat, 99 Foo 2999 00:00:00 GMT', 'now'])}`);
    head.push(`Content-Type: ${type}`);
    if (r.below(3) === 0) {
        head.push('Transfer-Encoding: chunked');
        body = chunked(r, body);
    } else {
        head.push(`Content-Length: ${r.below(12) ? body.length : r.below(5000)}`);
    }
    return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]);
}

/** Bytes changed, cut, doubled, put in. */
function spoil(r, bytes) {
    let b = Buffer.from(bytes);
    for (let n = r.below(4); n > 0 && b.length > 0; n--) {
        const at = r.below(b.length), len = r.below(20);
        switch (r.below(6)) {
        case 0: b[at] = r.below(256); break;
        case 1: b = Buffer.concat([b.subarray(0, at), b.subarray(at + len)]); break;
        case 2: b = Buffer.concat([b.subarray(0, at), r.bytes(len), b.subarray(at)]); break;
        case 3: b = Buffer.concat([b.subarray(0, at), b.subarray(at, at + len), b.subarray(at)]); break;
        case 4: b = b.subarray(0, at); break;
        default: b = Buffer.concat([b.subarray(0, at), Buffer.from(r.pick(['\r\n', '\0', ' ', ':', '\r\n\r\n', '%', '\u202e', '4294967296', '-1'])), b.subarray(at)]);
        }
    }
    return b;
}

/** One connection: some requests, in pieces, with or without a pause; then closed, half closed or reset. */
function connection(r, port) {
    return new Promise((done) => {
        const socket = net.connect(port, '127.0.0.1');
        let heard = '';
        const end = () => { socket.destroy(); done(heard); };
        socket.on('data', (part) => { if (heard.length < 1000) heard += part.toString('latin1'); }).on('error', () => {}).on('close', end);
        socket.once('connect', async () => {
            const requests = Array.from({ length: 1 + r.below(4) }, () => r.below(3) ? spoil(r, requestOf(r)) : requestOf(r));
            let bytes = r.below(30) ? Buffer.concat(requests) : r.bytes(r.below(5000));
            while (bytes.length > 0 && !socket.destroyed) {
                const size = r.below(4) ? bytes.length : 1 + r.below(bytes.length);
                socket.write(bytes.subarray(0, size));
                bytes = bytes.subarray(size);
                if (r.below(4) === 0) await sleep(r.below(6));
            }
            if (r.below(3) === 0) socket.end();
            else if (r.below(3) === 0) socket.resetAndDestroy();
            else setTimeout(end, 5 + r.below(60));
        });
    });
}

test(`${seconds} s of HTTP/1.1 at random`, async (t) => {
    const dir = folder(t);
    fs.mkdirSync(path.join(dir, 'files'));
    fs.writeFileSync(path.join(dir, 'files/large'), Buffer.alloc(300_000, 'large '));
    const server = await start(t, { dir, hooks, workers: 2, config: 'return { files = "files", drain = "1s", limits = { body = "256KiB", header_time = "1s", body_time = "1s", idle_time = "1s" } }' });
    await whole(server, { workers: 2, target: '/v', text: 'one' });
    const pids = childrenOf(server.pid).sort();
    const honest = load(`${server.url}/v`, { connections: 2, judge: (a) => a.text === 'one', pause: 5 });
    const end = Date.now() + 1000 * seconds;
    let connections = 0, answered = 0;
    const attack = async (own) => {
        for (let n = 0; Date.now() < end; n++) {
            const heard = await connection(generator(seed + own * 1_000_003 + n), server.port);
            connections++;
            if (heard === '') continue;
            answered++;
            assert.match(heard, /^HTTP\/1\.[01] [1-5]\d\d |^(HTTP\/1\.1 101[\s\S]*)?[\0-\xff]{3}[\0-\x09]/, `connection ${n} of ${own}, seed ${seed}: ${heard.slice(0, 80)}`);
        }
    };
    await Promise.all(Array.from({ length: 12 }, (_, i) => attack(i + 1)));
    const { failures, slowest } = await honest.stop();
    t.diagnostic(`${connections} connections, ${answered} answered, seed ${seed}`);
    assert.deepEqual(failures, []);
    assert.ok(slowest < ms(3000), `${slowest} ms`);
    assert.ok(connections > 200 && answered > connections / 4);
    assert.deepEqual(childrenOf(server.pid).sort(), pids, server.tail());
    for (const pid of server.children('worker')) assert.ok(threadSanitizer || resident(pid).most < 96 * factor, `${resident(pid).most} MiB`);
    await whole(server, { workers: 2, target: '/v', text: 'one' });
});
