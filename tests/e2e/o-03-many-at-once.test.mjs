// Many stretches of Lua that are due at the same moment, each within max_run: they take turns with all the rest. The
// deadline of their own request is kept, other requests are served between them, and their worker lives.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ms, request, sleep, start, threadSanitizer } from './helper.mjs';
import { plain } from './upstreams.mjs';

const once = threadSanitizer && 'its clock is another';
const parts = 60, each = 200; // ms of a processor: 12 s in all
const script = (wait) => `return { methods = { "GET" }, timeout = "1s", handle = function(req)
  local function busy() local till = time.monotonic() + ${each / 1000} while time.monotonic() < till do end end
  local list = {}
  for i = 1, ${parts} do list[i] = function() ${wait} busy() end end
  parallel(list)
end }`;
const hello = 'return function() return "hello" end';

/** The status of what it answers, and how long that and others waited. */
async function ask(server, path) {
    let over = false, slowest = 0;
    const began = Date.now();
    const answer = request(server.url + path, { limit: 60000 }).then((a) => a.status, (e) => e.code).finally(() => { over = true; });
    await sleep(ms(100));
    while (!over) {
        const at = Date.now();
        assert.equal((await request(`${server.url}/hello`, { limit: 60000 })).text, 'hello');
        slowest = Math.max(slowest, Date.now() - at);
        await sleep(20);
    }
    return { status: await answer, took: Date.now() - began, slowest };
}

async function check(t, wait) {
    const server = await start(t, { hooks: { 'hello.lua': hello, 'many.lua': script(wait) }, workers: 1, config: 'return { limits = { max_run = "5s", lag = "60s" } }' });
    const [worker] = server.children('worker');
    const { status, took, slowest } = await ask(server, '/many');
    t.diagnostic(`${status} after ${took} ms; the slowest of the others took ${slowest} ms`);
    assert.deepEqual(server.children('worker'), [worker], server.tail());
    assert.equal(status, 504);
    assert.ok(took < 4000, `${took} ms`); // none of them is longer on a slow build
    assert.ok(slowest < 2500, `${slowest} ms`);
}

test('parts that begin', { skip: once }, (t) => check(t, ''));
test('parts that have slept for the same time', { skip: once }, (t) => check(t, 'sleep "300ms"'));
test('parts whose values are there at once', { skip: once }, (t) => check(t, 'kv.get "x"'));
test('parts that were answered meanwhile', { skip: once }, async (t) => {
    const up = await plain(t, (req, res) => { setTimeout(() => res.end('up'), 200); return true; });
    await check(t, `http.get "${up.url}/"`);
});
test('parts whose programs have ended meanwhile', { skip: once }, (t) => check(t, 'exec { "true" }'));

test('those of several requests take turns', { skip: once }, async (t) => {
    const few = `return { methods = { "GET" }, timeout = "30s", handle = function(req)
  local list, began = {}, time.monotonic()
  local function busy() local till = time.monotonic() + 0.05 while time.monotonic() < till do end end
  for i = 1, tonumber(req.query.parts) do list[i] = busy end
  parallel(list)
  return 200, { time.monotonic() - began }
end }`;
    const server = await start(t, { hooks: { 'few.lua': few }, workers: 1, config: 'return { limits = { max_run = "5s", lag = "60s" } }' });
    const long = server.get('/few?parts=120'); // 6 s
    await sleep(ms(300));
    const began = Date.now();
    const short = await server.get('/few?parts=3'); // 0.3 s, with the other's
    const took = Date.now() - began;
    assert.equal(short.status, 200);
    assert.ok(took < ms(3000), `${took} ms`);
    assert.ok((await long).json[0] > took / 1000);
});
