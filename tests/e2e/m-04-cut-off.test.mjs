// What the server ends itself has its record, its word and its count, too: a drain's end, a death, a stream that breaks.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { folder, ms, raw, request2, session, sleep, start, until, write } from './helper.mjs';
import { open1, open2 } from './streams.mjs';

const hooks = {
    'hello.lua': 'return function() return "hello" end',
    'slow.lua': 'return function() sleep "20s" return "late" end',
    'finish.lua': 'return { on_disconnect = "finish", handle = function(req) sleep(req.query.t or "20s") log.info "finished" return "late" end }',
    'last.lua': 'return { on_disconnect = "finish", handle = function(req) sleep(req.query.t) local t = os.clock() while os.clock() - t < 0.045 do end return "late" end }',
    'endless.lua': 'return { methods = { "GET" }, handle = function() return reply.stream(function(write) while true do write "tick\\n" sleep "20ms" end end) end }',
    'large.lua': 'local all = ("x"):rep(16e6) return { methods = { "GET" }, handle = function() return all end }',
    'raises.lua': 'return { methods = { "GET" }, handle = function() return reply.stream(function(write) write "some" sleep "30ms" error "no more" end) end }',
    'over.lua': 'return { methods = { "GET" }, handle = function() return reply.stream(function(write) write "some" sleep "20s" end, { timeout = "100ms" }) end }',
    'busy.lua': 'return function() return tostring((("a"):rep(40)):find(("a?"):rep(40) .. ("a"):rep(40) .. "b")) end',
};
const requests = (r) => /^request( refused| gone| cut)?$/.test(r.message);
const ended = (server, path) => until(() => server.records((r) => requests(r) && r.path === path)[0], () => `the record of ${path}\n${server.tail()}`);
/** Requests that have begun and have no end in any count. */
async function open(server) {
    return await server.metricSum('crescent_requests_by_version_total') - await server.metricSum('crescent_requests_total')
        - await server.metric('crescent_requests_gone_total') - await server.metric('crescent_requests_cut_total');
}
const lost = (promise) => assert.rejects(promise);

for (const signal of ['SIGHUP', 'SIGTERM'])
    test(`${signal}: what the end of the drain cuts off has its records, is said with its number, and counted`, async (t) => {
        const server = await start(t, { hooks, workers: 1, config: 'return { drain = "1s", log = { access = "all" } }' });
        const client = await session(t, server.url);
        const failed = [lost(server.post('/slow', 'x')), lost(request2(client, '/slow', { method: 'POST', body: 'x' })), lost(server.get('/endless'))];
        const large = await open1(`${server.url}/large`);
        large.pause();
        const gone = client.request({ ':path': '/finish', ':method': 'POST' });
        gone.on('error', () => {}).end('x');
        await sleep(ms(300));
        gone.close(8);
        await sleep(ms(100));
        process.kill(server.pid, signal);
        await Promise.all(failed);
        await until(() => server.records(requests).length === 5, () => `five records\n${server.tail()}`);
        const records = server.records(requests).map((r) => [r.message, r.path, r.status, r.version]).sort((a, b) => (a < b ? -1 : 1));
        assert.deepEqual(records, [['request cut', '/endless', 200, '1.1'], ['request cut', '/finish', 0, '2'], ['request cut', '/large', 200, '1.1'],
            ['request cut', '/slow', 0, '1.1'], ['request cut', '/slow', 0, '2']]);
        assert.ok(server.records((r) => r.path === '/slow').every((r) => r.duration_ms > 1000), server.tail());
        assert.equal((await server.said('requests cut off at the end of the drain')).count, 5);
        large.leave();
        if (signal === 'SIGTERM') return;
        await until(async () => await open(server) === 0, async () => `${await open(server)} requests in no count`);
        assert.equal(await server.metric('crescent_requests_cut_total'), 2);
        await until(async () => await server.metric('crescent_connections_total') === await server.metric('crescent_connections_closed_total'), 'each connection has its end');
    });

test('a second TERM ends at once, and says how many requests that was the end of', async (t) => {
    const server = await start(t, { hooks, workers: 2 });
    const failed = Array.from({ length: 3 }, () => lost(server.post('/slow', 'x')));
    await sleep(ms(300));
    process.kill(server.pid, 'SIGTERM');
    await server.said('draining');
    process.kill(server.pid, 'SIGTERM');
    await Promise.all([...failed, server.exit]);
    assert.equal(server.records('ended before its drain was over')[0]?.requests_lost, 3, server.tail());
});

test('what works on for a client that has gone is waited for like the rest', async (t) => {
    const server = await start(t, { hooks, workers: 1, config: `return { drain = "${ms(5000)}ms", log = { access = "all" } }` });
    const client = await session(t, server.url);
    client.request({ ':path': `/finish?t=${ms(1000)}ms`, ':method': 'POST' }).on('error', () => {}).end('x');
    await sleep(ms(200));
    client.destroy();
    await sleep(ms(200));
    process.kill(server.pid, 'SIGHUP');
    await server.said('finished');
    assert.equal((await ended(server, '/finish')).message, 'request gone');
    assert.equal(server.records('cut off').length, 0);
});

