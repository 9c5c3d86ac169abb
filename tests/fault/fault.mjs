// What the fault tests share: what a server holds (descriptors, processes), and whether it is whole again.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { alive, childrenOf, cmdline, ms, request, sleep, until } from '../e2e/helper.mjs';

export const factor = Number(process.env.CRESCENT_TIME_FACTOR ?? 1);

/** xorshift32: the same run for the same seed. */
export function generator(seed) {
    let x = seed || 1;
    const next = () => {
        x ^= x << 13;
        x ^= x >>> 17;
        x ^= x << 5;
        return x >>> 0;
    };
    return { below: (n) => next() % n, pick: (list) => list[next() % list.length], bytes: (n) => Buffer.from(Array.from({ length: n }, () => next() & 255)) };
}

export function descriptors(pid) {
    try {
        return fs.readdirSync(`/proc/${pid}/fd`).length;
    } catch {
        return 0;
    }
}

/** Resident memory now, and its high-water mark, MiB; nothing of a process that has just ended. */
export function resident(pid) {
    let status = '';
    try {
        status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
    } catch { /* gone */ }
    const of = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) / 1024;
    return { now: of('VmRSS'), most: of('VmHWM') };
}

/** Descriptors of the supervisor, and of each child by kind, the most of a kind: what a leak makes grow. */
export function holdings(server) {
    const most = { supervisor: descriptors(server.pid) };
    for (const pid of childrenOf(server.pid)) {
        const kind = cmdline(pid).split(' ')[1] ?? 'gone';
        most[kind] = Math.max(most[kind] ?? 0, descriptors(pid));
    }
    return most;
}

/** Keeper and workers are all there, and nothing else, and every worker serves `target` as `text`. */
export async function whole(server, { workers, target, text, limit = 15000 }) {
    await until(() => server.children('worker').length === workers && server.children('keeper').length === 1 && childrenOf(server.pid).length === workers + 1,
        () => `a keeper and ${workers} workers, and nothing else: ${childrenOf(server.pid).map(cmdline)}\n${server.tail()}`, limit);
    // Fresh connections reach every worker: so many in a row that none can have been left out by chance.
    let row = 0;
    await until(async () => {
        const reply = await request(server.url + target).catch((error) => ({ text: error.code }));
        row = reply.text === text ? row + 1 : 0;
        return row >= 12 * workers;
    }, () => `"${text}" from every worker\n${server.tail()}`, limit);
}

/** The descriptors are back to what they were: a few may differ, a leak grows with every round. */
export async function noLeak(server, before, spare = 4) {
    let now;
    await until(() => {
        now = holdings(server);
        return Object.keys(before).every((kind) => (now[kind] ?? 0) <= before[kind] + spare);
    }, () => `descriptors as before: ${JSON.stringify(before)}, now ${JSON.stringify(now)}`, 10000);
}

/** Sends a signal to one that may have gone meanwhile. */
export function send(pid, signal) {
    try {
        process.kill(pid, signal);
    } catch (error) {
        assert.equal(error.code, 'ESRCH');
    }
}

/** Settles: no connection of ours is left half closed. */
export const settle = () => sleep(ms(200));
export { alive };
