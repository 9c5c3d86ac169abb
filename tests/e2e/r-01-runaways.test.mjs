// A script that does not end costs its own request, and nobody else's: what is in Lua is interrupted and its worker lives
// on; what is in a C function is ended with its worker, whose queue the others serve.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { heldBy, load1 } from './clients.mjs';
import { alive, assertProblem, ms, request, sleep, start, threadSanitizer, until } from './helper.mjs';

// The thread sanitizer multiplies the time of what is to end by its memory.
const limit = threadSanitizer ? '2s' : '250ms', config = `return { limits = { max_run = "${limit}" } }`;
const OVER = new RegExp(`ran for longer than max_run \\(${limit}\\)`), MEMORY = /not enough memory/, STACK = /stack overflow/;
// And it holds signals back until the next call into the C library: what makes none is not tried there.
const loop = threadSanitizer ? 'while true do local _ = {} end' : 'while true do end';
const silent = ['counter', 'lines', 'tail_calls', 'generator', 'iterator'];

/** Bodies of handlers that never end, and what the log says of each. */
const runaways = {
    empty: [loop, OVER],
    counter: ['local i = 0 while true do i = i + 1 end', OVER],
    lines: ['local i = 0\nwhile true do\n  i = i + 1\n  if i % 1000 == 0 then\n    i = i + 1\n  end\nend', OVER],
    pcall: [`while true do pcall(function() ${loop} end) end`, OVER],
    pcall_last: [`return pcall(function() ${loop} end)`, OVER],
    pcall_error: ['repeat pcall(error) until false', OVER],
    tail_calls: ['local function f() return f() end return f()', OVER],
    xpcall_handler: [`return xpcall(error, function() ${loop} end)`, OVER],
    xpcall_both: [`return xpcall(function() ${loop} end, function() ${loop} end)`, OVER],
    error_in_error: [`error(setmetatable({}, { __tostring = function() ${loop} end }))`, OVER],
    coroutine: [`return coroutine.wrap(function() ${loop} end)()`, OVER],
    coroutines: [`local function f(n) if n == 0 then ${loop} end return coroutine.wrap(f)(n - 1) end return f(50)`, OVER],
    generator: ['local g = coroutine.wrap(function() while true do coroutine.yield(1) end end) while true do g() end', OVER],
    sort: [`local t = {} for i = 1, 99 do t[i] = i end table.sort(t, function() ${loop} end)`, OVER],
    gsub: [`return (("x"):gsub(".", function() ${loop} end))`, OVER],
    metamethod: [`return setmetatable({}, { __index = function() ${loop} end }).x`, OVER],
    iterator: [`for _ in function() return 1 end do end`, OVER],
    garbage: ['while true do local t = { {}, {}, {} } end', OVER],
    strings: ['while true do local s = ("x"):rep(1000) .. tostring({}) end', OVER],
    json: ['while true do json.encode { 1, 2, 3 } end', OVER],
    after_a_wait: [`sleep "10ms" ${loop}`, OVER],
    waits_inside: [`coroutine.wrap(function() sleep "10ms" ${loop} end)()`, OVER],
    parallel: [`return parallel(function() ${loop} end, function() sleep "10s" return 1 end)`, OVER],
    parallel_caught: [`while true do pcall(parallel, function() sleep "1ms" return 1 end, function() sleep "1ms" ${loop} end) end`, OVER],
    memory: ['local t = {} while true do t[#t + 1] = { #t } end', /not enough memory|ran for longer/],
    memory_fast: ['local t = {} while true do t[#t + 1] = ("x"):rep(1e6) .. #t end', MEMORY],
    memory_string: ['local s = "x" while true do s = s .. s end', MEMORY],
    rep: ['return ("x"):rep(1e9)', MEMORY],
    rep_bomb: ['return ("x"):rep(1e5):rep(1e5)', MEMORY],
    memory_caught: ['local t = {} while true do pcall(function() while true do t[#t + 1] = ("x"):rep(1e5) .. #t end end) end', /not enough memory|ran for longer/],
    recursion: ['local function f(n) return 1 + f(n) end return f(1)', STACK],
    recursion_caught: ['local function f() return 1 + f() end while true do pcall(f) end', OVER],
    print_recursion: ['local function f() print(setmetatable({}, { __tostring = f })) return "x" end return f()', STACK],
    format_recursion: ['local t = setmetatable({}, { __tostring = function(t) return ("%s"):format(t) end }) return tostring(t)', STACK],
    put_recursion: ['local b = require "string.buffer" local t = setmetatable({}, { __tostring = function(t) return b.new():put(t):tostring() end }) return tostring(t)', STACK],
    load_recursion: ['local function f() return load(f) end return f()', STACK],
    sort_recursion: ['local function f() table.sort({ 2, 1 }, f) return true end return f()', STACK],
    time_recursion: ['local t = setmetatable({}, { __index = function(t) return os.time(t) end }) return os.time(t)', STACK],
    gsub_recursion: ['local function f() return (("x"):gsub(".", f)) end return f()', STACK],
    nested_coroutines: ['local function f() return coroutine.wrap(f)() end return f()', /stack overflow|not enough memory|ran for longer/],
    gsub_in_coroutines: ['local function f() return coroutine.wrap(function() return (("x"):gsub(".", f)) end)() end return f()', /stack overflow|not enough memory|ran for longer/],
};
const script = (body, fields = '') => `return { methods = { "GET" }, timeout = "60s", ${fields} handle = function(req) ${body}\nend }`;
// What is to end by its memory has the time for it where memory that is new is slow.
const files = (list) => Object.fromEntries(Object.entries(list).map(([name, [body, words]]) => [`${name}.lua`, script(body, words === MEMORY ? 'max_run = "4s",' : '')]));
const hooks = { 'hello.lua': 'return function() return "hello" end' };

