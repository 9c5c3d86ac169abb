// SIGKILL at random, 100 rounds, under load with reloads and upgrades going on: after each round the server serves, a
// save goes live and the supervisor holds no more descriptors than before; at the end it is whole, has leaked nothing,
// and every worker has the current scripts. (The supervisor's own death: e2e/g-01.) $CRESCENT_FAULT_ROUNDS makes it longer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { spawnerOf } from '../e2e/exec.mjs';
import { load, request, sleep, start, until } from '../e2e/helper.mjs';
import { descriptors, factor, generator, holdings, noLeak, send, settle, whole } from './fault.mjs';

const rounds = Number(process.env.CRESCENT_FAULT_ROUNDS ?? Math.round(100 / factor));
const workers = 4;
const script = (version) => `return function() return "version ${version}" end`;

/** HUP: an upgrade begins with a process that reads the configuration, for some milliseconds. What follows meets later rounds. */
function reader(server) {
    send(server.pid, 'SIGHUP');
    for (const end = Date.now() + 300; Date.now() < end;) {
        const pids = server.children('config');
        if (pids.length) return pids;
    }
    return []; // another upgrade is under way still
}

test(`${rounds} rounds of SIGKILL at random`, async (t) => {
    const server = await start(t, { hooks: { 'hello.lua': 'return function() return "hello" end', 'v.lua': script(0) }, workers, config: 'return { drain = "2s", exec = { "true" } }' });
    const seed = Number(process.env.CRESCENT_FAULT_SEED ?? 20261124), random = generator(seed);
    await whole(server, { workers, target: '/v', text: 'version 0' });
    await settle();
    const before = holdings(server);
    const killed = { keeper: 0, worker: 0, spawner: 0, trial: 0, config: 0 };

    const all = (kind) => kind === 'spawner' ? server.children('worker').map(spawnerOf).filter((pid) => pid !== undefined) : server.children(kind);
    let version = 0, saving = true;
    t.after(() => { saving = false; });
    const saves = (async () => {
        while (saving) {
            server.replace('v.lua', script(++version));
            await sleep(20 + random.below(120));
        }
    })();
    const running = load(`${server.url}/hello`, { connections: 6, judge: (a) => a.text === 'hello' });

    for (let round = 0; round < rounds; round++) {
        const kind = random.pick(['worker', 'worker', 'worker', 'keeper', 'spawner', 'trial', 'config']);
        // A trial lives for some milliseconds, so one is waited for; a last worker is spared until another is back.
        if (kind === 'worker') await until(() => server.children('worker').length > 1, 'a second worker', 15000);
        const pids = kind === 'config' ? reader(server) : await until(() => all(kind).length && all(kind), `a ${kind}`, 15000);
        for (const pid of pids.length ? [random.pick(pids)] : []) {
            send(pid, 'SIGKILL');
            killed[kind]++;
        }
        const where = () => `round ${round}, ${kind}, seed ${seed}\n${server.tail()}`;
        await until(() => request(`${server.url}/hello`).then((r) => r.text === 'hello', () => false), () => `service in ${where()}`, 5000);
        const least = version;
        await until(() => request(`${server.url}/v`).then((r) => Number(/^version (\d+)$/.exec(r.text)?.[1]) >= least, () => false), () => `version ${least} live in ${where()}`, 15000);
        await until(() => descriptors(server.pid) <= before.supervisor + 60, () => `${descriptors(server.pid)} descriptors of the supervisor, ${before.supervisor} before, in ${where()}`, 5000);
        await sleep(100 + random.below(300));
    }
    const { answers, failures } = await running.stop();
    saving = false;
    await saves;
    server.replace('v.lua', script(++version));
    await whole(server, { workers, target: '/v', text: `version ${version}` });
    await settle();
    await noLeak(server, before);

    t.diagnostic(`killed ${JSON.stringify(killed)}, ${answers} answers, ${failures.length} broken, ${version} saves, seed ${seed}`);
    assert.ok(killed.worker > 0 && killed.keeper > 0 && killed.trial > 0 && (rounds < 50 || (killed.config > 0 && killed.spawner > 0)));
    // A spawner's death breaks nothing: its worker makes way for another. A worker's breaks what it had in its hands: at most
    // one request for each of the six connections.
    assert.ok(failures.length <= 6 * killed.worker, failures.join('\n'));
    assert.ok(failures.every((f) => /ECONNRESET|socket hang up|EPIPE/.test(f)), failures.join('\n'));
    assert.ok(answers > 10 * rounds);
});
