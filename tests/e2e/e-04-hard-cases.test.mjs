import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { binary, environment, folder, load, ms, request, sleep, start, tool, until, write } from './helper.mjs';

const say = (text) => `return function() return "${text}" end`;
const answers = (server, at, text, limit) => until(async () => (await server.get(at)).text === text, () => `${at} says ${text}\n${server.tail()}`, limit);
/** Each worker, over fresh connections. */
async function everywhere(server, at, text, n = 12) {
    for (let i = 0; i < n; i++) assert.equal((await server.get(at)).text, text);
}
/** Two scripts and a module, each of which says its version: of which none is ever seen with another's. */
const version = (n) => ({
    '_lib/n.lua': `return "${n}"`, 'x.lua': `local n = require("_lib.n") return function() return "${n} " .. n end`, 'y.lua': say(`${n} ${n}`),
});
/** Requests that must always see one version, never an older one than before. */
function witness(server) {
    let newest = 0;
    return load(`${server.url}/x`, {
        connections: 2, fresh: true,
        judge: (a) => {
            const [mine, module] = a.text.split(' ').map(Number);
            const good = a.status === 200 && mine === module;
            newest = Math.max(newest, mine);
            return good;
        },
    });
}
const link = (to, at) => {
    fs.symlinkSync(to, `${at}~`);
    fs.renameSync(`${at}~`, at);
};
const cpu = (pid) => fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ').slice(11, 13).reduce((a, b) => a + Number(b), 0) * 10;
const keeperOf = (server) => server.children('keeper')[0];
const rest = (server) => assert.equal(server.records('script broken').length, 0, server.tail());

/* Most of these wait for something: several at once. */
const cases = [];
const hard = (name, run) => cases.push([name, run]);

hard('a Kubernetes volume: files are links through ..data, which one rename swaps; the old folder is removed, or stays', async (t) => {
    const dir = folder(t), hooks = path.join(dir, 'volume');
    const put = (n, remove) => {
        write(path.join(hooks, `..2026_${n}`), version(n));
        link(`..2026_${n}`, path.join(hooks, '..data'));
        if (remove) fs.rmSync(path.join(hooks, `..2026_${n - 1}`), { recursive: true });
    };
    put(0);
    fs.symlinkSync('..data/x.lua', path.join(hooks, 'x.lua'));
    fs.symlinkSync('..data/y.lua', path.join(hooks, 'y.lua'));
    fs.symlinkSync('..data/_lib', path.join(hooks, '_lib'));
    const server = await start(t, { hooks, dir });
    const seen = witness(server);
    for (let n = 1; n <= 12; n++) {
        put(n, n % 3 !== 0);
        await answers(server, '/x', `${n} ${n}`);
        await everywhere(server, '/y', `${n} ${n}`, 4);
    }
    assert.deepEqual((await seen.stop()).failures, []);
    rest(server);
});

hard('the hooks path leads through a link that is swapped: a release folder, the sub-folder of a volume', async (t) => {
    const dir = folder(t), hooks = path.join(dir, 'srv/current/hooks');
    const put = (n) => {
        write(path.join(dir, `srv/releases/${n}/hooks`), version(n));
        link(`releases/${n}`, path.join(dir, 'srv/current'));
    };
    put(0);
    fs.symlinkSync(path.join(dir, 'srv/current/hooks'), path.join(dir, 'way'));
    const server = await start(t, { hooks: path.join(dir, 'way'), dir });
    const seen = witness(server);
    for (let n = 1; n <= 6; n++) {
        const began = Date.now();
        put(n); // the old release stays where it is, unchanged
        await answers(server, '/x', `${n} ${n}`);
        assert.ok(Date.now() - began < ms(1500), `${Date.now() - began} ms: by an event, not by looking now and then`);
        await everywhere(server, '/y', `${n} ${n}`, 4);
    }
    write(hooks, { 'y.lua': say('edited') });
    await answers(server, '/y', 'edited');
    assert.deepEqual((await seen.stop()).failures, []);
    rest(server);
});

