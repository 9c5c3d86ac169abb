// Client certificates, by name; sessions resumed on any worker, and never past the rule of another name.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import tls from 'node:tls';
import { ask, authority, config, entry, sClient } from './authority.mjs';
import { folder, ms, request, request2, session, start, tool, until } from './helper.mjs';

const hooks = {
    'hello.lua': 'return function() return "hello" end',
    'closed.lua': 'return { host = "closed.example", methods = { "GET" }, handle = function() return "inside" end }',
};
const failures = (server, reason) => server.metric('crescent_tls_handshake_failures_total', `reason="${reason}"`);
const handshakes = (server, version, resumed) => server.metric('crescent_tls_handshakes_total', `version="${version}",resumed="${resumed}"`);

/** open.example asks nobody, closed.example asks for a certificate of ca, welcome.example takes one. */
async function doors(t, options = {}) {
    const dir = folder(t), ca = await authority(dir), other = await authority(dir, 'other');
    const open = await ca.issue('open', { names: ['open.example'] });
    const closed = await ca.issue('closed', { names: ['closed.example', 'also.closed.example'] });
    const welcome = await ca.issue('welcome', { names: ['welcome.example'] });
    const between = await authority(dir, 'between', ca);
    const server = await start(t, {
        dir, hooks, ...options,
        config: config([entry(open), entry(closed, `client_ca = "${ca.cert}"`), entry(welcome, `client_ca = "${ca.cert}", client = "optional"`)]),
    });
    return {
        server, dir, ca,
        me: await ca.issue('me', { usage: 'clientAuth' }),
        far: await between.issue('far', { usage: 'clientAuth' }),
        stranger: await other.issue('stranger', { usage: 'clientAuth' }),
        old: await ca.issue('old', { usage: 'clientAuth', when: '-9d' }),
        aServer: await ca.issue('server', { usage: 'serverAuth' }),
    };
}
const as = (pair) => pair ? ['-cert', pair.leaf, '-key', pair.key, '-cert_chain', pair.cert] : [];
const status = (out) => /^HTTP\/1\.1 (\d+)/m.exec(out.text)?.[1] ?? /alert number (\d+)/.exec(out.text)?.[0] ?? out.text;

test('a certificate is demanded, welcome, or not asked for, by the name; both versions', async (t) => {
    const { server, me, far, stranger, old, aServer, ca } = await doors(t);
    for (const version of ['-tls1_2', '-tls1_3']) {
        const get = async (host, pair) => status(await sClient(server.port, ['-servername', host, version, ...as(pair)], ask(host)));
        assert.equal(await get('open.example', null), '200');
        assert.equal(await get('open.example', stranger), '200', 'not asked for, not looked at');
        assert.equal(await get('closed.example', me), '200');
        assert.equal(await get('closed.example', far), '200', 'through an intermediate authority');
        assert.equal(await get('closed.example', null), version === '-tls1_3' ? 'alert number 116' : 'alert number 40');
        for (const pair of [stranger, old, aServer]) assert.match(await get('closed.example', pair), /alert number (42|43|45|46|48)/, pair.leaf);
        assert.equal(await get('welcome.example', null), '200');
        assert.equal(await get('welcome.example', me), '200');
        assert.match(await get('welcome.example', stranger), /alert number 48/, 'a bad one is not welcome');
    }
    assert.equal(await failures(server, 'client_certificate_missing'), 2);
    assert.equal(await failures(server, 'client_certificate_refused'), 8);
    const list = (await sClient(server.port, ['-servername', 'closed.example', '-tls1_2'])).text;
    assert.match(list, /Acceptable client certificate CA names\nCN = ca\n/, 'the client is told whose certificates are good');
    const curl = (pair) => tool('curl', ['-sS', '--http2', '--cacert', ca.cert, '--connect-to', `::127.0.0.1:${server.port}`, '-w', ' %{http_version}',
        ...(pair ? ['--cert', pair.cert, '--key', pair.key] : []), 'https://closed.example/closed']);
    assert.equal(await curl(me), 'inside 2');
    await assert.rejects(curl(null), /certificate required/i);
});

