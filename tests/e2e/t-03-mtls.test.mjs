// verify.mtls: who the client is by its certificate. The certificates and half of the clients are openssl's.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { authority, config, entry } from './authority.mjs';
import { assertProblem, folder, request, request2, run, session, start, tool, until, write } from './helper.mjs';

const hook = (verifier, more = '') => `return { ${more} methods = { "GET", "POST" }, verify = ${verifier}, handle = function(req)
  return { by = req.auth.by, subject = req.auth.subject }
end }`;

/** A server for localhost that welcomes certificates of `ca`, and some of them. */
async function door(t, hooks, { client = ', client = "optional"', ...options } = {}) {
    const dir = folder(t), ca = await authority(dir);
    const own = await ca.issue('own', { names: ['localhost', 'other.example'] });
    const partner = await ca.issue('partner', { subject: '/C=DE/O=Example\\, Inc/CN=partner', san: 'DNS:partner.example.com,URI:spiffe://example/bot,email:bot@example.com,IP:192.0.2.1', usage: 'clientAuth' });
    const guest = await ca.issue('guest', { subject: '/O=Example\\, Inc/CN=guest', san: 'DNS:guest.example.com', usage: 'clientAuth' });
    const fingerprint = (await tool('openssl', ['x509', '-in', partner.leaf, '-noout', '-fingerprint', '-sha256'])).trim().replace(/^.*=/, '');
    const subject = (await tool('openssl', ['x509', '-in', partner.leaf, '-noout', '-subject', '-nameopt', 'RFC2253'])).trim().replace(/^subject=/, '');
    const server = await start(t, {
        dir, config: config([entry(own, `client_ca = "${ca.cert}"${client}`)]), listen: ['https://127.0.0.1:0', 'http://127.0.0.1:0'],
        hooks: typeof hooks === 'function' ? hooks({ fingerprint, subject }) : hooks, ...options,
    });
    const as = (pair) => ({ servername: 'localhost', rejectUnauthorized: false, ...(pair ? { cert: fs.readFileSync(pair.cert), key: fs.readFileSync(pair.key) } : {}) });
    const get = (target, pair, more = {}) => request(server.url + target, { ...as(pair), ...more });
    return { server, dir, ca, own, partner, guest, fingerprint, subject, as, get };
}

test('subject, names and fingerprint; all that are given must match, of a list one', async (t) => {
    const { get, server, partner, guest, as, subject } = await door(t, (made) => ({
        'any.lua': hook('verify.mtls { any = true }'),
        'cn.lua': hook('verify.mtls { subject = "CN=partner" }'),
        'whole.lua': hook(`verify.mtls { subject = ${JSON.stringify(made.subject)} }`),
        'dns.lua': hook('verify.mtls { san = "DNS:Partner.example.com" }'),
        'uri.lua': hook('verify.mtls { san = { "DNS:x", "URI:spiffe://example/bot" } }'),
        'ip.lua': hook('verify.mtls { san = "IP:192.0.2.1" }'),
        'print.lua': hook(`verify.mtls { fingerprint = "sha256:${made.fingerprint}" }`),
        'both.lua': hook(`verify.mtls { subject = { "CN=guest", "CN=partner" }, san = "DNS:partner.example.com", fingerprint = "SHA256:${made.fingerprint.replaceAll(':', '')}" }`),
        'mixed.lua': hook('verify.mtls { subject = "CN=guest", san = "DNS:partner.example.com" }'),
    }));
    assert.match(subject, /^CN=partner,O=Example\\\\?, Inc,C=DE$/);
    for (const target of ['/any', '/cn', '/whole', '/dns', '/uri', '/ip', '/print', '/both']) {
        const reply = await get(target, partner);
        assert.equal(reply.status, 200, target);
        assert.deepEqual(reply.json, { by: 'mtls', subject }, target);
        assert.equal((await get(target, null)).status, 401, `${target}, without a certificate`);
        if (target !== '/any') assert.equal((await get(target, guest)).status, 401, `${target}, another's`);
    }
    assert.equal((await get('/any', guest)).json.subject, 'CN=guest,O=Example\\, Inc');
    for (const pair of [partner, guest]) assertProblem(await get('/mixed', pair), 401);
    // in clear there is no certificate, whatever headers say
    const forged = { 'x-client-cert': 'x', 'x-ssl-client-s-dn': 'CN=partner', 'ssl-client-verify': 'SUCCESS', 'x-forwarded-client-cert': 'Subject="CN=partner"' };
    assert.equal((await request(`${server.urls[1]}/any`, { headers: forged })).status, 401);
    assert.equal(await server.metric('crescent_refused_total', 'reason="missing_certificate"'), 9);
    assert.equal(await server.metric('crescent_refused_total', 'reason="bad_certificate"'), 9);
    const record = await server.said((r) => r.message === 'request' && r.endpoint === 'dns');
    assert.deepEqual([record.auth_by, record.auth_subject], ['mtls', subject]);
    // HTTP/2: each request of a connection
    const client = await session(t, server.url, as(partner));
    for (const [target, status] of [['/cn', 200], ['/mixed', 401], ['/dns', 200]]) assert.equal((await request2(client, target)).status, status);
    const curl = JSON.parse(await tool('curl', ['-sSk', '--http2', '--cert', partner.cert, '--key', partner.key, `${server.url}/dns`]));
    assert.equal(curl.subject, subject);
});

