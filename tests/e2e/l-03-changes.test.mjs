// What HUP can change while connections stay: workers, addresses, settings, folders, the log.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { heldBy, load1 } from './clients.mjs';
import { folder, ms, raw, request, sleep, until, write } from './helper.mjs';
import { startUpgradable } from './upgrade.mjs';

const hooks = { 'hello.lua': 'return function() return "hello" end' };
const all = (text = '') => `return { hooks = "hooks", admin = "127.0.0.1:0", drain = "2s", ${text} }`;
const local = 'listen = "127.0.0.1:0",';
/** HUP with another configuration; the record of its end, which must be "done". */
async function change(server, text) {
    write(server.dir, { 'crescent.lua': text });
    const record = await server.upgrade();
    assert.equal(record.message, 'upgrade: done', `${record.message}\n${server.tail()}`);
    return record;
}
const gone = (server, before) => until(() => server.children('worker').every((pid) => !before.includes(pid)), () => `the old workers have left\n${server.tail()}`, 10000);
/** Connections that no worker has taken up would get no answer. */
const many = (port, n) => Promise.all(Array.from({ length: n }, () => new Promise((done, fail) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write('GET /hello HTTP/1.1\r\nHost: a\r\n\r\n'));
    socket.setTimeout(ms(5000), () => fail(new Error('nobody answers'))).once('data', () => done(socket)).once('error', fail);
})));

test('workers two, three, one, two: every connection is served, and newcomers are spread', async (t) => {
    const server = await startUpgradable(t, { hooks, bare: true, config: all(`${local} workers = 2`) });
    const busy = load1(t, server.port, '/hello', { connections: 4, each: 5, expect: 'hello', strict: true });
    for (const workers of [3, 1, 4, 2]) {
        const before = server.children('worker');
        assert.equal((await change(server, all(`${local} workers = ${workers}`))).workers, workers);
        await gone(server, before);
        assert.equal(server.children('worker').length, workers);
        const sockets = await many(server.port, 60);
        const held = server.children('worker').map((pid) => heldBy(pid, server.port).size);
        for (const socket of sockets) socket.destroy();
        if (workers <= 2) assert.ok(held.every((n) => n >= 5), `of 60 connections: ${held}`); // as many as members, or fewer: each has its own
        assert.ok(held.reduce((a, b) => a + b) >= 60, `${held}`);
        assert.equal(await server.metric('crescent_workers') ?? workers, workers);
    }
    assert.deepEqual((await busy.stop()).failures, []);
    assert.deepEqual(busy.refused, []);
});

test('more workers than an address was bound for: connections that stay are spread over all of them', async (t) => {
    const server = await startUpgradable(t, { hooks, bare: true, config: all(`${local} workers = 1`) });
    // One after the other: at each knock all of them wake, and left to the kernel the same one would be the first.
    const spread = async () => {
        const sockets = [];
        for (let i = 0; i < 60; i++) sockets.push(await new Promise((done, fail) => {
            const socket = net.connect(server.port, '127.0.0.1', () => done(socket)).once('error', fail);
        }));
        await Promise.all(sockets.map((socket) => new Promise((done) => socket.once('data', done).write('GET /hello HTTP/1.1\r\nHost: a\r\n\r\n'))));
        const held = server.children('worker').map((pid) => heldBy(pid, server.port).size);
        for (const socket of sockets) socket.destroy();
        await sleep(ms(30)); // they know that these have gone
        return held;
    };
    for (const workers of [2, 4]) {
        const before = server.children('worker');
        await change(server, all(`${local} workers = ${workers}`));
        await gone(server, before);
        const rounds = [];
        for (let i = 0; i < 10; i++) rounds.push(await spread());
        // On a busy machine a worker misses some of its turns, of a millisecond each: it is the sum that counts.
        const shares = rounds[0].map((_, i) => rounds.reduce((sum, held) => sum + held[i], 0));
        assert.ok(rounds.every((held) => held.length === workers) && Math.min(...shares) >= 600 / workers / 4, `of 60 connections: ${rounds.join(' ')}`);
    }
});

