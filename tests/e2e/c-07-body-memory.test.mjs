import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { test } from 'node:test';
import { alive, assertProblem, certificate, folder, ms, request, request2, run, session, sleep, start, until, write } from './helper.mjs';

const MiB = 1 << 20;
const zeros = Buffer.alloc(16 * MiB);
const hooks = {
    'up.lua': 'return { max_body = "16MiB", handle = function(req) return 200, tostring(#req.body) end }',
    'hold.lua': 'return { max_body = "16MiB", timeout = "30s", handle = function(req) sleep(1) return 200, "held" end }',
    'small.lua': 'return function(req) return 200, req.body end',
    'signed.lua': `return { max_body = "16MiB", verify = verify.hmac { secret = "s", header = "x-signature" },
        handle = function(req) local part = req:files()[1] return 200, tostring(assert(part:save("up.bin", { overwrite = true })) and part.size) end }`,
};
const limited = (budget) => `return { limits = { body_memory = "${budget}", body = "16MiB" } }`;
const status = (pid, field) => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
const rss = (server) => server.children('worker').reduce((sum, pid) => sum + status(pid, 'VmRSS'), 0);
const held = (server) => server.metric('crescent_body_memory_bytes');
const sanitized = Number(process.env.CRESCENT_TIME_FACTOR ?? 1) > 1; // its memory is not the server's own

/** Begins an upload of `size` bytes and sends all but the last byte of it; settles with {status} or {error}. */
function upload(url, size, { chunked = false, target = '/up', ...options } = {}) {
    let finish;
    const headers = chunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': size };
    const over = new Promise((done) => {
        const req = (url.startsWith('https') ? options.https : http).request(url + target, { method: 'POST', headers, agent: false, ...options }, (res) => {
            res.resume().on('end', () => done({ status: res.statusCode, retry: res.headers['retry-after'] })).on('error', (e) => done({ error: e.code }));
        });
        req.on('error', (e) => done({ error: e.code }));
        req.setTimeout(ms(30000), () => req.destroy(new Error('no answer')));
        req.write(zeros.subarray(0, size - 1));
        finish = () => req.end('x');
    });
    return { over, finish };
}

/** Samples the workers' memory until stop(): the peak. */
function watch(server) {
    let peak = 0;
    const timer = setInterval(() => { peak = Math.max(peak, rss(server)); }, 5);
    return { stop: () => { clearInterval(timer); return peak; } };
}

test('a budget that has no room for one body is told at the start; the least that has takes it, however it comes', async (t) => {
    const dir = folder(t), tls = await certificate(dir);
    write(dir, { 'hooks/up.lua': hooks['up.lua'] });
    for (const [limits, words] of [
        ['body_memory = "16MiB", body = "16MiB"', 'limits.body_memory (16MiB) has no room for a body of limits.body (16MiB): that needs 19MiB'],
        ['body_memory = "18MiB", body = "16MiB"', 'limits.body_memory (18MiB) has no room for a body of limits.body (16MiB): that needs 19MiB'],
        ['body_memory = "8MiB"', 'limits.body_memory (8MiB) has no room for a body of limits.body (32MiB): that needs 35MiB'],
        ['body = "1GiB"', 'limits.body_memory (256MiB) has no room for a body of limits.body (1GiB): that needs 1027MiB'],
    ])
        for (const command of ['serve', 'check']) {
            write(dir, { 'crescent.lua': `return { listen = "127.0.0.1:0", admin = "off", limits = { ${limits} } }` });
            const { code, stderr } = await run([command], { cwd: dir });
            assert.equal(code, 1, `${command}, ${limits}: ${stderr}`);
            assert.ok(stderr.includes(words), stderr);
        }
    const server = await start(t, { hooks, dir, config: limited('19MiB'), workers: 1, listen: ['http://127.0.0.1:0', 'https://127.0.0.1:0'], args: tls.args });
    const https = await import('node:https');
    for (const url of server.urls) {
        for (const chunked of [false, true]) {
            const one = upload(url, 16 * MiB, { chunked, https, rejectUnauthorized: false });
            one.finish();
            assert.deepEqual(await one.over, { status: 200, retry: undefined }, `${url} ${chunked}`);
        }
        const client = http2.connect(url, { rejectUnauthorized: false });
        t.after(() => client.destroy());
        assert.equal((await request2(client, '/up', { method: 'POST', body: Buffer.alloc(16 * MiB) })).text, String(16 * MiB), url);
        await until(async () => await held(server) === 0, 'all memory is given back');
    }
});

