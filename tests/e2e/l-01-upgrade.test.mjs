// HUP: another configuration, certificate or binary without a failed request; what cannot be is refused, and changes nothing.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { load1, load2 } from './clients.mjs';
import { load, sleep, tool, until } from './helper.mjs';
import { holds, replaceBinary, startUpgradable, version } from './upgrade.mjs';

const hooks = {
    'hello.lua': 'return function() return "hello" end', 'nap.lua': 'return function() sleep "30ms" return "nap" end',
};
const configuration = 'return { drain = "4s", log = { access = "off" } }';

test('ten HUPs in a row with a changed binary, under load on both versions: no request fails', async (t) => {
    const server = await startUpgradable(t, { hooks, workers: 2, config: configuration });
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

test('ten HUPs under wrk and h2load: no error that either of them counts, but what h2load itself refuses to send after a GOAWAY', async (t) => {
    const server = await startUpgradable(t, { hooks, workers: 2, config: configuration });
    let running = true;
    const bursts = [];
    const wrk = tool('wrk', ['-t1', '-c6', '-d4s', `${server.url}/hello`]);
    // It does not follow a GOAWAY: what it would have begun on that connection it counts as failed, and says so.
    const h2load = (async () => { while (running) bursts.push(await tool('h2load', ['-n300', '-c2', '-m4', '-t1', `${server.url}/nap`])); })();
    for (let round = 0; round < 10; round++) {
        replaceBinary(server.program, version(`0.9.${round}`));
        assert.equal((await server.upgrade()).version, `0.9.${round}`, server.tail());
        await sleep(150);
    }
    running = false;
    await h2load;
    const said = await wrk;
    assert.doesNotMatch(said, /Socket errors|Non-2xx/, said);
    assert.ok(Number(/(\d+) requests in/.exec(said)[1]) > 100, said);
    let answers = 0;
    for (const text of bursts) {
        assert.match(text, /0 3xx, 0 4xx, 0 5xx/);
        assert.match(text, / 0 timeout/);
        if (!text.includes('Process Request Failure')) assert.match(text, /300 succeeded, 0 failed/, text);
        answers += Number(/(\d+) succeeded/.exec(text)[1]);
    }
    assert.ok(answers > 300, `${answers}`);
});
