// The log: a record for each exchange, whose it is, what never stands in it, and that it never holds anyone up.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { folder, load, ms, request2, session, sleep, start, until, write } from './helper.mjs';

const hooks = {
    'hello.lua': 'return function() return "hello" end',
    'fails.lua': 'return function() error("no luck") end',
    'slow.lua': 'return { timeout = "100ms", methods = { "GET" }, handle = function() sleep "5s" return "late" end }',
    'waits.lua': 'return { methods = { "GET" }, handle = function() sleep "5s" return "late" end }',
    'keyed.lua': 'return { verify = verify.api_key { header = "x-shop", keys = { alice = env.ALICE_KEY } }, handle = function() return "in" end }',
    'stream.lua': 'return { methods = { "GET" }, handle = function() return reply.stream(function(write) for i = 1, 3 do write(("x"):rep(100)) sleep "5ms" end end) end }',
    'long.lua': 'return function(req) log.info("long", { n = req.query.n, text = ("x"):rep(9000) }) return "ok" end',
    'says.lua': 'return function(req) log.info("said", { n = req.query.n }) return "ok" end',
};
const requests = (r) => /^request( refused| gone| cut)?$/.test(r.message);
const trace = '0af7651916cd43dd8448eb211c80319c';

test('each exchange has one record that says what it was and how it ended', async (t) => {
    const server = await start(t, { hooks, workers: 1, dotenv: 'ALICE_KEY=alice-her-key', config: 'return { log = { access = "all" } }' });
    const ended = async (path) => {
        const all = await until(() => { const found = server.records((r) => requests(r) && r.path === path); return found.length && found; }, () => `record of ${path}\n${server.tail()}`);
        assert.equal(all.length, 1);
        return all[0];
    };
    await server.post('/hello?key=visible', 'twelve bytes', { 'user-agent': 'test/1', host: 'Hooks.example.com:1' });
    const hello = await ended('/hello');
    assert.deepEqual([hello.message, hello.method, hello.status, hello.endpoint, hello.bytes_in, hello.bytes_out, hello.ip, hello.host, hello.version, hello.user_agent],
        ['request', 'POST', 200, 'hello', 12, 5, '127.0.0.1', 'hooks.example.com', '1.1', 'test/1']);
    assert.ok(hello.duration_ms > 0 && hello.duration_ms < ms(1000), `${hello.duration_ms}`);
    assert.match(hello.request_id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    assert.equal(hello.trace_id, hello.request_id.replaceAll('-', ''));
    assert.equal(server.records((r) => JSON.stringify(r).includes('visible')).length, 0);

    await server.get('/nowhere');
    assert.deepEqual((({ message, status, reason, endpoint }) => [message, status, reason, endpoint])(await ended('/nowhere')), ['request refused', 404, 'no_route', undefined]);
    await server.post('/fails');
    const failed = await ended('/fails');
    assert.equal(failed.status, 500);
    assert.equal(server.records('script error')[0].request_id, failed.request_id);
    await server.get('/slow');
    const slow = await ended('/slow');
    assert.equal(slow.status, 504);
    assert.ok(slow.duration_ms >= 100);
    await server.post('/keyed', '', { 'x-shop': 'alice-her-key' });
    const keyed = await ended('/keyed');
    assert.deepEqual([keyed.auth_by, keyed.auth_subject], ['api_key', 'alice']);
    await server.get('/stream');
    const stream = await ended('/stream');
    assert.equal(stream.status, 200);
    assert.ok(stream.bytes_out >= 300 && stream.bytes_out < 400, `${stream.bytes_out}`); // with the framing of its pieces
    assert.ok(stream.duration_ms >= 10);

    const client = await session(t, server.url);
    await request2(client, '/says?n=1', { method: 'POST', body: 'x' });
    assert.equal((await ended('/says')).version, '2');
    const gone = client.request({ ':path': '/waits', ':method': 'GET' });
    await sleep(100);
    gone.close(8);
    assert.equal((await ended('/waits')).message, 'request gone');
    assert.equal(server.log.filter((r) => r.path === '/waits').length, 1);
});

test('a trace that the caller names is in every line of the request, and answered with; a malformed one is not', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    const good = await server.post('/says?n=1', '', { traceparent: `00-${trace}-b7ad6b7169203331-01` });
    assert.match(good.headers.traceresponse, new RegExp(`^00-${trace}-(?!b7ad6b7169203331)[0-9a-f]{16}-01$`));
    const said = await server.said('said');
    const record = await server.said((r) => requests(r) && r.path === '/says', 'the record');
    assert.deepEqual([said.trace_id, said.request_id, said.endpoint], [trace, record.request_id, 'says']);
    assert.equal(record.trace_id, trace);
    const stream = await server.get('/stream', { traceparent: `00-${trace}-b7ad6b7169203331-00` });
    assert.match(stream.headers.traceresponse, new RegExp(`^00-${trace}-[0-9a-f]{16}-00$`));
    assert.match((await server.get('/nowhere', { traceparent: `00-${trace}-b7ad6b7169203331-00` })).headers.traceresponse, /^00-/);
    for (const bad of [`00-${trace}-b7ad6b7169203331-01-x`, `00-${'0'.repeat(32)}-b7ad6b7169203331-01`, 'x'])
        assert.equal((await server.post('/says', '', { traceparent: bad })).headers.traceresponse, undefined);
    assert.equal((await server.post('/says')).headers.traceresponse, undefined);
});

