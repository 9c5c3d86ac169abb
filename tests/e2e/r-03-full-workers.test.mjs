// A script that keeps ever more in its own variables fills the Lua state of its worker, in which then every script meets
// the ceiling, for ever. Such a worker is replaced; nobody else's request fails for it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load1 } from './clients.mjs';
import { assertProblem, ms, sleep, start, until } from './helper.mjs';

const MESSAGE = "scripts keep more than this worker's lua_memory has room for: another takes its place";
const config = 'return { limits = { lua_memory = "16MiB" } }';
const hooks = {
    'leak.lua': 'local kept = {} return { methods = { "GET" }, handle = function() kept[#kept + 1] = ("x"):rep(5e5) .. #kept return tostring(#kept) end }',
    'small.lua': 'local kept = {} return { methods = { "GET" }, handle = function() for i = 1, 5000 do kept[#kept + 1] = { i } end return tostring(#kept) end }',
    // What others need: four megabytes, for a moment.
    'work.lua': 'return { methods = { "GET" }, handle = function() local t = {} for i = 1, 8 do t[i] = ("y"):rep(5e5) .. i end return "done" end }',
    'hello.lua': 'return function() return "hello" end',
    'slow.lua': 'return { methods = { "GET" }, handle = function() sleep "1500ms" return "slow" end }',
};

/** Asks until the ceiling is met: how many answers there were before. */
async function fill(server, name) {
    for (let i = 0; i < 1000; i++) {
        const reply = await server.get(`/${name}`);
        if (reply.status === 200) continue;
        assertProblem(reply, 500);
        return i;
    }
    assert.fail('it never met the ceiling');
}

/** Until so many requests in a row have had the memory that they need. */
async function done(server, wanted) {
    let inARow = 0;
    await until(async () => (inARow = (await server.get('/work')).text === 'done' ? inARow + 1 : 0) >= wanted, 'memory for all', 10000);
}

for (const [name, workers] of [['leak', 1], ['small', 1], ['leak', 2]])
    test(`${name} fills one of ${workers}: it is replaced, and all is served`, async (t) => {
        const server = await start(t, { hooks, config, workers });
        const before = server.children('worker');
        const kept = load1(t, server.port, '/hello', { connections: 4, expect: 'hello', strict: true });
        const fresh = load1(t, server.port, '/hello', { connections: 2, each: 1, expect: 'hello', strict: true });
        const slow = Array.from({ length: 4 * workers }, () => server.get('/slow'));
        await until(() => kept.answers > 20 && fresh.answers > 20, 'load');
        assert.ok(await fill(server, name) > 5);
        await until(() => server.children('worker').some((pid) => !before.includes(pid)), 'a successor');
        const said = await server.said(MESSAGE);
        assert.equal(said.script, `hooks/${name}.lua`);
        assert.equal(said.lua_memory, 16 << 20);
        assert.ok(said.held > 14 << 20 && said.script_holds > 12 << 20, JSON.stringify(said));
        for (const reply of await Promise.all(slow)) assert.equal(reply.text, 'slow'); // who was in it is finished
        await until(() => server.children('worker').length === workers, 'the end of the full one', 10000);
        if (workers === 1) assert.notEqual(server.children('worker')[0], before[0]);
        // What has leaked into the other one may be found out by one more that fails; late, if it is just about full.
        await done(server, 50);
        for (const one of [kept, fresh]) {
            const { failures, refused, answers } = await one.stop();
            assert.deepEqual([failures, refused], [[], []]);
            assert.ok(answers > 50, `${answers} answers`);
        }
        assert.ok(server.records(MESSAGE).length <= workers);
        assert.equal(server.records((r) => / died$|killed/.test(r.message)).length, 0);
    });

test('a leak that goes on is replaced again and again: who does not leak has no failure', async (t) => {
    const server = await start(t, { hooks, config: 'return { limits = { lua_memory = "16MiB" }, drain = "3s" }', workers: 2 });
    const work = load1(t, server.port, '/hello', { connections: 4, each: 20, expect: 'hello', strict: true });
    const leak = load1(t, server.port, '/leak', { connections: 2, each: 5 });
    await until(() => server.records(MESSAGE).length >= 6, 'the sixth', 60000);
    await leak.stop();
    const { failures, refused } = await work.stop();
    assert.deepEqual([failures, refused], [[], []]);
    await until(() => server.children('worker').length === 2, 'two workers', 10000);
    assert.equal(server.records((r) => / died$|killed/.test(r.message)).length, 0);
});

test('what requests under way hold is no leak: the worker stays', async (t) => {
    const server = await start(t, {
        hooks: {
            ...hooks,
            'hold.lua': 'return { methods = { "GET" }, handle = function() local t = {} for i = 1, 6 do t[i] = ("z"):rep(5e5) .. math.random() end sleep "700ms" return t[1]:sub(1, 1) end }',
        },
        config,
        workers: 1,
    });
    const before = server.children('worker');
    for (let round = 0; round < 3; round++) {
        const replies = await Promise.all(Array.from({ length: 12 }, () => server.get('/hold')));
        assert.ok(replies.some((r) => r.status === 200) && replies.some((r) => r.status === 500), replies.map((r) => r.status).join());
        await done(server, 1);
    }
    await sleep(ms(200));
    assert.deepEqual(server.children('worker'), before);
    assert.equal(server.records(MESSAGE).length, 0);
});

test('a leak in a module is named as the module', async (t) => {
    const server = await start(t, {
        hooks: {
            '_lib/cache.lua': 'local kept = {} return { keep = function(v) kept[#kept + 1] = v end }',
            'user.lua': 'local cache = require "_lib.cache" return { methods = { "GET" }, handle = function() cache.keep(("x"):rep(5e5) .. math.random()) return "kept" end }',
            'other.lua': 'local cache = require "_lib.cache" return { methods = { "GET" }, handle = function() return "fine" end }',
        },
        config,
        workers: 1,
    });
    await fill(server, 'user');
    assert.equal((await server.said(MESSAGE)).script, 'hooks/_lib/cache.lua');
});

test('an upgrade that comes in between', async (t) => {
    const server = await start(t, { hooks, config, workers: 2 });
    const work = load1(t, server.port, '/hello', { connections: 4, each: 20, expect: 'hello', strict: true });
    for (let round = 1; round <= 3; round++) {
        const filled = Promise.all([fill(server, 'leak'), fill(server, 'leak')]);
        await sleep(round * 40);
        server.child.kill('SIGHUP');
        await filled;
        await until(() => server.records('upgrade: done').length === round, 'the upgrade', 20000);
    }
    await until(() => server.children('worker').length === 2, () => `two workers, not ${server.children('worker').length}`, 15000);
    const { failures, refused } = await work.stop();
    assert.deepEqual([failures, refused], [[], []]);
    // What has leaked into one that came meanwhile may be found out by one more that fails.
    await done(server, 10);
    for (let i = 0; i < 40; i++) assert.equal((await server.get('/work')).text, 'done');
});
