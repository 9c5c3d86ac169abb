// http.* and reply.proxy against hosts that hang: the script learns of it in time, the next upstream is asked, and only
// who had its time is blamed. What is taken is bounded before anything is sent. Nothing is sent twice that must not be.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import tls from 'node:tls';
import { test } from 'node:test';
import { frame } from './attack/frames.mjs';
import { authority } from './authority.mjs';
import { assertProblem, folder, ms, sleep, start, until } from './helper.mjs';
import { rawUpstream, upstream } from './proxied.mjs';
import { lua, nobody, plain, runner, secure } from './upstreams.mjs';

const serve = (t, options = {}) => start(t, { workers: 1, ...options, hooks: { 'run.lua': runner, ...options.hooks } });
const silent = (t) => plain(t, () => true);
const peak = (server) => Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${server.children('worker')[0]}/status`, 'utf8'))[1]) / 1024;

test('bodies are bounded before anything is sent, those that are kept for further attempts too', async (t) => {
    let held = [];
    const up = await plain(t, (req, res) => (held.push(res), true));
    // one body for all: what grows is what the client keeps of it
    const server = await serve(t, { config: 'return { limits = { lua_memory = "64MiB" } }', hooks: { 'push.lua': `
        local body = ("x"):rep(8 * 1024 * 1024)
        return { methods = { "GET" }, timeout = "60s", handle = function(req)
            local r, err = http.post("${up.url}/", { body = body, timeout = "40s", retry = req.query.retry and { attempts = 3, min = "1ms" } })
            return 200, r and "ok" or err.code .. " " .. tostring(err)
        end }` } });
    for (const query of ['', '?retry=1']) {
        held = [];
        up.requests.length = 0;
        let refused = 0;
        const replies = Array.from({ length: 60 }, () => server.get(`/push${query}`).then((r) => (refused++, r)));
        await until(() => refused >= 53 && held.length >= 7, () => `${refused} ended, ${held.length} sent`, 30000);
        for (const res of held) res.end('fine');
        const texts = (await Promise.all(replies)).map((r) => r.text);
        const fine = texts.filter((text) => text === 'ok').length;
        const busy = texts.filter((text) => /^busy POST .*no memory for the request/.test(text)).length;
        assert.equal(fine, 7, `${query}: ${texts.slice(0, 20)}`); // an eighth of the 64 MiB is for replies
        assert.equal(busy, 53, `${query}: ${texts.slice(0, 20)}`);
        assert.equal(up.requests.length, 7, 'who failed was not sent');
    }
    if (!process.env.CRESCENT_SANITIZE) assert.ok(peak(server) < 260, `${peak(server)} MiB`);
    const port = up.port;
    assert.equal((await lua(server, `return http.post("http://127.0.0.1:${port}/", { body = ("x"):rep(100), timeout = "100ms" })`)).code, 'timeout'); // the room is there again
});

test('without a timeout of its own a request leaves time to answer, and a host that hangs is left alone', async (t) => {
    const up = await silent(t);
    const server = await serve(t, { hooks: { 'ask.lua': `return { methods = { "GET" }, timeout = "2s", handle = function(req)
        local r, err = http.get("${up.url}/", { stream = req.query.stream == "1" or nil })
        return 200, err.code .. " " .. tostring(err)
    end }` } });
    const first = await server.get('/ask');
    assert.equal(first.status, 200);
    assert.match(first.text, /^timeout GET .*\(1\d\d\dms were spent waiting for a reply/);
    assert.match((await server.get('/ask?stream=1')).text, /^timeout/);
    await Promise.all(Array.from({ length: 8 }, () => server.get('/ask')));
    assert.match((await server.get('/ask')).text, /^circuit_open/);
});

test('a host that hangs until the endpoint\'s own end has failed as well; a client that leaves blames nobody', async (t) => {
    const up = await silent(t), other = await silent(t);
    const ask = (url) => `return { methods = { "GET" }, timeout = "1200ms", on_disconnect = "cancel", handle = function()
        local r, err = http.get("${url}/", { timeout = "60s" })
        return 200, err.code
    end }`;
    const server = await serve(t, { hooks: { 'hangs.lua': ask(up.url), 'left.lua': ask(other.url).replace('1200ms', '60s') } });
    const replies = await Promise.all(Array.from({ length: 10 }, () => server.get('/hangs')));
    for (const reply of replies) assertProblem(reply, 504, /did not answer in time/);
    assert.equal((await server.get('/hangs')).text, 'circuit_open');
    await Promise.all(Array.from({ length: 12 }, () => assert.rejects(server.request('/left', { limit: 1300 }))));
    await until(() => other.sockets.size === 0, 'they are cancelled');
    const reply = await lua(server, `return http.get("${other.url}/", { timeout = "50ms" })`);
    assert.equal(reply.code, 'timeout'); // it was asked
});

test('short timeouts of one script close no host to the others', async (t) => {
    const up = await plain(t, async (req) => { if (req.url === '/slow') await sleep(ms(60)); });
    const server = await serve(t);
    for (let i = 0; i < 15; i++) assert.equal((await lua(server, `return http.get("${up.url}/slow", { timeout = "5ms" })`)).code, 'timeout');
    assert.equal((await lua(server, `return http.get("${up.url}/")`)).status, 200);
    const stream = `local r = http.get("${up.url}/slow", { stream = true, timeout = "5ms" }) if r then r:close() end return r == nil`;
    for (let i = 0; i < 15; i++) assert.equal((await lua(server, stream)).value, true);
    assert.equal((await lua(server, `return http.get("${up.url}/")`)).status, 200);
});

test('a script that asks again whatever comes is ended by its timeout, and holds nobody up', async (t) => {
    const port = await nobody();
    const again = (call) => `return { methods = { "GET" }, timeout = "1s", handle = function() local r repeat r = ${call} until r return 200, "never" end }`;
    const server = await start(t, { workers: 1, config: `return { http_ports = { ${port} } }`, hooks: {
        'open.lua': again(`http.get("http://127.0.0.1:${port}/")`), 'url.lua': again('http.get("")'), 'port.lua': again('http.get("http://127.0.0.1:1/")'),
        'other.lua': 'return { methods = { "GET" }, handle = function() return 200, "here" end }' } });
    const [worker] = server.children('worker');
    for (const path of ['/open', '/url', '/port']) {
        let over = false;
        const reply = server.get(path).finally(() => { over = true; });
        for (let count = 0; !over; count++) {
            assert.equal((await server.get('/other')).text, 'here', `${path}: ${count}`);
            await sleep(50);
        }
        assertProblem(await reply, 504, /did not answer in time/);
    }
    assert.deepEqual(server.children('worker'), [worker]);
});

test('an upstream that hangs leaves time for the next one; what must not be sent twice is not', async (t) => {
    const hangs = await rawUpstream(t, () => {});
    const handshake = await rawUpstream(t, () => {});
    const good = await upstream(t, (req, res, body) => res.end(`good ${req.method} ${body}`));
    const script = (...urls) => `return { methods = { "GET", "POST" }, timeout = "2s", handle = function(req) return reply.proxy({ ${urls.map((u) => `"${u}"`).join(', ')} }) end }`;
    const server = await start(t, { workers: 1, hooks: {
        'two.lua': script(hangs.url, good.url), 'tls.lua': script(`https://127.0.0.1:${handshake.port}`, good.url), 'one.lua': script(hangs.url),
        'four.lua': script(hangs.url, `https://127.0.0.1:${handshake.port}`, `${hangs.url.replace('127.0.0.1', 'localhost')}`, good.url) } });
    /** The answer of the request that went to the bad upstream first. */
    const bad = async (target, options) => {
        for (let i = 0; i < 4; i++) {
            const before = await server.metricSum('crescent_upstream_failures_total');
            const answer = await server.request(target, options);
            if (await server.metricSum('crescent_upstream_failures_total') > before) return answer;
        }
        assert.fail(`${target}: the one that hangs was never asked`);
    };
    assert.equal((await bad('/two')).text, 'good GET ');
    assert.equal((await bad('/tls')).text, 'good GET ');
    assert.equal((await bad('/tls', { method: 'POST', body: 'x' })).text, 'good POST x'); // nothing was sent: it may go elsewhere
    const taken = good.asked.filter((a) => a.method === 'POST').length, sent = hangs.asked.length;
    const begun = Date.now();
    assertProblem(await bad('/two', { method: 'POST', body: 'x' }), 504, /did not answer in time/);
    assert.ok(Date.now() - begun >= 1900, 'it had all of the time');
    assert.equal(hangs.asked.length, sent + 1);
    assert.ok(good.asked.filter((a) => a.method === 'POST').length <= taken + 3);
    assertProblem(await server.get('/one'), 504, /did not answer in time/);
    assert.equal((await bad('/four')).text, 'good GET ');
});

