// Bytes at random, near HTTP/1.1 and far from it, against a whole server with every kind of reader and answer: it lives,
// its memory stays bounded, no sanitizer speaks (in the sanitized build), what comes back is HTTP, and others are served.
// $CRESCENT_FUZZ_SECONDS and $CRESCENT_FUZZ_SEED choose another run. (HTTP/2 frames: e2e/attack/random.)
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { childrenOf, folder, load, ms, start, threadSanitizer } from '../e2e/helper.mjs';
import { factor, generator, resident, whole } from './fault.mjs';
import { connection } from './hostile.mjs';

const seconds = Number(process.env.CRESCENT_FUZZ_SECONDS ?? 12), seed = Number(process.env.CRESCENT_FUZZ_SEED ?? 20261124);
const secret = 'fuzz-secret';
const hooks = {
    'v.lua': 'return function() return "one" end',
    'echo.lua': 'return function(req) return { path = req.path, query = req.query, body = #req.body, agent = req.headers["user-agent"], cookie = req.cookies.a } end',
    'json.lua': 'return function(req) return { picked = req:pick("/a/b", "/0") or "none", all = req:json() } end',
    'form.lua': 'return function(req) return req:form() end',
    'data.lua': 'return function(req) local d = req:data() return type(d) == "table" and d or { text = d } end',
    'files.lua': 'return function(req) local n = 0 for _, f in ipairs(req:files()) do n = n + #f.data end return { bytes = n } end',
    'github.lua': `return { verify = verify.github { secret = "${secret}" }, events = { "push" }, handle = function(req) return req:pick "/ref" end }`,
    'sleep.lua': 'return { methods = { "GET", "POST" }, handle = function() sleep(0.02) return "slept" end }',
    'stream.lua': 'return function() return reply.stream(function(write) for i = 1, 20 do write(("x"):rep(i * 50)) sleep(0.001) end end) end',
    'sse.lua': 'return function() return reply.sse(function(send) for i = 1, 5 do send { data = tostring(i), id = tostring(i) } sleep(0.002) end end) end',
    'save.lua': `return { methods = { "POST" }, handle = function(req)
  local name = tostring(req.body and #req.body % 50)
  if (req.headers["content-type"] or ""):find "multipart" then
    for _, f in ipairs(req:files()) do f:save(f.filename or name, { overwrite = true }) end
  else req:save(name, { overwrite = true }) end
end }`,
    'get/[...path].lua': 'return function(req) return reply.file(req.params.path) end',
    'users/[id].lua': 'return function(req) return req.params.id end',
    'rest/[...path].lua': 'return function(req) return req.params.path end',
};
const targets = ['/v', '/echo?a=1&b=%20x', '/json', '/form', '/data', '/files', '/github', '/sleep', '/stream', '/sse', '/users/1%2F2', '/rest/a/../b//c', '/save', '/get/large', '/get/large', '/get/7', '/get/a.txt', '/get/..%2fcrescent.lua', '/nope', '/../../etc/passwd', '/%00', '*', 'http://a/v'];

test(`${seconds} s of HTTP/1.1 at random`, async (t) => {
    const dir = folder(t);
    fs.mkdirSync(path.join(dir, 'files'));
    fs.writeFileSync(path.join(dir, 'files/large'), Buffer.alloc(300_000, 'large '));
    const server = await start(t, { dir, hooks, workers: 2, config: 'return { files = "files", drain = "1s", limits = { body = "256KiB", header_time = "1s", body_time = "1s", idle_time = "1s" } }' });
    await whole(server, { workers: 2, target: '/v', text: 'one' });
    const pids = childrenOf(server.pid).sort();
    const honest = load(`${server.url}/v`, { connections: 2, judge: (a) => a.text === 'one', pause: 5 });
    const end = Date.now() + 1000 * seconds;
    let connections = 0, answered = 0;
    const attack = async (own) => {
        for (let n = 0; Date.now() < end; n++) {
            const heard = await connection(generator(seed + own * 1_000_003 + n), server.port, { targets, secret });
            connections++;
            if (heard === '') continue;
            answered++;
            assert.match(heard, /^HTTP\/1\.[01] [1-5]\d\d |^(HTTP\/1\.1 101[\s\S]*)?[\0-\xff]{3}[\0-\x09]/, `connection ${n} of ${own}, seed ${seed}: ${heard.slice(0, 80)}`);
        }
    };
    await Promise.all(Array.from({ length: 12 }, (_, i) => attack(i + 1)));
    const { failures, slowest } = await honest.stop();
    t.diagnostic(`${connections} connections, ${answered} answered, seed ${seed}`);
    assert.deepEqual(failures, []);
    assert.ok(slowest < ms(3000), `${slowest} ms`);
    assert.ok(connections > 200 && answered > connections / 4);
    assert.deepEqual(childrenOf(server.pid).sort(), pids, server.tail());
    for (const pid of server.children('worker')) assert.ok(threadSanitizer || resident(pid).most < 96 * factor, `${resident(pid).most} MiB`);
    await whole(server, { workers: 2, target: '/v', text: 'one' });
});
