// Listeners beyond a TCP port: unix sockets, and the health listener. The clients are curl and plain sockets of node.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { certificate, folder, ms, raw, request, run, sleep, start, tool, until } from './helper.mjs';

const hooks = {
    'hello.lua': 'return { methods = { "GET", "POST" }, handle = function(req) return "hello " .. req.ip .. " " .. #req.body end }',
    'version.lua': 'return function(req) return req.version .. " " .. req.scheme end',
    'big.lua': 'return { methods = { "GET" }, max_run = "5s", handle = function() return 200, ("x"):rep(20 * 1024 * 1024) end }',
    'wait.lua': 'return { methods = { "GET" }, on_disconnect = "cancel", timeout = "20s", handle = function() sleep "15s" return "late" end }',
    'late.lua': 'return function() sleep "2s" return "late" end',
};
const curl = (socket, target, ...args) => tool('curl', ['-sS', '--max-time', '20', '--unix-socket', socket, ...args, target]);
/** A request over a unix socket: {status, text}, or its error code. */
const ask = (socketPath, target = '/hello', options = {}) => new Promise((done) => {
    http.get({ socketPath, path: target, agent: false, ...options }, (res) => {
        let text = '';
        res.on('data', (part) => { text += part; }).on('end', () => done({ status: res.statusCode, text }));
    }).on('error', (error) => done({ error: error.code }));
});

test('a unix socket: both versions of HTTP, large bodies, and req.ip', async (t) => {
    const dir = folder(t), socket = path.join(dir, 'run', 'crescent.sock');
    fs.mkdirSync(path.join(dir, 'run'));
    const server = await start(t, { hooks, dir, listen: ['unix:run/crescent.sock', '127.0.0.1:0'], config: 'return {}' });
    assert.equal(server.urls[0], `http://unix:${socket}`);
    assert.equal(fs.statSync(socket).mode & 0o7777, 0o666);
    assert.equal(await curl(socket, 'http://localhost/hello'), 'hello unix: 0');
    assert.equal(await curl(socket, 'http://localhost/version'), '1.1 http');
    assert.equal(await curl(socket, 'http://localhost/version', '--http2-prior-knowledge'), '2 http');
    const body = path.join(dir, 'body');
    fs.writeFileSync(body, 'x'.repeat(1 << 20));
    for (const version of ['--http1.1', '--http2-prior-knowledge']) {
        assert.equal(await curl(socket, 'http://localhost/hello', version, '--data-binary', `@${body}`), `hello unix: ${1 << 20}`);
        assert.equal((await curl(socket, 'http://localhost/big', version)).length, 20 << 20);
    }
    assert.equal(await tool('curl', ['-sS', `http://127.0.0.1:${new URL(server.urls[1]).port}/hello`]), 'hello 127.0.0.1 0');
    await server.stop();
    assert.ok(!fs.existsSync(socket), 'its file is gone with the server');
});

test('TLS over a unix socket', async (t) => {
    const dir = folder(t), pair = await certificate(dir), socket = path.join(dir, 's');
    await start(t, { hooks, dir, listen: ['https://unix:s'], args: pair.args });
    for (const [version, said] of [['--http1.1', '1.1 https'], ['--http2', '2 https']])
        assert.equal(await curl(socket, 'https://localhost/version', version, '--cacert', pair.cert), said);
});

