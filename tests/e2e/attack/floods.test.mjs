// Frames that cost nothing to send: ones of an unknown type, for each of which libh2o prints a line; pings and
// settings that are not read; windows that are moved to and fro; initial windows that could undo the guard.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep, start, until } from '../helper.mjs';
import { Attacker, DATA, frame, get, INITIAL_WINDOW, memory, mib, PING, PRIORITY, setting, SETTINGS, u32, unharmed, victim } from './frames.mjs';

const hooks = { 'hello.lua': 'return function() return "hello" end' };
const many = (n, one) => Buffer.concat(Array.from({ length: n }, () => one));
const FLOW_CONTROL_ERROR = 3;

test('unknown frames: plain libh2o prints a line for each', async (t) => {
    const plain = await victim(t);
    const a = await Attacker.open(t, plain.port);
    await a.send(many(50_000, frame(0x42, 0, 0)), 10000);
    await sleep(300);
    assert.ok(plain.stderrBytes > 500_000, `${plain.stderrBytes} bytes`);
});

test('unknown frames: ours prints nothing, and serves meanwhile', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    const before = server.children('worker');
    const a = await Attacker.open(t, server.port);
    const sent = a.send(many(200_000, frame(0x42, 0, 0)), 20000);
    const begun = Date.now();
    assert.equal((await server.get('/hello')).text, 'hello');
    assert.ok(Date.now() - begun < 3000);
    await sent;
    await a.send(get(1, '/hello'));
    await sleep(200);
    assert.deepEqual(server.noise, []);
    assert.ok(server.log.length < 50);
    await unharmed(server, before, assert);
});

test('pings, settings, windows and priorities without end, read or not: memory stays', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    const before = server.children('worker'), size = memory(before[0]);
    const flip = Buffer.concat([frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW, 0)), frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW, 65535))]);
    for (const one of [frame(PING, 0, 0, Buffer.alloc(8)), frame(SETTINGS, 0, 0), flip, frame(PRIORITY, 0, 1, Buffer.from([0, 0, 0, 0, 10]))]) {
        for (const deaf of [false, true]) {
            const a = await Attacker.open(t, server.port, { deaf });
            await a.send(many(300_000, one), 3000);
            a.socket.destroy();
        }
    }
    assert.ok(memory(before[0]) - size < mib(60), `${size} became ${memory(before[0])} MiB`);
    await unharmed(server, before, assert);
});

test('an initial window of any size is taken, and windows are kept right when it changes; one past 2^31-1 is refused', async (t) => {
    const server = await start(t, { hooks });
    const heard = (a, stream) => Buffer.concat(a.frames.filter((f) => f.stream === stream && f.type === DATA).map((f) => f.payload)).toString();
    for (const size of [2 ** 30, 2 ** 30 + 1, 2 ** 31 - 1]) {
        const a = await Attacker.open(t, server.port, { settings: setting(INITIAL_WINDOW, size) });
        await a.send(get(1, '/hello'));
        await until(() => heard(a, 1) === 'hello', `an answer within ${size}`);
        await a.send(frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW, 3)));
        await a.send(get(3, '/hello'));
        await until(() => heard(a, 3) === 'hel', 'three bytes');
        await a.send(frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW, 2 ** 31 - 1)));
        await until(() => heard(a, 3) === 'hello', 'the rest');
        assert.ok(!a.isClosed);
    }
    const wrong = await Attacker.open(t, server.port, { settings: setting(INITIAL_WINDOW, 2 ** 31) });
    await wrong.ended('its window');
    assert.equal(wrong.goaway, FLOW_CONTROL_ERROR);
});

test('a stream window that overflows is reset, nothing more', async (t) => {
    const server = await start(t, { hooks });
    const a = await Attacker.open(t, server.port, { settings: setting(INITIAL_WINDOW, 0) });
    await a.send(Buffer.concat([get(1, '/hello'), frame(8, 0, 1, u32(0x7fffffff)), frame(8, 0, 1, u32(0x7fffffff)), get(3, '/hello')]));
    await sleep(200);
    assert.ok(!a.isClosed);
    assert.equal((await server.get('/hello')).text, 'hello');
    a.socket.destroy(); // else the end would wait for the window of the second stream
});
