// Which certificate a client is shown, what is stapled to it, and what of a configuration stops the start or warns.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ask, authority, config, entry, sClient } from './authority.mjs';
import { folder, ms, request, run, sleep, start, tool, until, write } from './helper.mjs';

const hooks = { 'hello.lua': 'return function() return "hello" end' };
const subject = (out) => /^subject=(.*)$/m.exec(out.text)?.[1]?.replaceAll(' ', '') ?? out.text;
const shown = async (server, name, args = []) => subject(await sClient(server.port, [...(name ? ['-servername', name] : ['-noservername']), ...args]));

test('the name that a client asks for chooses the certificate: exact, wildcard, subject; the first for all others', async (t) => {
    const dir = folder(t), ca = await authority(dir);
    const first = await ca.issue('first', { names: ['first.example'] });
    const wild = await ca.issue('wild', { names: ['*.wild.example', 'wild.example'] });
    const exact = await ca.issue('exact', { names: ['exact.wild.example', 'OTHER.example'] });
    const old = await ca.issue('old', { san: null, subject: '/CN=old.example' });
    const both = await ca.issue('both', { names: ['san.example'], subject: '/CN=cn.example' });
    const server = await start(t, { dir, hooks, config: config([first, wild, exact, old, both].map((p) => entry(p))) });
    for (const [name, wanted] of [['first.example', 'first'], ['wild.example', 'wild'], ['a.wild.example', 'wild'], ['A.Wild.Example', 'wild'],
        ['exact.wild.example', 'exact'], ['other.example', 'exact'], ['a.b.wild.example', 'first'], ['.wild.example', 'first'],
        ['xwild.example', 'first'], ['unknown', 'first'], [null, 'first'], ['san.example', 'cn.example'], ['cn.example', 'first'],
        ['old.example', 'old.example'], ['127.0.0.1', 'first']])
        assert.equal(await shown(server, name), `CN=${wanted}`, `asked for ${name}`);
    for (const version of ['-tls1_2', '-tls1_3']) assert.equal(await shown(server, 'a.wild.example', [version]), 'CN=wild');
    const curl = await tool('curl', ['-sS', '--cacert', ca.cert, '--connect-to', `::127.0.0.1:${server.port}`, '-w', ' %{http_version}',
        'https://a.wild.example/hello']);
    assert.equal(curl, 'hello 2');
});

test('certificates may share an address: the first is for whoever asks for no name, each for its own', async (t) => {
    const dir = folder(t), ca = await authority(dir);
    const one = await ca.issue('one', { san: 'DNS:one.example,IP:127.0.0.1' }), two = await ca.issue('two', { san: 'IP:127.0.0.1,DNS:two.example' });
    const strict = await ca.issue('strict', { san: 'IP:127.0.0.1,DNS:strict.example' });
    const server = await start(t, { dir, hooks, config: config([entry(one), entry(two), entry(strict, `client_ca = "${ca.cert}"`)]) });
    for (const [name, wanted] of [[null, 'one'], ['127.0.0.1', 'one'], ['one.example', 'one'], ['two.example', 'two'], ['strict.example', 'strict']])
        assert.equal(await shown(server, name), `CN=${wanted}`, `asked for ${name}`);
    assert.equal((await request(`${server.url}/hello`, { ca: fs.readFileSync(ca.cert) })).text, 'hello', 'nothing is asked of who comes by address');
});

test('RSA, ECDSA and Ed25519 for one name: each client gets what it can use', async (t) => {
    const dir = folder(t), ca = await authority(dir), names = ['many.example'];
    const rsa = await ca.issue('rsa', { names: [...names, 'rsa.example'], kind: 'rsa' });
    const ec = await ca.issue('ec', { names, kind: 'p384' });
    const ed = await ca.issue('ed', { names, kind: 'ed25519' });
    const server = await start(t, { dir, hooks, config: config([rsa, ec, ed].map((p) => entry(p))) });
    const by = (name, ...args) => shown(server, name, args);
    assert.equal(await by('many.example', '-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'), 'CN=rsa');
    assert.equal(await by('many.example', '-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256', '-sigalgs', 'ECDSA+SHA384'), 'CN=ec');
    assert.equal(await by('many.example', '-tls1_3', '-sigalgs', 'ed25519:RSA+SHA256'), 'CN=ed');
    assert.equal(await by('many.example', '-tls1_3', '-sigalgs', 'rsa_pss_rsae_sha256:ECDSA+SHA256'), 'CN=rsa');
    assert.equal(await by('rsa.example', '-tls1_2', '-cipher', 'ECDHE-RSA-AES256-GCM-SHA384'), 'CN=rsa');
    // a name of one certificate is that certificate's only
    const none = await sClient(server.port, ['-servername', 'rsa.example', '-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256']);
    assert.match(none.text, /alert number 40/);
    assert.equal(await server.metric('crescent_tls_handshake_failures_total', 'reason="nothing_shared"'), 1);
});

