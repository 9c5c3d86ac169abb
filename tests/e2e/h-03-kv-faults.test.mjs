// Files that are not ours, damaged, newer, in use; folders that cannot be written, that vanish; disks that are full. At the start such a store is
// refused in words; while the server runs, what needs it is a 503, and it comes back by itself.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { alive, binary, environment, folder, ms, repository, run, sleep, start, tool, until, write } from './helper.mjs';
import { ask, hooks, sql } from './kv.mjs';
import { startUpgradable } from './upgrade.mjs';

const root = process.getuid() === 0;

/** `crescent serve` in dir must end with exit code 1 and one line of these words. */
async function refusedStart(dir, words, args = []) {
    write(dir, { 'hooks/hello.lua': hooks['hello.lua'] });
    const { code, stderr } = await run(['serve', '--listen', '127.0.0.1:0', '--admin', 'off', '--workers', '1', ...args], { cwd: dir });
    assert.equal(code, 1, stderr);
    const said = stderr.split('\n').filter((l) => l.startsWith('crescent: '));
    assert.equal(said.length, 1, stderr);
    assert.deepEqual(stderr.split('\n').filter((l) => l !== '' && !/^(crescent: |\{.*\}$)/.test(l)), [], 'a line in two');
    assert.match(said[0], /^crescent: cannot start: /);
    assert.match(said[0], words);
    assert.ok(!/"level":"error"/.test(stderr), stderr);
}
/** Makes a store with a key in it, as a server leaves it. */
async function filled(t, dir) {
    const server = await start(t, { hooks, dir, workers: 1 });
    await ask(server, 'set', 'a', 'x');
    await server.stop();
    return path.join(dir, 'crescent.db');
}
const status = (server, call, ...args) => ask(server, call, ...args).then(() => 200, (e) => e.status);

test('a file of another program is refused, and left as it is', async (t) => {
    const dir = folder(t), file = path.join(dir, 'crescent.db');
    fs.writeFileSync(file, 'not a database at all\n');
    await refusedStart(dir, /crescent\.db is no SQLite database/);
    assert.equal(fs.readFileSync(file, 'utf8'), 'not a database at all\n');
    fs.rmSync(file);
    await sql(file, 'CREATE TABLE orders (id); INSERT INTO orders VALUES (7)');
    const before = fs.readFileSync(file);
    await refusedStart(dir, /crescent\.db is a database of another program/);
    assert.ok(fs.readFileSync(file).equals(before));
    assert.equal(await sql(file, 'SELECT id FROM orders'), '7');
});

test('a damaged file is refused', async (t) => {
    const dir = folder(t), file = await filled(t, dir);
    const bytes = fs.readFileSync(file);
    fs.writeFileSync(file, Buffer.concat([bytes.subarray(0, 4096), Buffer.alloc(bytes.length - 4096, 0xa5)]));
    await refusedStart(dir, /crescent\.db(: database disk image is malformed| is damaged: )/);
    fs.writeFileSync(file, bytes.subarray(0, 5000));
    await refusedStart(dir, /crescent\.db(: database disk image is malformed| is damaged: )/);
    fs.writeFileSync(file, bytes);
    const server = await start(t, { hooks, dir, workers: 1 });
    assert.deepEqual(await ask(server, 'get', 'a'), ['x']);
});

const modes = (...files) => files.map((file) => (fs.statSync(file).mode & 0o777).toString(8));

