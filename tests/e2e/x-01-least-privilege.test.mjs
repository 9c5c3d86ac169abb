// What the processes may: they run as the user of the setting, in a jail of system calls and files; what a worker that
// was taken over tries is stopped; programs of `exec` run as from a shell; HUP still binds low ports and reads keys.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { authority, config as tlsConfig, entry } from './authority.mjs';
import { exec, runner, spawnerOf } from './exec.mjs';
import { folder, repository, request, run, start, tool, until, write } from './helper.mjs';
import { replaceBinary, startUpgradable, version } from './upgrade.mjs';

const root = process.getuid() === 0;
const sanitized = Boolean(process.env.CRESCENT_SANITIZE);
const needsRoot = { skip: root ? false : 'only root becomes another user' };
const nobody = 65534;

const status = (pid) => Object.fromEntries(fs.readFileSync(`/proc/${pid}/status`, 'latin1').trim().split('\n').map((line) => line.split(/:\s+/)));
const field = (pid, name) => status(pid)[name];
const uids = (pid) => field(pid, 'Uid').split(/\s+/).map(Number);

/** A folder that other users may look into; it is the user's own where that is said. */
function openFolder(t, owner) {
    const dir = folder(t);
    fs.chmodSync(dir, 0o755);
    if (owner !== undefined) fs.chownSync(dir, owner, owner);
    return dir;
}

/** A port below 1024 that nobody has. */
async function lowPort() {
    for (let port = 1023; port > 600; port--) {
        const free = await new Promise((done) => {
            const server = net.createServer().on('error', () => done(false)).listen(port, '127.0.0.1', () => server.close(() => done(true)));
        });
        if (free) return port;
    }
    throw new Error('no low port is free');
}

test('every process gives up what it can; programs of exec have nothing of it', async (t) => {
    const server = await start(t, { hooks: { 'run.lua': runner, 'hello.lua': 'return function() return "hello" end' } });
    for (const pid of [...server.children('worker'), ...server.children('keeper')]) {
        assert.deepEqual([field(pid, 'NoNewPrivs'), field(pid, 'Seccomp')], ['1', '2'], `process ${pid}`);
        assert.match(fs.readFileSync(`/proc/${pid}/limits`, 'latin1'), /Max core file size +0 +0 /);
    }
    const seen = await exec(server, ['cat', '/proc/self/status', '/proc/self/limits']);
    assert.equal(seen.ok, true, seen.words);
    assert.match(seen.stdout, /^NoNewPrivs:\s+0$/m);
    assert.match(seen.stdout, /^Seccomp:\s+0$/m);
    assert.match(seen.stdout, /^SigBlk:\s+0+$/m);
    assert.match(seen.stdout, /^SigIgn:\s+0+(180000000)?$/m, 'but for the C library\'s own two');
    assert.match(seen.stdout, /Max stack size +8388608 /);
    assert.match(seen.stdout, /Max open files +1024 /);
    const git = await exec(server, ['git', 'init', '-q', path.join(server.dir, 'cloned')]);
    assert.equal(git.ok, true, git.words);
    assert.equal(spawnerOf(server.children('worker')[0]) > 0, true);
});

/** Scripts whose requests make a worker do what one that was taken over would: /ask?name=execve, or /open where no requests go out; preload is for its environment. */
const takenOver = {
    'hello.lua': 'return function() return "hello" end',
    'kept.lua': 'return function() kv.set("a", 1) return "kept" end',
    'ask.lua': `return { methods = { "GET" }, handle = function(req)
        local reply, err = http.get("http://" .. req.query.name .. ".taken-over:1/", { timeout = "5s" })
        return reply and "answered" or err.code
    end }`,
    'open.lua': `return { methods = { "GET" }, handle = function(req)
        local file, err = io.open(req.query.name .. ".taken-over")
        return file and "done" or err
    end }`,
};
async function preload(dir) {
    const hook = path.join(dir, 'taken_over.so');
    await tool('cc', ['-O1', '-shared', '-fPIC', '-o', hook, path.join(repository, 'tests/e2e/attack/taken_over.c'), '-ldl']);
    return hook;
}
const traced = { skip: sanitized ? 'sanitizers trace and start programs themselves' : false };