test('every worker accepts from it, none much more than the others, and what one leaves the others take', async (t) => {
    const dir = folder(t), socket = path.join(dir, 's');
    const server = await start(t, { hooks: { 'who.lua': 'local me = crypto.random(8, "hex") return function() return me end' }, dir, listen: ['unix:s'], workers: 2 });
    const workers = new Set();
    // Connections that stay, as those of a proxy do. On a busy machine a worker may miss its turn, so there is more than one try.
    await until(async () => {
        const agent = new http.Agent({ keepAlive: true }), had = {};
        for (const one of await Promise.all(Array.from({ length: 40 }, () => ask(socket, '/who', { agent })))) had[one.text] = (had[one.text] ?? 0) + 1;
        agent.destroy();
        await sleep(ms(50));
        for (const worker of Object.keys(had)) workers.add(worker);
        return Object.values(had).length === 2 && Math.min(...Object.values(had)) >= 10;
    }, 'connections with both workers', 10000);
    assert.equal(workers.size, 2);
    const [worker] = server.children('worker');
    process.kill(worker, 'SIGSTOP');
    t.after(() => { try { process.kill(worker, 'SIGCONT'); } catch { /* it has been replaced */ } });
    for (let i = 0; i < 20; i++) assert.equal((await ask(socket, '/who')).status, 200);
    const agent = new http.Agent({ keepAlive: true });
    for (const one of await Promise.all(Array.from({ length: 20 }, () => ask(socket, '/who', { agent })))) assert.equal(one.status, 200);
    agent.destroy();
    process.kill(worker, 'SIGCONT');
});