test('a store at a symbolic link, in a folder behind one: the file itself is used, locked, and watched', async (t) => {
    const dir = folder(t);
    fs.mkdirSync(path.join(dir, 'disk'));
    fs.symlinkSync('disk', path.join(dir, 'data'));
    fs.writeFileSync(path.join(dir, 'disk/real.db'), '', { mode: 0o600 });
    fs.symlinkSync('data/real.db', path.join(dir, 'link.db'));
    const args = ['--store', 'sqlite:link.db'];
    const server = await start(t, { hooks, dir, workers: 1, args });
    for (let i = 0; i < 3; i++) assert.deepEqual(await ask(server, 'incr', 'n'), [i + 1]);
    assert.deepEqual(fs.readdirSync(path.join(dir, 'disk')).sort(), ['real.db', 'real.db-shm', 'real.db-wal']);
    assert.ok(!fs.existsSync(path.join(dir, 'link.db-wal')));
    for (const name of ['disk/real.db', 'data/real.db', 'link.db'])
        await refusedStart(dir, /real\.db is in use by another server \(its process \d+ has it\)/, ['--store', `sqlite:${name}`]);
    process.kill(server.children('keeper')[0], 'SIGKILL');
    assert.deepEqual(await ask(server, 'incr', 'n'), [4]);
    // The link leads elsewhere: what is written to the old file is not what the name means any more.
    fs.symlinkSync('other.db', path.join(dir, 'next'));
    fs.renameSync(path.join(dir, 'next'), path.join(dir, 'link.db'));
    assert.equal(await status(server, 'incr', 'n'), 503);
    await sleep(1500);
    assert.ok(!fs.existsSync(path.join(dir, 'other.db')), 'no empty one is made');
    fs.symlinkSync('disk/real.db', path.join(dir, 'next'));
    fs.renameSync(path.join(dir, 'next'), path.join(dir, 'link.db'));
    await until(async () => await status(server, 'get', 'n') === 200, 'the store', 10000);
    assert.ok((await ask(server, 'get', 'n'))[0] >= 4);
    assert.equal(server.records('the store is away').length, 1);
});

test('a link that leads nowhere is refused in words, and nothing is made behind it', async (t) => {
    const dir = folder(t);
    fs.symlinkSync('volume/x.db', path.join(dir, 'crescent.db'));
    await refusedStart(dir, /crescent\.db is a symbolic link to volume\/x\.db, and no file is there/);
    fs.mkdirSync(path.join(dir, 'volume'));
    await refusedStart(dir, /crescent\.db is a symbolic link to volume\/x\.db, and no file is there/);
    assert.deepEqual(fs.readdirSync(path.join(dir, 'volume')), []);
    fs.rmSync(path.join(dir, 'crescent.db'));
    fs.symlinkSync('crescent.db', path.join(dir, 'crescent.db'));
    await refusedStart(dir, /crescent\.db to write: Too many levels of symbolic links/);
});

test('files that others may read or change: the start says so, and how to mend it', async (t) => {
    const dir = folder(t), file = await filled(t, dir);
    assert.deepEqual(modes(file), ['600']);
    const said = async (mode) => {
        fs.chmodSync(file, mode);
        const server = await start(t, { hooks, dir, workers: 1 });
        await ask(server, 'set', 'a', 'y');
        const [record] = server.records('the store is open to others');
        await server.stop();
        return record;
    };
    assert.equal(await said(0o600), undefined);
    const open = await said(0o666);
    assert.equal(open.level, 'warn');
    const real = fs.realpathSync(file);
    assert.ok(open.advice.includes(`${real} has mode 0666, so others may change it (chmod 600 ${real})`), open.advice);
    assert.ok(open.advice.includes(`${real}-wal has mode 0666, so others may change it (chmod 600 ${real}-wal)`), open.advice);
    assert.ok(!open.advice.includes('\n'));
    assert.match((await said(0o640)).advice, /has mode 0640, so others may read it/);
    // A log left open by a server that was killed, beside a file that was put right.
    fs.chmodSync(file, 0o644);
    const server = await start(t, { hooks, dir, workers: 1 });
    await ask(server, 'set', 'a', 'z');
    process.kill(server.pid, 'SIGKILL');
    await server.exit;
    await until(() => !fs.readFileSync('/proc/locks', 'utf8').includes(`:${fs.statSync(file).ino} `), 'its lock gone', 10000);
    const left = await said(0o600);
    assert.ok(left.advice.startsWith(`${real}-wal has mode 0644`), left.advice);
    if (root) {
        fs.chmodSync(file, 0o600);
        for (const end of ['-wal', '-shm']) fs.rmSync(file + end, { force: true });
        fs.chownSync(file, 65534, 65534);
        assert.match((await said(0o600)).advice, /crescent\.db belongs to user 65534, not to the server's, 0$|crescent\.db belongs to user 65534, not to the server's, 0;/);
    }
});

