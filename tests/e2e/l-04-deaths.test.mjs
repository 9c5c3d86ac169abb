// HUP while processes die or hang, at the wrong moment, or with the end in the middle of it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { load1 } from './clients.mjs';
import { alive, childrenOf, cmdline, folder, ms, raw, sleep, until } from './helper.mjs';
import { holds, replaceBinary, startUpgradable, version } from './upgrade.mjs';

const hooks = { 'hello.lua': 'return function() return "hello" end', 'slow.lua': 'return function() sleep "400ms" return "slow" end' };
const config = (text = '') => `return { drain = "3s", ${text} }`;
const hup = (server) => process.kill(server.pid, 'SIGHUP');
const settled = (server, workers = 2) => until(() => {
    const { children } = holds(server);
    return children.length === workers + 1 && children.filter((c) => c.includes('worker')).length === workers;
}, () => `a keeper and ${workers} workers: ${holds(server).children}\n${server.tail()}`, 15000);

test('HUP twice at once, and many times: each change is there in the end, one roll after the other', async (t) => {
    const server = await startUpgradable(t, { hooks, config: config() });
    const calm = load1(t, server.port, '/hello', { connections: 3, each: 3, expect: 'hello' });
    hup(server);
    hup(server);
    await until(() => server.over().length >= 1, 'the first');
    for (let i = 0; i < 8; i++) {
        replaceBinary(server.program, version(`0.3.${i}`));
        hup(server);
        await sleep(15);
    }
    await until(() => server.over().at(-1)?.version === '0.3.7', () => `the last one is there\n${server.tail()}`, 20000);
    await settled(server);
    assert.ok(server.over().every((r) => r.message === 'upgrade: done'), server.tail());
    assert.deepEqual((await calm.stop()).failures, []);
    assert.deepEqual(calm.refused, []);
});

test('workers are killed again and again meanwhile: it ends, and all serve', async (t) => {
    const server = await startUpgradable(t, { hooks, config: config() });
    let running = true, killed = 0;
    const killing = (async () => {
        while (running) {
            const all = server.children('worker'), victim = all[Math.floor(Math.random() * all.length)];
            try {
                process.kill(victim, 'SIGKILL');
                killed++;
            } catch { /* gone by itself */ }
            await sleep(30);
        }
    })();
    for (let i = 0; i < 8; i++) {
        replaceBinary(server.program, version(`0.4.${i}`));
        assert.match((await server.upgrade()).message, /^upgrade: (done|refused: the new worker)/);
    }
    running = false;
    await killing;
    assert.ok(killed > 3);
    replaceBinary(server.program, version('0.5.0'));
    assert.equal((await server.upgrade()).version, '0.5.0', JSON.stringify(server.over()));
    await settled(server);
    for (let i = 0; i < 20; i++) assert.equal((await server.get('/hello')).text, 'hello');
});

for (const [who, signal, allowed] of [['keeper', 'SIGKILL', /done/], ['keeper', 'SIGSTOP', /done|refused/], ['new worker', 'SIGKILL', /done/], ['old worker', 'SIGKILL', /done/]]) {
    test(`${signal} of the ${who} in the middle of it: it ends, and a save afterwards is live everywhere`, async (t) => {
        const server = await startUpgradable(t, { hooks, config: config() });
        const before = childrenOf(server.pid);
        const slow = who === 'old worker' ? Promise.all(Array.from({ length: 4 }, () => raw(server.port, 'GET /slow HTTP/1.1\r\nHost: a\r\n\r\n', { limit: 1500 }))) : null;
        if (slow) await sleep(80);
        replaceBinary(server.program, version('0.6.0'));
        hup(server);
        const fresh = (kind) => server.children(kind).find((pid) => !before.includes(pid));
        const victim = await until(() => who === 'keeper' ? fresh('keeper') : who === 'new worker' ? fresh('worker') : fresh('worker') && before.filter((pid) => cmdline(pid).includes('worker') && alive(pid))[0], `the ${who}`, 10000);
        process.kill(victim, signal);
        if (signal === 'SIGSTOP') {
            assert.equal((await server.get('/hello')).text, 'hello');
            await sleep(ms(500));
            assert.equal((await server.get('/hello')).text, 'hello', 'served meanwhile');
            try { process.kill(victim, 'SIGCONT'); } catch { /* it was given up */ }
        }
        await until(() => server.over().length === 1, () => `the end of it\n${server.tail()}`, 45000);
        assert.match(server.over()[0].message, allowed);
        await slow;
        await settled(server);
        server.replace('hello.lua', 'return function() return "new" end');
        await until(async () => (await server.get('/hello')).text === 'new', 'the save is live');
        for (let i = 0; i < 20; i++) assert.equal((await server.get('/hello')).text, 'new');
    });
}

test('a save in the middle of it is live afterwards in every worker', async (t) => {
    const server = await startUpgradable(t, { hooks, config: config() });
    for (let i = 0; i < 4; i++) {
        replaceBinary(server.program, version(`0.7.${i}`));
        const ended = server.upgrade();
        await sleep(i * 25);
        server.replace('hello.lua', `return function() return "save ${i}" end`);
        assert.equal((await ended).message, 'upgrade: done', server.tail());
        await settled(server);
        await until(async () => (await server.get('/hello')).text === `save ${i}`, `save ${i}`);
        for (let k = 0; k < 20; k++) assert.equal((await server.get('/hello')).text, `save ${i}`);
    }
});

test('TERM at any moment of it: all leave, with exit code 0, and the port is free', async (t) => {
    for (const wait of [0, 4, 10, 20, 30, 45, 60, 80, 110, 150]) {
        const server = await startUpgradable(t, { hooks, config: config(), workers: 2 });
        replaceBinary(server.program, version('0.8.0'));
        hup(server);
        await sleep(wait);
        const children = childrenOf(server.pid);
        await server.stop({ limit: 10000 }); // checks the exit code, and the children of that moment
        assert.deepEqual(children.filter(alive), []);
        await assert.rejects(server.get('/hello'), { code: 'ECONNREFUSED' }, `TERM ${wait} ms after HUP`);
    }
});

test('HUP while it starts is done once it serves', async (t) => {
    const dir = folder(t), late = 'local t = os.clock() while os.clock() - t < 0.1 do end return function() return "late" end';
    const starting = startUpgradable(t, { dir, hooks: { 'a.lua': late, 'b.lua': late, 'c.lua': late, 'd.lua': late }, config: config() });
    const own = () => fs.readdirSync('/proc').map(Number).find((pid) => pid && cmdline(pid).startsWith(`${dir}/crescent serve`) && childrenOf(pid).some((child) => cmdline(child).includes('trial')));
    const pid = await until(own, 'it tries the scripts', 10000);
    process.kill(pid, 'SIGHUP');
    const server = await starting;
    assert.equal(server.pid, pid);
    await until(() => server.over().length === 1, 'the end of it', 10000);
    assert.equal(server.over()[0].message, 'upgrade: done');
    const place = (text) => server.log.findIndex((r) => r.message === text);
    assert.ok(place('serving') < place('upgrade: trying the binary and the configuration'));
    assert.equal((await server.get('/a')).text, 'late');
});
