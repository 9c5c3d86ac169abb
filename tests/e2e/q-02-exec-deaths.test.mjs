// What becomes of programs when processes die: nothing that a script started survives its worker, not even what moved to a
// session of its own or forks all the time; a spawner's death costs the programs it had started, and no request else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fs from 'node:fs';
import { alive, childrenOf, cmdline, folder, load, ms, request, sleep, start, until } from './helper.mjs';
import { exec, gone, pidIn, runner, shell, spawnerOf, noZombies, zombies } from './exec.mjs';

const hooks = { 'run.lua': runner, 'hello.lua': 'return function() return "hello" end' };

// One in its group, one in a session of its own, deaf; a daemon (two forks, its parents gone); one started by a program that has ended.
const family = `
    sleep 1001 & echo $! >group
    setsid sh -c 'trap "" TERM HUP INT; echo $$ >session; while :; do sleep 1002; done' &
    setsid sh -c '(setsid sh -c "echo \\$\\$ >daemon; exec sleep 1003" >/dev/null 2>&1 &)'
    echo $$ >leader; exec sleep 1004`;
const names = ['group', 'session', 'daemon', 'leader'];

/** Starts the family on this server: its process ids, and the answer to come. */
async function begin(server, options = { timeout: '60s' }) {
    for (const name of [...names, 'left']) fs.rmSync(`${server.dir}/${name}`, { force: true });
    assert.ok((await shell(server, 'setsid sh -c "echo \\$\\$ >left; exec sleep 1005" >/dev/null 2>&1 &')).ok);
    const answer = shell(server, family, options).catch((error) => ({ error: error.message }));
    const pids = [];
    for (const name of [...names, 'left']) pids.push(await pidIn(server, name));
    assert.ok(pids.every(alive));
    return { pids, answer };
}
/** The worker that the leader descends from. */
const workerOf = (server, pid) => server.children('worker').find((w) => childrenOf(spawnerOf(w) ?? 0).includes(pid));

test('a worker is killed', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    for (let round = 0; round < 3; round++) {
        const { pids, answer } = await begin(server);
        const [worker] = server.children('worker'), spawner = spawnerOf(worker);
        process.kill(worker, 'SIGKILL');
        await gone([...pids, spawner], 'programs of a killed worker');
        assert.ok((await answer).error);
        await until(() => server.children('worker').length === 1 && spawnerOf(server.children('worker')[0]), 'a new worker with a spawner', 10000);
        await until(async () => (await exec(server, ['true']).catch(() => ({}))).ok, 'exec again', 10000);
        await until(() => zombies(server.pid).length === 0 && childrenOf(server.pid).length === 2, () => `children: ${childrenOf(server.pid).map(cmdline)}`);
    }
});

test('a spawner is killed: its programs end as errors, requests go on, the next one is there', async (t) => {
    const server = await start(t, { hooks, workers: 2 });
    const running = load(`${server.url}/hello`, { judge: (a) => a.text === 'hello' });
    for (let round = 0; round < 3; round++) {
        const { pids, answer } = await begin(server);
        const worker = workerOf(server, pids[3]), spawner = spawnerOf(worker);
        process.kill(spawner, 'SIGKILL');
        const result = await answer;
        assert.deepEqual([result.ok, result.code], [false, 'spawner_gone']);
        assert.match(result.words, /^sh: the process that had started it died, so it was killed$/);
        // `left` was perhaps another worker's.
        await gone([...pids.slice(0, 4), spawner], 'programs of a killed spawner');
        // A worker cannot start another one: the next worker takes its place, while it finishes what it has.
        await until(() => !server.children('worker').includes(worker) && server.children('worker').length === 2
            && server.children('worker').every((w) => spawnerOf(w)), 'the next worker, with a spawner', 10000);
        const all = await Promise.all(Array.from({ length: 20 }, () => exec(server, ['echo', 'x'])));
        assert.ok(all.every((r) => r.stdout === 'x\n'), JSON.stringify(all.find((r) => !r.ok)));
    }
    const { failures, answers } = await running.stop();
    assert.deepEqual(failures, []);
    assert.ok(answers > 50);
    await server.said('the spawner has died');
    await noZombies(server);
});

test('a worker and its spawner are killed together', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    for (let round = 0; round < 3; round++) {
        const { pids } = await begin(server);
        const [worker] = server.children('worker'), spawner = spawnerOf(worker);
        process.kill(worker, 'SIGSTOP'); // so that it does not clean up after its spawner
        process.kill(spawner, 'SIGKILL');
        process.kill(worker, 'SIGKILL');
        await gone(pids, 'programs whose worker and spawner are dead');
        await until(async () => (await exec(server, ['true']).catch(() => ({}))).ok, 'exec again', 10000);
        await until(() => zombies(server.pid).length === 0 && childrenOf(server.pid).length === 2, () => `children: ${childrenOf(server.pid).map(cmdline)}`);
    }
});

test('a spawner that was stopped does not keep programs of a dead worker alive', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    const { pids } = await begin(server);
    const [worker] = server.children('worker'), spawner = spawnerOf(worker);
    process.kill(spawner, 'SIGSTOP');
    process.kill(worker, 'SIGKILL');
    await gone([...pids, spawner], 'programs of a stopped spawner');
});

