import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { assertProblem, folder, load, ms, request, sleep, start, threadSanitizer, tool, until, write } from './helper.mjs';

const say = (text) => `return function() return "${text}" end`;
const answers = (server, at, text, limit) => until(async () => (await server.get(at)).text === text, `${at} says ${text}`, limit);
/** Fresh connections, so that each worker is asked. */
async function everywhere(server, at, judge, n = 16) {
    for (let i = 0; i < n; i++) {
        const reply = await server.get(at);
        assert.ok(judge(reply), `${at}: ${reply.status} ${reply.text}`);
    }
}
/** Two scripts and a module that belong together, each saying which version it is. */
const version = (n) => ({
    '_lib/n.lua': `return "${n}"`, 'x.lua': `local n = require("_lib.n") return function() return "${n} " .. n end`,
    'y.lua': `local n = require("_lib.n") return { methods = { "GET" }, handle = function() return "${n} " .. n end }`,
});

test('50 versions of three files, swapped as one, under load: never a mixture, never back, never a failure', async (t) => {
    const dir = folder(t), live = path.join(dir, 'live');
    const put = (n) => {
        write(path.join(dir, `v${n}`), version(n));
        fs.symlinkSync(`v${n}`, path.join(dir, 'next'));
        fs.renameSync(path.join(dir, 'next'), live);
    };
    put(0);
    // h2load asks no more on a connection that has had its requests, and calls what it has not sent failed.
    const server = await start(t, { hooks: live, dir, workers: 3, env: { CRESCENT_LIMITS_CONNECTION_REQUESTS: '1000000000' } });
    let newest = 0, running = true, asked = 0;
    const faults = [];
    const client = async (target, fresh) => {
        const agent = fresh ? false : new http.Agent({ keepAlive: true, maxSockets: 1 });
        while (running) {
            const floor = newest; // answered before this request began: by whichever worker, it is the past now
            const reply = await request(server.url + target, { agent }).catch((e) => ({ status: e.code, text: '' }));
            const [mine, module] = reply.text.split(' ').map(Number);
            if (reply.status !== 200 || mine !== module || mine < floor) faults.push(`${target}: ${reply.status} ${reply.text}, after ${floor}`);
            else newest = Math.max(newest, mine);
            asked++;
        }
        if (agent) agent.destroy();
    };
    const clients = Promise.all([...Array.from({ length: 6 }, (_, i) => client(i % 2 ? '/x' : '/y', false)), client('/x', true), client('/y', true)]);
    const shooting = [tool('h2load', ['--h1', '-c8', '-D6', `${server.url}/x`]), tool('h2load', ['-c4', '-m4', '-D6', `${server.url}/y`])];
    for (let n = 1; n <= 50; n++) {
        put(n);
        await until(() => newest === n, `version ${n}`);
        await sleep(n % 5 ? 20 : 90);
    }
    const texts = await Promise.all(shooting);
    running = false;
    await clients;
    assert.deepEqual(faults.slice(0, 5), []);
    assert.ok(asked > 500, `${asked}`);
    for (const text of texts) assert.match(text, / 0 failed, 0 errored, 0 timeout[^]*status codes: [1-9]\d* 2xx, 0 3xx, 0 4xx, 0 5xx/);
    assert.equal(server.records('script broken').length, 0, server.tail());
});

test('files saved while earlier ones are being tried go live with them, not after them', async (t) => {
    const set = (n) => ({ 'a.lua': `local till = os.clock() + 0.15 while os.clock() < till do end\nreturn function() return "${n}" end`, 'b.lua': say(n), '_lib/c.lua': `return "${n}"`,
        'd.lua': `local c = require("_lib.c") return function() return "${n} " .. c end` });
    const server = await start(t, { hooks: set(0), workers: 2 });
    for (let n = 1; n <= 3; n++) {
        const files = set(n);
        server.write({ 'a.lua': files['a.lua'], 'd.lua': files['d.lua'] });
        await sleep(60); // settled, and under trial
        server.write({ 'b.lua': files['b.lua'], '_lib/c.lua': files['_lib/c.lua'] });
        await until(async () => {
            const d = (await server.get('/d')).text, a = (await server.get('/a')).text, b = (await server.get('/b')).text;
            assert.match(d, /^(\d) \1$/);
            assert.ok(b >= a, `a is ${a}, b ${b}`);
            return a === String(n);
        }, `version ${n}`);
    }
});

test('a folder that never comes to rest is served all the same', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': `local till = os.clock() + 0.05 while os.clock() < till do end ${say('0')}` }, workers: 1 });
    const busy = setInterval(() => server.write({ 'noise.txt': String(Date.now()) }), 5);
    t.after(() => clearInterval(busy));
    server.write({ 'a.lua': say('1') });
    await answers(server, '/a', '1', 11500);
});