hard('links to files and folders elsewhere: what they lead through is swapped, goes, comes back', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': say('a') } });
    const out = path.join(server.dir, 'out');
    write(out, { 'v1/f.lua': say('f1'), 'v1/g/h.lua': say('h1'), 'v2/f.lua': say('f2'), 'v2/g/h.lua': say('h2') });
    link('v1', path.join(out, 'now'));
    link(`${out}/now/f.lua`, path.join(server.hooks, 'f.lua'));
    link(`${out}/now/g`, path.join(server.hooks, 'g'));
    await answers(server, '/f', 'f1');
    await answers(server, '/g/h', 'h1');
    link('v2', path.join(out, 'now'));
    await answers(server, '/f', 'f2');
    await answers(server, '/g/h', 'h2');
    fs.renameSync(path.join(out, 'v2'), path.join(out, 'v3'));
    await server.said((r) => r.message === 'script broken' && r.file === 'f.lua', 'the lost file told');
    await everywhere(server, '/f', 'f2', 6);
    write(out, { 'v2/f.lua': say('f2 again'), 'v2/g/h.lua': say('h2 again') });
    await answers(server, '/f', 'f2 again');
    await answers(server, '/g/h', 'h2 again');
});

hard('folders vanish and come back, their parents too: the live scripts stay, the log says so once, nothing spins', async (t) => {
    const dir = folder(t), hooks = path.join(dir, 'p/q/hooks');
    write(hooks, { 'a.lua': say('0'), 'sub/b.lua': say('b0') });
    const server = await start(t, { hooks, dir });
    const running = load(`${server.url}/a`, { judge: (a) => a.status === 200, connections: 2 });
    let n = 0;
    for (const gone of ['p/q/hooks', 'p/q', 'p']) {
        const at = path.join(dir, gone), seen = server.log.length;
        fs.renameSync(at, `${at}.away`);
        await server.said((r) => server.log.indexOf(r) >= seen && /cannot read the hooks folder/.test(r.message), `${gone} told`);
        const before = cpu(keeperOf(server));
        await sleep(2300);
        assert.ok(cpu(keeperOf(server)) - before <= ms(250), 'it does not spin');
        assert.equal(server.log.slice(seen).filter((r) => /cannot read the hooks folder/.test(r.message)).length, 1, 'told once');
        await everywhere(server, '/a', String(n), 4);
        if (gone === 'p/q') { // comes back as another
            write(hooks, { 'a.lua': say(String(++n)), 'sub/b.lua': say(`b${n}`) });
            fs.rmSync(`${at}.away`, { recursive: true });
        } else {
            fs.renameSync(`${at}.away`, at);
            write(hooks, { 'a.lua': say(String(++n)), 'sub/b.lua': say(`b${n}`) });
        }
        await answers(server, '/a', String(n));
        write(hooks, { 'sub/b.lua': say(`c${n}`) });
        await answers(server, '/sub/b', `c${n}`);
    }
    assert.deepEqual((await running.stop()).failures, []);
});

/** A mount namespace of the server's own, and a way to mount in it; null where that is not permitted. */
function namespace(t) {
    const own = process.getuid() === 0 ? ['unshare', '-m', '--propagation', 'private'] : ['unshare', '-U', '-r', '-m'];
    if (spawnSync(own[0], [...own.slice(1), 'mount', '--bind', '/tmp', '/tmp']).status !== 0) {
        t.skip('mounting is not permitted here');
        return null;
    }
    const enter = (server, ...command) => tool('nsenter', ['-t', String(server.pid), ...(process.getuid() === 0 ? ['-m'] : ['-U', '-m', '--preserve-credentials']), ...command]);
    return { own, enter };
}

