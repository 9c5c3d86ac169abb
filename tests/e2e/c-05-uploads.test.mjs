import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { assertProblem, folder, ms, request2, session, start, tool, until } from './helper.mjs';

const hooks = {
    'up.lua': `return { max_body = "16MiB", handle = function(req)
        local fields, all = req:form()
        local files = {}
        for i, f in ipairs(req:files()) do
            files[i] = { name = f.name, filename = f.filename, raw = f.filename_raw, type = f.type, size = f.size, hash = crypto.sha256(f.data, "hex") }
        end
        return 200, { fields = json.object(fields), all = json.object(all), files = json.array(files) }
    end }`,
    'save.lua': `return { max_body = "16MiB", handle = function(req)
        local saved = {}
        for i, f in ipairs(req:files()) do saved[i] = assert(f:save(f.filename, { mkdir = true })) end
        return 200, json.array(saved)
    end }`,
    'kept.lua': `local kept
        return function(req)
            if req.method == "POST" then kept = req:files()[1] return 204 end
            return 200, kept.data
        end`,
    'borrowed.lua': `local kept
        return { max_body = "16MiB", handle = { POST = function(req) kept = req:files()[1] sleep "300ms" return 204 end,
            GET = function(req)
                local ok, saved, err = true, kept, nil
                if not kept then return 409 end
                while ok and saved do ok, saved, err = pcall(function() return kept:save("borrowed", { overwrite = true }) end) end
                return 200, err and err.code or "raised"
            end } }`,
    'slow.lua': `return { handle = function(req)
        local part = req:files()[1]
        sleep(0.05)
        return 200, part.data .. req:form().a
    end }`,
};
const config = 'return { files = "out" }';
const multipart = { 'content-type': 'multipart/form-data; boundary=b' };
const part = (head, data) => `--b\r\nContent-Disposition: form-data; ${head}\r\n\r\n${data}\r\n`;
const sha256 = (data) => crypto.createHash('sha256').update(data).digest('hex');

test('curl, fetch with FormData, and forms by hand arrive the same', async (t) => {
    const server = await start(t, { hooks, config });
    const dir = folder(t), big = Buffer.alloc(3 << 20, 'a\r\n--b\n');
    fs.writeFileSync(path.join(dir, 'we "ird; na\u00efve.txt'), 'hello');
    fs.writeFileSync(path.join(dir, 'big.bin'), big);
    const curl = JSON.parse(await tool('curl', ['-sS', '-F', 'tag=x', '-F', 'tag=y', '-F', 'empty=', '-F', 'up=@"we \\"ird; na\u00efve.txt";type=text/plain',
        '-F', 'big=@big.bin', `${server.url}/up`], { cwd: dir }));
    assert.deepEqual(curl.fields, { tag: 'x', empty: '' });
    assert.deepEqual(curl.all, { tag: ['x', 'y'], empty: [''] });
    assert.equal(curl.files.length, 2);
    assert.deepEqual([curl.files[0].filename, curl.files[0].type, curl.files[0].size], ['we "ird; na\u00efve.txt', 'text/plain', 5]);
    assert.deepEqual([curl.files[1].name, curl.files[1].size, curl.files[1].hash], ['big', big.length, sha256(big)]);

    const form = new FormData();
    form.append('tag', 'x\r\ny');
    form.append('na"me', '1');
    form.append('up', new Blob([big], { type: 'image/png' }), '../../\u202egpj.exe');
    const fetched = await (await fetch(`${server.url}/up`, { method: 'POST', body: form })).json();
    assert.equal(fetched.fields['na"me'], '1');
    assert.deepEqual([fetched.files[0].filename, fetched.files[0].raw, fetched.files[0].type, fetched.files[0].hash],
        ['gpj.exe', '../../\u202egpj.exe', 'image/png', sha256(big)]);
    assert.equal((await (await fetch(`${server.url}/up`, { method: 'POST', body: new FormData() })).json()).files.length, 0);
});

test('parts are saved beneath files under their bare names', async (t) => {
    const server = await start(t, { hooks, config });
    const body = part('name=a; filename="../../evil.sh"', 'one') + part('name=a; filename="dir/b.txt"', 'x'.repeat(1 << 20)) + '--b--';
    assert.deepEqual((await server.post('/save', body, multipart)).json, ['evil.sh', 'b.txt']);
    assert.equal(fs.readFileSync(path.join(server.dir, 'out/evil.sh'), 'utf8'), 'one');
    assert.equal(fs.statSync(path.join(server.dir, 'out/b.txt')).size, 1 << 20);
    assert.deepEqual(fs.readdirSync(path.join(server.dir, 'out')).sort(), ['b.txt', 'evil.sh']);
});

