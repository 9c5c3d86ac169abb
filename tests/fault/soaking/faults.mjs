// What goes wrong on purpose during a soak, and what it explains: a failed request is right only where the worker that
// held its connection was killed, a 503 only while what it needs was away. Each choice comes from the seed.
import fs from 'node:fs';
import { heldBy } from '../../e2e/clients.mjs';
import { childrenOf, cmdline, ms, sleep, until } from '../../e2e/helper.mjs';
import { spawnerOf } from '../../e2e/exec.mjs';
import { alive, send } from '../fault.mjs';

export class Faults {
    /** live: the versions that somebody has seen, as they are counted up. */
    constructor(server, ports, live) {
        Object.assign(this, { server, ports, live, windows: [], deaths: [], counts: {} });
    }
    count(kind) { this.counts[kind] = (this.counts[kind] ?? 0) + 1; }
    /** A time in which something is away: from now until its `to` is set. */
    open(kind) {
        const window = { kind, from: Date.now(), to: Infinity };
        this.windows.push(window);
        this.count(kind);
        return window;
    }
    /** Was something of that kind away at a time between the two? */
    during(kind, began, ended = Date.now()) {
        return this.windows.some((w) => w.kind === kind && w.from <= ended && began <= w.to);
    }
    /** Was the connection from that port in the hands of a worker that was killed meanwhile, or that was not quite gone yet? */
    held(port, began, ended = Date.now()) {
        return this.deaths.some((d) => d.held.has(port) && d.at <= ended && began <= d.gone);
    }
    /** For whoever reads of a failure: what went on at that time. */
    near(port, began, ended = Date.now()) {
        const since = (at) => `${((at - began) / 1000).toFixed(2)} s after it was asked`;
        const all = [...this.deaths.filter((d) => Math.abs(d.at - began) < 20000).map((d) => `${d.kind} ${d.pid} killed ${since(d.at)}, which held ${d.held.has(port) ? 'it' : 'others'}`),
            ...this.windows.filter((w) => w.from < ended + 2000 && w.to > began - 2000).map((w) => `${w.kind} away from ${since(w.from)}`)];
        return all.join(', ') || 'no fault is near';
    }
    /** Below which versions nobody may be, of whom saw `least` live when he asked: what is saved during an upgrade is live for its new workers alone. */
    leastLive(least, began, ended = Date.now()) {
        return this.windows.find((w) => w.kind === 'upgrade' && w.from <= ended && began <= w.to)?.live ?? least;
    }
    killed(pid) { return this.deaths.some((d) => d.pid === pid); }

    /** Stops it, notes what it holds, kills it: what is not noted it never had. */
    async kill(pid, kind) {
        send(pid, 'SIGSTOP');
        const stopped = () => { try { return /^State:\s+[TZX]/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8')); } catch { return true; } };
        await until(stopped, 'a process to stop');
        const held = new Set();
        try {
            for (const port of this.ports) for (const one of heldBy(pid, port)) held.add(one);
        } catch { /* it has ended by itself */ }
        const death = { pid, kind, held, at: Date.now(), gone: Infinity };
        this.deaths.push(death);
        this.count(kind);
        send(pid, 'SIGKILL');
        await until(() => !alive(pid), 'an end by SIGKILL', 20000);
        death.gone = Date.now() + ms(500); // its connections are closed; a busy client hears of it later
    }
    async killWorker(r, spared) {
        const others = this.server.children('worker').filter((pid) => pid !== spared);
        if (this.server.children('worker').length < 2 || others.length === 0) return;
        await this.kill(r.pick(others), 'worker');
    }
    async killKeeper() {
        const [keeper] = this.server.children('keeper');
        if (keeper === undefined) return;
        const window = this.open('store');
        await this.kill(keeper, 'keeper');
        await until(() => this.server.children('keeper').some((pid) => pid !== keeper), 'another keeper', 20000);
        await until(async () => (await this.server.metric('crescent_store_up').catch(() => 0)) === 1, 'the store again', 20000);
        window.to = Date.now() + ms(1000); // who asked before may hear of it a little later
    }
    /** A worker whose spawner has died makes way for another: it leaves as at an upgrade. */
    async killSpawner(r, spared) {
        const worker = r.pick(this.server.children('worker').filter((pid) => pid !== spared)), spawner = worker && spawnerOf(worker);
        if (spawner === undefined) return;
        const window = this.open('spawner');
        await this.kill(spawner, 'spawner killed');
        await until(() => !this.server.children('worker').includes(worker), 'its worker to leave', 30000);
        window.to = Date.now() + ms(1000);
    }
    async upstreamDies(upstream, r) {
        const window = this.open('upstream');
        upstream.down();
        await sleep(200 + r.below(2500));
        await upstream.up();
        window.to = Date.now() + ms(8000); // until every worker has noticed
    }
    /** HUP, whose end must be "done" or "refused"; until the old workers have gone. */
    async upgrade(wanted) {
        this.calm = true;
        try {
            await until(() => !this.saving, 'the saver to be done', 20000);
            await sleep(ms(300)); // what it saved last is tried
            await this.#hangup(wanted);
        } finally {
            this.calm = false;
        }
    }
    async #hangup(wanted) {
        const { server } = this;
        const over = () => server.records((r) => /^upgrade: (done|refused)/.test(r.message));
        const before = over().length, old = server.children('worker'), window = this.open(wanted === 'done' ? 'upgrade' : 'refused upgrade');
        window.live = { ...this.live };
        send(server.pid, 'SIGHUP');
        await until(() => over().length > before, () => `the end of an upgrade\n${server.tail()}`, 30000);
        const record = over()[before];
        if (!record.message.startsWith(`upgrade: ${wanted}`)) throw new Error(`the upgrade was not ${wanted}: ${JSON.stringify(record)}`);
        if (wanted === 'done') await until(() => !old.some((pid) => server.children('worker').includes(pid)), 'the old workers to leave', 30000);
        window.to = Date.now() + ms(500);
    }
}
