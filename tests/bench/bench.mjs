// Measures crescent beside nginx with lua and beside the floor (floor.c), in one run: each server has core 0 to itself,
// wrk has core 1. The servers take turns, round by round, and the median of the rounds counts, since machines are noisy.
// Each round starts them anew: what a JIT compiles, and where memory lies, is luck that a server keeps until its end
// (nginx with lua: 52 to 65 µs a request, from start to start).
// node bench.mjs FLOOR_BINARY [--check] [--rounds N] [--seconds N], or with --hostile: hostile.mjs alone, with --against
// BINARY: against.mjs alone; scripts/bench builds what it needs.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import examples from '../e2e/payloads.mjs';
import { against } from './against.mjs';
import { idleConnections, upload, uploadCost, uploadMemory } from './ground.mjs';
import { kvRates } from './kv.mjs';
import { hostile } from './hostile.mjs';
import { besideARunaway, interruptionDelay } from './limits.mjs';
import { outgoing } from './outgoing.mjs';
import { proxying } from './proxy.mjs';
import { limitCost } from './rate.mjs';
import { sleepers } from './waits.mjs';
import { childrenOf, folder, repository, request, sleep, start, tool, until, write } from '../e2e/helper.mjs';

const secret = 'bench-secret';
const here = path.join(repository, 'tests/bench');
const [floorBinary, ...flags] = process.argv.slice(2);
const option = (name, fallback) => flags.includes(name) ? Number(flags[flags.indexOf(name) + 1]) : fallback;
const rounds = option('--rounds', 7), seconds = option('--seconds', 3), connections = 32;
const onCore = (core) => ['taskset', '-c', String(core)];
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

// start() and folder() tidy up through the test they belong to; here that is the whole run.
const endings = [];
const whole = { after: (fn) => endings.unshift(fn) };

// The push example of GitHub's that is nearest to 7 KiB.
const push = examples.find((e) => e.name === 'push').examples.map((e) => JSON.stringify(e))
    .reduce((best, text) => Math.abs(text.length - 7168) < Math.abs(best.length - 7168) ? text : best);
const signature = `sha256=${createHmac('sha256', secret).update(push).digest('hex')}`;

const scenarios = [
    { path: '/push', title: 'verify, pick, JSON reply', signed: true, peers: { nginx: 3.0, floor: 0.7 } },
    { path: '/transform', title: 'verify, full decode, transform', signed: true, peers: { nginx: 2.0 } },
    { path: '/hello', title: 'hello', signed: false, peers: { nginx: 1.0 } },
];

function freePort() {
    return new Promise((done) => {
        const server = net.createServer().listen(0, '127.0.0.1', () => {
            const { port } = server.address();
            server.close(() => done(port));
        });
    });
}

/** CPU time so far of a process with all its children, in microseconds; /proc counts in ticks of 10 ms. */
function cpu(pid) {
    const fields = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').pop().split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10_000 + childrenOf(pid).reduce((sum, child) => sum + cpu(child), 0);
}

function pss(pid) {
    return Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))[1]) * 1024;
}

async function peer(name, command, port) {
    const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, GITHUB_WEBHOOK_SECRET: secret } });
    const stop = async () => {
        child.kill('SIGTERM');
        await new Promise((done) => child.exitCode !== null || child.signalCode ? done() : child.on('close', done));
    };
    endings.unshift(stop);
    const url = `http://127.0.0.1:${port}`;
    await until(() => request(`${url}/hello`).then((r) => r.text === 'hello', () => false), `${name} to answer`);
    return { name, url, pid: child.pid, stop };
}

async function startAll(dir) {
    const floorPort = await freePort();
    const floor = await peer('floor', [...onCore(0), floorBinary, String(floorPort)], floorPort);
    const nginxPort = await freePort();
    const conf = fs.readFileSync(path.join(here, 'nginx.conf'), 'utf8').replaceAll('@PORT@', nginxPort).replaceAll('@DIR@', dir).replaceAll('@BENCH@', here);
    write(dir, { 'nginx.conf': conf });
    const nginx = await peer('nginx', [...onCore(0), '/usr/sbin/nginx', '-p', dir, '-c', path.join(dir, 'nginx.conf')], nginxPort);
    return [floor, nginx, await startCrescent()];
}

async function startCrescent(program) {
    const server = await start(whole, { hooks: path.join(here, 'hooks'), workers: 1, env: { GITHUB_WEBHOOK_SECRET: secret }, prefix: onCore(0), program });
    return { name: 'crescent', url: server.url, pid: server.pid, stop: () => server.stop() };
}