hard('bind mounts: one over the folder, over a sub-folder, over a file, and each taken off again', async (t) => {
    const ns = namespace(t);
    if (!ns) return;
    const server = await start(t, { hooks: { 'a.lua': say('below'), 's/b.lua': say('b below'), 'c.lua': say('c below') }, prefix: ns.own });
    const other = path.join(server.dir, 'other');
    write(other, { 'a.lua': say('above'), 's/b.lua': say('b above'), 'f.lua': say('c above') });
    await ns.enter(server, 'mount', '--bind', path.join(other, 's'), path.join(server.hooks, 's'));
    await answers(server, '/s/b', 'b above');
    write(other, { 's/b.lua': say('b edited') }); // through the other path
    await answers(server, '/s/b', 'b edited');
    await ns.enter(server, 'mount', '--bind', path.join(other, 'f.lua'), path.join(server.hooks, 'c.lua'));
    await answers(server, '/c', 'c above');
    write(other, { 'f.lua': say('c edited') });
    await answers(server, '/c', 'c edited');
    await ns.enter(server, 'umount', path.join(server.hooks, 'c.lua'));
    await answers(server, '/c', 'c below');
    await ns.enter(server, 'umount', path.join(server.hooks, 's'));
    await answers(server, '/s/b', 'b below');
    await ns.enter(server, 'mount', '--bind', other, server.hooks);
    await answers(server, '/a', 'above');
    write(other, { 'a.lua': say('edited') });
    await answers(server, '/a', 'edited');
    await ns.enter(server, 'umount', server.hooks);
    await answers(server, '/a', 'below');
    await ns.enter(server, 'mount', '-t', 'tmpfs', 'tmpfs', server.hooks); // empty
    await until(async () => (await server.get('/a')).status === 404, 'an empty folder');
    await ns.enter(server, 'umount', server.hooks);
    await answers(server, '/a', 'below');
});

hard('read-only media: served, nothing is written, and what changes beneath is live', async (t) => {
    const ns = namespace(t);
    if (!ns) return;
    const dir = folder(t), source = path.join(dir, 'source'), hooks = path.join(dir, 'hooks');
    write(source, { 'a.lua': say('one') });
    fs.mkdirSync(hooks);
    const server = await start(t, { hooks, dir, prefix: [...ns.own, 'sh', '-c', `mount --bind "${source}" "${hooks}" && mount -o remount,ro,bind "${hooks}" && exec "$@"`, 'sh'] });
    await assert.rejects(ns.enter(server, 'touch', path.join(hooks, 'x')), /Read-only/);
    await answers(server, '/a', 'one');
    write(source, { 'a.lua': say('two') });
    await answers(server, '/a', 'two');
    assert.deepEqual(fs.readdirSync(source), ['a.lua']);
    assert.deepEqual(server.records((r) => r.level === 'error'), []);
});

hard('more events than the kernel keeps: what changed after the overflow is live too', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': say('one'), 'd/b.lua': say('b1') } });
    const most = Number(fs.readFileSync('/proc/sys/fs/inotify/max_queued_events', 'utf8'));
    if (most > 40000) return t.skip(`this kernel keeps ${most} events`);
    const keeper = keeperOf(server);
    process.kill(keeper, 'SIGSTOP');
    try {
        for (let i = 0; i * 3 < most + 3000; i++) { // created, closed, removed
            const at = path.join(server.hooks, `n${i}.txt`);
            fs.writeFileSync(at, '');
            fs.unlinkSync(at);
        }
        server.write({ 'a.lua': say('two'), 'd/b.lua': say('b2'), 'd/new/c.lua': say('c2') });
    } finally {
        process.kill(keeper, 'SIGCONT');
    }
    await answers(server, '/a', 'two');
    await answers(server, '/d/b', 'b2');
    await answers(server, '/d/new/c', 'c2');
    server.write({ 'd/new/c.lua': say('c3') });
    await answers(server, '/d/new/c', 'c3');
    assert.equal(keeperOf(server), keeper);
});

