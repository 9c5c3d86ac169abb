// What the tests of exec share: a script that runs what a request asks for, and a look at processes.
import fs from 'node:fs';
import path from 'node:path';
import { alive, childrenOf, cmdline, request, until } from './helper.mjs';

/** POST /run with {argv, …options}: what exec gave, as JSON. */
export const runner = `
return {
  max_body = "32MiB", timeout = "60s",
  handle = function(req)
    local ask = req:json()
    local call = { cwd = ask.cwd, env = ask.env, stdin = ask.stdin, timeout = ask.timeout, max_output = ask.max_output }
    for i, v in ipairs(ask.argv) do call[i] = v end
    local ok, err = exec(call)
    if ok then return { ok = true, code = ok.code, signal = ok.signal, stdout = ok.stdout, stderr = ok.stderr } end
    return { ok = false, code = err.code, signal = err.signal, stdout = err.stdout, stderr = err.stderr, words = tostring(err) }
  end,
}`;

export async function exec(server, argv, options = {}) {
    const reply = await request(`${server.url}/run`, { method: 'POST', body: JSON.stringify({ argv, ...options }), limit: 60000 });
    if (reply.status !== 200) throw new Error(`${reply.status} ${reply.text}\n${server.tail()}`);
    return reply.json;
}
export const shell = (server, text, options) => exec(server, ['sh', '-c', text], options);

/** The worker's spawner; undefined while there is none. */
export const spawnerOf = (worker) => childrenOf(worker).find((pid) => cmdline(pid).startsWith('crescent spawner'));

/** The process id that a program writes into that file of the server's folder. */
export const pidIn = (server, name) => until(() => {
    try {
        const text = fs.readFileSync(path.join(server.dir, name), 'utf8');
        return text.endsWith('\n') && Number(text);
    } catch {
        return 0;
    }
}, `a process id in ${name}`, 10000);

export const gone = (pids, what, limit = 1000) => until(() => !pids.some(alive), () => `${what}: ${pids.filter(alive).map((p) => `${p} ${cmdline(p)}`)}`, limit);

/** Zombies among the server's processes and all below. */
export function zombies(pid) {
    const below = (p) => childrenOf(p).flatMap((child) => [child, ...below(child)]);
    return below(pid).filter((p) => {
        try {
            return /^State:\s+Z/m.test(fs.readFileSync(`/proc/${p}/status`, 'utf8'));
        } catch {
            return false;
        }
    });
}
/** One that has just ended is a zombie for the moment until it is collected. */
export const noZombies = (server) => until(() => zombies(server.pid).length === 0, () => `no zombies: ${zombies(server.pid)}`, 2000);
