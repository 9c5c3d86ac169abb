// Frames at random, valid and not, by several connections at once, in clear: whatever comes, the worker lives, no
// sanitizer speaks (in the sanitized build), and others are served. $CRESCENT_FUZZ_SECONDS makes it longer.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { folder, sleep, start } from '../helper.mjs';
import { anyFrame, Attacker, INITIAL_WINDOW, setting, unharmed } from './frames.mjs';

const seconds = Number(process.env.CRESCENT_FUZZ_SECONDS ?? 4);
const paths = ['/hello', '/slow', '/big', '/nope', '/finish', '/stream', '/sse', '/file'];

/** xorshift32: the same run for the same seed. */
function generator(seed) {
    let x = seed || 1;
    const next = () => {
        x ^= x << 13;
        x ^= x >>> 17;
        x ^= x << 5;
        return x >>> 0;
    };
    return { below: (n) => next() % n, bytes: (n) => Buffer.from(Array.from({ length: n }, () => next() & 255)) };
}

test(`${seconds} s of random frames`, async (t) => {
    const hooks = {
        'hello.lua': 'return { methods = { "GET", "POST" }, handle = function() return "hello" end }',
        'slow.lua': 'return function() sleep(0.01) return "slow" end',
        'finish.lua': 'return { on_disconnect = "finish", handle = function(req) sleep(0.005) return req.path .. req.body end }',
        'big.lua': 'return function() return 200, ("x"):rep(300000) end',
        'stream.lua': 'return function() return reply.stream(function(write) for i = 1, 20 do write(("x"):rep(i * 5000)) sleep(0.001) end end) end',
        'sse.lua': 'return function() return reply.sse(function(send) for i = 1, 50 do send(("x"):rep(i * 100)) sleep(0.001) end end) end',
        'file.lua': 'return function() return reply.file "large" end',
    };
    const dir = folder(t);
    fs.mkdirSync(path.join(dir, 'files'));
    fs.writeFileSync(path.join(dir, 'files/large'), Buffer.alloc(300_000, 'large '));
    const server = await start(t, { dir, hooks, workers: 1, config: 'return { files = "files", drain = "1s" }' });
    const before = server.children('worker'), end = Date.now() + 1000 * seconds;
    const seed = Number(process.env.CRESCENT_FUZZ_SEED ?? 20261124);
    let connections = 0, frames = 0;
    const attack = async (own) => {
        for (let n = 0; Date.now() < end; n++) {
            const r = generator(seed + own * 1_000_003 + n), top = { stream: 0 };
            const a = await Attacker.open(t, server.port, { deaf: r.below(3) === 0, settings: setting(INITIAL_WINDOW, [0, 5, 65535][r.below(3)]) });
            connections++;
            for (let i = 0; i < 40 && !a.isClosed && !a.socket.destroyed; i++) {
                const some = Array.from({ length: 1 + r.below(30) }, () => anyFrame(r, top, paths));
                frames += some.length;
                await a.send(Buffer.concat(some), 50);
                if (r.below(3) === 0) await sleep(r.below(8));
            }
            a.socket.destroy();
        }
    };
    await Promise.all(Array.from({ length: 6 }, (_, i) => attack(i + 1)));
    t.diagnostic(`${connections} connections, ${frames} frames, seed ${seed}`);
    assert.ok(connections > 10);
    await unharmed(server, before, assert);
});