test('a newer schema is used where it says that it can be, and refused where not', async (t) => {
    const dir = folder(t), file = await filled(t, dir);
    await sql(file, "CREATE TABLE events (id); UPDATE crescent SET value = 1 WHERE name = 'usable from'; PRAGMA user_version = 2");
    const server = await start(t, { hooks, dir, workers: 1 });
    assert.deepEqual(await ask(server, 'get', 'a'), ['x']);
    await server.stop();
    assert.equal(await sql(file, 'PRAGMA user_version'), '2');
    await sql(file, "UPDATE crescent SET value = 2 WHERE name = 'usable from'; PRAGMA user_version = 3");
    await refusedStart(dir, /crescent\.db was made by a newer version of crescent \(its schema is 3, this version knows 1\)/);
});

test('a second server on the same file is refused, and told who has it; the first one notices nothing', async (t) => {
    const dir = folder(t);
    const first = await start(t, { hooks, dir, workers: 1 });
    await refusedStart(dir, new RegExp(`crescent\\.db is in use by another server \\(its process ${first.children('keeper')[0]} has it\\): each needs a store of its own`));
    const second = await start(t, { hooks, dir, workers: 1, args: ['--store', 'sqlite:second.db'] });
    await ask(first, 'set', 'a', 'first');
    await ask(second, 'set', 'a', 'second');
    assert.deepEqual(await ask(first, 'get', 'a'), ['first']);
    process.kill(first.children('keeper')[0], 'SIGKILL'); // its next life has the file again, at once
    assert.deepEqual(await ask(first, 'get', 'a'), ['first']);
});

test('a folder that cannot be written: a named store is refused, the default one is done without, and said so', async (t) => {
    const dir = folder(t);
    write(dir, { 'hooks/kv.lua': hooks['kv.lua'], 'hooks/hello.lua': hooks['hello.lua'] });
    fs.chmodSync(path.join(dir, 'hooks'), 0o755);
    fs.chmodSync(dir, 0o555);
    const prefix = root ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
    const server = await start(t, { hooks: path.join(dir, 'hooks'), dir, prefix, workers: 1 });
    const record = await server.said('there is no store');
    assert.equal(record.level, 'warn');
    assert.match(record.error, /^cannot make .*crescent\.db: Permission denied$/);
    assert.equal((await server.get('/hello')).text, 'hello');
    const refusal = await ask(server, 'get', 'a').catch((e) => e);
    assert.equal(refusal.status, 503);
    assert.equal(refusal.problem.detail, 'the store is not available');
    fs.chmodSync(dir, 0o777); // somebody puts it right
    await until(async () => await status(server, 'set', 'a', 'x') === 200, 'the store', 10000);
    await server.said('the store is back');
    await server.stop();
    fs.rmSync(path.join(dir, 'crescent.db'), { force: true });
    fs.chmodSync(dir, 0o555);
    const argv = ['serve', '--listen', '127.0.0.1:0', '--admin', 'off', '--store', 'sqlite:named.db'];
    const named = await tool(prefix[0] ?? 'env', [...prefix.slice(1), binary, ...argv], { cwd: dir, env: environment() }).catch((e) => e.message);
    assert.match(named, /crescent: cannot start: cannot make .*named\.db: Permission denied/);
    fs.chmodSync(dir, 0o755);
});

test('a store that is a folder, or below none, is refused', async (t) => {
    const dir = folder(t);
    fs.mkdirSync(path.join(dir, 'x.db'));
    await refusedStart(dir, /x\.db to write: Is a directory/, ['--store', 'sqlite:x.db']);
    await refusedStart(dir, /cannot make .*\/no\/where\.db: No such file or directory/, ['--store', 'sqlite:no/where.db']);
});

