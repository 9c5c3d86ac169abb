// SIGKILL at random, 100 rounds, under load with reloads going on: after each round the server serves, at the end it is
// whole, has leaked nothing, and every worker has the current scripts. $CRESCENT_FAULT_ROUNDS makes it longer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, request, sleep, start, until } from '../e2e/helper.mjs';
import { factor, generator, holdings, noLeak, send, settle, whole } from './fault.mjs';

const rounds = Number(process.env.CRESCENT_FAULT_ROUNDS ?? Math.round(100 / factor));
const workers = 4;
const script = (version) => `return function() return "version ${version}" end`;

test(`${rounds} rounds of SIGKILL at random`, async (t) => {
    const server = await start(t, { hooks: { 'hello.lua': 'return function() return "hello" end', 'v.lua': script(0) }, workers, config: 'return { drain = "2s" }' });
    const seed = Number(process.env.CRESCENT_FAULT_SEED ?? 20261124), random = generator(seed);
    await whole(server, { workers, target: '/v', text: 'version 0' });
    await settle();
    const before = holdings(server);
    const killed = { keeper: 0, worker: 0, trial: 0 };

    let version = 0, saving = true;
    const saves = (async () => {
        while (saving) {
            server.replace('v.lua', script(++version));
            await sleep(20 + random.below(120));
        }
    })();
    const running = load(`${server.url}/hello`, { connections: 6, judge: (a) => a.text === 'hello' });

    for (let round = 0; round < rounds; round++) {
        const kind = random.pick(['worker', 'worker', 'worker', 'keeper', 'trial']);
        // A trial lives for some milliseconds, so one is waited for; a last worker is spared until another is back.
        if (kind === 'worker') await until(() => server.children('worker').length > 1, 'a second worker', 15000);
        const pids = await until(() => server.children(kind).length && server.children(kind), `a ${kind}`, 15000);
        send(random.pick(pids), 'SIGKILL');
        killed[kind]++;
        await until(() => request(`${server.url}/hello`).then((r) => r.text === 'hello', () => false), () => `service in round ${round}, seed ${seed}\n${server.tail()}`, 5000);
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
    assert.ok(killed.worker > 0 && killed.keeper > 0 && killed.trial > 0);
    // A worker's death breaks what it had in its hands: at most one request for each of the six connections.
    assert.ok(failures.length <= 6 * killed.worker, failures.join('\n'));
    assert.ok(failures.every((f) => /ECONNRESET|socket hang up|EPIPE/.test(f)), failures.join('\n'));
    assert.ok(answers > 10 * rounds);
});