/** One wrk run: requests, seconds, p99 in ms, server CPU in µs a request. Any answer but 200 fails the bench. */
async function wrk(target, scenario, { time = seconds, count = connections, delay = 0 } = {}) {
    const before = cpu(target.pid);
    const out = await tool('taskset', ['-c', '1', 'wrk', '-t1', `-c${count}`, `-d${time}s`, '-s', path.join(here, 'wrk.lua'), target.url + scenario.path, '--',
        scenario.signed ? target.body : '', scenario.signed ? signature : '', String(delay)]);
    const used = cpu(target.pid) - before;
    const [, requests, duration, p99, errors] = /^RESULT (\d+) (\d+) (\d+) (\d+)$/m.exec(out).map(Number);
    assert.equal(errors, 0, `${target.name} ${scenario.path}: ${errors} requests failed\n${out}`);
    return { rate: requests / (duration / 1e6), p99: p99 / 1000, cost: used / requests };
}

async function throughput(dir) {
    const results = new Map();
    for (let round = 0; round < rounds; round++) {
        const servers = await startAll(dir);
        for (const scenario of scenarios) {
            for (const s of servers) {
                s.body = path.join(dir, 'push.json');
                await wrk(s, scenario, { time: 1 });
                const key = `${s.name} ${scenario.path}`;
                results.set(key, [...(results.get(key) ?? []), await wrk(s, scenario)]);
            }
        }
        for (const s of servers) await s.stop();
    }
    return (name, scenario, what) => median(results.get(`${name} ${scenario.path}`).map((r) => r[what]));
}

async function memory() {
    const server = await start(whole, {
        hooks: path.join(repository, 'examples/hooks'), workers: 2,
        env: { GITHUB_WEBHOOK_SECRET: secret, STRIPE_WEBHOOK_SECRET: 'whsec_bench', DEMO_API_KEY: 'bench' },
    });
    await sleep(1500);
    const workers = server.children('worker').map(pss);
    const all = pss(server.pid) + childrenOf(server.pid).reduce((sum, pid) => sum + pss(pid), 0);
    await server.stop();
    return { worker: Math.max(...workers), all };
}

/**
 * What records cost of hello's rate, those of the default and all of them, against none. In turns, and each round in processes
 * of its own: where a process happens to lie in memory makes more of a difference than records do, as long as it lives. The
 * median of the ratios within a round.
 */
async function recording() {
    const hello = scenarios.find((s) => s.path === '/hello'), modes = ['off', 'sampled', 'all'], ratios = { sampled: [], all: [] };
    for (let round = 0; round < 2 * rounds; round++) {
        const cost = {};
        for (const access of round % 2 === 0 ? modes : [...modes].reverse()) {
            const server = await start(whole, { hooks: path.join(here, 'hooks'), workers: 1, env: { GITHUB_WEBHOOK_SECRET: secret, CRESCENT_LOG_ACCESS: access }, prefix: onCore(0) });
            await wrk(server, hello, { time: 1 });
            cost[access] = (await wrk(server, hello, { time: 2 })).cost;
            await server.stop();
        }
        for (const access of ['sampled', 'all']) ratios[access].push(cost.off / cost[access]);
    }
    return { sampled: 1 - median(ratios.sampled), all: 1 - median(ratios.all) };
}

async function ground(peers) {
    const body = upload(secret);
    // Ten thousand connections of one address, which the limit's default would cut.
    const one = await start(whole, { hooks: path.join(here, 'hooks'), workers: 1, env: { GITHUB_WEBHOOK_SECRET: secret, CRESCENT_LIMITS_CONNECTIONS_PER_IP: '20000' } });
    const memory = await uploadMemory(one, body, '/upload'), read = await uploadMemory(one, body, '/read');
    const idle = await idleConnections(one);
    await one.stop();
    const costs = { crescent: [], nginx: [] };
    for (let round = 0; round < rounds; round++)
        for (const s of peers.filter((p) => p.name in costs)) costs[s.name].push(await uploadCost(s, body, cpu));
    return { memory, read, idle, recording: await recording(), upload: median(costs.crescent), peer: median(costs.nginx) };
}

