// What a server holds in the quiet between two rounds: memory, descriptors, and what should be nothing at all.
import fs from 'node:fs';
import path from 'node:path';
import { spawnerOf } from '../../e2e/exec.mjs';
import { request } from '../../e2e/helper.mjs';
import { descriptors } from '../fault.mjs';

/** The share of memory that is a process's own, MiB; NaN when it has ended. */
export function pss(pid) {
    try {
        return Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))[1]) / 1024;
    } catch {
        return NaN;
    }
}

/** Samples {pid, kind, pss, fds} of all processes of the server; lua, MiB, is what the scripts of all workers have together. */
export async function sample(server) {
    const of = (kind, pid) => ({ kind, pid, pss: pss(pid), fds: descriptors(pid) });
    const workers = server.children('worker'), lua = await server.metricSum('crescent_lua_memory_bytes') / 1048576;
    return [of('supervisor', server.pid), ...server.children('keeper').map((pid) => of('keeper', pid)), ...workers.map((pid) => ({ ...of('worker', pid), lua })),
        ...workers.map(spawnerOf).filter(Boolean).map((pid) => of('spawner', pid))];
}

const nothing = /^crescent_(requests_under_way|requests_in_progress|streams|body_memory_bytes|scripts_broken|connections_open\{[^}]*\}) (\S+)$/gm;
/** Gauges that are not 0 though nobody asks for anything: "name value", …; empty when all is quiet. */
export async function restless(server) {
    const { text } = await request(`${server.admin}/metrics`);
    const found = [...text.matchAll(nothing)];
    if (found.length < 6) throw new Error(`gauges are missing in /metrics: ${found.map((f) => f[1])}`);
    return found.filter((f) => Number(f[2]) !== 0).map((f) => f[0]);
}

const mean = (list) => list.reduce((sum, n) => sum + n, 0) / list.length;
/** The first and the last third of a series, as means. */
export function thirds(series) {
    const n = Math.max(1, Math.floor(series.length / 3));
    return [mean(series.slice(0, n)), mean(series.slice(-n))];
}

/**
 * One process through its life, in the quiets since it was warm: {text, flat}. Flat means that the last third of its
 * samples is at most `spare` (a share) or `floor` MiB above the first, and that it holds no more than 8 descriptors more.
 */
export function verdict(name, samples, { spare, floor }) {
    const [first, last] = thirds(samples.map((s) => s.pss)), [fds, fdsLast] = thirds(samples.map((s) => s.fds));
    const [lua, luaLast] = thirds(samples.map((s) => s.lua ?? 0)); // what it has once it keeps, so its own figure counts; up to twice what lives is garbage
    const flat = last - first <= Math.max(spare * first, floor) && fdsLast - fds <= 8 && luaLast - lua <= Math.max(spare * lua, 6);
    return { text: `${name}: ${first.toFixed(1)} MiB, then ${last.toFixed(1)}; ${fds.toFixed(0)} descriptors, then ${fdsLast.toFixed(0)}`
        + `${lua ? `; Lua of all workers ${lua.toFixed(1)} MiB, then ${luaLast.toFixed(1)}` : ''} (${samples.length} quiets)`, flat };
}

/** Processes whose working folder is that one, or below. */
export function inhabitants(dir) {
    return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
        try {
            return pid !== process.pid && `${fs.readlinkSync(`/proc/${pid}/cwd`)}/`.startsWith(`${dir}/`);
        } catch {
            return false;
        }
    });
}

/** All files below dir, as paths from it. */
export const filesBelow = (dir, from = dir) => fs.readdirSync(dir, { withFileTypes: true })
    .flatMap((e) => e.isDirectory() ? filesBelow(path.join(dir, e.name), from) : [path.relative(from, path.join(dir, e.name))]).sort();