test('an address goes and another comes: who waits at the old one is answered, later ones are refused; nobody is reset', async (t) => {
    const dir = folder(t), a = path.join(dir, 'a.sock'), b = path.join(dir, 'b.sock');
    const listen = (...extra) => all(`workers = 2, listen = { "127.0.0.1:0", ${extra.map((x) => `"${x}"`).join(', ')} }`);
    const free = net.createServer();
    await new Promise((done) => free.listen(0, '127.0.0.1', done));
    const port = free.address().port;
    await new Promise((done) => free.close(done));
    const server = await startUpgradable(t, { dir, hooks, bare: true, config: listen(`unix:${a}`) });
    const inode = fs.statSync(a).ino;
    const unix = (at) => new Promise((done, fail) => http.get({ socketPath: at, path: '/hello', agent: false }, (r) => { r.resume(); done(r.statusCode); }).on('error', fail));
    const steady = load1(t, server.port, '/hello', { connections: 2, each: 3, expect: 'hello', strict: true });
    const added = await change(server, listen(`unix:${a}`, `127.0.0.1:${port}`, `unix:${b}`));
    assert.equal(added.listen.length, 4);
    assert.equal((await request(`http://127.0.0.1:${port}/hello`)).text, 'hello');
    assert.deepEqual([await unix(a), await unix(b), fs.statSync(a).ino], [200, 200, inode], 'an address that stays has its socket still');

    // Newcomers all along, one connection each: none may be reset.
    const knocks = [];
    let running = true;
    const knocking = Promise.all(Array.from({ length: 4 }, async () => {
        while (running) {
            try {
                const reply = await raw(port, 'GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', { limit: 8000 });
                knocks.push(reply.text.startsWith('HTTP/1.1 200') ? 'answered' : `cut: ${JSON.stringify(reply.text)}`);
            } catch (error) {
                knocks.push(error.code);
                await sleep(10);
            }
        }
    }));
    await sleep(100);
    await change(server, listen(`unix:${a}`));
    await until(() => knocks.includes('ECONNREFUSED'), () => `refused in the end: ${[...new Set(knocks)]}`, 10000);
    running = false;
    await knocking;
    assert.deepEqual([...new Set(knocks)].sort(), ['ECONNREFUSED', 'answered'], `${[...new Set(knocks)]}`);
    assert.ok(knocks.indexOf('ECONNREFUSED') > knocks.lastIndexOf('answered') - 4, 'first served, then refused');
    assert.deepEqual([fs.existsSync(b), await unix(a), fs.statSync(a).ino], [false, 200, inode]);
    assert.deepEqual((await steady.stop()).failures, []);
});

test('a unix socket whose file has vanished is bound anew; a name for the numbers that are served is the same socket', async (t) => {
    const dir = folder(t), a = path.join(dir, 'a.sock');
    const listen = (...all) => `return { hooks = "hooks", admin = false, drain = "2s", workers = 2, listen = { ${all.map((x) => `"${x}"`).join(', ')} } }`;
    const server = await startUpgradable(t, { dir, hooks, bare: true, config: listen('127.0.0.1:0', `unix:${a}`), admin: false });
    const unix = () => new Promise((done, fail) => http.get({ socketPath: a, path: '/hello', agent: false }, (r) => { r.resume(); done(r.statusCode); }).on('error', fail));
    assert.equal(await unix(), 200);
    fs.rmSync(a);
    await change(server, listen('127.0.0.1:0', `unix:${a}`));
    assert.equal(await unix(), 200, 'it is there again');

    const free = net.createServer();
    await new Promise((done) => free.listen(0, '127.0.0.1', done));
    const port = free.address().port;
    await new Promise((done) => free.close(done));
    await change(server, listen(`127.0.0.1:${port}`));
    const steady = load1(t, port, '/hello', { connections: 2, each: 3, expect: 'hello' });
    for (const name of ['localhost', '127.0.0.1', 'localhost']) {
        const record = await change(server, listen(`${name}:${port}`));
        assert.ok(record.listen.includes(`http://127.0.0.1:${port}`), `${record.listen}`);
    }
    const { failures, answers } = await steady.stop();
    assert.deepEqual([failures, steady.refused], [[], []]);
    assert.ok(answers > 0);
});

test('settings of every source are new after it: limits, .env, the environment of scripts, the log, admin and health', async (t) => {
    const server = await startUpgradable(t, { hooks: { ...hooks, 'env.lua': 'local name = env.NAME return function() return name end', 'size.lua': 'return { methods = { "POST" }, handle = function(req) return { #req.body } end }' },
        bare: true, config: all(`${local} workers = 1, limits = { body = "1MiB" }`), dotenv: 'NAME=one\n' });
    assert.equal((await server.post('/size', 'x'.repeat(100000))).status, 200);
    assert.equal((await server.get('/env')).text, 'one');
    const old = server.admin, file = path.join(server.dir, 'log', 'crescent.log');
    fs.mkdirSync(path.dirname(file));
    write(server.dir, { '.env': 'NAME=two\n' });
    const record = await change(server, all(`${local} workers = 1, limits = { body = "10KiB" }, health = "127.0.0.2:0"`).replace('127.0.0.1:0"', 'localhost:0"'));
    assert.equal((await server.post('/size', 'x'.repeat(100000))).status, 413);
    assert.equal((await server.get('/env')).text, 'two');
    assert.equal((await request(`${record.health}/readyz`)).status, 200);
    assert.equal((await request(`${record.admin}/readyz`)).status, 200);
    await assert.rejects(request(`${old}/readyz`), { code: 'ECONNREFUSED' });
    server.admin = record.admin;

    // The log goes to a file, at another level, and back.
    write(server.dir, { 'crescent.lua': all(`${local} workers = 1, log = { file = "log/crescent.log", level = "error" }`) });
    const lines = () => fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim().split('\n') : [];
    const before = server.children('worker');
    process.kill(server.pid, 'SIGHUP');
    await gone(server, before);
    await sleep(ms(300));
    const [quiet, shown] = [lines().length, server.log.length];
    assert.equal((await server.get('/hello')).status, 200);
    server.replace('hello.lua', 'return function(');
    await until(() => lines().some((l) => l.includes('script broken')), 'an error in the file');
    assert.equal(server.log.length, shown, 'and nothing on stderr');
    assert.ok(!lines().slice(quiet).some((l) => l.includes('"request"')), 'of the level that is set');
    server.replace('hello.lua', hooks['hello.lua']);
    const back = await change(server, all(`${local} workers = 1`));
    assert.equal(back.workers, 1);
});

