// Memory exhausted: scripts at the ceiling on every worker. Their requests fail, no process dies (a full worker is
// replaced, and leaves), and the next version of the script is live everywhere.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertProblem, childrenOf, start, until } from '../e2e/helper.mjs';
import { factor, holdings, noLeak, resident, settle, whole } from './fault.mjs';

const hooks = {
    'v.lua': 'return function() return "one" end',
    // Keeps what it makes, in pieces of 64 KiB and of some bytes, until there is no more.
    'hoard.lua': 'local kept = {}\nreturn function()\n  for i = 1, 100 do kept[#kept + 1] = (tostring(#kept) .. "x"):rep(10000) end\n  return tostring(#kept)\nend',
    'crumbs.lua': 'local kept = {}\nreturn function()\n  while true do kept[#kept + 1] = { #kept } end\nend',
    'burst.lua': 'return function()\n  local t = {}\n  for i = 1, 1e7 do t[i] = { i } end\nend',
};

for (const [name, from] of [['large pieces', '/hoard'], ['crumbs', '/crumbs']]) {
    test(`a script that keeps ${name} until the ceiling, on every worker`, async (t) => {
        const server = await start(t, { hooks, workers: 2, config: 'return { drain = "2s", limits = { lua_memory = "8MiB" } }' });
        await whole(server, { workers: 2, target: '/v', text: 'one' });
        await settle();
        const before = holdings(server), keeper = server.children('keeper');
        let failed = 0;
        await until(async () => {
            const reply = await server.get(from);
            failed = reply.status === 500 ? failed + 1 : 0;
            if (reply.status === 500) assertProblem(reply, 500);
            return failed >= 30; // in a row, over fresh connections: both workers are at their ceiling
        }, 'the ceiling on every worker', 20000);
        // A small request of another script may fail on a full state, but never ends the worker, and is told.
        for (let i = 0; i < 20; i++) {
            const reply = await server.get('/v');
            if (reply.status !== 200) assertProblem(reply, 500);
        }
        for (const pid of server.children('worker')) assert.ok(resident(pid).most < 64 * factor, `${resident(pid).most} MiB`);
        server.replace(`${from.slice(1)}.lua`, 'return function() return "mended" end');
        await whole(server, { workers: 2, target: from, text: 'mended', limit: 20000 });
        await whole(server, { workers: 2, target: '/v', text: 'one' });
        assert.deepEqual(server.children('keeper'), keeper);
        assert.deepEqual(server.records((r) => / died$|killed/.test(r.message)), []);
        await noLeak(server, before);
    });
}

test('requests that burst meet the ceiling one by one; nothing stays of them', async (t) => {
    const server = await start(t, { hooks, workers: 2, config: 'return { drain = "2s", limits = { lua_memory = "16MiB" } }' });
    await whole(server, { workers: 2, target: '/v', text: 'one' });
    const pids = childrenOf(server.pid).sort();
    for (let round = 0; round < 10; round++) {
        const replies = await Promise.all(Array.from({ length: 8 }, () => server.get('/burst')));
        for (const reply of replies) assertProblem(reply, 500);
        for (let i = 0; i < 8; i++) assert.equal((await server.get('/v')).text, 'one');
    }
    assert.deepEqual(childrenOf(server.pid).sort(), pids);
    assert.ok(await server.metricSum('crescent_script_memory_errors_total') >= 80);
});
