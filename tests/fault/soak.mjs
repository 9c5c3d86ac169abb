// soak.mjs MINUTES [SEED]: a server of two workers under all at once: honest clients, whose every answer is checked; those
// who leave, dawdle or send what is no HTTP; saves that load and saves that do not; kills, upgrades, an upstream that dies.
// In rounds: after each one all are quiet, and the server must hold nothing of anybody. At its end: no report of a
// sanitizer, no answer that a fault does not explain, flat memory and descriptors, no process or file left, each
// acknowledged change there. The seed gives the same choices, not the same times. (tests/fault/soak starts it.)
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { certificate, childrenOf, ms, request, sleep, start, tool, until, write } from '../e2e/helper.mjs';
import { generator } from './fault.mjs';
import { One, Two } from './soaking/clients.mjs';
import { Faults } from './soaking/faults.mjs';
import { honest } from './soaking/honest.mjs';
import { dotenv, saver } from './soaking/saver.mjs';
import { hooks, secret } from './soaking/scripts.mjs';
import { kinds, stranger } from './soaking/strangers.mjs';
import { upstream } from './soaking/upstream.mjs';
import { filesBelow, inhabitants, restless, sample, verdict } from './soaking/watch.mjs';

const minutes = Number(process.argv[2]), seed = Number(process.argv[3] ?? Date.now() % 1e9);
if (!(minutes > 0) || !Number.isInteger(seed) || process.argv.length > 4) {
    console.error('usage: tests/fault/soak MINUTES [SEED]');
    process.exit(2);
}
/** What memory may grow by, from the first third of the quiets to the last: a share, or if that is less, MiB. A sanitizer's allocator gives little back. */
const bounds = { plain: { spare: 0.1, floor: 2 }, sanitized: { spare: 0.1, floor: 16 } };
const rounds = Math.max(3, Math.round(minutes * 3)), length = minutes * 60000 / rounds;
/** An upgrade replaces all workers, so there are few: between two of them one worker, the veteran, is spared. */
const eras = Math.min(4, Math.max(1, Math.floor(minutes / 7)));
let number = 0;
const random = () => generator((seed ^ Math.imul(++number, 0x9e3779b9)) >>> 0);

/** What all know: what was saved and seen, counted and kept, and what was wrong. */
const world = {
    saved: { version: 0, shared: 0, turn: 0 }, live: { version: 0, shared: 0, turn: 0 },
    counters: {}, unique: new Set(), slots: new Set(), large: Buffer.alloc(300_000, 'large '),
    done: {}, excused: {}, statuses: {}, wrongs: [],
    answered(status) { this.statuses[status] = (this.statuses[status] ?? 0) + 1; },
    wrong(words) {
        if (this.wrongs.length < 30) console.log(`wrong: ${words} (load of the machine: ${os.loadavg()[0].toFixed(1)})`);
        this.wrongs.push(words);
    },
};

/** Lets actors act while it is open; close() waits until each is home. */
class Gate {
    constructor() { Object.assign(this, { inside: new Map(), isOpen: false, over: false }); }
    async act(name, step, pause) {
        while (!this.over) {
            if (!this.isOpen) {
                await sleep(20);
                continue;
            }
            this.inside.set(name, Date.now());
            await step().catch((error) => world.wrong(error.stack));
            this.inside.delete(name);
            await sleep(pause());
        }
    }
    async close() {
        this.isOpen = false;
        const out = () => [...this.inside].map(([name, since]) => `${name} ${Date.now() - since} ms`).join(', ');
        await until(() => this.inside.size === 0, () => `all to come home; there are out ${out()}`, 40000);
    }
}

const configuration = (access) => `return { drain = "60s", files = "files", store = "sqlite:crescent.db", log = { file = "server.log", access = ${access} },
  limits = { body = "8MiB", lua_memory = "24MiB", header_time = "${ms(2000)}ms", body_time = "${ms(5000)}ms", write_time = "${ms(5000)}ms", idle_time = "${ms(5000)}ms" } }`;