test('what a worker that was taken over tries is stopped', traced, async (t) => {
    const dir = openFolder(t);
    const server = await start(t, { dir, env: { LD_PRELOAD: await preload(dir) }, hooks: takenOver, config: 'return { exec = false }' });
    const ask = async (name) => (await server.get(`/ask?name=${name}`)).text;
    assert.equal((await server.get('/kept')).status, 200);
    assert.ok(fs.existsSync(path.join(dir, 'crescent.db')));
    assert.equal(await ask('nothing'), 'refused', 'the hook is there: the name leads to a closed port');
    for (const name of ['shadow', 'store', 'configuration', 'hooks', 'local', 'sockets', 'bind', 'listen', 'chmod', 'supervisor', 'others'])
        assert.equal(await ask(name), 'dns', `${name} was refused`);
    assert.equal(server.records((r) => / died$/.test(r.message)).length, 0);
    assert.equal(fs.statSync(dir).mode & 0o777, 0o755);
    for (const name of ['execve', 'ptrace', 'fork', 'tiocsti']) {
        const before = server.records((r) => / died$/.test(r.message)).length;
        await assert.rejects(ask(name), `${name} ends its worker`);
        const record = await until(() => server.records((r) => / died$/.test(r.message))[before], `a death by ${name}`);
        assert.match(record.message, /^worker \d died$/);
        assert.equal(record.status, 'stopped by its jail: a forbidden system call');
        await until(() => server.children('worker').length === 2, 'the next worker');
        assert.equal((await server.get('/hello')).text, 'hello');
    }
});

/** A port that nobody has; for a server whose processes must know it before it starts. */
const freePort = () => new Promise((done) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => done(port)); });
});
const as = (user, url) => tool('setpriv', ['--reuid', user, '--regid', 'nogroup', '--clear-groups', 'curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', url]);

test('the user that scripts run as may not ask the admin listener', { skip: needsRoot.skip || traced.skip }, async (t) => {
    const dir = openFolder(t, nobody), port = await freePort();
    const server = await start(t, { dir, admin: `127.0.0.1:${port}`, workers: 1, env: { LD_PRELOAD: await preload(dir), TAKEN_OVER_ADMIN: String(port) },
        hooks: { ...takenOver, 'run.lua': runner }, config: 'return { user = "nobody" }' });
    assert.equal(server.records('does not tell whose').length, 0);
    const metrics = `${server.admin}/metrics`;
    assert.equal(await as('root', metrics), '200');
    assert.equal(await as('daemon', metrics), '200');
    assert.equal(await as('nobody', metrics), '403');
    assert.equal(await as('nobody', `${server.admin}/healthz`), '200', 'what the health listener tells anybody');
    assert.equal((await exec(server, ['curl', '-s', metrics])).stdout.includes('the user that scripts run as may not ask this'), true);
    assert.equal((await server.get('/ask?name=admin')).text, 'dns', 'a worker that was taken over');
    assert.equal((await server.get('/ask?name=listener')).text, 'dns', 'by a socket that is not its own'); // nobody knocks there any more
    assert.equal(server.records('the admin listener was asked by the user that scripts run as').length, 1, 'one line each ten seconds');
    assert.equal(await server.metric('crescent_admin_refused_total'), 4);
});

test('nor by a socket of an address that is served no more, while a worker may hold one', { skip: needsRoot.skip || traced.skip }, async (t) => {
    const dir = openFolder(t, nobody), admin = await freePort();
    const config = async () => `return { hooks = "hooks", user = "nobody", admin = "127.0.0.1:${admin}", listen = "127.0.0.1:${await freePort()}", workers = 2, drain = "60s" }`;
    const hooks = { 'late.lua': `return { methods = { "GET" }, timeout = "60s", handle = function(req)
        if not io.open("keep.taken-over") then return "keeps nothing" end
        while not io.open("files/" .. req.query.after) do sleep "20ms" end
        local reply, err = http.get("http://listener.taken-over:1/", { timeout = "5s" })
        return reply and "answered" or err.code
    end }` };
    const server = await startUpgradable(t, { dir, hooks, bare: true, env: { LD_PRELOAD: await preload(dir), TAKEN_OVER_ADMIN: String(admin) }, config: await config() });
    const old = server.children('worker');
    const late = ['first', 'second'].map((name) => request(`${server.url}/late?after=${name}`, { limit: 60000 }));
    const finish = async (i, name) => {
        assert.ok(server.children('worker').some((pid) => old.includes(pid)), 'a worker of the first address is there still');
        fs.writeFileSync(path.join(dir, 'files', name), '');
        assert.equal((await late[i]).text, 'dns', `${name}: it is refused\n${server.tail()}`);
    };
    await until(() => server.metric('crescent_requests_under_way').then((n) => n >= 2), 'both are under way');
    write(dir, { 'crescent.lua': await config() });
    replaceBinary(server.program, version('0.1.1')); // what the supervisor knows goes over the exec with it
    assert.equal((await server.upgrade()).version, '0.1.1', server.tail());
    const [keeper] = server.children('keeper');
    process.kill(keeper, 'SIGKILL');
    await until(() => server.records('keeper is back').length > 0, 'the next keeper');
    await finish(0, 'first');
    write(dir, { 'crescent.lua': await config() });
    assert.equal((await server.upgrade()).message, 'upgrade: done', server.tail());
    await finish(1, 'second');
});