test('a file that is replaced or removed while the server runs: 503, no empty one in its place, and it comes back', async (t) => {
    const dir = folder(t);
    const server = await start(t, { hooks, dir, workers: 2 });
    const file = path.join(dir, 'crescent.db');
    await ask(server, 'set', 'a', 'x');
    await sql(file, `.backup ${dir}/copy.db`);
    fs.renameSync(file, path.join(dir, 'aside.db'));
    assert.equal(await status(server, 'set', 'a', 'y'), 503);
    const away = await server.said('the store is away');
    assert.match(away.error, /crescent\.db was moved, removed or replaced while it was open/);
    assert.equal(await status(server, 'get', 'a'), 503);
    assert.equal((await server.get('/hello')).text, 'hello');
    await sleep(1500);
    process.kill(server.children('keeper')[0], 'SIGKILL'); // nor does the next keeper make one
    await server.said((r) => /has gone; it was there when the server started/.test(r.error));
    assert.equal(await status(server, 'get', 'a'), 503);
    assert.ok(!fs.existsSync(file));
    assert.equal(await server.metric('crescent_store_up'), 0);
    fs.renameSync(path.join(dir, 'copy.db'), file); // a backup is put there
    await until(async () => await status(server, 'set', 'b', 'y') === 200, 'the store', 10000);
    assert.deepEqual(await ask(server, 'get', 'a'), ['x']); // its own, and nothing out of the log of the one that was there
    assert.equal(await sql(path.join(dir, 'aside.db'), "PRAGMA integrity_check; SELECT value FROM kv WHERE key = 'a'"), 'ok\ny');
    assert.equal(await server.metric('crescent_store_up'), 1);
    await server.said('the store is back');
});

test('a folder that vanishes, and is there again', async (t) => {
    const dir = folder(t);
    fs.mkdirSync(path.join(dir, 'data'));
    const server = await start(t, { hooks, dir, workers: 1, args: ['--store', 'sqlite:data/x.db'] });
    for (let life = 1; life <= 2; life++) {
        await ask(server, 'incr', 'n');
        fs.renameSync(path.join(dir, 'data'), path.join(dir, 'elsewhere'));
        assert.equal(await status(server, 'incr', 'n'), 503);
        fs.mkdirSync(path.join(dir, 'data')); // what an unmounted volume looks like
        await sleep(1300);
        assert.equal(await status(server, 'get', 'n'), 503);
        assert.deepEqual(fs.readdirSync(path.join(dir, 'data')), []);
        fs.rmdirSync(path.join(dir, 'data'));
        fs.renameSync(path.join(dir, 'elsewhere'), path.join(dir, 'data'));
        await until(async () => await status(server, 'get', 'n') === 200, 'the store', 10000);
    }
    const [n] = await ask(server, 'get', 'n'); // of the two that were answered 503 it was said that they may have been done
    assert.ok(n >= 2 && n <= 4, `${n}`);
    await until(() => server.records('the store is back').length === 2, 'the last line');
    assert.equal(server.records('the store is away').length, 2);
});

test('damage while the server runs is a 503 with the words in the log, and is over when the file is put right', async (t) => {
    const dir = folder(t);
    const server = await start(t, { hooks: { ...hooks, 'fill.lua': 'return { methods = { "GET" }, handle = function() for i = 1, 300 do kv.set("key " .. i, ("v"):rep(200)) end return "filled" end }' }, dir, workers: 1 });
    const file = path.join(dir, 'crescent.db');
    assert.equal((await server.get('/fill')).text, 'filled');
    process.kill(server.children('keeper')[0], 'SIGKILL'); // what it had in memory is brought into the file by the next one
    assert.deepEqual(await ask(server, 'get', 'key 1'), ['v'.repeat(200)]);
    await sql(file, 'PRAGMA wal_checkpoint(TRUNCATE)');
    const whole = fs.readFileSync(file), handle = fs.openSync(file, 'r+');
    fs.writeSync(handle, Buffer.alloc(whole.length - 4096, 0xa5), 0, whole.length - 4096, 4096);
    process.kill(server.children('keeper')[0], 'SIGKILL');
    const said = await server.said((r) => /malformed|damaged/.test(r.error ?? ''), 'the damage', 10000);
    assert.match(said.error, /crescent\.db/);
    assert.equal(await status(server, 'get', 'key 1'), 503);
    assert.equal((await server.get('/hello')).text, 'hello');
    fs.writeSync(handle, whole, 0, whole.length, 0);
    fs.closeSync(handle);
    await until(async () => await status(server, 'get', 'key 1') === 200, 'the store', 10000);
});

