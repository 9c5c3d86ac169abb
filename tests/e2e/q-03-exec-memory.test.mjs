// What programs are given and what they write is held within `limits.lua_memory` for all of a worker's: what finds no room
// is `busy`, also where the programs wait in line, and the room is there again when they have ended.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { noZombies } from './exec.mjs';
import { ms, request, sleep, start, until } from './helper.mjs';

const counted = `
local function each(count, call)
  local list, seen = {}, {}
  for i = 1, count do
    list[i] = function()
      local ok, err = exec(call())
      local code = ok and "ok" or err.code
      seen[code] = (seen[code] or 0) + 1
      if code == "busy" then seen.words, seen.written = tostring(err), math.max(seen.written or 0, #(err.stdout or "")) end
    end
  end
  parallel(list)
  return 200, seen
end
`;
const script = (body) => `${counted} return { methods = { "GET" }, timeout = "60s", max_run = "5s", handle = function(req) ${body} end }`;
const hooks = {
    'input.lua': script('local s = ("x"):rep(20e6) return each(tonumber(req.query.n), function() return { "sh", "-c", "wc -c; sleep 1", stdin = s } end)'),
    'line.lua': script('local s = ("x"):rep(1e6) return each(200, function() return { "sleep", "1", stdin = s } end)'),
    'output.lua': script('return each(tonumber(req.query.n), function() return { "sh", "-c", "head -c 3000000 /dev/zero; sleep 2", max_output = "64MiB" } end)'),
    'arguments.lua': 'return function(req) local s, l = ("x"):rep(10e6), { "true" } for i = 2, 60 do l[i] = s end local ok, err = exec(l) return 200, err.code end',
    'hello.lua': 'return function() return "hello" end',
};
const config = 'return { limits = { lua_memory = "64MiB", lag = "60s" } }';
const get = async (server, path) => {
    const reply = await request(server.url + path, { limit: 60000 });
    assert.equal(reply.status, 200, `${reply.text}\n${server.tail()}`);
    return reply.json;
};
const memory = (pid, name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(fs.readFileSync(`/proc/${pid}/status`, 'latin1'))[1]) * 1024;

test('what programs read', async (t) => {
    const server = await start(t, { hooks, config, workers: 1 });
    for (let i = 0; i < 2; i++) {
        const seen = await get(server, '/input?n=50');
        assert.deepEqual([seen.ok, seen.busy], [2, 48]);
        assert.match(seen.words, /^sh: no memory for its arguments and its stdin: what programs of a worker are given takes 58720256 bytes at most/);
    }
    await noZombies(server);
});

test('arguments that are one long string, many times', async (t) => {
    const server = await start(t, { hooks, config, workers: 1 });
    const [worker] = server.children('worker');
    assert.equal((await server.get('/arguments')).text, 'too_long');
    if (!process.env.CRESCENT_SANITIZE) assert.ok(memory(worker, 'VmHWM') < 150e6, `${memory(worker, 'VmHWM')} bytes`);
});

test('what those in line are to read', async (t) => {
    const server = await start(t, { hooks, config, workers: 1 });
    const seen = await get(server, '/line');
    assert.deepEqual([seen.ok, seen.busy], [58, 142]);
    assert.equal((await get(server, '/input?n=2')).ok, 2);
});

test('what programs write', async (t) => {
    const server = await start(t, { hooks, config, workers: 1 });
    const [worker] = server.children('worker'), before = memory(worker, 'VmRSS');
    for (let i = 0; i < 2; i++) {
        const asked = get(server, '/output?n=30');
        await sleep(ms(200));
        assert.equal((await server.get('/hello')).text, 'hello');
        const seen = await asked;
        assert.ok(seen.busy >= 1 && seen.busy + (seen.ok ?? 0) === 30, JSON.stringify(seen));
        assert.match(seen.words, /^sh: no memory for what it writes: what programs of a worker are given and write takes 67108864 bytes at most/);
        assert.ok(seen.written > 0, 'what was written until then is there');
    }
    const grown = memory(worker, 'VmHWM') - before;
    if (!process.env.CRESCENT_SANITIZE) assert.ok(grown < 300e6, `${grown} bytes`);
    t.diagnostic(`${Math.round(grown / 1e6)} MB at most`);
    assert.deepEqual(server.children('worker'), [worker]);
    assert.equal((await get(server, '/output?n=1')).ok, 1);
    await until(() => noZombies(server).then(() => true), 'none is left');
});
