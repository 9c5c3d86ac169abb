// Connections that are kept: whatever a host says beyond its reply, nobody gets it as theirs. Such a connection is not
// used again; sound ones are, HTTP/2's too, which speaks when nobody asks.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { test } from 'node:test';
import { authority } from './authority.mjs';
import { folder, ms, sleep, start, until } from './helper.mjs';
import { lua, runner, secure } from './upstreams.mjs';

const ok = (body) => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const evil = ok('EVIL');
const chunked = (body) => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;

/**
 * By path: pieces, each written when the other end has taken in the one before, as far as one can tell; a number waits.
 * What is /<n> alone gets its own path as the answer.
 */
const plans = {
    '/late': [ok('good'), 'asleep', evil],
    '/late-garbage': [ok('good'), 'asleep', 'x'],
    '/late-chunked': [chunked('good'), 'asleep', evil],
    '/late-interim': [ok('good'), 'asleep', 'HTTP/1.1 100 Continue\r\n\r\n'],
    '/with': [ok('good') + evil],
    '/with-chunked': [chunked('good') + evil],
    '/with-empty': [ok('') + evil],
    '/with-part': [chunked('good') + evil.slice(0, 10), 'asleep', evil.slice(10)],
    '/behind': ['HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n', 20, `good${evil}`],
    '/behind-chunked': ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 20, `4\r\ngood\r\n0\r\n\r\n${evil}`],
    '/no-content': ['HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n', 'asleep', evil],
    '/no-content-with': [`HTTP/1.1 204 No Content\r\n\r\n${evil}`],
    '/not-modified': ['HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n', 'asleep', evil],
    '/not-modified-with': [`HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n${evil.slice(0, 9)}`, 'asleep', evil.slice(9)],
};
const heads = {
    '/head': ['HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n', 'asleep', evil],
    '/head-with': [`HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n${evil}`],
    '/head-part': [`HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n${evil.slice(0, 30)}`, 'asleep', evil.slice(30)],
};

/** A host that keeps its connections, over TLS with a pair. The server that is tested is 'asleep' until rest() says otherwise. */
async function host(t, pair) {
    const up = { connections: 0, asked: [], said: 0 };
    up.rest = async (want) => {
        await until(() => up.said === want, 'it has said all');
        await sleep(ms(20)); // over loopback it is there long before
    };
    const on = (socket) => {
        let text = '';
        up.connections++;
        t.after(() => socket.destroy());
        socket.setNoDelay(true).on('error', () => {}).on('data', async (bytes) => {
            text += bytes.toString('latin1');
            while (text.includes('\r\n\r\n')) {
                const [method, path] = text.split(' ');
                text = text.slice(text.indexOf('\r\n\r\n') + 4);
                up.asked.push(path);
                const plan = (method === 'HEAD' ? heads : plans)[path];
                for (const piece of plan ?? [ok(path)]) {
                    if (piece === 'asleep') await sleep(ms(30)); // the reply is long over by then
                    else if (typeof piece === 'number') await sleep(piece);
                    else socket.write(piece);
                }
                if (plan) up.said++;
            }
        });
    };
    const server = pair ? tls.createServer({ cert: fs.readFileSync(pair.cert), key: fs.readFileSync(pair.key), ...pair.options }, on) : net.createServer(on);
    server.on('connection', (socket) => socket.on('error', () => {}));
    t.after(() => server.close());
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    up.url = `${pair ? 'https://localhost' : 'http://127.0.0.1'}:${server.address().port}`;
    return up;
}

const issued = async (t) => {
    const ca = await authority(folder(t));
    return { ca, pair: await ca.issue('up', { names: ['localhost'] }) };
};

/** Each spoiled connection is asked for once; around it others, whose answers are their own. */
async function spoils(server, up, options, all) {
    let said = up.said;
    for (const [method, path, body] of all) {
        const before = up.connections;
        const one = async (n) => {
            const reply = await lua(server, `return http.get("${up.url}/${n}", { ${options} })`);
            assert.equal(reply.body, `/${n}`, `behind ${method} ${path}: ${JSON.stringify(reply)}`);
        };
        await one('before');
        const bad = await lua(server, `return http.request { method = "${method}", url = "${up.url}${path}", ${options} }`);
        assert.equal(bad.body, body, `${path}: ${JSON.stringify(bad)}`);
        await up.rest(++said);
        await one('first');
        await one('second');
        assert.equal(up.connections, before + (before === 0 ? 2 : 1), `${method} ${path}: the others are kept`);
    }
}
const cases = [...Object.keys(plans).map((path) => ['GET', path, /empty|no-content|not-modified/.test(path) ? '' : 'good']),
    ...Object.keys(heads).map((path) => ['HEAD', path, ''])];

