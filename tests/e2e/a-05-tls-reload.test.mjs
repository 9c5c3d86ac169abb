// Certificates, and what is asked of clients, change by HUP: who is connected stays, who comes meets the new ones, sessions go on.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import tls from 'node:tls';
import { ask, authority, config, entry, sClient } from './authority.mjs';
import { load1, load2 } from './clients.mjs';
import { Attacker as Frames, DATA, END_STREAM, frame, get, GOAWAY, PREFACE, SETTINGS } from './attack/frames.mjs';
import { folder, ms, request, sleep, start, until } from './helper.mjs';
import { replaceBinary, startUpgradable, version } from './upgrade.mjs';

const hooks = { 'hello.lua': 'return function() return "hello" end' };
const subject = (out) => /^subject=(.*)$/m.exec(out.text)?.[1]?.replaceAll(' ', '') ?? out.text;
const hung = (server) => server.records((r) => /HUP|upgrade|reload/i.test(r.message));

test('a renewed certificate by HUP: the old connection goes on, newcomers see the new one, tickets hold; a broken one changes nothing', async (t) => {
    const dir = folder(t), ca = await authority(dir);
    const one = await ca.issue('one', { names: ['a.example'] }), two = await ca.issue('two', { names: ['a.example'] });
    const live = { cert: path.join(dir, 'live.pem'), key: path.join(dir, 'live.key') };
    const install = (pair) => {
        fs.copyFileSync(pair.cert, live.cert);
        fs.copyFileSync(pair.key, live.key);
    };
    install(one);
    const server = await start(t, { dir, hooks, config: config([entry(live)]) });
    const shown = async () => subject(await sClient(server.port, ['-servername', 'a.example']));
    const file = path.join(dir, 'session');
    const resume = async (how) => /^(New|Reused), /m.exec((await sClient(server.port, ['-servername', 'a.example', '-tls1_2', how, file], ask('a.example'))).text)?.[1];
    assert.equal(await shown(), 'CN=one');
    assert.equal(await resume('-sess_out'), 'New');

    // a connection that has had an answer, and waits
    let heard = '';
    const open = tls.connect({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false, servername: 'a.example', ALPNProtocols: ['http/1.1'] });
    t.after(() => open.destroy());
    open.on('data', (part) => { heard += part; }).on('error', (error) => { heard += error.message; });
    const get = () => open.write('GET /hello HTTP/1.1\r\nHost: a.example\r\n\r\n');
    await new Promise((done) => open.once('secureConnect', done));
    get();
    await until(() => heard.endsWith('hello'), 'the first answer');

    // a broken pair first: the old one serves on, and the log names the file
    fs.copyFileSync(two.cert, live.cert);
    process.kill(server.pid, 'SIGHUP');
    await until(() => [...server.log.map((r) => JSON.stringify(r)), ...server.noise].some((line) => line.includes('does not belong to the certificate')),
        () => `the reason\n${server.tail()}`, 10000);
    assert.equal(await shown(), 'CN=one');

    const before = server.children('worker');
    install(two);
    heard = '';
    process.kill(server.pid, 'SIGHUP');
    await until(async () => await shown() === 'CN=two', () => `the new certificate\n${server.tail()}`, 20000);
    get();
    await until(() => heard.endsWith('hello'), () => `an answer on the old connection: ${heard}\n${JSON.stringify(hung(server))}`, 5000);
    assert.match(heard, /^HTTP\/1\.1 200 OK/);
    open.end(); // an idle connection may stay for idle_time
    await until(() => server.children('worker').every((pid) => !before.includes(pid)), 'the old workers have left', 20000);
    assert.equal(await shown(), 'CN=two');
    assert.equal(await resume('-sess_in'), 'Reused', 'a session of before');
});

test('sessions of both versions are resumed after HUPs with a changed binary', async (t) => {
    const dir = folder(t), ca = await authority(dir), pair = await ca.issue('a', { names: ['a.example'] });
    const server = await startUpgradable(t, { dir, hooks, config: config([entry(pair)], 'drain = "2s"') });
    const resume = async (v, how) => {
        const { text } = await sClient(server.port, ['-servername', 'a.example', v, how, path.join(dir, `session${v}`)], ask('a.example'));
        assert.match(text, /^HTTP\/1\.1 200 OK/m);
        return /^(New|Reused), (\S+),/m.exec(text).slice(1).join(' ');
    };
    for (const [v, name] of [['-tls1_2', 'TLSv1.2'], ['-tls1_3', 'TLSv1.3']]) assert.equal(await resume(v, '-sess_out'), `New ${name}`);
    for (const n of ['0.9.1', '0.9.2']) {
        const before = server.children('worker');
        replaceBinary(server.program, version(n));
        assert.equal((await server.upgrade()).version, n, server.tail());
        await until(() => server.children('worker').every((pid) => !before.includes(pid)), 'the old workers have left', 10000);
        for (const [v, name] of [['-tls1_2', 'TLSv1.2'], ['-tls1_3', 'TLSv1.3']]) assert.equal(await resume(v, '-sess_in'), `Reused ${name}`, n);
    }
});