for (const chunked of [false, true])
    test(`a flood of uploads stays within the budget, ${chunked ? 'chunked' : 'with Content-Length'}; small ones pass`, async (t) => {
        const server = await start(t, { hooks, config: limited('64MiB') });
        await server.post('/up', 'x');
        const before = rss(server), watched = watch(server);
        const all = Array.from({ length: 200 }, () => upload(server.url, 8 * MiB, { chunked }));
        const first = all.map((u) => u.over.then((r) => r.status ?? r.error));
        await until(() => server.records('bodies refused: limits.body_memory is used up')[0], 'a refusal in the log', 15000);
        assert.ok(await held(server) <= 64 * MiB * 1.25, `${await held(server)} bytes held`);
        for (let i = 0; i < 20; i++) assert.equal((await server.post('/small', 'y'.repeat(30000))).text.length, 30000);
        await sleep(ms(2500)); // by now each has been let in or refused
        for (const u of all) u.finish();
        const ends = await Promise.all(first);
        const peak = watched.stop();
        const count = (s) => ends.filter((e) => e === s).length;
        t.diagnostic(`${count(200)} taken, ${count(503)} heard the 503, ${200 - count(200) - count(503)} only the end; peak ${((peak - before) / MiB).toFixed()} MiB`);
        assert.ok(count(200) >= 4, JSON.stringify(ends));
        assert.ok(count(200) <= 10, JSON.stringify(ends));
        assert.ok(count(503) >= 100, JSON.stringify(ends));
        assert.equal(count(200) + count(503) + count('ECONNRESET') + count('EPIPE'), 200, JSON.stringify(ends));
        assert.ok(sanitized || peak - before < 96 * MiB, `${(peak - before) / MiB} MiB`);
        await until(async () => await held(server) === 0, 'all memory is given back');
        // A body or two of each worker wait for its collector, which goes on as the worker does.
        await until(async () => sanitized || ((await server.post('/small', 'y'.repeat(30000))).text.length === 30000 && rss(server) - before < 24 * MiB),
            () => `${(rss(server) - before) / MiB} MiB kept`, 15000);
        assert.ok(await server.metric('crescent_connections_cut_total', 'reason="body_memory"') >= 190);
        assert.equal((await server.post('/up', Buffer.alloc(8 * MiB))).text, String(8 * MiB));
        const descriptors = () => server.children('worker').reduce((sum, pid) => sum + fs.readdirSync(`/proc/${pid}/fd`).length, 0);
        await until(() => descriptors() < 60, () => `${descriptors()} descriptors`, 10000); // read for a while behind the close
    });

test('HTTP/2 streams are refused one by one, and what they held is given back', async (t) => {
    const server = await start(t, { hooks, config: limited('32MiB'), workers: 1 });
    await server.post('/up', 'x');
    const before = rss(server), watched = watch(server);
    const sessions = await Promise.all(Array.from({ length: 4 }, () => new Promise((done) => {
        const client = http2.connect(server.url);
        t.after(() => client.destroy());
        client.on('error', () => {}).once('connect', () => done(client));
    })));
    const one = (client) => new Promise((done) => {
        const stream = client.request({ ':method': 'POST', ':path': '/up' });
        let code;
        stream.on('response', (h) => { code = h[':status']; }).on('error', () => {}).on('close', () => done(code ?? 'reset')).resume();
        stream.end(Buffer.alloc(8 * MiB));
    });
    const ends = await Promise.all(sessions.flatMap((client) => Array.from({ length: 10 }, () => one(client))));
    const peak = watched.stop();
    assert.ok(ends.some((e) => e === 'reset'), JSON.stringify(ends));
    assert.ok(ends.every((e) => e === 200 || e === 'reset'), JSON.stringify(ends));
    assert.ok(sanitized || peak - before < 64 * MiB, `${(peak - before) / MiB} MiB`);
    await until(async () => await held(server) === 0, 'all memory is given back');
    assert.equal((await server.post('/up', Buffer.alloc(8 * MiB))).text, String(8 * MiB));
});

test('TLS uploads are within the budget too', async (t) => {
    const dir = folder(t), tls = await certificate(dir);
    const server = await start(t, { hooks, dir, config: limited('19MiB'), listen: ['https://127.0.0.1:0'], args: tls.args });
    const https = await import('node:https');
    const all = Array.from({ length: 16 }, () => upload(server.url, 8 * MiB, { https, rejectUnauthorized: false }));
    await until(() => server.records('bodies refused')[0], 'a refusal in the log', 15000);
    await sleep(ms(2500));
    for (const u of all) u.finish();
    const ends = await Promise.all(all.map((u) => u.over));
    assert.ok(ends.filter((e) => e.status === 200).length <= 2, JSON.stringify(ends));
    assert.equal(ends.filter((e) => e.status === 200 || e.status === 503).length, 16, JSON.stringify(ends)); // no one only hears the end
    await until(async () => await held(server) === 0, 'all memory is given back');
});

