import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heldBy, killHolding, load1, load2 } from './clients.mjs';
import { ms, sleep, start, until } from './helper.mjs';

const hooks = { 'hello.lua': 'return function() return "hello" end', 'nap.lua': 'return function() sleep "20ms" return "nap" end' };
const seconds = (record) => Date.parse(record.time);

/** How long after its death the log says that the child is there again, in ms. */
async function recovery(server, name, nth) {
    const died = await until(() => server.records(`${name} died`)[nth], `${name} died`);
    const again = await until(() => server.records((r) => r.message === `${name} is back`)[nth], `${name} is back`);
    assert.ok(Math.abs(seconds(again) - seconds(died) - again.ms) <= ms(20), `${seconds(again) - seconds(died)} by the clock, ${again.ms} told`);
    return again.ms;
}

test('kill -9 of a worker under load: exactly the connections that it held may break, and none is refused', async (t) => {
    const server = await start(t, { hooks, workers: 3 });
    const keepers = load1(t, server.port, '/hello', { connections: 12, expect: 'hello' });
    const naps = load1(t, server.port, '/nap', { connections: 12, expect: 'nap' });
    const fresh = load1(t, server.port, '/hello', { connections: 4, each: 1, expect: 'hello' });
    const second = load2(t, server.url, '/nap', { sessions: 6, streams: 4, expect: 'nap' });
    const all = [keepers, naps, fresh, second];
    const counts = {};
    for (let life = 0; life < 3; life++) {
        await sleep(400);
        const [pid] = server.children('worker').sort((a, b) => heldBy(b, server.port).size - heldBy(a, server.port).size);
        const held = await killHolding(pid, server.port);
        await until(() => server.children('worker').filter((p) => p !== pid).length === 3, 'a successor', 1000);
        await sleep(300);
        for (const one of all) {
            const others = one.failures.filter((f) => !held.has(f.port));
            assert.deepEqual(others, [], `of connections of other workers; the victim held ${[...held]}`);
            one.failures.length = 0;
        }
        assert.ok(held.size > 0, 'a victim that held nothing proves nothing');
    }
    for (let i = 0; i < 3; i++) {
        const name = server.records((r) => / died$/.test(r.message))[i].message.replace(' died', '');
        counts[name] = (counts[name] ?? -1) + 1;
        const took = await recovery(server, name, counts[name]);
        assert.ok(took < ms(300), `${name}: ${took} ms`); // usual: 30
    }
    for (const one of all) {
        const { answers, failures, refused } = await one.stop();
        assert.deepEqual([failures, refused], [[], []]);
        assert.ok(answers > 50, `${answers} answers`);
    }
});

test('two workers die at once, and with them the keeper: the third answers on, all are back', async (t) => {
    const server = await start(t, { hooks, workers: 3 });
    const load = load1(t, server.port, '/hello', { connections: 12, expect: 'hello' });
    const fresh = load1(t, server.port, '/hello', { connections: 2, each: 1, expect: 'hello' });
    await sleep(300);
    const victims = [...server.children('worker').slice(0, 2), ...server.children('keeper')];
    const held = (await Promise.all(victims.map((pid) => killHolding(pid, server.port)))).flatMap((ports) => [...ports]);
    const took = await Promise.all(['worker 0', 'worker 1', 'keeper'].map((name) => recovery(server, name, 0)));
    assert.ok(Math.max(...took) < ms(300), took.join(' ms, ')); // usual: 30
    server.write({ 'hello.lua': 'return function() return "hello" end -- again', 'new.lua': 'return function() return "new" end' });
    await until(async () => (await server.get('/new')).status === 200, 'a reload by the new keeper');
    for (const one of [load, fresh]) {
        const { failures, refused } = await one.stop();
        assert.deepEqual(failures.filter((f) => !held.includes(f.port)), []);
        assert.deepEqual(refused, []);
    }
});

test('a worker that stands still is passed over: what waits in its queue is answered by the others', async (t) => {
    const server = await start(t, { hooks, workers: 2 });
    const [still] = server.children('worker');
    process.kill(still, 'SIGSTOP');
    // Half of these land in its queue; the other worker takes them over within 50 ms and a tick.
    const began = Date.now();
    const fresh = load1(t, server.port, '/hello', { connections: 16, each: 1, expect: 'hello' });
    await until(() => fresh.connects > 200 && fresh.answers > 200, 'answers', 2000);
    const stopped = Date.now();
    process.kill(still, 'SIGCONT');
    const { failures, refused } = await fresh.stop();
    assert.deepEqual([failures, refused], [[], []]);
    assert.ok(stopped - began < ms(1500), `${stopped - began} ms`);
});

for (const [name, wanted] of [['worker', 'worker 0'], ['keeper', 'keeper']])
    test(`a ${name} that dies while a reload is under way: the change is live, everywhere`, async (t) => {
        const server = await start(t, { hooks: { 'a.lua': 'return function() return "0" end' }, workers: 2 });
        for (let n = 1; n <= 3; n++) {
            server.write({ 'a.lua': `local till = os.clock() + 0.05 while os.clock() < till do end return function() return "${n}" end` });
            await sleep(25 + n * 12); // settled, tried, prepared: somewhere in it
            process.kill(server.children(name)[0], 'SIGKILL');
            await until(async () => {
                for (let i = 0; i < 12; i++) if ((await server.get('/a').catch(() => ({}))).text !== String(n)) return false;
                return true;
            }, `${n} everywhere`, 5000);
        }
        assert.ok(server.records(`${wanted} died`).length > 0 || name === 'worker');
        assert.equal(server.records('script broken').length, 0, server.tail());
    });
