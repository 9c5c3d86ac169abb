import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { test } from 'node:test';
import { alive, childrenOf, load, ms, request, sleep, start, until } from './helper.mjs';

const hooks = {
    'hello.lua': 'return function() return "hello" end',
    'slow.lua': 'return function() sleep "500ms" return "slow" end',
    'pattern.lua': 'return { timeout = "60s", methods = { "GET" }, handle = function() return (("a"):rep(4e4) .. "b"):find(".-.-.-.-c") and "x" or "y" end }',
};
const kill = (pid, signal = 'SIGKILL') => process.kill(pid, signal);
/** Waits for a successor of `pid`, and says how long it took to be there. */
async function successor(server, kind, before) {
    const began = process.hrtime.bigint();
    const next = await until(() => server.children(kind).find((pid) => !before.includes(pid)), `a new ${kind}`);
    return { next, took: Number(process.hrtime.bigint() - began) / 1e6 };
}

test('kill -9 of a worker under load: replaced at once, no request on another worker fails', async (t) => {
    const server = await start(t, { hooks, workers: 3 });
    const victim = server.children('worker')[0];
    // Which connections are the victim's is known by whom the kernel closes: only those may fail, once each.
    const running = load(`${server.url}/hello`, { connections: 6, judge: (a) => a.text === 'hello' });
    await until(() => running.answers > 200, 'load');
    for (let life = 0; life < 3; life++) {
        const before = server.children('worker');
        kill(life === 0 ? victim : before[life]);
        const { took } = await successor(server, 'worker', before);
        assert.ok(took < ms(200), `${took} ms`); // usual: 15
        await sleep(300);
        assert.equal(server.children('worker').length, 3);
    }
    const { failures, answers } = await running.stop();
    assert.ok(answers > 500);
    // Each death breaks at most what that worker had in its hands: its share of six connections.
    assert.ok(failures.length <= 3 * 6, failures.join('\n'));
    assert.ok(failures.every((f) => /ECONNRESET|socket hang up|EPIPE/.test(f)), failures.join('\n'));
    for (let i = 0; i < 30; i++) assert.equal((await server.get('/hello')).text, 'hello');
});

test('a connection held by another worker never notices a death', async (t) => {
    const server = await start(t, { hooks, workers: 2 });
    const agents = Array.from({ length: 12 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
    t.after(() => agents.forEach((a) => a.destroy()));
    for (const agent of agents) await request(`${server.url}/hello`, { agent });
    kill(server.children('worker')[0]);
    await sleep(ms(300));
    const results = await Promise.all(agents.map((agent) => request(`${server.url}/hello`, { agent }).then((r) => r.text, (e) => e.code)));
    assert.ok(results.filter((r) => r === 'hello').length >= 1, results.join());
    for (const agent of agents) assert.equal((await request(`${server.url}/hello`, { agent }).catch(() => request(`${server.url}/hello`))).text, 'hello');
});

test('kill -9 of the keeper under load: no request fails, a new one reloads, last good versions stay', async (t) => {
    const server = await start(t, { hooks: { ...hooks, 'a.lua': 'return function() return "good" end' } });
    server.write({ 'a.lua': 'return {' });
    await server.said((r) => /a\.lua:1/.test(JSON.stringify(r)), 'the broken script');
    const running = [load(`${server.url}/hello`), load(`${server.url}/a`, { judge: (a) => a.text === 'good' })];
    for (let life = 0; life < 3; life++) {
        const before = server.children('keeper');
        kill(before[0]);
        const { took } = await successor(server, 'keeper', before);
        assert.ok(took < ms(200), `${took} ms`); // usual: 15
        await until(() => request(`${server.admin}/healthz`).then((r) => r.status === 200, () => false), 'healthz again');
        assert.equal((await server.get('/a')).text, 'good');
    }
    server.write({ 'hello.lua': 'return function() return "changed" end' });
    await until(async () => (await server.get('/hello')).text === 'changed', 'a reload by the new keeper');
    assert.equal((await server.get('/a')).text, 'good');
    for (const one of running) assert.deepEqual((await one.stop()).failures, []);
});

test('a change made while no keeper lived is found by the next one; a new worker serves what is live', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': 'return function() return "one" end' }, workers: 1 });
    const [keeper] = server.children('keeper');
    kill(keeper);
    server.write({ 'a.lua': 'return function() return "two" end' });
    await until(async () => (await server.get('/a')).text === 'two', 'the change found');
    server.write({ 'a.lua': 'return {' });
    await server.said((r) => /a\.lua:1/.test(JSON.stringify(r)), 'the broken script');
    kill(server.children('worker')[0]);
    await until(() => request(`${server.url}/a`).then((r) => r.text === 'two', () => false), 'last good in the new worker');
});

test('kill -9 of the supervisor: every child leaves, and a new start on the same port works at once', async (t) => {
    const server = await start(t, { hooks });
    const children = childrenOf(server.pid);
    assert.ok(children.length >= 3, 'keeper, two workers, perhaps a trial on its way out');
    const listen = [`127.0.0.1:${server.port}`];
    kill(server.pid);
    await server.exit;
    await until(() => !children.some(alive), 'children gone', 1000);
    const again = await start(t, { hooks, listen });
    assert.equal((await again.get('/hello')).text, 'hello');
});

test('TERM drains: what runs is answered, new connections are refused', async (t) => {
    const server = await start(t, { hooks });
    const waiting = Promise.all(Array.from({ length: 10 }, () => server.get('/slow')));
    await sleep(150);
    kill(server.pid, 'SIGTERM');
    assert.ok((await waiting).every((r) => r.text === 'slow'));
    await until(() => server.ended, 'its end', 5000);
    assert.deepEqual(server.ended, { code: 0, signal: null });
});

test('a drain has an end: what runs longer than `drain` is left', async (t) => {
    const server = await start(t, { hooks: { 'long.lua': 'return { timeout = "60s", methods = { "GET" }, handle = function() sleep "30s" end }' }, config: 'return { drain = "500ms" }' });
    const waiting = server.get('/long').catch((e) => e);
    await sleep(150);
    const began = Date.now();
    kill(server.pid, 'SIGTERM');
    await until(() => server.ended, 'its end', 6000);
    assert.ok(Date.now() - began < ms(4000));
    assert.equal(server.ended.code, 0);
    await waiting;
});

for (const name of ['pattern']) {
    test(`a worker stuck in a C function of Lua (${name}) is ended and replaced; the others serve on`, async (t) => {
        const server = await start(t, { hooks, workers: 2 });
        const before = server.children('worker');
        const stuck = server.get(`/${name}`).then((r) => r.status, (e) => e.code ?? e.message);
        await sleep(ms(100));
        const running = load(`${server.url}/hello`, { fresh: true, connections: 2, pause: 5 });
        const { next } = await successor(server, 'worker', before);
        assert.ok(next);
        assert.ok(['ECONNRESET', 'socket hang up', 500, 503].includes(await stuck), String(await stuck));
        await server.said((r) => r.level !== 'info' && new RegExp(name).test(JSON.stringify(r)), 'the script named');
        await sleep(ms(300));
        const { failures } = await running.stop();
        // A connection that the stuck worker had accepted before it was known to be stuck goes with it.
        assert.ok(failures.length <= 2, failures.join('\n'));
        assert.equal(server.children('worker').length, 2);
        assert.equal((await server.get('/hello')).text, 'hello');
    });
}
