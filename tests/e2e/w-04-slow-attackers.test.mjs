// slowhttptest in its four modes, in short: honest requests all succeed beside it. What they lose is measured by
// scripts/bench --hostile, with more connections and for longer.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { folder, load, start, until } from './helper.mjs';

const CONNECTIONS = 300, SECONDS = 5;
const modes = {
    'slow headers': ['/hello', '-H', '-i', '1', '-x', '24'],
    'slow bodies': ['/form', '-B', '-i', '1', '-s', '8192', '-x', '10'],
    'slow reading': ['/file', '-X', '-w', '512', '-y', '1024', '-n', '1', '-z', '32', '-k', '3'],
    'ranges': ['/file', '-R', '-t', 'HEAD', '-a', '10', '-b', '3000'],
};
const hooks = {
    'hello.lua': 'return { methods = { "GET", "POST" }, handle = function(req) return "hello " .. #req.body end }',
    'form.lua': 'return function(req) return req.form.a or "" end',
    'file.lua': 'return { methods = { "GET" }, handle = function() return reply.file("big") end }',
};

/** An attacker that ends with the test: `said` is all it wrote, `ended` a promise of its exit code. */
function attack(t, args) {
    const child = spawn('slowhttptest', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const one = { said: '' };
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => { one.said += part; });
    one.ended = new Promise((done) => child.on('close', (code) => { one.code = code; done(code); }));
    t.after(async () => { child.kill('SIGKILL'); await one.ended; });
    return one;
}

for (const [name, [target, ...mode]] of Object.entries(modes)) {
    test(`${name} over ${CONNECTIONS} connections: honest requests succeed`, async (t) => {
        const dir = folder(t);
        fs.mkdirSync(path.join(dir, 'files'));
        fs.writeFileSync(path.join(dir, 'files/big'), Buffer.alloc(4 << 20, 'f'));
        const server = await start(t, { dir, hooks, workers: 2 }), workers = server.children('worker');
        const kept = load(`${server.url}/hello`, { connections: 4, pause: 5, judge: (a) => a.status === 200 && a.text === 'hello 0' });
        const fresh = load(`${server.url}/hello`, { connections: 2, pause: 20, fresh: true, method: 'POST', body: 'x'.repeat(1000),
            judge: (a) => a.status === 200 && a.text === 'hello 1000' });
        const attacker = attack(t, [...mode, '-c', String(CONNECTIONS), '-r', String(CONNECTIONS), '-l', String(SECONDS), '-p', '60', '-u', server.url + target]);
        await until(() => attacker.code !== undefined, () => `its end\n${attacker.said}`, SECONDS * 1000 + 30000);
        const honest = [await kept.stop(), await fresh.stop()], accepted = await server.metricSum('crescent_connections_total');
        for (const { failures } of honest) assert.deepEqual(failures, []);
        assert.equal(attacker.code, 0, attacker.said);
        assert.ok(accepted >= CONNECTIONS + 4 + honest[1].answers, `${accepted} connections\n${attacker.said}`);
        assert.deepEqual(server.children('worker'), workers, 'a worker ended');
    });
}
