// scripts/bench --hostile: what honest clients notice of hostile ones. Floods over HTTP/2 from eight connections each, one
// kind after the other, and slowhttptest in its four modes with 2,000 connections. The server has core 0 to itself; honest
// clients have core 1, and the attackers what these leave of it.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { floods } from '../e2e/attack/floods.mjs';
import { folder, repository, sleep, start, tool, until } from '../e2e/helper.mjs';

const hooks = {
    'hello.lua': 'return function() return "hello" end',
    'slow.lua': 'return function() sleep "30s" return "late" end',
    'page.lua': 'return function() return 200, ("x"):rep(16000) end',
    'file.lua': 'return function() return reply.file "big" end',
    'stream.lua': 'local text = ("x"):rep(1048576) return function() return reply.stream(function(write) for i = 1, 10 do write(text) end end) end',
    'form.lua': 'return { methods = { "GET", "POST" }, handle = function(req) return tostring(#(req.body or "")) end }',
};
const CONNECTIONS = 8, SLOW = 2000;
const slowModes = {
    'slow headers (-H)': ['-H', '-i', '10', '-t', 'GET', '-x', '24', '-p', '3'],
    'slow bodies (-B)': ['-B', '-i', '10', '-t', 'POST', '-s', '8192', '-x', '10', '-p', '3'],
    'slow reading (-X)': ['-X', '-w', '512', '-y', '1024', '-n', '5', '-z', '32', '-k', '3', '-p', '3'],
    'ranges (-R)': ['-R', '-t', 'HEAD', '-a', '10', '-b', '3000', '-p', '3'],
};
const paths = { '-H': '/hello', '-B': '/form', '-X': '/file', '-R': '/file' };

const memory = (pids) => pids.reduce((sum, pid) => sum + Number(/^VmRSS:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'latin1'))[1]) / 1024, 0);

/** CPU time so far of the processes, in µs. */
const cpu = (pids) => pids.reduce((sum, pid) => {
    const fields = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').pop().split(' ');
    return sum + (Number(fields[11]) + Number(fields[12])) * 10_000;
}, 0);

/** Honest clients: requests a second, CPU of the workers for each in µs, p99 in ms, failures. delay: between two requests of a connection, in ms. */
async function honest(server, seconds, { connections = 32, delay = 0 } = {}) {
    const workers = server.children('worker'), before = cpu(workers);
    const out = await tool('taskset', ['-c', '1', 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '-s', path.join(repository, 'tests/bench/wrk.lua'), `${server.url}/hello`, '--', '', '', String(delay)],
        { limit: (seconds + 30) * 1000 });
    const [, requests, duration, p99, errors] = /^RESULT (\d+) (\d+) (\d+) (\d+)$/m.exec(out).map(Number);
    return { rate: requests / (duration / 1e6), cost: (cpu(workers) - before) / requests, p99: p99 / 1000, errors };
}

/**
 * An attacker. modest: it gets what others leave to the last microsecond, and is out of their way at once: slowhttptest spins
 * where there is always something to be read, and at any other rank wrk would wait for its turn, and take that for the server's.
 */