async function begin(t, dir) {
    const pair = await certificate(dir), steady = await upstream(t), mortal = await upstream(t);
    const env = { SOAK_SECRET: secret, SOAK_STEADY: steady.url, SOAK_MORTAL: mortal.url };
    write(dir, { '.env': dotenv({ ...env, SOAK_TURN: 0 }), 'files/large': world.large.toString() });
    const report = 'quarantine_size_mb=8:thread_local_quarantine_size_kb=64:allocator_release_to_os_interval_ms=200:print_stacktrace=1';
    const options = Object.fromEntries(['ASAN', 'UBSAN', 'TSAN', 'LSAN'].map((one) => [`${one}_OPTIONS`, `${process.env[`${one}_OPTIONS`] ?? ''}:${report}`]));
    const server = await start(t, { dir, hooks, workers: 2, listen: ['http://127.0.0.1:0', 'https://127.0.0.1:0'], args: pair.args, config: configuration('"sampled"'),
        env: options, logFile: 'server.log', limit: 20000 });
    const ports = server.urls.map((url) => Number(new URL(url).port));
    return { server, ports, env, mortal, dir, sanitized: /lib[atu]+san/.test(fs.readFileSync(`/proc/${server.pid}/maps`, 'latin1')), faults: new Faults(server, ports, world.live) };
}

function people(it, gate) {
    const clients = [];
    const client = (make, url) => {
        clients.push(make);
        const r = random();
        gate.act(`client ${clients.length}`, honest(`client ${clients.length}`, make, r, world), () => r.below(30));
    };
    const [plain, secure] = it.server.urls;
    for (let i = 0; i < 5; i++) client(new One(plain));
    for (let i = 0; i < 2; i++) client(new One(secure));
    for (const url of [plain, secure]) {
        const shared = new Two(url); // three streams side by side
        for (let i = 0; i < 3; i++) client(shared);
    }
    for (const kind of Object.keys(kinds)) {
        for (let i = 0; i < 2; i++) {
            const r = random();
            gate.act(`${kind} ${i}`, stranger(kind, r, { ports: it.ports, urls: it.server.urls }, world), () => r.below(kind === 'dawdler' ? 100 : 200));
        }
    }
    const r = random();
    gate.act('saver', saver(it.server, r, world, it.env), () => 0);
    return () => { for (const one of clients) one.leave(); };
}

/** The log goes to another file, and the old one is forgotten once it has been read. */
async function rotate({ server, dir, faults }, r) {
    const file = path.join(dir, 'server.log'), aside = `${file}.${r.below(1e6)}`;
    fs.renameSync(file, aside);
    process.kill(server.pid, 'SIGUSR1');
    await until(() => fs.existsSync(file), 'a new log file');
    await sleep(ms(300));
    fs.rmSync(aside);
    faults.count('USR1');
}

async function refusedUpgrade({ dir, faults }) {
    const file = path.join(dir, 'crescent.lua'), good = fs.readFileSync(file, 'utf8');
    fs.writeFileSync(file, `${good.slice(0, -20)}, oops = 1 }`);
    await faults.upgrade('refused');
    fs.writeFileSync(file, good);
}

async function faultsOf(it, r, { upgrade, spared, keeper }) {
    const { faults } = it, kinds = ['worker', 'worker', 'spawner', 'upstream', 'upstream', 'USR1', 'refused', ...keeper ? ['keeper', 'keeper'] : []];
    const plan = [...upgrade ? ['upgrade'] : [], ...Array.from({ length: 2 + r.below(3) }, () => r.pick(kinds))], end = Date.now() + length;
    for (const kind of plan) {
        await sleep(r.below(length / (plan.length + 1)));
        if (Date.now() > end) break;
        if (kind === 'worker') await faults.killWorker(r, spared());
        else if (kind === 'keeper') await faults.killKeeper();
        else if (kind === 'spawner') await faults.killSpawner(r, spared());
        else if (kind === 'upstream') await faults.upstreamDies(it.mortal, r);
        else if (kind === 'USR1') await rotate(it, r);
        else if (kind === 'refused') await refusedUpgrade(it);
        else {
            fs.writeFileSync(path.join(it.dir, 'crescent.lua'), configuration(r.pick(['"sampled"', '0.5'])));
            await faults.upgrade('done');
        }
    }
    await sleep(Math.max(0, end - Date.now()));
}

