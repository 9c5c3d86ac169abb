// What a rate limit costs, for bench.mjs. test: what start() tidies up through, as in bench.mjs.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { childrenOf, folder, repository, start, tool } from '../e2e/helper.mjs';

const here = path.join(repository, 'tests/bench');

/** CPU time so far of a process with all its children, in µs; /proc counts in ticks of 10 ms. */
function cpu(pid) {
    const fields = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').pop().split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10_000 + childrenOf(pid).reduce((sum, child) => sum + cpu(child), 0);
}

/** CPU µs a request. */
async function cost(server, target, seconds, connections, prefix) {
    const before = cpu(server.pid);
    const [program, ...args] = [...prefix, 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '-s', path.join(here, 'wrk.lua'), server.url + target];
    const said = await tool(program, args);
    const [, requests, , , errors] = /RESULT (\d+) (\d+) (\d+) (\d+)/.exec(said).map(Number);
    assert.equal(errors, 0, said);
    return (cpu(server.pid) - before) / requests;
}

/**
 * What a limit adds to hello, in µs of CPU a request: {hello, limited, added}. Two endpoints of one server in turns, and of each the lower
 * quartile of its rounds, since what a machine adds by chance it only ever adds. limit: one that lets all in.
 */
export async function limitCost(test, { rounds = 20, seconds = 1, connections = 32, limit = '"1000000/s"', cores = [0, 1] } = {}) {
    const on = (core) => ['taskset', '-c', String(core)];
    const hello = (field) => `return { methods = { "GET" }, ${field} handle = function() return "hello" end }`;
    const server = await start(test, { hooks: { 'hello.lua': hello(''), 'limited.lua': hello(`rate_limit = ${limit},`) }, workers: 1, prefix: on(cores[0]) });
    const costs = { '/hello': [], '/limited': [] };
    for (let round = -1; round < rounds; round++) {
        const order = round % 2 === 0 ? ['/hello', '/limited'] : ['/limited', '/hello'];
        for (const target of order) {
            const one = await cost(server, target, seconds, connections, on(cores[1]));
            if (round >= 0) costs[target].push(one); // before, scripts were compiled
        }
    }
    await server.stop();
    const low = (target) => [...costs[target]].sort((a, b) => a - b)[costs[target].length >> 2];
    return { hello: low('/hello'), limited: low('/limited'), added: low('/limited') - low('/hello') };
}

/** ns that a decision takes by itself, of one client and of a million, and the making of the field: {hot, cold, field}. */
export async function decisionCost(test) {
    const program = path.join(folder(test), 'rate');
    const sources = ['policy/ratelimit.c', 'policy/key.c', 'shm/limits.c', 'crypto/siphash.c', 'crypto/random.c', 'codec/form.c', 'codec/pointer.c', 'codec/utf8.c', 'codec/json_walk.c',
        'base/buf.c', 'base/error.c', 'base/slice.c', 'base/panic.c', 'base/time.c', 'base/duration.c'].map((file) => path.join(repository, 'src', file));
    const flags = process.arch === 'x64' ? ['-mcx16'] : [];
    await tool('cc', ['-std=gnu17', '-D_GNU_SOURCE', '-O2', '-flto', '-fno-strict-aliasing', ...flags, '-ffunction-sections', '-Wl,--gc-sections', '-I', path.join(repository, 'src'),
        '-o', program, path.join(here, 'rate.c'), ...sources, '-lcrypto']);
    const [, hot, cold, field] = /^hot (\d+) cold (\d+) field (\d+)$/m.exec(await tool(program, [])).map(Number);
    return { hot, cold, field };
}
