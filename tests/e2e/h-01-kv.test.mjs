import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { folder, request, sleep, start, threadSanitizer, ms, until } from './helper.mjs';
import { allKeys, ask, askIn, clients, hooks, sql } from './kv.mjs';

test('every call, over all workers alike; the sqlite3 shell shows what is there', async (t) => {
    const server = await start(t, { hooks, workers: 3 });
    assert.deepEqual(await ask(server, 'get', 'a'), [null]);
    assert.deepEqual(await ask(server, 'set', 'a', 'words'), [true]);
    for (let i = 0; i < 12; i++) assert.deepEqual(await ask(server, 'get', 'a'), ['words']);
    assert.deepEqual(await ask(server, 'add', 'a', 'other'), [false]);
    assert.deepEqual(await ask(server, 'add', 'b', { list: [1, 2, { deep: null }], empty: {} }), [true]);
    assert.deepEqual(await ask(server, 'get', 'b'), [{ list: [1, 2, { deep: null }], empty: {} }]);
    assert.deepEqual(await ask(server, 'incr', 'n'), [1]);
    assert.deepEqual(await ask(server, 'incr', 'n', 41), [42]);
    assert.deepEqual(await ask(server, 'incr', 'a'), [null, { code: 'not_a_number', words: 'kv.incr: a: the value there is not a number' }]);
    assert.deepEqual(await ask(server, 'ttl', 'a'), ['forever']);
    assert.deepEqual(await ask(server, 'ttl', 'none'), [null]);
    assert.deepEqual(await ask(server, 'list', ''), [['a', 'b', 'n']]);
    assert.deepEqual(await ask(server, 'list', '', { limit: 2 }), [['a', 'b'], 'b']);
    assert.deepEqual(await ask(server, 'list', '', { after: 'b' }), [['n']]);
    assert.deepEqual(await ask(server, 'delete', 'a'), [true]);
    assert.deepEqual(await ask(server, 'delete', 'a'), [false]);
    assert.deepEqual(await askIn(server, 'mine', 'set', 'n', '42'), [true]);
    assert.deepEqual(await askIn(server, 'mine', 'get', 'n'), ['42']); // a text stays one
    assert.deepEqual(await ask(server, 'get', 'n'), [42]);
    assert.equal(await sql(path.join(server.dir, 'crescent.db'), 'SELECT bucket, key, kind, value FROM kv ORDER BY bucket, key'),
        '|b|table|{"list":[1,2,{"deep":null}],"empty":{}}\n|n|number|42\nmine|n|string|42'.replace('{"list":[1,2,{"deep":null}],"empty":{}}',
            await sql(path.join(server.dir, 'crescent.db'), "SELECT value FROM kv WHERE key = 'b'")));
    assert.equal(await sql(path.join(server.dir, 'crescent.db'), 'PRAGMA integrity_check'), 'ok');
});

test('values of a MiB, and keys of 512 bytes; more is an error of the script that says so', async (t) => {
    const big = 'x'.repeat(1 << 20), key = 'k'.repeat(512);
    const server = await start(t, { workers: 2, hooks: { ...hooks,
        'put.lua': 'return { max_body = "4MiB", handle = function(req) kv.set(req.query.key, req.body) return "put" end }',
        'take.lua': 'return function(req) return reply.bytes(kv.get(req.query.key)) end' } });
    assert.equal((await server.post(`/put?key=${key}`, big)).text, 'put');
    assert.equal((await server.get(`/take?key=${key}`)).text, big);
    assert.equal((await server.post(`/put?key=${key}`, `${big}y`)).status, 500);
    await server.said((r) => /kv.set: a value has at most 1048576 bytes/.test(JSON.stringify(r)));
    assert.equal((await server.post(`/put?key=${key}k`, 'x')).status, 500);
    await server.said((r) => /kv.set: a key has 1 to 512 bytes, not 513/.test(JSON.stringify(r)));
    // Many of them at once: more than the window between a worker and the keeper holds.
    const bytes = Buffer.from(Array.from({ length: 1 << 18 }, (_, i) => i & 255));
    assert.ok((await Promise.all(Array.from({ length: 60 }, (_, i) => server.post(`/put?key=many${i}`, bytes)))).every((r) => r.text === 'put'));
    const back = await Promise.all(Array.from({ length: threadSanitizer ? 120 : 240 }, (_, i) => server.get(`/take?key=many${i % 60}`)));
    assert.deepEqual(back.filter((r) => r.status !== 200).map((r) => r.text), []);
    assert.ok(back.every((r) => r.body.equals(bytes)));
});

