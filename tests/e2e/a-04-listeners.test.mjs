// Listeners beyond a TCP port of its own: unix sockets, sockets that a service manager hands over, the health listener;
// and what the manager is told. The clients are curl and plain sockets of node; the manager is sh and a few lines of python.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { binary, certificate, folder, ms, repository, request, run, sleep, start, tool, until } from './helper.mjs';

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

// --- sockets that are handed over ---

/** A listening socket that nobody accepts from here, for a child: {fd, at: port or path, close}. */
const listening = (where = { port: 0, host: '127.0.0.1' }) => new Promise((done, fail) => {
    const server = net.createServer().on('error', fail);
    const close = () => {
        const aside = `${where.path}.aside`; // node would remove the file
        if (where.path) fs.linkSync(where.path, aside);
        server.close();
        if (where.path) fs.renameSync(aside, where.path);
    };
    server.listen(where, () => done({ fd: server._handle.fd, at: where.path ?? server.address().port, close }));
});
/** As the manager starts it: LISTEN_PID is the process that becomes the server. */
const handOver = (count, names) => ['sh', '-c', `LISTEN_FDS=${count} LISTEN_PID=$$ ${names ? `LISTEN_FDNAMES=${names}` : ''} exec "$@"`, 'sh'];

test('sockets that are handed over serve by their names, in place of the default address', async (t) => {
    const dir = folder(t), pair = await certificate(dir);
    const sockets = [await listening(), await listening(), await listening({ path: path.join(dir, 'any') }), await listening(), await listening()];
    const server = await start(t, { hooks: { ...hooks, 'env.lua': 'return function() return 200, { env.LISTEN_FDS, env.LISTEN_PID, env.LISTEN_FDNAMES } end' },
        dir, listen: [], admin: '', args: pair.args, fds: sockets.map((s) => s.fd), prefix: handOver(5, 'http:https:crescent.socket:admin:health') });
    for (const one of sockets) one.close();
    const [plain, secure, any, admin, health] = sockets.map((s) => s.at);
    assert.deepEqual(server.urls, [`http://127.0.0.1:${plain}`, `https://127.0.0.1:${secure}`, `https://unix:${any}`]);
    assert.equal(server.admin, `http://127.0.0.1:${admin}`);
    assert.equal((await request(`http://127.0.0.1:${plain}/version`)).text, '1.1 http');
    assert.equal((await request(`https://127.0.0.1:${secure}/version`, { rejectUnauthorized: false })).text, '1.1 https');
    assert.equal(await curl(any, 'https://localhost/version', '--cacert', pair.cert), '2 https'); // no scheme: TLS, as there is a certificate
    assert.equal((await request(`http://127.0.0.1:${admin}/metrics`)).status, 200);
    assert.equal((await request(`http://127.0.0.1:${health}/readyz`)).status, 200);
    assert.equal((await request(`http://127.0.0.1:${health}/metrics`)).status, 404);
    // Nobody else sees them.
    for (const pid of [server.pid, ...server.children('')])
        assert.ok(pid === server.pid || !fs.readFileSync(`/proc/${pid}/environ`, 'latin1').includes('LISTEN_'), `environment of ${pid}`);
    assert.equal((await request(`http://127.0.0.1:${plain}/env`)).text, '{}'); // nothing in the table
    await server.stop();
    assert.ok(fs.existsSync(any), 'a path that is not its own stays');
});

test('beside a listen setting, sockets that are handed over serve too; without a name as well', async (t) => {
    const one = await listening();
    const server = await start(t, { hooks, fds: [one.fd], prefix: handOver(1) });
    one.close();
    assert.equal(server.urls.length, 2);
    for (const url of server.urls) assert.equal((await request(`${url}/version`)).text, '1.1 http');
    const again = new Set();
    for (let i = 0; i < 50; i++) again.add((await request(`${server.urls[1]}/hello`)).status);
    assert.deepEqual([...again], [200]);
});