test('the supervisor is killed', async (t) => {
    const server = await start(t, { hooks, workers: 2 });
    const { pids } = await begin(server);
    const spawners = server.children('worker').map(spawnerOf);
    process.kill(server.pid, 'SIGKILL');
    await gone([...pids, ...spawners], 'programs of a killed server');
    await server.exit;
});

test('TERM: a program under way may finish within drain, what is left then is killed', async (t) => {
    const server = await start(t, { hooks, workers: 2, config: 'return { drain = "2s" }' });
    const { pids } = await begin(server);
    const short = shell(server, 'sleep 0.7; echo finished');
    await sleep(ms(200));
    const spawners = server.children('worker').map(spawnerOf);
    server.child.kill('SIGTERM');
    assert.deepEqual(await short, { ok: true, code: 0, stdout: 'finished\n', stderr: '' });
    await until(() => server.ended, 'the end', 10000);
    assert.deepEqual(server.ended, { code: 0, signal: null });
    assert.deepEqual([...pids, ...spawners].filter(alive), [], 'gone before the supervisor is');
});

test('a second TERM ends all at once', async (t) => {
    const server = await start(t, { hooks, workers: 2 });
    const { pids } = await begin(server);
    server.child.kill('SIGTERM');
    await sleep(ms(300));
    server.child.kill('SIGTERM');
    await until(() => server.ended, 'the end', 5000);
    assert.deepEqual(pids.filter(alive), []);
});

test('HUP: an old worker finishes its programs, and takes the rest with it', async (t) => {
    const server = await start(t, { hooks, workers: 2, config: 'return { drain = "3s" }' });
    const { pids } = await begin(server);
    const old = server.children('worker'), spawners = old.map(spawnerOf);
    const short = shell(server, 'sleep 1; echo finished');
    await sleep(ms(200));
    server.child.kill('SIGHUP');
    assert.deepEqual(await short, { ok: true, code: 0, stdout: 'finished\n', stderr: '' });
    await gone([...old, ...spawners, ...pids], 'the old workers, and what they had started', 20000);
    assert.ok((await exec(server, ['true'])).ok);
    await until(() => server.children('worker').length === 2 && childrenOf(server.pid).length === 3, () => `children: ${childrenOf(server.pid).map(cmdline)}`, 10000);
    await noZombies(server);
});

test('the watchdog kills a worker', async (t) => {
    const server = await start(t, { hooks: { ...hooks, 'stuck.lua': 'return function() return (("a"):rep(60)):find(("a?"):rep(60) .. ("a"):rep(60)) and 200 end' }, workers: 1 });
    const { pids } = await begin(server);
    const spawner = spawnerOf(server.children('worker')[0]);
    request(`${server.url}/stuck`).catch(() => {});
    await gone([...pids, spawner], 'programs of a worker that was stuck', 15000);
});

// It forks, in groups, sessions and as orphans, as often as there are bytes in a pipe, of which each fork takes one: the machine
// is to survive a failure of this test, and a count in shared memory goes backwards where thousands compete for the processor.
const bomb = `
import os, time, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
left, more = os.pipe()
os.write(more, b'.' * 1500)
os.set_blocking(left, False)
def fork():
    try: os.read(left, 1)
    except BlockingIOError:
        while True: time.sleep(1)
    return os.fork()
open('bomb', 'w').write(str(os.getpid()) + '\\n')
while True:
    if fork() == 0:
        kind = os.getpid()
        if kind % 3 == 0: os.setsid()
        elif kind % 3 == 1: os.setpgid(0, 0)
        if kind % 5 == 0 and fork() > 0: os._exit(0)
`;
for (const [what, victim] of [['its worker', (server) => server.children('worker')[0]], ['its spawner', (server) => spawnerOf(server.children('worker')[0])]])
    test(`a fork bomb loses when ${what} dies`, async (t) => {
        const dir = folder(t), mark = `bomb-of-${dir}`; // in the command line of all that it forks
        const server = await start(t, { hooks, workers: 1, dir });
        exec(server, ['python3', '-c', bomb, mark], { timeout: '60s' }).catch(() => {});
        await pidIn(server, 'bomb');
        const bombs = () => fs.readdirSync('/proc').map(Number).filter((pid) => pid && cmdline(pid).includes(mark));
        await until(() => bombs().length > 100, 'a hundred of them', 20000);
        process.kill(victim(server), 'SIGKILL');
        const begun = Date.now();
        await until(() => bombs().filter(alive).length === 0, () => `${bombs().length} of them left`, 10000);
        t.diagnostic(`gone after ${Date.now() - begun} ms`);
        await until(async () => (await exec(server, ['true']).catch(() => ({}))).ok, 'exec again', 10000);
        assert.equal(bombs().length, 0);
    });

test('what the server did not start is left alone', async (t) => {
    // An entry point that starts a helper and then becomes the server: the helper is the server's child.
    const server = await start(t, { hooks, workers: 1, prefix: ['sh', '-c', 'sleep 1006 & echo $! >helper; exec "$@"', 'sh'] });
    const helper = await pidIn(server, 'helper');
    assert.ok(childrenOf(server.pid).includes(helper));
    process.kill(server.children('worker')[0], 'SIGKILL');
    await until(async () => (await exec(server, ['true']).catch(() => ({}))).ok, 'exec again', 10000);
    await sleep(ms(1000));
    assert.ok(alive(helper), 'it lives on');
    process.kill(helper, 'SIGKILL');
    await until(() => !childrenOf(server.pid).includes(helper), 'its end is collected', 5000);
});