test('connections go to the ports of http_ports alone', async (t) => {
    const dir = openFolder(t), port = await freePort(), away = await freePort(), preloaded = sanitized ? {} : { LD_PRELOAD: await preload(dir) };
    const other = net.createServer((socket) => socket.end('HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:' + away + '/\r\nContent-Length: 0\r\n\r\n'));
    await new Promise((done) => other.listen(0, '127.0.0.1', done));
    t.after(() => other.close());
    const hooks = { ...takenOver, 'get.lua': `return function(req)
        local reply, err = http.get(req.body, { timeout = "5s", redirects = 3 })
        return reply and tostring(reply.status) or err.code .. ": " .. tostring(err)
    end` };
    const get = async (server, url) => (await server.post('/get', url)).text;
    const env = { ...preloaded, TAKEN_OVER_ADMIN: String(port) };
    const url = `http://127.0.0.1:${other.address().port}/`, words = /^address_refused: .*the setting http_ports does not allow its port/;
    await t.test('a list', async (t) => {
        const server = await start(t, { dir, admin: `127.0.0.1:${port}`, env, hooks, config: `return { http_ports = { ${other.address().port}, 1 } }` });
        assert.equal(server.records('no rules for ports').length, 0);
        assert.match(await get(server, url), words, 'where a redirect leads is judged, too');
        assert.match(await get(server, url.replace(/:\d+/, `:${away}`)), words);
        assert.match(await get(server, 'http://no-such-host.invalid/'), words, 'the usual port; before any look-up');
        assert.match(await get(server, 'http://127.0.0.1:1/'), /^refused: /);
        for (const name of sanitized ? [] : ['reach', 'message', 'listeners-message'])
            assert.equal((await server.get(`/ask?name=${name}`)).text, 'dns', `a worker that was taken over: ${name}`);
        assert.equal((await server.get('/hello')).text, 'hello');
    });
    await t.test('false', async (t) => {
        const server = await start(t, { dir, admin: `127.0.0.1:${port}`, env: { ...env, CRESCENT_HTTP_PORTS: 'false' }, hooks });
        assert.match(await get(server, url), words);
        assert.match(await get(server, 'https://no-such-host.invalid/'), words);
        assert.equal((await server.get('/hello')).text, 'hello');
        assert.equal((await server.get('/kept')).text, 'kept');
        if (sanitized) return;
        assert.equal((await server.get('/open?name=nothing')).text, 'done', 'the hook is there');
        assert.match((await server.get('/open?name=listeners-message')).text, /Permission denied/, 'a worker that was taken over');
    });
});

/** Whether a process has the text somewhere in its memory. */
function remembers(pid, text) {
    const memory = fs.openSync(`/proc/${pid}/mem`, 'r'), wanted = Buffer.from(text);
    try {
        return fs.readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n').some((line) => {
            const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) r/.exec(line) ?? [];
            if (!from || /\[v(var|syscall)/.test(line)) return false;
            const room = Buffer.alloc(parseInt(to, 16) - parseInt(from, 16));
            try {
                fs.readSync(memory, room, 0, room.length, BigInt(`0x${from}`));
            } catch (error) {
                if (error.code !== 'EIO' && error.code !== 'EFAULT') throw error;
            }
            return room.includes(wanted);
        });
    } finally {
        fs.closeSync(memory);
    }
}

