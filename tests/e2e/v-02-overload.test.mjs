// Past what it can do the server says so at once, and serves again as soon as it can.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { many, odd } from './attack/floods.mjs';
import { Attacker, get, INITIAL_WINDOW, setting } from './attack/frames.mjs';
import { assertProblem, folder, load, ms, request, request2, session, sleep, start, until } from './helper.mjs';

const FREE = 'return { methods = { "GET" }, handle = function() return "free" end }';

/** A server that scripts ask and that answers only when it is told: {url, waiting, release(n)}. */
async function gate(t) {
    const held = [];
    const server = http.createServer((req, res) => held.push(res));
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    t.after(() => { server.closeAllConnections(); server.close(); });
    return {
        url: `http://127.0.0.1:${server.address().port}/`,
        get waiting() { return held.length; },
        release(n) { for (const res of held.splice(0, n)) res.end('go'); },
    };
}
const held = (door) => `return { methods = { "GET", "POST" }, timeout = "60s", on_disconnect = "cancel", cors = "https://app.example.com", handle = function()
    return assert(http.get("${door.url}", { timeout = "60s" })).body end }`;

function assertRefused(reply) {
    assertProblem(reply, 503, /too much is under way/);
    assert.equal(reply.headers['retry-after'], '1');
}

/** One after the other, a request in each of `count` hands: so that none is refused for a place that another has. */
async function fill(server, door, count, send = () => request(`${server.url}/held`)) {
    const answers = [];
    for (let i = 0; i < count; i++) {
        const answer = send();
        answer.then?.(() => { answer.done = true; });
        answers.push(answer);
        await until(() => door.waiting === i + 1, `request ${i + 1} in its handler`, 20000);
    }
    return answers;
}

test('limits.requests: one more than that is refused at once, wherever it comes in; who leaves makes room', async (t) => {
    const door = await gate(t);
    const server = await start(t, { hooks: { 'held.lua': held(door), 'free.lua': FREE }, config: 'return { limits = { requests = 8 } }', workers: 3 });
    for (let i = 0; i < 20; i++) assert.equal((await server.get('/free')).status, 200); // they leave nothing behind
    const answers = await fill(server, door, 8);
    assert.equal(await server.metricSum('crescent_requests_under_way'), 8);
    const began = Date.now();
    for (let i = 0; i < 12; i++) {
        assertRefused(await server.get('/free'));
        assertRefused(await server.get('/held', { origin: 'https://app.example.com' }));
    }
    assert.ok(Date.now() - began < ms(5000));
    assert.equal((await server.get('/held', { origin: 'https://app.example.com' })).headers['access-control-allow-origin'], 'https://app.example.com');
    assert.equal(door.waiting, 8, 'no handler ran');
    // The operator's listener is not concerned.
    for (const target of ['/healthz', '/readyz', '/metrics']) assert.equal((await request(server.admin + target)).status, 200, target);
    assert.equal(await server.metric('crescent_overload_refused_total', 'cause="requests"'), 25);
    assert.equal(await server.metric('crescent_refused_total', 'reason="overloaded"'), 25);
    await server.said((r) => r.message === 'overloaded: new requests are refused' && r.too_many >= 1 && r.loop_lags === 0 && r.in_progress >= 9);
    await server.said((r) => r.message === 'request refused' && r.reason === 'overloaded' && r.endpoint === 'free');

    door.release(1);
    assert.equal((await Promise.race(answers)).text, 'go');
    await until(async () => (await server.get('/free')).status === 200, 'room for one', 1000);
    assert.equal(door.waiting, 7);
    door.release(4); // an answer may be with its client a moment before it counts no more: so not the last place
    await Promise.all([...Array(5)].map((_, i) => until(() => answers.filter((a) => a.done).length > i, 'five answers')));
    for (let i = 0; i < 20; i++) assert.equal((await server.get('/free')).status, 200);
    door.release(3);
    for (const reply of await Promise.all(answers)) assert.equal(reply.text, 'go');
});