for (const [what, limit] of [['no folder can be watched', 'max_inotify_watches'], ['there is no inotify', 'max_inotify_instances']])
    hard(`${what}: told once, and changes are found all the same`, async (t) => {
        const prefix = ['unshare', '-U', '-r', 'sh', '-c', `echo ${limit === 'max_inotify_watches' ? 2 : 0} > /proc/sys/user/${limit} && exec "$@"`, 'sh'];
        if (spawnSync(prefix[0], [...prefix.slice(1), 'true']).status !== 0) return t.skip('user namespaces are not permitted here');
        const server = await start(t, { hooks: { 'a.lua': say('one'), 'd/e/f/b.lua': say('b1') }, prefix });
        const told = await server.said('cannot watch');
        assert.equal(told.level, 'warn');
        if (limit === 'max_inotify_watches') assert.match(JSON.stringify(told), /max_user_watches/);
        server.write({ 'a.lua': say('two'), 'd/e/f/b.lua': say('b2'), 'g/c.lua': say('c2') });
        await answers(server, '/a', 'two');
        await answers(server, '/d/e/f/b', 'b2');
        await answers(server, '/g/c', 'c2');
        server.remove('d');
        await until(async () => (await server.get('/d/e/f/b')).status === 404, 'gone');
        const before = cpu(keeperOf(server));
        await sleep(1500);
        assert.ok(cpu(keeperOf(server)) - before <= ms(150), 'looking costs little');
        assert.equal(server.records('cannot watch').length, 1);
    });

hard('changes that the kernel tells nobody: through a memory map, and through another name of the file', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': say('one'), 'm.lua': say('map 1') } });
    const other = path.join(server.dir, 'another-name.lua');
    fs.linkSync(path.join(server.hooks, 'a.lua'), other);
    await sleep(200); // the new name is a change by itself
    fs.writeFileSync(other, say('two'));
    await answers(server, '/a', 'two', 8000);
    const python = spawnSync('python3', ['-c', `
import mmap, sys
with open(sys.argv[1], 'r+b') as f:
    m = mmap.mmap(f.fileno(), 0)
    at = m.find(b'map 1')
    m[at:at+5] = b'map 2'
    m.flush()
    m.close()
    import time; time.sleep(0.2)
`, path.join(server.hooks, 'm.lua')]);
    if (python.error) return;
    await answers(server, '/m', 'map 2', 8000);
});

hard('a file written in two pieces with a pause between is never served by its first piece', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': say('old'), 'b.lua': say('0') } });
    const seen = load(`${server.url}/a`, { judge: (a) => a.text === 'old' || a.text === 'new', connections: 2 });
    const fd = fs.openSync(path.join(server.hooks, 'a.lua'), 'w'), fresh = fs.openSync(path.join(server.hooks, 'c.lua'), 'w');
    for (let i = 1; i <= 4; i++) {
        fs.writeSync(fd, i === 1 ? 'local f = function() return "half" end --\n' : '-- more\n');
        if (i === 1) fs.writeSync(fd, 'do return f end\n');
        server.write({ 'b.lua': say(String(i)) }); // other files are saved meanwhile
        await sleep(120);
    }
    assert.deepEqual(server.records('script broken'), []);
    fs.ftruncateSync(fd, 0);
    fs.writeSync(fd, say('new'), 0);
    fs.writeSync(fresh, say('c'));
    fs.closeSync(fd);
    fs.closeSync(fresh);
    await answers(server, '/a', 'new');
    await answers(server, '/c', 'c');
    await answers(server, '/b', '4');
    assert.deepEqual((await seen.stop()).failures, []);
    rest(server);
});

hard('a file that somebody keeps open for writing holds the others up for seconds only', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': say('one'), 'b.lua': say('one') } });
    const fd = fs.openSync(path.join(server.hooks, 'a.lua'), 'r+');
    fs.writeSync(fd, say('two'), 0);
    server.write({ 'b.lua': say('two') });
    await answers(server, '/b', 'two', 8000);
    await answers(server, '/a', 'two');
    fs.closeSync(fd);
});

