// How streams end that do not end by themselves: the client leaves, reads too slowly, the worker dies, drains, reloads.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { alive, certificate, folder, ms, session, sleep, start, until } from './helper.mjs';
import { eventSource, open0, open1, open2, streamsAre } from './streams.mjs';

/** A script that counts what its streams do; /note tells. */
const note = (extra = '') => ({ 'note.lua': `local notes = { begun = 0, ticks = 0, finished = 0 }
return { path = { "/note", "/quiet", "/ticks", "/flood", "/events" }, methods = { "GET", "POST" }, ${extra} handle = function(req)
  if req.path == "/note" then return 200, notes end
  local how = req.path
  local function body(write)
    notes.begun = notes.begun + 1
    write "begun\\n"
    if how == "/quiet" then pcall(sleep, "1h") end
    local piece = how == "/flood" and ("x"):rep(100000) or "tick\\n"
    while true do
      pcall(write, piece)
      notes.ticks = notes.ticks + 1
      if how ~= "/flood" then sleep "50ms" end
    end
    notes.finished = notes.finished + 1
  end
  return (how == "/events" and reply.sse or reply.stream)(body)
end }` });
const notes = async (server) => (await server.get('/note')).json;

test('a client that leaves ends its stream: HTTP/2 at once, HTTP/1 within a second or so, also while the script sleeps', async (t) => {
    const tls = await certificate(folder(t));
    for (const extra of ['', 'on_disconnect = "finish",']) {
        const server = await start(t, { hooks: note(extra), workers: 1, listen: ['http://127.0.0.1:0', 'https://127.0.0.1:0'], args: tls.args });
        const trusting = { rejectUnauthorized: false };
        const h2 = await session(t, server.url);
        const ways = {
            quiet1: () => open1(`${server.url}/quiet`), ticks1: () => open1(`${server.url}/ticks`), flood1: () => open1(`${server.url}/flood`, { counting: true }),
            quietTls: () => open1(`${server.urls[1]}/quiet`, trusting), quiet2: () => open2(h2, '/quiet'), ticks2: () => open2(h2, '/ticks'),
            flood2: () => open2(h2, '/flood', { counting: true }), quietPost: () => open1(`${server.url}/quiet`, { method: 'POST' }),
            quiet0: async () => open0(server.port, 'GET /quiet HTTP/1.0\r\n\r\n'),
        };
        let gone = 0;
        for (const [how, open] of Object.entries(ways)) {
            if (extra && !how.startsWith('quiet')) continue;
            const s = await open();
            await until(() => s.bytes > 0, 'a first byte');
            assert.equal(await server.metricSum('crescent_streams'), 1);
            const left = Date.now();
            s.leave();
            await streamsAre(server, 0, 3500);
            const took = Date.now() - left;
            if (how.endsWith('2')) assert.ok(took < ms(500), `${how}: ${took} ms`);
            const before = (await notes(server)).ticks;
            await sleep(120);
            assert.equal((await notes(server)).ticks, before, `${how}: the script goes on`);
            assert.equal(await server.metric('crescent_streams_ended_total', 'end="client_gone"'), ++gone);
        }
        assert.equal((await notes(server)).finished, 0);
        assert.equal(await server.metric('crescent_requests_gone_total'), gone);
        await server.stop();
    }
});

test('a reader that stops is cut after write_time, and counted; a stream that is silent is not', async (t) => {
    const server = await start(t, { hooks: note(), workers: 1, config: 'return { limits = { write_time = "1s" } }' });
    const h2 = await session(t, server.url), other = await session(t, server.url);
    const silent = [await open1(`${server.url}/quiet`), await open2(h2, '/quiet')];
    await Promise.all(silent.map((s) => s.has('begun')));
    const slow1 = await open1(`${server.url}/flood`, { counting: true });
    slow1.pause();
    const slow2 = await open2(other, '/flood', { counting: true });
    slow2.pause();
    const cut = () => server.metric('crescent_connections_cut_total', 'reason="write_time"');
    await until(async () => (await cut()) === 2, 'both are cut', 6000);
    await streamsAre(server, 2);
    await sleep(ms(1500));
    assert.equal(await cut(), 2);
    assert.equal(await server.metricSum('crescent_streams'), 2);
    for (const s of silent) assert.equal(s.end, undefined);
    slow1.resume();
    assert.notEqual(await slow1.ended(), 'clean');
    assert.equal(await server.metric('crescent_streams_ended_total', 'end="broken_off"'), 2);
    for (const s of silent) s.leave();
    await streamsAre(server, 0);
});