test('streams of HTTP/2 are requests, and a client that leaves makes room', async (t) => {
    const door = await gate(t);
    const server = await start(t, { hooks: { 'held.lua': held(door), 'free.lua': FREE }, config: 'return { limits = { requests = 5 } }', workers: 2 });
    const one = await session(t, server.url), other = await session(t, server.url);
    const streams = [];
    await fill(server, door, 5, () => {
        const stream = one.request({ ':path': '/held' }).on('error', () => {});
        streams.push(stream);
        return stream;
    });
    for (const client of [one, other]) assertRefused(await request2(client, '/free'));
    streams[0].close(http2Cancel);
    await until(async () => (await request2(other, '/free')).status === 200, 'room for one');
    one.destroy();
    await until(async () => (await server.metricSum('crescent_requests_under_way')) === 0, 'all have left');
    assert.equal((await request2(other, '/free')).text, 'free');
});
const http2Cancel = 8;

test('a streamed answer is in progress until its end', async (t) => {
    const server = await start(t, {
        hooks: { 'sse.lua': 'return { methods = { "GET" }, handle = function() return reply.sse(function(send) send "one" sleep(60) end) end }', 'free.lua': FREE },
        config: 'return { limits = { requests = 3 } }',
    });
    const open = () => new Promise((done, fail) => {
        const req = http.get(`${server.url}/sse`, { agent: false }, (res) => res.once('data', () => done(res)).on('error', () => {})).on('error', fail);
        t.after(() => req.destroy());
    });
    const listeners = [await open(), await open(), await open()];
    assertRefused(await server.get('/free'));
    listeners[0].destroy();
    await until(async () => (await server.get('/free')).status === 200, 'room for one', 10000);
});

for (const [what, target, config] of [
    ['that are refused', '/nosuch', 'requests = 150'],
    ['of scripts', '/free', 'requests = 150'],
    ['that are too many for their connection, and keep others waiting', '/page', 'requests = 150, answers = "64KiB"'],
]) {
    test(`answers ${what}, at windows that stay closed: nobody else is refused, and their connections are cut soon`, async (t) => {
        const hooks = { 'free.lua': FREE, 'page.lua': 'return { methods = { "GET" }, on_disconnect = "cancel", handle = function() return ("x"):rep(40000) end }' };
        const server = await start(t, { hooks, config: `return { limits = { ${config} } }`, workers: 1 });
        const attackers = await Promise.all([...Array(4)].map(() => Attacker.open(t, server.port, { settings: setting(INITIAL_WINDOW, 0) })));
        for (const a of attackers) await a.send(many(100, (i) => get(odd(i), target)));
        await until(async () => await server.metric('crescent_requests_by_version_total', 'version="2"') === 400, 'all have asked');
        assert.equal(await server.metric('crescent_requests_in_progress'), 0);
        assert.equal((await server.get('/free')).text, 'free');
        for (const a of attackers) await a.ended('a window that stays closed', ms(6000)); // limits.stall_time is half a minute
        assert.equal(await server.metric('crescent_connections_cut_total', 'reason="stall_time"'), 4);
        await until(async () => await server.metric('crescent_requests_under_way') === 0, 'they have left');
        assert.equal(await server.metric('crescent_overload_refused_total', 'cause="requests"'), 0);
    });
}

test('streams that wait at closed windows are in progress: their connections are cut as soon as others are refused', async (t) => {
    const hooks = { 'free.lua': FREE, 'stream.lua': 'local text = ("x"):rep(65536) return function() return reply.stream(function(write) for i = 1, 10 do write(text) end end) end' };
    const server = await start(t, { hooks, config: 'return { limits = { requests = 50 } }', workers: 1 });
    const a = await Attacker.open(t, server.port, { settings: setting(INITIAL_WINDOW, 0) });
    await a.send(many(100, (i) => get(odd(i), '/stream')));
    await until(async () => await server.metric('crescent_overload_refused_total', 'cause="requests"') === 50, 'half of them refused');
    assertRefused(await server.get('/free'));
    await until(async () => (await server.get('/free')).status === 200, 'room', ms(6000));
    assert.equal(await server.metric('crescent_connections_cut_total', 'reason="stall_time"'), 1);
});

