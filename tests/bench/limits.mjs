// What limits hold, for bench.mjs: how soon a loop is interrupted, and what others feel while one script loops.
// Each measure starts the server that it needs. test: what start() tidies up through, as in bench.mjs.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { heldBy } from '../e2e/clients.mjs';
import { request, sleep, start } from '../e2e/helper.mjs';

const quantile = (list, q) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * q))];
const spin = (fields) => `return { methods = { "GET" }, timeout = "60s", ${fields} handle = function() while true do end end }`;
const now = () => Number(process.hrtime.bigint()) / 1e6;

/** Milliseconds from the end of max_run to the answer, of `times` endless loops one after the other: {median, most}. */
export async function interruptionDelay(test, { times = 40, limit = 60, prefix } = {}) {
    // Each of its own, so that no quarantine comes in between.
    const hooks = Object.fromEntries(Array.from({ length: times }, (_, i) => [`spin${i}.lua`, spin(`max_run = "${limit}ms",`)]));
    const server = await start(test, { hooks, workers: 1, prefix });
    const late = [];
    for (let i = 0; i < times; i++) {
        const began = now();
        assert.equal((await server.get(`/spin${i}`)).status, 500);
        late.push(now() - began - limit);
    }
    await server.stop();
    return { median: quantile(late, 0.5), most: Math.max(...late) };
}

/** One kept-alive connection that asks every `pause` ms; latencies in ms go to `into`. */
async function ask(socket, into, pause, until) {
    while (now() < until()) {
        const began = now();
        socket.write('GET /hello HTTP/1.1\r\nHost: a\r\n\r\n');
        const [answer] = await once(socket, 'data');
        assert.match(answer.toString('latin1'), /^HTTP\/1\.1 200 .*hello$/s);
        into.push(now() - began);
        await sleep(pause);
    }
}

/**
 * Latencies of another endpoint, in ms, without and with a script that loops all the while in one of the workers:
 * {before: {p50, p99}, during: {p50, p99}, requests, failures, fresh}. Of the kept connections those of the other workers
 * count; `fresh` is the p99 of new connections meanwhile, which may knock at any worker's socket.
 */
export async function besideARunaway(test, { workers = 3, seconds = 6, connections = 24, pause = 10, prefix } = {}) {
    const server = await start(test, { hooks: { 'hello.lua': 'return function() return "hello" end', 'spin.lua': spin('max_run = "10s",') }, workers, prefix });
    const sockets = await Promise.all(Array.from({ length: connections }, async () => {
        const socket = net.connect(server.port, '127.0.0.1').setNoDelay(true);
        await once(socket, 'connect');
        return socket;
    }));
    const looping = net.connect(server.port, '127.0.0.1');
    await once(looping, 'connect');
    const warm = [];
    const soon = now() + 1000;
    await Promise.all(sockets.map((s) => ask(s, warm, 1, () => soon)));
    const stuck = server.children('worker').find((pid) => heldBy(pid, server.port).has(looping.localPort));
    const held = heldBy(stuck, server.port);
    const others = sockets.filter((s) => !held.has(s.localPort));
    assert.ok(others.length > 0, 'every connection is at one worker');
    const round = async () => {
        const list = [];
        let failures = 0;
        const end = now() + seconds * 1000;
        await Promise.all(others.map((s) => ask(s, list, pause, () => end).catch(() => { failures++; })));
        return { list, failures };
    };
    const before = await round();
    looping.on('error', () => {}).write('GET /spin HTTP/1.1\r\nHost: a\r\n\r\n');
    await sleep(200); // what waits in its queue is given to the others within 50 ms and a tick
    const fresh = [];
    let broken = 0;
    const end = now() + seconds * 1000;
    const knocking = (async () => {
        while (now() < end) {
            const began = now();
            await request(`${server.url}/hello`).then((r) => assert.equal(r.text, 'hello'), () => { broken++; });
            fresh.push(now() - began);
            await sleep(pause);
        }
    })();
    const during = await round();
    await knocking;
    looping.destroy();
    for (const socket of sockets) socket.destroy();
    await server.stop({ limit: 30000 });
    const of = ({ list }) => ({ p50: quantile(list, 0.5), p99: quantile(list, 0.99) });
    return { before: of(before), during: of(during), requests: during.list.length, failures: before.failures + during.failures + broken, fresh: quantile(fresh, 0.99) };
}