test('tables come back however deep the bodies of requests may be', async (t) => {
    const server = await start(t, { config: 'return { limits = { json_depth = 4 } }', workers: 1, hooks: { 'deep.lua': `return { methods = { "GET" }, handle = function(req)
        local deep = 1
        for i = 1, tonumber(req.query.n) do deep = { a = deep } end
        kv.set("deep", deep)
        local back, n = kv.get("deep"), 0
        while type(back) == "table" do back, n = back.a, n + 1 end
        return { n, (json.decode(("[") : rep(5) .. ("]") : rep(5))) == nil }
    end }` } });
    for (const n of [4, 5, 128]) assert.deepEqual((await server.get(`/deep?n=${n}`)).json, [n, true]);
});

test('incr from everywhere at once: every one counts once, and each result is given once; of many adds one is the first', async (t) => {
    const server = await start(t, { hooks, workers: 4 });
    const running = clients(server, () => '/incr?key=n', 32);
    await sleep(ms(2000));
    const { good, bad, answers } = await running.stop();
    assert.deepEqual(bad, []);
    assert.ok(good.length > 100);
    assert.deepEqual([...answers.values()].map(Number).sort((a, b) => a - b), Array.from({ length: good.length }, (_, i) => i + 1));
    assert.deepEqual(await ask(server, 'get', 'n'), [good.length]);
    for (let round = 0; round < 5; round++) {
        const firsts = await Promise.all(Array.from({ length: 40 }, (_, i) => ask(server, 'add', `once${round}`, i)));
        assert.equal(firsts.filter(([first]) => first).length, 1);
        assert.deepEqual(await ask(server, 'get', `once${round}`), [firsts.findIndex(([first]) => first)]);
    }
});

test('what waits together shares a commit', async (t) => {
    const server = await start(t, { hooks: { 'many.lua': `return { methods = { "GET" }, timeout = "60s", handle = function(req)
        local all = {}
        for i = 1, 64 do all[i] = coroutine.wrap(function() for n = 1, 5 do kv.incr("n" .. i) end end) end
        for i = 1, 64 do all[i]() end
        return "done"
    end }` }, workers: 2 });
    // Coroutines of one script take turns, requests do not: sixteen at once wait for the same commits.
    const before = await server.metric('crescent_store_commits_total');
    const replies = await Promise.all(Array.from({ length: 16 }, () => server.get('/many')));
    assert.ok(replies.every((r) => r.text === 'done'));
    const commits = await server.metric('crescent_store_commits_total') - before;
    const changes = await server.metric('crescent_store_operations_total', 'kind="change"');
    assert.equal(changes, 16 * 64 * 5);
    assert.ok(commits < changes / 4, `${commits} commits for ${changes} changes`); // usual: a tenth
});

test('more at once than the store takes waits for its turn, five seconds at most; nothing is refused at once', async (t) => {
    const server = await start(t, { workers: 1, hooks: { ...hooks, 'many.lua': `return { methods = { "GET" }, timeout = "60s", handle = function(req)
        local size, list = tonumber(req.query.size), {}
        for i = 1, tonumber(req.query.count) do
            list[i] = function() return kv.set("many:" .. i % 32, ("x"):rep(size - 1) .. i % 10) end
        end
        return tostring(#parallel(list))
    end }` } });
    const count = threadSanitizer ? 8 : 32; // MiB: what copying them takes must be within the five seconds
    const reply = await server.get(`/many?count=${count}&size=${1 << 20}`);
    assert.equal(reply.text, String(count), reply.text);
    assert.equal((await server.get('/many?count=8000&size=1')).text, '8000');
    const [keeper] = server.children('keeper');
    process.kill(keeper, 'SIGSTOP');
    try {
        const began = Date.now();
        const late = await server.get(`/many?count=32&size=${1 << 20}`);
        assert.equal(late.status, 503);
        assert.match(late.json.detail, /^the store is not available/);
        assert.ok(Date.now() - began >= 4900, `${Date.now() - began} ms`);
        assert.equal((await server.get('/hello')).text, 'hello');
    } finally {
        process.kill(keeper, 'SIGCONT');
    }
    await until(() => ask(server, 'incr', 'after').then(([n]) => n > 0, () => false), 'the store again', 10000);
});