test('what a dead worker had in its hands counts no more', async (t) => {
    const door = await gate(t);
    const server = await start(t, { hooks: { 'held.lua': held(door), 'free.lua': FREE }, config: 'return { limits = { requests = 4 } }', workers: 2 });
    const answers = await fill(server, door, 4, () => request(`${server.url}/held`).catch((error) => error));
    assertRefused(await server.get('/free'));
    for (const pid of server.children('worker')) process.kill(pid, 'SIGKILL');
    for (const answer of await Promise.all(answers)) assert.ok(answer instanceof Error);
    await until(async () => {
        try {
            return (await server.get('/free')).status === 200;
        } catch {
            return false;
        }
    }, 'the next workers', 10000);
});

// A stretch of Lua of so many ms, and another after each wait.
const BURN = (n, times = 1, before = '') => `local function burn() local over = time.monotonic() + ${n / 1000} while time.monotonic() < over do end end
return { methods = { "GET" }, max_run = "5s", timeout = "60s", handle = function()
    ${before}
    for i = 1, ${times} do if i > 1 then sleep(0.01) end burn() end
    return "burnt" end }`;

for (const [what, burn] of [['requests that compute', BURN(60)], ['requests that compute and wait by turns', BURN(30, 10)]]) {
    test(`limits.lag: ${what} make the loop lag, and new ones are refused at once; the first one after them is served`, async (t) => {
        const server = await start(t, { hooks: { 'burn.lua': burn, 'free.lua': FREE }, config: 'return { limits = { lag = "250ms" } }', workers: 1 });
        const counts = {};
        const busy = load(`${server.url}/burn`, { connections: 40, limit: 60000, judge: (reply) => {
            counts[reply.status] = (counts[reply.status] ?? 0) + 1;
            return reply.status === 200 || (reply.status === 503 && reply.headers['retry-after'] === '1');
        }, pause: 20 });
        await until(() => counts[503] > 20 && counts[200] > 5, () => `both answers: ${JSON.stringify(counts)}`, 20000);
        const began = Date.now();
        for (const target of ['/healthz', '/readyz', '/metrics']) assert.equal((await request(server.admin + target)).status, 200, target);
        assert.ok(Date.now() - began < ms(2000), 'the admin listener is not held up');
        const { failures } = await busy.stop();
        assert.deepEqual(failures, []);
        assert.equal((await server.get('/free')).text, 'free');
        assert.equal((await server.get('/burn')).text, 'burnt');
        assert.ok(await server.metric('crescent_overload_refused_total', 'cause="lag"') >= counts[503]);
        assert.equal(await server.metric('crescent_overload_refused_total', 'cause="requests"'), 0);
        await server.said((r) => r.message === 'overloaded: new requests are refused' && r.loop_lags >= 1 && r.too_many === 0);
    });
}

test('limits.lag: what goes on after its waits makes the loop lag, too', async (t) => {
    const server = await start(t, { hooks: { 'burn.lua': BURN(30, 20, 'sleep(0.3)'), 'free.lua': FREE }, config: 'return { limits = { lag = "250ms" } }', workers: 1 });
    const all = Array.from({ length: 20 }, () => server.get('/burn')); // all are let in, before the first goes on
    let refused = 0, ended = false;
    const over = Promise.all(all).then((replies) => { ended = true; return replies; });
    while (!ended) {
        const reply = await server.get('/free');
        if (reply.status !== 200) assertRefused(reply);
        refused += reply.status === 503 && !ended;
    }
    for (const reply of await over) assert.equal(reply.text, 'burnt');
    assert.ok(refused >= 5, `${refused} were refused`);
    assert.equal((await server.get('/free')).text, 'free');
});

test('one long stretch is no lag, however long: who came meanwhile is served', async (t) => {
    const server = await start(t, { hooks: { 'burn.lua': BURN(1500), 'free.lua': FREE }, config: 'return { limits = { lag = "250ms" } }', workers: 1 });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 20 });
    t.after(() => agent.destroy());
    const many = () => Promise.all(Array.from({ length: 20 }, () => request(`${server.url}/free`, { agent })));
    await many(); // connections that are there already
    const long = server.get('/burn');
    await sleep(ms(200));
    for (const reply of await many()) assert.equal(reply.text, 'free');
    assert.equal((await long).text, 'burnt');
    assert.equal(await server.metric('crescent_overload_refused_total', 'cause="lag"'), 0);
});

