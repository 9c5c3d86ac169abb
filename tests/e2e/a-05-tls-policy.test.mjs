// What is spoken and what is not, as a scanner would find out; and what strangers may send instead of a handshake.
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import tls from 'node:tls';
import { ask, authority, config, entry, sClient } from './authority.mjs';
import { folder, ms, raw, request, session, sleep, start, tool, until } from './helper.mjs';

const hooks = { 'hello.lua': 'return function() return "hello" end' };
const failures = (server, reason) => server.metric('crescent_tls_handshake_failures_total', `reason="${reason}"`);
const insecure = ':@SECLEVEL=0';

/** A server with an RSA and an ECDSA certificate. */
async function both(t, options = {}) {
    const dir = folder(t), ca = await authority(dir);
    const pairs = [await ca.issue('rsa', { names: ['a.example'], kind: 'rsa' }), await ca.issue('ec', { names: ['a.example'] })];
    return await start(t, { dir, hooks, config: config(pairs.map((p) => entry(p)), options.settings), ...options });
}
/** Those of the words that a handshake succeeds with. */
async function accepted(server, words, args) {
    const good = [];
    const queue = [...words];
    await Promise.all(Array.from({ length: 4 }, async () => {
        for (let word; (word = queue.shift());) {
            const { text } = await sClient(server.port, args(word));
            if (/^New, (TLSv1\.[0-3]|SSLv3), Cipher is (?!\(NONE\))/m.test(text)) good.push(word);
        }
    }));
    return words.filter((w) => good.includes(w));
}

test('versions, ciphers and curves are exactly those of the policy', async (t) => {
    const server = await both(t);
    assert.deepEqual(await accepted(server, ['-tls1', '-tls1_1', '-tls1_2', '-tls1_3'], (v) => [v, '-cipher', `ALL${insecure}`]), ['-tls1_2', '-tls1_3']);
    assert.match((await sClient(server.port, ['-tls1_1', '-cipher', `ALL${insecure}`])).text, /alert protocol version|alert number 70/);

    const all = (await tool('openssl', ['ciphers', `ALL:COMPLEMENTOFALL${insecure}`])).trim().split(':').filter((c) => !c.startsWith('TLS_'));
    assert.ok(all.length > 80, 'the client can offer weak ciphers');
    assert.deepEqual((await accepted(server, all, (c) => ['-tls1_2', '-cipher', c + insecure])).sort(), [
        'ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-ECDSA-CHACHA20-POLY1305',
        'ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-RSA-CHACHA20-POLY1305']);
    const suites = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];
    assert.deepEqual(await accepted(server, [...suites, 'TLS_AES_128_CCM_SHA256', 'TLS_AES_128_CCM_8_SHA256'],
        (s) => ['-tls1_3', '-ciphersuites', s]), suites);
    // the server's order counts, but who asks for ChaCha first has no hardware for AES
    const picks = async (list) => /Cipher is (\S+)/.exec((await sClient(server.port, ['-tls1_2', '-cipher', list])).text)[1];
    assert.equal(await picks('ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256'), 'ECDHE-RSA-AES128-GCM-SHA256');
    assert.equal(await picks('ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256'), 'ECDHE-RSA-CHACHA20-POLY1305');

    const curves = ['X25519', 'P-256', 'P-384', 'P-521'];
    for (const version of ['-tls1_2', '-tls1_3'])
        assert.deepEqual(await accepted(server, [...curves, 'X448', 'secp256k1', 'brainpoolP256r1', 'P-224', 'P-192', 'ffdhe2048'],
            (c) => [version, '-groups', c, '-cipher', `ALL${insecure}`]), curves, version);
    assert.deepEqual(await accepted(server, ['RSA+SHA1', 'ECDSA+SHA1', 'RSA+SHA256', 'ECDSA+SHA256'],
        (s) => ['-tls1_2', '-sigalgs', s, '-cipher', `ALL${insecure}`]), ['RSA+SHA256', 'ECDSA+SHA256']);
    assert.ok(await failures(server, 'version') >= 3);
    assert.ok(await failures(server, 'nothing_shared') >= 80);
    assert.equal((await request(`${server.url}/hello`, { rejectUnauthorized: false })).text, 'hello');
});