test('in any and all, with a function, called by a script, and after waits', async (t) => {
    const { get, partner, guest, server, as } = await door(t, {
        'either.lua': hook('verify.any { verify.mtls { subject = "CN=partner" }, verify.api_key { header = "x-key", keys = { alice = "k" } } }'),
        'each.lua': hook('{ verify.mtls { any = true }, function(req) return req.headers["x-ok"] == "1", "no" end }'),
        'ask.lua': `local v = verify.mtls { subject = "CN=partner" }
return { methods = { "GET" }, handle = function(req)
  sleep(0.05)
  local ok, reason = v(req)
  return { ok = ok, reason = reason }
end }`,
        'slow.lua': hook('verify.mtls { any = true }').replace('return { by', 'sleep(0.2) return { by'),
    });
    assert.equal((await get('/either', partner)).json.by, 'mtls');
    assert.equal((await get('/either', guest, { headers: { 'x-key': 'k' } })).json.subject, 'alice');
    assert.equal((await get('/either', null, { headers: { 'x-key': 'k' } })).json.by, 'api_key');
    assert.equal((await get('/either', guest)).status, 401);
    assert.equal((await get('/each', guest, { headers: { 'x-ok': '1' } })).json.subject, 'CN=guest,O=Example\\, Inc');
    assert.equal((await get('/each', guest)).status, 401);
    assert.equal((await get('/each', null, { headers: { 'x-ok': '1' } })).status, 401);
    assert.deepEqual((await get('/ask', partner)).json, { ok: true });
    assert.deepEqual((await get('/ask', guest)).json, { ok: false, reason: 'bad_certificate' });
    assert.deepEqual((await get('/ask', null)).json, { ok: false, reason: 'missing_certificate' });
    // a wait on HTTP/2 outlives its connection: who it was is still known, and recorded
    const client = await session(t, server.url, as(partner));
    const waiting = client.request({ ':path': '/slow', ':method': 'POST' });
    waiting.on('error', () => {});
    waiting.end();
    await new Promise((done) => setTimeout(done, 100));
    client.destroy();
    const record = await server.said((r) => r.endpoint === 'slow');
    assert.match(record.auth_subject, /^CN=partner,/);
    const again = await Promise.all(Array.from({ length: 8 }, () => get('/slow', partner)));
    assert.ok(again.every((r) => r.json.by === 'mtls'));
});

