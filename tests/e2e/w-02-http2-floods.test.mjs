// Floods over HTTP/2 from eight connections each, beside honest clients: these see nothing of it, the attackers are cut
// and counted by the limit that they pass, the worker lives on, and its memory stays. How much of their rate the honest
// ones keep is measured by scripts/bench --hostile.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { certificate, folder, load, ms, request, request2, session, sleep, start, until } from './helper.mjs';
import { floods, many, odd } from './attack/floods.mjs';
import { Attacker, block, CONTINUATION, DATA, END_HEADERS, END_STREAM, frame, get, GOAWAY, HEADERS, INITIAL_WINDOW, memory, mib, PING, post, RST_STREAM, setting, u32, unharmed, WINDOW_UPDATE } from './attack/frames.mjs';

const ENHANCE_YOUR_CALM = 0xb, CONNECTIONS = 8;
const hooks = {
    'hello.lua': 'return function() return "hello" end',
    'slow.lua': 'return function() sleep "30s" return "late" end',
    'page.lua': 'return function() return 200, ("x"):rep(16000) end',
    'megabyte.lua': 'local text = ("x"):rep(1048576) return function() return 200, text end',
    'file.lua': 'return function() return reply.file "big" end',
    'stream.lua': 'local text = ("x"):rep(1048576) return function() return reply.stream(function(write) for i = 1, 10 do write(text) end end) end',
    'finish.lua': 'return { methods = { "GET" }, on_disconnect = "finish", handle = function() sleep "1500ms" log.info "finished" return "late" end }',
};
const cut = (server, reason) => server.metric('crescent_connections_cut_total', `reason="${reason}"`);
const eight = (one) => Promise.all(Array.from({ length: CONNECTIONS }, (_, i) => one(i)));
/** Attacks, and sees that it is cut, heard or not. */
async function attack(t, port, first, next, options) {
    const a = await Attacker.open(t, port, options);
    if (first) await a.send(first);
    for (let round = 0; round < 3 && !a.isClosed; round++) await a.send(next(round), 500);
    // A deaf one does not see its end before it reads.
    if (options?.deaf) a.socket.resume();
    await a.ended('an attacker');
    return a;
}

for (const [name, [limit, first, next]] of Object.entries(floods)) {
    test(`${name}: cut by ${limit}`, async (t) => {
        const server = await start(t, { hooks, workers: 1 });
        const before = server.children('worker');
        await request(`${server.url}/hello`);
        const size = memory(before[0]), honest = load(`${server.url}/hello`, { connections: 2 });
        const attackers = await eight(() => attack(t, server.port, first, next));
        const deaf = await eight(() => attack(t, server.port, first, next, { deaf: true }));
        const { answers, failures } = await honest.stop();
        assert.deepEqual(failures, []);
        assert.ok(answers > 0);
        assert.equal(await cut(server, limit), 2 * CONNECTIONS, `${await server.metricSum('crescent_connections_cut_total')} in all`);
        // GOAWAY is lost where bytes that came later make the close a reset
        for (const a of [...attackers, ...deaf]) assert.ok([undefined, ENHANCE_YOUR_CALM].includes(a.goaway), `${a.goaway}`);
        assert.ok(memory(before[0]) - size < mib(64), `${size} became ${memory(before[0])} MiB`);
        await until(async () => await server.metric('crescent_requests_under_way') === 0, 'their requests are cancelled');
        await unharmed(server, before, assert);
    });
}

test('the one who goes too far hears why, and is not let go to come again', async (t) => {
    const server = await start(t, { hooks, config: 'return { limits = { pings = 5 } }' });
    const a = await Attacker.open(t, server.port), begun = Date.now();
    await a.send(many(6, () => frame(PING, 0, 0, Buffer.alloc(8))));
    await until(() => a.goaway !== undefined, 'a GOAWAY');
    assert.equal(a.goaway, ENHANCE_YOUR_CALM);
    await a.ended('six pings');
    assert.ok(Date.now() - begun >= 900, 'it is let go at once, to come again'); // held for a second
});

test('the GOAWAY names what was too much', async (t) => {
    const server = await start(t, { hooks });
    const open = frame(HEADERS, 0, 1, block('/hello')), small = frame(CONTINUATION, 0, 1, Buffer.from([0x82]));
    for (const [words, bytes] of [['too many PING frames', many(101, () => frame(PING, 0, 0, Buffer.alloc(8)))],
        ['too many CONTINUATION frames', Buffer.concat([open, many(33, () => small)])],
        ['the header block is too large', Buffer.concat([open, many(4, () => frame(CONTINUATION, 0, 1, Buffer.alloc(16384, 0x82)))])],
        ['too many streams are reset', Buffer.concat([get(1, '/hello'), many(102, () => frame(DATA, END_STREAM, 1))])]]) {
        const a = await Attacker.open(t, server.port);
        await a.send(bytes);
        await a.ended(words);
        assert.equal(a.frames.find((f) => f.type === GOAWAY)?.payload.subarray(8).toString(), words);
    }
});