test('a generation that takes long to prepare is no lag', async (t) => {
    const slow = 'for i = 1, 3e5 do local x = tostring(i) end\n' + FREE;
    const hooks = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`s${i}.lua`, `-- 0\n${slow}`]));
    const server = await start(t, { hooks, config: 'return { limits = { lag = "20ms", max_run = "10s" } }', workers: 1, limit: 60000 });
    const steady = load(`${server.url}/s0`, { connections: 8, judge: (reply) => reply.status === 200, limit: 60000 });
    for (const name of Object.keys(hooks)) server.replace(name, `-- 1\n${slow}`);
    await server.said((r) => r.message === 'scripts live' && r.changed === 12, 'the next generation', 60000);
    await sleep(ms(500));
    const { failures } = await steady.stop();
    assert.deepEqual(failures.slice(0, 3), []);
});

// At a shared socket (unix:, and those of a service manager) who waits is not in the worker's loop yet.
for (const where of ['127.0.0.1:0', 'unix:']) {
    test(`a flood of new connections, each with a request, at ${where}: all get an answer, most of them at once`, async (t) => {
        const dir = folder(t), file = path.join(dir, 'x.sock'), unix = where === 'unix:';
        const server = await start(t, { dir, listen: [unix ? `unix:${file}` : where], hooks: { 'burn.lua': BURN(100) }, config: 'return { limits = { lag = "100ms" } }', workers: 1 });
        const one = () => new Promise((done) => {
            const began = Date.now();
            const socket = net.connect(unix ? { path: file } : { port: server.port, host: '127.0.0.1' }, () => socket.write('GET /burn HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n'));
            let text = '';
            socket.on('data', (part) => { text += part; }).on('error', () => {}).on('close', () => done({ status: text.slice(9, 12), took: Date.now() - began }));
        });
        const first = one(); // while it computes the others come
        await sleep(30);
        const answers = await Promise.all([first, ...Array.from({ length: 299 }, one)]);
        const by = (status) => answers.filter((a) => a.status === status);
        assert.equal(by('200').length + by('503').length, 300);
        assert.ok(by('200').length >= 2, `${by('200').length} were served`);
        assert.ok(by('503').length > 100, `${by('503').length} were refused`);
        assert.ok(Math.max(...answers.map((a) => a.took)) < ms(15000), 'served one after the other it is half a minute');
        assert.ok(await server.metric('crescent_overload_refused_total', 'cause="lag"') >= by('503').length);
    });
}

test('a few at a unix socket, too, each with a connection of its own, as from nginx', async (t) => {
    const dir = folder(t), socketPath = path.join(dir, 'x.sock');
    const server = await start(t, { dir, listen: [`unix:${socketPath}`], hooks: { 'burn.lua': BURN(300), 'free.lua': FREE }, config: 'return { limits = { lag = "200ms" } }', workers: 1 });
    const first = request('http://here/burn', { socketPath }); // while it computes the others come
    await sleep(100);
    const answers = await Promise.all([first, ...Array.from({ length: 11 }, () => request('http://here/burn', { socketPath }))]);
    const refused = answers.filter((a) => a.status !== 200);
    refused.forEach(assertRefused);
    assert.ok(refused.length >= 5 && refused.length <= 11, `${refused.length} were refused`);
    assert.equal((await request('http://here/free', { socketPath })).text, 'free');
    assert.ok(server.pid);
});

test('a unix socket at which somebody waits all the time, for a moment each: no lag', async (t) => {
    const dir = folder(t), socketPath = path.join(dir, 'x.sock');
    const server = await start(t, { dir, listen: [`unix:${socketPath}`], hooks: { 'free.lua': FREE }, config: 'return { limits = { lag = "400ms" } }', workers: 2 });
    const steady = load('http://here/free', { socketPath, fresh: true, connections: 32 });
    await sleep(ms(2500));
    const { failures, answers } = await steady.stop();
    assert.deepEqual(failures.slice(0, 3), []);
    assert.ok(answers > 50);
    assert.equal(await server.metric('crescent_overload_refused_total', 'cause="lag"'), 0);
});
