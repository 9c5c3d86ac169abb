// What kv costs, for bench.mjs: kv.set from 64 coroutines (of `parallel`, each setting in a loop) on two workers, beside one write and fdatasync
// after the other in the same folder; in turns, in one run. A disk whose fdatasync takes 0.1 ms (a virtual one that lies) leaves so little to
// share that the processors are the bound; so it is measured a second time with every wait for the disk made `slow` ms longer, for both sides.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { repository, request, sleep, start, tool, until } from '../e2e/helper.mjs';

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

/** A kept connection to each worker. */
async function connectionToEach(server, count) {
    const agents = new Map();
    await until(async () => {
        const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
        const { text } = await request(`${server.url}/loop?who=1`, { agent });
        if (agents.has(text)) agent.destroy();
        else agents.set(text, agent);
        return agents.size === count;
    }, 'a connection to each worker');
    return [...agents.values()];
}

const loop = `
local me = uuid()
return { methods = { "GET" }, timeout = "5m", handle = function(req)
  if req.query.who then return me end
  local over, list, n = time.monotonic() + tonumber(req.query.seconds), {}, 0
  for i = 1, tonumber(req.query.coroutines) do
    list[i] = function()
      local count = 0
      while time.monotonic() < over do
        n, count = n + 1, count + 1
        kv.set("key:" .. n % 1000, n)
      end
      return count
    end
  end
  local began, sum = time.monotonic(), 0
  for _, count in ipairs(parallel(list)) do sum = sum + count end
  return ("%d %f"):format(sum, time.monotonic() - began)
end }
`;

/** kv.set a second, of all workers together. */
async function sets(server, agents, coroutines, seconds) {
    const url = `${server.url}/loop?seconds=${seconds}&coroutines=${coroutines / agents.length}`;
    const replies = await Promise.all(agents.map((agent) => request(url, { agent, limit: 300000 })));
    return replies.reduce((sum, { status, text }) => {
        assert.equal(status, 200, text);
        const [count, took] = text.split(' ').map(Number);
        return sum + count / took;
    }, 0);
}

/**
 * {setsPerSecond, oneByOnePerSecond, ratio, changesPerCommit}: medians of the rounds. whole: what start() tidies up with. slow: ms that each wait for
 * the disk takes longer; 0: as it is.
 */
export async function kvRates(whole, dir, { rounds = 3, seconds = 3, coroutines = 64, slow = 0 } = {}) {
    const env = {};
    if (slow > 0) {
        const shim = path.join(dir, 'slow_disk.so');
        await tool('cc', ['-O1', '-shared', '-fPIC', '-o', shim, path.join(here, 'slow_disk.c'), '-ldl']);
        Object.assign(env, { LD_PRELOAD: shim, SLOW_DISK_US: String(slow * 1000) });
    }
    const server = await start(whole, { dir, workers: 2, env, hooks: { 'loop.lua': loop } });
    const agents = await connectionToEach(server, 2);
    await sets(server, agents, coroutines, 1); // the file has its size, scripts are compiled
    const rates = [], ones = [];
    const count = async () => [await server.metric('crescent_store_operations_total', 'kind="change"'), await server.metric('crescent_store_commits_total')];
    const [changes, commits] = await count();
    for (let i = 0; i < rounds; i++) {
        ones.push(await oneByOne(dir, seconds / 2, env));
        rates.push(await sets(server, agents, coroutines, seconds));
        await sleep(200);
    }
    const [changesNow, commitsNow] = await count();
    for (const agent of agents) agent.destroy();
    await server.stop();
    const setsPerSecond = median(rates), oneByOnePerSecond = median(ones);
    return { setsPerSecond, oneByOnePerSecond, ratio: setsPerSecond / oneByOnePerSecond, changesPerCommit: (changesNow - changes) / (commitsNow - commits) };
}
