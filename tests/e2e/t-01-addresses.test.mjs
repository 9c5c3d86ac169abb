// Who is let in by address; and who may say whose request it is: trusted proxies, public_url.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { from, haproxy, hooks, nginx, see } from './addresses.mjs';
import { assertProblem, folder, raw, repository, request, request2, run, session, start, tool } from './helper.mjs';

const guarded = (list, more = '') => `return { allow_ips = ${list}, methods = { "GET", "POST" }, ${more} handle = function(req) return req.ip end }`;

test('allow_ips: IPv4, IPv6, and IPv4 in IPv6 form; before method and body', async (t) => {
    const server = await start(t, {
        listen: ['0.0.0.0:0', '[::1]:0'],
        hooks: {
            'one.lua': guarded('"127.0.0.1"'),
            'net.lua': guarded('{ "127.0.0.2/31", "::1" }'),
            'mapped.lua': guarded('{ "::ffff:127.0.0.2/128" }'),
            'six.lua': guarded('"::/0"'),
            'far.lua': guarded('{ "192.0.2.0/24", "2001:db8::/32" }', 'description = "nobody",'),
        },
    });
    const four = `http://127.0.0.1:${new URL(server.urls[0]).port}`, six = server.urls[1];
    const status = async (address, url) => (await from(address, url)).status;
    assert.equal((await from('127.0.0.1', `${four}/one`)).text, '127.0.0.1');
    assert.equal(await status('127.0.0.2', `${four}/one`), 403);
    assert.equal((await from('127.0.0.2', `${four}/net`)).text, '127.0.0.2');
    assert.equal((await from('127.0.0.3', `${four}/net`)).text, '127.0.0.3');
    assert.equal(await status('127.0.0.4', `${four}/net`), 403);
    assert.equal((await from('::1', `${six}/net`)).text, '::1');
    assert.equal((await from('127.0.0.2', `${four}/mapped`)).text, '127.0.0.2');
    assert.equal(await status('127.0.0.1', `${four}/mapped`), 403);
    assert.equal(await status('::1', `${six}/six`), 200);
    assert.equal(await status('127.0.0.1', `${four}/six`), 403);
    for (const url of [four, six]) assert.equal((await request(`${url}/far`)).status, 403);
    // forged headers open nothing, and what else is wrong with the request is not told
    const forged = { 'x-forwarded-for': '192.0.2.1', forwarded: 'for=192.0.2.1', 'x-real-ip': '192.0.2.1' };
    const reply = await request(`${four}/far`, { method: 'POST', body: 'x', headers: forged });
    assertProblem(reply, 403);
    assert.equal(reply.json.detail, 'this address is not let in here');
    assert.equal((await request(`${four}/none`, { headers: forged })).status, 404);
    assert.equal((await request2(await session(t, four), '/far', { headers: forged })).status, 403);
    const record = await server.said((r) => r.message === 'request refused' && r.reason === 'address_not_allowed' && r.endpoint === 'far');
    assert.match(record.ip, /^(127\.0\.0\.1|::1)$/);
    assert.equal(await server.metric('crescent_refused_total', 'reason="address_not_allowed"'), 8);
    // the table shows it
    const table = (await run(['routes', server.hooks])).stdout;
    assert.match(table, /ALLOW_IPS/);
    assert.match(table, /\/net +any +net\.lua +127\.0\.0\.2\/31, ::1 +PUBLIC/);
    const far = JSON.parse((await run(['routes', '--json', server.hooks])).stdout).find((r) => r.name === 'far');
    assert.deepEqual(far.allow_ips, ['192.0.2.0/24', '2001:db8::/32']);
});

test('--dev says who it was', async (t) => {
    const server = await start(t, { hooks: { 'far.lua': guarded('"192.0.2.0/24"') }, workers: null, args: ['--dev'], env: { CRESCENT_LOG_FORMAT: 'json' } });
    const plain = (await from('127.0.0.1', `${server.url}/far`)).text;
    assert.match(plain, /the client is 127\.0\.0\.1, which allow_ips of far\.lua does not name$/m);
    assert.match((await from('127.0.0.1', `${server.url}/far`, { 'x-forwarded-for': '192.0.2.7' })).text, /counts where trusted_proxies names the proxy/);
});

