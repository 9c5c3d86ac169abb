// req:save: bodies become files beneath `files`, whole or not at all, whatever client, path or death comes in between.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { folder, ms, request, request2, run, session, sleep, start, tool, until } from './helper.mjs';

const save = `return { max_body = "32MiB", handle = { POST = function(req)
  local saved, err = req:save(req.query.name or "", { overwrite = req.query.overwrite == "1", mkdir = req.query.mkdir == "1" })
  if not saved then return 409, { code = err.code, words = tostring(err) } end
  return 201, saved
end } }`;
const config = 'return { limits = { body = "64MiB" } }';
const sum = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');

test('a body is saved whole, over HTTP/1.1 and HTTP/2, chunked and empty; the folder is made at the start', async (t) => {
    const server = await start(t, { hooks: { 'save.lua': save }, config });
    const files = path.join(server.dir, 'files');
    assert.ok(fs.existsSync(files));
    const body = crypto.randomBytes(9 * 1024 * 1024 + 11);
    const input = path.join(server.dir, 'input.bin');
    fs.writeFileSync(input, body);
    const out = await tool('curl', ['-sS', '-w', ' %{http_code}', '--data-binary', `@${input}`, '-H', 'content-type: application/octet-stream',
        `${server.url}/save?name=curl.bin`]);
    assert.equal(out, 'curl.bin 201');
    await tool('curl', ['-sS', '-f', '-H', 'transfer-encoding: chunked', '-T', input, '-X', 'POST', `${server.url}/save?name=chunked.bin`]);
    const client = await session(t, server.url);
    assert.equal((await request2(client, '/save?name=two%2Fh2.bin&mkdir=1', { method: 'POST', body })).text, 'two/h2.bin');
    assert.equal((await server.post('/save?name=empty', '')).status, 201);
    for (const name of ['curl.bin', 'chunked.bin', 'two/h2.bin']) assert.equal(sum(fs.readFileSync(path.join(files, name))), sum(body), name);
    assert.equal(fs.statSync(path.join(files, 'empty')).size, 0);
    assert.deepEqual(fs.readdirSync(files).sort(), ['chunked.bin', 'curl.bin', 'empty', 'two']);
});

test('nothing is overwritten unasked, and no path or link leads out', async (t) => {
    const dir = folder(t);
    fs.mkdirSync(path.join(dir, 'kept'));
    fs.symlinkSync('..', path.join(dir, 'kept/up'));
    fs.symlinkSync('/tmp', path.join(dir, 'kept/tmp'));
    const server = await start(t, { dir, hooks: { 'save.lua': save }, config: 'return { files = "kept" }' });
    const code = async (query, body = 'x') => {
        const answer = await server.post(`/save?${query}`, body);
        return answer.status === 201 ? 'saved' : answer.json.code;
    };
    assert.equal(await code('name=a', 'one'), 'saved');
    assert.equal(await code('name=a', 'two'), 'exists');
    assert.equal(fs.readFileSync(path.join(dir, 'kept/a'), 'utf8'), 'one');
    assert.equal(await code('name=a&overwrite=1', 'two'), 'saved');
    assert.equal(fs.readFileSync(path.join(dir, 'kept/a'), 'utf8'), 'two');
    for (const name of ['', '/etc/x', '../x', 'b/../../x', 'b%00', 'b%0a', 'b/', '..', 'n'.repeat(300)])
        assert.equal(await code(`name=${name}&mkdir=1&overwrite=1`), 'bad_path', name);
    assert.equal(await code('name=up/x&overwrite=1'), 'outside');
    assert.equal(await code('name=tmp/x&mkdir=1'), 'outside');
    assert.equal(await code('name=none/x'), 'not_found');
    assert.equal(await code('name=a/x&mkdir=1'), 'not_a_file');
    assert.deepEqual(fs.readdirSync(dir).filter((name) => !name.startsWith('crescent.db')).sort(), ['crescent.lua', 'hooks', 'kept']);
    const answer = await server.post('/save?name=up/x');
    assert.ok(!answer.text.includes(dir), answer.text);
});