test('a worker killed in the middle: no version takes what it has for the whole', async (t) => {
    const server = await start(t, { hooks: note(), workers: 1 });
    const h2 = await session(t, server.url);
    const all = [await open1(`${server.url}/ticks`), await open2(h2, '/ticks'), open0(server.port, 'GET /ticks HTTP/1.0\r\n\r\n')];
    await Promise.all(all.map((s) => s.has('tick')));
    process.kill(server.children('worker')[0], 'SIGKILL');
    for (const s of all) assert.notEqual(await s.ended(), 'clean');
    await until(async () => (await server.get('/note').catch(() => ({}))).status === 200, 'the next worker');
    assert.equal(await server.metricSum('crescent_streams'), 0);
});

test('a reload: streams under way go on with the old version to their end', async (t) => {
    const version = (n) => `return function() return reply.stream(function(write) for i = 1, 12 do write "v${n} " sleep "100ms" end end) end`;
    const server = await start(t, { hooks: { 'v.lua': version(1) }, workers: 1 });
    const h2 = await session(t, server.url);
    const old = [await open1(`${server.url}/v`), await open2(h2, '/v')];
    await Promise.all(old.map((s) => s.has('v1')));
    server.replace('v.lua', version(2));
    await until(async () => (await server.metric('crescent_generation')) === 2, 'the new version');
    const fresh = await open1(`${server.url}/v`);
    await fresh.has('v2');
    for (const s of old) assert.equal(s.end, undefined);
    for (const s of old) {
        assert.equal(await s.ended(), 'clean');
        assert.equal(s.text, 'v1 '.repeat(12));
    }
    assert.equal(await fresh.ended(), 'clean');
});

test('TERM: events end cleanly at once, streams may finish, the rest is broken off at the end of drain', async (t) => {
    const server = await start(t, { workers: 1, config: 'return { drain = "2s" }', hooks: { ...note(),
        'short.lua': 'return function() return reply.stream(function(write) for i = 1, 10 do write "s" sleep "100ms" end end) end' } });
    const h2 = await session(t, server.url);
    const open = (target) => Promise.all([open1(server.url + target), open2(h2, target)]);
    const events = await open('/events'), short = await open('/short'), endless = await open('/ticks');
    endless.push(open0(server.port, 'GET /ticks HTTP/1.0\r\n\r\n'));
    await Promise.all([...events, ...short, ...endless].map((s) => until(() => s.bytes > 0, 'a first byte')));
    const termed = Date.now();
    server.child.kill('SIGTERM');
    for (const s of events) {
        assert.equal(await s.ended(), 'clean');
        assert.ok(Date.now() - termed < ms(1200), `events after ${Date.now() - termed} ms`);
        assert.equal(eventSource(s.text).events.length > 0, true);
        assert.ok(s.text.endsWith('\n\n'));
    }
    for (const s of short) {
        assert.equal(await s.ended(), 'clean');
        assert.equal(s.text, 's'.repeat(10));
    }
    for (const s of endless) {
        assert.notEqual(await s.ended(), 'clean');
        const after = Date.now() - termed;
        assert.ok(after >= 1800 && after < ms(4000), `broken off after ${after} ms`);
    }
    await server.stop();
});

test('TERM in the middle of an event: it arrives whole; one that nobody takes is broken off, never cut short cleanly', async (t) => {
    const server = await start(t, { workers: 1, config: `return { drain = "${ms(3000)}ms", limits = { lua_memory = "256MiB" } }`, hooks: {
        'large.lua': `local text = ("x"):rep(16000000)
return function() return reply.sse(function(send) send "first" send(text) sleep "1h" end) end` } });
    const h2 = await session(t, server.url), other = await session(t, server.url);
    const open = (client) => Promise.all([open1(`${server.url}/large`, { counting: true }), open2(client, '/large', { counting: true })]);
    const taken = await open(h2), left = await open(other);
    for (const s of [...taken, ...left]) s.pause();
    await sleep(ms(200));
    const termed = Date.now();
    server.child.kill('SIGTERM');
    await sleep(ms(300));
    for (const s of taken) s.resume();
    for (const s of taken) {
        assert.equal(await s.ended(), 'clean');
        assert.equal(s.bytes, 'data: first\n\ndata: \n\n'.length + 16000000);
        assert.ok(Date.now() - termed < ms(2500), `after ${Date.now() - termed} ms`);
    }
    await until(() => !alive(server.child.pid), 'the end', 6000);
    for (const s of left) s.resume();
    for (const s of left) assert.notEqual(await s.ended(), 'clean');
});

