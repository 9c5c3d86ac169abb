// The log in a file: opened again for whoever rotates it, and none of what the server reads.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { exec, runner, spawnerOf } from './exec.mjs';
import { alive, binary, certificate, childrenOf, cmdline, environment, folder, load, run, sleep, start, tool, until, write } from './helper.mjs';

const hooks = {
    'hello.lua': 'return function() return "hello" end',
    'counts.lua': 'local n = 0 return function() n = n + 1 return tostring(n) .. tostring(env.CRESCENT_LOG) end', // starts anew with each reload
};
const requests = (r) => /^request( refused| gone)?$/.test(r.message);

async function toFile(t, settings, env = {}) {
    let child, ended;
    t.after(async () => { child?.kill('SIGKILL'); await ended; }); // before its folder goes
    const dir = folder(t), file = path.join(dir, 'crescent.log');
    write(dir, { 'crescent.lua': `return { log = { access = "all", file = "crescent.log" ${settings} } }` });
    write(path.join(dir, 'hooks'), hooks);
    const free = await new Promise((done) => { const s = net.createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => done(port)); }); });
    child = spawn(binary, ['serve', 'hooks', '--listen', `127.0.0.1:${free}`, '--admin', 'off', '--workers', '1'], { cwd: dir, env: environment(env), stdio: ['ignore', 'ignore', 'pipe'] });
    let noise = '';
    child.stderr.on('data', (text) => { noise += text; });
    ended = new Promise((done) => child.once('exit', done));
    const text = (name = 'crescent.log') => fs.existsSync(path.join(dir, name)) ? fs.readFileSync(path.join(dir, name), 'utf8') : '';
    await until(() => /serving/.test(text()), () => `serving in the file\n${text()}\n${noise}`, 10000);
    return { dir, file, child, text, url: `http://127.0.0.1:${free}`, ended, noise: () => noise };
}
/** The last one may be under way. */
const lines = (text) => text.split('\n').slice(0, -1).map((l) => JSON.parse(l));

test('USR1 after a rename: the new file gets what comes then, no line is lost, and stderr stays empty', async (t) => {
    const server = await toFile(t, '');
    assert.equal(fs.statSync(server.file).mode & 0o777, 0o640 & ~process.umask());
    const running = load(`${server.url}/hello`, { connections: 4 });
    t.after(() => running.stop());
    for (const old of ['one', 'two', 'three']) {
        await sleep(150);
        fs.renameSync(server.file, path.join(server.dir, old));
        server.child.kill('SIGUSR1');
        await until(() => server.text().includes('"request"'), 'lines in the new file');
    }
    const { answers } = await running.stop();
    const all = () => ['one', 'two', 'three', 'crescent.log'].flatMap((name) => lines(server.text(name)));
    await until(() => all().filter(requests).length >= answers, () => `${all().filter(requests).length} of ${answers}`);
    assert.equal(all().filter(requests).length, answers);
    fs.renameSync(server.file, path.join(server.dir, 'four'));
    fs.mkdirSync(server.file); // cannot be opened: the old one is kept, and that is said
    server.child.kill('SIGUSR1');
    await until(() => server.text('four').includes('the log file stays the old one'), () => server.text('four').slice(-1000));
    server.child.kill('SIGTERM');
    assert.equal(await server.ended, 0);
    assert.match(server.text('four'), /"stopped"/);
    assert.equal(server.noise(), '');
});

test('log.format text: one readable line each; a file that cannot be written is an error at the start', async (t) => {
    const server = await toFile(t, ', format = "text"');
    await fetch(`${server.url}/hello?a=b`, { method: 'POST', body: 'x' });
    await until(() => /request_id/.test(server.text()), () => server.text());
    const line = server.text().split('\n').find((l) => l.includes('/hello'));
    assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info  worker 0: POST \/hello 200  duration_ms=[\d.]+  bytes_in=1  bytes_out=5  endpoint="hello"/);
    assert.ok(!server.text().includes('\x1b'));
    server.child.kill('SIGTERM');
    assert.equal(await server.ended, 0);

    write(server.dir, { 'crescent.lua': 'return { log = { file = "none/such.log" } }' });
    const refused = await run(['serve', 'hooks', '--listen', '127.0.0.1:0'], { cwd: server.dir });
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /crescent\.lua:1: log\.file: cannot open the log file .*none\/such\.log: No such file/);
    for (const [text, words] of [['access = "some"', /log\.access: expected all, off, sampled or a fraction 0-1, got "some"/], ['access = 1.5', /log\.access: expected/],
        ['format = "xml"', /log\.format: expected json or text, got "xml"/], ['acess = "all"', /unknown setting 'log\.acess' \(did you mean 'log\.access'/]]) {
        write(server.dir, { 'crescent.lua': `return { log = { ${text} } }` });
        const bad = await run(['serve', 'hooks', '--listen', '127.0.0.1:0'], { cwd: server.dir });
        assert.equal(bad.code, 1, text);
        assert.match(bad.stderr, words);
    }
});