test('300 files written one by one, a folder renamed and back, all of it removed: each end is right everywhere', async (t) => {
    const server = await start(t, { hooks: { 'keep.lua': say('keep') }, workers: 2 });
    const running = load(`${server.url}/keep`, { judge: (a) => a.text === 'keep', connections: 3 });
    const name = (i) => `d${i % 7}/s${i}.lua`;
    for (let i = 0; i < 300; i++) {
        server.write({ [name(i)]: say(`one ${i}`) });
        if (i % 50 === 0) await sleep(15);
    }
    for (const i of [0, 150, 299]) await answers(server, `/d${i % 7}/s${i}`, `one ${i}`);
    for (let turn = 0; turn < 10; turn++) {
        fs.renameSync(path.join(server.hooks, 'd1'), path.join(server.hooks, 'e1'));
        if (turn % 3 === 0) await sleep(30);
        if (turn < 9) fs.renameSync(path.join(server.hooks, 'e1'), path.join(server.hooks, 'd1'));
        if (turn % 3 === 1) await sleep(30);
    }
    await answers(server, '/e1/s1', 'one 1');
    await until(async () => (await server.get('/d1/s1')).status === 404, 'the old name gone');
    server.write({ 'e1/s1.lua': say('two 1') }); // its new name is watched
    await answers(server, '/e1/s1', 'two 1');
    for (const gone of ['e1', 'd0', 'd2', 'd3', 'd4', 'd5', 'd6']) server.remove(gone);
    await until(async () => (await server.get('/d6/s6')).status === 404, 'gone');
    await everywhere(server, '/d2/s2', (a) => a.status === 404);
    assert.deepEqual((await running.stop()).failures, []);
});

test('the hooks folder goes and comes back: what was live stays until there is a folder again', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': say('one'), 'b/c.lua': say('c') } });
    for (let turn = 0; turn < 3; turn++) {
        const seen = server.log.length;
        if (turn === 1) fs.renameSync(server.hooks, `${server.hooks}.away`);
        else fs.rmSync(server.hooks, { recursive: true });
        await until(() => server.log.slice(seen).some((r) => /cannot read the hooks folder/.test(r.message)), 'it is told');
        assert.notEqual((await server.get('/a')).status, 500);
        await sleep(60);
        fs.mkdirSync(server.hooks);
        server.write({ 'a.lua': say(`again ${turn}`), 'b/d.lua': say(`d ${turn}`) });
        await answers(server, '/a', `again ${turn}`);
        await answers(server, '/b/d', `d ${turn}`);
        assert.equal((await server.get('/b/c')).status, 404);
        server.write({ 'b/d.lua': say(`e ${turn}`) }); // and it is watched again
        await answers(server, '/b/d', `e ${turn}`);
    }
});

test('links: to files and folders outside, swapped, dangling, in a circle', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': say('a') } });
    const out = path.join(server.dir, 'outside');
    write(out, { 'one.lua': say('one'), 'two.lua': say('two'), 'f/g.lua': say('g1'), 'f2/g.lua': say('g2') });
    const link = (to, at) => {
        fs.rmSync(path.join(server.hooks, `${at}~`), { force: true });
        fs.symlinkSync(to, path.join(server.hooks, `${at}~`));
        fs.renameSync(path.join(server.hooks, `${at}~`), path.join(server.hooks, at));
    };
    link(`${out}/one.lua`, 'l.lua');
    link(`${out}/f`, 'f');
    await answers(server, '/l', 'one');
    await answers(server, '/f/g', 'g1');
    write(out, { 'one.lua': say('one more'), 'f/g.lua': say('g1 more') });
    await answers(server, '/l', 'one more');
    await answers(server, '/f/g', 'g1 more');
    link(`${out}/two.lua`, 'l.lua');
    link(`${out}/f2`, 'f');
    await answers(server, '/l', 'two');
    await answers(server, '/f/g', 'g2');
    link('nowhere.lua', 'l.lua');
    link('.', 'circle');
    await server.said((r) => /circle/.test(JSON.stringify(r)), 'the circle told');
    await server.said((r) => r.message === 'script broken' && r.file === 'l.lua', 'the dangling link told');
    await everywhere(server, '/l', (a) => a.text === 'two', 6);
    await everywhere(server, '/a', (a) => a.text === 'a', 6);
    fs.rmSync(path.join(server.hooks, 'circle'));
    link(`${out}/one.lua`, 'l.lua');
    await answers(server, '/l', 'one more');
});

