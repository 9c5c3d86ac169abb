import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import zlib from 'node:zlib';
import { assertProblem, ms, start, tool } from './helper.mjs';

const hooks = {
    'echo.lua': 'return { max_body = "4MiB", handle = function(req) return 200, { len = #req.body, hash = crypto.sha256(req.body, "hex") } end }',
    'json.lua': 'return function(req) return 200, { a = req:pick "/a", b = req:json().a, c = req:data().a } end',
    'form.lua': 'return function(req) return 200, req:form() end',
    'length.lua': 'return function(req) return 200, req.headers["content-length"] end',
    'signed.lua': `return { verify = verify.hmac { secret = "s", header = "x-signature" }, events = { "push" }, event_type = "/type",
        handle = function(req) return 200, { type = req.event_type, body = req.body } end }`,
    'own.lua': `return { verify = function(req) return crypto.hmac("sha256", "s", req.body, "hex") == req.headers["x-signature"] end,
        handle = function(req) return 200, req.body end }`,
};
const sha256 = (data) => crypto.createHash('sha256').update(data).digest('hex');
const hmac = (data) => crypto.createHmac('sha256', 's').update(data).digest('hex');
const coded = (coding, more) => ({ 'content-encoding': coding, ...more });

test('scripts see what was packed, whatever packed it', async (t) => {
    const server = await start(t, { hooks });
    const text = Buffer.from(JSON.stringify({ a: 1, pad: 'x'.repeat(100000) }));
    const tool9 = await tool('gzip', ['-9', '-c'], { input: text, encoding: 'buffer' });
    const rows = [['gzip', zlib.gzipSync(text)], ['x-gzip', tool9], ['deflate', zlib.deflateSync(text)], ['deflate', zlib.deflateRawSync(text)],
        ['identity', text], ['gzip, deflate', zlib.deflateSync(zlib.gzipSync(text))],
        ['GZIP', Buffer.concat([zlib.gzipSync(text.subarray(0, 50)), zlib.gzipSync(text.subarray(50))])]];
    for (const [coding, packed] of rows) {
        assert.deepEqual((await server.post('/echo', packed, coded(coding))).json, { len: text.length, hash: sha256(text) }, coding);
        assert.deepEqual((await server.post('/json', packed, coded(coding, { 'content-type': 'application/json' }))).json, { a: 1, b: 1, c: 1 });
    }
    const form = zlib.gzipSync('a=1&b=2');
    assert.deepEqual((await server.post('/form', form, coded('gzip', { 'content-type': 'application/x-www-form-urlencoded' }))).json, { a: '1', b: '2' });
    assert.equal((await server.post('/length', form, coded('gzip'))).text, String(form.length)); // what was sent
});

test('signatures are over what was sent; a type in the body is read unpacked', async (t) => {
    const server = await start(t, { hooks });
    const body = zlib.gzipSync('{"type":"push"}');
    const signed = (b, more) => ({ 'x-signature': hmac(b), ...coded('gzip'), ...more });
    assert.deepEqual((await server.post('/signed', body, signed(body))).json, { type: 'push', body: '{"type":"push"}' });
    assert.equal((await server.post('/signed', body, { ...signed(body), 'x-signature': hmac('{"type":"push"}') })).status, 401);
    const pull = zlib.gzipSync('{"type":"pull"}');
    assert.equal((await server.post('/signed', pull, signed(pull))).status, 204);
    const broken = Buffer.from('{"type":"push"}');
    assertProblem(await server.post('/signed', broken, signed(broken)), 400, /compressed content is corrupt/);
    assert.equal((await server.post('/own', body, signed(body))).text, '{"type":"push"}');
    assert.equal((await server.post('/own', body, { ...signed(body), 'x-signature': hmac('{"type":"push"}') })).status, 401);
});

test('what a verifier saves is what was sent, what handle saves is what was meant', async (t) => {
    const server = await start(t, { hooks: {
        'kept.lua': `return { verify = function(req)
            assert(req:save("sent", { overwrite = true }))
            return crypto.hmac("sha256", "s", req.body, "hex") == req.headers["x-signature"]
        end, handle = function(req) return 200, assert(req:save("meant", { overwrite = true })) end }`,
    } });
    const kept = (name) => fs.readFileSync(path.join(server.dir, 'files', name));
    const text = crypto.randomBytes(450000).toString('hex'); // several pieces, packed and not
    const body = zlib.gzipSync(text);
    assert.equal((await server.post('/kept', body, coded('gzip', { 'x-signature': hmac(body) }))).text, 'meant');
    assert.deepEqual([sha256(kept('sent')), sha256(kept('meant'))], [sha256(body), sha256(text)]);
    const cut = body.subarray(0, body.length - 1); // is nobody's matter before its signature is
    assert.equal((await server.post('/kept', cut, coded('gzip', { 'x-signature': hmac(body) }))).status, 401);
    assert.equal(sha256(kept('sent')), sha256(cut));
    assertProblem(await server.post('/kept', cut, coded('gzip', { 'x-signature': hmac(cut) })), 400, /ends too early/);
});

test('what is corrupt, cut, followed by something, unknown or nested is refused', async (t) => {
    const server = await start(t, { hooks });
    const packed = zlib.gzipSync('hello '.repeat(1000));
    const flipped = Buffer.from(packed);
    flipped[flipped.length - 6] ^= 1;
    for (const [body, words] of [[packed.subarray(0, packed.length - 1), /ends too early/], [flipped, /is corrupt/],
        [Buffer.concat([packed, Buffer.from('x')]), /has something behind its end/], [Buffer.from('plain'), /is corrupt/]])
        assertProblem(await server.post('/echo', body, coded('gzip')), 400, words);
    for (const coding of ['br', 'zstd', 'gzip, br', Array(64).fill('gzip').join(', '), 'gzip;q=1']) {
        const reply = await server.post('/echo', packed, coded(coding));
        assertProblem(reply, 415);
        assert.equal(reply.headers['accept-encoding'], 'gzip, deflate', coding);
    }
});

test('bombs are a 413 and cost neither memory nor much time', async (t) => {
    const server = await start(t, { hooks, config: 'return { limits = { lag = "30s" } }', workers: 1 }); // one after the other
    const bomb = zlib.gzipSync(Buffer.alloc(64 << 20), { level: 9 });
    const twice = zlib.gzipSync(bomb, { level: 9 });
    assert.ok(bomb.length * 900 < 64 << 20);
    const pid = server.children('worker')[0];
    const peak = () => Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
    assertProblem(await server.post('/echo', bomb, coded('gzip')), 413, /too large when it is unpacked/);
    const before = peak();
    const begun = Date.now();
    await Promise.all(Array.from({ length: 60 }, async (_, i) =>
        assertProblem(await server.post('/echo', i % 2 ? bomb : twice, coded(i % 2 ? 'gzip' : 'gzip, gzip')), 413)));
    assert.ok(Date.now() - begun < ms(10000), `${Date.now() - begun} ms`);
    assert.ok(Number(process.env.CRESCENT_TIME_FACTOR ?? 1) > 1 || peak() - before < 16 << 10, `${peak() - before} KiB`);
    assert.equal((await server.post('/echo', zlib.gzipSync(Buffer.alloc(4 << 20)), coded('gzip'))).json.len, 4 << 20);
    assertProblem(await server.post('/echo', zlib.gzipSync(Buffer.alloc((4 << 20) + 1)), coded('gzip')), 413);
});
