// http.*: what is sent again, and what is not: signatures, retries, circuits, turns. The hosts are node's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { ms, sleep, start, until } from './helper.mjs';
import { bare, lua, nobody, plain, runner } from './upstreams.mjs';

const serve = (t, options = {}) => start(t, { workers: 1, ...options, hooks: { 'run.lua': runner, ...options.hooks } });

test('sign: the specification\'s own library takes what is sent, at every attempt, with either of two secrets', async (t) => {
    const up = await plain(t, (req, res, body, me) => me.requests.length < 3 && (res.writeHead(503), res.end(), true));
    const server = await serve(t);
    const secrets = ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'];
    await lua(server, `return http.post("${up.url}/", { json = { type = "order.paid" }, sign = { scheme = "standard", secret = { "${secrets.join('","')}" } },
        retry = { attempts = 3, min = "10ms", idempotent = true } })`);
    assert.equal(up.requests.length, 3);
    for (const seen of up.requests)
        for (const secret of secrets)
            assert.deepEqual(new Webhook(secret).verify(seen.body, seen.headers), { type: 'order.paid' });
    assert.equal(new Set(up.requests.map((r) => r.headers['webhook-id'])).size, 1);
    assert.match(up.requests[0].headers['webhook-id'], /^msg_/);
    assert.throws(() => new Webhook('whsec_AAAA').verify(up.requests[0].body, up.requests[0].headers));
    await lua(server, `return http.post("${up.url}/", { body = "", sign = { scheme = "standard", secret = "${secrets[0].slice(6)}", id = "evt_1" } })`);
    const seen = up.requests.at(-1);
    assert.equal(seen.headers['webhook-id'], 'evt_1');
    assert.match(seen.headers['webhook-signature'], /^v1,[A-Za-z0-9+/]+=*$/);
    // and a receiver that is crescent
    const receiver = await serve(t, { hooks: { 'in.lua': `return { verify = verify.standard { secret = "${secrets[0]}" }, handle = function(req) return 200 end }` } });
    const reply = await lua(server, `return http.post("${receiver.url}/in", { json = { type = "x" }, sign = { scheme = "standard", secret = "${secrets[0]}" } })`);
    assert.equal(reply.status, 200);
});

test('retry: what failed on the way, and some statuses; Retry-After is honoured; what is not idempotent is not sent twice', async (t) => {
    const times = [];
    const up = await plain(t, (req, res, body, me) => {
        times.push(Date.now());
        if (req.url === '/after' && me.requests.length === 1) return res.writeHead(429, { 'retry-after': '1' }), res.end(), true;
        if (req.url === '/date' && me.requests.length === 1) return res.writeHead(503, { 'retry-after': new Date(Date.now() + 2000).toUTCString() }), res.end(), true;
        const far = { '/far': '3000', '/farther': '1000000001', '/farthest': '9'.repeat(40), '/never': 'Fri, 31 Dec 9999 23:59:59 GMT' }[req.url];
        if (far !== undefined) return res.writeHead(503, { 'retry-after': far }), res.end(), true;
        if (req.url === '/down') return res.writeHead(502), res.end('down'), true;
        if (req.url === '/break' && me.requests.length < 3) return res.socket.destroy(), true;
        if (req.url === '/slow') return true;
    });
    const server = await serve(t);
    const ask = async (text) => {
        up.requests.length = times.length = 0;
        return lua(server, text.replaceAll('URL', up.url));
    };
    let reply = await ask('return http.get("URL/after", { retry = { min = "10ms" } })');
    assert.equal(reply.status, 200);
    assert.ok(times[1] - times[0] >= 1000, `${times[1] - times[0]}`);
    reply = await ask('return http.get("URL/date", { retry = { min = "10ms" } })');
    assert.equal(reply.status, 200);
    assert.ok(times[1] - times[0] >= 900, `${times[1] - times[0]}`);
    for (const far of ['far', 'farther', 'farthest', 'never']) { // it cannot wait that long: the reply as it is, at once
        reply = await ask(`return http.get("URL/${far}", { retry = { min = "10ms" } })`);
        assert.deepEqual([far, reply.status, up.requests.length], [far, 503, 1]);
    }
    await sleep(10);
    reply = await ask('return http.get("URL/down", { retry = { attempts = 4, min = "1ms" }, timeout = "9s" })');
    assert.deepEqual([reply.status, reply.body, up.requests.length], [502, 'down', 4]);
    reply = await ask('return http.get("URL/down", { retry = { attempts = 2, min = "1ms" }, expect = "2xx" })');
    assert.deepEqual([reply.code, reply.err_status, reply.attempts, up.requests.length], ['status', 502, 2, 2]);
    assert.match(reply.words, /after 2 attempts/);
    reply = await ask('return http.post("URL/down", { retry = { attempts = 4, min = "1ms" } })');
    assert.deepEqual([reply.status, up.requests.length], [502, 1]);
    reply = await ask('return http.post("URL/down", { retry = { attempts = 4, min = "1ms", statuses = { 502 }, idempotent = true }, body = "same" })');
    assert.deepEqual([reply.status, up.requests.map((r) => r.body)], [502, ['same', 'same', 'same', 'same']]);
    reply = await ask('return http.get("URL/break", { retry = { attempts = 3, min = "1ms" } })');
    assert.deepEqual([reply.status, up.requests.length], [200, 3]);
    reply = await ask('return http.post("URL/break", { retry = { attempts = 3, min = "1ms" } })');
    assert.deepEqual([reply.code, up.requests.length], ['closed', 1]);
    reply = await ask('return http.get("URL/slow", { retry = { attempts = 3, min = "1ms", timeout = "150ms" } })');
    assert.deepEqual([reply.code, reply.attempts], ['timeout', 3]);
    const port = await nobody();
    reply = await lua(server, `return http.post("http://127.0.0.1:${port}/", { retry = { attempts = 3, min = "1ms" } })`); // nothing was sent
    assert.deepEqual([reply.code, reply.attempts], ['refused', 3]);
    // the whole is bounded by timeout
    const begun = Date.now();
    reply = await lua(server, `return http.get("http://127.0.0.1:${port}/", { retry = { attempts = 20, min = "100ms" }, timeout = "400ms" })`);
    assert.ok(reply.attempts < 8 && Date.now() - begun < ms(2000), JSON.stringify(reply));
});