test('of many saves to one name one wins', async (t) => {
    const server = await start(t, { hooks: { 'save.lua': save }, config });
    const bodies = Array.from({ length: 20 }, (_, i) => Buffer.alloc(600 * 1024, 65 + i));
    const answers = await Promise.all(bodies.map((body) => server.post('/save?name=one', body)));
    const winner = answers.findIndex((a) => a.status === 201);
    assert.deepEqual(answers.map((a) => a.status).sort(), [201, ...Array(19).fill(409)]);
    assert.ok(fs.readFileSync(path.join(server.dir, 'files/one')).equals(bodies[winner]));
    assert.deepEqual(fs.readdirSync(path.join(server.dir, 'files')), ['one']);
});

test('clients that leave, and a deadline in the middle, leave a whole file or none', async (t) => {
    const hooks = {
        'finish.lua': save, 'cancel.lua': save.replace('{ max_body', '{ on_disconnect = "cancel", max_body'),
        'short.lua': save.replace('{ max_body', '{ timeout = "1ms", max_body'),
    };
    const server = await start(t, { hooks, config });
    const body = crypto.randomBytes(8 * 1024 * 1024);
    for (let i = 0; i < 6; i++) {
        const kind = i % 2 ? 'cancel' : 'finish';
        const socket = net.connect(server.port, '127.0.0.1').on('error', () => {});
        socket.write(`POST /${kind}?name=${kind}${i} HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n`);
        await new Promise((done) => socket.write(body, done));
        socket.resetAndDestroy();
        const client = await session(t, server.url);
        const stream = client.request({ ':method': 'POST', ':path': `/${kind}?name=two-${kind}${i}` }).on('error', () => {});
        await new Promise((done) => stream.end(body, done));
        client.destroy();
        const late = await server.post(`/short?name=short${i}`, body);
        assert.ok([504, 201].includes(late.status), String(late.status));
    }
    assert.equal((await server.post('/finish?name=last', body)).status, 201);
    await sleep(ms(300));
    for (const name of fs.readdirSync(path.join(server.dir, 'files')))
        assert.equal(sum(fs.readFileSync(path.join(server.dir, 'files', name))), sum(body), name);
});

test('a worker killed while it saves leaves whole files only, and what was answered is there', async (t) => {
    const server = await start(t, { hooks: { 'save.lua': save }, config });
    const files = path.join(server.dir, 'files');
    const body = crypto.randomBytes(3 * 1024 * 1024), promised = new Set();
    let going = true, count = 0;
    const clients = Array.from({ length: 4 }, async () => {
        while (going) {
            const name = `f${count++}`;
            const answer = await request(`${server.url}/save?name=${name}&overwrite=${count % 2}`, { method: 'POST', body }).catch(() => null);
            if (answer?.status === 201) promised.add(name);
        }
    });
    for (let kills = 0; kills < 6; kills++) {
        const before = promised.size;
        await until(() => promised.size > before + 2, 'saves between two kills', 20000);
        process.kill(server.children('worker')[kills % 2], 'SIGKILL');
        await sleep(ms(150));
    }
    going = false;
    await Promise.all(clients);
    const there = fs.readdirSync(files);
    for (const name of there) assert.equal(sum(fs.readFileSync(path.join(files, name))), sum(body), name);
    for (const name of promised) assert.ok(there.includes(name), name);
    assert.ok(promised.size > 12);
});

