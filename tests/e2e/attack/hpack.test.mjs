// One byte of a header block can stand for kilobytes of a header: some megabytes sent become gigabytes held. The guard
// refuses blocks past 64 KiB (or what headers and uri allow) and requests past 128 fields, and closes the connection.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertProblem, request2, session, sleep, start, until } from '../helper.mjs';
import { Attacker, block, END_HEADERS, END_STREAM, frame, headers, HEADERS, INITIAL_WINDOW, integer, memory, mib, setting, unharmed, victim } from './frames.mjs';

const ENHANCE_YOUR_CALM = 0xb;
const hooks = { 'hello.lua': 'return function() return "hello" end' };
const field = Buffer.concat([Buffer.from([0x40, 3]), Buffer.from('x-a'), integer(3000, 7, 0), Buffer.alloc(3000, 'v')]);

/** `streams` requests whose answers the client does not let go, each with `bytes` references to one 3 KB field. */
async function bomb(t, port, streams, bytes) {
    const a = await Attacker.open(t, port, { settings: setting(INITIAL_WINDOW, 0) });
    for (let i = 0; i < streams; i++) {
        const begin = block('/hello', { more: i === 0 ? field : Buffer.alloc(0) });
        await a.send(headers(1 + 2 * i, Buffer.concat([begin, Buffer.alloc(bytes, 0xbe)])), 20000);
    }
    await sleep(500);
    return a;
}

test('the HPACK bomb: fills plain libh2o', async (t) => {
    const plain = await victim(t);
    const before = memory(plain.pid);
    const a = await bomb(t, plain.port, 8, 390_000);
    await until(() => memory(plain.pid) - before > 150, 'plain libh2o to have filled its memory');
    assert.ok(!a.isClosed);
});

test('the HPACK bomb: ours refuses it and keeps its memory', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    const before = server.children('worker'), size = memory(before[0]);
    for (const [bytes, streams] of [[390_000, 8], [60_000, 20], [130, 100]]) {
        const a = await bomb(t, server.port, streams, bytes);
        await a.ended(`${bytes} references`);
        // what was still on its way to a closed socket may reset the connection before GOAWAY is read
        assert.ok([undefined, ENHANCE_YOUR_CALM].includes(a.goaway), `${a.goaway}`);
    }
    assert.ok(memory(before[0]) - size < mib(40), `${size} became ${memory(before[0])} MiB`);
    assert.equal(await server.metric('crescent_connections_cut_total', 'reason="hpack"'), 3);
    await unharmed(server, before, assert);
});

test('128 fields are a problem, 129 end the connection', async (t) => {
    const server = await start(t, { hooks });
    const client = await session(t, server.url);
    // node sends the pseudo-headers, which do not count; the server adds host
    const fields = (n) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`x-${i}`, 'v']));
    assertProblem(await request2(client, '/hello', { headers: fields(128) }), 431);
    const a = await Attacker.open(t, server.port);
    const one = Buffer.from([0, 1, 0x78, 1, 0x79]);
    await a.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, block('/hello', { more: Buffer.concat(Array(129).fill(one)) })));
    await a.ended('129 fields');
    assert.equal(a.goaway, ENHANCE_YOUR_CALM);
    assert.equal((await server.get('/hello')).text, 'hello');
});

test('what headers and uri allow together is taken, however large', async (t) => {
    const server = await start(t, { hooks, config: 'return { limits = { headers = "64KiB", uri = "32KiB" } }' });
    const a = await Attacker.open(t, server.port), target = Buffer.from('/hello?' + 'q'.repeat(32_000));
    const value = (n) => Buffer.concat([integer(n, 7, 0), Buffer.alloc(n, 'v')]);
    const fields = Array.from({ length: 16 }, () => Buffer.concat([Buffer.from([0, 1, 0x78]), value(4090)]));
    await a.send(headers(1, Buffer.concat([Buffer.from([0x82, 0x86, 0x04]), integer(target.length, 7, 0), target, Buffer.from([0x01, 1, 0x78]), ...fields])));
    await until(() => a.frames.some((f) => f.payload.toString() === 'hello'), 'an answer');
    assert.ok(!a.isClosed);
});

test('a flood of CONTINUATION without end is cut by time', async (t) => {
    const server = await start(t, { hooks, config: 'return { limits = { header_time = "500ms" } }' });
    const a = await Attacker.open(t, server.port);
    await a.send(frame(HEADERS, END_STREAM, 1, Buffer.from([0x82])));
    const empty = Buffer.concat(Array.from({ length: 2000 }, () => frame(9, 0, 1)));
    const end = Date.now() + 5000;
    while (!a.isClosed && Date.now() < end) await a.send(empty, 100);
    assert.ok(a.isClosed);
    assert.equal((await server.get('/hello')).text, 'hello');
});