test('a row that was spoiled by hand fails who reads it, by name, and nobody else; a script can catch that', async (t) => {
    const server = await start(t, { hooks: { ...hooks,
        'held.lua': 'return { methods = { "GET" }, handle = function(req) local ok, why = pcall(kv.get, req.query.key) return { ok, tostring(why) } end }',
    }, workers: 1 });
    const file = path.join(server.dir, 'crescent.db'), keeper = server.children('keeper')[0];
    for (const key of ['bad number', 'bad kind', 'bad table', 'too long']) await ask(server, 'set', key, 1);
    await sql(file, `UPDATE kv SET value = 'abc' WHERE key = 'bad number'; UPDATE kv SET kind = 'odd' WHERE key = 'bad kind';
        UPDATE kv SET kind = 'table', value = '{"a":' WHERE key = 'bad table'; UPDATE kv SET kind = 'string', value = printf('%2000000d', 1) WHERE key = 'too long'`);
    let reading = true;
    const reads = (async () => { while (reading) await server.get('/held?key=bad%20number'); })();
    for (let i = 0; i < 500; i++) await ask(server, 'set', `other ${i}`, i);
    reading = false;
    await reads;
    for (const key of ['bad number', 'bad kind', 'bad table', 'too long']) {
        const [ok, why] = (await server.get(`/held?key=${encodeURIComponent(key)}`)).json;
        assert.equal(ok, false);
        assert.match(why, new RegExp(`^kv\\.get: ${key}: what is stored there is no value`));
        assert.equal(await status(server, 'get', key), 500);
    }
    await server.said((r) => /kv\.get: bad kind: what is stored/.test(r.error ?? ''), 'the key');
    assert.equal(server.records((r) => /store is (away|back)/.test(r.message)).length, 0, 'the store stayed');
    assert.deepEqual(await ask(server, 'incr', 'bad number'), [null, { code: 'not_a_number', words: 'kv.incr: bad number: the value there is not a number' }]);
    assert.deepEqual(await ask(server, 'add', 'bad number', 1), [false]);
    assert.deepEqual(await ask(server, 'ttl', 'bad number'), ['forever']);
    assert.deepEqual(await ask(server, 'set', 'bad number', 5), [true]);
    assert.deepEqual(await ask(server, 'get', 'bad number'), [5]);
    assert.deepEqual(await ask(server, 'delete', 'bad kind'), [true]);
    assert.equal(server.children('keeper')[0], keeper);
});