test('a connection of another name, or in clear, does not reach a name that asks for certificates: 421', async (t) => {
    const { server, me } = await doors(t, { listen: ['https://127.0.0.1:0', 'http://127.0.0.1:0'] });
    const mine = { cert: fs.readFileSync(me.cert), key: fs.readFileSync(me.key) };
    const over = (servername, host, pair = {}) => request(`${server.url}/closed`, { servername, headers: { host }, rejectUnauthorized: false, ...pair });
    assert.equal((await over('open.example', 'closed.example')).status, 421);
    assert.equal((await over('open.example', 'CLOSED.example.:443')).status, 421);
    assert.equal((await over('open.example', 'also.closed.example')).status, 421);
    assert.equal((await over('welcome.example', 'closed.example', mine)).status, 421, 'another rule, though the same authority');
    assert.equal((await over('closed.example', 'closed.example', mine)).text, 'inside');
    assert.equal((await over('also.closed.example', 'closed.example', mine)).text, 'inside', 'one entry, one rule');
    assert.equal((await over('open.example', 'open.example')).status, 404, 'the script is of another host');
    const clear = await request(`${server.urls[1]}/closed`, { headers: { host: 'closed.example' } });
    assert.equal(clear.status, 421);
    assert.equal(clear.headers['content-type'], 'application/problem+json');
    assert.equal((await request(`${server.urls[1]}/hello`)).text, 'hello');
    // HTTP/2: a client that believes it may use its connection for both names
    const h2 = await session(t, server.url, { servername: 'open.example', rejectUnauthorized: false });
    assert.equal((await request2(h2, '/closed', { headers: { ':authority': 'closed.example' } })).status, 421);
    assert.equal((await request2(h2, '/hello', { headers: { ':authority': 'open.example' } })).text, 'hello');
    const h2mine = await session(t, server.url, { servername: 'closed.example', rejectUnauthorized: false, ...mine });
    assert.equal((await request2(h2mine, '/closed', { headers: { ':authority': 'closed.example' } })).text, 'inside');
    assert.equal(await server.metric('crescent_refused_total', 'reason="misdirected"'), 6);
});

test('names of no certificate are under the rule of the first entry, over whatever connection of TLS', async (t) => {
    const dir = folder(t), ca = await authority(dir);
    const first = await ca.issue('first', { names: ['first.example'] }), second = await ca.issue('second', { names: ['second.example'] });
    const me = await ca.issue('me', { usage: 'clientAuth' });
    const server = await start(t, {
        dir, hooks, listen: ['https://127.0.0.1:0', 'http://127.0.0.1:0'],
        config: config([entry(first, `client_ca = "${ca.cert}"`), entry(second)]),
    });
    const mine = { cert: fs.readFileSync(me.cert), key: fs.readFileSync(me.key) };
    const over = (servername, host, pair = {}) => request(`${server.url}/closed`, { servername, headers: { host }, rejectUnauthorized: false, ...pair });
    await assert.rejects(over('closed.example', 'closed.example'), 'its own name asks for a certificate');
    assert.equal((await over('second.example', 'closed.example')).status, 421, 'so does the way around');
    assert.equal((await over('closed.example', 'closed.example', mine)).text, 'inside');
    assert.equal((await over('second.example', 'second.example')).status, 404);
    assert.equal((await request(`${server.urls[1]}/closed`, { headers: { host: 'closed.example' } })).text, 'inside', 'no name of TLS in clear');
});