/** What others ask all the while, over connections that stay and over new ones. */
function others(t, server) {
    const all = [load1(t, server.port, '/hello', { connections: 9, expect: 'hello' }), load1(t, server.port, '/hello', { connections: 2, each: 1, expect: 'hello' })];
    t.after(() => Promise.all(all.map((one) => one.stop())));
    return async () => {
        for (const one of all) {
            const { answers, failures, refused } = await one.stop();
            assert.deepEqual([failures, refused], [[], []]);
            assert.ok(answers > 50, `${answers} answers`);
        }
    };
}

test('runaways of every kind: a 500 for their request, the same workers, and no failure for anyone else', async (t) => {
    const server = await start(t, { hooks: { ...hooks, ...files(runaways) }, config, workers: 3 });
    const workers = server.children('worker');
    const settled = others(t, server);
    for (const [name, [, words]] of Object.entries(runaways)) {
        if (threadSanitizer && silent.includes(name)) continue;
        const began = Date.now();
        assertProblem(await server.get(`/${name}`), 500);
        const took = Date.now() - began;
        assert.ok(took < ms(5000), `${name}: ${took} ms`); // usual: 260, less for those that end by memory or stack
        const said = await server.said((r) => r.message === 'script error' && r.script === name, `the error of ${name}`);
        assert.match(said.error, words, name);
    }
    await settled();
    assert.deepEqual(server.children('worker'), workers);
    const over = Object.values(runaways).filter(([, words]) => words === OVER).length - (threadSanitizer ? silent.length : 0);
    assert.ok(await server.metric('crescent_script_interrupts_total') >= over);
    assert.ok(await server.metric('crescent_script_memory_errors_total') >= 4);
});

test('the same with --dev: the page says so', async (t) => {
    const server = await start(t, { hooks: files({ empty: [loop] }), config, args: ['--dev'], env: { CRESCENT_LOG_FORMAT: 'json' }, workers: 0 });
    const reply = await server.get('/empty', { accept: '*/*' });
    assert.equal(reply.status, 500);
    assert.match(reply.text, new RegExp(`hooks/empty\\.lua:1: ${OVER.source}`));
});

test('a stream whose function runs away is broken off, in its first stretch or a later one', async (t) => {
    const server = await start(t, {
        hooks: {
            ...hooks,
            'first.lua': `return { methods = { "GET" }, handle = function() return reply.stream(function(write) ${loop} end) end }`,
            'later.lua': `return { methods = { "GET" }, handle = function() return reply.stream(function(write) write "some" sleep "20ms" ${loop} end) end }`,
            'sse.lua': `return { methods = { "GET" }, handle = function() return reply.sse(function(send) send "one" ${loop} end) end }`,
        },
        config,
        workers: 3,
    });
    const workers = server.children('worker');
    const settled = others(t, server);
    for (const name of ['first', 'later', 'sse']) {
        await assert.rejects(server.get(`/${name}`), /aborted|ECONNRESET|socket hang up/, name);
        await server.said((r) => r.message === 'script error' && r.script === name && OVER.test(r.error), `the error of ${name}`);
    }
    await settled();
    assert.deepEqual(server.children('worker'), workers);
});

test('a verifier, a list of them and a secret function that run away: a 500, and the request is not let in', async (t) => {
    const server = await start(t, {
        hooks: {
            ...hooks,
            'verifier.lua': `return { verify = function(req) ${loop} end, handle = function() return "in" end }`,
            'caught.lua': `return { verify = function(req) return pcall(function() ${loop} end) == false end, handle = function() return "in" end }`,
            'any.lua': `return { verify = verify.any { function() return false end, function() ${loop} end }, handle = function() return "in" end }`,
            'secret.lua': `return { verify = verify.github { secret = function() ${loop} end }, handle = function() return "in" end }`,
        },
        config,
        workers: 2,
    });
    const workers = server.children('worker');
    for (const name of ['verifier', 'caught', 'any', 'secret'])
        assertProblem(await server.post(`/${name}`, '{}', { 'x-hub-signature-256': `sha256=${'0'.repeat(64)}`, 'content-type': 'application/json' }), 500);
    assert.deepEqual(server.children('worker'), workers);
    assert.equal(await server.metric('crescent_script_interrupts_total'), 4);
});