test('a log that is something else is refused, before a byte of it is written', async (t) => {
    const dir = folder(t), secret = 'A=b\n', pair = await certificate(folder(t));
    const tls = `tls = { cert = "${pair.cert}", key = "${pair.key}" }`;
    write(dir, { '.env': secret, 'files/x': '', 'hooks/hello.lua': hooks['hello.lua'] });
    fs.symlinkSync('.env', path.join(dir, 'link'));
    fs.symlinkSync('crescent.db', path.join(dir, 'later'));
    fs.linkSync(path.join(dir, '.env'), path.join(dir, 'hard'));
    const real = fs.realpathSync(dir), before = fs.readdirSync(dir, { recursive: true }).sort();
    const stands = () => ['.env', 'hooks/hello.lua'].map((name) => fs.readFileSync(path.join(dir, name), 'utf8')).concat(fs.readFileSync(pair.cert, 'utf8'), fs.readFileSync(pair.key, 'utf8'));
    const held = stands();
    const cases = [
        ['crescent.db', '', 'is the store\'s own', 'crescent.db'],
        ['./crescent.db-wal', '', 'is the store\'s own', 'crescent.db-wal'],
        ['later', '', 'is the store\'s own', 'crescent.db'],
        ['other.db', 'store = "sqlite:other.db"', 'is the store\'s own', 'other.db'],
        ['.env', '', 'holds the values of env', '.env'],
        ['link', '', 'holds the values of env', '.env'],
        ['hard', '', 'holds the values of env', '.env'],
        ['crescent.lua', '', 'is the configuration itself', 'crescent.lua'],
        ['hooks/hello.lua', '', 'lies in the folder of scripts', 'hooks'],
        ['hooks/new.log', '', 'lies in the folder of scripts', 'hooks'],
        ['files/x.log', '', "lies in the folder of 'files', where scripts write", 'files'],
        ['up/x.log', 'files = "up"', "lies in the folder of 'files', where scripts write", 'up'],
        [pair.cert, tls, 'is one of the setting tls', pair.cert],
        [pair.key, tls, 'is one of the setting tls', pair.key],
    ];
    const at = (name) => path.resolve(real, name);
    for (const [log, more, is, what] of cases) {
        const words = `the log file ${at(log)} ${is}: ${at(what)}`;
        write(dir, { 'crescent.lua': `return { log = { file = "${log}" }, ${more} }` });
        for (const command of [['serve', 'hooks', '--listen', '127.0.0.1:0', '--admin', 'off'], ['check', 'hooks']]) {
            const { code, stderr } = await run(command, { cwd: dir });
            assert.deepEqual([code, stderr.trim()], [1, `crescent: crescent.lua:1: log.file: ${words}`], log);
        }
        const text = `return { ${more} }`;
        write(dir, { 'crescent.lua': text });
        const { code, stderr } = await run(['serve', 'hooks', '--listen', '127.0.0.1:0', '--admin', 'off'], { cwd: dir, env: { CRESCENT_LOG_FILE: log } });
        assert.deepEqual([code, stderr.trim()], [1, `crescent: CRESCENT_LOG_FILE: ${words}`], log);
        assert.equal(fs.readFileSync(path.join(dir, 'crescent.lua'), 'utf8'), text);
        fs.rmSync(path.join(dir, 'crescent.lua'));
        assert.deepEqual([stands(), fs.readdirSync(dir, { recursive: true }).sort()], [held, before], log);
    }
});

