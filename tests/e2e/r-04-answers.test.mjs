// What a handler returns or raises is read by its time, too: a table that takes long to encode costs its own request, as a
// loop does, and counts as one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertProblem, ms, request, start, threadSanitizer, until } from './helper.mjs';

const skip = { skip: threadSanitizer && 'it holds signals back' };
const OVER = /ran for longer than max_run \(300ms\)/;
// Each look into `emptied` goes through all that it had once; `twice` is short, and unfolds without end.
const script = (body) => `
local emptied, list = {}, {}
for i = 1, 60000 do emptied["k" .. i] = true end
for k in pairs(emptied) do emptied[k] = nil end
for i = 1, 20000 do list[i] = emptied end
local long = {}
for i = 1, 150000 do long[i] = i end
local function twice()
  local t = { "x" }
  for i = 1, 40 do t = { t, t } end
  return t
end
return { methods = { "GET" }, max_run = "300ms", timeout = "60s", handle = function(req) ${body} end }`;
const bodies = {
    list: 'return list',
    status: 'return 200, list',
    reply: 'return reply.json(list, { status = 201 })',
    grows: 'return twice()',
    raised: 'error { status = 422, detail = "no", more = list }',
    raised_grows: 'error { status = 422, more = twice() }',
    raised_long: 'local all = {} for i = 1, 3000 do all[i] = long end error { status = 422, more = all }',
    encoded: 'return #json.encode(list)',
    caught: 'pcall(json.encode, list) return "held"',
    waits: 'sleep "10ms" return list',
};
const hooks = { 'hello.lua': 'return function() return "hello" end', 'short.lua': 'return function() return { 1, { 2 } } end' };

test('a table that takes long to encode is a 500 for its request, and a strike; the worker lives', skip, async (t) => {
    const files = Object.fromEntries(Object.entries(bodies).map(([name, body]) => [`${name}.lua`, script(body)]));
    const server = await start(t, { hooks: { ...hooks, ...files }, workers: 1, limit: 30000, config: 'return { limits = { lag = "60s", lua_memory = "512MiB" } }' });
    const [worker] = server.children('worker');
    for (const name of Object.keys(bodies))
        await t.test(name, async () => {
            const began = Date.now();
            const reply = await request(`${server.url}/${name}`, { limit: 60000 }).catch((e) => assert.fail(`${e}\n${server.tail()}`));
            const took = Date.now() - began;
            assert.deepEqual(server.children('worker'), [worker], server.tail());
            if (name === 'raised_grows' || name === 'raised_long') {
                assertProblem(reply, 422); // what comes of it is bounded
            } else {
                const problem = assertProblem(reply, 500);
                const line = await server.said((r) => r.level === 'error' && r.request_id === problem.request_id, 'the error');
                assert.match(line.error, OVER);
            }
            assert.ok(took < ms(4000), `${took} ms`);
            assert.equal((await server.get('/hello')).text, 'hello');
            assert.deepEqual((await server.get('/short')).json, [1, [2]]);
        });
    for (let i = 0; i < 2; i++) assertProblem(await server.get('/list'), 500);
    assertProblem(await server.get('/list'), 503, /quarantine/);
    assert.equal(server.records((r) => / killed/.test(r.message)).length, 0);
    await until(async () => await server.metric('crescent_scripts_quarantined') === 1, 'the figure');
});
