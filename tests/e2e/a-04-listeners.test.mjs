// Listeners that are no TCP port: unix sockets. The independent clients are curl and plain sockets of node.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { certificate, folder, ms, run, sleep, start, tool, until } from './helper.mjs';

const hooks = {
    'hello.lua': 'return { methods = { "GET", "POST" }, handle = function(req) return "hello " .. req.ip .. " " .. #req.body end }',
    'version.lua': 'return function(req) return req.version .. " " .. req.scheme end',
    'big.lua': 'return function() return 200, ("x"):rep(20 * 1024 * 1024) end',
    'wait.lua': 'return { methods = { "GET" }, on_disconnect = "cancel", timeout = "20s", handle = function() sleep "15s" return "late" end }',
    'late.lua': 'return function() sleep "400ms" return "late" end',
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

test('every worker accepts from it, and what one leaves the others take', async (t) => {
    const dir = folder(t), socket = path.join(dir, 's');
    const server = await start(t, { hooks: { 'who.lua': 'local me = crypto.random(8, "hex") return function() sleep "20ms" return me end' }, dir, listen: ['unix:s'], workers: 2 });
    const seen = new Set();
    await until(async () => {
        for (const one of await Promise.all(Array.from({ length: 16 }, () => ask(socket, '/who')))) seen.add(one.text);
        return seen.size === 2;
    }, 'answers of both workers');
    const [worker] = server.children('worker');
    process.kill(worker, 'SIGSTOP');
    t.after(() => { try { process.kill(worker, 'SIGCONT'); } catch { /* it has been replaced */ } });
    // One that the stopped worker took before it stopped has to wait; who comes now does not.
    for (let i = 0; i < 20; i++) assert.equal((await ask(socket, '/who')).status, 200);
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
    const second = await start(t, { hooks, dir, listen: ['unix:s'] });
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