test('a saved list is live at once; a wrong one is an error, and the old one stays', async (t) => {
    const server = await start(t, { hooks: { 'a.lua': guarded('"192.0.2.1"') } });
    assert.equal((await server.get('/a')).status, 403);
    server.replace('a.lua', guarded('"127.0.0.0/8"'));
    for (let i = 0; (await server.get('/a')).status !== 200; i++) assert.ok(i < 2000);
    server.replace('a.lua', guarded('"127.0.0.1/8"'));
    const said = await server.said((r) => /a\.lua:1: allow_ips: /.test(JSON.stringify(r)));
    assert.match(JSON.stringify(said), /write 127\.0\.0\.0\/8 for the network, or 127\.0\.0\.1 alone/);
    assert.equal((await server.get('/a')).status, 200);
    const checked = await run(['check', server.hooks]);
    assert.equal(checked.code, 1);
});

test('only a trusted proxy says whose request it is; read from the right', async (t) => {
    const server = await start(t, { hooks: { ...hooks, 'far.lua': guarded('"192.0.2.0/24"') }, config: 'return { trusted_proxies = { "127.0.0.1", "10.0.0.0/8" } }' });
    const proxy = async (headers) => (await from('127.0.0.1', `${server.url}/see`, { host: 'here:8080', ...headers })).json;
    assert.deepEqual(await proxy({}), { ip: '127.0.0.1', scheme: 'http', host: 'here', forwarded: 'none' });
    assert.equal((await proxy({ 'x-forwarded-for': '192.0.2.7' })).ip, '192.0.2.7');
    assert.equal((await proxy({ 'x-forwarded-for': '192.0.2.7, 203.0.113.9' })).ip, '203.0.113.9', 'what the client said is left of it');
    assert.equal((await proxy({ 'x-forwarded-for': '192.0.2.7, 10.1.2.3' })).ip, '192.0.2.7');
    assert.equal((await proxy({ 'x-forwarded-for': ['192.0.2.7', '2001:DB8::9'] })).ip, '2001:db8::9');
    assert.equal((await proxy({ 'x-forwarded-for': '192.0.2.7, unknown' })).ip, '127.0.0.1');
    assert.equal((await proxy({ forwarded: 'for="[2001:db8::9]:4711";proto=https;host=Hooks.Example.com:8443' })).ip, '2001:db8::9');
    assert.deepEqual(await proxy({ 'x-forwarded-for': '192.0.2.7', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'Hooks.Example.com:8443' }),
        { ip: '192.0.2.7', scheme: 'https', host: 'hooks.example.com', forwarded: '192.0.2.7' });
    // one kind of headers is the proxy's, the other its client's, and nobody knows which: also where they do not contradict each other
    for (const forwarded of ['for=192.0.2.7', 'for=203.0.113.9', 'for=unknown;proto=https;host=evil', 'proto=https;host=evil', '']) {
        const both = await from('127.0.0.1', `${server.url}/see`, { forwarded, 'x-forwarded-for': '203.0.113.9' });
        assert.equal(both.status, 400, forwarded);
        assert.match(both.text, /Forwarded and X-Forwarded-\* are both there/);
    }
    // not trusted: nothing of it counts, whatever it is
    const other = (await from('127.0.0.2', `${server.url}/see`, { host: 'here', 'x-forwarded-for': '192.0.2.7', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'evil', forwarded: 'for=1.1.1.1;host=evil' })).json;
    assert.deepEqual(other, { ip: '127.0.0.2', scheme: 'http', host: 'here', forwarded: '192.0.2.7' });
    // who is let in, and what is recorded, is the client
    assert.equal((await from('127.0.0.1', `${server.url}/far`, { 'x-forwarded-for': '192.0.2.7' })).status, 200);
    assert.equal((await from('127.0.0.1', `${server.url}/far`, { 'x-forwarded-for': '192.0.2.7, 203.0.113.9' })).status, 403);
    assert.equal((await from('127.0.0.2', `${server.url}/far`, { 'x-forwarded-for': '192.0.2.7' })).status, 403);
    await server.said((r) => r.message === 'request refused' && r.ip === '203.0.113.9' && r.endpoint === 'far');
    await server.said((r) => r.message === 'request' && r.ip === '192.0.2.7' && r.host === 'hooks.example.com');
    assert.equal(await server.metric('crescent_refused_total', 'reason="forwarded_conflict"'), 5);
});

test('HAProxy in front, which adds to what its client has sent', async (t) => {
    const dir = folder(t);
    const server = await start(t, { dir, hooks, env: { CRESCENT_TRUSTED_PROXIES: '127.0.0.1' } });
    const port = await haproxy(t, dir, 'http', `127.0.0.1:${server.port}`, 'option forwardfor\n    http-request set-header X-Forwarded-Proto https');
    const seen = (await from('127.0.0.9', `http://127.0.0.1:${port}/see`, { host: 'hooks.example.com', 'x-forwarded-for': '192.0.2.7' })).json;
    assert.deepEqual({ ...seen, forwarded: 0 }, { ip: '127.0.0.9', scheme: 'https', host: 'hooks.example.com', forwarded: 0 });
});

