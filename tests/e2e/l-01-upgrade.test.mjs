// HUP: another configuration, certificate or binary without a failed request; what cannot be is refused, and changes nothing.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { load1, load2 } from './clients.mjs';
import { alive, certificate, folder, load, ms, raw, request, sleep, until, write } from './helper.mjs';
import { holds, replaceBinary, startUpgradable, version } from './upgrade.mjs';

const hooks = {
    'hello.lua': 'return function() return "hello" end', 'nap.lua': 'return function() sleep "30ms" return "nap" end',
    'slow.lua': 'return function() sleep "1500ms" return "slow" end', 'take.lua': 'return { handle = function(req) return { size = #req.body } end }',
};
const configuration = (text) => `return { drain = "4s", log = { level = "info" }, ${text ?? ''} }`;

test('ten HUPs in a row with a changed binary, under load on both versions: no request fails', async (t) => {
    const server = await startUpgradable(t, { hooks, workers: 2, config: configuration() });
    const all = [load1(server.port, '/hello', { connections: 6, expect: 'hello' }), load1(server.port, '/nap', { connections: 6, expect: 'nap' }),
        load1(server.port, '/hello', { connections: 6, each: 1, expect: 'hello' }), load1(server.port, '/nap', { connections: 6, each: 3, expect: 'nap' }),
        load2(t, server.url, '/nap', { sessions: 4, streams: 6, expect: 'nap' }), load2(t, server.url, '/hello', { sessions: 2, streams: 2, expect: 'hello' })];
    const ready = load(`${server.admin}/readyz`, { connections: 1, pause: 5, fresh: true });
    await sleep(200);
    for (let round = 0; round < 10; round++) {
        replaceBinary(server.program, version(`0.9.${round}`));
        const record = await server.upgrade();
        assert.equal(record.message, 'upgrade: done', server.tail());
        assert.equal(record.version, `0.9.${round}`);
        assert.equal(fs.readlinkSync(`/proc/${server.pid}/exe`), server.program, 'the supervisor is of the new binary');
    }
    await sleep(1500); // the second GOAWAYs
    const results = await Promise.all([...all, ready].map((one) => one.stop()));
    assert.deepEqual(results.map((r) => r.failures), results.map(() => []));
    assert.deepEqual(results.map((r) => r.refused ?? []), results.map(() => []));
    assert.ok(results.every((r) => r.answers > 20), results.map((r) => r.answers).join());
    await until(() => holds(server).children.length === 3, () => `the old workers have gone: ${holds(server).children}`, 10000);
});