test('malformed requests, which libh2o answers by itself, have the rate of their connection', async (t) => {
    const server = await start(t, { hooks, config: 'return { limits = { connection_rate = 10 } }' });
    const a = await Attacker.open(t, server.port), malformed = Buffer.from([0, 1, 0x78, 1, 1]); // x: a control character
    await a.send(many(90, (i) => frame(HEADERS, END_STREAM | END_HEADERS, odd(i), block('/hello', { more: malformed }))));
    const answers = () => a.frames.filter((f) => f.type === HEADERS).length, resets = () => a.frames.filter((f) => f.type === RST_STREAM).length;
    await until(() => answers() + resets() === 90, () => `${answers()} answers, ${resets()} resets`);
    assert.ok(answers() >= 10 && answers() < 30, `${answers()} answers`);
    await a.send(many(90, (i) => frame(HEADERS, END_STREAM | END_HEADERS, odd(90 + i), block('/hello', { more: malformed }))));
    await a.ended('more than its rate');
    assert.equal(await cut(server, 'resets'), 1);
});

test('DATA that was under way to an upload that is refused is no flood; more than a window of it is one', async (t) => {
    const server = await start(t, { hooks, workers: 1, config: 'return { limits = { body = "1MiB" } }' });
    const a = await Attacker.open(t, server.port), data = (n) => many(n, () => frame(DATA, 0, 1, Buffer.alloc(16384)));
    await a.send(Buffer.concat([post(1, '/hello'), data(1000)]), 10000);
    await a.send(get(3, '/hello'));
    await until(() => a.frames.some((f) => f.stream === 3 && f.type === HEADERS), 'an answer behind the refused upload');
    assert.ok(!a.isClosed);
    await a.send(data(400), 10000);
    await a.ended('more than a window');
    assert.equal(await cut(server, 'resets'), 1);
});

test('over TLS, too', async (t) => {
    const tls = await certificate(folder(t));
    const server = await start(t, { hooks, workers: 1, args: tls.args });
    const before = server.children('worker');
    for (const name of ['rapid reset', 'PING', 'SETTINGS', 'CONTINUATION without end']) {
        const [limit, first, next] = floods[name];
        await eight(() => attack(t, server.port, first, next, { secure: { rejectUnauthorized: false } }));
        assert.equal(await cut(server, limit), CONNECTIONS, name);
    }
    assert.equal((await request(`${server.url}/hello`, { rejectUnauthorized: false })).text, 'hello');
    assert.deepEqual(server.children('worker'), before);
});

test('a connection that is cut for abuse cancels all its requests, also those that would finish alone', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    const leaver = await Attacker.open(t, server.port), flooder = await Attacker.open(t, server.port);
    await leaver.send(get(1, '/finish'));
    await flooder.send(Buffer.concat([get(1, '/finish'), get(3, '/finish')]));
    await sleep(200);
    leaver.socket.destroy();
    await flooder.send(many(200, () => frame(PING, 0, 0, Buffer.alloc(8))));
    await flooder.ended('the flood');
    await server.said('finished');
    await sleep(500);
    assert.equal(server.records('finished').length, 1);
    assert.equal(await server.metric('crescent_requests_gone_total'), 1);
    assert.equal(await server.metric('crescent_requests_cut_total'), 2);
});

test('rapid reset: what it had reset before it went too far does not finish alone either, and no other connection\'s ends', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    const leaver = await Attacker.open(t, server.port), flooder = await Attacker.open(t, server.port);
    const reset = (stream) => frame(RST_STREAM, 0, stream, u32(8));
    await leaver.send(Buffer.concat([get(1, '/finish'), get(3, '/hello'), reset(1)]));
    await flooder.send(many(150, (i) => Buffer.concat([get(odd(i), '/finish'), reset(odd(i))])));
    await flooder.ended('the resets');
    assert.equal(await cut(server, 'resets'), 1);
    await server.said('finished');
    await sleep(500);
    assert.equal(server.records('finished').length, 1);
    await until(async () => await server.metric('crescent_requests_under_way') === 0, 'all are over');
    assert.ok(!leaver.isClosed);
});

