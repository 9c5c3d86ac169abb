import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { assertProblem, load, ms, sleep, start, tool, until } from './helper.mjs';

const say = (text) => `return function() return "${text}" end`;
const answers = (server, target, text, what) => until(async () => (await server.get(target)).text === text, what ?? `${target} says ${text}`);
/** Each worker gives the same answer: fresh connections are spread over all of them. */
async function everywhere(server, target, text, n = 24) {
    for (let i = 0; i < n; i++) assert.equal((await server.get(target)).text, text);
}

test('a save, an atomic rename, a new file, a new folder, a removed one', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': say('one') } });
    await everywhere(server, '/a', 'one');
    const began = Date.now();
    server.write({ 'a.lua': say('two') });
    await answers(server, '/a', 'two');
    assert.ok(Date.now() - began < ms(1000));
    await everywhere(server, '/a', 'two');
    server.replace('a.lua', say('three'));
    await answers(server, '/a', 'three');
    await everywhere(server, '/a', 'three');
    server.write({ 'deep/er/b.lua': say('b') });
    await answers(server, '/deep/er/b', 'b');
    server.write({ 'deep/er/b.lua': say('b2'), 'deep/c.lua': say('c') });
    await answers(server, '/deep/er/b', 'b2');
    await answers(server, '/deep/c', 'c');
    server.remove('a.lua');
    await until(async () => (await server.get('/a')).status === 404, '/a gone');
    server.remove('deep');
    await until(async () => (await server.get('/deep/c')).status === 404, '/deep gone');
    assert.ok(await server.metric('crescent_reloads_total') >= 6);
});

test('a changed _lib module reloads the scripts that use it, directly or not, and no other', async (t) => {
    const server = await start(t, {
        workers: 1,
        hooks: {
            '_lib/deep.lua': 'return { word = "deep 1" }', '_lib/mid.lua': 'local deep = require "_lib.deep"\nreturn { word = function() return deep.word end }',
            'uses.lua': 'local mid = require "_lib.mid"\nreturn function() return mid.word() end',
            'other.lua': 'local n = 0\nreturn function() n = n + 1 return tostring(n) end',
        },
    });
    assert.equal((await server.get('/other')).text, '1');
    assert.equal((await server.get('/uses')).text, 'deep 1');
    server.write({ '_lib/deep.lua': 'return { word = "deep 2" }' });
    await answers(server, '/uses', 'deep 2');
    assert.equal((await server.get('/other')).text, '2', 'a script that did not change keeps its variables');
    server.write({ '_lib/deep.lua': 'return {' });
    await server.said((r) => /deep\.lua:1/.test(JSON.stringify(r)), 'the broken module named');
    assert.equal((await server.get('/uses')).text, 'deep 2');
});

test('a broken save keeps the last good version, says why, and the mended one is live', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': say('good') } });
    for (const [broken, words] of [['return {\n  handle = function( }', /a\.lua:2/], ['error "at load"', /a\.lua:1: at load/], ['return 7', /a\.lua/], ['return { handle = 1 }', /a\.lua:1: .*handle/],
        ['return { verify = verify.github { secret = env.NOT_THERE }, handle = function() end }', /a\.lua:1: .*secret/]]) {
        const seen = server.log.length;
        server.write({ 'a.lua': broken });
        await server.said((r) => server.log.indexOf(r) >= seen && words.test(JSON.stringify(r).replaceAll('\\"', '"')), `${words}`);
        await everywhere(server, '/a', 'good', 6);
    }
    server.write({ 'never.lua': 'return {' });
    await until(async () => (await server.get('/never')).status === 503, 'a script that never loaded');
    assertProblem(await server.get('/never'), 503);
    server.write({ 'a.lua': say('mended'), 'never.lua': say('now') });
    await answers(server, '/a', 'mended');
    await answers(server, '/never', 'now');
    assert.ok(await server.metric('crescent_reload_errors_total') >= 5);
});

test('two scripts clash: that is told once, whatever else is saved, and "fixed" when it is', async (t) => {
    const server = await start(t, { hooks: { 'o/[id].lua': say('id'), 'o/[x].lua': say('x'), 'a.lua': say('0') } });
    const broken = () => server.records((r) => r.message === 'script broken'), fixed = () => server.records('script fixed');
    await server.said((r) => r.message === 'script broken' && r.file === 'o/[x].lua' && /claimed by o\/\[id\]\.lua/.test(r.error), 'the clash');
    for (const n of ['1', '2', '3']) {
        server.write({ 'a.lua': say(n), [`b${n}.lua`]: say(n) });
        await until(async () => (await server.get('/a')).text === n && (await server.get(`/b${n}`)).text === n, 'both are live');
    }
    assert.deepEqual([broken().length, fixed().length], [1, 0], server.tail());
    assert.equal(await server.metric('crescent_reload_errors_total'), 1);
    server.write({ 'o/[x].lua': say('x again') });
    await until(() => broken().length === 2, () => `a save of it is answered\n${server.tail()}`);
    assert.equal(fixed().length, 0, server.tail());
    server.remove('o/[id].lua');
    await until(async () => (await server.get('/o/1')).text === 'x again', 'the route is free');
    await server.said((r) => r.message === 'script fixed' && r.file === 'o/[x].lua');
    assert.deepEqual([broken().length, fixed().length], [2, 1], server.tail());
    assert.equal(await server.metric('crescent_reload_errors_total'), 2);
});

