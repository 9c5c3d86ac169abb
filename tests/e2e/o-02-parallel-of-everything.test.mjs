// parallel over everything that waits: requests, replies read piece by piece, programs, the store, time. However one of
// them ends the others (a failure, a deadline, a client that goes, a drain, a host or a process that dies), no socket,
// process or coroutine is left, and the worker lives on.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { gone, pidIn, spawnerOf, zombies } from './exec.mjs';
import { assertProblem, ms, sleep, start, until } from './helper.mjs';
import { plain } from './upstreams.mjs';

// Waits for all kinds at once: a reply that does not come, one that stops half way, a program, and time. `last` ends them.
const all = (up, last) => `
local function told()
  while kv.get "end" ~= "now" do sleep "20ms" end
end
local function everything(last)
  return parallel(
    function() return assert(http.get("${up.url}/silent")).status end,
    function() for _ in assert(http.get("${up.url}/half", { stream = true })):pieces() do end return 1 end,
    function() return assert(exec { "sh", "-c", "echo $$ >program; exec sleep 1000", timeout = "1h" }) end,
    function() sleep "1h" end,
    coroutine.wrap(function() coroutine.wrap(function() sleep "1h" end)() end),
    function() while kv.get "never" == nil do sleep "20ms" end end,
    last)
end
${last}`;

const silent = (t) => plain(t, (req, res) => {
    if (req.url === '/silent') return true;
    if (req.url === '/half') return res.write('half'), true;
});
const descriptors = (pid) => fs.readdirSync(`/proc/${pid}/fd`).length;

/** Both connections of \`everything\` are there, and its program. */
async function begun(server, up) {
    await until(() => up.requests.length >= 2 && up.sockets.size >= 2, 'both requests', 10000);
    return await pidIn(server, 'program');
}
/** Nothing of it is left. */
async function over(server, up, program, before) {
    await gone([program], 'the program', 5000);
    await until(() => up.sockets.size === 0, () => `${up.sockets.size} connections are left`, 5000);
    const [worker] = server.children('worker');
    await until(() => descriptors(worker) <= before, () => `${descriptors(worker)} descriptors, ${before} before`, 5000);
    await until(() => zombies(server.pid).length === 0, 'no zombie for long', 5000);
    fs.rmSync(path.join(server.dir, 'program'));
    up.requests.length = 0;
}
/** A server whose worker has had its first request of each kind. */
async function serve(t, hooks, options = {}) {
    const server = await start(t, { workers: 1, hooks: { ...hooks, 'hello.lua': 'return function() return "hello" end' }, ...options });
    assert.equal((await server.get('/hello')).text, 'hello');
    const [worker] = server.children('worker');
    return { server, worker, before: descriptors(worker) + 1 /* the pipe of a connection that is closing */ };
}

test('a failure, a deadline, and a client that goes: each ends requests, programs and waits', async (t) => {
    const up = await silent(t);
    const { server, worker, before } = await serve(t, {
        'fails.lua': all(up, `return function() everything(function() told() error { status = 418, detail = "enough" } end) end`),
        'caught.lua': all(up, `return function()
            local ok, err = pcall(everything, function() told() return nil, "enough" end)
            return 200, { ok, err, (kv.get "never") == nil }
        end`),
        'late.lua': all(up, `return { timeout = "${ms(2)}s", methods = { "GET" }, handle = function() while true do pcall(everything, function() sleep "1h" end) end end }`),
        'stays.lua': all(up, `return { timeout = "1h", methods = { "GET" }, handle = function() everything(function() sleep "1h" end) end }`),
        'deep.lua': all(up, `return function()
            parallel(function() parallel(function() return coroutine.wrap(everything)(function() sleep "1h" end) end) end, function() told() error "enough" end)
        end`),
        'end.lua': 'return function(req) kv.set("end", req.query.how) return 204 end',
    });
    for (const [name, check] of [
        ['fails', (a) => assertProblem(a, 418, /enough/)],
        ['caught', (a) => assert.deepEqual(a.json, [false, 'enough', true])],
        ['late', (a) => assertProblem(a, 504)],
        ['deep', (a) => assertProblem(a, 500)],
    ]) {
        const answer = server.get(`/${name}`);
        const program = await begun(server, up);
        assert.equal((await server.post('/end?how=now')).status, 204);
        check(await answer);
        assert.equal((await server.post('/end?how=later')).status, 204);
        await over(server, up, program, before);
    }
    const request = http.get(`${server.url}/stays`);
    request.on('error', () => {});
    const program = await begun(server, up);
    request.destroy();
    await over(server, up, program, before);
    assert.deepEqual(server.children('worker'), [worker]);
});