/** Nobody asks for anything: all saves are live everywhere, nothing is held for anyone. */
async function quiet({ server, faults }) {
    const wanted = () => ({ version: world.saved.version, shared: world.saved.shared, turn: String(world.saved.turn) });
    let row = 0, seen;
    await until(async () => {
        seen = (await request(`${server.url}/v`).catch((error) => ({ text: error.code }))).text;
        try { assert.deepEqual(JSON.parse(seen), wanted()); row++; } catch { row = 0; }
        return row >= 24; // from every worker, that is, but for a chance of one in millions
    }, () => `${JSON.stringify(wanted())} from every worker; it is ${seen}\n${server.tail()}`, 20000);
    let holds;
    await until(async () => (holds = await restless(server)).length === 0, () => `nothing held in the quiet: ${holds}`, 30000);
    await until(() => childrenOf(server.pid).length === 3, () => `a keeper, two workers, nothing else: ${childrenOf(server.pid)}`, 20000);
    for (let i = 0; i < 24; i++) assert.equal((await request(`${server.url}/tidy`)).text, 'tidy');
    await sleep(ms(500)); // allocators give back
    checkWords(server);
}

/** Nobody has died by itself, no sanitizer has spoken. */
function checkWords(server) {
    const noise = server.noise.splice(0), report = noise.findIndex((line) => /Sanitizer|runtime error/.test(line));
    if (report >= 0) world.wrong(noise.slice(Math.max(0, report - 2), report + 80).join('\n'));
    for (const record of server.log.splice(0)) {
        const line = JSON.stringify(record);
        if (/ (died|killed: )/.test(record.message) && !world.faults.killed(record.child) || /Sanitizer:|runtime error:|panic/.test(line)) world.wrong(line);
    }
}

/** Every acknowledged change is in the store, and of the others no more than were asked for. */
async function checkStore({ server }) {
    const kv = async (call) => (await request(`${server.url}/kv`, { method: 'POST', body: JSON.stringify({ bucket: 'honest', ...call }), headers: { 'content-type': 'application/json' } })).json;
    for (const [key, { asked, acknowledged }] of Object.entries(world.counters)) {
        const { value } = await kv({ call: 'get', key });
        if (!(value >= acknowledged && value <= asked)) world.wrong(`${key} is ${value}; ${acknowledged} were acknowledged, ${asked} asked for`);
    }
    const there = new Set();
    for (let after; ;) {
        const page = await kv({ call: 'list', key: 'u-', after });
        for (const key of page.value) there.add(key);
        if (!(after = page.after)) break;
    }
    for (const key of world.unique) if (!there.has(key)) world.wrong(`${key} was acknowledged, and is not there`);
}

/** Connections to the server and what the kernel says of them, to be read by whoever looks for one that hangs. */
const sockets = ({ ports }) => tool('ss', ['-tanp', `( sport = :${ports[0]} or dport = :${ports[0]} or sport = :${ports[1]} or dport = :${ports[1]} )`]).catch((error) => error.message);

function checkFiles(dir) {
    const known = /^(crescent\.(lua|db)|\.env|server\.log|tls\.(crt|key)|hooks\/.*\.lua|files\/(large|uploads\/s-\d|strangers\/\d+))$/;
    const unknown = filesBelow(dir).filter((name) => !known.test(name));
    for (const name of unknown) world.wrong(`a file is left: ${name}`);
}

