// The clock of the machine, as libfaketime shows it, jumps an hour forth and back: nobody is cut for it, deadlines keep
// their length, saves go live, and what waits goes on.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { Agent } from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { folder, ms, request, sleep, start } from '../e2e/helper.mjs';
import { holdings, noLeak, settle, whole } from './fault.mjs';

const library = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu'].map((at) => `${at}/faketime/libfaketime.so.1`).find(fs.existsSync);

test('an hour forth, an hour back, and again, under load', async (t) => {
    assert.ok(library, 'libfaketime is not installed: scripts/setup --test');
    // A folder of its own: beside the store's file a jailed worker would not see what is renamed there.
    const file = path.join(folder(t), 'time');
    const jump = (text) => {
        fs.writeFileSync(`${file}.new`, text);
        fs.renameSync(`${file}.new`, file);
    };
    jump('+0\n');
    const hooks = {
        'v.lua': 'return function() return "one" end',
        'slow.lua': 'return function() sleep "1s" return "slept" end',
        'late.lua': 'return { timeout = "1s", methods = { "GET" }, handle = function() sleep "30s" end }',
        'now.lua': 'return function(req) return tostring(req.received_at) end',
    };
    const server = await start(t, { hooks, workers: 2, config: 'return { drain = "3s", limits = { idle_time = "20s", header_time = "10s" } }',
        // The times of files are the kernel's: the library would shift them, and for some of its calls only.
        env: { LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1', NO_FAKE_STAT: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1',
            DONT_FAKE_MONOTONIC: '1', ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0`,
            // It stands between the thread sanitizer and what waits with a deadline, whose locks are then thought to be held.
            TSAN_OPTIONS: `${process.env.TSAN_OPTIONS ?? ''}:report_bugs=0` } });
    await whole(server, { workers: 2, target: '/v', text: 'one' });
    await settle();
    const lasting = () => [...server.children('keeper'), ...server.children('worker')].sort(); // a trial comes and goes
    const before = holdings(server), pids = lasting();
    const agents = Array.from({ length: 6 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
    t.after(() => agents.forEach((a) => a.destroy()));
    const onAll = (target) => Promise.all(agents.map((agent) => request(server.url + target, { agent })));
    await onAll('/v');
    const sockets = agents.map((a) => Object.values(a.freeSockets)[0][0].localPort);

    const base = Number((await server.get('/now')).text);
    for (const [round, by] of ['+3600s', '+0', '-3600s', '+0', '+3600s', '-3600s', '+0'].entries()) {
        const slow = server.get('/slow'), began = Date.now();
        await sleep(100);
        jump(`${by}\n`);
        const late = await server.get('/late'), took = Date.now() - began;
        assert.equal(late.status, 504);
        assert.ok(took > 900 && took < ms(10000), `a timeout of 1 s took ${took} ms after ${by}`);
        assert.equal((await slow).text, 'slept');
        const shown = Number((await server.get('/now')).text) - base;
        assert.ok(Math.abs(shown - parseInt(by, 10)) < 120, `the server's clock is ${shown} s off after ${by}`);
        for (const reply of await onAll('/v')) assert.equal(reply.status, 200);
        server.replace('v.lua', `return function() return "round ${round}" end`);
        await whole(server, { workers: 2, target: '/v', text: `round ${round}` });
    }
    // The same connections all along: none was cut for the time it seemed to be idle.
    assert.deepEqual(agents.map((a) => Object.values(a.freeSockets)[0][0].localPort), sockets);
    assert.deepEqual(lasting(), pids);
    await noLeak(server, before, 6);
});