test('a connection over which more comes than the reply is not used again', async (t) => {
    const server = await start(t, { workers: 1, hooks: { 'run.lua': runner } });
    await spoils(server, await host(t), '', cases);
});

for (const version of ['TLSv1.3', 'TLSv1.2'])
    test(`the same over ${version}`, async (t) => {
        const { ca, pair } = await issued(t);
        const server = await start(t, { workers: 1, hooks: { 'run.lua': runner } });
        await spoils(server, await host(t, { ...pair, options: { maxVersion: version } }), `ca = "${ca.cert}"`, cases);
    });

test('who asks at once, too: no other is waited for, and what must not be sent twice is sent once', async (t) => {
    const { ca, pair } = await issued(t);
    const server = await start(t, { workers: 1, hooks: { 'run.lua': runner } });
    for (const [up, options] of [[await host(t), ''], [await host(t, pair), `ca = "${ca.cert}"`]])
        for (const path of ['/behind', '/behind-chunked', '/with', '/with-chunked']) {
            up.asked.length = 0;
            const reply = await lua(server, `local got = {}
                for i, url in ipairs { "/a", "${path}", "/b", "/c", "${path}", "/d" } do
                    local r, err = http.post("${up.url}" .. url, { ${options} })
                    got[i] = r and r.body or tostring(err)
                end
                return table.concat(got, " ")`);
            assert.equal(reply.value, '/a good /b /c good /d', path);
            assert.deepEqual(up.asked, ['/a', path, '/b', '/c', path, '/d']);
        }
});

test('reply.proxy: no client gets what came for another, or for nobody', async (t) => {
    const up = await host(t);
    const server = await start(t, { workers: 1, hooks: { 'any.lua': `return { path = "/*rest", methods = { "GET", "HEAD" }, handle = function() return reply.proxy("${up.url}") end }` } });
    let said = 0;
    for (const [method, path, body] of cases) {
        const bad = await server.request(path, { method });
        assert.equal(bad.text, body, `${method} ${path}`);
        await up.rest(++said);
        for (const next of ['/first', '/second']) {
            const reply = await server.get(next);
            assert.deepEqual([reply.status, reply.text], [200, next], `behind ${method} ${path}`);
        }
    }
});

test('sound connections are kept, of each kind', async (t) => {
    const { ca, pair } = await issued(t);
    const server = await start(t, { workers: 1, hooks: { 'run.lua': runner } });
    for (const [kind, up] of [['TCP', await host(t)], ['TLS 1.2', await host(t, { ...pair, options: { maxVersion: 'TLSv1.2' } })], ['TLS 1.3', await host(t, pair)]]) {
        for (let i = 0; i < 20; i++) {
            assert.equal((await lua(server, `return http.get("${up.url}/${i}", { ${kind === 'TCP' ? '' : `ca = "${ca.cert}"`} })`)).body, `/${i}`);
            await sleep(i % 5 === 0 ? 50 : 0); // its worker sees the socket at rest
        }
        assert.equal(up.connections, 1, kind);
    }
});

test('HTTP/2 may speak when nobody asks, and is kept', async (t) => {
    const { ca, pair } = await issued(t);
    const server = await start(t, { workers: 1, hooks: { 'run.lua': runner } });
    const up = await secure(t, pair, null, { http2: true });
    const sessions = [];
    up.server.on('session', (session) => sessions.push(session));
    for (let i = 0; i < 20; i++) {
        const reply = await lua(server, `return http.get("${up.url}/${i}", { ca = "${ca.cert}" })`);
        const { url, version } = JSON.parse(reply.body);
        assert.deepEqual([url, version], [`/${i}`, '2.0']);
        sessions[0].ping(() => {});
        sessions[0].settings({ maxConcurrentStreams: 50 + i });
        await sleep(ms(20));
    }
    assert.equal(sessions.length, 1);
});
