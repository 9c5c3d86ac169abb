import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { folder, load, ms, sleep, start, tool, until } from './helper.mjs';

const count = ms(1) > 1 ? 1500 : 10000; // fewer for slow builds
const name = (i) => `d${i % 100}/s${i}.lua`, at = (i) => `/d${i % 100}/s${i}`;
const text = (i, word) => `return function() return "${word} ${i}" end\n`;
const some = [0, 1, Math.floor(count / 2), count - 1];
const memory = (pid) => Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmRSS:\s+(\d+)/m)[1]) / 1024;
/** In memory where there is such a place: how fast a disk makes files is not asked here. */
function quick(t) {
    let dir;
    try {
        dir = fs.mkdtempSync('/dev/shm/crescent-e2e-');
    } catch {
        return folder(t);
    }
    t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
    return dir;
}
/** How long until all say the word, on each worker. */
async function live(server, word, began, limit = 15000) {
    await until(async () => {
        for (const i of some) if ((await server.get(at(i))).text !== `${word} ${i}`) return false;
        return true;
    }, () => `all say ${word}\n${server.tail()}`, limit);
    const took = Date.now() - began;
    for (let i = 0; i < count; i += Math.ceil(count / 40)) assert.equal((await server.get(at(i))).text, `${word} ${i}`);
    return took;
}
const sets = (server) => server.records('scripts live').map((r) => r.changed);

test(`${count} scripts appear, change, are checked out, touched and removed, each time all of them at once`, async (t) => {
    const server = await start(t, { dir: quick(t), hooks: { 'keep.lua': 'return function() return "keep" end' } });
    const running = load(`${server.url}/keep`, { judge: (a) => a.text === 'keep', connections: 2, pause: 2 });
    const at = (i) => path.join(server.hooks, name(i));
    const writeAll = (word) => {
        for (let i = 0; i < count; i++) { // renamed: between the opening and the writing of one this process may be put aside
            fs.writeFileSync(path.join(server.hooks, '.new'), text(i, word));
            fs.renameSync(path.join(server.hooks, '.new'), at(i));
        }
    };
    for (let d = 0; d < 100; d++) fs.mkdirSync(path.join(server.hooks, `d${d}`));
    const took = {};
    let began = Date.now();
    writeAll('one');
    took.appear = await live(server, 'one', began);
    began = Date.now();
    writeAll('two');
    took.change = await live(server, 'two', began);

    const git = (...args) => tool('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', '-c', 'gc.auto=0', '-c', 'core.fsync=none', '-c', 'core.looseCompression=0', ...args], { cwd: server.hooks });
    await git('init', '-q', '-b', 'two');
    await git('add', '-A');
    await git('commit', '-qm', 'two');
    await git('checkout', '-qb', 'three');
    writeAll('three');
    await git('commit', '-qam', 'three');
    await live(server, 'three', Date.now());
    began = Date.now();
    await git('checkout', '-q', 'two');
    took.checkout = await live(server, 'two', began);

    await sleep(ms(300)); // the record comes after the answers
    const generations = sets(server).length, now = new Date();
    for (let i = 0; i < count; i++) fs.utimesSync(at(i), now, now);
    await sleep(ms(300));
    server.write({ 'keep.lua': 'return function() return "keep" end -- again' });
    await until(() => sets(server).length > generations, 'the one that changed is live');
    await sleep(ms(100));
    assert.deepEqual(sets(server).slice(generations), [1], 'what was only touched is no change');

    for (const [kind, most] of [['keeper', 120], ['worker', 160]])
        for (const pid of server.children(kind)) if (ms(1) === 1) assert.ok(memory(pid) < most, `${kind}: ${memory(pid)} MiB`);
    began = Date.now();
    for (let d = 0; d < 100; d++) fs.rmSync(path.join(server.hooks, `d${d}`), { recursive: true });
    await until(async () => (await Promise.all(some.map((i) => server.get(`/d${i % 100}/s${i}`)))).every((a) => a.status === 404), 'all gone', 15000);
    took.remove = Date.now() - began;
    const { failures } = await running.stop();
    assert.deepEqual(failures, []);
    assert.deepEqual(server.records('script broken'), []);
    t.diagnostic(`${count} scripts, ms from the first write to the last live: ${JSON.stringify(took)}`);
});

test(`${count / 10} scripts that claim one route at once: the first has it, the others keep theirs`, async (t) => {
    const all = count / 10, server = await start(t, { dir: quick(t), workers: 1 });
    const write = (word, route) => server.write(Object.fromEntries(Array.from({ length: all }, (_, i) => [name(i), `return { path = "${route(i)}", handle = function() return "${word} ${i}" end, methods = { "GET" } }`])));
    write('own', (i) => `/own/${i}`);
    await until(async () => (await server.get(`/own/${all - 1}`)).status === 200, 'all live', 10000);
    write('same', () => '/same');
    await until(async () => (await server.get('/same')).text === 'same 0', 'one has it', 10000);
    for (let i = 1; i < all; i += Math.ceil(all / 20)) assert.equal((await server.get(`/own/${i}`)).text, `own ${i}`);
    assert.equal((await server.get('/own/0')).status, 404);
    write('back', (i) => `/own/${i}`);
    await until(async () => (await server.get(`/own/${all - 1}`)).text === `back ${all - 1}`, 'all live again', 10000);
    assert.equal((await server.get('/same')).status, 404);
});