test('secrets of headers, query, body, env and log fields are nowhere in the log', async (t) => {
    const secrets = ['Sw0rdfish-bearer', 'c00kie-of-a-session', 'query-t0ken-value', 'b0dy-secret', 'field-t0ken', 'nested-passw0rd', 'alice-her-key-123', 'a-l0ng-unnamed-value-of-env', 'he-ader-signature'];
    const server = await start(t, {
        hooks: {
            'hello.lua': 'return function() return "x" end',
            'leaky.lua': `return { verify = verify.api_key { header = "x-shop", keys = { alice = env.ALICE_KEY } }, handle = function(req)
                log.info("plain " .. env.ALICE_KEY .. " and " .. env.UNNAMED, { token = "field-t0ken", deep = { list = { { password = "nested-passw0rd", shown = "shown-value" } } },
                    headers = { authorization = req.headers.authorization, cookie = req.headers.cookie, ["x-hub-signature"] = req.headers["x-hub-signature"] },
                    quoted = ("<%s>"):format(env.ALICE_KEY), tokens = 17, url = "https://x/" .. env.ALICE_KEY })
                print("printed", env.ALICE_KEY)
                error("failed with " .. env.ALICE_KEY) end }`,
            'broken.lua': 'error("cannot load with " .. env.ALICE_KEY)',
        },
        dotenv: 'ALICE_KEY=alice-her-key-123\nUNNAMED=a-l0ng-unnamed-value-of-env', workers: 1, config: 'return { log = { access = "all", level = "debug" } }',
    });
    const headers = { authorization: 'Bearer Sw0rdfish-bearer', cookie: 'session=c00kie-of-a-session', 'x-shop': 'alice-her-key-123', 'x-hub-signature': 'he-ader-signature' };
    await server.post('/leaky?token=query-t0ken-value', '{"secret":"b0dy-secret"}', headers);
    await server.post('/leaky/alice-her-key-123?token=query-t0ken-value', '', { ...headers, 'x-shop': 'wrong' });
    await server.post('/hello', 'b0dy-secret', headers);
    await server.said((r) => r.path === '/hello', 'the last record');
    const plain = (await server.said('plain'));
    assert.equal(plain.message, 'plain [redacted] and [redacted]');
    assert.equal(plain.tokens, 17);
    assert.equal(plain.deep.list[0].shown, 'shown-value');
    assert.equal(plain.quoted, '<[redacted]>');
    assert.match((await server.said('script error')).error, /failed with \[redacted\]/);
    assert.ok(server.log.some((r) => /cannot load with \[redacted\]/.test(JSON.stringify(r))), server.tail());
    await server.stop();
    const all = [...server.log.map((r) => JSON.stringify(r)), ...server.noise].join('\n');
    for (const secret of secrets) assert.ok(!all.includes(secret), secret);
});

