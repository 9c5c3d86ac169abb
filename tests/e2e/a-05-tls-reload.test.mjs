// Certificates are renewed by HUP: who is connected stays, who comes sees the new one, sessions go on.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import tls from 'node:tls';
import { ask, authority, config, entry, sClient } from './authority.mjs';
import { folder, start, until } from './helper.mjs';

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