test('no renegotiation, no compression, no early data, secure renegotiation is said', async (t) => {
    const server = await both(t), before = server.children('worker');
    const out = await sClient(server.port, ['-tls1_2', '-comp']);
    assert.match(out.text, /Compression: NONE/);
    assert.match(out.text, /Secure Renegotiation IS supported/);
    // a client that asks for it: no second handshake, and the connection ends
    const again = await sClient(server.port, ['-tls1_2'], 'R\n', true);
    assert.match(again.text, /RENEGOTIATING/);
    assert.equal(await server.metricSum('crescent_tls_handshakes_total'), 2);
    assert.match((await sClient(server.port, ['-tls1_3'], ask('a'))).text, /Max Early Data: 0|Early data was not sent/);
    assert.equal((await request(`${server.url}/hello`, { rejectUnauthorized: false })).text, 'hello');
    assert.deepEqual(server.children('worker'), before);
});

test('ALPN: HTTP/2 before HTTP/1.1; what has nothing in common with us is refused with the alert for it', async (t) => {
    const server = await both(t);
    const agreed = async (...args) => {
        const { text } = await sClient(server.port, args);
        return /alert number \d+/.exec(text)?.[0] ?? /ALPN protocol: (\S+)/.exec(text)?.[1] ?? /No ALPN negotiated/.exec(text)?.[0];
    };
    for (const version of ['-tls1_2', '-tls1_3']) {
        assert.equal(await agreed(version, '-alpn', 'http/1.1,h2'), 'h2');
        assert.equal(await agreed(version, '-alpn', 'spdy/3,http/1.1'), 'http/1.1');
        assert.equal(await agreed(version, '-alpn', 'http/1.0'), 'http/1.0');
        assert.equal(await agreed(version), 'No ALPN negotiated');
        assert.equal(await agreed(version, '-alpn', 'smtp,ftp'), 'alert number 120');
        assert.equal(await agreed(version, '-alpn', 'h3'), 'alert number 120');
    }
    assert.equal(await failures(server, 'no_application_protocol'), 4);
    assert.equal((await (await session(t, server.url, { rejectUnauthorized: false })).alpnProtocol), 'h2');
});

/** The bytes of node's own ClientHello with this name. */
async function clientHello(servername) {
    let bytes = Buffer.alloc(0);
    const listener = net.createServer((s) => s.on('data', (part) => { bytes = Buffer.concat([bytes, part]); }).on('error', () => {}));
    await new Promise((done) => listener.listen(0, '127.0.0.1', done));
    const client = tls.connect({ port: listener.address().port, host: '127.0.0.1', servername, rejectUnauthorized: false });
    client.on('error', () => {});
    await until(() => bytes.length > 5 && bytes.length >= 5 + bytes.readUInt16BE(3), 'a ClientHello');
    client.destroy();
    listener.close();
    return bytes;
}
/** The hello with another host name in it; lengths are put right, all four of them, unless `lie`. */
function renamed(hello, name, to, lie = false) {
    const at = hello.indexOf(name), more = to.length - name.length;
    const out = Buffer.concat([hello.subarray(0, at), to, hello.subarray(at + name.length)]);
    if (lie) return out;
    const add = (where) => out.writeUInt16BE(out.readUInt16BE(where) + more, where);
    add(3); // record
    add(7); // handshake: its low two bytes
    add(at - 2); // name
    add(at - 5); // list
    add(at - 7); // extension
    const session = 43 + 1 + hello[43], ciphers = session + 2 + hello.readUInt16BE(session);
    add(ciphers + 1 + hello[ciphers]); // all extensions
    return out;
}