test('what is no script: a huge file, a pipe, a folder named .lua, binary, unreadable; the rest serves and reloads on', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': say('one'), 'u.lua': say('u') } });
    const at = (name) => path.join(server.hooks, name);
    fs.writeFileSync(at('huge.lua'), Buffer.alloc(64 << 20, '-'));
    await tool('mkfifo', [at('pipe.lua')]);
    fs.mkdirSync(at('folder.lua'));
    fs.writeFileSync(at('binary.lua'), Buffer.from('\x1bLJ\x02\x0a', 'latin1'));
    fs.writeFileSync(at('zero.lua'), Buffer.alloc(4096));
    for (const name of ['huge', 'pipe', 'binary', 'zero'])
        await server.said((r) => r.message === 'script broken' && r.file === `${name}.lua`, `${name} told`, 10000);
    server.write({ 'a.lua': say('two') });
    await answers(server, '/a', 'two');
    for (const name of ['huge', 'pipe', 'binary', 'zero']) assertProblem(await server.get(`/${name}`), 503);
    fs.rmSync(at('huge.lua'));
    fs.rmSync(at('pipe.lua'));
    await until(async () => (await server.get('/huge')).status === 404, 'gone');
    if (process.getuid() !== 0) {
        fs.chmodSync(at('u.lua'), 0);
        await server.said((r) => r.message === 'script broken' && r.file === 'u.lua', 'unreadable');
        await everywhere(server, '/u', (a) => a.text === 'u', 6);
        fs.chmodSync(at('u.lua'), 0o644);
    }
    const keeper = server.children('keeper')[0];
    assert.ok(Number(fs.readFileSync(`/proc/${keeper}/status`, 'utf8').match(/^VmRSS:\s+(\d+)/m)[1]) < 400000);
});

test('a broken .env changes nothing, and is told once; mended, its values are live', async (t) => {
    const config = 'return {}';
    const server = await start(t, { config, dotenv: 'WORD=one\n', hooks: { 'e.lua': 'return function() return env.WORD end', 'a.lua': say('a1') } });
    assert.equal((await server.get('/e')).text, 'one');
    const put = (text) => fs.writeFileSync(path.join(server.dir, '.env'), text);
    const seen = server.log.length;
    put('WORD=two\nthis is no assignment\n');
    await until(() => server.log.slice(seen).some((r) => r.level !== 'info' && /\.env/.test(JSON.stringify(r))), () => `it is told\n${server.tail()}`);
    await everywhere(server, '/e', (a) => a.text === 'one', 6);
    const told = () => server.log.slice(seen).filter((r) => /^env values cannot be read/.test(r.message)).length;
    await sleep(ms(2500)); // it is looked at again until its stamp has settled
    assert.equal(told(), 1, server.tail());
    for (const n of ['b1', 'b2']) {
        server.write({ 'a.lua': say(n) });
        await until(() => server.log.slice(seen).filter((r) => r.message === 'script broken' && r.file === 'a.lua').length === Number(n[1]), () => `${n} is told\n${server.tail()}`);
    }
    await sleep(ms(500));
    assert.equal(told(), 1, server.tail());
    await everywhere(server, '/a', (a) => a.text === 'a1', 6);
    put('WORD=one\n'); // the values that are live: what was saved meanwhile is tried now
    await answers(server, '/a', 'b2');
    await server.said('env values can be read again');
    put('still no assignment\n');
    await until(() => told() === 2, () => `another reason\n${server.tail()}`);
    await everywhere(server, '/e', (a) => a.text === 'one', 6);
    put('WORD=three\n');
    await answers(server, '/e', 'three');
    server.write({ 'a.lua': say('a2') });
    await answers(server, '/a', 'a2');
    fs.rmSync(path.join(server.dir, '.env'));
    await until(async () => (await server.get('/e')).text !== 'three', 'without .env');
});

test('saves while every top level hangs: each is ended, the others go live, nobody waits long', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': say('0'), 'bad.lua': say('good') } });
    const running = load(`${server.url}/bad`, { judge: (a) => a.text === 'good', connections: 2 });
    const bad = ['while true do end', 'return string.find(("a"):rep(5e4) .. "b", ".-.-.-.-c")', 'local t = {} while true do t[#t + 1] = ("x"):rep(1e6) .. #t end', 'local function f() return f() + 1 end f()',
        'repeat until pcall(error)== nil', 'local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) return t[1]', 'sleep "10s"', 'coroutine.wrap(function() while true do pcall(error) end end)()'];
    for (const [n, text] of bad.entries()) {
        if (threadSanitizer && /while|repeat|find/.test(text)) continue;
        const began = Date.now();
        server.write({ 'bad.lua': text, 'a.lua': say(`${n + 1}`) });
        await answers(server, '/a', `${n + 1}`, 6000);
        assert.ok(Date.now() - began < ms(4000), `${text}: ${Date.now() - began} ms`);
    }
    assert.deepEqual((await running.stop()).failures, []);
    assert.equal(server.records((r) => / died$/.test(r.message)).length, 0);
});