test('an OCSP response from a file is stapled for who asks; one that is old is left out, with a warning', async (t) => {
    const dir = folder(t), ca = await authority(dir);
    const a = await ca.issue('a', { names: ['a.example'] }), b = await ca.issue('b', { names: ['b.example'], kind: 'rsa' });
    const good = await ca.ocsp(a, { name: 'good' }), stale = await ca.ocsp(b, { name: 'stale', when: '-2h' });
    const server = await start(t, { dir, hooks, config: config([entry(a, `ocsp = "${good}"`), entry(b, `ocsp = "${stale}"`)]) });
    for (const version of ['-tls1_2', '-tls1_3']) {
        const out = await sClient(server.port, ['-servername', 'a.example', '-status', version, '-CAfile', ca.cert]);
        assert.match(out.text, /OCSP Response Status: successful/);
        assert.match(out.text, /Cert Status: good/);
        assert.match(out.text, /Verify return code: 0/);
    }
    assert.match((await sClient(server.port, ['-servername', 'b.example', '-status'])).text, /OCSP response: no response sent/);
    assert.doesNotMatch((await sClient(server.port, ['-servername', 'a.example'])).text, /OCSP Response/);
    const warning = server.records('OCSP response out of date');
    assert.equal(warning.length, 1);
    assert.equal(warning[0].file, stale);
});