test('the admin token is no worker\'s', { skip: needsRoot.skip || traced.skip }, async (t) => {
    const dir = openFolder(t, nobody), token = 'fjord-lantern-9174', hooks = { 'run.lua': runner, 'hello.lua': 'return function() return env.WORD end',
        'environ.lua': 'return function() return io.open("/proc/self/environ"):read("*a") end' };
    const ask = async (server, given) => (await request(`${server.admin}/metrics`, { headers: { authorization: `Bearer ${given}` } })).status;
    for (const given of [{ env: { CRESCENT_ADMIN_TOKEN: token } }, { config: `return { admin_token = "${token}" }` }]) {
        const server = await start(t, { dir, hooks, dotenv: 'WORD=a-word-in-dot-env\n', ...given });
        assert.equal(await ask(server, token), 200);
        assert.equal(await ask(server, `${token}s`), 401);
        assert.equal((await server.get('/hello')).text, 'a-word-in-dot-env');
        assert.equal((await exec(server, ['env'])).stdout.includes(token), false);
        assert.equal((await server.get('/environ')).text.includes(token), false);
        assert.equal(remembers(server.children('keeper')[0], token), true, 'it is found where it is');
        for (const pid of server.children('worker')) {
            assert.equal(remembers(pid, 'a-word-in-dot-env'), true, 'and what a worker has');
            assert.equal(remembers(pid, token), false);
            assert.equal(remembers(spawnerOf(pid) ?? pid, token), false);
        }
        await server.stop();
        fs.rmSync(path.join(dir, 'crescent.lua'), { force: true });
    }
});

/** Becomes the command, at a terminal of its own, which somebody else reads until it is closed. */
const atTerminal = ['python3', '-c', `
import fcntl, os, sys, termios
master, slave = os.openpty()
if os.fork() == 0:
    if os.fork() != 0: os._exit(0)
    os.close(slave)
    os.setsid()
    try:
        while os.read(master, 65536): pass
    except OSError: pass
    os._exit(0)
os.wait()
os.close(master)
os.setsid()
fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
for fd in range(3): os.dup2(slave, fd)
os.close(slave)
os.execvp(sys.argv[1], sys.argv[1:])`];