test('a full disk is no_space, and nothing is left on it', async (t) => {
    const dir = folder(t), files = path.join(dir, 'files');
    fs.mkdirSync(files);
    try {
        await tool('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', files]);
    } catch {
        t.skip('no right to mount');
        return;
    }
    try {
        const server = await start(t, { dir, hooks: { 'save.lua': save }, config });
        assert.equal((await server.post('/save?name=large', Buffer.alloc(4 * 1024 * 1024))).json.code, 'no_space');
        assert.deepEqual(fs.readdirSync(files), []);
        assert.equal((await server.post('/save?name=small', Buffer.alloc(500 * 1024))).status, 201);
        await server.stop();
    } finally {
        await tool('umount', ['-l', files]);
    }
});

test('a disk that hangs holds up its own requests, up to their deadline, and nobody else', async (t) => {
    const dir = folder(t), files = path.join(dir, 'files'), image = path.join(dir, 'image');
    fs.mkdirSync(files);
    try {
        fs.writeFileSync(image, '');
        fs.truncateSync(image, 64 * 1024 * 1024);
        await tool('mkfs.ext4', ['-q', image]);
        await tool('mount', ['-o', 'loop', image, files]);
    } catch {
        t.skip('no right to mount');
        return;
    }
    // whatever becomes of this test, the disk shall not hang for ever
    const guard = spawn('sh', ['-c', `sleep 60; fsfreeze -u '${files}'`], { stdio: 'ignore', detached: true });
    const thaw = () => tool('fsfreeze', ['-u', files]).catch(() => {});
    try {
        const hooks = { 'save.lua': save.replace('{ max_body', `{ timeout = "${ms(500)}ms", max_body`), 'hello.lua': 'return function() return "hello" end' };
        const server = await start(t, { dir, hooks, workers: 1 });
        assert.equal((await server.post('/save?name=before', 'x')).status, 201);
        await tool('fsfreeze', ['-f', files]);
        const saves = Array.from({ length: 320 }, (_, i) => server.post(`/save?name=hung${i}`, 'x'));
        for (let i = 0; i < 10; i++) {
            const begun = Date.now();
            assert.equal((await server.get('/hello')).text, 'hello');
            assert.ok(Date.now() - begun < ms(5000)); // it hangs for longer
        }
        const answers = await Promise.all(saves);
        const late = answers.filter((a) => a.status === 504).length, busy = answers.filter((a) => a.status === 409 && a.json.code === 'busy').length;
        assert.equal(late + busy, 320);
        assert.ok(late >= 256 && busy > 0, `${late} late, ${busy} busy`);
        await thaw();
        await until(async () => (await server.post('/save?name=after&overwrite=1', 'x')).status === 201, 'saves go on', 10000);
        const there = fs.readdirSync(files).filter((name) => name.startsWith('hung'));
        assert.ok(there.length <= 4, `saved for nobody: ${there}`); // those that had begun when the disk hung
        await server.stop();
    } finally {
        await thaw();
        process.kill(-guard.pid);
        await tool('umount', ['-l', files]); // the server has it open still where this has failed
    }
});

test('a folder of files that is none is refused at the start', async (t) => {
    const dir = folder(t);
    fs.mkdirSync(path.join(dir, 'hooks'));
    fs.writeFileSync(path.join(dir, 'kept'), '');
    fs.writeFileSync(path.join(dir, 'crescent.lua'), 'return { files = "kept" }');
    const ended = await run(['serve', '--listen', '127.0.0.1:0', '--admin', 'off'], { cwd: dir });
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /crescent\.lua:1: files\): not a folder/);
    for (const files of ['/proc/kept', '/proc', '/sys/kept/below']) {
        fs.writeFileSync(path.join(dir, 'crescent.lua'), `return { files = "${files}" }`);
        for (const args of [['serve', '--listen', '127.0.0.1:0', '--admin', 'off'], ['check'], ['routes']]) {
            const refused = await run(args, { cwd: dir });
            assert.equal(refused.code, 1, `${args[0]} ${files}`);
            assert.match(refused.stderr, new RegExp(`^crescent: files folder ${files} \\(crescent\\.lua:1: files\\): it is in (proc|sysfs), .*\n$`));
        }
    }
});
