// Which addresses http.* never reaches, however they are written, looked up, or redirected to; which on demand.
import assert from 'node:assert/strict';
import net from 'node:net';
import os from 'node:os';
import { test } from 'node:test';
import { start } from './helper.mjs';
import { lua, plain, runner } from './upstreams.mjs';

const serve = (t, options) => start(t, { workers: 1, hooks: { 'run.lua': runner }, ...options });
const refused = async (server, url, options = '') => {
    const reply = await lua(server, `return http.get("${url}", { timeout = "5s" ${options} })`);
    assert.equal(reply.code, 'address_refused', `${url}: ${JSON.stringify(reply)}`);
    return reply.words;
};

test('metadata services and other link-local addresses are never reached', async (t) => {
    const server = await serve(t);
    for (const host of ['169.254.169.254', '[::ffff:169.254.169.254]', '[::ffff:a9fe:a9fe]', '2852039166', '0xa9fea9fe', '0xa9.0xfe.0xa9.0xfe', '0251.0376.0251.0376',
        '169.254.43518', '[64:ff9b::a9fe:a9fe]', '[2002:a9fe:a9fe::1]', '[fd00:ec2::254]', '[fe80::1]', '0.0.0.0', '0', '[::]', '224.0.0.1', '255.255.255.255', '100.100.100.200']) {
        await refused(server, `http://${host}/latest/meta-data/`);
        await refused(server, `http://${host}:8080/`, ', private = true');
    }
    assert.match(await refused(server, 'http://169.254.169.254/'), /169\.254\.169\.254: a link-local address/);
});

test('nor by a redirect, of whatever kind', async (t) => {
    const up = await plain(t, (req, res) => {
        const where = decodeURIComponent(req.url.slice(1));
        if (!where) return;
        res.writeHead(307, { location: where });
        res.end();
        return true;
    });
    const server = await serve(t);
    const admin = new URL(server.admin).port;
    for (const target of ['http://169.254.169.254/', 'http://[::ffff:169.254.169.254]/', '//169.254.169.254/', `http://127.0.0.1:${admin}/metrics`, `//localhost:${admin}/`])
        await refused(server, `${up.url}/${encodeURIComponent(target)}`);
    for (const target of ['file:///etc/passwd', 'ftp://127.0.0.1/', 'gopher://127.0.0.1/', 'dict://127.0.0.1/', 'javascript:x', 'unix:/run/x', 'http://user:pass@169.254.169.254/']) {
        const reply = await lua(server, `return http.get("${up.url}/${encodeURIComponent(target)}")`);
        assert.equal(reply.code, 'redirects', `${target}: ${JSON.stringify(reply)}`);
    }
    const reply = await lua(server, `return http.post("${up.url}/${encodeURIComponent('http://169.254.169.254/')}", { body = "x", redirects = 5 })`);
    assert.equal(reply.code, 'address_refused');
});

test('other schemes, and URLs that two readers could read differently, are none', async (t) => {
    const server = await serve(t);
    for (const url of ['file:///etc/passwd', 'ftp://127.0.0.1/', 'gopher://127.0.0.1:1/', 'unix:///run/x', 'http:/127.0.0.1/', 'http://a@b@c/', 'http://a\\\\@b/', 'http://[::1%25lo]/', 'http://127.0.0.1:80:80/', 'http://%31/', 'http://a b/', 'http://a/\\n', '//a', '']) {
        const reply = await lua(server, `return http.get("${url}")`);
        assert.equal(reply.code, 'bad_url', `${url}: ${JSON.stringify(reply)}`);
    }
});

test('the admin listener is never reached', async (t) => {
    const server = await serve(t);
    const { port } = new URL(server.admin);
    for (const host of ['127.0.0.1', 'localhost', 'LocalHost.', 'x.localhost', '127.1', '0x7f000001', '2130706433', '0177.1', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]']) {
        const reply = await lua(server, `return http.get("http://${host}:${port}/metrics")`);
        // a name that this machine does not have is as good; [::1] has nobody
        assert.ok(['address_refused', 'dns'].includes(reply.code), `${host}: ${JSON.stringify(reply)}`);
    }
    assert.match(await refused(server, `http://127.0.0.1:${port}/`), /the admin listener of this server/);
    assert.equal((await lua(server, `return http.get("${server.url}/none")`)).status, 404); // its own public one is not secret
});

test('nor when it is bound to every address, by any of them', async (t) => {
    const server = await serve(t, { admin: '0.0.0.0:0', env: { CRESCENT_ADMIN_TOKEN: 'x'.repeat(32) } });
    const { port } = new URL(server.admin);
    const own = Object.values(os.networkInterfaces()).flat().filter((a) => a.family === 'IPv4').map((a) => a.address);
    for (const host of ['127.0.0.1', '127.0.0.2', 'localhost', ...own]) await refused(server, `http://${host}:${port}/`);
    // another server of this machine, at another port, is reached
    const up = await plain(t);
    assert.equal((await lua(server, `return http.get("${up.url}")`)).status, 200);
});

test('nor when it is bound by name', async (t) => {
    const server = await serve(t, { admin: 'localhost:0' });
    const { port } = new URL(server.admin);
    await refused(server, `http://127.0.0.1:${port}/`);
    await refused(server, `http://localhost:${port}/`);
});

test('private = false: no private address, by name, number or redirect, and not on a connection that is there already', async (t) => {
    const up = await plain(t);
    const server = await serve(t);
    const own = Object.values(os.networkInterfaces()).flat().filter((a) => a.family === 'IPv4' && !a.internal).map((a) => a.address);
    assert.equal((await lua(server, `return http.get("${up.url}")`)).status, 200); // leaves a connection
    for (const host of ['127.0.0.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', '10.0.0.1', '192.168.1.1', '172.16.0.1', '100.64.0.1', '[fd00::1]', '[64:ff9b::a00:1]',
        ...own.filter((ip) => /^(10|192\.168|172\.(1[6-9]|2\d|3[01]))\./.test(ip))])
        await refused(server, `http://${host}:${up.port}/`, ', private = false');
    assert.equal(up.requests.length, 1);
    assert.equal((await lua(server, `return http.get("${up.url}")`)).status, 200);
});

test('no proxy of the environment is asked', async (t) => {
    let asked = 0;
    const proxy = net.createServer((socket) => { asked++; socket.destroy(); });
    await new Promise((done) => proxy.listen(0, '127.0.0.1', done));
    t.after(() => proxy.close());
    const url = `http://127.0.0.1:${proxy.address().port}`;
    const up = await plain(t);
    const server = await serve(t, { env: { http_proxy: url, https_proxy: url, HTTP_PROXY: url, all_proxy: url, ALL_PROXY: url } });
    assert.equal((await lua(server, `return http.get("${up.url}")`)).status, 200);
    assert.equal(asked, 0);
});