test('who waits at a socket of the manager while the server is replaced is answered by the next', async (t) => {
    const dir = folder(t), go = path.join(dir, 'go'), one = await listening();
    const first = await start(t, { hooks, listen: [], fds: [one.fd], prefix: handOver(1) });
    // The next one holds the socket meanwhile, as the manager does.
    const waits = ['sh', '-c', `while [ ! -e ${go} ]; do sleep 0.02; done; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`, 'sh'];
    const next = start(t, { hooks, listen: [], fds: [one.fd], prefix: waits });
    await sleep(ms(100));
    one.close();
    assert.equal((await request(`${first.url}/hello`)).status, 200);
    await first.stop();
    const asked = Promise.all(Array.from({ length: 5 }, () => request(`${first.url}/hello`)));
    await sleep(ms(100));
    fs.writeFileSync(go, '');
    for (const answer of await asked) assert.equal(answer.status, 200);
    assert.equal((await next).url, first.url);
});

test('what is handed over and cannot serve is a clear error', async (t) => {
    const dir = folder(t), one = await listening();
    t.after(one.close);
    fs.mkdirSync(path.join(dir, 'hooks'));
    fs.writeFileSync(path.join(dir, 'file'), '');
    const file = fs.openSync(path.join(dir, 'file'), 'r');
    t.after(() => fs.closeSync(file));
    const connected = net.connect(one.at, '127.0.0.1');
    await new Promise((done) => connected.once('connect', done));
    t.after(() => connected.destroy());
    const fails = (script, fds, words, args = []) => new Promise((done, fail) => {
        const child = spawn('sh', ['-c', `${script} exec "$@"`, 'sh', binary, 'serve', '--admin', 'off', ...args],
            { cwd: dir, env: { PATH: process.env.PATH }, stdio: ['ignore', 'ignore', 'pipe', ...fds] });
        let text = '';
        child.stderr.on('data', (part) => { text += part; });
        child.on('close', (code) => {
            try {
                assert.equal(code, 1, text);
                assert.match(text, words);
                assert.equal(text.trim().split('\n').length, 1, text);
                done();
            } catch (error) { fail(error); }
        });
    });
    await fails('LISTEN_FDS=1 LISTEN_PID=1', [one.fd], /LISTEN_PID in the environment is 1, and this is process \d+/);
    await fails('LISTEN_FDS=1', [one.fd], /no LISTEN_PID/);
    await fails('LISTEN_FDS=1 LISTEN_PID=me', [one.fd], /LISTEN_PID.*expected a process id/);
    await fails('LISTEN_FDS=many LISTEN_PID=$$', [one.fd], /LISTEN_FDS.*expected a number/);
    await fails('LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=a:b', [one.fd], /2 names for 1 sockets/);
    await fails('LISTEN_FDS=2 LISTEN_PID=$$ LISTEN_FDNAMES=a:b', [one.fd], /descriptor 4 \("b"\).*not open/);
    await fails('LISTEN_FDS=1 LISTEN_PID=$$', [file], /descriptor 3.*no socket/);
    await fails('LISTEN_FDS=1 LISTEN_PID=$$', [connected._handle.fd], /descriptor 3.*does not listen/);
    await fails('LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=https', [one.fd], /needs a certificate/);
    await fails('LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=admin', [one.fd], /--admin: the setting admin, and a socket of that name was handed over/);
    const python = (type) => `exec python3 -c 'import os, socket, sys; s = socket.socket(socket.AF_INET, socket.${type}); s.bind(("127.0.0.1", 0)); os.dup2(s.fileno(), 3); os.set_inheritable(3, True); os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid())); os.execv(sys.argv[1], sys.argv[1:])' "$@"; :`;
    await fails(python('SOCK_DGRAM'), [], /descriptor 3.*no stream socket/);
    await fails(python('SOCK_STREAM'), [], /descriptor 3.*does not listen/);
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

// --- what the service manager is told ---

const EAR = `import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("bound", flush=True)
while True: print(repr(s.recv(4096).decode()), flush=True)`;

/** A fake NOTIFY_SOCKET: {path, messages: each an object of its assignments, with the time it came}. */
async function ear(t, dir) {
    const at = path.join(dir, 'notify'), messages = [];
    const child = spawn('python3', ['-c', EAR, at], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => child.kill());
    let rest = '', bound = false;
    child.stdout.setEncoding('utf8').on('data', (text) => {
        const lines = (rest + text).split('\n');
        rest = lines.pop();
        for (const line of lines) {
            if (line === 'bound') bound = true;
            else messages.push({ at: Date.now(), ...Object.fromEntries(line.slice(1, -1).split('\\n').map((pair) => pair.split('='))) });
        }
    });
    await until(() => bound, 'the ear');
    return { path: at, messages };
}

test('the service manager hears when it is ready, that it lives, and when it stops', async (t) => {
    const dir = folder(t), manager = await ear(t, dir);
    const server = await start(t, { hooks, dir, env: { NOTIFY_SOCKET: manager.path, WATCHDOG_USEC: '400000' } });
    const heard = (key) => manager.messages.filter((m) => key in m);
    await until(() => heard('READY').length === 1, 'READY=1');
    assert.equal(heard('READY')[0].MAINPID, String(server.pid));
    await until(() => heard('WATCHDOG').length >= 3, 'WATCHDOG=1');
    for (const pid of server.children(''))
        assert.doesNotMatch(fs.readFileSync(`/proc/${pid}/environ`, 'latin1'), /NOTIFY_SOCKET|WATCHDOG/);
    const hang = async (pids, what) => {
        for (const pid of pids) process.kill(pid, 'SIGSTOP');
        await sleep(ms(400));
        const before = heard('WATCHDOG').length;
        await sleep(ms(1200));
        assert.equal(heard('WATCHDOG').length, before, what);
        for (const pid of pids) process.kill(pid, 'SIGCONT');
        await until(() => heard('WATCHDOG').length > before, 'it lives again');
    };
    await hang([server.pid], 'a stopped supervisor gives no sign of life');
    process.kill(server.pid, 'SIGTERM');
    await until(() => heard('STOPPING').length === 1, 'STOPPING=1');
    assert.ok(Number(heard('STOPPING')[0].EXTEND_TIMEOUT_USEC) >= 30e6);
    await server.stop();
    assert.equal(heard('READY').length, 1);
});

test('a watchdog meant for another process, and no manager at all', async (t) => {
    const dir = folder(t), manager = await ear(t, dir);
    const server = await start(t, { hooks, dir, env: { NOTIFY_SOCKET: manager.path, WATCHDOG_USEC: '50000', WATCHDOG_PID: '1' } });
    await until(() => manager.messages.some((m) => m.READY), 'READY=1');
    await sleep(ms(300));
    assert.deepEqual(manager.messages.filter((m) => m.WATCHDOG), []);
    await server.stop();
    const deaf = await start(t, { hooks, env: { NOTIFY_SOCKET: path.join(dir, 'nobody') } });
    await deaf.said('cannot tell the service manager');
    assert.equal((await deaf.get('/hello')).status, 200);
});

test('the unit files in examples/ are what systemd reads, and fit each other', async (t) => {
    const read = (name) => fs.readFileSync(path.join(repository, 'examples', name), 'utf8');
    const value = (text, key) => [...text.matchAll(new RegExp(`^${key}=(.*)$`, 'mg'))].map((m) => m[1]);
    const service = read('crescent.service'), socket = read('crescent.socket');
    assert.deepEqual(value(service, 'Type'), ['notify']);
    assert.ok(value(socket, 'FileDescriptorName').every((name) => ['http', 'https', 'admin', 'health'].includes(name)));
    for (const text of [service, socket])
        for (const line of text.split('\n')) assert.match(line, /^($|#|\[[A-Z]\w+\]$|[A-Z]\w+=.)/, line);
    // What it starts is a command that this binary has, with flags it knows.
    const [command] = value(service, 'ExecStart');
    const help = await run(command.split(' ').slice(1, 2).concat('--help'));
    assert.equal(help.code, 0);
    for (const flag of command.match(/--[a-z-]+/g) ?? []) assert.ok(help.stdout.includes(flag), flag);
    if (await tool('sh', ['-c', 'command -v systemd-analyze || true']) !== '') {
        const dir = folder(t);
        for (const [name, text] of [['crescent.service', service], ['crescent.socket', socket]])
            fs.writeFileSync(path.join(dir, name), text.replace(/^ExecStart=\S+/m, 'ExecStart=/bin/true'));
        await tool('systemd-analyze', ['verify', path.join(dir, 'crescent.service')]);
    }
});