test('a certificate that is demanded; a session that is resumed is the same client', async (t) => {
    const { get, server, partner, dir } = await door(t, { 'a.lua': hook('verify.mtls { subject = "CN=partner" }') }, { client: '' });
    await assert.rejects(get('/a', null), 'the handshake fails already');
    assert.equal((await get('/a', partner)).status, 200);
    const file = path.join(dir, 'session');
    const ask = 'GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
    for (const version of ['-tls1_2', '-tls1_3']) {
        const sclient = (...args) => tool('openssl', ['s_client', '-connect', `127.0.0.1:${new URL(server.url).port}`, '-servername', 'localhost', '-ign_eof', '-cert', partner.leaf, '-key', partner.key, version, ...args], { input: ask });
        assert.match(await sclient('-sess_out', file), /"by":"mtls"/);
        const resumed = await sclient('-sess_in', file);
        assert.match(resumed, /^Reused, /m);
        assert.match(resumed, /"by":"mtls"/, version);
    }
});

test('where nobody is asked for a certificate it is an error of the script; options are checked', async (t) => {
    const dir = folder(t);
    write(dir, { 'hooks/a.lua': hook('verify.mtls { any = true }') });
    const plain = await run(['check', path.join(dir, 'hooks')], { cwd: dir });
    assert.equal(plain.code, 1);
    assert.match(plain.stdout + plain.stderr, /a\.lua:1: verify: no client is asked for a certificate: that is client_ca of the setting tls/);
    write(dir, { 'crescent.lua': 'return { tls = { { cert = "a.pem", key = "a.key", client_ca = "ca.pem" } } }' });
    assert.equal((await run(['check', path.join(dir, 'hooks')], { cwd: dir })).code, 0, 'check reads no certificate');
    assert.match((await run(['routes', path.join(dir, 'hooks')], { cwd: dir })).stdout, /\/a .* mtls /);
    for (const [options, words] of [['{ subject = env.NOT_SET }', /give subject, san or fingerprint \(is the env variable behind it set\?\)/], ['{ sans = "DNS:a" }', /unknown option 'sans' \(did you mean 'san'\?\)/],
        ['{ san = "partner.example.com" }', /a name begins with one of DNS:, IP:, URI: and email:/], ['{ subject = "/CN=a" }', /-nameopt RFC2253/]]) {
        write(dir, { 'hooks/a.lua': hook(`verify.mtls ${options}`) });
        const refused = await run(['check', path.join(dir, 'hooks')], { cwd: dir });
        assert.equal(refused.code, 1, options);
        assert.match(refused.stdout + refused.stderr, words);
    }
});

test('a forwarded host is no way around the certificate that the host asks for', async (t) => {
    const dir = folder(t), ca = await authority(dir);
    const open = await ca.issue('open', { names: ['open.example'] }), closed = await ca.issue('closed', { names: ['closed.example'] });
    const server = await start(t, {
        dir, listen: ['https://127.0.0.1:0', 'http://127.0.0.1:0'],
        hooks: { 'inside.lua': 'return { host = "closed.example", methods = { "GET" }, handle = function() return "inside" end }', 'hello.lua': 'return function(req) return req.host end' },
        config: config([entry(open), entry(closed, `client_ca = "${ca.cert}"`)], 'trusted_proxies = { "127.0.0.1" }'),
    });
    const get = (url, target, headers) => request(url + target, { servername: 'open.example', rejectUnauthorized: false, headers });
    for (const url of server.urls) {
        assert.equal((await get(url, '/hello', { host: 'open.example', 'x-forwarded-host': 'fine.example' })).status, 200);
        for (const headers of [{ 'x-forwarded-host': 'closed.example' }, { 'x-forwarded-host': 'CLOSED.example:443' }, { forwarded: 'host=closed.example' }])
            assert.equal((await get(url, '/inside', { host: 'open.example', ...headers })).status, 421);
        assert.equal((await get(url, '/inside', { host: 'closed.example', 'x-forwarded-host': 'open.example' })).status, 421);
    }
    await until(async () => await server.metric('crescent_refused_total', 'reason="misdirected"') === 8, '421s counted');
});