test('times to live: what has expired is not there, is not listed, and leaves the file', async (t) => {
    const server = await start(t, { hooks, workers: 2 });
    await ask(server, 'set', 'short', 'x', { ttl: '300ms' });
    await ask(server, 'set', 'long', 'x', { ttl: '1h' });
    await ask(server, 'incr', 'window', 1, { ttl: '300ms' });
    await ask(server, 'incr', 'window', 1, { ttl: '1h' }); // counts on; its time is that of the first
    const [left] = await ask(server, 'ttl', 'long');
    assert.ok(left > 3590 && left <= 3600, `${left}`);
    await sleep(350);
    assert.deepEqual(await ask(server, 'get', 'short'), [null]);
    assert.deepEqual(await ask(server, 'get', 'window'), [null]);
    assert.deepEqual(await ask(server, 'ttl', 'short'), [null]);
    assert.deepEqual(await ask(server, 'list', ''), [['long']]);
    const file = path.join(server.dir, 'crescent.db');
    await until(async () => await sql(file, 'SELECT group_concat(key) FROM kv') === 'long', 'the sweep', 10000);
    await ask(server, 'set', 'long', 'y');
    assert.deepEqual(await ask(server, 'ttl', 'long'), ['forever']);
});

test('a list of thousands, page by page, while others write', async (t) => {
    const server = await start(t, { hooks: { ...hooks, 'fill.lua': `return { methods = { "GET" }, timeout = "60s", handle = function(req)
        for i = tonumber(req.query.from), tonumber(req.query.to) do kv.set(("item:%05d"):format(i), i) end
        return "filled"
    end }` }, workers: 2 });
    const replies = await Promise.all(Array.from({ length: 25 }, (_, i) => server.get(`/fill?from=${i * 100}&to=${i * 100 + 99}`)));
    assert.ok(replies.every((r) => r.text === 'filled'));
    const running = clients(server, (n) => `/set?key=other${n % 50}&value=x`, 4);
    const keys = await allKeys(server, 'item:');
    await running.stop();
    assert.equal(keys.length, 2500);
    assert.deepEqual(keys, [...keys].sort());
});

test('at load a bucket can be had, and no call made', async (t) => {
    const server = await start(t, { hooks: {
        'early.lua': 'local x = kv.get "a"\nreturn function() return "x" end',
        'bucket.lua': 'local seen = kv.bucket "seen"\nreturn function() return tostring(seen.incr "n") end',
        '_lib/store.lua': 'return kv.bucket "lib"',
        'lib.lua': 'local b = require "_lib.store"\nreturn function() return tostring(b.incr "n") end',
    } });
    assert.equal((await server.get('/early')).status, 503);
    await server.said((r) => /early.lua:1: kv.get: cannot wait while the script loads/.test(JSON.stringify(r)));
    assert.equal((await server.get('/bucket')).text, '1');
    assert.equal((await server.get('/bucket')).text, '2');
    assert.equal((await server.get('/lib')).text, '1');
});

test('what is there outlives the server', async (t) => {
    const dir = folder(t);
    for (let life = 1; life <= 3; life++) {
        const server = await start(t, { hooks, dir, workers: 1 });
        assert.deepEqual(await ask(server, 'incr', 'lives'), [life]);
        await server.stop();
        assert.ok(!fs.existsSync(path.join(dir, 'crescent.db-wal')), 'the log was brought in');
    }
});

test('a request that is given up leaves its call as it is', async (t) => {
    const server = await start(t, { hooks: { ...hooks, 'late.lua': 'return { methods = { "GET" }, timeout = "200ms", handle = function() kv.incr "begun" sleep "5s" kv.incr "ended" end }' }, workers: 1 });
    assert.equal((await request(`${server.url}/late`)).status, 504);
    assert.deepEqual(await ask(server, 'get', 'begun'), [1]);
    assert.deepEqual(await ask(server, 'get', 'ended'), [null]);
});
