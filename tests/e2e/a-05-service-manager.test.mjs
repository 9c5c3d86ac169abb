// Under a service manager: sockets that it hands over, and what it is told. The manager is sh and a few lines of python.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { load1, load2 } from './clients.mjs';
import { binary, certificate, folder, ms, repository, request, run, sleep, start, tool, until } from './helper.mjs';
import { holds, replaceBinary, startUpgradable, version } from './upgrade.mjs';

const hooks = {
    'hello.lua': 'return function() return "hello" end',
    'version.lua': 'return function(req) return req.version .. " " .. req.scheme end',
};

// --- sockets that are handed over ---

/** A listening socket that nobody accepts from here, for a child: {fd, at: port or path, close}. */
const listening = (where = { port: 0, host: '127.0.0.1' }) => new Promise((done, fail) => {
    const server = net.createServer().on('error', fail);
    const close = () => {
        if (where.path && !fs.existsSync(where.path)) return server.close();
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
    assert.equal(await tool('curl', ['-sS', '--unix-socket', any, 'https://localhost/version', '--cacert', pair.cert]), '2 https'); // no scheme: TLS, as there is a certificate
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

test('sockets that are handed over serve all along through upgrades with a changed binary; no descriptor is left behind', async (t) => {
    const dir = folder(t), sockets = [await listening(), await listening({ path: path.join(dir, 'any') }), await listening()];
    const [port, any, admin] = sockets.map((s) => s.at);
    const server = await startUpgradable(t, { hooks, dir, listen: [], admin: '', config: 'return { drain = "2s", log = { access = "off" } }',
        fds: sockets.map((s) => s.fd), prefix: handOver(3, 'http:crescent.socket:admin') });
    for (const one of sockets) one.close();
    const all = [load1(t, port, '/hello', { expect: 'hello', strict: true }), load1(t, port, '/hello', { expect: 'hello', strict: true, each: 1 }),
        load2(t, `http://127.0.0.1:${port}`, '/hello', { expect: 'hello' })];
    let held; // by the supervisor; for a moment one more may be on its way
    for (let round = 1; round <= 4; round++) {
        const before = server.children('worker');
        replaceBinary(server.program, version(`0.9.${round}`));
        const record = await server.upgrade();
        assert.deepEqual([record.message, record.version], ['upgrade: done', `0.9.${round}`], server.tail());
        assert.deepEqual([record.listen, record.admin], [server.urls, server.admin], 'the same addresses');
        assert.equal(fs.readlinkSync(`/proc/${server.pid}/exe`), server.program, 'the supervisor is of the new binary');
        assert.equal(await tool('curl', ['-sS', '--unix-socket', any, 'http://localhost/hello']), 'hello');
        assert.equal((await request(`http://127.0.0.1:${admin}/readyz`)).status, 200);
        await until(() => server.children('worker').every((pid) => !before.includes(pid)), () => `the old workers have left\n${server.tail()}`, 10000);
        held ??= holds(server).descriptors;
        await until(() => holds(server).descriptors <= held, () => `${holds(server).descriptors} descriptors in round ${round}, ${held} in the first`, 5000);
    }
    const results = await Promise.all(all.map((one) => one.stop()));
    assert.deepEqual(results.map((r) => [r.failures, r.refused]), results.map(() => [[], []]));
    assert.ok(results.every((r) => r.answers > 20), results.map((r) => r.answers).join());
    await server.stop();
    assert.ok(fs.existsSync(any), 'a path that is not its own stays');
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
    const fails = (script, fds, words, args = ['--admin', 'off']) => new Promise((done, fail) => {
        const child = spawn('sh', ['-c', `${script} exec "$@"`, 'sh', binary, 'serve', ...args],
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
    await fails('LISTEN_FDS=1 LISTEN_PID=$$', [one.fd], new RegExp(`listen: "127\\.0\\.0\\.1:${one.at}", and a socket .* handed over .*"inherited:3:any:127\\.0\\.0\\.1:${one.at}"`),
        ['--admin', 'off', '--listen', `127.0.0.1:${one.at}`]);
    const open = await listening({ path: path.join(dir, 'open') });
    t.after(open.close);
    fs.chmodSync(open.at, 0o666); // systemd's own default
    await fails('LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=admin', [open.fd], /others may write to .*SocketMode=0600, or admin_token/, []);
    await fails('LISTEN_FDS=2 LISTEN_PID=$$ LISTEN_FDNAMES=health:health', [one.fd, open.fd], /two sockets named health/);
    const python = (type) => `exec python3 -c 'import os, socket, sys; s = socket.socket(socket.AF_INET, socket.${type}); s.bind(("127.0.0.1", 0)); os.dup2(s.fileno(), 3); os.set_inheritable(3, True); os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid())); os.execv(sys.argv[1], sys.argv[1:])' "$@"; :`;
    await fails(python('SOCK_DGRAM'), [], /descriptor 3.*no stream socket/);
    await fails(python('SOCK_STREAM'), [], /descriptor 3.*does not listen/);
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

test('the service manager hears of every upgrade, and how it ended, refused ones too', async (t) => {
    const dir = folder(t), manager = await ear(t, dir);
    const server = await startUpgradable(t, { hooks: { 'hello.lua': 'return function() return "hello" end' }, dir, config: 'return { drain = "2s" }', env: { NOTIFY_SOCKET: manager.path, WATCHDOG_USEC: '400000' } });
    const told = () => manager.messages.filter((m) => m.RELOADING || m.READY);
    const upgrade = async () => {
        const before = told().length;
        const record = await server.upgrade();
        await until(() => told().length === before + 2, () => `${JSON.stringify(told())}`);
        const [begun, ended] = told().slice(before);
        assert.equal(begun.RELOADING, '1');
        assert.match(begun.MONOTONIC_USEC, /^\d+$/);
        assert.deepEqual([ended.READY, ended.MAINPID], ['1', String(server.pid)]);
        return [record.message, ended.STATUS];
    };
    await until(() => told().length === 1, 'READY=1');
    assert.deepEqual(await upgrade(), ['upgrade: done', 'serving version 0.1.0']);
    replaceBinary(server.program, version('0.9.9'));
    assert.deepEqual(await upgrade(), ['upgrade: done', 'serving version 0.9.9'], 'told by the new binary');
    fs.writeFileSync(path.join(dir, 'crescent.lua'), 'return { require_verify = true }');
    const [message, status] = await upgrade();
    assert.match(message, /refused: hello\.lua would no longer/);
    assert.match(status, /^serving version 0\.9\.9; the upgrade was refused: hello\.lua would no longer be served/);
    fs.writeFileSync(path.join(dir, 'crescent.lua'), 'return {');
    assert.match((await upgrade())[1], /the upgrade was refused: crescent\.lua/);
    const lives = manager.messages.filter((m) => m.WATCHDOG).length;
    await until(() => manager.messages.filter((m) => m.WATCHDOG).length > lives + 1, 'signs of life go on');
    for (const pid of server.children('')) assert.doesNotMatch(fs.readFileSync(`/proc/${pid}/environ`, 'latin1'), /NOTIFY_SOCKET|WATCHDOG|TAKEOVER/);
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

// --- the unit that comes with it ---

/** The system calls of a group, those of its groups among them. */
async function group(name) {
    const all = new Set();
    for (const line of (await tool('systemd-analyze', ['syscall-filter', name])).split('\n').slice(1).map((l) => l.trim())) {
        if (line.startsWith('@')) for (const one of await group(line)) all.add(one);
        else if (line && !line.startsWith('#')) all.add(line);
    }
    return all;
}

/** What the lines SystemCallFilter= of a unit leave (systemd.exec(5)): the first one names, ~ takes away, others add. */
async function allowed(unit) {
    const left = await group('@default');
    for (const [, not, words] of unit.matchAll(/^SystemCallFilter=(~?)(.*)$/gm))
        for (const word of words.split(' '))
            for (const name of word.startsWith('@') ? await group(word) : [word])
                not ? left.delete(name) : left.add(name);
    for (const name of ['execve', 'exit', 'exit_group', 'getrlimit', 'rt_sigreturn', 'sigreturn']) left.add(name); // always, as it says there
    return [...left].join();
}

const unitSkip = { skip: !fs.existsSync('/usr/bin/systemd-analyze') ? 'systemd-analyze is not installed'
    : process.env.CRESCENT_SANITIZE ? 'sanitizers make system calls of their own' : false };
test('within the system calls of its unit it serves, keeps, saves, starts programs and reloads', unitSkip, async (t) => {
    const dir = folder(t), filter = path.join(dir, 'unit'), program = path.join(dir, 'crescent');
    await tool('cc', ['-O1', '-o', filter, path.join(repository, 'tests/e2e/unit.c'), '-lseccomp']);
    fs.copyFileSync(binary, program); // where another user can start it
    let user = [];
    if (process.getuid() === 0) {
        fs.chmodSync(dir, 0o755);
        fs.chownSync(dir, 65534, 65534);
        user = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--bounding-set', '-all,+net_bind_service'];
    }
    const names = await allowed(fs.readFileSync(path.join(repository, 'examples/crescent.service'), 'utf8'));
    const server = await start(t, {
        dir, program, prefix: [...user, filter, names], config: 'return { files = "files", exec = { "true" } }',
        hooks: {
            'all.lua': `return { methods = { "POST" }, handle = function(req)
                kv.set("a", req.body)
                assert(req:save("b", { overwrite = true }))
                local ran = assert(exec { "true" })
                return 200, kv.get "a" .. " " .. ran.code
            end }`,
        },
    });
    const all = async () => assert.equal((await server.post('/all', 'x')).text, 'x 0', server.tail());
    await all();
    process.kill(server.pid, 'SIGHUP');
    await server.said('upgrade: done');
    await all();
    await server.stop();
});