test('a full disk: 503, what is there can be read, nothing acknowledged is lost; room again, and it goes on by itself', async (t) => {
    if (!root) return t.skip('a small file system of its own needs root');
    const dir = folder(t);
    fs.mkdirSync(path.join(dir, 'data'));
    const mount = `mount -t tmpfs -o size=3m,mode=777 none ${dir}/data && exec "$@"`;
    try {
        await tool('unshare', ['-m', 'sh', '-c', mount, 'sh', 'true']);
    } catch (error) {
        return t.skip(`no file system can be mounted here: ${error.message.split('\n')[1]}`);
    }
    const server = await start(t, { dir, workers: 2, prefix: ['unshare', '-m', 'sh', '-c', mount, 'sh'], args: ['--store', 'sqlite:data/x.db'], hooks: { ...hooks,
        'put.lua': 'return function(req) kv.set(req.query.key, req.body) return "put" end',
        'size.lua': 'return function(req) return tostring(#(kv.get(req.query.key) or "")) end' } });
    const data = `/proc/${server.pid}/root${dir}/data`;
    const value = 'x'.repeat(100000), kept = [];
    let refused;
    for (let i = 0; i < 60 && !refused; i++) {
        const reply = await server.post(`/put?key=k${i}`, value);
        if (reply.status === 200) kept.push(`k${i}`);
        else refused = reply;
    }
    assert.equal(refused?.status, 503);
    assert.equal(refused.json.detail, 'the store is not available');
    assert.ok(kept.length > 3);
    const away = await server.said('the store is away');
    assert.match(away.error, /full/);
    for (const key of kept) assert.equal((await server.get(`/size?key=${key}`)).text, '100000');
    for (let i = 0; i < 20; i++) assert.equal((await server.post('/put?key=more', value)).status, 503);
    // A keeper that begins on a full disk reads, too.
    process.kill(server.children('keeper')[0], 'SIGKILL');
    for (const key of kept) assert.equal((await server.get(`/size?key=${key}`)).text, '100000');
    await tool('nsenter', ['-t', String(server.pid), '-m', 'mount', '-o', 'remount,size=12m', `${dir}/data`]);
    await until(async () => (await server.post('/put?key=more', value)).status === 200, 'room', 10000);
    for (const key of [...kept, 'more']) assert.equal((await server.get(`/size?key=${key}`)).text, '100000');
    assert.ok(fs.existsSync(data));
    // Full once more, with nobody asking afterwards: that it takes changes again is found out all the same.
    const before = server.records('the store is back').length;
    await tool('sh', ['-c', `head -c 20m /dev/zero > ${data}/fill 2>/dev/null || true`]);
    await until(async () => (await server.post('/put?key=again', value)).status === 503, 'full again', 10000);
    fs.rmSync(`${data}/fill`);
    await until(() => server.records('the store is back').length > before, 'the store is back', 10000);
});

/** A server whose disk stands still while the file disk-stands is in its folder, and fails while disk-fails is. */
async function startOnDisk(t) {
    const dir = folder(t), shim = path.join(dir, 'disk.so');
    await tool('cc', ['-O1', '-shared', '-fPIC', '-o', shim, path.join(repository, 'tests/e2e/disk.c')]);
    const env = { LD_PRELOAD: shim, ASAN_OPTIONS: [process.env.ASAN_OPTIONS, 'verify_asan_link_order=0'].filter(Boolean).join(':') };
    const server = await start(t, { hooks, dir, workers: 2, env });
    const file = (name) => path.join(dir, name);
    return { server, file, begin: (what) => fs.writeFileSync(file(what), ''), end: (what) => fs.rmSync(file(what)) };
}

test('nothing is answered before it is on the disk, no read of it either; a keeper that dies meanwhile changes nothing twice', async (t) => {
    const { server, begin, end } = await startOnDisk(t);
    for (let i = 1; i <= 20; i++) assert.deepEqual(await ask(server, 'incr', 'n'), [i]);
    for (const kill of [false, true]) {
        const told = [];
        const asked = async (...call) => told.push([...call, ...await ask(server, ...call)]);
        const [before] = await ask(server, 'get', 'n');
        begin('disk-stands');
        const all = [asked('incr', 'n')];
        await sleep(300);
        all.push(asked('incr', 'n'));
        await sleep(300);
        all.push(asked('get', 'n')); // what it sees was written before
        if (kill) process.kill(server.children('keeper')[0], 'SIGKILL');
        await sleep(700);
        assert.deepEqual(told, []);
        assert.equal((await server.get('/hello')).text, 'hello');
        end('disk-stands');
        await Promise.all(all);
        assert.deepEqual(told.filter(([call]) => call === 'incr').map((one) => one[2]).sort((a, b) => a - b), [before + 1, before + 2]);
        assert.deepEqual(await ask(server, 'get', 'n'), [before + 2]);
    }
    assert.equal(server.records('the store is away').length, 0);
});