hard('a lock that a crashed git has left holds no save up, and is told once; one of a command under way is waited for', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': say('0') } });
    const lock = path.join(server.hooks, '.git/index.lock'), save = async (text) => {
        const began = Date.now();
        server.write({ 'a.lua': say(text) });
        await answers(server, '/a', text, 8000);
        return Date.now() - began;
    };
    server.write({ '.git/index.lock': '' });
    fs.utimesSync(lock, Date.now() / 1000 - 60, Date.now() / 1000 - 60);
    for (const text of ['1', '2', '3']) {
        const took = await save(text);
        assert.ok(took < ms(2000), `${took} ms`);
    }
    assert.deepEqual(server.records('stale lock of git').map((r) => [r.level, r.file]), [['warn', lock]]);
    fs.utimesSync(lock, Date.now() / 1000, Date.now() / 1000);
    const took = await save('4');
    assert.ok(took > 3000, `${took} ms`);
});

hard('saves in the middle of the trial of the one before: the newest wins, no half state', async (t) => {
    const slow = (n) => ({ ...version(n), 'slow.lua': `local till = os.clock() + 0.12 while os.clock() < till do end\nreturn function() return "${n}" end` });
    const server = await start(t, { hooks: slow(0) });
    const seen = witness(server);
    for (let n = 1; n <= 12; n++) {
        server.write(slow(n));
        await sleep(n % 2 ? 90 : 30);
    }
    await answers(server, '/x', '12 12', 12000);
    await everywhere(server, '/slow', '12', 6);
    await everywhere(server, '/y', '12 12', 6);
    assert.deepEqual((await seen.stop()).failures, []);
    rest(server);
});

hard('the same size, the same modification time, times in the future and in the past: the content counts', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': say('0') } });
    const at = path.join(server.hooks, 'a.lua');
    for (const [i, when] of [1e9, 1e9, 4e9, 4e9, 2e9, 1].entries()) {
        fs.writeFileSync(at, say(String(i + 1)));
        fs.utimesSync(at, when, when);
        await answers(server, '/a', String(i + 1));
    }
    fs.writeFileSync(`${at}.old`, say('x'));
    fs.utimesSync(`${at}.old`, 1, 1);
    fs.renameSync(`${at}.old`, at); // older than what it replaces, same size
    await answers(server, '/a', 'x');
});

hard('tiny saves for seconds: the last of each file is live', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': say('0'), 'b.lua': say('0') } });
    const seen = load(`${server.url}/a`, { judge: (a) => a.status === 200, connections: 2 });
    let n = 0;
    for (const end = Date.now() + 3000; Date.now() < end || n < 300; n++) {
        if (n % 2) server.write({ 'a.lua': say(`a${n}`) });
        else server.replace('b.lua', say(`b${n}`));
        if (n % 10 === 0) await sleep(3);
    }
    server.write({ 'a.lua': say('a last') });
    server.replace('b.lua', say('b last'));
    await answers(server, '/a', 'a last', 12000);
    await answers(server, '/b', 'b last');
    assert.deepEqual((await seen.stop()).failures, []);
});

/** What starts a program as somebody else than root; undefined where that cannot be. */
function notRoot() {
    const setpriv = process.getuid() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
    return setpriv.length && spawnSync(setpriv[0], [...setpriv.slice(1), 'true']).status !== 0 ? undefined : setpriv;
}

hard('a server that is not root: what it cannot read is told, what was live stays, and what it may read again is live', async (t) => {
    const setpriv = notRoot();
    if (!setpriv) return t.skip('setpriv cannot be used here');
    const dir = folder(t), hooks = path.join(dir, 'hooks');
    fs.chmodSync(dir, 0o755);
    write(hooks, { 'a.lua': say('one'), 's/b.lua': say('b'), 'k.lua': say('k') });
    const server = await start(t, { hooks, dir, prefix: setpriv });
    fs.chmodSync(path.join(hooks, 'a.lua'), 0);
    fs.chmodSync(path.join(hooks, 's'), 0);
    await server.said((r) => r.message === 'script broken' && r.file === 'a.lua' && /denied/.test(r.error), 'the file told');
    await server.said((r) => JSON.stringify(r).includes('"s') && /denied/.test(JSON.stringify(r)), 'the folder told');
    server.write({ 'k.lua': say('k2') });
    await answers(server, '/k', 'k2');
    await everywhere(server, '/a', 'one', 6);
    fs.chmodSync(path.join(hooks, 'a.lua'), 0o644);
    fs.chmodSync(path.join(hooks, 's'), 0o755);
    write(hooks, { 'a.lua': say('two'), 's/b.lua': say('b2') });
    await answers(server, '/a', 'two');
    await answers(server, '/s/b', 'b2');
    fs.chmodSync(hooks, 0);
    await server.said('cannot read the hooks folder');
    await everywhere(server, '/a', 'two', 6);
    fs.chmodSync(hooks, 0o755);
    server.write({ 'a.lua': say('three') });
    await answers(server, '/a', 'three');
});