/** The life of each process since it was warm, by its samples. */
function checkFlat(series, bound) {
    for (const [name, samples] of series) {
        const { text, flat } = verdict(name, samples, bound), enough = samples.length >= 6;
        if (enough || !/^spawner/.test(name)) console.log(`${!enough ? 'too few quiets to judge' : flat ? 'flat' : 'GROWS'}: ${text}`);
        if (!flat && enough) world.wrong(`not flat: ${text}; ${samples.map((s) => s.pss.toFixed(1)).join(' ')}`);
    }
}

async function soak(t, dir) {
    const it = await begin(t, dir), { server, faults } = it, gate = new Gate(), r = random(), series = new Map();
    Object.assign(world, { faults, server });
    const leave = people(it, gate), perEra = Math.ceil(rounds / eras), began = Date.now();
    t.after(() => { gate.over = true; });
    const note = (name, one) => series.set(name, [...series.get(name) ?? [], one]);
    let veteran;
    for (let round = 0; round < rounds && world.wrongs.length === 0; round++) {
        const era = Math.floor(round / perEra), within = round % perEra, warm = within >= Math.ceil(perEra / 4);
        if (within === 0) veteran = undefined;
        gate.isOpen = true;
        await faultsOf(it, r, { upgrade: within === 0, spared: () => veteran, keeper: !warm || era % 2 === 1 });
        await gate.close().catch(async (error) => { throw new Error(`${error.message}\nthe server holds ${await restless(server)}\n${await sockets(it)}`); });
        leave();
        await quiet(it);
        veteran ??= server.children('worker')[0];
        const samples = await sample(server);
        for (const one of samples) {
            if (one.kind === 'supervisor' && round >= Math.ceil(rounds / 4)) note('supervisor', one);
            if (one.pid === veteran && warm) note(`worker ${one.pid}, upgrade ${era}`, one);
            if (one.kind === 'spawner' && warm) note(`spawner ${one.pid}`, one);
            if (one.kind === 'keeper' && warm && era % 2 === 0) note(`keeper ${one.pid}`, one);
        }
        const figures = samples.map((s) => `${s.kind}${s.pid === veteran ? '*' : ''} ${s.pss.toFixed(1)}/${s.fds}`).join(', ');
        const { lua } = samples.find((s) => s.kind === 'worker');
        console.log(`${((Date.now() - began) / 60000).toFixed(1)} min, round ${round + 1} of ${rounds}: ${Object.values(world.statuses).reduce((a, b) => a + b, 0)} answers; MiB/descriptors: ${figures}; Lua ${lua.toFixed(1)} MiB`);
    }
    gate.over = true;
    if (world.wrongs.length === 0) await checkStore(it);
    await server.stop({ limit: 30000 }).catch((error) => world.wrong(error.message));
    checkWords(server);
    await until(() => inhabitants(dir).length === 0, () => `no process left: ${inhabitants(dir)}`).catch((error) => world.wrong(error.message));
    checkFiles(dir);
    checkFlat(series, bounds[it.sanitized ? 'sanitized' : 'plain']);
    for (const [what, counts] of Object.entries({ done: world.done, statuses: world.statuses, faults: faults.counts, excused: world.excused })) console.log(`${what}: ${JSON.stringify(counts)}`);
}

const endings = [], dir = fs.mkdtempSync(path.join(os.tmpdir(), 'crescent-soak-'));
console.log(`soak of ${minutes} min, ${rounds} rounds, seed ${seed}, in ${dir}`);
try {
    await soak({ after: (end) => endings.unshift(end) }, dir);
} catch (error) {
    world.wrong(error.stack);
}
for (const end of endings) await Promise.resolve(end()).catch((error) => world.wrong(error.stack));
if (world.wrongs.length === 0) fs.rmSync(dir, { recursive: true });
console.log(world.wrongs.length === 0 ? `nothing was wrong; seed ${seed}` : `${world.wrongs.length} wrong; seed ${seed}; what is left is in ${dir}`);
process.exit(world.wrongs.length === 0 ? 0 : 1);