test('a session resumes on every worker, and on those that come after a death; both versions', async (t) => {
    const { server, dir } = await doors(t, { workers: 3 });
    const resume = async (version, file, how) => {
        const out = await sClient(server.port, ['-servername', 'open.example', version, how, file], ask('open.example'));
        assert.equal(status(out), '200');
        return /^(New|Reused), /m.exec(out.text)[1];
    };
    const files = { '-tls1_2': path.join(dir, 's12'), '-tls1_3': path.join(dir, 's13') };
    for (const [version, file] of Object.entries(files)) assert.equal(await resume(version, file, '-sess_out'), 'New');
    for (let i = 0; i < 12; i++) for (const [version, file] of Object.entries(files)) assert.equal(await resume(version, file, '-sess_in'), 'Reused');
    const served = await server.metricSum('crescent_tls_handshakes_total');
    assert.equal(served, 26);
    const before = server.children('worker');
    for (const pid of before) process.kill(pid, 'SIGKILL');
    await until(() => { const now = server.children('worker'); return now.length === 3 && now.every((pid) => !before.includes(pid)); }, 'new workers');
    for (const [version, file] of Object.entries(files)) assert.equal(await resume(version, file, '-sess_in'), 'Reused', 'after the death of all');
    assert.equal(await handshakes(server, '1.2', 'yes') + await handshakes(server, '1.3', 'yes'), 26);
    assert.equal(await handshakes(server, '1.2', 'no'), 1);
    const again = await sClient(server.port, ['-servername', 'open.example', '-tls1_2', '-reconnect']);
    assert.equal(again.text.match(/^Reused, /gm).length, 5);
});

/** A session of node's: its ticket, when it has come. */
function ticket(port, options) {
    return new Promise((done, fail) => {
        const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['http/1.1'], ...options });
        const timer = setTimeout(() => fail(new Error('no ticket')), ms(5000));
        socket.on('error', fail).on('session', (bytes) => {
            clearTimeout(timer);
            socket.destroy();
            done(bytes);
        });
        socket.on('secureConnect', () => socket.write(ask('x')));
        socket.resume();
    });
}
/** What a handshake with that ticket comes to: "resumed", "full", or the error. */
function use(port, bytes, options) {
    return new Promise((done) => {
        const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['http/1.1'], session: bytes, ...options });
        let heard = '', reused;
        socket.on('secureConnect', () => {
            reused = socket.isSessionReused();
            socket.write(ask(options.servername));
        });
        socket.on('data', (part) => { heard += part; });
        socket.on('error', (error) => done(error.code ?? error.message));
        socket.on('close', () => done(!/^HTTP/.test(heard) ? 'closed' : reused ? 'resumed' : 'full'));
    });
}

test('a ticket is good for its name and rule only; one with a client certificate is verified again', async (t) => {
    const { server, me, far } = await doors(t);
    const pem = (pair) => ({ cert: fs.readFileSync(pair.cert), key: fs.readFileSync(pair.key) });
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
        const at = (servername, pair) => ({ servername, maxVersion, ...(pair ? pem(pair) : {}) });
        const open = await ticket(server.port, at('open.example')), welcome = await ticket(server.port, at('welcome.example'));
        const mine = await ticket(server.port, at('closed.example', me)), deep = await ticket(server.port, at('closed.example', far));
        const guest = await ticket(server.port, at('welcome.example', me));
        assert.equal(await use(server.port, open, at('open.example')), 'resumed');
        assert.equal(await use(server.port, mine, at('closed.example', me)), 'resumed');
        assert.equal(await use(server.port, mine, at('also.closed.example', me)), 'resumed', 'one entry');
        assert.equal(await use(server.port, guest, at('welcome.example')), 'resumed');
        assert.equal(await use(server.port, deep, at('closed.example', far)), 'full', 'without its chain it cannot be verified again');
        // tickets of names that ask for less open nothing
        for (const [bytes, from] of [[open, 'open'], [welcome, 'welcome'], [guest, 'welcome, with a certificate']]) {
            const result = await use(server.port, bytes, at('closed.example'));
            assert.ok(!['resumed', 'full'].includes(result), `${maxVersion}: a ticket of ${from} at closed: ${result}`);
        }
        assert.equal(await use(server.port, open, at('welcome.example')), 'full');
        assert.equal(await use(server.port, mine, at('open.example', me)), 'full');
    }
});