hard('folders below that cannot be read, at the start and later: each is told with the reason, and counted; what was live stays', async (t) => {
    const setpriv = notRoot();
    if (!setpriv) return t.skip('setpriv cannot be used here');
    const dir = folder(t), hooks = path.join(dir, 'hooks'), at = (name) => path.join(hooks, name);
    const told = (name) => (r) => r.level === 'error' && r.file === name && r.error === 'this folder cannot be read: Permission denied';
    fs.chmodSync(dir, 0o755);
    write(hooks, { ...version(1), 's/b.lua': say('b'), 's.lua': say('s') });
    for (const name of ['s', '_lib']) fs.chmodSync(at(name), 0);
    for (const command of ['check', 'routes']) {
        const [program, ...args] = [...setpriv, binary, command];
        const { status, stderr } = spawnSync(program, args, { cwd: dir, env: environment(), encoding: 'utf8' });
        assert.equal(status, 1);
        for (const name of ['s', '_lib']) assert.ok(stderr.includes(`hooks/${name}:1: this folder cannot be read: Permission denied\n`), stderr);
    }
    const server = await start(t, { hooks, dir, prefix: setpriv });
    const unreadable = async () => Number(/^crescent_hooks_unreadable (\d)$/m.exec((await request(`${server.admin}/metrics`)).text)[1]);
    for (const name of ['s', '_lib']) await server.said(told(name), `${name} told`);
    assert.equal(await unreadable(), 2);
    await answers(server, '/s', 's');
    assert.equal(server.records((r) => r.message === 'script broken' && r.file !== 'x.lua').length, 0);
    for (const name of ['s', '_lib']) fs.chmodSync(at(name), 0o755);
    await answers(server, '/s/b', 'b');
    await answers(server, '/x', '1 1');
    await until(async () => await unreadable() === 0, 'none');
    for (const name of ['s', '_lib']) fs.chmodSync(at(name), 0);
    for (const name of ['s', '_lib']) await until(() => server.records(told(name)).length === 2, `${name} told again`);
    assert.equal(await unreadable(), 2);
    server.write({ 's.lua': say('s2') });
    await answers(server, '/s', 's2');
    await everywhere(server, '/s/b', 'b', 6);
    await everywhere(server, '/x', '1 1', 6);
    for (const name of ['s', '_lib']) fs.chmodSync(at(name), 0o755);
});

hard('deep trees: 32 folders within each other are served, deeper ones are told, and the rest lives on', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': say('one') } });
    const deep = Array.from({ length: 32 }, (_, i) => `f${i}`).join('/');
    server.write({ [`${deep}/x.lua`]: say('x') });
    await answers(server, `/${deep}/x`, 'x');
    server.write({ [`${deep}/x.lua`]: say('x2'), [`${deep}/more/y.lua`]: say('y') });
    await answers(server, `/${deep}/x`, 'x2');
    await server.said((r) => /more than 32 folders/.test(JSON.stringify(r)), 'too deep, told');
    server.write({ 'a.lua': say('two') });
    await answers(server, '/a', 'two');
});

test('hard cases', { concurrency: 5 }, (t) => Promise.all(cases.map(([name, run]) => t.test(name, run))));