test('HAProxy in front over HTTP/2: a trailer is no header field, and Host is the host', async (t) => {
    const dir = folder(t);
    const server = await start(t, {
        dir, env: { CRESCENT_TRUSTED_PROXIES: '127.0.0.1' },
        hooks: { ...hooks, 'far.lua': guarded('"192.0.2.0/24"'), 'inside.lua': 'return { host = "internal.example.com", handle = function() return "inside" end }', 'own.lua': 'return { host = "hooks.example.com", handle = function() return "own" end }' },
    });
    const port = await haproxy(t, dir, 'http', `127.0.0.1:${server.port} proto h2`, `http-request del-header X-Forwarded-For
    http-request del-header Forwarded
    http-request del-header X-Forwarded-Host
    option forwardfor`);
    const ask = async (target, trailers) => {
        const text = `POST ${target} HTTP/1.1\r\nHost: hooks.example.com\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n${trailers}\r\n`;
        const answer = (await raw(port, text, { limit: 10000 })).text;
        return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]), text: answer };
    };
    assert.equal((await ask('/own', '')).status, 200);
    assert.equal((await ask('/far', '')).status, 403);
    assert.equal((await ask('/far', 'X-Forwarded-For: 192.0.2.7\r\n')).status, 403);
    assert.equal((await ask('/far', 'Forwarded: for=192.0.2.7\r\n')).status, 403);
    assert.equal((await ask('/inside', 'X-Forwarded-Host: internal.example.com\r\n')).status, 404);
    const seen = (await ask('/see', 'X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: internal.example.com\r\n')).text;
    assert.match(seen, /"ip":"127\.0\.0\.1"/);
    assert.match(seen, /"host":"hooks\.example\.com"/);
});

test('nginx in front, set up as README says: nothing of what its client makes up counts', async (t) => {
    const dir = folder(t);
    const readme = fs.readFileSync(path.join(repository, 'README.md'), 'utf8');
    const [, lines] = /For nginx:\n\n```\n([^`]+)```/.exec(readme);
    assert.match(lines, /proxy_set_header/);
    const server = await start(t, {
        dir, env: { CRESCENT_TRUSTED_PROXIES: '127.0.0.1' },
        hooks: { ...hooks, 'inside.lua': 'return { host = "internal.example.com", methods = { "GET" }, handle = function() return "inside" end }' },
    });
    const port = await nginx(t, dir, server.url, lines);
    const ask = (target, headers = {}) => from('127.0.0.9', `http://127.0.0.1:${port}${target}`, { host: 'hooks.example.com', ...headers });
    const honest = { ip: '127.0.0.9', scheme: 'http', host: 'hooks.example.com', forwarded: '127.0.0.9' };
    assert.deepEqual((await ask('/see')).json, honest);
    const made = {
        'x-forwarded-for': '192.0.2.7', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'internal.example.com',
        forwarded: 'for=192.0.2.7;proto=https;host=internal.example.com',
    };
    for (const headers of [...Object.entries(made).map(([name, value]) => ({ [name]: value })), made]) {
        const what = JSON.stringify(headers);
        const reply = await ask('/see', headers);
        assert.equal(reply.status, 200, `${what}: ${reply.text}`);
        assert.deepEqual({ ...reply.json, forwarded: honest.forwarded }, honest, what);
        assert.equal((await ask('/inside', headers)).status, 404, what);
    }
    assert.equal((await ask('/inside', { host: 'internal.example.com' })).text, 'inside');
});

test('a unix socket is trusted where the list says so; its client has no address', async (t) => {
    const dir = folder(t), where = path.join(dir, 'x.sock');
    const server = await start(t, {
        dir, listen: [`unix:${where}`], hooks: { ...hooks, 'local.lua': guarded('{ "unix" }'), 'far.lua': guarded('"127.0.0.0/8"') },
        config: 'return { trusted_proxies = "unix" }',
    });
    const curl = (target, ...args) => tool('curl', ['-sS', '--unix-socket', where, '-w', ' %{http_code}', `http://here${target}`, ...args]);
    assert.match(await curl('/local'), /^unix: 200/);
    assert.match(await curl('/far'), / 403$/);
    assert.match(await curl('/see', '-H', 'X-Forwarded-For: 192.0.2.7'), /"192\.0\.2\.7".* 200$/);
    assert.match(await curl('/local', '-H', 'X-Forwarded-For: 127.0.0.1'), / 403$/);
    assert.match(await curl('/far', '-H', 'X-Forwarded-For: 127.0.0.1'), /^127\.0\.0\.1 200$/);
    assert.ok(server.pid);
});

