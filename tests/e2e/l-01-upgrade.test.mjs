// HUP: another configuration, certificate or binary without a failed request; what cannot be is refused, and changes nothing.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { test } from 'node:test';
import { load1, load2 } from './clients.mjs';
import { certificate, folder, load, sleep, tool, until } from './helper.mjs';
import { holds, replaceBinary, startUpgradable, version } from './upgrade.mjs';

const hooks = {
    'hello.lua': 'return function() return "hello" end', 'nap.lua': 'return function() sleep "30ms" return "nap" end',
};
const configuration = 'return { drain = "4s", log = { access = "off" } }';

test('ten HUPs in a row with a changed binary, under load on both versions: no request fails', async (t) => {
    const server = await startUpgradable(t, { hooks, workers: 2, config: configuration });
    const strict = true;
    const all = [load1(t, server.port, '/hello', { connections: 6, expect: 'hello', strict }), load1(t, server.port, '/nap', { connections: 6, expect: 'nap', strict }),
        load1(t, server.port, '/hello', { connections: 6, each: 1, expect: 'hello', strict }), load1(t, server.port, '/nap', { connections: 6, each: 3, expect: 'nap', strict }),
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

/** A program that goes on until stop(): then what it said. Before that it must not end by itself. */
function shooting(t, program, args) {
    let ended = false;
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => child.kill('SIGKILL'));
    const said = new Promise((done, fail) => {
        let text = '';
        child.stdout.on('data', (part) => { text += part; });
        child.on('error', fail).on('close', () => { ended = true; done(text); });
    });
    return { get ended() { return ended; }, stop: () => { child.kill('SIGINT'); return said; } };
}

/** Streams of a burst that are open at once. */
const BURST = ['-c2', '-m4', '-t1'], AT_ONCE = 8;

/**
 * What one burst of h2load has found. It does not follow a GOAWAY: on that connection it asks no more, says "Process
 * Request Failure", and counts what is left of its share as failed and errored: total - started. Requests that it had
 * just asked when the GOAWAY came it withdraws unsent, and counts them as started, done, failed and errored: at most as many
 * as it has streams. All others were answered with 200. (That none of the withdrawn ones was sent, and lost, the server's
 * figures say.) Returns {succeeded, unsent}.
 */
function burst(text) {
    const [total, started, done, succeeded, failed, errored, timeouts] = /^requests: (.*)$/m.exec(text)[1].match(/\d+/g).map(Number);
    const unsent = total - succeeded, withdrawn = started - succeeded;
    assert.deepEqual({ done, failed, errored, timeouts }, { done: started, failed: unsent, errored: unsent, timeouts: 0 }, text);
    assert.ok(withdrawn <= AT_ONCE, text);
    if (!text.includes('Process Request Failure')) assert.equal(started, total, text); // its last ones may be withdrawn
    assert.match(text, new RegExp(`status codes: ${succeeded} 2xx, 0 3xx, 0 4xx, 0 5xx`), text);
    return { succeeded, unsent };
}

test('ten HUPs under wrk and h2load, in clear and over TLS: no error that either of them counts, and no request that was sent is lost', async (t) => {
    const dir = folder(t), { args } = await certificate(dir);
    const server = await startUpgradable(t, { dir, hooks, args, listen: ['http://127.0.0.1:0', 'https://127.0.0.1:0'], workers: 2, config: configuration });
    const all = server.urls.map((url) => shooting(t, 'wrk', ['-t1', '-c6', '-d600s', `${url}/hello`]));
    const bursts = [];
    let running = true;
    const volleys = server.urls.flatMap((url) => [['/nap', 300], ['/hello', 3000]].map(async ([target, requests]) => {
        while (running) bursts.push(burst(await tool('h2load', [`-n${requests}`, ...BURST, url + target])));
    }));
    for (let round = 0; round < 10; round++) {
        replaceBinary(server.program, version(`0.9.${round}`));
        assert.equal((await server.upgrade()).version, `0.9.${round}`, server.tail());
        await sleep(150);
    }
    assert.deepEqual(all.map((wrk) => wrk.ended), [false, false], 'they have seen all ten');
    running = false;
    await Promise.all(volleys);
    for (const name of ['requests_gone', 'library_answers']) assert.equal(await server.metric(`crescent_${name}_total`), 0, 'what was sent was answered');
    // wrk goes to a new connection after "Connection: close". Any other end counts: before an answer was whole, or before
    // it was begun, it is a read error; a reset is one too.
    for (const said of await Promise.all(all.map((wrk) => wrk.stop()))) {
        assert.doesNotMatch(said, /Socket errors|Non-2xx/, said);
        assert.ok(Number(/(\d+) requests in/.exec(said)[1]) > 1000, said);
    }
    assert.ok(bursts.some((one) => one.unsent > 0), 'a connection of h2load heard GOAWAY while it had requests left');
    assert.ok(bursts.reduce((sum, one) => sum + one.succeeded, 0) > 1000, JSON.stringify(bursts));
});
