import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { assertProblem, ms, request2, session, sleep, start, until } from './helper.mjs';

const hooks = {
    'sleep.lua': 'return function() sleep "200ms" return "slept" end',
    'late.lua': 'return { timeout = "300ms", methods = { "GET" }, handle = function() sleep "10s" return "never" end }',
    'pcall.lua': 'return { timeout = "300ms", methods = { "GET" }, handle = function() pcall(sleep, 10) pcall(sleep, 10) return "held" end }',
    'note.lua': `local notes = { finished = 0, cancelled = 0, begun = 0 }
return { path = { "/note", "/note/finish", "/note/cancel" }, methods = { "GET", "POST" }, handle = function(req)
  if req.path == "/note" then return 200, notes end
  notes.begun = notes.begun + 1
  sleep "600ms"
  notes.finished = notes.finished + 1
  return "done"
end }`,
    'nested.lua': `return function()
  local out = {}
  local gen = coroutine.wrap(function() for i = 1, 3 do sleep "10ms" coroutine.yield(i) end end)
  for i in gen do out[#out + 1] = i end
  local ok = pcall(function() sleep "10ms" error "x" end)
  return 200, { out = out, ok = ok }
end`,
    'sort.lua': 'return function() local t = { 3, 1, 2 } table.sort(t, function(a, b) sleep(0.01) return a < b end) return 200 end',
    'toplevel.lua': 'sleep(1)\nreturn function() end',
    'memory.lua': 'return function(req) local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end return 200 end',
    'globals.lua': 'shared = 1\nreturn function() return 200 end',
    'own.lua': 'local n = 0\nreturn function() n = n + 1 return tostring(n) end',
};

test('a wait holds nobody up, not even on one worker', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    const began = Date.now();
    const replies = await Promise.all(Array.from({ length: 50 }, () => server.get('/sleep')));
    assert.ok(replies.every((r) => r.text === 'slept'));
    assert.ok(Date.now() - began < ms(2000));
});

test('timeout: 504 at its time, and pcall does not hold it off', async (t) => {
    const server = await start(t, { hooks });
    for (const name of ['late', 'pcall']) {
        const began = Date.now();
        assertProblem(await server.get(`/${name}`), 504);
        const took = Date.now() - began;
        assert.ok(took >= 290 && took < ms(1500), `${took} ms`);
    }
    assert.equal(await server.metricSum('crescent_script_timeouts_total'), 2);
});

test('a gone client: GET is cancelled, POST finishes; on both versions', async (t) => {
    const server = await start(t, { hooks, workers: 1 });
    const client = await session(t, server.url);
    const notes = async () => (await server.get('/note')).json;
    const leave1 = (method) => {
        const req = http.request(`${server.url}/note/${method === 'GET' ? 'cancel' : 'finish'}`, { method, agent: false });
        req.on('error', () => {});
        req.end();
        return () => req.destroy();
    };
    const leave2 = (method) => {
        const stream = client.request({ ':method': method, ':path': `/note/${method === 'GET' ? 'cancel' : 'finish'}` }, { endStream: true });
        stream.on('error', () => {});
        return () => stream.close(8);
    };
    let begun = 0, finished = 0;
    for (const [go, method] of [[leave1, 'POST'], [leave2, 'POST'], [leave2, 'GET']]) {
        const leave = go(method);
        begun++;
        await until(async () => (await notes()).begun === begun, 'begun');
        leave();
        if (method === 'POST') finished++;
        await sleep(ms(1200));
        assert.equal((await notes()).finished, finished, `${method}`);
    }
});

test('waits work in the script\'s own coroutines and under pcall; in a sort callback they are an error in words', async (t) => {
    const server = await start(t, { hooks });
    assert.deepEqual((await server.get('/nested')).json, { out: [1, 2, 3], ok: false });
    assertProblem(await server.get('/sort'), 500);
    assert.match(JSON.stringify(server.log), /sort/);
});

test('at load a wait is an error, and so is an undeclared global', async (t) => {
    const server = await start(t, { hooks });
    for (const name of ['toplevel', 'globals']) assertProblem(await server.get(`/${name}`), 503);
    const log = server.tail();
    assert.match(log, /toplevel\.lua:1: .*sleep/);
    assert.match(log, /globals\.lua:1: .*shared/);
});

test('the memory ceiling fails the request, not the worker', async (t) => {
    const server = await start(t, { hooks, workers: 1, config: 'return { limits = { lua_memory = "32MiB" } }' });
    const [worker] = server.children('worker');
    assert.equal((await server.get('/own')).text, '1');
    assertProblem(await server.get('/memory'), 500);
    assert.equal((await server.get('/own')).text, '2');
    assert.deepEqual(server.children('worker'), [worker]);
});

test('the sandbox: what blocks or escapes is not there', async (t) => {
    const gone = ['os.execute', 'os.exit', 'os.remove', 'os.rename', 'os.getenv', 'os.tmpname', 'os.setlocale', 'io.popen', 'io.read', 'io.lines', 'io.stdin', 'debug', 'ffi', 'jit',
        'newproxy', 'getfenv', 'setfenv', 'dofile', 'loadfile', 'string.dump', 'package.loadlib', 'package.cpath'];
    const path = (name) => name.split('.').map((p, i) => i ? `["${p}"]` : `rawget(_G, "${p}")`).join('');
    const server = await start(t, {
        hooks: {
            'gone.lua': `return function() local found = json.array {}
${gone.map((name) => `do local ok, v = pcall(function() return ${path(name)} end) if ok and v ~= nil then found[#found + 1] = "${name}" end end`).join('\n')}
return 200, found end`,
            'require.lua': 'return function() local a, b, c = pcall(require, "ffi"), pcall(require, "jit"), pcall(require, "debug") return 200, { a, b, c } end',
            'bytecode.lua': 'return function() local f, err = load("\\27LJ\\2") return f and 500 or 200 end',
            'opens.lua': 'return function() local f, err = io.open("/dev/null") return f and 500 or 200 end',
            'metatable.lua': 'return function() getmetatable("").__index = nil return 200 end',
            'string.lua': 'return function() return ("x"):rep(3) end',
            'patch.lua': 'return function() local ok = pcall(function() string.rep = nil end) return ok and "patched" or "refused" end',
        },
    });
    assert.deepEqual((await server.get('/gone')).json, []);
    assert.deepEqual((await server.get('/require')).json, [false, false, false]);
    for (const name of ['bytecode', 'opens']) assert.equal((await server.get(`/${name}`)).status, 200, name);
    await server.get('/metatable');
    await server.get('/patch');
    assert.equal((await server.get('/string')).text, 'xxx');
});