function background(command, args, { modest = false } = {}) {
    const rank = modest ? ['chrt', '--idle', '0'] : ['nice', '-n', '10'];
    const child = spawn('taskset', ['-c', '1', ...rank, command, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (part) => { text += part; });
    const ended = new Promise((done) => child.on('close', done));
    return { stop: async () => { child.kill('SIGTERM'); await ended; return text; }, said: () => text, ended };
}

/** The most that it was while `work` ran, looked at ten times a second. */
async function peakWhile(pids, work) {
    let peak = 0;
    const timer = setInterval(() => { peak = Math.max(peak, memory(pids)); }, 100);
    try {
        return [await work(), peak];
    } finally {
        clearInterval(timer);
    }
}

async function begin(test) {
    const dir = folder(test);
    fs.mkdirSync(path.join(dir, 'files'), { recursive: true });
    fs.writeFileSync(path.join(dir, 'files/big'), Buffer.alloc(4 << 20, 'f'));
    return start(test, { dir, hooks, workers: 1, prefix: ['taskset', '-c', '0'] });
}

async function flood(test, name, seconds) {
    const server = await begin(test), pids = server.children('worker');
    await honest(server, 1);
    const quiet = await honest(server, seconds), before = memory(pids);
    const attackers = background('node', [path.join(repository, 'tests/bench/attackers.mjs'), String(server.port), name, String(CONNECTIONS)]);
    await until(() => attackers.said().includes('\n'), 'attackers', 30000);
    const [attacked, peak] = await peakWhile(pids, () => honest(server, seconds));
    const sent = JSON.parse((await attackers.stop()).split('\n')[1]);
    const alive = server.children('worker').join() === pids.join();
    await server.stop({ limit: 60000 });
    return { name, quiet, attacked, kept: attacked.rate / quiet.rate, share: quiet.cost / attacked.cost, grown: peak - before, sent, alive };
}

async function slow(test, name, seconds) {
    const server = await begin(test), pids = server.children('worker'), mode = slowModes[name];
    const load = { connections: 16, delay: 2 };
    await honest(server, 1, load);
    const quiet = await honest(server, 10, load), before = memory(pids);
    const attackers = background('slowhttptest', [...mode, '-c', String(SLOW), '-r', '400', '-l', String(seconds), '-u', `${server.url}${paths[mode[0]]}`], { modest: true });
    await sleep(5000); // 2,000 connections are made
    const [attacked, peak] = await peakWhile(pids, () => honest(server, seconds - 10, load));
    await Promise.race([attackers.ended, sleep(20000)]);
    await attackers.stop();
    const alive = server.children('worker').join() === pids.join();
    await server.stop({ limit: 60000 });
    return { name, quiet, attacked, grown: peak - before, alive };
}

/** Prints two tables; what was missed, in words. seconds: of each flood; slowSeconds: of each mode of slowhttptest. */
export async function hostile(test, { seconds = 4, slowSeconds = 60, only = '' } = {}) {
    const missed = [], demand = (good, words) => good || missed.push(words);
    console.log(`Floods over HTTP/2 from ${CONNECTIONS} connections, each anew when it is cut; wrk with 32 connections beside them, ${seconds} s.\n`);
    console.log('| flood | quiet requests/s | attacked | kept | of the workers\' CPU, honest | failed | memory more | attackers cut | they sent |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|');
    for (const name of [...Object.keys(floods), 'closed windows:/page', 'closed windows:/file', 'closed windows:/stream'].filter((n) => n.includes(only))) {
        const r = await flood(test, name, seconds);
        console.log(`| ${name} | ${Math.round(r.quiet.rate)} | ${Math.round(r.attacked.rate)} | ${r.kept.toFixed(2)} | ${r.share.toFixed(2)} | ${r.attacked.errors} | ${r.grown.toFixed(1)} MiB | ${r.sent.cut} | ${(r.sent.bytes / 1048576).toFixed(0)} MiB |`);
        demand(r.kept >= 0.7, `${name}: honest clients kept ${r.kept.toFixed(2)} of their rate, wanted 0.70`);
        demand(r.attacked.errors === 0, `${name}: ${r.attacked.errors} honest requests failed`);
        demand(r.grown < 64, `${name}: memory grew by ${r.grown.toFixed(1)} MiB, wanted less than 64`);
        demand(r.alive, `${name}: a worker died`);
        demand(r.sent.cut > 0 || name.startsWith('closed'), `${name}: no attacker was cut`);
    }
    console.log(`\nslowhttptest with ${SLOW} connections for ${slowSeconds} s; wrk with 16 connections, each waiting 2 ms between two requests.\n`);
    console.log('| mode | quiet p99 ms | attacked | × | failed | memory more |\n|---|---:|---:|---:|---:|---:|');
    for (const name of Object.keys(slowModes).filter((n) => n.includes(only))) {
        const r = await slow(test, name, slowSeconds), times = r.attacked.p99 / r.quiet.p99;
        console.log(`| ${name} | ${r.quiet.p99.toFixed(2)} | ${r.attacked.p99.toFixed(2)} | ${times.toFixed(2)} | ${r.attacked.errors} | ${r.grown.toFixed(1)} MiB |`);
        demand(times < 2, `${name}: honest p99 became ${times.toFixed(2)} of the quiet one, wanted less than 2`);
        demand(r.attacked.errors === 0, `${name}: ${r.attacked.errors} honest requests failed`);
        demand(r.alive, `${name}: a worker died`);
    }
    return missed;
}