async function reloads(dir) {
    const script = (i, text) => `-- script ${i}\nlocal greeting = "${text}"\nreturn { methods = { "GET" }, handle = function(req)\n  return 200, greeting, { ["x-script"] = "${i}" }\nend }\n`;
    const hooks = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`s${i}.lua`, script(i, 'first')]));
    hooks['push.lua'] = fs.readFileSync(path.join(here, 'hooks/push.lua'), 'utf8');
    write(path.join(dir, 'many'), hooks);
    const began = performance.now();
    const server = await start(whole, { hooks: path.join(dir, 'many'), workers: 1, env: { GITHUB_WEBHOOK_SECRET: secret }, prefix: onCore(0), limit: 60000 });
    await until(() => server.get('/s999').then((r) => r.status === 200), 'the last script', 60000);
    const load = performance.now() - began;

    let version = 0;
    const save = async () => {
        const text = `version ${++version}`;
        const saved = performance.now();
        server.replace('s500.lua', script(500, text));
        await until(async () => (await server.get('/s500')).text === text, 'the saved script', 10000);
        return performance.now() - saved;
    };
    const saves = [];
    for (let i = 0; i < 11; i++) {
        saves.push(await save());
        await sleep(100);
    }

    const target = { name: 'crescent', url: server.url, pid: server.pid, body: path.join(dir, 'push.json') };
    const full = await wrk(target, scenarios[0]);
    // Each connection waits 2 ms between its requests: this many make half of the full rate.
    const half = { count: Math.max(1, Math.round(full.rate / 2 * 0.002)), delay: 2, time: 4 };
    const quiet = [], busy = [];
    for (let round = 0; round < 3; round++) {
        quiet.push((await wrk(target, scenarios[0], half)).p99);
        let running = true;
        const saving = (async () => {
            while (running) {
                await save();
                await sleep(200);
            }
        })();
        busy.push((await wrk(target, scenarios[0], half)).p99);
        running = false;
        await saving;
    }
    await server.stop();
    return { load, save: median(saves), added: median(busy) - median(quiet) };
}

/** What scripts that wait cost: coroutines, requests of their own, proxying, values kept; and what limits hold. */
async function waiting(dir) {
    const one = await start(whole, { hooks: path.join(here, 'hooks'), workers: 1, env: { GITHUB_WEBHOOK_SECRET: secret } });
    const sleeper = await sleepers(one);
    await one.stop();
    return {
        sleeper,
        gets: await outgoing({ whole, dir, cpu, freePort }),
        proxy: await proxying(whole),
        kv: await kvRates(whole, path.join(dir, 'kv')),
        slow: await kvRates(whole, path.join(dir, 'kv-slow'), { slow: 2 }),
        late: await interruptionDelay(whole),
        beside: await besideARunaway(whole),
        limit: await limitCost(whole),
    };
}

/** --hostile: a run of its own, longer than most would wait for. */
async function besideHostiles() {
    const only = flags.includes('--only') ? flags[flags.indexOf('--only') + 1] : '';
    return tellMissed(await hostile(whole, { seconds: option('--seconds', 4), slowSeconds: option('--slow-seconds', 60), only }));
}

/** --against BINARY. */
async function besideAnother(other) {
    const dir = folder(whole), body = path.join(dir, 'push.json');
    write(dir, { 'push.json': push });
    const worse = await against({
        programs: { [other]: path.resolve(other), crescent: undefined }, scenarios, rounds, seconds, begin: startCrescent,
        measure: (server, scenario, time) => wrk({ ...server, body }, scenario, { time }),
    });
    return tellMissed(worse);
}

function tellMissed(list) {
    for (const words of list) console.log(`\nmissed: ${words}`);
    return list.length && flags.includes('--check') ? 1 : 0;
}

const missed = [];
const demand = (what, value, good, limit) => good || missed.push(`${what}: ${value}, wanted ${limit}`);

function tellThroughput(figure, servers) {
    console.log(`Signed GitHub push of ${push.length} bytes, ${connections} connections, one core for each server, median of ${rounds} rounds of ${seconds} s.\n`);
    console.log('| scenario | server | requests/s | CPU µs a request | p99 ms | per CPU second: × nginx-lua | × floor |');
    console.log('|---|---|---:|---:|---:|---:|---:|');
    for (const scenario of scenarios) {
        for (const s of servers) {
            const ratio = (other) => figure(other, scenario, 'cost') / figure(s.name, scenario, 'cost');
            console.log(`| ${scenario.title} | ${s.name === 'nginx' ? 'nginx-lua' : s.name} | ${Math.round(figure(s.name, scenario, 'rate'))} | ${figure(s.name, scenario, 'cost').toFixed(1)} | `
                + `${figure(s.name, scenario, 'p99').toFixed(2)} | ${ratio('nginx').toFixed(2)} | ${ratio('floor').toFixed(2)} |`);
            if (s.name !== 'crescent') continue;
            for (const [other, wanted] of Object.entries(scenario.peers))
                demand(`${scenario.title}, × ${other}`, ratio(other).toFixed(2), ratio(other) >= wanted, `at least ${wanted.toFixed(2)}`);
        }
    }
    console.log('\n| figure | measured | wanted |\n|---|---:|---:|');
}

/** Rows of the second table: what, value, whether it is as wanted, what is wanted. */
function tell(list) {
    for (const [what, value, good, wanted] of list) {
        console.log(`| ${what} | ${value} | ${wanted} |`);
        demand(what, value, good, wanted);
    }
}

