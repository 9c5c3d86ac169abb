// http.*: replies that are streamed, and transfers that nobody waits for any more. The hosts are node's.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { request, sleep, start, until } from './helper.mjs';
import { lua, nobody, plain, runner } from './upstreams.mjs';

const serve = (t, options = {}) => start(t, { workers: 1, ...options, hooks: { 'run.lua': runner, ...options.hooks } });

test('a streamed reply: piece by piece, with its failure', async (t) => {
    const up = await plain(t, async (req, res) => {
        if (req.url === '/pieces') {
            for (let i = 0; i < 5; i++) {
                res.write(`piece ${i}\n`);
                await sleep(30);
            }
            res.end();
            return true;
        }
        if (req.url === '/breaks') {
            res.writeHead(200, { 'content-length': 100 });
            res.write('half');
            setTimeout(() => res.socket.destroy(), 30);
            return true;
        }
        if (req.url === '/500') return res.writeHead(500), res.end('no'), true;
        if (req.url === '/drip') {
            res.write('first');
            return true;
        }
    });
    const server = await serve(t);
    const ask = async (text) => (await lua(server, text.replaceAll('URL', up.url)));
    let reply = await ask('local r = assert(http.get("URL/pieces", { stream = true })) local out = { r.status, r.headers["Transfer-Encoding"] } for p in r:pieces() do out[#out + 1] = p end return out');
    assert.equal(reply.value.slice(2).join(''), 'piece 0\npiece 1\npiece 2\npiece 3\npiece 4\n');
    assert.ok(reply.value.length > 4);
    reply = await ask('local r = assert(http.get("URL/pieces", { stream = true })) local n = 0 while true do local p, err = r:read() if not p then return { n, err == nil, r:read() == nil } end n = n + #p end');
    assert.deepEqual(reply.value, [40, true, true]);
    reply = await ask('local r = assert(http.get("URL/breaks", { stream = true })) r:read() return r:read()');
    assert.equal(reply.code, 'closed');
    reply = await ask('local r = assert(http.get("URL/breaks", { stream = true })) for p in r:pieces() do end');
    assert.match(reply.raised, /the connection ended before the reply did/);
    reply = await ask('return http.get("URL/500", { stream = true, expect = "2xx" })');
    assert.deepEqual([reply.code, reply.err_status], ['status', 500]);
    reply = await ask(`local r, err = http.get("URL/500", { stream = true, expect = "2xx" })
        local e = err.response
        local piece, why = e:read()
        return { e.status, e.url, e.headers["Connection"], #e:all_headers("connection"), tostring(piece), tostring(why), why.code }`);
    assert.deepEqual(reply.value, [500, `${up.url}/500`, 'keep-alive', 1, 'nil', 'GET the reply was not expected, so its transfer was ended', 'closed']);
    reply = await ask('for i = 1, 200 do local r, err = http.get("URL/500", { stream = true, expect = "2xx" }) if not err.response then return i end end return "all"');
    assert.equal(reply.value, 'all'); // none of them holds up those behind it
    reply = await ask('local r = http.get("URL/drip", { stream = true, timeout = "200ms" }) r:read() return r:read()');
    assert.equal(reply.code, 'timeout');
    reply = await ask('local r = http.get("URL/pieces", { stream = true }) r:close() return r:read()');
    assert.match(reply.raised, /has been closed/);
    reply = await ask('local r = http.get("URL/pieces", { stream = true }) return r.body');
    assert.match(reply.raised, /a streamed response has no body/);
    reply = await ask('local r = http.get("URL/pieces", { stream = true, max_body = 10 }) local n, p, err = 0 repeat p, err = r:read() until not p return nil, err');
    assert.equal(reply.code, 'too_large');
    assert.equal((await ask(`return http.get("http://127.0.0.1:${await nobody()}", { stream = true })`)).code, 'refused');
    await until(() => up.sockets.size <= 2, 'connections of streams that were left are closed');
});