test('certificates change under load, on both versions of HTTP and with handshakes all along: no request fails', async (t) => {
    const dir = folder(t), ca = await authority(dir), names = ['a.example'];
    const pairs = [await ca.issue('one', { names }), await ca.issue('two', { names, kind: 'rsa' })];
    const server = await startUpgradable(t, { dir, hooks, config: config([entry(pairs[0])], 'drain = "4s", log = { access = "off" }') });
    const secure = { servername: 'a.example', ca: fs.readFileSync(ca.cert) }; // each certificate must be a good one
    const strict = true, expect = 'hello';
    const all = [load1(t, server.port, '/hello', { secure, strict, expect }), load1(t, server.port, '/hello', { secure, strict, expect, each: 1 }),
        load1(t, server.port, '/hello', { secure, strict, expect, each: 3 }), load2(t, server.url, '/hello', { secure, expect, sessions: 3, streams: 4 })];
    const shown = async () => subject(await sClient(server.port, ['-servername', 'a.example']));
    for (let round = 1; round <= 4; round++) {
        fs.writeFileSync(path.join(dir, 'crescent.lua'), config([entry(pairs[round % 2])], 'drain = "4s", log = { access = "off" }'));
        assert.equal((await server.upgrade()).message, 'upgrade: done', server.tail());
        assert.equal(await shown(), ['CN=one', 'CN=two'][round % 2], 'from the end of the upgrade on');
    }
    await until(() => server.children('worker').length === 2, 'the old workers have left', 10000);
    const results = await Promise.all(all.map((one) => one.stop()));
    assert.deepEqual(results.map((r) => r.failures), results.map(() => []), server.tail());
    assert.deepEqual(results.map((r) => r.refused), results.map(() => []));
    assert.ok(results.every((r) => r.answers > 20), results.map((r) => r.answers).join());
});

test('another client_ca by HUP: newcomers meet it, who has met the old one has his next answer', async (t) => {
    const dir = folder(t), ca = await authority(dir), pair = await ca.issue('a', { names: ['a.example'] });
    const clients = [];
    for (const name of ['old', 'new']) {
        const by = await authority(dir, name), made = await by.issue(`${name}-client`, { usage: 'clientAuth' });
        clients.push({ by, secure: { servername: 'a.example', ca: fs.readFileSync(ca.cert), cert: fs.readFileSync(made.leaf), key: fs.readFileSync(made.key) } });
    }
    const asks = (client) => config([entry(pair, `client_ca = "${client.by.cert}"`)], 'drain = "4s"');
    const server = await startUpgradable(t, { dir, hooks, config: asks(clients[0]) });
    const answer = (client) => request(`${server.url}/hello`, { ...client.secure, headers: { host: 'a.example' } }).then((r) => r.text, () => 'refused');
    assert.deepEqual(await Promise.all(clients.map(answer)), ['hello', 'refused']);
    let heard = '';
    const open = tls.connect({ port: server.port, host: '127.0.0.1', ...clients[0].secure });
    t.after(() => open.destroy());
    open.on('data', (part) => { heard += part; }).on('error', (error) => { heard += error.message; });
    const get = () => { heard = ''; open.write('GET /hello HTTP/1.1\r\nHost: a.example\r\n\r\n'); };
    await new Promise((done) => open.once('secureConnect', done));
    get();
    await until(() => heard.endsWith('hello'), 'the first answer');
    fs.writeFileSync(path.join(dir, 'crescent.lua'), asks(clients[1]));
    assert.equal((await server.upgrade()).message, 'upgrade: done', server.tail());
    assert.deepEqual(await Promise.all(clients.map(answer)), ['refused', 'hello']);
    get();
    await until(() => heard.endsWith('hello'), () => `an answer on the old connection: ${heard}`);
    assert.match(heard, /connection: close/i, 'which is its last');
});

test('HTTP/2 whose handshake is over, and nothing more, when its worker is replaced: SETTINGS come first, each stream before the last GOAWAY is answered', async (t) => {
    const dir = folder(t), ca = await authority(dir), pair = await ca.issue('a', { names: ['a.example'] });
    const server = await startUpgradable(t, { dir, hooks, config: config([entry(pair)], 'drain = "10s"') });
    const client = new Frames(t, server.port, { secure: { servername: 'a.example', ca: fs.readFileSync(ca.cert) } });
    await client.ready;
    assert.equal((await server.upgrade()).message, 'upgrade: done', server.tail());
    await sleep(ms(700)); // the others have had their first GOAWAY, and not their second
    await client.send(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0)]));
    let last = -1;
    const goaways = () => client.frames.filter((f) => f.type === GOAWAY).map((f) => f.payload.readUInt32BE(0));
    // A peer that is 150 ms away goes on for so long after the server has said GOAWAY.
    for (let heard = 0; (heard === 0 || Date.now() - heard < 150) && !client.isClosed; await sleep(5)) {
        await client.send(get(last += 2, '/hello'));
        heard ||= goaways().length === 0 ? 0 : Date.now();
    }
    await until(() => client.isClosed || goaways().length === 2, 'the second GOAWAY');
    assert.equal(client.frames[0].type, SETTINGS);
    assert.equal(goaways()[0], 2 ** 31 - 1, 'the first names no stream');
    assert.ok(goaways()[1] >= last, `${goaways()}, of ${last}`);
    await until(() => client.isClosed, 'the end');
    const ended = new Set(client.frames.filter((f) => f.type === DATA && f.flags & END_STREAM).map((f) => f.stream));
    for (let stream = 1; stream <= last; stream += 2) assert.ok(ended.has(stream), `stream ${stream} of ${last}`);
});
