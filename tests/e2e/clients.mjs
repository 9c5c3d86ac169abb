// Clients that know which of their connections failed, and whose process held it: for tests of deaths and of drains.
import fs from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import { session, sleep } from './helper.mjs';

/** The client ports of the connections to `port` that process `pid` holds: accepted ones, not those in a queue. */
export function heldBy(pid, port) {
    const inodes = new Set();
    for (const fd of fs.readdirSync(`/proc/${pid}/fd`)) {
        let to = '';
        try {
            to = fs.readlinkSync(`/proc/${pid}/fd/${fd}`);
        } catch { /* closed meanwhile */ }
        const inode = /^socket:\[(\d+)\]$/.exec(to);
        if (inode) inodes.add(inode[1]);
    }
    const ports = new Set();
    for (const line of fs.readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1)) {
        const column = line.trim().split(/\s+/);
        if (column.length > 9 && inodes.has(column[9]) && parseInt(column[1].split(':')[1], 16) === port && column[3] !== '0A')
            ports.add(parseInt(column[2].split(':')[1], 16));
    }
    return ports;
}

/** Stops the process, notes what it holds, and kills it: what it took up later than noted does not exist. */
export async function killHolding(pid, port) {
    process.kill(pid, 'SIGSTOP');
    for (;;) {
        if (/^State:\s+T/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))) break;
        await sleep(1);
    }
    const held = heldBy(pid, port);
    process.kill(pid, 'SIGKILL');
    return held;
}

/** Reads one answer with Content-Length from a socket; null when the connection ended before its first byte. */
function readAnswer(socket) {
    return new Promise((done, fail) => {
        let text = '';
        const off = () => socket.removeAllListeners('data').removeAllListeners('end').removeAllListeners('error').removeAllListeners('close');
        const settle = (how, value) => { off(); socket.on('error', () => {}); how(value); };
        socket.on('data', (part) => {
            text += part.toString('latin1');
            const head = text.indexOf('\r\n\r\n');
            if (head < 0) return;
            const length = Number(/^content-length: (\d+)/im.exec(text.slice(0, head))?.[1] ?? 0);
            if (text.length < head + 4 + length) return;
            settle(done, { status: Number(text.slice(9, 12)), text: text.slice(head + 4), last: /^connection: close/im.test(text.slice(0, head)) });
        });
        socket.on('end', () => text ? settle(fail, new Error('cut short')) : settle(done, null));
        socket.on('error', (error) => settle(fail, error)).on('close', () => settle(fail, new Error('closed')));
    });
}

const connected = (port) => new Promise((done, fail) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    socket.once('connect', () => { socket.removeAllListeners('error'); done(socket); }).once('error', fail);
});

/**
 * HTTP/1.1 requests, one after the other on each of `connections` connections (`each` on one of them, then a new one),
 * until stop(). result: answers, connects, refused (times in ms), failures: {port, why, at, sent}.
 */
export function load1(port, target, { connections = 4, each = Infinity, expect } = {}) {
    const result = { answers: 0, connects: 0, refused: [], failures: [] };
    let running = true;
    const asked = `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;
    const oneConnection = async () => {
        let socket;
        try {
            socket = await connected(port);
        } catch (error) {
            (error.code === 'ECONNREFUSED' ? result.refused : result.failures).push({ why: error.code, at: Date.now() });
            await sleep(20);
            return;
        }
        result.connects++;
        const from = socket.localPort;
        for (let i = 0; i < each && running; i++) {
            try {
                socket.write(asked);
                const answer = await readAnswer(socket);
                if (answer === null && i > 0) break; // an idle connection may end between two requests, unless it was promised
                if (answer === null || answer.status !== 200 || answer.text !== expect) throw new Error(answer ? `${answer.status} ${answer.text}` : 'no answer');
                result.answers++;
                if (answer.last) break;
            } catch (error) {
                result.failures.push({ port: from, why: error.code ?? error.message, at: Date.now(), request: i });
                break;
            }
        }
        socket.destroy();
    };
    const all = Promise.all(Array.from({ length: connections }, async () => { while (running) await oneConnection(); }));
    result.stop = async () => { running = false; await all; return result; };
    return result;
}

/** What a stream is told to have ended with that its own client did not send: by node 20, and by node 18. */
const UNSENT = [http2.constants.NGHTTP2_REFUSED_STREAM, http2.constants.NGHTTP2_INTERNAL_ERROR];

/** HTTP/2 requests, `streams` at once on each session; a session that says GOAWAY is followed by a new one. */
export function load2(t, url, target, { sessions = 2, streams = 4, expect, tls = {} } = {}) {
    const result = { answers: 0, sessions: 0, unsent: 0, refused: [], failures: [] };
    let running = true;
    const one = (client) => new Promise((done) => {
        const stream = client.request({ ':path': target });
        let text = '', status;
        stream.on('response', (h) => { status = h[':status']; }).on('data', (part) => { text += part; }).on('error', () => {});
        stream.on('close', () => {
            if (status === 200 && text === expect) result.answers++;
            // Asked between the arrival of GOAWAY and the event that tells of it: the client itself refuses, nothing was sent.
            else if (client.gone && status === undefined && UNSENT.includes(stream.rstCode)) result.unsent++;
            else result.failures.push({ port: client.port, why: `${status} ${text} code ${stream.rstCode}`, at: Date.now(), gone: client.gone });
            done();
        });
    });
    const oneSession = async () => {
        let client;
        try {
            client = await session(t, url, tls);
        } catch (error) {
            (error.code === 'ECONNREFUSED' ? result.refused : result.failures).push({ why: error.code, at: Date.now() });
            await sleep(20);
            return;
        }
        result.sessions++;
        client.port = client.socket.localPort;
        client.on('goaway', () => { client.gone = true; });
        await Promise.all(Array.from({ length: streams }, async () => {
            while (running && !client.gone && !client.closed && !client.destroyed) await one(client);
        }));
        client.close();
    };
    const all = Promise.all(Array.from({ length: sessions }, async () => { while (running) await oneSession(); }));
    result.stop = async () => { running = false; await all; return result; };
    return result;
}