test('after kill -9 the stale path makes way; a living server, and a file that is no socket, do not', async (t) => {
    const dir = folder(t), socket = path.join(dir, 's');
    const first = await start(t, { hooks, dir, listen: ['unix:s'] });
    await first.destroy();
    assert.ok(fs.existsSync(socket), 'left behind');
    const second = await start(t, { hooks, dir, listen: ['unix:s'] });
    assert.equal((await ask(socket)).text, 'hello unix: 0');
    const third = await run(['serve', second.hooks, '--listen', `unix:${socket}`, '--admin', 'off'], { cwd: dir });
    assert.equal(third.code, 1);
    assert.equal(third.stderr, `crescent: cannot listen on unix:${socket}: Address already in use\n`);
    assert.equal((await ask(socket)).text, 'hello unix: 0');
    fs.writeFileSync(path.join(dir, 'file'), 'precious');
    const fourth = await run(['serve', second.hooks, '--listen', 'unix:file', '--admin', 'off'], { cwd: dir });
    assert.equal(fourth.code, 1);
    assert.match(fourth.stderr, /^crescent: cannot listen on unix:.*\/file: there is a file that is no socket; it was not touched\n$/);
    assert.equal(fs.readFileSync(path.join(dir, 'file'), 'utf8'), 'precious');
    const long = await run(['serve', second.hooks, '--listen', `unix:${'x'.repeat(120)}`, '--admin', 'off'], { cwd: dir });
    assert.equal(long.code, 1);
    assert.match(long.stderr, /longer than a socket's may be \(107 bytes\)/);
});

test('the file of another server at the same path is left alone', async (t) => {
    const dir = folder(t), socket = path.join(dir, 's');
    const first = await start(t, { hooks, dir, listen: ['unix:s'] });
    fs.renameSync(socket, path.join(dir, 'aside'));
    const second = await start(t, { hooks, dir, listen: ['unix:s'], args: ['--store', 'sqlite:second.db'] });
    await first.stop();
    assert.equal((await ask(socket)).text, 'hello unix: 0');
    await second.stop();
    assert.ok(!fs.existsSync(socket));
});

test('a drain answers who has got in; who comes later is refused at once', async (t) => {
    const dir = folder(t), socket = path.join(dir, 's');
    const server = await start(t, { hooks, dir, listen: ['unix:s'] });
    const all = Promise.all(Array.from({ length: 30 }, () => ask(socket, '/late')));
    await sleep(100);
    process.kill(server.pid, 'SIGTERM');
    await until(() => !fs.existsSync(socket), 'the path is gone');
    assert.equal((await ask(socket)).error, 'ENOENT');
    for (const one of await all) assert.deepEqual(one, { status: 200, text: 'late' });
    await server.stop();
});

test('slow peers are cut, and a client that has gone cancels its request', async (t) => {
    const dir = folder(t), socket = path.join(dir, 's');
    const server = await start(t, { hooks, dir, listen: ['unix:s'],
        config: 'return { limits = { header_time = "600ms", body_time = "900ms", write_time = "900ms", idle_time = "1200ms" } }' });
    const say = (text) => {
        const client = net.connect(socket, () => client.write(text));
        client.on('error', () => {}).pause();
        t.after(() => client.destroy());
        return client;
    };
    say('GET /hello HTTP/1.1\r\nHost: x\r\nX-A: ');
    say('POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n');
    say('GET /hello HTTP/1.1\r\nHost: x\r\n\r\n');
    say('GET /big HTTP/1.1\r\nHost: x\r\n\r\n');
    for (const reason of ['header_time', 'body_time', 'idle_time', 'write_time'])
        await until(async () => await server.metric('crescent_connections_cut_total', `reason="${reason}"`) === 1, `one cut by ${reason}`, 10000);
    const waiting = say('GET /wait HTTP/1.1\r\nHost: x\r\n\r\n');
    await sleep(ms(300));
    const gone = await server.metric('crescent_requests_gone_total');
    waiting.destroy();
    await until(async () => await server.metric('crescent_requests_gone_total') === gone + 1, 'the request is cancelled');
});

test('a slow but steady reader gets it all', async (t) => {
    const dir = folder(t), socket = path.join(dir, 's');
    await start(t, { hooks, dir, listen: ['unix:s'], config: 'return { limits = { write_time = "900ms" } }' });
    const got = await new Promise((done, fail) => {
        let bytes = 0;
        const client = net.connect(socket, () => client.write('GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'));
        client.on('data', (part) => {
            bytes += part.length;
            client.pause();
            setTimeout(() => client.resume(), 8);
        }).on('end', () => done(bytes)).on('error', fail);
    });
    assert.ok(got > 20 << 20, `${got} bytes`);
});

// --- the health listener ---

test('the health listener: its two paths and nothing else, under any name, also of a new keeper, and while draining', async (t) => {
    const dir = folder(t);
    const server = await start(t, { hooks: { ...hooks, 'broken.lua': 'return {' }, dir, config: 'return { health = "127.0.0.1:0", admin_token = "secret" }' });
    const health = server.records('serving')[0].health;
    const ready = (url = health) => request(`${url}/readyz`).then((r) => [r.status, r.text.trim()], (error) => [error.code]);
    assert.match(health, /^http:\/\/127\.0\.0\.1:\d+$/);
    for (const name of ['/healthz', '/readyz'])
        assert.equal((await request(health + name, { headers: { host: 'balancer.example.com' } })).status, 200, name);
    for (const name of ['/', '/metrics', '/hello', '/healthz/x']) assert.equal((await request(health + name)).status, 404, name);
    const order = await run(['unquarantine', 'hello', '--admin', new URL(health).host], { env: { CRESCENT_TOKEN: 'secret' } });
    assert.deepEqual([order.code, order.stderr], [1, `crescent: ${new URL(health).host} is no crescent's admin listener: it answered with status 404\n`]);
    assert.equal((await request(`${health}/healthz`, { method: 'POST' })).status, 405);
    process.kill(server.children('keeper')[0], 'SIGKILL');
    await until(async () => (await ready())[0] === 200, 'a new keeper answers');
    const workers = server.children('worker');
    for (const pid of workers) process.kill(pid, 'SIGSTOP');
    for (const pid of workers) process.kill(pid, 'SIGKILL');
    await until(async () => (await ready())[0] === 200, 'ready again with new workers');
    const late = request(`${server.url}/late`);
    await sleep(ms(100));
    process.kill(server.pid, 'SIGTERM');
    await until(async () => (await ready()).join() === '503,draining', 'not ready while draining');
    assert.equal((await request(`${server.admin}/readyz`)).text, 'draining\n');
    assert.equal((await late).text, 'late');
});

test('more header fields than libh2o has room for are a 400 of the health and the admin listener, and their process lives', async (t) => {
    const server = await start(t, { hooks, config: 'return { health = "127.0.0.1:0" }' });
    const health = server.records('serving')[0].health, keepers = server.children('keeper');
    for (const url of [health, server.admin])
        for (const [count, status] of [[98, 200], [101, 400], [150, 400], [1000, 400], [10000, 400]]) {
            const { text } = await raw(new URL(url).port, `GET /healthz HTTP/1.1\r\nHost: ${new URL(url).host}\r\nConnection: close\r\n${'A: b\r\n'.repeat(count)}\r\n`, { limit: 8000 });
            assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `), `${count}`);
        }
    assert.deepEqual(server.children('keeper'), keepers);
});

test('whoever fills the health or the admin listener keeps nobody out who asks', async (t) => {
    const server = await start(t, { hooks, config: 'return { health = "127.0.0.1:0" }' });
    const health = server.records('serving')[0].health;
    const sockets = [];
    t.after(() => sockets.forEach((socket) => socket.destroy()));
    const fill = async (url, count) => {
        for (let i = 0; i < count; i++) {
            const socket = net.connect(new URL(url).port, '127.0.0.1');
            socket.on('error', () => {});
            sockets.push(socket);
            socket.write('GET /hea');
            if (i % 100 === 99) await once(socket, 'connect');
        }
    };
    const balancer = new http.Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => balancer.destroy());
    await fill(health, 500);
    assert.equal((await request(`${health}/healthz`, { agent: balancer })).status, 200);
    await fill(health, 900); // the first ones have waited longer than the balancer's connection
    for (const name of ['/healthz', '/readyz'])
        assert.equal((await request(health + name, { agent: balancer })).status, 200, name);
    assert.equal((await request(`${health}/readyz`)).status, 200, 'a newcomer');
    await fill(server.admin, 150);
    const count = async (name) => Number((await request(`${server.admin}/metrics`)).text.match(new RegExp(`^crescent_connections_cut_total\\{reason="${name}"\\} (\\d+)$`, 'm'))[1]);
    assert.ok(await count('health_connections') >= 400, 'counted');
    assert.ok(await count('admin_connections') >= 50, 'counted');
    const said = server.records('too many connections: those that waited longest are cut').map((r) => r.listener);
    assert.deepEqual([said.filter((name) => name === 'health').length >= 1, said.includes('admin'), said.length < 10], [true, true, true]);
});

test('health and admin on unix sockets: 0600 and no token for admin, both removed at the end', async (t) => {
    const dir = folder(t);
    const server = await start(t, { hooks, dir, admin: 'unix:admin', env: { CRESCENT_HEALTH: 'unix:health' } });
    const [admin, health] = ['admin', 'health'].map((name) => path.join(dir, name));
    assert.equal(server.admin, `http://unix:${admin}`);
    assert.equal(fs.statSync(admin).mode & 0o7777, 0o600);
    assert.equal(fs.statSync(health).mode & 0o7777, 0o666);
    assert.match(await curl(admin, 'http://whatever/metrics'), /crescent_requests_total/);
    assert.equal(await curl(health, 'http://whatever/readyz'), 'ok\n');
    assert.match(await curl(health, 'http://whatever/metrics'), /"status":404/);
    const late = request(`${server.url}/late`);
    await sleep(ms(100));
    process.kill(server.pid, 'SIGTERM');
    await until(async () => await curl(health, 'http://x/readyz') === 'draining\n', 'not ready while draining');
    await late;
    await server.stop();
    assert.ok(!fs.existsSync(admin) && !fs.existsSync(health));
});

test('addresses that cannot be are refused, with their origin', async (t) => {
    const dir = folder(t);
    fs.mkdirSync(path.join(dir, 'hooks'));
    const refused = async (config, words, env) => {
        fs.writeFileSync(path.join(dir, 'crescent.lua'), config);
        const done = await run(['serve', '--listen', '127.0.0.1:0'], { cwd: dir, env });
        assert.equal(done.code, 1, done.stderr);
        assert.match(done.stderr, words);
    };
    await refused('return {\n health = "https://127.0.0.1:0" }', /crescent\.lua:2: health: .*speaks plain HTTP/);
    await refused('return { health = 8082 }', /health: expected a string/);
    await refused('return { health = "127.0.0.1:8081" }', /also where admin listens/);
    await refused('return { admin = "unix:a", health = "unix:./a" }', /also where admin listens/);
    await refused('return {}', /CRESCENT_HEALTH: "nonsense"/, { CRESCENT_HEALTH: 'nonsense' });
    await refused('return { admin = "unix:@name" }', /abstract sockets are not supported/);
});
