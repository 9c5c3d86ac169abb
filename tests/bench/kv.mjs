// What kv costs, for bench.mjs: kv.set from 64 requests at a time on two workers, beside one write and fdatasync after the other in the same
// folder, in turns, in one run. On a disk whose fdatasync takes 0.1 ms (a virtual one that lies) the script and the machine are the bound; so it
// is measured a second time with every wait for the disk made `slow` longer, for both sides.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { repository, start, sleep, tool } from '../e2e/helper.mjs';

const here = path.join(repository, 'tests/bench');
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

/** How many times a second a page can be appended and waited for. */
async function oneByOne(dir, seconds, env) {
    const text = `const fs = require("fs"), page = Buffer.alloc(4096, 120), fd = fs.openSync(process.argv[1], "w"), end = Date.now() + ${seconds * 1000};
        let count = 0; const began = process.hrtime.bigint();
        while (Date.now() < end) { fs.writeSync(fd, page); fs.fdatasyncSync(fd); count++; }
        console.log(count / (Number(process.hrtime.bigint() - began) / 1e9));`;
    const file = path.join(dir, 'one-by-one');
    const rate = Number(await tool('node', ['-e', text, file], { env: { ...process.env, ...env } }));
    fs.rmSync(file);
    return rate;
}

async function sets(server, connections, seconds) {
    const said = await tool('wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, '-s', path.join(here, 'wrk.lua'), `${server.url}/set`]);
    const [, requests, us, , errors] = /RESULT (\d+) (\d+) (\d+) (\d+)/.exec(said).map(Number);
    assert.equal(errors, 0, said);
    return requests / us * 1e6;
}

/**
 * {setsPerSecond, oneByOnePerSecond, ratio, changesPerCommit}: medians of the rounds. whole: what start() tidies up with. slow: ms that each wait for
 * the disk takes longer; 0: as it is.
 */
export async function kvRates(whole, dir, { rounds = 3, seconds = 3, connections = 64, slow = 0 } = {}) {
    const env = {};
    if (slow > 0) {
        const shim = path.join(dir, 'slow_disk.so');
        await tool('cc', ['-O1', '-shared', '-fPIC', '-o', shim, path.join(here, 'slow_disk.c'), '-ldl']);
        Object.assign(env, { LD_PRELOAD: shim, SLOW_DISK_US: String(slow * 1000) });
    }
    const server = await start(whole, { dir, workers: 2, env, hooks: {
        'set.lua': 'local n = 0\nreturn function() n = n + 1 kv.set("key:" .. n % 1000, n) return "set" end' } });
    await sets(server, connections, 1); // the file has its size, scripts are compiled
    const rates = [], ones = [];
    const count = async () => [await server.metric('crescent_store_operations_total', 'kind="change"'), await server.metric('crescent_store_commits_total')];
    const [changes, commits] = await count();
    for (let i = 0; i < rounds; i++) {
        ones.push(await oneByOne(dir, seconds / 2, env));
        rates.push(await sets(server, connections, seconds));
        await sleep(200);
    }
    const [changesNow, commitsNow] = await count();
    await server.stop();
    const setsPerSecond = median(rates), oneByOnePerSecond = median(ones);
    return { setsPerSecond, oneByOnePerSecond, ratio: setsPerSecond / oneByOnePerSecond, changesPerCommit: (changesNow - changes) / (commitsNow - commits) };
}
