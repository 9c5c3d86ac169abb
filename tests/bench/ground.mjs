// What the ground costs, for bench.mjs: idle connections, records, uploads. Each measure starts what it needs itself.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { once } from 'node:events';
import { sleep } from '../e2e/helper.mjs';

const CONNECTIONS = 10_000, UPLOAD = 8 << 20, UPLOADS = 24;

/** A figure of /proc/PID/status, in bytes. */
export function status(pid, name) {
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
}

/** Bytes that 10,000 kept-alive plain HTTP/1.1 connections add to the server's processes, each used once, then idle. */
export async function idleConnections(server) {
    const workers = server.children('worker');
    const memory = () => workers.reduce((sum, pid) => sum + status(pid, 'VmRSS'), 0);
    await server.get('/hello');
    await sleep(500);
    const before = memory(), sockets = [];
    for (let i = 0; i < CONNECTIONS; i += 200) {
        await Promise.all(Array.from({ length: 200 }, async () => {
            const socket = net.connect(server.port, '127.0.0.1');
            sockets.push(socket);
            await once(socket, 'connect');
            socket.write('GET /hello HTTP/1.1\r\nHost: a\r\n\r\n');
            const [answer] = await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => assert.fail('a connection was closed'))]);
            assert.match(answer.toString('latin1'), /^HTTP\/1\.1 200 /);
        }));
    }
    await sleep(1000);
    const added = memory() - before;
    assert.equal(sockets.filter((s) => s.destroyed || !s.readable).length, 0, 'connections were closed');
    for (const socket of sockets) socket.destroy();
    return added;
}

/** The signed upload: a body that does not compress well, and its headers. */
export function upload(secret) {
    const body = Buffer.alloc(UPLOAD);
    for (let i = 0; i < UPLOAD; i += 4) body.writeUInt32LE(Math.imul(i, 2654435761) >>> 0, i);
    return { body, signature: `sha256=${createHmac('sha256', secret).update(body).digest('hex')}` };
}

function send(url, { body, signature }, agent) {
    return new Promise((done, fail) => {
        const request = http.request(url, { method: 'POST', agent, headers: { 'content-length': body.length, 'content-type': 'application/octet-stream', 'x-hub-signature-256': signature } }, (answer) => {
            answer.resume();
            answer.on('end', () => answer.statusCode === 200 ? done() : fail(new Error(`${url}: ${answer.statusCode}`)));
        });
        request.on('error', fail);
        request.end(body);
    });
}

/** Bytes that one upload adds to the memory of the process that takes it, at its peak, by the size of the body: the most of three. */
export async function uploadMemory(server, body, path) {
    const [worker] = server.children('worker');
    let most = 0;
    for (let i = 0; i < 3; i++) {
        await server.get('/hello');
        await sleep(500);
        const before = status(worker, 'VmRSS');
        fs.writeFileSync(`/proc/${worker}/clear_refs`, '5'); // the high-water mark begins anew (proc(5))
        await send(server.url + path, body);
        most = Math.max(most, (status(worker, 'VmHWM') - before) / body.body.length);
    }
    return most;
}

/** CPU time a byte of uploads, in ns: received, hashed and compared. cpu(pid): µs so far, children included. */
export async function uploadCost(target, body, cpu) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    await send(`${target.url}/upload`, body, agent);
    const before = cpu(target.pid);
    for (let i = 0; i < UPLOADS; i++) await send(`${target.url}/upload`, body, agent);
    const used = cpu(target.pid) - before;
    agent.destroy();
    return used * 1000 / (UPLOADS * body.body.length);
}