test('the interruption comes when it should, and to nobody else', async (t) => {
    const burn = 'local function burn(s) local t = os.clock() while os.clock() - t < s do end end';
    const server = await start(t, {
        hooks: {
            ...hooks,
            'early.lua': script(loop, 'max_run = "30ms",'),
            'late.lua': script(loop, 'max_run = 0.6,'),
            'allowed.lua': script(`${burn} burn(0.4) return "done"`, 'max_run = "2s",'),
            'setting.lua': script(loop),
            'pieces.lua': script(`${burn} for i = 1, 100 do burn(0.004) sleep "1ms" end return "done"`, 'max_run = "60ms",'),
            'patient.lua': script('for i = 1, 5 do sleep "150ms" end return "done"', 'max_run = "1ms",'),
        },
        config: 'return { limits = { max_run = "120ms" } }',
        workers: 2,
    });
    for (const [name, limit] of [['early', 30], ['late', 600], ['setting', 120]]) {
        const began = process.hrtime.bigint();
        assertProblem(await server.get(`/${name}`), 500);
        const took = Number(process.hrtime.bigint() - began) / 1e6;
        assert.ok(took >= limit && took < 5 * limit + ms(2000), `${name}: ${took} ms`); // usual: limit + 8
    }
    // Two hundred stretches of 4 ms, those of one request between those of another: none is over its time.
    for (const name of ['allowed', 'patient']) assert.equal((await server.get(`/${name}`)).text, 'done', name);
    for (const reply of await Promise.all([1, 2].map(() => server.get('/pieces')))) assert.equal(reply.text, 'done');
    assert.equal(await server.metric('crescent_script_interrupts_total'), 3);
});

test('requests that wait in the same worker go on where they were', async (t) => {
    const server = await start(t, {
        hooks: { 'wait.lua': script('local s = 0 for i = 1, 20 do sleep "20ms" s = s + i end return tostring(s)'), 'empty.lua': script(loop) },
        config,
        workers: 1,
    });
    const waiting = Promise.all(Array.from({ length: 20 }, () => server.get('/wait')));
    await sleep(50);
    const [one, two] = await Promise.all([server.get('/empty'), server.get('/empty')]);
    assert.deepEqual([one.status, two.status], [500, 500]);
    for (const reply of await waiting) assert.equal(reply.text, '210');
    assert.equal(server.records((r) => /died/.test(r.message)).length, 0);
});

const patterns = {
    find: 'return (("a"):rep(3e4) .. "b"):find(".-.-.-.-c") and 1',
    match: 'return (("a"):rep(3e4)):match("(.-)(.-)(.-)(.-)b")',
    gsub: 'return ((("a"):rep(3e4)):gsub(".-.-.-.-b", "x"))',
    gmatch: 'for _ in (("a"):rep(3e4)):gmatch(".-.-.-.-b") do end',
};
for (const [name, body] of Object.entries(patterns))
    test(`string.${name} that does not end: its worker is ended and replaced, the others' requests and its queue are served`, async (t) => {
        const server = await start(t, { hooks: { ...hooks, [`${name}.lua`]: script(body, 'max_run = "100ms",') }, workers: 3 });
        const before = server.children('worker');
        const kept = load1(t, server.port, '/hello', { connections: 9, expect: 'hello' });
        t.after(() => kept.stop());
        await until(() => kept.answers > 50, 'load');
        const began = Date.now();
        const agent = new http.Agent();
        const lost = request(`${server.url}/${name}`, { agent }).then((r) => `answered ${r.status}`, (e) => e.code ?? e.message);
        await sleep(300);
        // Whoever is in that worker's hands by now is lost with it; who comes later is not.
        const hands = new Map(before.map((pid) => [pid, heldBy(pid, server.port)]));
        const fresh = load1(t, server.port, '/hello', { connections: 4, each: 1, expect: 'hello' });
        t.after(() => fresh.stop());
        assert.match(await lost, /ECONNRESET|socket hang up/);
        const took = Date.now() - began;
        assert.ok(took > 1000 && took < ms(15000), `${took} ms`); // usual: 1200 beside this load
        const killed = await server.said((r) => /killed: stuck in script/.test(r.message), 'the watchdog');
        assert.ok(killed.message.endsWith(`script ${name}`), killed.message);
        await until(() => !alive(killed.child), 'its end', 1000);
        const held = hands.get(killed.child);
        const back = await server.said((r) => /^worker \d is back$/.test(r.message), 'the next worker');
        assert.ok(back.ms < ms(300), `${back.ms} ms`); // usual: 30
        await sleep(200);
        for (const one of [kept, fresh]) {
            const { failures, refused, answers } = await one.stop();
            assert.deepEqual(failures.filter((f) => !held.has(f.port)), []);
            assert.deepEqual(refused, []);
            assert.ok(answers > 50);
        }
        assert.equal(server.children('worker').filter((pid) => !before.includes(pid)).length, 1);
    });