test('started at a terminal, the processes have nothing of it but the log', async (t) => {
    const server = await start(t, { prefix: atTerminal, logFile: 'crescent.log', config: 'return { log = { file = "crescent.log" } }',
        hooks: { 'run.lua': runner } });
    const file = (pid, fd) => fs.readlinkSync(`/proc/${pid}/fd/${fd}`);
    const stat = (pid) => fs.readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ').map(Number);
    const session = (pid) => stat(pid)[3], terminal = (pid) => stat(pid)[4];
    const access = (pid, fd) => parseInt(/^flags:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'))[1], 8) & 3;
    assert.match(file(server.pid, 0), /^\/dev\/pts\/\d+$/);
    assert.notEqual(terminal(server.pid), 0, 'it is the terminal that a key of it reaches');
    const children = [...server.children('worker'), ...server.children('keeper')];
    for (const pid of [...children, ...server.children('worker').map(spawnerOf)]) {
        assert.equal(file(pid, 0), '/dev/null');
        assert.equal(file(pid, 1), '/dev/null');
        assert.equal(terminal(pid), 0, `process ${pid} has no terminal`);
        assert.notEqual(session(pid), session(server.pid));
        assert.equal(access(pid, 2), fs.constants.O_WRONLY, 'where words go cannot be read');
    }
    for (const pid of children) assert.equal(session(pid), pid, 'a session of its own');
    assert.match((await exec(server, ['sh', '-c', 'exec 2>&1; cat < /dev/tty || echo "no terminal"'])).stdout, /no terminal\n$/);
    // A key at it (Ctrl-C) is for the supervisor alone, which then ends the others in their turn.
    process.kill(-session(server.pid), 'SIGINT');
    await until(() => server.ended, 'its end');
    assert.deepEqual(server.ended, { code: 0, signal: null }, server.tail());
    assert.equal(server.records((r) => / died$/.test(r.message)).length, 0);
});

test('the setting user: ports below 1024, keys that only root reads, HUP', needsRoot, async (t) => {
    const dir = openFolder(t, nobody), port = await lowPort(), https = await lowPort();
    const ca = await authority(dir);
    const pair = await ca.issue('localhost');
    fs.chmodSync(pair.key, 0o600);
    fs.chownSync(pair.key, 0, 0);
    const server = await startUpgradable(t, { dir, config: tlsConfig([entry(pair)], 'user = "nobody"'),
        listen: [`http://127.0.0.1:${port}`, 'https://127.0.0.1:0'], hooks: {
            'run.lua': runner, 'kept.lua': 'return function() return "n" .. kv.incr "n" end', 'hello.lua': 'return function() return "hello" end',
            'saves.lua': 'return function(req) assert(req:save("a.bin", { overwrite = true })) return 201 end' } });
    assert.ok(https > 0);
    const check = async () => {
        for (const pid of [...server.children('worker'), ...server.children('keeper'), ...server.children('worker').map(spawnerOf)]) {
            assert.deepEqual(uids(pid), [nobody, nobody, nobody, nobody]);
            assert.equal(field(pid, 'CapEff'), '0000000000000000');
            assert.equal(field(pid, 'Groups').trim(), String(nobody));
        }
        const secure = server.urls.find((u) => u.startsWith('https:'));
        assert.equal((await request(`${secure}/hello`, { ca: fs.readFileSync(ca.cert), servername: 'localhost' })).text, 'hello');
        assert.equal((await server.get('/hello')).text, 'hello');
        assert.match((await server.get('/kept')).text, /^n\d$/);
        assert.equal((await server.post('/saves', 'x')).status, 201);
        assert.match((await exec(server, ['id', '-u'])).stdout, /^65534\n$/);
    };
    await check();
    const checkSupervisor = () => {
        const capabilities = BigInt(`0x${field(server.pid, 'CapPrm')}`);
        assert.equal(capabilities & ~0b1_0000_0000_0000_0000_0100_1110_1111n, 0n, `the supervisor keeps ${capabilities.toString(2)}`);
    };
    checkSupervisor();
    assert.equal((await server.upgrade()).message, 'upgrade: done', server.tail());
    await check();
    replaceBinary(server.program, version('0.1.1')); // an exec in place gives root everything again
    assert.equal((await server.upgrade()).version, '0.1.1', server.tail());
    await check();
    checkSupervisor();
    const file = path.join(dir, 'crescent.lua'), given = fs.readFileSync(file, 'utf8');
    write(dir, { 'crescent.lua': given.replace('user = "nobody"', '') }); // without it, all would be root's
    assert.match((await server.upgrade()).message, /^upgrade: refused: 'user' is not set any more \(it is "nobody"\)/);
    await check();
    write(dir, { 'crescent.lua': given });
    assert.equal((await server.upgrade()).message, 'upgrade: done', server.tail());
    await check();
    for (const kind of ['supervisor', 'keeper', 'worker'])
        await until(async () => await server.metric('crescent_open_descriptors', `process="${kind}"`) > 0, `what ${kind} has open`);
});

test('whoever has scripts run as root is told with each configuration; the first with a user takes it from all', needsRoot, async (t) => {
    const dir = openFolder(t, nobody), words = 'scripts run as root: the setting `user` names another user';
    const server = await startUpgradable(t, { dir, hooks: { 'hello.lua': 'return function() return "hello" end' }, config: 'return {}' });
    assert.equal(server.records(words).length, 1);
    assert.equal((await server.upgrade()).message, 'upgrade: done', server.tail());
    assert.equal(server.records(words).length, 2);
    const before = field(server.pid, 'CapPrm');
    for (const name of fs.readdirSync(dir).filter((name) => name.startsWith('crescent.db'))) fs.chownSync(path.join(dir, name), nobody, nobody);
    write(dir, { 'crescent.lua': 'return { user = "nobody" }' });
    assert.equal((await server.upgrade()).message, 'upgrade: done', server.tail());
    assert.equal(server.records(words).length, 2);
    await until(() => server.children('worker').every((pid) => uids(pid).every((uid) => uid === nobody)), 'the workers of root have left', 15000);
    assert.equal((await server.get('/hello')).text, 'hello');
    assert.notEqual(field(server.pid, 'CapPrm'), before, 'the supervisor gives up what it does not need');
});

test('hooks and files may be the folder of the secrets: scripts do not get them with it', { skip: sanitized ? 'sanitizers are in a wider jail' : false }, async (t) => {
    const dir = folder(t);
    write(dir, { 'site.lua': 'return { files = "." }', 'read.lua': 'return function(req) local file, err = io.open(req.body) return file and "read: " .. file:read("*a") or err end',
        'saves.lua': 'return function(req) assert(req:save("read.lua", { overwrite = true })) return 201 end' });
    const server = await start(t, { dir, hooks: dir, dotenv: 'SECRET_TOKEN=s\n', config: 'return {}', args: ['--config', 'site.lua'] });
    assert.match((await server.post('/read', path.join(dir, 'saves.lua'))).text, /^read: return function/);
    for (const name of ['.env', 'crescent.lua', 'site.lua', 'crescent.db'])
        assert.match((await server.post('/read', path.join(dir, name))).text, /Permission denied/, name);
    assert.equal((await server.post('/saves', 'return 1')).status, 500); // a new script would be the next thing to be saved
    assert.ok(server.records("nothing can be saved: the folder of 'files' holds what scripts must not reach").length > 0);
});

test('what is saved is never a script: a folder of files in that of the scripts, or around it, can only be read', { skip: sanitized ? 'sanitizers are in a wider jail' : false }, async (t) => {
    const saves = { 'saves.lua': 'return function(req) local ok, err = req:save(req.query.at) return tostring(err) end', 'read.lua': 'return { methods = { "GET" }, handle = function() return reply.file "page" end }' };
    for (const files of ['hooks/up', '.', 'hooks']) {
        const dir = folder(t);
        fs.mkdirSync(path.join(dir, 'hooks/up'), { recursive: true });
        write(path.join(dir, files), { page: 'a page' });
        const server = await start(t, { dir, workers: 1, hooks: saves, config: `return { files = "${files}" }` });
        assert.match((await server.post(`/saves?at=${files === '.' ? 'hooks/new.lua' : 'new.lua'}`, 'return function() return "taken over" end')).text, /Permission denied/);
        assert.equal((await server.get('/read')).text, 'a page');
        assert.equal(server.records('nothing can be saved: the folder of \'files\'').length, 1, server.tail());
    }
});

test('a user that cannot be, or cannot work, is told at the start', needsRoot, async (t) => {
    const dir = openFolder(t);
    write(dir, { 'hooks/hello.lua': 'return function() return "hello" end' });
    const refused = async (user, words, more = '') => {
        write(dir, { 'crescent.lua': `return { listen = "127.0.0.1:0", admin = false, user = ${user} ${more} }` });
        const { code, stderr } = await run(['serve'], { cwd: dir });
        assert.equal(code, 1, stderr);
        assert.match(stderr, words);
    };
    await refused('"no-such-user-here"', /crescent\.lua:1: user: there is no user "no-such-user-here"/);
    await refused('"nobody:no-such-group"', /there is no group "no-such-group"/);
    await refused('":root"', /expected NAME or NAME:GROUP/);
    await refused('7', /user: expected a string, got a number/);
    fs.chmodSync(path.join(dir, 'hooks'), 0o700);
    await refused('"nobody"', /user nobody: the hooks folder .*\/hooks: Permission denied/);
    fs.chmodSync(path.join(dir, 'hooks'), 0o755);
    write(dir, { '.env': 'A=1\n' });
    fs.chmodSync(path.join(dir, '.env'), 0o600);
    await refused('"nobody"', /user nobody: the file .*\/\.env: Permission denied/);
    fs.rmSync(path.join(dir, '.env'));
    await refused('"nobody"', /user nobody: the store's folder .*: Permission denied/, ', store = "sqlite:crescent.db"');
    fs.mkdirSync(path.join(dir, 'private'), { mode: 0o700 });
    await refused('"nobody"', /files folder .*\/private\/files \(crescent\.lua:1: files\): user nobody: Permission denied/, ', files = "private/files"');
    await refused('"nobody"', /files folder .*\/private \(crescent\.lua:1: files\): user nobody: Permission denied/, ', files = "private"');
    await refused('"nobody"', /files folder .*\/made \(crescent\.lua:1: files\): user nobody: Permission denied/, ', files = "made"');
    await refused('nil', /files folder .*\/none\/such \(crescent\.lua:1: files\): No such file or directory/, ', files = "none/such"');
    // An ordinary user may become nobody else.
    const program = path.join(dir, 'crescent');
    fs.copyFileSync(process.env.CRESCENT_BINARY ?? path.join(repository, 'build/release/crescent'), program);
    fs.chmodSync(program, 0o755);
    write(dir, { 'crescent.lua': 'return { listen = "127.0.0.1:0", admin = false, user = "daemon" }' });
    assert.throws(() => execFileSync('setpriv', ['--reuid', 'nobody', '--regid', 'nogroup', '--clear-groups', program, 'serve'], { cwd: dir, stdio: 'pipe', env: { PATH: process.env.PATH } }),
        (e) => e.status === 1 && /only root may start a server that becomes "daemon"/.test(e.stderr));
});

test('check and routes look at the folder as the user that the server becomes', needsRoot, async (t) => {
    const dir = openFolder(t), at = (name) => path.join(dir, 'hooks', name), good = 'return { handle = function() end }';
    write(dir, { 'hooks/a.lua': good, 'hooks/own.lua': good, 'hooks/sub/b.lua': good, 'hooks/_lib/m.lua': 'return {}' });
    const closed = { 'own.lua': 'Permission denied', sub: 'this folder cannot be read: Permission denied', _lib: 'this folder cannot be read: Permission denied' };
    for (const name of Object.keys(closed)) fs.chmodSync(at(name), 0o700);
    for (const command of ['check', 'routes']) {
        for (const config of ['return {}', 'return { user = "root" }', 'return { user = "no-such-user-here" }']) {
            write(dir, { 'crescent.lua': config });
            assert.equal((await run([command], { cwd: dir })).code, 0, config);
        }
        write(dir, { 'crescent.lua': 'return { user = "nobody" }' });
        const { code, stderr } = await run([command], { cwd: dir });
        assert.equal(code, 1);
        assert.deepEqual(stderr.trim().split('\n').sort(), Object.entries(closed).map(([name, why]) => `hooks/${name}:1: ${why}`).sort());
    }
});

test('a files folder that scripts cannot save to is told at the start and at HUP', needsRoot, async (t) => {
    const dir = openFolder(t), cannot = 'nothing can be saved in the folder of \'files\'';
    write(dir, { 'static/page.html': 'a page' });
    const server = await startUpgradable(t, { dir, workers: 1, config: 'return { user = "nobody" }', hooks: { 'saves.lua': 'return function(req) local _, err = req:save("a.bin") return tostring(err) end',
        'page.lua': 'return { methods = { "GET" }, handle = function() return reply.file("page.html") end }' } });
    const said = server.records(cannot)[0];
    assert.deepEqual([said?.level, said?.files, said?.error], ['warn', path.join(dir, 'files'), 'user nobody: Permission denied'], server.tail());
    assert.match((await server.post('/saves', 'x')).text, /Permission denied/);
    // One that can be read is good for what is read there.
    write(dir, { 'crescent.lua': 'return { user = "nobody", files = "static" }' });
    assert.equal((await server.upgrade()).message, 'upgrade: done', server.tail());
    assert.match((await server.said((r) => r.message === 'upgrade: the configuration was read with a warning', 'the warning')).words, new RegExp(`${cannot}.*static`));
    assert.equal((await server.get('/page')).text, 'a page');
    fs.mkdirSync(path.join(dir, 'own'));
    fs.chownSync(path.join(dir, 'own'), nobody, nobody);
    write(dir, { 'crescent.lua': 'return { user = "nobody", files = "own/made" }' });
    assert.equal((await server.upgrade()).message, 'upgrade: done', server.tail());
    assert.equal(server.records('read with a warning').length, 1);
    assert.equal((await server.post('/saves', 'x')).text, 'nil');
});

test('an ordinary user starts it, too', needsRoot, async (t) => {
    const dir = openFolder(t, nobody), program = path.join(dir, 'crescent');
    fs.copyFileSync(process.env.CRESCENT_BINARY ?? path.join(repository, 'build/release/crescent'), program);
    fs.chmodSync(program, 0o755);
    const server = await start(t, { dir, program, prefix: ['setpriv', '--reuid', 'nobody', '--regid', 'nogroup', '--clear-groups'],
        hooks: { 'run.lua': runner, 'kept.lua': 'return function() return "n" .. kv.incr "n" end' } });
    assert.equal((await server.get('/kept')).text, 'n1');
    assert.match((await exec(server, ['id', '-u'])).stdout, /^65534\n$/);
    for (const pid of server.children('worker')) assert.equal(field(pid, 'CapPrm'), '0000000000000000');
});

test('of an ordinary user\'s server, programs of exec read neither memory nor environment nor descriptors', { skip: needsRoot.skip || traced.skip }, async (t) => {
    const dir = openFolder(t, nobody), token = 'fjord-lantern-9174';
    const server = await startUpgradable(t, { dir, prefix: ['setpriv', '--reuid', 'nobody', '--regid', 'nogroup', '--clear-groups'], env: { CRESCENT_ADMIN_TOKEN: token },
        config: 'return {}', dotenv: 'WORD=a-word-in-dot-env\n', hooks: { 'run.lua': runner, 'hello.lua': 'return function() return env.WORD end', 'kept.lua': 'return function() return "n" .. kv.incr "n" end' } });
    const ask = async (argv) => { const seen = await exec(server, argv); return [seen.ok, seen.stdout, seen.stderr].join('\n'); };
    const check = async () => {
        assert.match(await ask(['id', '-u']), /^true\n65534\n/);
        assert.match(await ask(['sh', '-c', 'tr "\\0" "\\n" < /proc/$$/environ; ls /proc/$$/fd']), /^true\n(?:.*\n)*PATH=/, 'a program reads its own');
        const pids = { supervisor: server.pid, keeper: server.children('keeper')[0], worker: server.children('worker')[0] };
        assert.equal(remembers(pids.keeper, token), true, 'it is found where it is');
        for (const [name, pid] of Object.entries(pids)) {
            assert.deepEqual(uids(pid), [nobody, nobody, nobody, nobody]);
            for (const file of ['environ', 'mem', 'maps', 'fd/0'])
                assert.match(await ask(['cat', `/proc/${pid}/${file}`]), /^false\n\n.*Permission denied/, `${file} of the ${name}`);
            assert.match(await ask(['ls', `/proc/${pid}/fd/`]), /^false\n\n.*Permission denied/, name);
            const seen = await ask(['python3', '-c', `import ctypes, os; c = ctypes.CDLL(None, use_errno=True); print(c.ptrace(16, ${pid}, 0, 0), os.strerror(ctypes.get_errno()))`]);
            assert.match(seen, /^true\n-1 Operation not permitted\n/, `the ${name} is traced`);
        }
        assert.equal((await server.get('/hello')).text, 'a-word-in-dot-env');
        assert.match((await server.get('/kept')).text, /^n\d$/);
        for (const kind of ['supervisor', 'keeper', 'worker'])
            await until(async () => await request(`${server.admin}/metrics`, { headers: { authorization: `Bearer ${token}` } }).then(({ text }) => new RegExp(`^crescent_open_descriptors{process="${kind}".*} [1-9]`, 'm').test(text)), `what ${kind} has open`);
    };
    await check();
    assert.equal((await server.upgrade()).message, 'upgrade: done', server.tail());
    await check();
    replaceBinary(server.program, version('0.1.1')); // an exec in place undoes it
    assert.equal((await server.upgrade()).version, '0.1.1', server.tail());
    await check();
    const [worker] = server.children('worker');
    process.kill(worker, 'SIGKILL');
    await until(() => server.children('worker').length > 0 && !server.children('worker').includes(worker), 'the next worker');
    await until(async () => (await server.get('/hello')).status === 200, 'it serves');
    await check();
});

test('the unit of systemd is as closed as it says', async (t) => {
    let text;
    try {
        text = await tool('systemd-analyze', ['security', '--offline=yes', path.join(repository, 'examples/crescent.service')]);
    } catch (e) {
        if (!/ENOENT/.test(e.message)) throw e;
        t.skip('systemd-analyze is not installed');
        return;
    }
    const exposure = Number(/Overall exposure level for crescent\.service: ([\d.]+)/.exec(text)[1]);
    t.diagnostic(`exposure ${exposure}`);
    assert.ok(exposure < 2, text);
});