test('windows that stay closed: memory stays, the connections are cut, honest ones served', async (t) => {
    const dir = folder(t);
    const server = await start(t, { dir, hooks, workers: 1, config: 'return { limits = { stall_time = "3s" } }' });
    fs.mkdirSync(`${dir}/files`, { recursive: true });
    fs.writeFileSync(`${dir}/files/big`, Buffer.alloc(1 << 20, 'f'));
    const before = server.children('worker');
    for (const target of ['/hello', '/page', '/megabyte', '/file', '/stream']) assert.equal((await server.get(target)).status, 200);
    const size = memory(before[0]);
    let total = 0;
    for (const target of ['/page', '/megabyte', '/file', '/stream']) {
        const honest = load(`${server.url}/hello`, { connections: 2 });
        const attackers = await eight(() => Attacker.open(t, server.port, { settings: setting(INITIAL_WINDOW, 0) }));
        for (const a of attackers) await a.send(many(100, (i) => get(odd(i), target)));
        const headers = () => attackers.map((a) => a.frames.filter((f) => f.type === HEADERS).length);
        await until(() => headers().every((n) => n >= (target === '/megabyte' ? 5 : 100)), () => `headers of ${target}: ${headers()}`, 20000);
        await sleep(300);
        assert.ok(memory(before[0]) - size < mib(64), `${target}: ${size} became ${memory(before[0])} MiB`);
        for (const a of attackers) await a.ended(target, 20000);
        assert.deepEqual((await honest.stop()).failures, []);
        total += CONNECTIONS;
        assert.equal(await cut(server, 'stall_time'), total, target);
    }
    await unharmed(server, before, assert);
});

test('answers: past them a connection begins nothing more; it goes on as its client reads, or finishes without it', async (t) => {
    const server = await start(t, { hooks: { ...hooks, 'note.lua': 'return { methods = { "GET" }, on_disconnect = "finish", timeout = "20s", handle = function() log.info "noted" return 204 end }' }, workers: 1, config: 'return { limits = { answers = "2MiB" } }' });
    const held = () => server.metric('crescent_http2_requests_held_total');
    const client = await session(t, server.url);
    const replies = await Promise.all(Array.from({ length: 40 }, () => request2(client, '/megabyte')));
    for (const reply of replies) assert.equal(reply.body.length, 1 << 20);
    assert.ok(await held() > 0);

    const a = await Attacker.open(t, server.port, { settings: setting(INITIAL_WINDOW, 0) });
    await a.send(Buffer.concat([...Array.from({ length: 4 }, (_, i) => get(odd(i), '/megabyte')), get(9, '/note')]));
    await until(() => a.frames.filter((f) => f.type === HEADERS).length === 3, 'three answers');
    await sleep(300);
    assert.equal(a.frames.filter((f) => f.type === HEADERS).length, 3);
    assert.equal(server.records('noted').length, 0);
    await a.send(Buffer.concat([frame(WINDOW_UPDATE, 0, 0, u32(1 << 26)), frame(WINDOW_UPDATE, 0, 1, u32(1 << 20))]));
    await until(() => a.frames.filter((f) => f.type === HEADERS).length === 4, 'one more, as the first has been read');
    await sleep(200);
    assert.equal(server.records('noted').length, 0);
    a.socket.destroy();
    await server.said('noted');
});

test('a window that is opened by drips: the rate decides', async (t) => {
    const server = await start(t, { hooks, config: 'return { limits = { write_time = "1s", write_rate = "1KiB" } }' });
    const slow = await Attacker.open(t, server.port, { settings: setting(INITIAL_WINDOW, 0) });
    const fast = await Attacker.open(t, server.port, { settings: setting(INITIAL_WINDOW, 0) });
    await slow.send(get(1, '/page'));
    await fast.send(get(1, '/page'));
    for (let i = 0; i < 60 && !slow.isClosed; i++) {
        await slow.send(frame(WINDOW_UPDATE, 0, 1, u32(10)));
        await fast.send(frame(WINDOW_UPDATE, 0, 1, u32(400)));
        await sleep(100);
    }
    await slow.ended('a hundred bytes a second');
    assert.equal(await cut(server, 'write_rate'), 1);
    assert.equal(await cut(server, 'write_time'), 0);
    assert.ok(!fast.isClosed);
    await fast.send(frame(WINDOW_UPDATE, 0, 1, u32(16000)));
    await until(() => fast.frames.some((f) => f.type === DATA && f.flags & END_STREAM), 'the rest', ms(2000));
});