test('a refused client that only writes hears a 503 with Retry-After, in the order of the steps', async (t) => {
    const server = await start(t, { hooks, config: limited('19MiB'), workers: 1 });
    const first = upload(server.url, 12 * MiB);
    await until(async () => await held(server) >= 12 * MiB, 'held while it comes');
    const reply = await request(`${server.url}/up`, { method: 'POST', body: Buffer.alloc(8 * MiB) });
    assertProblem(reply, 503, /no memory for the body/);
    assert.equal(reply.headers['retry-after'], '1');
    assert.equal(reply.headers.connection, 'close');
    assertProblem(await request(`${server.url}/nowhere`, { method: 'POST', body: Buffer.alloc(8 * MiB) }), 404);
    assert.equal(await server.metric('crescent_refused_total', 'reason="body_memory"'), 1);
    await server.said((r) => r.message === 'request refused' && r.reason === 'body_memory');
    assert.equal((await server.post('/up', Buffer.alloc(2 * MiB))).status, 200);
    first.finish();
    assert.equal((await first.over).status, 200);
    await until(async () => await held(server) === 0, 'all memory is given back');
});

test('bodies that are worked on count; a worker that dies gives back what it held', async (t) => {
    const server = await start(t, { hooks, config: limited('19MiB'), workers: 1 });
    const holding = upload(server.url, 8 * MiB, { target: '/hold' });
    holding.finish();
    await until(async () => await held(server) >= 8 * MiB, 'held while it waits');
    assertProblem(await request(`${server.url}/up`, { method: 'POST', body: Buffer.alloc(14 * MiB) }), 503);
    assert.equal((await holding.over).status, 200);
    await until(async () => await held(server) === 0, 'given back with the answer');
    const other = upload(server.url, 8 * MiB);
    await until(async () => await held(server) >= 8 * MiB, 'held while it comes');
    const [pid] = server.children('worker');
    process.kill(pid, 'SIGKILL');
    assert.ok((await other.over).error);
    await until(async () => !alive(pid) && await held(server) === 0, 'given back by death');
    await until(() => server.post('/up', Buffer.alloc(8 * MiB)).then((r) => r.status === 200, () => false), 'serving again');
});

test('clients that go, stall or send junk after a refusal leave nothing behind', async (t) => {
    const server = await start(t, { hooks, config: `return { limits = { body_memory = "19MiB", body = "16MiB", body_time = "1s" } }`, workers: 1 });
    const head = `POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: ${8 * MiB}\r\n\r\n`;
    const open = () => new Promise((done) => {
        const socket = net.connect(server.port, '127.0.0.1', () => { socket.write(head); socket.write(Buffer.alloc(5 * MiB)); done(socket); });
        socket.on('error', () => {});
    });
    const sockets = await Promise.all(Array.from({ length: 30 }, open));
    for (let i = 0; i < 10; i++) sockets[i].destroy();
    for (let i = 10; i < 20; i++) sockets[i].resetAndDestroy();
    for (let i = 20; i < 30; i++) sockets[i].on('data', () => {}).write('GET /small HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1000));
    await server.said('bodies refused: limits.body_memory is used up');
    await until(async () => await held(server) === 0, 'nothing is held', 10000);
    for (const s of sockets) s.destroy();
    assert.equal((await server.post('/small', 'x')).text, 'x');
    assert.equal(server.children('worker').length, 1);
    assert.deepEqual(server.records((r) => /died|killed|ended/.test(r.message)), []);
});

for (const version of ['HTTP/1', 'HTTP/2'])
    test(`a signed upload of 8 MiB over ${version}, its part saved, costs at most 2.2 times its size`, async (t) => {
        const server = await start(t, { hooks, config: 'return { files = "out" }', workers: 1 });
        const file = Buffer.alloc(8 * MiB, 'abcdefg');
        const form = (data) => Buffer.concat([Buffer.from('--b\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\n'), data, Buffer.from('\r\n--b--')]);
        const send = async (body) => {
            const headers = { 'content-type': 'multipart/form-data; boundary=b', 'x-signature': crypto.createHmac('sha256', 's').update(body).digest('hex') };
            if (version === 'HTTP/1') return server.post('/signed', body, headers);
            return request2(await session(t, server.url), '/signed', { method: 'POST', headers, body });
        };
        for (let i = 0; i < 3; i++) assert.equal((await send(form(Buffer.from('1')))).text, '1');
        const [pid] = server.children('worker');
        fs.writeFileSync(`/proc/${pid}/clear_refs`, '5'); // the peak begins anew
        const before = status(pid, 'VmRSS');
        assert.equal((await send(form(file))).text, String(file.length));
        const cost = (status(pid, 'VmHWM') - before) / file.length;
        t.diagnostic(`${cost.toFixed(2)} times the size`);
        assert.ok(sanitized || cost <= 2.2, `${cost.toFixed(2)} times the size`);
        assert.deepEqual(fs.readFileSync(`${server.dir}/out/up.bin`), file);
        await until(async () => await held(server) === 0, 'all memory is given back');
    });