test('a drain ends them too', async (t) => {
    const up = await silent(t);
    const { server } = await serve(t, {
        'stays.lua': all(up, `return { timeout = "1h", methods = { "GET" }, handle = function() everything(function() sleep "1h" end) end }`),
    }, { config: 'return { drain = "1s" }' });
    const answer = server.get('/stays').catch(() => ({ status: 0 }));
    const program = await begun(server, up);
    await server.stop();
    await gone([program], 'the program', 5000);
    assert.notEqual((await answer).status, 200);
    await until(() => up.sockets.size === 0, 'no connection is left');
});

// Whoever is told of a failure first ends the others, which were to be told of the same one just then.
test('a host, the spawner, the store: what fails for all at once is raised once', async (t) => {
    const hosts = { whole: await silent(t), pieces: await silent(t) }; // one that fails so often is left alone for a while
    const many = (what) => `return { timeout = "1m", methods = { "GET" }, handle = function()
        local list = {}
        for i = 1, 40 do list[i] = function() ${what} return i end end
        local ok, err = pcall(parallel, list)
        return 200, { ok = ok, code = type(err) == "table" and (err.code or err.status) or tostring(err) }
    end }`;
    const { server, worker } = await serve(t, {
        'whole.lua': many(`assert(http.get("${hosts.whole.url}/silent", { concurrency = 20 }))`),
        'pieces.lua': many(`local r = assert(http.get("${hosts.pieces.url}/half", { stream = true })) while assert(r:read()) do end`),
        'exec.lua': many('assert(exec { "sleep", "1000", timeout = "1h" })'),
        'kv.lua': many('kv.incr "n"'),
    });
    for (const [name, count] of [['whole', 20], ['pieces', 40]]) {
        const up = hosts[name], answer = server.get(`/${name}`);
        await until(() => up.requests.length === count, () => `${up.requests.length} requests`, 10000);
        await sleep(100);
        for (const socket of up.sockets) socket.destroy();
        assert.deepEqual((await answer).json, { ok: false, code: 'closed' }, name);
    }
    const running = server.get('/exec');
    const spawner = await until(() => spawnerOf(worker), 'the spawner');
    const programs = () => fs.readFileSync(`/proc/${spawner}/task/${spawner}/children`, 'utf8').trim().split(/\s+/).filter(Boolean).map(Number);
    const pids = await until(() => programs().length >= 8 && programs(), 'programs', 10000);
    await sleep(ms(200));
    process.kill(spawner, 'SIGKILL');
    assert.deepEqual((await running).json, { ok: false, code: 'spawner_gone' });
    await gone(pids, 'the programs', 5000);

    assert.equal((await server.get('/kv')).json.ok, true);
    const [keeper] = server.children('keeper');
    process.kill(keeper, 'SIGSTOP');
    try {
        assert.deepEqual((await server.get('/kv')).json, { ok: false, code: 503 });
    } finally {
        process.kill(keeper, 'SIGCONT');
    }
    await until(async () => (await server.get('/kv')).json.ok, 'the store again', 10000);
    // The worker whose spawner has died makes way for another; nobody else has died.
    await until(() => server.children('worker').length === 1 && !server.children('worker').includes(worker), 'the next worker in its place', 15000);
    assert.deepEqual(server.records((r) => /^(worker|keeper).*died$/.test(r.message)), []);
});