test('what comes to its end for nobody in the same moment as the drain looks is recorded all the same', async (t) => {
    const server = await start(t, { hooks, workers: 1, config: `return { drain = "${ms(5000)}ms", log = { access = "all" } }` });
    const client = await session(t, server.url), count = 3;
    // The drain looks each 50 ms: mostly while the last one is at its end.
    for (let i = 0; i < count; i++) client.request({ ':path': `/last?t=${ms(600) + i}ms`, ':method': 'POST' }).on('error', () => {}).end('x');
    await sleep(ms(300));
    client.destroy();
    await sleep(ms(100));
    process.kill(server.pid, 'SIGHUP');
    await until(() => server.records((r) => requests(r) && r.path === '/last').length === count,
        () => `${server.records((r) => requests(r) && r.path === '/last').length} records\n${server.tail()}`);
    assert.equal(server.records('cut off').length, 0);
});

test('a worker that dies: its line says how many requests went with it, and they and its connections are counted', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    const failed = [lost(server.post('/slow', 'x')), lost(server.post('/slow', 'x')), lost(server.get('/endless'))];
    await sleep(ms(300));
    process.kill(server.children('worker')[0], 'SIGKILL');
    await Promise.all(failed);
    assert.equal((await server.said('worker 0 died')).requests_lost, 3);
    await until(async () => await server.metric('crescent_workers_serving') === 1, 'the next one');
    assert.equal(await open(server), 0);
    assert.equal(await server.metric('crescent_requests_cut_total'), 3);
    assert.equal(await server.metric('crescent_streams_ended_total', 'end="broken_off"'), 1);
    assert.equal(await server.metric('crescent_connections_closed_total'), 3);
    await lost(server.post('/busy', 'x')); // and one that the watchdog kills
    assert.equal((await until(() => server.records('worker 0 died')[1], () => server.tail())).requests_lost, 1);
});

test('a stream that the server breaks off is no client that left: its record says cut, on each version of HTTP', async (t) => {
    const dir = folder(t);
    write(dir, { 'files/shrinks': '' });
    fs.truncateSync(path.join(dir, 'files/shrinks'), 64e6); // more than sockets take on any machine
    const server = await start(t, { dir, hooks: { ...hooks, 'file.lua': 'return { methods = { "GET" }, handle = function() return reply.file "shrinks" end }' }, workers: 1,
        config: 'return { files = "files", limits = { write_time = "1s" }, log = { access = "all" } }' });
    const client = await session(t, server.url);
    const cut = async (path, version) => {
        const r = await until(() => server.records((r) => requests(r) && r.path === path && r.version === version)[0], () => `${path} over ${version}\n${server.tail()}`);
        assert.deepEqual([r.message, r.status], ['request cut', 200], `${path} over ${version}`);
    };
    for (const path of ['/raises', '/over']) {
        await raw(server.port, `GET ${path} HTTP/1.0\r\n\r\n`);
        await lost(server.get(path));
        await request2(client, path).catch(() => {});
        for (const version of ['1.0', '1.1', '2']) await cut(path, version);
    }
    const paused = async (opening) => { const s = await opening; s.pause(); return s; };
    const slow1 = await paused(open1(`${server.url}/large`)), slow2 = await paused(open2(client, '/large')), file = await paused(open1(`${server.url}/file`));
    fs.truncateSync(path.join(dir, 'files/shrinks'), 10);
    file.resume();
    for (const [target, version] of [['/large', '1.1'], ['/large', '2'], ['/file', '1.1']]) await cut(target, version);
    for (const slow of [slow1, slow2]) slow.leave();
});

for (const signal of ['SIGHUP', 'SIGTERM'])
    test(`${signal}: what the log leaves out in a worker's last second is told and counted, too`, async (t) => {
        const server = await start(t, { hooks, workers: 1, config: 'return { log = { access = 0.05 } }' });
        const before = server.children('worker')[0];
        for (let i = 0; i < 200; i++) await server.post('/hello');
        if (signal === 'SIGHUP') process.kill(server.pid, signal);
        const total = () => server.records(requests).length + server.records('more requests').reduce((sum, r) => sum + r.count, 0);
        if (signal === 'SIGHUP') await until(() => !server.children('worker').includes(before), 'its end', 10000);
        else await server.stop();
        await until(() => total() === 200, () => `${total()} of 200\n${server.tail()}`);
        if (signal === 'SIGHUP') assert.equal(await server.metric('crescent_access_left_out_total'), 190);
    });

test('what log.access = "off" leaves out is counted, and not told', async (t) => {
    const server = await start(t, { hooks, workers: 1, config: 'return { log = { access = "off" } }' });
    for (let i = 0; i < 20; i++) await server.post('/hello');
    assert.equal(await server.metric('crescent_access_left_out_total'), 20);
    await sleep(ms(1200));
    await server.stop();
    assert.equal(server.records('more requests').length, 0);
});
