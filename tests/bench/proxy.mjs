// What reply.proxy costs beside nginx's proxy_pass, for bench.mjs: the same small file behind both, of an nginx on core 1
// beside wrk; each proxy has core 0 to itself while it is measured. They take turns, and the median of the rounds counts.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { childrenOf, folder, repository, request, start, tool, until, write } from '../e2e/helper.mjs';

const CONNECTIONS = 32;
const script = path.join(repository, 'tests/bench/wrk.lua');
const common = (dir, name) => `daemon off; master_process off; pid ${dir}/${name}.pid; error_log ${dir}/${name}.log warn;
events { worker_connections 2048; }`;
const paths = (dir) => ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((n) => `${n}_temp_path ${dir}/${n};`).join(' ');

const upstreamConf = (dir, port) => `${common(dir, 'upstream')}
http { access_log off; ${paths(dir)} keepalive_requests 1000000000; types { text/plain txt; }
  server { listen 127.0.0.1:${port} backlog=1024; root ${dir}/files; } }`;
// As nginx's documentation says for kept-alive upstreams, with the header fields that reply.proxy sets.
const proxyConf = (dir, port, upstream) => `${common(dir, 'proxy')}
http { access_log off; ${paths(dir)} keepalive_requests 1000000000;
  upstream up { server 127.0.0.1:${upstream}; keepalive 64; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:${port} backlog=1024;
    location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Request-Id $request_id; } } }`;

function freePort() {
    return new Promise((done) => {
        const server = net.createServer().listen(0, '127.0.0.1', () => {
            const { port } = server.address();
            server.close(() => done(port));
        });
    });
}

/** CPU time so far of a process with all its children, in microseconds. */
function cpu(pid) {
    const fields = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').pop().split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10_000 + childrenOf(pid).reduce((sum, child) => sum + cpu(child), 0);
}

async function nginx(whole, dir, name, core, port, conf) {
    write(dir, { [`${name}.conf`]: conf });
    const child = spawn('taskset', ['-c', String(core), '/usr/sbin/nginx', '-p', dir, '-c', path.join(dir, `${name}.conf`)], { stdio: ['ignore', 'ignore', 'inherit'] });
    whole.after(async () => {
        child.kill('SIGTERM');
        await new Promise((done) => child.exitCode !== null || child.signalCode ? done() : child.on('close', done));
    });
    const url = `http://127.0.0.1:${port}`;
    await until(() => request(`${url}/small.txt`).then((r) => r.text === 'hello', () => false), `${name} to answer`);
    return { name, url, pid: child.pid };
}

/** One run of wrk: requests a second, and µs of the proxy's CPU a request. */
async function measure(target, file, seconds) {
    const before = cpu(target.pid);
    const out = await tool('taskset', ['-c', '1', 'wrk', '-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', script, target.url + file, '--', '', '', '0']);
    const used = cpu(target.pid) - before;
    const [, requests, duration, , errors] = /^RESULT (\d+) (\d+) (\d+) (\d+)$/m.exec(out).map(Number);
    assert.equal(errors, 0, `${target.name}: ${errors} requests failed\n${out}`);
    return { rate: requests / (duration / 1e6), cost: used / requests };
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

/**
 * µs of CPU a request of nginx's proxy_pass and of reply.proxy, made at each request and once for all, and how many
 * times nginx's the first is: { nginx, crescent, once, times, rates }. `whole` has after(); file: small.txt (5 bytes) or
 * large.txt (64 KiB).
 */
export async function proxying(whole, { rounds = 5, seconds = 3, file = '/small.txt' } = {}) {
    const dir = folder(whole);
    write(dir, { 'files/small.txt': 'hello', 'files/large.txt': 'x'.repeat(65536) });
    const upstreamPort = await freePort(), proxyPort = await freePort();
    await nginx(whole, dir, 'upstream', 1, upstreamPort, upstreamConf(dir, upstreamPort));
    const peer = await nginx(whole, dir, 'proxy', 0, proxyPort, proxyConf(dir, proxyPort, upstreamPort));
    const server = await start(whole, { workers: 1, prefix: ['taskset', '-c', '0'], hooks: {
        'small.txt.lua': `return { path = { "/small.txt", "/large.txt" }, handle = function() return reply.proxy("http://127.0.0.1:${upstreamPort}") end, methods = { "GET" } }`,
        'once.lua': `local up = reply.proxy("http://127.0.0.1:${upstreamPort}", { strip = "/once" })
return { path = "/once/*rest", methods = { "GET" }, handle = function() return up end }`,
    } });
    const targets = [peer, { name: 'crescent', url: server.url, pid: server.pid }, { name: 'once', url: `${server.url}/once`, pid: server.pid }];
    const results = new Map(targets.map((t) => [t.name, []]));
    for (let round = 0; round < rounds; round++) {
        for (const target of targets) {
            await measure(target, file, 1);
            results.get(target.name).push(await measure(target, file, seconds));
        }
    }
    const cost = (name) => median(results.get(name).map((r) => r.cost));
    const rate = (name) => median(results.get(name).map((r) => r.rate));
    return { nginx: cost('proxy'), crescent: cost('crescent'), once: cost('once'), times: cost('crescent') / cost('proxy'),
        rates: Object.fromEntries(targets.map((t) => [t.name, Math.round(rate(t.name))])) };
}