const mib = (bytes) => `${(bytes / 1048576).toFixed(1)} MiB`;

function tellGround(idle, reload, base) {
    tell([
        ['idle, a worker with the examples (Pss)', mib(idle.worker), idle.worker < 10 * 1048576, 'under 10 MiB'],
        ['idle, all processes, two workers (Pss)', mib(idle.all), idle.all < 30 * 1048576, 'under 30 MiB'],
        ['start with 1,000 scripts', `${reload.load.toFixed(0)} ms`, reload.load < 1000, 'under 1 s'],
        ['save to live, one of 1,000 scripts', `${reload.save.toFixed(0)} ms`, reload.save < 50, 'under 50 ms'],
        ['10,000 idle kept-alive connections add', mib(base.idle), base.idle < 100 * 1048576, 'under 100 MiB'],
        ['records cost, of the rate of hello', `${(base.recording.sampled * 100).toFixed(1)} %`, base.recording.sampled <= 0.03, 'at most 3 %'],
        ['the same with `log.access = "all"`', `${(base.recording.all * 100).toFixed(1)} %`, true, ''],
        ['an 8 MiB upload takes of memory, × its size', base.memory.toFixed(2), base.memory <= 2.2, 'at most 2.2'],
        ['the same, read by the script as a string', base.read.toFixed(2), base.read <= 2.2, 'at most 2.2'],
        ['CPU of an upload, received and hashed; nginx-lua', `${base.upload.toFixed(2)} ns a byte; ${base.peer.toFixed(2)}`, base.upload <= base.peer, 'no more than nginx-lua'],
        ['added to the p99 by saves at half load', `${reload.added.toFixed(1)} ms`, reload.added < 20, 'under 20 ms'],
    ]);
}

function tellWaiting(waits) {
    tell([
        ['a coroutine of `parallel`, asleep with 9,999 others', `${Math.round(waits.sleeper)} bytes`, waits.sleeper < 4096, 'under 4 KiB'],
        ['`http.get` a second, one worker, 64 at once; nginx-lua\'s cosockets', `${Math.round(waits.gets.crescent.rate)}; ${Math.round(waits.gets.nginx.rate)}`,
            waits.gets.crescent.rate >= 25000 && waits.gets.crescent.rate >= 0.8 * waits.gets.nginx.rate, 'at least 25,000, and 0.8 of nginx-lua'],
        ['CPU µs a proxied request; nginx `proxy_pass`', `${waits.proxy.crescent.toFixed(1)}; ${waits.proxy.nginx.toFixed(1)}`, waits.proxy.times <= 2.5, 'at most 2.5 × nginx'],
        ['`kv.set` a second, 64 coroutines on two workers; one fsync after the other', `${Math.round(waits.kv.setsPerSecond)}; ${Math.round(waits.kv.oneByOnePerSecond)} (× ${waits.kv.ratio.toFixed(1)})`, waits.kv.ratio >= 20, 'at least × 20'],
        ['the same, where the disk takes 2 ms longer', `${Math.round(waits.slow.setsPerSecond)}; ${Math.round(waits.slow.oneByOnePerSecond)} (× ${waits.slow.ratio.toFixed(1)})`, waits.slow.ratio >= 20, 'at least × 20'],
        ['a loop is interrupted after its `max_run`: median, most', `${waits.late.median.toFixed(0)} ms, ${waits.late.most.toFixed(0)} ms`, waits.late.median <= 20, 'within 20 ms'],
        ['p99 of others beside a script that loops for ever', `${waits.beside.before.p99.toFixed(1)} → ${waits.beside.during.p99.toFixed(1)} ms`,
            waits.beside.during.p99 - waits.beside.before.p99 < 10 && waits.beside.failures === 0, 'less than 10 ms more, no failure'],
        ['a rate limit takes of a request', `${(waits.limit.added * 1000).toFixed(0)} ns`, waits.limit.added < 0.3, 'under 300 ns'],
    ]);
}

async function main() {
    if (flags.includes('--hostile')) return besideHostiles();
    if (flags.includes('--against')) return besideAnother(flags[flags.indexOf('--against') + 1]);
    const dir = folder(whole);
    write(dir, { 'push.json': push });
    for (const name of ['kv', 'kv-slow']) fs.mkdirSync(path.join(dir, name));
    const figure = await throughput(dir);
    const servers = await startAll(dir);
    tellThroughput(figure, servers);
    tellGround(await memory(), await reloads(dir), await ground(servers));
    tellWaiting(await waiting(dir));
    return tellMissed(missed);
}

let code = 1;
try {
    code = await main();
} finally {
    for (const end of endings) await end();
}
process.exit(code);
