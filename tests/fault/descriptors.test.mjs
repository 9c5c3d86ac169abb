// Out of descriptors: no process ends, nothing spins, who is connected is served; when there are some again, all is as
// before, reloads included.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import { childrenOf, request, sleep, start, until } from '../e2e/helper.mjs';
import { factor, holdings, noLeak, settle, whole } from './fault.mjs';

/** CPU time so far of a process, in ms. */
function cpu(pid) {
    const fields = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').pop().split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
}

test('descriptors exhausted by connections, then given back, three times', async (t) => {
    const server = await start(t, { hooks: { 'v.lua': 'return function() return "one" end' }, workers: 2,
        config: 'return { drain = "2s" }', prefix: ['prlimit', '--nofile=64:64'] });
    await whole(server, { workers: 2, target: '/v', text: 'one' });
    await settle();
    const before = holdings(server), pids = childrenOf(server.pid).sort();
    for (let round = 0; round < 3; round++) {
        const held = [];
        for (let i = 0; i < 200; i++) {
            const socket = net.connect(server.port, '127.0.0.1');
            socket.on('error', () => {});
            socket.on('data', (part) => { socket.heard = (socket.heard ?? '') + part; });
            held.push(socket);
        }
        await sleep(500);
        for (const socket of held) socket.write('GET /v HTTP/1.1\r\nHost: a\r\n\r\n');
        await until(() => held.filter((s) => /^HTTP\/1.1 200/.test(s.heard ?? '')).length > 40, () => `answers on the connections that were taken up: ${held.filter((s) => s.heard).length}`);
        // The workers are full: they wait, they do not spin.
        const spent = server.children('worker').map(cpu);
        await sleep(1000);
        for (const [i, pid] of server.children('worker').entries()) assert.ok(cpu(pid) - spent[i] < 300 * factor, `${cpu(pid) - spent[i]} ms of CPU in a second`);
        for (const socket of held) socket.destroy();
        server.write({ 'v.lua': `return function() return "round ${round}" end` });
        await whole(server, { workers: 2, target: '/v', text: `round ${round}` });
    }
    assert.deepEqual(childrenOf(server.pid).sort(), pids, 'no process was replaced');
    await settle();
    await noLeak(server, before);
    assert.equal((await request(`${server.admin}/healthz`)).status, 200);
});

test('descriptors of the keeper exhausted at the admin listener: it waits, and answers when there are some again', async (t) => {
    const server = await start(t, { hooks: { 'v.lua': 'return function() return "one" end' }, config: 'return { drain = "2s" }' });
    const [keeper] = server.children('keeper'), port = new URL(server.admin).port;
    const limit = (n) => execFileSync('prlimit', ['--pid', String(keeper), `--nofile=${n}:1024`]);
    limit(fs.readdirSync(`/proc/${keeper}/fd`).length);
    const held = Array.from({ length: 10 }, () => net.connect(port, '127.0.0.1').on('error', () => {}));
    await sleep(300);
    const spent = cpu(keeper);
    await sleep(1000);
    assert.ok(cpu(keeper) - spent < 150 * factor, `${cpu(keeper) - spent} ms of CPU in a second`);
    limit(1024);
    assert.equal((await request(`${server.admin}/healthz`)).status, 200);
    for (const socket of held) socket.destroy();
    assert.ok(server.records('cannot accept connections for now').length > 0);
});

test('descriptors exhausted by a script: its requests fail, others do not', async (t) => {
    const hooks = {
        'v.lua': 'return function() return "one" end',
        'hoard.lua': 'local kept = {}\nreturn function()\n  local f, err = io.open("/etc/hostname")\n  if not f then return 503, err end\n  kept[#kept + 1] = f\n  return "kept"\nend',
    };
    const server = await start(t, { hooks, workers: 2, config: 'return { drain = "2s" }', prefix: ['prlimit', '--nofile=64:64'] });
    await settle();
    const before = holdings(server);
    let full = 0;
    for (let i = 0; i < 400 && full < 20; i++) {
        const reply = await server.get('/hoard').catch(() => ({ status: 0 }));
        if (reply.status === 503) full++;
    }
    assert.ok(full > 0, 'nobody ran out');
    // The script's next version ends what the one before held.
    server.write({ 'hoard.lua': 'return function() return "gone" end' });
    await whole(server, { workers: 2, target: '/hoard', text: 'gone', limit: 30000 });
    await whole(server, { workers: 2, target: '/v', text: 'one' });
    await settle();
    await noLeak(server, before, 8);
});

test('no descriptor is left at a save: it is live all the same, on the connections that are there, and kv goes on', async (t) => {
    const hooks = {
        'hoard.lua': `local kept = {}
            return function()
              for i = 1, 100 do kept[#kept + 1] = io.open("/etc/hostname") end
              return kv.set("kept", #kept) and tostring(#kept) or 500
            end`,
    };
    const server = await start(t, { hooks, workers: 2, config: 'return { drain = "2s" }', prefix: ['prlimit', '--nofile=64:64'] });
    const held = [];
    t.after(() => held.forEach((socket) => socket.destroy()));
    const ask = (socket, target = '/hoard') => {
        socket.heard = '';
        socket.write(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
    };
    const answer = (socket) => /\r\n\r\n(.+)$/.exec(socket.heard)?.[1];
    const full = () => new Set(server.records('request').map((r) => r.pid)).size;
    // One that keeps its connection leaves its worker none to spare; whoever comes to that worker next is not accepted.
    for (let i = 0; i < 40 && full() < 2; i++) {
        const socket = net.connect(server.port, '127.0.0.1');
        socket.on('error', () => {});
        socket.on('data', (part) => { socket.heard += part; });
        held.push(socket);
        ask(socket);
        await until(() => answer(socket), 'an answer', 300).catch(() => {});
    }
    await until(() => full() === 2, 'both workers');
    const first = held.filter(answer);
    assert.equal(first.length, 2);
    const hears = async (socket, target, text) => {
        await until(async () => {
            ask(socket, target);
            return await until(() => answer(socket), () => `an answer\n${server.tail()}`) === text;
        }, () => `${text} at ${target}\n${server.tail()}`);
    };
    for (let round = 0; round < 6; round++) { // none is lost to what scripts open meanwhile
        server.write({ 'v.lua': `return function() return "v${round}" end` });
        for (const socket of first) {
            await hears(socket, '/v', `v${round}`);
            ask(socket);
            await until(() => answer(socket), 'that it took all there is');
        }
    }
    server.write({ 'hoard.lua': 'return function() return kv.get("kept") and "gone" end' });
    for (const socket of first) await hears(socket, '/hoard', 'gone');
    await whole(server, { workers: 2, target: '/hoard', text: 'gone' });
    assert.equal(server.records('another worker takes').length, 0);
});

test('a worker that cannot even take a message is replaced, and the successor serves what was saved', async (t) => {
    const server = await start(t, { hooks: { 'v.lua': 'return function() return "one" end' }, workers: 2, config: 'return { drain = "2s" }' });
    await whole(server, { workers: 2, target: '/v', text: 'one' });
    const victim = server.children('worker')[0];
    execFileSync('prlimit', ['--pid', victim, '--nofile=4:4096']);
    server.write({ 'v.lua': 'return function() return "two" end' });
    await server.said('too few descriptors for a message of the keeper');
    execFileSync('prlimit', ['--pid', victim, '--nofile=1024:4096']); // it has to end in order
    await until(() => !server.children('worker').includes(victim), () => `another worker\n${server.tail()}`);
    await whole(server, { workers: 2, target: '/v', text: 'two' });
});