test('a part is good over waits, on both versions, and an error after its request', async (t) => {
    const server = await start(t, { hooks, config, workers: 1 });
    const body = part('name=up; filename=f', 'data') + part('name=a', '1') + '--b--';
    assert.equal((await server.post('/slow', body, multipart)).text, 'data1');
    const client = await session(t, server.url);
    const reply = await request2(client, '/slow', { method: 'POST', headers: multipart, body });
    assert.equal(reply.text, 'data1');
    assert.equal((await server.post('/kept', body, multipart)).status, 204);
    assertProblem(await server.get('/kept'), 500);
    await server.said((r) => /the request has ended: its parts cannot be used/.test(r.error ?? ''));
});

test('a part of another request, saved when that one ends: an error that the script can hold', async (t) => {
    const server = await start(t, { hooks, config, workers: 1 });
    const owner = server.post('/borrowed', part('name=up; filename=f', 'x'.repeat(8 << 20)) + '--b--', multipart);
    const borrow = () => until(async () => { const answer = await server.get('/borrowed'); return answer.status !== 409 && answer; }, 'the upload');
    for (const answer of await Promise.all(Array.from({ length: 12 }, borrow))) {
        assert.equal(answer.status, 200);
        assert.match(answer.text, /^(ended|raised)$/); // raised: it ended just behind the last byte of a save
    }
    assert.equal((await owner).status, 204);
    assert.ok([undefined, 8 << 20].includes(fs.statSync(path.join(server.dir, 'out/borrowed'), { throwIfNoEntry: false })?.size));
});

test('malformed forms and bombs are a 400 that says where, and cost no memory', async (t) => {
    const server = await start(t, { hooks, config, workers: 1 });
    const good = part('name=a', '1');
    const rows = [
        ['', /the boundary is nowhere in the body/],
        [good, /in part 1, at byte 51: the body ends without the last boundary/],
        [`${good}--b`, /ends within a boundary/],
        [`${good.repeat(10000)}--b--`, /in part 1001, at byte .*: too many parts/],
        [`--b\r\n${'x: y\r\n'.repeat(10000)}\r\n\r\n--b--`, /too many header fields/],
        [`--b\r\nx: ${'y'.repeat(1 << 20)}\r\n\r\n\r\n--b--`, /a part's header is too large/],
        [`${part(`name=${'n'.repeat(5000)}`, '')}--b--`, /the name is too long/],
        [`${part('name="a\0b"', '')}--b--`, /a control character/],
        [`${part('filename=x', '')}--b--`, /Content-Disposition has no name/],
        [`${part('name=a; filename=b; filename=c', '')}--b--`, /two file names/],
        [`--b\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n\r\n1\r\n--b--`, /the same header field twice/],
        [`--b\r\nContent-Disposition: form-data; name=a\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n1\r\n--b--`, /parts within a part/],
    ];
    const pid = server.children('worker')[0];
    const peak = () => Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
    for (const [body, words] of rows) assertProblem(await server.post('/up', body, multipart), 400, words);
    const before = peak();
    for (let i = 0; i < 5; i++)
        for (const [body, words] of rows) assertProblem(await server.post('/up', body, multipart), 400, words);
    assert.ok(peak() - before < ms(8 << 10), `${peak() - before} KiB`);
    for (const type of ['multipart/form-data', 'multipart/form-data; boundary=', `multipart/form-data; boundary=${'b'.repeat(71)}`,
        'multipart/form-data; boundary="a\\"b"', 'multipart/form-data; boundary=a; boundary=b'])
        assertProblem(await server.post('/up', '--b--', { 'content-type': type }), 400, /the multipart form is malformed: /);
    assertProblem(await server.post('/up', '--b--', { 'content-type': 'multipart/mixed; boundary=b' }), 415);
    // Sent in the smallest chunks that there are.
    const tiny = await new Promise((done, fail) => {
        const req = http.request(`${server.url}/up`, { method: 'POST', headers: multipart }, (res) => {
            let text = '';
            res.on('data', (d) => { text += d; }).on('end', () => done({ status: res.statusCode, text }));
        }).on('error', fail);
        for (const c of `${good}--b--`) req.write(c);
        req.end();
    });
    assert.deepEqual([tiny.status, JSON.parse(tiny.text).fields], [200, { a: '1' }]);
});
