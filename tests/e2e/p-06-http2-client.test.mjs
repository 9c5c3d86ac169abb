// HTTP/2 to hosts that offer it: what it must not do to others on the way, and what libcurl makes of odd frames.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import tls from 'node:tls';
import { test } from 'node:test';
import { frame } from './attack/frames.mjs';
import { authority } from './authority.mjs';
import { folder, sleep, start } from './helper.mjs';
import { lua, runner, secure } from './upstreams.mjs';

const serve = (t, hooks = {}) => start(t, { workers: 1, hooks: { 'run.lua': runner, ...hooks } });

async function issued(t) {
    const ca = await authority(folder(t));
    return { ca, pair: await ca.issue('up', { names: ['localhost'] }) };
}

test('many requests at once; connections are kept for the next ones', async (t) => {
    const { ca, pair } = await issued(t);
    const up = await secure(t, pair, async () => { await sleep(20); }, { http2: true });
    const server = await serve(t, { 'one.lua': `return function() local r = assert(http.get("${up.url}/x", { ca = "${ca.cert}", expect = 200 })) return r.body end` });
    for (let round = 0; round < 3; round++) {
        const replies = await Promise.all(Array.from({ length: 40 }, () => server.get('/one')));
        for (const reply of replies) assert.equal(reply.json?.version, '2.0', `${reply.text}\n${up.requests.length} came\n${server.tail()}`);
    }
    assert.ok(up.sockets.size <= 40, `${up.sockets.size} connections`);
    const posted = await lua(server, `return http.post("${up.url}/x", { ca = "${ca.cert}", body = ("y"):rep(300000), headers = { ["X-Up"] = "A" } })`);
    assert.equal(JSON.parse(posted.body).body.length, 300000);
    assert.equal(JSON.parse(posted.body).headers['x-up'], 'A');
});

test('a streamed reply over HTTP/1.1 and others of the same host over HTTP/2 keep their own bytes', async (t) => {
    const { ca, pair } = await issued(t);
    const up = await secure(t, pair, async (req, res) => {
        if (req.url !== '/long') {
            res.end('quick');
            return true;
        }
        for (let i = 0; i < 50; i++) {
            res.write('A'.repeat(1000));
            await sleep(20);
        }
        res.end();
        return true;
    }, { http2: true });
    const server = await serve(t, { 'long.lua': `return function()
        local reply, all = assert(http.get("${up.url}/long", { ca = "${ca.cert}", stream = true })), {}
        local piece, err = reply:read()
        while piece do all[#all + 1] = piece piece, err = reply:read() end
        return err and tostring(err) or table.concat(all)
    end` });
    const long = server.get('/long');
    while (up.requests.length === 0) await sleep(5);
    for (let i = 0; i < 6; i++) {
        const [one, other] = await Promise.all([0, 1].map(() => lua(server, `return http.get("${up.url}/quick", { ca = "${ca.cert}", timeout = "3s" })`)));
        for (const reply of [one, other]) assert.equal(reply.body, 'quick', JSON.stringify(reply));
    }
    assert.equal((await long).text, 'A'.repeat(50000));
    assert.deepEqual(up.requests.map((r) => r.version).sort().map((v) => v[0]).join(''), `1${'2'.repeat(12)}`);
});

test('a host that bounds resets (nghttp2: 1,000, then 33 a second) meets none too many', async (t) => {
    const { ca, pair } = await issued(t);
    const up = await secure(t, pair, (req, res) => {
        res.end('ok');
        return true;
    }, { http2: true });
    let opened = 0;
    up.server.on('secureConnection', () => opened++);
    const server = await serve(t);
    const reply = await lua(server, `local failed = {}
        for i = 1, 2400 do
            local r, err = http.post("${up.url}/x", { ca = "${ca.cert}", body = "b" })
            if not r then failed[#failed + 1] = tostring(err) end
        end
        return #failed .. " " .. tostring(failed[1])`);
    assert.equal(reply.value, '0 nil');
    assert.equal(up.requests.length, 2400);
    assert.ok(opened >= 4 && opened <= 12, `${opened} connections`);
});

/** A bare HTTP/2 server: answer(socket, stream) for each request's HEADERS. */
async function frames(t, pair, answer) {
    const server = tls.createServer({ cert: fs.readFileSync(pair.cert), key: fs.readFileSync(pair.key), ALPNProtocols: ['h2'] }, (socket) => {
        let input = Buffer.alloc(0), preface = 24;
        t.after(() => socket.destroy());
        socket.on('error', () => {}).write(frame(4, 0, 0));
        socket.on('data', (bytes) => {
            input = Buffer.concat([input, bytes]);
            while (input.length >= preface + 9 && input.length >= preface + 9 + input.readUIntBE(preface, 3)) {
                input = input.subarray(preface);
                preface = 0;
                const [type, flags, stream] = [input[3], input[4], input.readUInt32BE(5)];
                input = input.subarray(9 + input.readUIntBE(0, 3));
                if (type === 4 && !(flags & 1)) socket.write(frame(4, 1, 0));
                if (type === 1) answer(socket, stream);
            }
        });
    });
    t.after(() => server.close());
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    return `https://localhost:${server.address().port}`;
}

test('a reply ends though its last byte fills a buffer, in whatever pieces it comes', async (t) => {
    const { ca, pair } = await issued(t);
    const ok = (fields) => Buffer.concat([Buffer.from([0x88]), Buffer.alloc(fields, 0x90)]); // :status 200; indexed fields
    const plans = [
        (s, n) => s.write(Buffer.concat([frame(1, 4, n, ok(20)), frame(0, 1, n, Buffer.alloc(16000, 'z'))])),
        (s, n) => s.write(Buffer.concat([frame(1, 4, n, ok(0)), frame(0, 0, n, Buffer.alloc(16384, 'z')), frame(0, 1, n, Buffer.alloc(1, 'z'))])),
        (s, n) => s.write(Buffer.concat([frame(1, 4, n, ok(0)), ...Array.from({ length: 3 }, () => frame(0, 0, n, Buffer.alloc(16384, 'z'))), frame(0, 1, n)])),
        (s, n) => s.write(Buffer.concat([frame(1, 4, n, ok(0)), ...Array.from({ length: 200 }, () => frame(0, 0, n, Buffer.alloc(100, 'z'))), frame(0, 1, n, Buffer.alloc(12000, 'z'))])),
        (s, n) => {
            for (const byte of Buffer.concat([frame(1, 4, n, ok(3)), frame(0, 0, n, Buffer.from('zz')), frame(0, 1, n)])) s.write(Buffer.from([byte]));
        },
    ];
    const sizes = [16000, 16385, 49152, 32000, 2];
    let asked = 0;
    const url = await frames(t, pair, (socket, stream) => plans[asked++ % plans.length](socket, stream));
    const server = await serve(t);
    for (let round = 0; round < 4; round++) {
        for (const size of sizes) {
            const reply = await lua(server, `return http.get("${url}/", { ca = "${ca.cert}", timeout = "5s" })`);
            assert.equal(reply.body?.length, size, JSON.stringify(reply).slice(0, 300));
        }
    }
});