test('a script that is being written has a trial at hand: it ends where nothing changed, and its death costs nothing', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': say('one') } });
    /** Writes, and closes the file when the trial is there. */
    const write = async (text, meanwhile = () => {}) => {
        const fd = fs.openSync(path.join(server.hooks, 'a.lua'), 'r+');
        fs.writeSync(fd, say(text));
        const [trial] = await until(() => { const all = server.children('trial'); return all.length === 1 && all; }, 'a trial');
        meanwhile(trial);
        fs.closeSync(fd);
    };
    await write('one');
    await until(() => server.children('trial').length === 0, 'the end of a trial that nobody needs');
    await everywhere(server, '/a', 'one');
    await sleep(1500); // after one for nothing the next is not started so soon
    await write('two', (trial) => process.kill(trial, 'SIGKILL'));
    await answers(server, '/a', 'two');
    await everywhere(server, '/a', 'two');
    await until(() => server.children('trial').length === 0, 'no trial left');
    assert.deepEqual(server.records((r) => r.level === 'error'), []);
});

test('an endless loop, a memory hog and a crash at the top level hurt nobody', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': say('good'), 'b.lua': say('b1') } });
    const workers = server.children('worker').sort();
    const running = load(`${server.url}/a`, { judge: (a) => a.text === 'good', connections: 2 });
    for (const bad of ['while true do end', 'local t = {} for i = 1, 1e10 do t[i] = ("x"):rep(1e4) .. i end', 'local s = ("a"):rep(3e4) .. "b" s:find(".-.-.-.-c")',
        'local function f(n) return ("x"):gsub(".", function() return f(n + 1) end) end f(1)']) {
        const seen = server.log.length;
        server.write({ 'a.lua': bad });
        await server.said((r) => server.log.indexOf(r) >= seen && /a\.lua|\ba\b/.test(JSON.stringify(r)) && r.level !== 'info', `a record for ${bad}`, 20000);
    }
    server.write({ 'b.lua': say('b2') });
    await answers(server, '/b', 'b2');
    const { failures } = await running.stop();
    assert.deepEqual(failures, []);
    assert.deepEqual(server.children('worker').sort(), workers, 'no worker was lost');
});

test('saves under load: no request fails, and none sees half a change', async (t) => {
    const pair = (n) => ({ 'x.lua': `local n = require("_lib.n")\nreturn function() return "${n}:" .. n end`, '_lib/n.lua': `return "${n}"` });
    const server = await start(t, { hooks: { ...pair(0), 'hello.lua': say('hello') } });
    const half = (a) => a.status === 200 && /^(\d+):\1$/.test(a.text);
    const running = [load(`${server.url}/x`, { judge: half, connections: 3 }), load(`${server.url}/x`, { judge: half, fresh: true, connections: 1 }),
        load(`${server.url}/hello`, { judge: (a) => a.text === 'hello', connections: 2 })];
    for (let n = 1; n <= 15; n++) {
        server.write(pair(n));
        await answers(server, '/x', `${n}:${n}`);
        await sleep(30);
    }
    for (const one of running) {
        const { answers: count, failures } = await one.stop();
        assert.deepEqual(failures, []);
        assert.ok(count > 100, `${count} requests`);
    }
});

test('git checkout of many files goes live together', async (t) => {
    const files = (v) => Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`s${i}.lua`, say(`${v} ${i}`)]));
    const server = await start(t, { hooks: files('one') });
    const git = (...args) => tool('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], { cwd: server.hooks });
    await git('init', '-q', '-b', 'main');
    await git('add', '-A');
    await git('commit', '-qm', 'one');
    await git('checkout', '-qb', 'two');
    server.write({ ...files('two'), 'added.lua': say('added') });
    await git('add', '-A');
    await git('commit', '-qm', 'two');
    await answers(server, '/s59', 'two 59');
    await answers(server, '/added', 'added');
    const running = load(`${server.url}/s7`, { judge: (a) => /^(one|two) 7$/.test(a.text), connections: 2 });
    await git('checkout', '-q', 'main');
    await until(async () => (await server.get('/added')).status === 404, 'added gone');
    for (let i = 0; i < 60; i++) assert.equal((await server.get(`/s${i}`)).text, `one ${i}`);
    await git('checkout', '-q', 'two');
    await answers(server, '/added', 'added');
    for (let i = 0; i < 60; i++) assert.equal((await server.get(`/s${i}`)).text, `two ${i}`);
    assert.deepEqual((await running.stop()).failures, []);
});