test('USR1 and USR2 to every process at once: nobody dies, and the log is opened again', async (t) => {
    const server = await toFile(t, '');
    const everybody = () => [server.child.pid, ...childrenOf(server.child.pid)];
    // By what they are: a trial that ends, or has just been born, cannot be told by its command line.
    const lasting = () => everybody().filter((pid) => pid === server.child.pid || /^crescent (keeper|worker)/.test(cmdline(pid)));
    const before = lasting(), running = load(`${server.url}/hello`, { connections: 2 });
    t.after(() => running.stop());
    assert.equal(before.length, 3, before.map(cmdline).join('\n'));
    const kill = (pid, signal) => { try { process.kill(pid, signal); } catch { assert.ok(!before.includes(pid)); /* a trial's end */ } };
    for (const old of ['one', 'two', 'three']) {
        fs.renameSync(server.file, path.join(server.dir, old));
        for (const signal of ['SIGUSR2', 'SIGUSR1']) everybody().forEach((pid) => kill(pid, signal));
        await until(() => server.text().includes('"request"'), 'lines in the new file');
        write(server.dir, { 'hooks/new.lua': `return function() return "${old}" end` }); // a trial too
        await sleep(50);
    }
    const { answers, failures } = await running.stop();
    assert.deepEqual(failures, []);
    await until(() => fetch(`${server.url}/new`, { method: 'POST' }).then((a) => a.text()).then((text) => text === 'three'), 'the newest script');
    assert.deepEqual(lasting(), before);
    assert.ok(before.every(alive));
    const all = () => ['one', 'two', 'three', 'crescent.log'].flatMap((name) => lines(server.text(name))).filter((r) => r.path === '/hello');
    await until(() => all().length === answers, () => `${all().length} of ${answers}`);
    server.child.kill('SIGTERM');
    assert.equal(await server.ended, 0);
});

test('a trial that is under way ignores them too', async (t) => {
    const server = await toFile(t, '');
    write(server.dir, { 'hooks/slow.lua': 'local till = os.clock() + 0.2 while os.clock() < till do end\nreturn function() return "slow" end' });
    const trial = await until(() => childrenOf(server.child.pid).find((pid) => / trial/.test(cmdline(pid))), 'a trial');
    const ignored = BigInt(`0x${fs.readFileSync(`/proc/${trial}/status`, 'utf8').match(/^SigIgn:\s*(\w+)/m)[1]}`);
    for (const name of ['SIGUSR1', 'SIGUSR2']) assert.ok(ignored >> BigInt(os.constants.signals[name] - 1) & 1n, name);
});

test('the log that CRESCENT_LOG_FILE names is no value of env, and what is logged reloads nothing', async (t) => {
    const server = await toFile(t, '', { CRESCENT_LOG_FILE: 'crescent.log' });
    for (let i = 1; i <= 20; i++) {
        assert.equal(await fetch(`${server.url}/counts`, { method: 'POST' }).then((a) => a.text()), `${i}nil`);
        await sleep(40);
    }
});

test('standard descriptors that are closed at the start become nothing else, in no process', async (t) => {
    const server = await start(t, { prefix: ['sh', '-c', 'exec "$@" 0<&- 1>&- 2>&-', 'sh'], hooks: { ...hooks, 'run.lua': runner }, workers: 1, logFile: 'crescent.log',
        config: 'return { log = { file = "crescent.log" } }' });
    assert.equal((await exec(server, ['sh', '-c', 'echo said; echo also >&2'])).stdout, 'said\n');
    const everybody = [server.pid, ...server.children('keeper'), ...server.children('worker'), ...server.children('worker').map(spawnerOf)];
    assert.equal(everybody.length, 4);
    for (const pid of everybody)
        assert.deepEqual([0, 1, 2].map((fd) => fs.readlinkSync(`/proc/${pid}/fd/${fd}`)), ['/dev/null', '/dev/null', '/dev/null'], cmdline(pid));
    process.kill(server.children('keeper')[0], 'SIGKILL');
    await server.said('keeper died');
    await until(async () => (await server.post('/hello')).status === 200 && server.children('keeper').length === 1, 'the next keeper');
    assert.match(await tool('sh', ['-c', '"$0" version 0<&- 2>&-', binary]), /^crescent /);
});