test('malformed hellos, other protocols, garbage: each is refused, counted, and harms nobody', async (t) => {
    const server = await both(t, { workers: 1 }), before = server.children('worker');
    const hello = await clientHello('a.example');
    const name = Buffer.from('a.example');
    const answered = async (bytes) => Buffer.from((await raw(server.port, bytes, { limit: 400 })).text, 'latin1');
    assert.equal((await answered(hello))[0], 22, 'the recorded hello is a good one');
    assert.equal((await answered(renamed(hello, name, Buffer.from('some.other.example'))))[0], 22);
    for (const [what, bytes, alert] of [
        ['a name with NUL', renamed(hello, name, Buffer.from('a.exa\0ple')), 112],
        ['a name too long', renamed(hello, name, Buffer.alloc(300, 'a')), 112],
        ['an empty name', renamed(hello, name, Buffer.alloc(0))],
        ['lengths that lie', renamed(hello, name, Buffer.from('abc'), true)],
        ['a length beyond its end', (() => { const b = Buffer.from(hello); b.writeUInt16BE(0xffff, hello.indexOf(name) - 2); return b; })(), 50],
    ]) {
        const answer = await answered(bytes);
        if (alert) assert.deepEqual([answer[0], answer[5], answer[6]], [21, 2, alert], what);
    }
    const random = Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7919 + 13) & 0xff));
    await Promise.all([
        ...[1, 5, 6, 50, hello.length - 1].map((n) => raw(server.port, hello.subarray(0, n), { limit: 100 })),
        ...Array.from({ length: 40 }, (_, i) => {
            const broken = Buffer.from(hello);
            broken[9 + (i * 37) % (hello.length - 9)] ^= 1 << (i % 8);
            return raw(server.port, broken, { limit: 200 });
        }),
        raw(server.port, random), raw(server.port, Buffer.alloc(70000, 0x16)), raw(server.port, Buffer.from([0x16, 3, 1, 0xff, 0xff])),
        raw(server.port, Buffer.concat([hello, hello, hello]), { limit: 300 }), raw(server.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
        raw(server.port, 'SSH-2.0-x\r\n'), raw(server.port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), raw(server.port, Buffer.from([0x80, 0x2e, 1, 0, 2])),
    ]);
    assert.equal((await request(`${server.url}/hello`, { rejectUnauthorized: false })).text, 'hello');
    assert.deepEqual(server.children('worker'), before);
    assert.ok(await failures(server, 'not_tls') >= 1);
    assert.ok(await failures(server, 'malformed') >= 4);
    await until(async () => await failures(server, 'closed') >= 5, 'those that went in the middle');
    // a stranger decides how many there are: none of them is a line of the log
    assert.deepEqual(server.records((r) => /tls|handshake/i.test(r.message)), []);
});

test('two hundred half-open handshakes are cut by header_time, and keep nobody out', async (t) => {
    const server = await both(t, { workers: 1, settings: 'limits = { header_time = "800ms" }' });
    const hello = await clientHello('a.example');
    let open = 0;
    const lived = Array.from({ length: 200 }, (_, i) => new Promise((done) => {
        const begun = Date.now();
        const socket = net.connect(server.port, '127.0.0.1', () => {
            open++;
            // nothing; half a hello; a whole one and nothing after it; one byte after the other
            if (i % 4 === 1) socket.write(hello.subarray(0, 100));
            if (i % 4 === 2) socket.write(hello);
        });
        let at = 0;
        const drip = i % 4 === 3 && setInterval(() => socket.writable && socket.write(hello.subarray(at, ++at)), 100);
        socket.on('data', () => {}).on('error', () => {}).on('close', () => {
            clearInterval(drip);
            done(Date.now() - begun);
        });
        t.after(() => socket.destroy());
    }));
    await until(() => open === 200, 'two hundred connections');
    assert.equal((await request(`${server.url}/hello`, { rejectUnauthorized: false })).text, 'hello');
    for (const time of await Promise.all(lived)) assert.ok(time >= 700 && time < ms(3000), `lived ${time} ms`);
    assert.equal(await server.metric('crescent_connections_cut_total', 'reason="header_time"'), 200);
    await until(async () => await failures(server, 'closed') === 200, 'all are counted');
    await sleep(50);
    assert.equal((await request(`${server.url}/hello`, { rejectUnauthorized: false })).text, 'hello');
});
