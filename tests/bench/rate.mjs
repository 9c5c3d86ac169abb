// What a rate limit costs, for bench.mjs. test: what start() tidies up through, as in bench.mjs.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { folder, repository, start, tool } from '../e2e/helper.mjs';

const here = path.join(repository, 'tests/bench');

/** CPU time so far of a worker's loop, in ns: /proc counts the whole process in ticks of 10 ms only. */
const cpu = (worker) => Number(fs.readFileSync(`/proc/${worker}/schedstat`, 'latin1').split(' ')[0]);

/** CPU µs a request. */
async function cost(server, worker, target, connections, prefix) {
    const before = cpu(worker);
    const [program, ...args] = [...prefix, 'wrk', '-t1', `-c${connections}`, '-d1s', '-s', path.join(here, 'wrk.lua'), server.url + target];
    const said = await tool(program, args);
    const [, requests, , , errors] = /RESULT (\d+) (\d+) (\d+) (\d+)/.exec(said).map(Number);
    assert.equal(errors, 0, said);
    return (cpu(worker) - before) / requests / 1000;
}

/** Costs of rounds within one server, in turns: adds to what there is. */
async function limitRounds(test, { rounds, connections, limit, on, cores }, costs, added) {
    const hello = (field) => `return { methods = { "GET" }, ${field} handle = function() return "hello" end }`;
    const server = await start(test, { hooks: { 'hello.lua': hello(''), 'limited.lua': hello(`rate_limit = ${limit},`) }, workers: 1, prefix: on(cores[0]) });
    const [worker] = server.children('worker');
    for (let round = -1; round < rounds; round++) {
        const one = {};
        for (const target of round % 2 === 0 ? ['/hello', '/limited'] : ['/limited', '/hello']) one[target] = await cost(server, worker, target, connections, on(cores[1]));
        if (round < 0) continue; // scripts were compiled
        costs.push(one['/hello']);
        added.push(one['/limited'] - one['/hello']);
    }
    await server.stop();
}

/**
 * What a limit adds to hello, in µs of CPU a request: {hello, added}. Two endpoints of one server in turns; the median of the differences
 * within a round, since what a machine adds by chance lasts longer than one; many rounds, since what is looked for is a thirtieth of
 * what is measured; in several servers, since where memory lies makes it 0.1 to 0.35 for as long as one lives. limit: one that lets
 * all in.
 */
export async function limitCost(test, { servers = 5, rounds = 12, connections = 32, limit = '"1000000/s"', cores = [0, 1] } = {}) {
    const on = (core) => ['taskset', '-c', String(core)];
    const costs = [], added = [];
    for (let i = 0; i < servers; i++) await limitRounds(test, { rounds, connections, limit, on, cores }, costs, added);
    const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
    return { hello: median(costs), added: median(added) };
}

/** ns that a decision takes by itself, of one client and of a million, and the making of the field: {hot, cold, field}. */
export async function decisionCost(test) {
    const program = path.join(folder(test), 'rate');
    const sources = ['policy/ratelimit.c', 'policy/key.c', 'shm/limits.c', 'crypto/siphash.c', 'crypto/random.c', 'codec/form.c', 'codec/ip.c', 'codec/pointer.c', 'codec/utf8.c', 'codec/json_walk.c',
        'base/ascii.c', 'base/buf.c', 'base/error.c', 'base/slice.c', 'base/panic.c', 'base/time.c', 'base/duration.c'].map((file) => path.join(repository, 'src', file));
    const flags = process.arch === 'x64' ? ['-mcx16'] : [];
    await tool('cc', ['-std=gnu17', '-D_GNU_SOURCE', '-O2', '-flto', '-fno-strict-aliasing', ...flags, '-ffunction-sections', '-Wl,--gc-sections', '-I', path.join(repository, 'src'),
        '-o', program, path.join(here, 'rate.c'), ...sources, '-lcrypto']);
    const [, hot, cold, field] = /^hot (\d+) cold (\d+) field (\d+)$/m.exec(await tool(program, [])).map(Number);
    return { hot, cold, field };
}