test('a certificate out of date is a warning with its dates, and serves', async (t) => {
    const dir = folder(t), ca = await authority(dir);
    const old = await ca.issue('old', { names: ['old.example'], when: '-9d' }), early = await ca.issue('early', { names: ['early.example'], when: '+9d' });
    const server = await start(t, { dir, hooks, config: config([entry(old), entry(early)]) });
    const warning = server.records('TLS certificate out of date');
    assert.deepEqual(warning.map((w) => [w.level, w.file]), [['warn', old.cert], ['warn', early.cert]]);
    assert.match(warning[1].error, /\(\/CN=early\) is not valid yet/);
    assert.match(warning[0].error, /server's certificate \(\/CN=old\) has expired: it is valid from \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ to \d{4}-/);
    assert.equal((await request(`${server.url}/hello`, { rejectUnauthorized: false })).text, 'hello');
});

test('what goes out of date while it runs is a warning, once; the figures say when it will', async (t) => {
    const dir = folder(t), ca = await authority(dir), life = Math.ceil(ms(7000) / 1000);
    const a = await ca.issue('a', { names: ['a.example'] }), b = await ca.issue('b', { names: ['b.example'], days: 1, when: `-${86400 - life}s` });
    const ends = Date.now() / 1000 + life, ocsp = await ca.ocsp(a, { name: 'brief', when: `-${3600 - life}s` });
    const server = await start(t, { dir, hooks, config: config([entry(a, `ocsp = "${ocsp}"`), entry(b)]) });
    const stapled = async () => /OCSP Response Status: successful/.test((await sClient(server.port, ['-servername', 'a.example', '-status'])).text);
    const warnings = () => server.records((r) => /out of date/.test(r.message)).map((r) => [r.level, r.process, r.message, r.file]);
    const said = await server.metric('crescent_tls_certificate_expiry_seconds');
    assert.ok(Math.abs(said - ends) <= 3, `${said}, not ${ends}`);
    assert.ok(await stapled());
    assert.deepEqual(warnings(), []);
    await until(() => warnings().length === 2, () => `both warnings: ${JSON.stringify(warnings())}`, 15000);
    assert.ok(!await stapled());
    await sleep(ms(1500));
    assert.deepEqual(warnings().sort(), [['warn', 'keeper', 'OCSP response out of date: it is not stapled', ocsp], ['warn', 'keeper', 'TLS certificate out of date', b.cert]]);
    assert.match(server.records('TLS certificate out of date')[0].error, /\(\/CN=b\) has expired: it is valid from /);
});

test('what cannot serve stops the start with one line that names the file', async (t) => {
    const dir = folder(t), ca = await authority(dir), other = await authority(dir, 'other');
    const a = await ca.issue('a', { names: ['a.example', 'x.example'] }), b = await ca.issue('b', { names: ['b.example', 'x.example'] });
    const rsa = await ca.issue('r', { names: ['a.example'], kind: 'rsa' }), bare = await ca.issue('bare', { san: 'IP:127.0.0.1' });
    const secret = path.join(dir, 'secret.key'), odd = path.join(dir, 'odd.key'), oddCert = path.join(dir, 'odd.pem');
    await tool('openssl', ['pkey', '-in', a.key, '-aes256', '-passout', 'pass:x', '-out', secret]);
    await tool('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1', '-nodes', '-subj', '/CN=x', '-keyout', odd, '-out', oddCert]);
    await tool('openssl', ['x509', '-in', a.leaf, '-outform', 'DER', '-out', path.join(dir, 'a.der')]);
    write(dir, { 'hooks/hello.lua': hooks['hello.lua'], 'garbage': 'garbage', 'empty': '', 'nul': 'a\0b' });
    const good = await ca.ocsp(a, { name: 'good' }), revoked = await ca.ocsp(a, { name: 'revoked', status: 'R' });
    const forged = await ca.ocsp(a, { name: 'forged', signer: other }), wrong = await ca.ocsp(b, { name: 'wrong' });
    const file = (name) => path.join(dir, name);
    for (const [entries, words] of [
        [[entry(a), entry(b)], `tls: ${a.cert} and ${b.cert} are both for x.example, with the same kind of key (ECDSA)`],
        [[entry(a), entry(rsa, `client_ca = "${ca.cert}"`)], `tls: ${a.cert} and ${rsa.cert} are both for a.example, but what they ask of clients (client_ca) differs`],
        [[entry(a), entry(bare)], `tls: ${bare.cert} has no host name in it, so no client could choose it`],
        [[entry({ cert: a.cert, key: b.key })], `${a.cert} and ${b.key}: the private key does not belong to the certificate`],
        [[entry({ cert: a.cert, key: secret })], `${a.cert} and ${secret}: the private key is encrypted`],
        [[entry({ cert: file('none.pem'), key: a.key })], `${file('none.pem')}: No such file or directory`],
        [[entry({ cert: dir, key: a.key })], dir],
        [[entry({ cert: file('a.der'), key: a.key })], `${file('a.der')}: not PEM`],
        [[entry({ cert: file('garbage'), key: a.key })], `${file('garbage')} and ${a.key}: there is no certificate in PEM`],
        [[entry({ cert: file('empty'), key: a.key })], 'there is no certificate in PEM'],
        [[entry({ cert: file('nul'), key: a.key })], `${file('nul')}: not PEM`],
        [[entry({ cert: a.cert, key: file('garbage') })], 'there is no private key in PEM'],
        [[entry({ cert: oddCert, key: odd })], 'on the curve secp256k1'],
        [[entry(a, `client_ca = "${file('garbage')}"`)], `${file('garbage')}: there is no certificate in PEM`],
        [[entry(a, `client_ca = "${b.leaf}"`)], `${b.leaf}: the certificate /CN=b is not an authority's`],
        [[entry(a, 'client = "optional"')], 'crescent.lua:1: tls.client: it needs client_ca'],
        [[entry(a, `client_ca = "${ca.cert}", client = "maybe"`)], 'crescent.lua:1: tls.client: expected "required" or "optional", got "maybe"'],
        [[entry(a, 'protocols = "TLSv1.1"')], "crescent.lua:1: unknown setting 'tls.protocols'"],
        [[entry(a, `ocsp = "${file('garbage')}"`)], `${file('garbage')}: it is not an OCSP response in DER`],
        [[entry(a, `ocsp = "${revoked}"`)], `${revoked}: it says that the certificate is revoked`],
        [[entry(a, `ocsp = "${forged}"`)], `${forged}: it is not signed by the certificate's issuer`],
        [[entry(a, `ocsp = "${wrong}"`)], `${wrong}: it is about another certificate`],
        [[entry({ cert: a.leaf, key: a.key }, `ocsp = "${good}"`)], `${good}: it cannot be checked: the issuer's certificate is not in the file`],
    ]) {
        fs.writeFileSync(file('crescent.lua'), config(entries));
        const out = await run(['serve', '--listen', '127.0.0.1:0', '--admin', 'off'], { cwd: dir });
        assert.equal(out.code, 1, out.stderr);
        assert.ok(out.stderr.includes(words), `${words}\n${out.stderr}`);
        assert.equal(out.stderr.trim().split('\n').length, 1, out.stderr);
    }
});

test('flags and environment name the certificate of the one entry, and keep its other fields; of several they name none', async (t) => {
    const dir = folder(t), ca = await authority(dir);
    const a = await ca.issue('a', { names: ['a.example'] }), b = await ca.issue('b', { names: ['b.example'] });
    const me = await ca.issue('me', { usage: 'clientAuth' });
    const server = await start(t, { dir, hooks, config: config([entry(a, `client_ca = "${ca.cert}"`)]), args: ['--tls-cert', b.cert, '--tls-key', b.key] });
    const out = await sClient(server.port, ['-cert', me.leaf, '-key', me.key], ask('b.example'));
    assert.equal(subject(out), 'CN=b');
    assert.match(out.text, /HTTP\/1.1 200 OK/);
    assert.doesNotMatch((await sClient(server.port, [], ask('b.example'))).text, /200 OK/);
    write(dir, { 'crescent.lua': config([entry(a), entry(b)]) });
    const refused = await run(['serve', '--tls-cert', b.cert, '--tls-key', b.key], { cwd: dir });
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /--tls-cert: the setting tls has 2 entries: change the certificate there/);
});