test('public_url: what senders call, whatever the connection and proxies say; routes go by the request', async (t) => {
    const server = await start(t, {
        hooks: {
            ...hooks,
            'here.lua': 'return { host = "here", methods = { "GET" }, handle = function(req) return req.scheme .. "://" .. req.host end }',
            'signed.lua': 'return { verify = verify.hmac { secret = "secret", header = "x-signature", payload = "{url}{body}" }, handle = function() return "genuine" end }',
        },
        config: 'return { public_url = "https://Hooks.Example.com/base/", trusted_proxies = { "127.0.0.1" } }',
    });
    const seen = (await from('127.0.0.1', `${server.url}/see`, { host: 'here', 'x-forwarded-proto': 'http', 'x-forwarded-host': 'other' })).json;
    assert.equal(`${seen.scheme}://${seen.host}`, 'https://hooks.example.com');
    assert.equal((await from('127.0.0.1', `${server.url}/here`, { host: 'here' })).text, 'https://hooks.example.com');
    assert.equal((await from('127.0.0.1', `${server.url}/here`, { host: 'other' })).status, 404);
    assert.equal((await from('127.0.0.1', `${server.url}/here`, { host: 'other', 'x-forwarded-host': 'here' })).status, 200);
    const { createHmac } = await import('node:crypto');
    const sign = (text) => createHmac('sha256', 'secret').update(text).digest('hex');
    const post = (url) => server.post('/signed?a=1', 'body', { 'x-signature': sign(`${url}body`) });
    assert.equal((await post('https://hooks.example.com/base/signed?a=1')).text, 'genuine');
    assert.equal((await post(`${server.url}/signed?a=1`)).status, 401);
});

test('without public_url a signed URL is what the request says, and a trusted proxy', async (t) => {
    const server = await start(t, {
        hooks: { 'signed.lua': 'return { verify = verify.hmac { secret = "secret", header = "x-signature", payload = "{url}{body}" }, handle = function() return "genuine" end }' },
        config: 'return { trusted_proxies = { "127.0.0.1" } }',
    });
    const { createHmac } = await import('node:crypto');
    const post = (url, headers = {}) => server.post('/signed', 'body', { 'x-signature': createHmac('sha256', 'secret').update(`${url}body`).digest('hex'), ...headers });
    assert.equal((await post(`${server.url}/signed`)).text, 'genuine');
    assert.equal((await post('https://hooks.example.com:8443/signed', { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'hooks.example.com:8443' })).text, 'genuine');
    assert.equal((await post('https://hooks.example.com/signed')).status, 401);
});

test('nonsense in forwarded headers, many and long ones: an answer each time, from the same worker', async (t) => {
    const server = await start(t, { hooks, workers: 1, config: 'return { trusted_proxies = { "127.0.0.1", "10.0.0.0/8" } }' });
    const worker = server.children('worker')[0];
    const bytes = ['for=', '"', '\\', ',', ';', '=', '10.0.0.1', '[', ']', ':', '192.0.2.7', ' ', 'proto', 'https', '_x', '\t', 'host=', '\xe9'];
    let seed = 7;
    const pick = (n) => { seed = (seed * 1103515245 + 12345) & 0x7fffffff; return seed % n; };
    for (let round = 0; round < 200; round++) {
        let lines = '';
        for (let i = pick(6); i >= 0; i--) {
            const name = ['Forwarded', 'X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host'][pick(4)];
            lines += `${name}: ${Array.from({ length: pick(30) }, () => bytes[pick(bytes.length)]).join('')}\r\n`;
        }
        const seen = await see(net.connect(server.port, '127.0.0.1'), lines);
        if (typeof seen === 'string') assert.match(seen, /^HTTP\/1\.1 400 /, lines);
        else assert.match(seen.ip, /^(127\.0\.0\.1|10\.0\.0\.1|192\.0\.2\.7)$/, lines);
    }
    const long = `X-Forwarded-For: ${Array(2000).fill('10.0.0.1').join(', ')}\r\n`;
    assert.equal((await see(net.connect(server.port, '127.0.0.1'), long)).ip, '10.0.0.1');
    assert.deepEqual(server.children('worker'), [worker]);
});
