// SIGSTOP: a process that stands still is worked round at once, and ended when it stands still for too long.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, ms, request, sleep, start, until } from '../e2e/helper.mjs';
import { holdings, noLeak, send, whole } from './fault.mjs';

const hooks = { 'v.lua': 'return function() return "one" end' };

test('a keeper and a worker that are stopped: others serve at once; both are replaced, with the current scripts', async (t) => {
    const server = await start(t, { hooks, workers: 3, config: 'return { drain = "2s" }' });
    await whole(server, { workers: 3, target: '/v', text: 'one' });
    const before = holdings(server);
    const [worker] = server.children('worker'), [keeper] = server.children('keeper');
    t.after(() => [worker, keeper].forEach((pid) => send(pid, 'SIGCONT')));
    send(worker, 'SIGSTOP');
    send(keeper, 'SIGSTOP');
    // Only connections that the stopped worker has taken up can hang, and these are new ones.
    await sleep(ms(300));
    const fresh = load(`${server.url}/v`, { connections: 4, fresh: true, judge: (a) => a.text === 'one', limit: 5000 });
    server.write({ 'v.lua': 'return function() return "two" end' });
    await until(() => !server.children('worker').includes(worker), 'the stopped worker ended', 14000);
    const { answers, failures, slowest } = await fresh.stop();
    assert.deepEqual(failures, []);
    assert.ok(answers > 100 && slowest < ms(3000), `${answers} answers, the slowest ${slowest} ms`);
    await until(() => !server.children('keeper').includes(keeper), 'the stopped keeper ended', 36000);
    await whole(server, { workers: 3, target: '/v', text: 'two' });
    await noLeak(server, before);
});

test('a keeper that stood still for a moment goes on where it was', async (t) => {
    const server = await start(t, { hooks, workers: 2 });
    const [keeper] = server.children('keeper');
    send(keeper, 'SIGSTOP');
    server.write({ 'v.lua': 'return function() return "two" end' });
    await sleep(ms(1500));
    assert.equal((await server.get('/v')).text, 'one');
    send(keeper, 'SIGCONT');
    await whole(server, { workers: 2, target: '/v', text: 'two' });
    assert.deepEqual(server.children('keeper'), [keeper]);
    assert.equal((await request(`${server.admin}/healthz`)).status, 200);
});