test('a large reply goes through to a slow client in little memory', async (t) => {
    const size = 200 << 20;
    const chunk = Buffer.alloc(1 << 20, 'x');
    let sent = 0;
    const up = await plain(t, async (req, res) => {
        res.writeHead(200, { 'content-length': size, 'content-type': 'video/x' });
        const push = () => {
            while (sent < size) {
                sent += chunk.length;
                if (!res.write(chunk)) return res.once('drain', push);
            }
            res.end();
        };
        push();
        return true;
    });
    const server = await serve(t, { hooks: { 'through.lua': `return function()
        local r = assert(http.get("${up.url}/", { stream = true, expect = 200 }))
        return reply.stream(function(write) for piece in r:pieces() do write(piece) end end, { type = r.headers["content-type"], headers = { ["x-length"] = r.headers["content-length"] } })
    end` } });
    const worker = server.children('worker')[0];
    const rss = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${worker}/status`, 'utf8'))[1]) / 1024;
    await server.get('/through?warm').catch(() => {});
    sent = 0;
    const before = rss();
    let most = 0, got = 0;
    await new Promise((done, fail) => {
        import('node:http').then(({ default: http }) => http.get(`${server.url}/through`, (res) => {
            assert.equal(res.headers['content-type'], 'video/x');
            assert.equal(res.headers['x-length'], String(size));
            const timer = setInterval(() => { most = Math.max(most, rss()); }, 20);
            // slow at first: the host must be held back
            res.pause();
            setTimeout(() => {
                assert.ok(sent < 64 << 20, `${sent} bytes were taken from the host for a client that reads nothing`);
                res.resume();
            }, 500);
            res.on('data', (part) => { got += part.length; }).on('end', () => (clearInterval(timer), done())).on('error', fail);
        }).on('error', fail));
    });
    assert.equal(got, size);
    if (!process.env.CRESCENT_SANITIZE) assert.ok(most - before < 32, `${before} → ${most} MiB`);
});

test('who no longer waits ends the transfer: deadline, client gone, a failed stream', async (t) => {
    let closed = 0;
    const up = await plain(t, (req, res) => {
        req.socket.once('close', () => closed++);
        if (req.url === '/endless') {
            const timer = setInterval(() => res.write('x'.repeat(1000)), 5);
            res.on('close', () => clearInterval(timer));
        }
        return true;
    });
    const server = await serve(t, { hooks: {
        'late.lua': `return { methods = { "GET" }, timeout = "200ms", handle = function() http.get("${up.url}/silent", { timeout = "60s" }) return 200 end }`,
        'gone.lua': `return { methods = { "GET" }, on_disconnect = "cancel", handle = function() http.get("${up.url}/silent") return 200 end }`,
        'pipe.lua': `return function() local r = http.get("${up.url}/endless", { stream = true })
            return reply.stream(function(write) for p in r:pieces() do write(p) end end) end`,
        'fails.lua': `return function() local r = http.get("${up.url}/endless", { stream = true }) r:read() error "no" end`,
        'left.lua': `return function() local r = http.get("${up.url}/endless", { stream = true }) r:read() return 200 end`,
    } });
    assert.equal((await server.get('/late')).status, 504);
    await until(() => closed === 1, 'the host sees the end of the deadline');
    await assert.rejects(request(`${server.url}/gone`, { limit: 300 }));
    await until(() => closed === 2, 'the host sees that the client has gone');
    await new Promise((done) => import('node:http').then(({ default: http }) => {
        const req = http.get(`${server.url}/pipe`, (res) => res.once('data', () => (req.destroy(), done())));
        req.on('error', () => {});
    }));
    await until(() => closed === 3, 'the host sees that the stream\'s client has gone');
    assert.equal((await server.get('/fails')).status, 500);
    await until(() => closed === 4, 'the host sees that the script failed');
    assert.equal((await server.get('/left')).status, 200);
    await until(() => closed === 5, 'the host sees that nobody reads on', 30000);
});