test('a file of ca, cert or key that cannot be read is named, and is no fault of the host', async (t) => {
    const dir = folder(t);
    const ca = await authority(dir);
    const up = await secure(t, await ca.issue('up', { names: ['localhost'] }));
    const mine = await ca.issue('client', { names: ['me'] });
    // They are there before the start: a worker reads what it finds beside its secrets then (base/jail_places).
    fs.writeFileSync(path.join(dir, 'empty.pem'), '');
    fs.writeFileSync(path.join(dir, 'text.pem'), 'no certificate\n');
    fs.mkdirSync(path.join(dir, 'folder.pem'));
    const server = await serve(t, { dir });
    const options = { ca: ca.cert, cert: mine.cert, key: mine.key };
    const ask = (changes) => lua(server, `return http.get("${up.url}", { ${Object.entries({ ...options, ...changes }).map(([k, v]) => `${k} = "${v}"`).join(', ')} })`);
    for (const name of ['ca', 'cert', 'key'])
        for (const [file, why] of [['missing.pem', 'No such file or directory'], ['empty.pem', 'it is empty'], ['folder.pem', 'Is a directory']]) {
            const reply = await ask({ [name]: file });
            assert.equal(reply.code, 'tls', JSON.stringify(reply));
            assert.ok(reply.words.endsWith(`${up.url}: the file of '${name}' cannot be read (${path.join(dir, file)}: ${why})`), reply.words);
        }
    assert.match((await ask({ ca: 'text.pem' })).words, /no certificate can be read from 'ca' \(.*text\.pem/);
    for (const name of ['cert', 'key']) assert.match((await ask({ [name]: 'text.pem' })).words, /'cert' and 'key' cannot be used/);
    assert.equal((await ask({})).status, 200);
});

/** An HTTP/2 server by hand, over TLS: on(request) for each stream: {goaway(last), answer(status), destroy()}. It counts DATA and HEADERS. */
async function goodbyes(t, pair, on) {
    const seen = [];
    const sockets = new Set();
    const server = tls.createServer({ cert: fs.readFileSync(pair.cert), key: fs.readFileSync(pair.key), ALPNProtocols: ['h2'] }, (socket) => {
        let got = Buffer.alloc(0), preface = true;
        socket.on('error', () => {});
        socket.write(frame(4, 0, 0));
        socket.on('data', (part) => {
            got = Buffer.concat([got, part]);
            if (preface && got.length >= 24) {
                got = got.subarray(24);
                preface = false;
            }
            while (!preface && got.length >= 9 && got.length >= 9 + got.readUIntBE(0, 3)) {
                const length = got.readUIntBE(0, 3), type = got[3], flags = got[4], stream = got.readUInt32BE(5);
                got = got.subarray(9 + length);
                if (type === 4 && !(flags & 1)) socket.write(frame(4, 1, 0));
                if (type !== 0 && type !== 1) continue;
                if (type === 1) seen.push(stream);
                if (!(flags & 1)) continue; // END_STREAM: the request is whole
                on(seen.length, {
                    stream,
                    goaway: (last) => { const p = Buffer.alloc(8); p.writeUInt32BE(last, 0); socket.write(frame(7, 0, 0, p)); },
                    refuse: () => { const p = Buffer.alloc(4); p.writeUInt32BE(7, 0); socket.write(frame(3, 0, stream, p)); },
                    answer: () => { socket.write(frame(1, 4, stream, Buffer.from([0x88]))); socket.write(frame(0, 1, stream, Buffer.from('fine'))); },
                    destroy: () => socket.destroy(),
                });
            }
        });
    });
    server.on('connection', (socket) => { sockets.add(socket); socket.on('error', () => {}); });
    t.after(() => { for (const socket of sockets) socket.destroy(); server.close(); });
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    return { url: `https://localhost:${server.address().port}`, seen };
}

test('HTTP/2: a goodbye while a POST is under way: it is answered, or fails, and is never sent a second time', async (t) => {
    const dir = folder(t);
    const ca = await authority(dir);
    const pair = await ca.issue('up', { names: ['localhost'] });
    const server = await serve(t);
    const cases = {
        'it is still answered': [(s) => { s.goaway(s.stream); setTimeout(s.answer, ms(20)); }, 'ok'],
        'the connection ends after it': [(s) => { s.goaway(s.stream); setTimeout(s.destroy, ms(20)); }, 'closed'],
        // RFC 9113 6.8 would allow another one (it was not processed, if the host is honest); not to send it is safe
        'it says that it was not taken': [(s) => { s.goaway(0); setTimeout(s.destroy, ms(20)); }, 'closed'],
        'its stream is refused': [(s) => s.refuse(), 'closed'],
        'the connection ends': [(s) => s.destroy(), 'closed'],
    };
    for (const [what, [how, code]] of Object.entries(cases)) {
        const up = await goodbyes(t, pair, (count, s) => count === 1 ? how(s) : s.answer());
        const ask = (method, more) => lua(server, `return http.${method}("${up.url}/", { ca = "${ca.cert}", timeout = "10s" ${more} })`);
        const reply = await ask('post', ', body = "x", retry = { min = "1ms" }');
        assert.equal(reply.code ?? 'ok', code, `${what}: ${JSON.stringify(reply)}`);
        assert.equal(up.seen.length, 1, what);
        if (code !== 'ok') assert.ok(reply.words.length > 0);
        assert.equal((await ask('get', '')).body, 'fine', what); // on a new connection, where need be
    }
    // what may be repeated is, where that is asked for
    const up = await goodbyes(t, pair, (count, s) => count === 1 ? (s.goaway(0), setTimeout(s.destroy, ms(20))) : s.answer());
    const reply = await lua(server, `return http.put("${up.url}/", { ca = "${ca.cert}", timeout = "10s", body = "x", retry = { min = "1ms" } })`);
    assert.equal(reply.body, 'fine', JSON.stringify(reply));
    assert.equal(up.seen.length, 2);
});

test('status 101 is no reply; a redirect may break off behind its header', async (t) => {
    const server = await serve(t);
    const bytes = { '/switch': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n', '/half': 'HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 100\r\n\r\nhalf' };
    const up = await rawUpstream(t, (socket, text) => {
        const found = bytes[text.split(' ')[1]];
        if (found) socket.write(found, () => text.includes('/half') && socket.end());
        else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthere');
    });
    const reply = await lua(server, `return http.get("${up.url}/switch", { headers = { ["x-a"] = "b" } })`);
    assert.deepEqual([reply.code, /status 101/.test(reply.words)], ['bad_response', true], JSON.stringify(reply));
    const moved = await lua(server, `return http.get("${up.url}/half")`);
    assert.deepEqual([moved.status, moved.body, moved.url], [200, 'there', `${up.url}/there`], JSON.stringify(moved));
    assert.equal((await lua(server, `return http.get("${up.url}/half", { redirects = 0 })`)).code, 'closed');
});
