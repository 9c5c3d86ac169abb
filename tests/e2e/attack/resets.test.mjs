// Requests that are reset as soon as they are made: the work they start costs the server, the reset frees the client's
// slot for the next. By RST_STREAM (rapid reset), or by a fault that makes the server reset (MadeYouReset). A
// connection has a budget of 100 resets, refilled by ten a second; past it, it is cut.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep, start } from '../helper.mjs';
import { Attacker, DATA, frame, get, PING, RST_STREAM, u32, unharmed, victim, WINDOW_UPDATE } from './frames.mjs';

const N = 5000;
const hooks = {
    'hello.lua': 'return function() return "hello" end',
    'slow.lua': 'return function() sleep "30s" return "late" end',
    'finish.lua': 'return { on_disconnect = "finish", methods = { "GET" }, handle = function() sleep "300ms" return "late" end }',
};
const kinds = {
    'rapid reset': (stream) => frame(RST_STREAM, 0, stream, u32(8)),
    'MadeYouReset by WINDOW_UPDATE 0': (stream) => frame(WINDOW_UPDATE, 0, stream, u32(0)),
    'MadeYouReset by DATA after the end': (stream) => frame(DATA, 0, stream, Buffer.from('x')),
};
const flood = (kind, target, n = N) => Buffer.concat(Array.from({ length: n }, (_, i) => [get(1 + 2 * i, target), kind(1 + 2 * i)]).flat());

test('rapid reset: plain libh2o takes all of it', async (t) => {
    const plain = await victim(t);
    const a = await Attacker.open(t, plain.port);
    await a.send(flood(kinds['rapid reset'], '/hello'));
    await a.send(frame(PING, 0, 0, Buffer.from('stillyou')));
    await sleep(500);
    assert.ok(!a.isClosed);
    assert.ok(a.frames.some((f) => f.type === PING && f.payload.toString() === 'stillyou'));
});

for (const [name, kind] of Object.entries(kinds)) {
    test(`${name}: ours cuts the connection and lets go of the work`, async (t) => {
        const server = await start(t, { hooks, workers: 1 });
        const before = server.children('worker');
        for (const target of ['/slow', '/hello', '/finish']) {
            const a = await Attacker.open(t, server.port);
            await a.send(flood(kind, target));
            await a.ended(target);
        }
        assert.equal(await server.metric('crescent_connections_cut_total', 'reason="resets"'), 3);
        const begun = await server.metric('crescent_requests_by_version_total', 'version="2"');
        assert.ok(begun < 1000, `${begun} requests were begun`);
        await sleep(400); // the unfinished "finish" ones end by themselves
        await unharmed(server, before, assert);
    });
}

test('a client that resets now and then keeps its connection', async (t) => {
    const server = await start(t, { hooks });
    const a = await Attacker.open(t, server.port);
    await a.send(flood(kinds['rapid reset'], '/slow', 90));
    await a.send(get(2001, '/hello'));
    await sleep(300);
    assert.ok(!a.isClosed);
    assert.ok(a.frames.some((f) => f.type === DATA && f.stream === 2001 && f.payload.toString() === 'hello'));
});