test('the directory it was started in is gone: what begins elsewhere is found all the same, what begins there is refused in words', async (t) => {
    const start = async (named) => {
        const dir = folder(t), here = fs.mkdtempSync(path.join(dir, 'here-'));
        write(here, { 'scripts/hello.lua': hooks['hello.lua'] });
        const server = await startUpgradable(t, { dir, hooks, bare: true, config: all(`${local} workers = 1`), prefix: ['sh', '-c', 'cd "$0" && exec "$@"', here],
            args: ['--config', path.join(dir, 'crescent.lua'), ...named] });
        assert.equal((await server.get('/hello')).text, 'hello');
        fs.rmSync(here, { recursive: true });
        return server;
    };
    const server = await start([]);
    for (const workers of [2, 1]) assert.equal((await change(server, all(`${local} workers = ${workers}`))).workers, workers);
    server.write({ 'hello.lua': 'return function() return "saved" end' });
    await until(async () => (await server.get('/hello')).text === 'saved', 'a save is live');

    const other = await start(['scripts']), record = await other.upgrade();
    assert.match(record.message, /^upgrade: refused: .*HOOKS.*scripts.*working directory.*No such file/);
    assert.equal((await other.get('/hello')).text, 'hello');
});

test('what is under way across it finishes, within `drain`; at its end what is left is cut', async (t) => {
    const server = await startUpgradable(t, { hooks: { ...hooks, 'slow.lua': 'return function() sleep "900ms" return "slow" end',
        'long.lua': 'return { timeout = "60s", handle = function() sleep "50s" return "long" end }',
        'take.lua': 'return { handle = function(req) return { size = #req.body } end }',
        'flow.lua': 'return function() return reply.stream(function(write) for i = 1, 20 do write(i .. " ") sleep "40ms" end end) end',
        'live.lua': 'return function() return reply.sse(function(send) for i = 1, 1000 do send(tostring(i)) sleep "50ms" end end) end' },
    bare: true, config: all(`${local} workers = 2`) });
    const before = server.children('worker');
    const slow = Promise.all(Array.from({ length: 6 }, () => server.get('/slow')));
    const idle = net.connect(server.port, '127.0.0.1');
    idle.write('GET /hello HTTP/1.1\r\nHost: a\r\n\r\n');
    let heard = '';
    idle.on('data', (part) => { heard += part; });
    await until(() => heard.endsWith('hello'), 'an answer before');
    // Half a body before, the other half after.
    const half = net.connect(server.port, '127.0.0.1');
    let taken = '';
    half.on('data', (part) => { taken += part; });
    half.write(`POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n${'x'.repeat(1000)}`);
    let events = '';
    const sse = raw(server.port, 'GET /live HTTP/1.1\r\nHost: a\r\n\r\n', { limit: 9000, enough: (text) => { events = text; return false; } });
    const flow = server.get('/flow');
    const long = request(`${server.url}/long`).then((r) => r.status, (error) => error.code);
    await until(() => events.includes('data: 3'), 'events before');
    const began = Date.now();
    await change(server, all(`${local} workers = 2, drain = "1500ms"`).replace('drain = "2s",', ''));
    half.write('y'.repeat(1000));
    await until(() => taken.endsWith('{"size":2000}'), () => `the body's answer: ${taken}`);
    for (const reply of await slow) assert.equal(reply.text, 'slow');
    heard = '';
    idle.write('GET /hello HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => heard.endsWith('hello'), () => `the next answer on the idle one: ${heard}`);
    assert.match(heard, /connection: close/i, 'which is its last');
    assert.match((await flow).text, /^1 2 .* 19 20 $/, 'a stream goes on to its end');
    assert.match((await sse).text, /data: 3\n[^]*\r\n0\r\n\r\n$/, 'who listens to events is told that they end here, and comes back');
    await gone(server, before);
    const took = Date.now() - began;
    assert.ok(took >= 1200 && took < 1500 + ms(6000), `${took} ms`);
    assert.notEqual(await long, 200, 'cut at the end of drain');
    assert.equal((await server.get('/hello')).text, 'hello');
});