test('a thousand silent listeners cost little memory', async (t) => {
    const server = await start(t, { workers: 1, hooks: { 'idle.lua': 'return function() return reply.sse(function(send) send "hello" sleep "1h" end) end' } });
    const [worker] = server.children('worker');
    const used = () => Number(/^Rss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${worker}/smaps_rollup`, 'utf8'))[1]);
    const several = async (n) => {
        const all = [];
        while (all.length < n) { // no more at once than an accept queue holds
            const some = Array.from({ length: 100 }, () => open0(server.port, 'GET /idle HTTP/1.1\r\nHost: a\r\n\r\n'));
            await until(() => some.every((s) => s.text.includes('hello')), '100 greetings');
            all.push(...some);
        }
        return all;
    };
    const first = await several(100); // what is allocated once is allocated now
    const before = used();
    const all = await several(1000);
    const each = (used() - before) / 1000;
    t.diagnostic(`${each.toFixed(1)} KiB each`);
    if (!process.env.CRESCENT_TIME_FACTOR) assert.ok(each < 32, `${each.toFixed(1)} KiB each`);
    for (const s of [...first, ...all]) s.leave();
    await streamsAre(server, 0);
});

test('storm: clients that leave, stall and reset at random leave nothing behind', async (t) => {
    const server = await start(t, { hooks: note(), workers: 1, config: 'return { limits = { write_time = "1s" } }' });
    const [worker] = server.children('worker');
    const descriptors = () => fs.readdirSync(`/proc/${worker}/fd`).length;
    await server.get('/note');
    const idle = descriptors();
    const until1 = Date.now() + 4000;
    const targets = ['/quiet', '/ticks', '/flood', '/events'];
    let opened = 0;
    const one = async (i) => {
        let client;
        while (Date.now() < until1) {
            const target = targets[Math.floor(Math.random() * targets.length)];
            try {
                let s;
                if (i % 3 === 0) s = await open1(server.url + target, { counting: true });
                else if (i % 3 === 1) s = open0(server.port, `GET ${target} HTTP/1.${i % 2}\r\nHost: a\r\n\r\n`);
                else {
                    if (!client || client.destroyed || Math.random() < 0.1) {
                        client?.destroy();
                        client = await session(t, server.url);
                    }
                    s = await open2(client, target, { counting: true });
                }
                opened++;
                if (Math.random() < 0.3) s.pause();
                await sleep(Math.random() < 0.3 ? 0 : Math.random() * 150);
                if (s.socket && Math.random() < 0.5) s.socket.resetAndDestroy();
                else s.leave();
            } catch { /* a connection that has been cut */ }
        }
        client?.destroy();
    };
    await Promise.all(Array.from({ length: 24 }, (_, i) => one(i)));
    assert.ok(opened > 200 / (ms(1)), `${opened} streams`);
    await streamsAre(server, 0, 6000);
    await until(() => descriptors() <= idle + 2, () => `${descriptors()} descriptors, ${idle} at first`);
    assert.ok(alive(worker) && server.children('worker')[0] === worker, 'the worker has died');
    assert.equal((await server.get('/note')).status, 200);
});

test('over a unix socket a stream that breaks never looks whole: HTTP/1.0, which could not see it, is refused', async (t) => {
    const dir = folder(t), tls = await certificate(dir), plain = path.join(dir, 'plain'), sealed = path.join(dir, 'sealed');
    await start(t, {
        dir, workers: 1, listen: ['127.0.0.1:0', `http://unix:${plain}`, `https://unix:${sealed}`], args: tls.args,
        hooks: {
            'breaks.lua': 'return { methods = { "GET" }, handle = function() return reply.stream(function(write) write "half" sleep "50ms" error "no" end) end }',
            'whole.lua': 'return { methods = { "GET" }, handle = function() return "whole" end }',
        },
    });
    const curl = (...args) => new Promise((done) => execFile('curl', ['-sk', '-w', ' %{http_code}', ...args],
        (error, stdout) => done([error?.code ?? 0, stdout])));
    const [code, said] = await curl('-0', '--unix-socket', plain, 'http://x/breaks');
    assert.match(`${code} ${said}`, /^0 \{.*"detail":"what is streamed over a unix socket needs HTTP\/1\.1".*\} 505$/);
    assert.deepEqual(await curl('-0', '--unix-socket', plain, 'http://x/whole'), [0, 'whole 200']);
    assert.equal((await curl('-0', '-I', '--unix-socket', plain, 'http://x/breaks'))[0], 0);
    assert.deepEqual(await curl('--http1.1', '--unix-socket', plain, 'http://x/breaks'), [18, 'half 200']);
    assert.match((await curl('-0', '--unix-socket', sealed, 'https://x/breaks'))[1], / 505$/);
});