test('a reply that a part began is its caller\'s to read, and ends with it', async (t) => {
    let open = 0; // replies under way
    const up = await plain(t, (req, res) => {
        open++;
        res.on('close', () => open--);
        res.write('a');
        setTimeout(() => res.write('b'), 200);
        if (req.headers['x-end']) setTimeout(() => res.end(), 300);
        return true;
    });
    const { server } = await serve(t, {
        'read.lua': `return function()
            local one, two = parallel(function() return assert(http.get("${up.url}/slow", { stream = true, headers = { ["x-end"] = "1" } })) end,
                                      function() return assert(http.get("${up.url}/slow", { stream = true, headers = { ["x-end"] = "1" } })) end)
            return table.concat(parallel { function() local s = "" for p in one:pieces() do s = s .. p end return s end,
                                           function() local s = "" for p in two:pieces() do s = s .. p end return s end })
        end`,
        'fails.lua': `return function() parallel(function() return assert(http.get("${up.url}/slow", { stream = true })) end) error "on purpose" end`,
    });
    assert.equal((await server.get('/read')).text, 'abab');
    assertProblem(await server.get('/fails'), 500);
    await until(() => open === 0, 'its connection is closed', 3000); // one that nobody owns would stay for 10 s
});

test('a storm of all of them, ended in every way, leaves nothing and grows nothing', async (t) => {
    const up = await silent(t);
    const { server, worker } = await serve(t, {
        'storm.lua': `return { timeout = "300ms", methods = { "GET" }, handle = function(req)
            local k = tonumber(req.query.k)
            local ends = {
                function() error { status = 409 } end,
                function() sleep "1h" end,
                function() local n = kv.incr "storm" return nil, "n" .. n end,
                function() assert(http.get "${up.url}/", "no answer") error "on purpose" end,
                function() coroutine.wrap(function() assert(exec { "false" }) end)() end,
                function() while true do if k > 1e9 then return end parallel(function() sleep "1ms" end, function() sleep "2ms" end) end end,
            }
            local ok, err = pcall(parallel, function() http.get "${up.url}/silent" end,
                function() for _ in assert(http.get("${up.url}/half", { stream = true })):pieces() do end end,
                function() exec { "sleep", "1000" } end,
                function() parallel(function() sleep(k) end, coroutine.wrap(function() sleep(k) end)) end,
                ends[k % 6 + 1])
            if k % 7 == 0 then error(err, 0) end
            return 200
        end }`,
    });
    const round = async (count) => {
        const answers = await Promise.all(Array.from({ length: count }, (_, i) => server.get(`/storm?k=${i}`)));
        for (const [i, a] of answers.entries()) assert.ok([200, 409, 500, 503, 504].includes(a.status), `${i}: ${a.status} ${a.text}`);
    };
    const resident = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${worker}/status`, 'utf8'))[1]) / 1024;
    const quiet = async () => {
        await until(() => up.sockets.size <= 40, () => `${up.sockets.size} connections`, 15000);
        const spawner = spawnerOf(worker);
        await until(() => fs.readFileSync(`/proc/${spawner}/task/${spawner}/children`, 'utf8').trim() === '', 'no program is left', 15000);
    };
    for (let i = 0; i < 6; i++) await round(42);
    await quiet();
    const before = { resident: resident(), descriptors: descriptors(worker) };
    for (let i = 0; i < 12; i++) await round(42);
    await quiet();
    const after = { resident: resident(), descriptors: descriptors(worker) };
    t.diagnostic(`${Math.round(before.resident)} → ${Math.round(after.resident)} MiB, ${before.descriptors} → ${after.descriptors} descriptors`);
    if (!process.env.CRESCENT_SANITIZE) assert.ok(after.resident - before.resident < 16, JSON.stringify([before, after]));
    assert.ok(after.descriptors <= before.descriptors + 20, JSON.stringify([before, after]));
    assert.deepEqual(server.children('worker'), [worker]);
    assert.equal((await server.get('/hello')).text, 'hello');
});
