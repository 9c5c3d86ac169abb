// Files that libraries read by themselves (/etc/hosts, /etc/resolv.conf, …) are replaced by a rename while the server
// runs: names are found in the new ones, and what is kept from scripts stays so. Each server has an /etc of its own.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { authority, config as tlsConfig, entry } from './authority.mjs';
import { folder, ms, sleep, start, until, write } from './helper.mjs';

const needsRoot = { skip: process.getuid() === 0 ? false : 'only root has an /etc of its own' }, nobody = 65534;
const words = 'a file was replaced by another, which the jail of this worker does not know: another takes its place';
const hooks = {
    'get.lua': `return function(req)
        local reply, err = http.get(req.body, { timeout = "5s" })
        return reply and reply.body or err.code
    end`,
    'read.lua': 'return function(req) local file, err = io.open(req.body) return file and file:read("*a") or err end',
    'sleeps.lua': 'return { timeout = "60s", handle = function() sleep "4s" return "slept" end }',
};
const denied = /Permission denied/;

/** A server with an /etc of its own, in which nothing but `hosts` answers names. */
async function startWithEtc(t, options = {}, dir = folder(t)) {
    const own = path.join(dir, 'etc');
    fs.chmodSync(dir, 0o755);
    fs.mkdirSync(own, { recursive: true });
    for (const name of ['passwd', 'group', 'shadow', 'gshadow']) fs.copyFileSync(path.join('/etc', name), path.join(own, name));
    write(own, { hosts: '127.0.0.1 localhost moon.test\n', 'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files\n' });
    const mount = 'mount -t tmpfs -o mode=755 etc /etc && cp -a etc/. /etc && rm -r etc && exec "$@"';
    const server = await start(t, { hooks, dir, ...options, prefix: ['unshare', '-m', 'sh', '-c', mount, 'sh'] });
    server.replaceEtc = (name, text) => {
        const file = `/proc/${server.pid}/root/etc/${name}`;
        fs.writeFileSync(`${file}.new`, text);
        fs.renameSync(`${file}.new`, file);
    };
    return server;
}

/** What answers by any name. */
async function upstream(t) {
    const server = http.createServer((req, res) => res.end(`for ${req.headers.host.split(':')[0]}`));
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    t.after(() => { server.close(); server.closeAllConnections(); });
    return (host) => `http://${host}:${server.address().port}/`;
}
const found = (server, url, text) => until(async () => (await server.post('/get', url)).text === text, () => `${text}\n${server.tail()}`, 20000);
const deaths = (server) => server.records((r) => / died$/.test(r.message)).length;

test('names are found in an /etc/hosts that took the place of the old one; who is under way ends well', needsRoot, async (t) => {
    const at = await upstream(t), server = await startWithEtc(t);
    await until(() => server.children('worker').length === 2, 'both workers');
    const before = server.children('worker');
    assert.equal((await server.post('/get', at('moon.test'))).text, 'for moon.test');
    assert.equal((await server.post('/get', at('mars.test'))).text, 'dns');
    assert.match((await server.post('/read', '/etc/shadow')).text, denied);
    const slept = server.post('/sleeps');
    await sleep(ms(100));
    server.replaceEtc('hosts', '127.0.0.1 localhost mars.test\n');
    await found(server, at('mars.test'), 'for mars.test');
    assert.equal((await slept).text, 'slept');
    await until(() => server.children('worker').every((pid) => !before.includes(pid)), 'each worker has a successor', 30000);
    await until(() => server.children('worker').length === 2, 'no more of them than before');
    assert.deepEqual(server.records(words).map((r) => r.file), ['/etc/hosts', '/etc/hosts']);
    assert.match((await server.post('/read', '/etc/shadow')).text, denied);
    await sleep(ms(2500));
    assert.equal(server.records(words).length, 2, 'once is enough');
    assert.equal(deaths(server), 0);
});

test('one that was not there at the start counts, one of no concern does not', needsRoot, async (t) => {
    const server = await startWithEtc(t, { workers: 1 });
    const [before] = server.children('worker');
    server.replaceEtc('host.conf.d', 'of no concern\n');
    await sleep(ms(2500));
    assert.deepEqual(server.children('worker'), [before], server.tail());
    server.replaceEtc('resolv.conf', 'nameserver 127.0.0.1\n');
    await until(() => server.children('worker').length === 1 && server.children('worker')[0] !== before, () => `a successor\n${server.tail()}`, 20000);
    assert.deepEqual(server.records(words).map((r) => r.file), ['/etc/resolv.conf']);
});

test('where all that is secret is closed to the user anyway, the folder is open, and no worker is replaced', needsRoot, async (t) => {
    const dir = folder(t), own = path.join(dir, 'etc'), at = await upstream(t), ca = await authority(dir), pair = await ca.issue('localhost');
    const config = tlsConfig([entry({ cert: pair.cert, key: '/etc/keys/key.pem' })], 'user = "nobody"');
    const options = { config, workers: 1, listen: ['http://127.0.0.1:0', 'https://127.0.0.1:0'] };
    fs.chownSync(dir, nobody, nobody);
    const place = (mode) => {
        fs.mkdirSync(path.join(own, 'keys'), { recursive: true });
        fs.copyFileSync(pair.key, path.join(own, 'keys/key.pem'));
        fs.chmodSync(path.join(own, 'keys/key.pem'), mode);
    };
    await t.test('closed', async (t) => {
        place(0o600);
        const server = await startWithEtc(t, options, dir), [before] = server.children('worker');
        assert.match((await server.post('/read', '/etc/keys/key.pem')).text, denied);
        server.replaceEtc('hosts', '127.0.0.1 localhost mars.test\n');
        assert.equal((await server.post('/get', at('mars.test'))).text, 'for mars.test', 'at once');
        await sleep(ms(2500));
        assert.deepEqual(server.children('worker'), [before], server.tail());
        assert.equal(server.records(words).length, 0);
    });
    await t.test('open', async (t) => {
        place(0o644);
        const server = await startWithEtc(t, options, dir);
        assert.match((await server.post('/read', '/etc/keys/key.pem')).text, denied);
        server.replaceEtc('hosts', '127.0.0.1 localhost mars.test\n');
        await found(server, at('mars.test'), 'for mars.test');
        assert.match((await server.post('/read', '/etc/keys/key.pem')).text, denied);
        assert.ok(server.records(words).length > 0);
    });
});