test('a disk that fails: what may not be on it is a 503, one line says why; it comes back by itself, and has all that was answered', async (t) => {
    const { server, file, begin, end } = await startOnDisk(t);
    let answered = 0, asked = 0;
    const incr = async () => {
        asked++;
        const code = await status(server, 'incr', 'n');
        answered += code === 200;
        return code;
    };
    for (let life = 1; life <= 2; life++) {
        for (let i = 0; i < 20; i++) assert.equal(await incr(), 200);
        begin('disk-fails');
        const refusal = await ask(server, 'incr', 'n').catch((e) => e);
        asked++;
        assert.equal(refusal.status, 503);
        const away = await until(() => server.records('the store is away')[life - 1], 'the store is away', 10000);
        assert.match(away.error, /crescent\.db-wal cannot be brought to the disk: Input\/output error/);
        for (let i = 0; i < 5; i++) assert.equal(await incr(), 503);
        end('disk-fails');
        await until(() => server.records('the store is back').length === life, 'the store is back', 10000);
        const [n] = await ask(server, 'get', 'n');
        assert.ok(n >= answered && n <= asked, `${n} of ${answered} to ${asked}`);
    }
    await server.stop();
    const n = Number(await sql(file('crescent.db'), "SELECT value FROM kv WHERE key = 'n'"));
    assert.ok(n >= answered && n <= asked);
});

test('HUP: another store is taken; one that cannot be opened refuses the upgrade, and the old one goes on', async (t) => {
    const dir = folder(t);
    const config = (store) => write(dir, { 'crescent.lua': `return { store = "${store}" }` });
    config('sqlite:one.db');
    const server = await startUpgradable(t, { hooks, dir, workers: 1 });
    await ask(server, 'set', 'a', 'one');
    config('sqlite:two.db');
    const done = await server.upgrade();
    assert.match(done.message, /^upgrade: done/);
    assert.equal(done.store, `sqlite:${fs.realpathSync(dir)}/two.db`);
    await until(async () => (await ask(server, 'get', 'a'))[0] === null, 'the new store');
    await ask(server, 'set', 'a', 'two');
    write(dir, { 'foreign.db': 'not a database at all' });
    config('sqlite:foreign.db');
    assert.match((await server.upgrade()).message, /^upgrade: refused: .*foreign\.db is no SQLite database/);
    await until(async () => await status(server, 'get', 'a') === 200, 'the old store', 10000);
    assert.deepEqual(await ask(server, 'get', 'a'), ['two']);
    config('mysql://x');
    assert.match((await server.upgrade()).message, /^upgrade: refused: crescent\.lua:1: store: expected sqlite:PATH, got "mysql:\.\.\."/);
    config('sqlite:one.db');
    assert.match((await server.upgrade()).message, /^upgrade: done/);
    await until(async () => (await ask(server, 'get', 'a'))[0] === 'one', 'the first store again');
});

test('a writer that holds the file by hand is waited for; one that holds it for long makes it a 503', async (t) => {
    const dir = folder(t);
    const server = await start(t, { hooks, dir, workers: 1 });
    const file = path.join(dir, 'crescent.db');
    await ask(server, 'set', 'a', 'x');
    const hold = (seconds) => tool('sh', ['-c', `(echo 'BEGIN IMMEDIATE;'; sleep ${seconds}; echo 'COMMIT;') | sqlite3 ${file}`]);
    const short = hold(1);
    await sleep(300);
    assert.deepEqual(await ask(server, 'incr', 'n'), [1]);
    await short;
    const long = hold(6);
    await sleep(300);
    assert.equal(await status(server, 'incr', 'n'), 503);
    assert.deepEqual(await ask(server, 'get', 'n'), [1]); // it was not done
    await long;
    await until(async () => await status(server, 'incr', 'n') === 200, 'the store', 10000);
    assert.deepEqual(await ask(server, 'get', 'n'), [2]);
});

test('what ends a server leaves no lock behind', async (t) => {
    const dir = folder(t);
    for (const signal of ['SIGKILL', 'SIGTERM', 'SIGKILL']) {
        const server = await start(t, { hooks, dir, workers: 1 });
        await ask(server, 'incr', 'n');
        const [keeper] = server.children('keeper');
        process.kill(server.pid, signal);
        await server.exit;
        await until(() => !alive(keeper), 'the keeper gone', ms(3000));
    }
    assert.equal(await sql(path.join(dir, 'crescent.db'), "SELECT value FROM kv WHERE key = 'n'"), '3');
});
