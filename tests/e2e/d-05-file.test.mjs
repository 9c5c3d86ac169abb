// reply.file: files beneath `files`, whole or in ranges, for clients that have some of it already, fast, slow or gone.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { assertProblem, binary, folder, ms, request2, session, sleep, start, tool, until } from './helper.mjs';

const hooks = {
    'get/[...path].lua': 'return { handle = { GET = function(req) return reply.file(req.query.at or req.params.path, { name = req.query.name }) end } }',
    'post.lua': 'return { handle = { POST = function(req) return reply.file "plain.txt" end } }',
    'sorry.lua': 'return function() return reply.file("sorry.html", { status = 410, cookies = { seen = "1" }, headers = { ["cache-control"] = "no-store" } }) end',
};
const DAY = 86400;

/** A server whose folder of files holds these; modified a day ago. */
async function serve(t, files, options = {}) {
    const dir = folder(t);
    fs.mkdirSync(path.join(dir, 'files'));
    for (const [name, bytes] of Object.entries(files)) {
        const file = path.join(dir, 'files', name);
        fs.mkdirSync(path.dirname(file), { recursive: true });
        fs.writeFileSync(file, bytes);
        fs.utimesSync(file, Date.now() / 1000 - DAY, Math.floor(Date.now() / 1000) - DAY);
    }
    const server = await start(t, { dir, hooks, workers: 1, ...options });
    server.files = path.join(dir, 'files');
    return server;
}
const descriptors = (pid) => fs.readdirSync(`/proc/${pid}/fd`).length;
const resident = (pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
/** Reads an answer as slowly as `pace` says, from a socket with a small buffer; cut: the end came before Content-Length. */
function slowly(port, target, pace) {
    return new Promise((done, fail) => {
        const req = http.get({ port, path: target, agent: false }, (res) => {
            const hash = crypto.createHash('sha256');
            let size = 0;
            res.on('data', (part) => {
                hash.update(part);
                size += part.length;
                const wait = pace(size);
                if (wait) {
                    res.pause();
                    setTimeout(() => res.resume(), wait);
                }
            });
            res.on('end', () => done({ size, sum: hash.digest('hex'), cut: false })).on('error', () => done({ size, cut: true }));
        });
        req.on('error', fail);
    });
}

test('a file: type, length, validators, HEAD; names to keep it under; a status and headers of the script', async (t) => {
    const server = await serve(t, { 'plain.txt': 'some text', 'a/b/page.HTML': '<p>', 'noext': '\0\x01', 'empty.json': '', 'sorry.html': 'gone' });
    const plain = await server.get('/get/plain.txt');
    assert.deepEqual([plain.status, plain.text, plain.headers['content-type'], plain.headers['content-length']], [200, 'some text', 'text/plain; charset=utf-8', '9']);
    assert.deepEqual([plain.headers['accept-ranges'], plain.headers['x-content-type-options']], ['bytes', 'nosniff']);
    assert.equal(plain.headers['last-modified'], new Date(fs.statSync(path.join(server.files, 'plain.txt')).mtimeMs).toUTCString());
    assert.match(plain.headers.etag, /^"[0-9a-f-]+"$/);
    const head = await server.request('/get/plain.txt', { method: 'HEAD' });
    assert.deepEqual([head.status, head.text, head.headers['content-length'], head.headers.etag], [200, '', '9', plain.headers.etag]);
    assert.equal((await server.get('/get/a/b/page.HTML')).headers['content-type'], 'text/html; charset=utf-8');
    assert.equal((await server.get('/get/noext')).headers['content-type'], 'application/octet-stream');
    const empty = await server.get('/get/empty.json');
    assert.deepEqual([empty.status, empty.text, empty.headers['content-length']], [200, '', '0']);
    const named = await server.get('/get/plain.txt?name=%E2%82%AC%20rates.txt');
    assert.equal(named.headers['content-disposition'], 'attachment; filename="_ rates.txt"; filename*=UTF-8\'\'%E2%82%AC%20rates.txt');
    const sorry = await server.get('/sorry', { range: 'bytes=0-0', 'if-none-match': '*' });
    assert.deepEqual([sorry.status, sorry.text, sorry.headers['cache-control'], sorry.headers.etag], [410, 'gone', 'no-store', undefined]);
    assert.equal(sorry.headers['set-cookie'][0], 'seen=1');
    const posted = await server.post('/post', '', { 'if-none-match': '*', range: 'bytes=0-0' });
    assert.deepEqual([posted.status, posted.text], [200, 'some text']);
    const client = await session(t, server.url);
    const two = await request2(client, '/get/plain.txt');
    assert.deepEqual([two.status, two.text, two.headers['content-length']], [200, 'some text', '9']);
});

test('no such file, a folder, a FIFO, a way out: 404, and no word about where', async (t) => {
    const server = await serve(t, { 'plain.txt': 'x', 'sub/x': 'x' });
    fs.symlinkSync('../hooks/post.lua', path.join(server.files, 'out'));
    fs.symlinkSync('plain.txt', path.join(server.files, 'in'));
    fs.writeFileSync(path.join(server.dir, 'secret'), 'secret');
    await tool('mkfifo', [path.join(server.files, 'fifo')]);
    const names = ['', 'none', 'sub', 'sub/', 'sub/none', 'plain.txt/x', 'fifo', 'out', '../secret', 'sub/../../secret', '/etc/passwd', 'sub/../plain.txt',
        'plain.txt%00', 'plain.txt%00.html', 'plain.txt%0a', 'n'.repeat(300), 'n/'.repeat(2500)];
    for (const name of names) {
        const answer = await server.get(`/get/x?at=${name}`);
        assertProblem(answer, 404, /no such file/);
        assert.ok(!answer.text.includes(server.dir), name);
    }
    assert.equal((await server.get('/get/in')).text, 'x');
    await server.said((r) => r.message === 'file cannot be sent' && /^out: a symbolic link leads out/.test(r.error));
    fs.rmSync(server.files, { recursive: true });
    assertProblem(await server.get('/get/plain.txt'), 404, /no such file/);
    await server.said((r) => r.message === 'file cannot be sent' && /the folder of the setting files: No such file/.test(r.error));
});

test('a file that may not be read is a 500 without a word about it; the log says which', async (t) => {
    const nobody = process.getuid() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
    try {
        if (nobody.length) await tool('setpriv', [...nobody.slice(1), 'test', '-x', binary]);
    } catch {
        t.skip('nobody may not run the binary here');
        return;
    }
    const dir = folder(t);
    fs.chmodSync(dir, 0o755);
    fs.mkdirSync(path.join(dir, 'files'));
    fs.writeFileSync(path.join(dir, 'files/private'), 'x');
    fs.chmodSync(path.join(dir, 'files/private'), 0);
    const server = await start(t, { dir, hooks, workers: 1, prefix: nobody });
    const answer = await server.get('/get/private');
    assertProblem(answer, 500);
    assert.ok(!/private|denied/i.test(answer.text.replace(/request_id.*/, '')), answer.text);
    await server.said((r) => r.message === 'file cannot be sent' && r.error === 'private: Permission denied');
});

test('conditions, as curl and the RFC have them', async (t) => {
    const server = await serve(t, { 'plain.txt': 'some text' });
    const get = (headers, method = 'GET') => server.request('/get/plain.txt', { method, headers });
    const { etag, 'last-modified': modified } = (await get({})).headers;
    const later = new Date(Date.parse(modified) + 1000).toUTCString(), earlier = new Date(Date.parse(modified) - 1000).toUTCString();
    for (const [headers, status] of [
        [{ 'if-none-match': etag }, 304], [{ 'if-none-match': `"x", W/${etag}` }, 304], [{ 'if-none-match': '"x"' }, 200],
        [{ 'if-modified-since': modified }, 304], [{ 'if-modified-since': later }, 304], [{ 'if-modified-since': earlier }, 200],
        [{ 'if-match': etag }, 200], [{ 'if-match': '"x"' }, 412], [{ 'if-unmodified-since': earlier }, 412], [{ 'if-unmodified-since': modified }, 200],
    ]) {
        const answer = await get(headers);
        assert.equal(answer.status, status, JSON.stringify(headers));
        assert.equal((await get(headers, 'HEAD')).status, status);
        if (status === 304) assert.deepEqual([answer.text, answer.headers.etag, answer.headers['last-modified']], ['', etag, modified]);
        if (status === 412) assertProblem(answer, 412);
    }
    // curl keeps the tag, asks with it, and is told that nothing is new; then that something is
    const kept = path.join(server.dir, 'etag'), out = path.join(server.dir, 'out');
    const curl = (...args) => tool('curl', ['-sS', '-w', '%{http_code}', ...args, `${server.url}/get/plain.txt`]);
    assert.equal(await curl('--etag-save', kept, '-o', out), '200');
    assert.equal(await curl('--etag-compare', kept, '-o', `${out}2`), '304');
    assert.equal(await curl('-z', out, '-o', `${out}2`), '304');
    fs.writeFileSync(path.join(server.files, 'new'), 'other text');
    fs.renameSync(path.join(server.files, 'new'), path.join(server.files, 'plain.txt'));
    assert.equal(await curl('--etag-compare', kept, '-o', `${out}2`), '200');
    assert.equal(fs.readFileSync(`${out}2`, 'utf8'), 'other text');
    // just written: weak, since it may change again before its clock ticks; good for 304, not for a range
    const fresh = await get({});
    assert.match(fresh.headers.etag, /^W\//);
    assert.equal((await get({ 'if-none-match': fresh.headers.etag })).status, 304);
    assert.equal((await get({ range: 'bytes=0-0', 'if-range': fresh.headers.etag })).status, 200);
});

test('ranges: one is honoured, several are all of it, what is not there is a 416; a download goes on where it broke', async (t) => {
    const bytes = crypto.randomBytes(700001);
    const server = await serve(t, { 'data.bin': bytes });
    const get = (range, more) => server.get('/get/data.bin', { range, ...more });
    const { etag } = (await server.get('/get/data.bin')).headers;
    for (const [range, first, count] of [['bytes=0-0', 0, 1], ['bytes=65535-65536', 65535, 2], ['bytes=-5', 699996, 5], ['bytes=699999-', 699999, 2], ['bytes=100-900000', 100, 699901]]) {
        const answer = await get(range);
        assert.deepEqual([answer.status, answer.headers['content-range'], answer.headers['content-length'], answer.headers.etag],
            [206, `bytes ${first}-${first + count - 1}/700001`, String(count), etag]);
        assert.ok(answer.body.equals(bytes.subarray(first, first + count)), range);
    }
    for (const range of ['bytes=0-1,5-6', 'bytes=9-1', 'lines=1-2']) {
        const answer = await get(range);
        assert.deepEqual([answer.status, answer.body.equals(bytes)], [200, true], range);
    }
    const beyond = await get('bytes=700001-');
    assertProblem(beyond, 416);
    assert.equal(beyond.headers['content-range'], 'bytes */700001');
    assert.equal((await get('bytes=0-0', { 'if-range': etag })).status, 206);
    assert.equal((await get('bytes=0-0', { 'if-range': '"other"' })).status, 200);
    const out = path.join(server.dir, 'out');
    const curl = (...args) => tool('curl', ['-sS', '-f', '-o', out, ...args, `${server.url}/get/data.bin`]);
    await curl('-r', '0-299999');
    assert.equal(fs.statSync(out).size, 300000);
    await curl('-C', '-');
    assert.ok(fs.readFileSync(out).equals(bytes));
});

test('a file of a gibibyte and fifty slow downloads cost little memory; their clients go, and so do files and buffers', async (t) => {
    // asan keeps what was freed for a while: not that much here
    const env = { ASAN_OPTIONS: [process.env.ASAN_OPTIONS, 'quarantine_size_mb=4'].filter(Boolean).join(':') };
    const server = await serve(t, { 'small': 'x' }, { env });
    const [pid] = server.children('worker');
    fs.truncateSync(path.join(server.files, 'small'), 1);
    fs.closeSync(fs.openSync(path.join(server.files, 'huge'), 'w'));
    fs.truncateSync(path.join(server.files, 'huge'), 2 ** 30);
    await server.get('/get/small');
    const before = resident(pid), files = descriptors(pid);
    assert.equal(await tool('curl', ['-sS', '-o', '/dev/null', '-w', '%{size_download}', `${server.url}/get/huge`]), String(2 ** 30));
    const client = await session(t, server.url);
    let size = 0;
    for await (const part of client.request({ ':path': '/get/huge', range: `bytes=0-${2 ** 28 - 1}` })) size += part.length;
    assert.equal(size, 2 ** 28);
    const sockets = await Promise.all(Array.from({ length: 50 }, () => new Promise((done) => {
        const socket = net.connect(server.port, '127.0.0.1', () => socket.write('GET /get/huge HTTP/1.1\r\nhost: x\r\n\r\n'));
        socket.once('data', () => { socket.pause(); done(socket); });
    })));
    await sleep(ms(300));
    // sanitizers keep books on each byte
    assert.ok(resident(pid) - before < ms(40) * 2 ** 20, `${resident(pid) - before} bytes more`);
    const start = Date.now();
    assert.equal((await server.get('/get/small')).text, 'x');
    assert.ok(Date.now() - start < ms(1000));
    for (const socket of sockets) socket.resetAndDestroy();
    client.destroy();
    await until(() => descriptors(pid) <= files, () => `${descriptors(pid)} descriptors, ${files} before`, 10000);
});

test('slow readers get every byte, of the file as it was when it was opened', async (t) => {
    const bytes = crypto.randomBytes(16 * 2 ** 20), sum = crypto.createHash('sha256').update(bytes).digest('hex');
    const server = await serve(t, { 'data.bin': bytes });
    const reading = Array.from({ length: 8 }, (_, i) => slowly(server.port, '/get/data.bin', () => i % 4));
    await sleep(ms(20));
    fs.writeFileSync(path.join(server.files, 'new'), 'short');
    fs.renameSync(path.join(server.files, 'new'), path.join(server.files, 'data.bin'));
    for (const got of await Promise.all(reading)) assert.ok(got.size === 5 || (got.size === bytes.length && got.sum === sum && !got.cut));
    assert.equal((await server.get('/get/data.bin')).text, 'short');
});

test('HTTP/2: conditions, ranges and HEAD are what they are on HTTP/1.1', async (t) => {
    const server = await serve(t, { 'plain.txt': '0123456789' });
    const client = await session(t, server.url);
    const { etag, 'last-modified': modified } = (await server.get('/get/plain.txt')).headers;
    for (const [headers, method = 'GET'] of [[{}, 'HEAD'], [{ 'if-none-match': etag }], [{ 'if-none-match': etag }, 'HEAD'], [{ 'if-modified-since': modified }], [{ 'if-match': '"x"' }],
        [{ range: 'bytes=2-4' }], [{ range: 'bytes=-3' }], [{ range: 'bytes=20-' }], [{ range: 'bytes=0-1,4-5' }], [{ range: 'bytes=1-1', 'if-range': etag }], [{ range: 'bytes=1-1', 'if-range': '"x"' }]]) {
        const one = await server.request('/get/plain.txt', { method, headers }), two = await request2(client, '/get/plain.txt', { method, headers });
        const seen = (r) => [r.status, r.status < 400 ? r.text : '', ...['etag', 'content-range', 'content-length', 'last-modified', 'content-type'].map((name) => r.status < 400 ? r.headers[name] : r.headers['content-range'])];
        assert.deepEqual(seen(two), seen(one), JSON.stringify([method, headers]));
    }
    assert.equal((await request2(client, '/get/plain.txt', { headers: { range: 'bytes=20-' } })).status, 416);
});

test('a client that has only shut down its sending side gets the whole file', async (t) => {
    const bytes = crypto.randomBytes(24 * 2 ** 20);
    const server = await serve(t, { 'data.bin': bytes });
    const socket = net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.end('GET /get/data.bin HTTP/1.1\r\nHost: a\r\n\r\n');
    let size = 0;
    socket.on('data', (part) => {
        size += part.length;
        socket.pause();
        setTimeout(() => socket.resume(), 5); // for longer than a sweep or two
    });
    await new Promise((done) => socket.on('end', done).on('error', done));
    assert.ok(size > bytes.length && size < bytes.length + 1000, `${size} bytes, headers included`);
    socket.destroy();
});

test('a file that becomes shorter while it is sent is broken off, never padded; the server goes on', async (t) => {
    const server = await serve(t, { 'plain.txt': 'x' });
    const shrink = path.join(server.files, 'shrink');
    fs.writeFileSync(shrink, Buffer.alloc(64 * 2 ** 20, 'a'));
    const one = slowly(server.port, '/get/shrink', (size) => {
        if (size < 2 ** 20) return 0;
        fs.truncateSync(shrink, 2 ** 20);
        return 1;
    });
    const got = await one;
    assert.ok(got.cut && got.size < 64 * 2 ** 20, JSON.stringify(got));
    await server.said('file cannot be sent');
    fs.truncateSync(shrink, 64 * 2 ** 20);
    const client = await session(t, server.url);
    const stream = client.request({ ':path': '/get/shrink' });
    let size = 0;
    stream.on('data', (part) => {
        size += part.length;
        if (size > 2 ** 20) fs.truncateSync(shrink, 2 ** 20);
    });
    const code = await new Promise((done) => stream.on('error', () => {}).on('close', () => done(stream.rstCode)));
    assert.ok(code !== 0 && size < 64 * 2 ** 20, `${code} after ${size}`);
    assert.equal((await server.get('/get/plain.txt')).text, 'x');
});

test('a drain waits for downloads, to its end', async (t) => {
    const bytes = crypto.randomBytes(32 * 2 ** 20);
    const server = await serve(t, { 'data.bin': bytes }, { config: 'return { drain = "20s" }' });
    const reading = slowly(server.port, '/get/data.bin', () => 2);
    await sleep(ms(100));
    await server.stop({ limit: 30000 });
    const got = await reading;
    assert.deepEqual([got.size, got.cut], [bytes.length, false]);
});