test('retry: a Retry-After is for the call that gets it: no other one to that host waits', async (t) => {
    const up = await plain(t, (req, res) => req.url === '/busy' && (res.writeHead(429, { 'retry-after': '10' }), res.end(), true));
    const server = await serve(t);
    const get = (where, timeout) => lua(server, `return http.get("${up.url}${where}", { retry = { min = "1ms" }, timeout = "${timeout}" })`);
    assert.equal((await get('/busy', '8s')).status, 429); // that long it cannot wait
    const begun = Date.now();
    assert.equal((await get('/', '19s')).status, 200);
    assert.ok(Date.now() - begun < ms(5000), `${Date.now() - begun}`);
    assert.deepEqual(up.requests.map((r) => r.url), ['/busy', '/']);
});

test('a host that fails again and again is left alone, then tried again', async (t) => {
    const server = await serve(t);
    const port = await nobody();
    const codes = [];
    for (let i = 0; i < 12; i++) codes.push((await lua(server, `return http.get("http://127.0.0.1:${port}/")`)).code);
    assert.deepEqual(codes, [...Array(10).fill('refused'), 'circuit_open', 'circuit_open']);
    const up = await bare(t, (socket) => socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')));
    assert.equal((await lua(server, `return http.get("${up.url}")`)).status, 200); // another host has nothing to do with it
    await until(async () => (await lua(server, `return http.get("http://127.0.0.1:${port}/")`)).code === 'refused', 'a probe');
    assert.equal((await lua(server, `return http.get("http://127.0.0.1:${port}/")`)).code, 'circuit_open');
});

test('concurrency: at most so many at once, the others in turn', async (t) => {
    let now = 0, most = 0;
    const up = await plain(t, async (req, res) => {
        most = Math.max(most, ++now);
        await sleep(20);
        now--;
        res.end('x');
        return true;
    });
    const server = await serve(t, { hooks: { 'one.lua': `return function() return assert(http.get("${up.url}/", { concurrency = 3 })).body end` } });
    const replies = await Promise.all(Array.from({ length: 30 }, () => server.get('/one')));
    assert.ok(replies.every((r) => r.text === 'x'));
    assert.equal(most, 3);
    // who waits for a turn waits within its own time
    await lua(server, `return http.get("${up.url}/")`);
    const [slow, reply] = await Promise.all([lua(server, `return http.get("${up.url}/", { concurrency = 1 })`),
        sleep(5).then(() => lua(server, `return http.get("${up.url}/", { concurrency = 1, timeout = "5ms" })`))]);
    assert.equal(slow.status, 200);
    assert.equal(reply.code, 'timeout');
});