test('values of env are nowhere, however many there are and whoever sends them; each line stays JSON', async (t) => {
    const many = Array.from({ length: 300 }, (_, i) => `an-unnamed-value-of-env-no-${i}!`);
    const secrets = [...many, '987654321', 'S3cret-of-a-Host', 'agent-of-a-t0ken', 'alice-the-subject'];
    const dir = folder(t);
    write(dir, { 'files/a': '' });
    fs.symlinkSync('/etc/hostname', path.join(dir, 'files/987654321')); // leads out: it is not sent, and that is said
    const server = await start(t, {
        dir,
        hooks: {
            'hello.lua': 'return function() return "x" end',
            'keyed.lua': 'return { verify = verify.api_key { header = "x-shop", keys = { ["alice-the-subject"] = "of the shop" } }, handle = function() return "in" end }',
            'numbers.lua': `return function() log.info("numbers", { n = 98765432101, half = 0.5, t = { a = 987654321, deep = { { -9876543210.5, 7 } }, [env.API_KEY] = "b" },
                    nul = "a\0b", [env.API_KEY] = 1 })
                log.info("abc\0def")
                return "x" end`,
            'many.lua': `return function() for i = 0, 299 do log.info("one of many: " .. env["V" .. i], { v = env["V" .. i], t = { env["V" .. i] } }) end
                error("all: " .. env.V0 .. env.V150 .. env.V299) end`,
            'gone.lua': 'return function() return reply.file(env.API_KEY) end',
        },
        dotenv: [...many.map((v, i) => `V${i}=${v}`), 'API_KEY=987654321', 'HOST_TOKEN=S3cret-of-a-Host', 'AGENT_TOKEN=agent-of-a-t0ken', 'ALICE_SECRET=alice-the-subject'].join('\n'),
        workers: 1, config: 'return { files = "files", log = { access = "all" } }',
    });
    for (const target of ['/numbers', '/many', '/gone']) await server.post(target);
    await server.post('/keyed', '', { 'x-shop': 'of the shop' });
    await server.post('/hello', '', { host: 'S3cret-of-a-Host.example.com:80', 'user-agent': 'x/1 agent-of-a-t0ken' });
    const record = await server.said((r) => r.path === '/hello', 'the last record');
    assert.deepEqual([record.host, record.user_agent], ['[redacted].example.com:80', 'x/1 [redacted]']);
    assert.equal(server.records((r) => r.path === '/keyed')[0].auth_subject, '[redacted]');
    const numbers = await server.said('numbers');
    assert.deepEqual([numbers.n, numbers.half, numbers.nul, numbers['[redacted]']], ['[redacted]', 0.5, 'a\0b', 1]);
    assert.deepEqual(numbers.t, { a: '[redacted]', deep: [['[redacted]', 7]], '[redacted]': 'b' });
    await server.said('abc\0def');
    await until(() => server.records('one of many: [redacted]').length === 300, 'a line for each');
    assert.match((await server.said('script error')).error, /all: (\[redacted\]){3}/);
    assert.match((await server.said('file cannot be sent')).error, /\[redacted\]/);
    await server.stop();
    assert.deepEqual(server.noise, []);
    const all = server.log.map((r) => JSON.stringify(r).replaceAll(/"(time|[a-z]+_id)":"[^"]*"/g, '')).join('\n');
    for (const secret of secrets) assert.ok(!all.toLowerCase().includes(secret.toLowerCase()), secret);
});

test('a value of env that a message was cut within does not stand there as far as it was', async (t) => {
    const secret = 'Kx7vQ2mTn9RbLw4Zc8Yd1Hf6Js3Gp5UaEoWi', long = 'Z9'.repeat(600);
    const hooks = {
        'nil.lua': 'return function() return nil, ("x"):rep(190) .. env.S_SECRET end',
        'stream.lua': 'return { methods = { "POST" }, handle = function() return reply.stream(function(write) write "x" return nil, ("x"):rep(190) .. env.S_SECRET end) end }',
        'says.lua': 'return function() assert(exec { "sh", "-c", "echo " .. ("p"):rep(130) .. "$S >&2; exit 1", env = { S = env.S_SECRET } }) end',
        'program.lua': 'return function() assert(exec { ("/n"):rep(18) .. env.S_SECRET }) end',
        'longest.lua': 'return function() assert(exec { ("/n"):rep(240) .. env.S_SECRET }) end',
        'cookie.lua': 'return function() return reply.text("x", { cookies = { [("c"):rep(16) .. env.S_SECRET .. " "] = "x" } }) end',
        'header.lua': 'return function() return 200, "x", { [("h"):rep(60) .. env.S_SECRET .. " "] = "x" } end',
        'load.lua': 'return function() load("--" .. ("x"):rep(20) .. env.S_SECRET .. "\\nerror(1)")() end',
        'raise.lua': 'return function() http.get("http://127.0.0.1:1", { headers = { [("h"):rep(60) .. env.S_SECRET .. " "] = "x" } }) end',
        'json.lua': 'return function() json.encode { [env.L_SECRET] = print } end',
        'file.lua': 'return function() return reply.file(("f"):rep(180) .. env.S_SECRET) end',
    };
    const server = await start(t, { hooks, dotenv: `S_SECRET=${secret}\nL_SECRET=${long}`, workers: 1, config: 'return { exec = true, files = "files", log = { access = "all" } }' });
    for (const name of Object.keys(hooks)) await server.post(`/${name.replace('.lua', '')}`).catch(() => {});
    await until(() => server.records(requests).length === Object.keys(hooks).length, () => server.tail());
    await server.stop();
    const all = [...server.log.map((r) => JSON.stringify(r)), ...server.noise];
    for (const part of [secret.slice(0, 6), long.slice(0, 6)])
        for (const line of all) assert.ok(!line.includes(part), line);
    assert.ok(all.filter((l) => /\[redacted\]\.\.\./.test(l)).length >= 8, all.join('\n'));
});

test('log.access: all, a fraction, sampled with the rest in a sum, off', async (t) => {
    const total = 2000;
    for (const [access, expected] of [['"all"', total], ['0.1', total / 10], ['"off"', 0], ['"sampled"', null]]) {
        const server = await start(t, { hooks, workers: 1, config: `return { log = { access = ${access} } }` });
        const running = [];
        for (let i = 0; i < 8; i++) running.push((async () => { for (let k = 0; k < total / 8; k++) await server.post('/hello'); })());
        const began = Date.now();
        await Promise.all(running);
        const seconds = Math.ceil((Date.now() - began) / 1000) + 1;
        const left = () => server.records('more requests').reduce((sum, r) => sum + r.count, 0);
        const rest = expected === 0 ? 0 : total; // what was left out is told within two seconds
        await until(() => server.records(requests).length + left() === rest, () => `${access}: ${server.records(requests).length} and ${left()} of ${rest}`);
        const listed = server.records(requests).length;
        if (expected !== null) assert.equal(listed, expected, access);
        else assert.ok(listed >= 50 && listed <= 50 * (seconds + 1), `${listed} in ${seconds} s`);
        await server.get('/nowhere');
        if (expected !== 0) await server.said('request refused', `${access}: refused ones are listed`);
        assert.equal(server.noise.length, 0);
        await server.stop();
    }
});

// A server whose stderr is a pipe to a reader that can be stopped.
async function piped(t, options) {
    const dir = folder(t);
    const server = await start(t, { dir, hooks, ...options, prefix: ['sh', '-c', 'mkfifo log.fifo; (cat <log.fifo >&2 & echo $! >cat.pid); exec "$@" 2>log.fifo', 'sh'] });
    const reader = Number(fs.readFileSync(path.join(dir, 'cat.pid'), 'utf8'));
    server.reader = (signal) => process.kill(reader, signal);
    t.after(() => { try { server.reader('SIGKILL'); } catch { /* gone with its pipe */ } });
    return server;
}

test('a reader of the log that stalls costs lines, counted, and no time; later lines come whole', async (t) => {
    const server = await piped(t, { workers: 1, config: 'return { log = { access = "all" } }' });
    const running = () => load(`${server.url}/hello`, { connections: 8 });
    const before = running();
    await sleep(ms(700));
    await before.stop();
    server.reader('SIGSTOP');
    const stalled = running();
    await until(async () => await server.metric('crescent_log_dropped_total') > 100, 'dropped lines', 60000);
    await stalled.stop();
    assert.deepEqual(stalled.failures, []);
    assert.ok(stalled.slowest < 10 * Math.max(before.slowest, ms(20)), `${before.slowest} ms before, ${stalled.slowest} ms while stalled`);
    server.write({ 'hello.lua': 'return function() return "reloaded" end' }); // the keeper and its trials go on, too
    await until(async () => (await server.post('/hello')).text === 'reloaded', 'a reload while stalled');
    server.reader('SIGCONT');
    await until(() => server.records('log lines dropped').length > 0, 'the line about it', 10000);
    await server.get('/after');
    await server.said((r) => r.path === '/after', 'a line after it');
    assert.deepEqual(server.noise, []);
    const dropped = await server.metric('crescent_log_dropped_total');
    const listed = server.records((r) => r.path === '/hello').length, answers = before.answers + stalled.answers;
    assert.ok(listed + dropped >= answers && listed <= answers + 1000, `${listed} + ${dropped} of ${answers}`);
});

test('with the log\'s reader stopped for good the server still drains and leaves', async (t) => {
    const server = await piped(t, { workers: 1, config: 'return { log = { access = "all" } }' });
    server.reader('SIGSTOP');
    const running = load(`${server.url}/hello`, { connections: 8, judge: () => true });
    await until(async () => await server.metric('crescent_log_dropped_total') > 0, 'dropped lines', 60000);
    await running.stop();
    const exited = new Promise((done) => server.child.once('exit', done));
    const began = Date.now();
    server.child.kill('SIGTERM');
    assert.equal(await exited, 0);
    assert.ok(Date.now() - began < ms(6000), `${Date.now() - began} ms`);
    server.reader('SIGCONT');
});

test('kill -9 of the keeper under load: every answered request is in the log, each line whole', async (t) => {
    const server = await start(t, { hooks, workers: 2, config: 'return { log = { access = "all" } }' });
    const running = load(`${server.url}/hello`, { connections: 4 });
    for (let life = 1; life <= 4; life++) {
        await sleep(150);
        process.kill(server.children('keeper')[0], 'SIGKILL');
        await until(() => server.records('keeper died').length === life, () => `the supervisor's own line ${life}\n${server.tail()}`);
    }
    await sleep(300);
    const { answers, failures } = await running.stop();
    assert.deepEqual(failures, []);
    const listed = () => new Set(server.records(requests).map((r) => r.request_id)).size;
    await until(() => listed() === answers, () => `${listed()} of ${answers}`, 10000);
    assert.deepEqual(server.noise, []);
    assert.ok(server.records(requests).length - answers < 50 * 4, 'lines written twice'); // at most the chunk under way at each death
});

// Between two keepers nobody reads: the tapes hold what comes then, or (where a slow build makes that long) it is counted.
test('HUP under load: the records go on from keeper to keeper, none lost and none twice', async (t) => {
    const server = await start(t, { hooks, workers: 2, config: 'return { log = { access = "all" } }' });
    const running = load(`${server.url}/hello`, { connections: 4 });
    for (let i = 1; i <= 2; i++) {
        await sleep(200);
        server.child.kill('SIGHUP');
        await until(() => server.records('upgrade: done').length === i, () => `upgrade ${i}\n${server.tail()}`, 20000);
    }
    await sleep(200);
    const { answers, failures } = await running.stop();
    assert.deepEqual(failures, []);
    const dropped = await server.metric('crescent_log_dropped_total'), wanted = answers - dropped;
    if (ms(1) === 1) assert.equal(dropped, 0);
    await until(() => server.records(requests).length >= wanted, () => `${server.records(requests).length} and ${dropped} dropped of ${answers}`, 10000);
    const listed = server.records(requests).length;
    assert.ok(listed <= answers, `${listed} of ${answers}`);
    assert.equal(new Set(server.records(requests).map((r) => r.request_id)).size, listed);
    assert.deepEqual(server.noise, []);
});

test('kill -9 of a worker: what it had said is in the log', async (t) => {
    const server = await start(t, { hooks, workers: 1, config: 'return { log = { access = "off" } }' });
    for (let life = 0; life < 3; life++) {
        const pid = server.children('worker')[0];
        for (let i = 0; i < 40; i++) assert.equal((await server.post(`/says?n=${life}-${i}`)).text, 'ok');
        process.kill(pid, 'SIGKILL');
        await until(() => server.children('worker').some((p) => p !== pid), 'the next life');
    }
    await until(() => server.records('said').length === 120, () => `120 lines, there are ${server.records('said').length}`);
    assert.deepEqual(server.records('said').map((r) => r.n), Array.from({ length: 120 }, (_, i) => `${Math.floor(i / 40)}-${i % 40}`));
});

test('a keeper killed within a line longer than a pipe takes at once: that line is cut, nothing is glued to it, no record is lost', async (t) => {
    const server = await piped(t, { workers: 1, config: 'return { log = { access = "off" } }' });
    const sent = [], cuts = 8;
    for (let life = 0; life < cuts; life++) {
        server.reader('SIGSTOP');
        for (let i = 0; i < 20; i++) sent.push(`${life}-${i}`); // more than the pipe holds
        for (const n of sent.slice(-20)) assert.equal((await server.post(`/long?n=${n}`)).text, 'ok');
        await sleep(100);
        const keeper = server.children('keeper')[0];
        if (life % 2) server.reader('SIGCONT');
        process.kill(keeper, 'SIGKILL');
        if (life % 4 >= 2) await until(() => server.children('keeper').some((pid) => pid !== keeper), 'the next keeper');
        server.reader('SIGCONT');
        await until(() => server.children('keeper').some((pid) => pid !== keeper), 'the next keeper');
        await server.said((r) => r.message === 'long' && r.n === sent.at(-1), 'the last line');
    }
    const got = new Set(server.records('long').map((r) => r.n));
    assert.deepEqual(sent.filter((n) => !got.has(n)), []);
    assert.equal(await server.metric('crescent_log_dropped_total'), 0);
    await until(() => server.records((r) => r.process === 'supervisor' && /keeper/.test(JSON.stringify(r))).length >= cuts, 'the supervisor speaks of each death');
    assert.ok(server.noise.length > 0 && server.noise.length <= cuts, `${server.noise.length} lines cut`);
    // An empty line is one that was about to begin.
    for (const line of server.noise) assert.match(line, /^(\{"time":[^{]*"message":"long"[^{}]*)?$/, `${line.length} bytes`);
});
