// Clients that know which of their connections failed, and whose process held it: for tests of deaths and of drains.
import fs from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { ms, session, sleep } from './helper.mjs';

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

/** What has been asked by now is waited for, but not for ever: whoever has no answer by then is broken off, a failure. */
async function within(all, end) {
    const timer = setTimeout(end, ms(20000));
    await all;
    clearTimeout(timer);
}

/** open: the set of those that a stop breaks off; this one is of it until it has closed. */
const connected = (port, secure, open) => new Promise((done, fail) => {
    const socket = secure ? tls.connect({ port, host: '127.0.0.1', ALPNProtocols: ['http/1.1'], ...secure }) : net.connect(port, '127.0.0.1');
    open.add(socket);
    socket.once('close', () => { open.delete(socket); fail(new Error('closed')); });
    socket.setNoDelay(true);
    socket.once(secure ? 'secureConnect' : 'connect', () => { socket.removeAllListeners('error'); done(socket); }).once('error', fail);
});

/**
 * HTTP/1.1 requests, one after the other on each of `connections` connections (`each` on one of them, then a new one),
 * until stop(). secure: over TLS, with these options. result: answers, connects, refused (times in ms), failures: {port,
 * why, at, request}. A connection may end between two requests, as at the end of a server; `strict`: it must say so with
 * the answer before (an upgrade promises that), or the next request on it is lost, a failure.
 * The test's end is its end, too: a test that has failed is not to be held up by clients that go on for ever.
 */
export function load1(t, port, target, { connections = 4, each = Infinity, expect, secure, strict = false } = {}) {
    const result = { answers: 0, connects: 0, refused: [], failures: [] };
    let running = true;
    const open = new Set();
    const asked = `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;
    const oneConnection = async () => {
        let socket;
        try {
            socket = await connected(port, secure, open);
        } catch (error) {
            (error.code === 'ECONNREFUSED' ? result.refused : result.failures).push({ why: error.code ?? error.message, at: Date.now() });
            await sleep(20);
            return;
        }
        result.connects++;
        const from = socket.localPort;
        for (let i = 0; i < each && running; i++) {
            try {
                socket.write(asked);
                const answer = await readAnswer(socket);
                if (answer === null && i > 0 && !strict) break;
                if (answer === null || answer.status !== 200 || answer.text !== expect) throw new Error(answer ? `${answer.status} ${answer.text}` : 'no answer');
                result.answers++;
                if (answer.last) break;
            } catch (error) {
                result.failures.push({ port: from, why: error.code ?? error.message, at: Date.now(), request: i });
                break;
            }
        }
        open.delete(socket);
        socket.destroy();
    };
    const all = Promise.all(Array.from({ length: connections }, async () => { while (running) await oneConnection(); }));
    const end = () => { running = false; open.forEach((socket) => socket.destroy()); };
    t.signal.addEventListener('abort', end);
    result.stop = async () => {
        running = false;
        await within(all, end);
        return result;
    };
    return result;
}

const HEADERS = 1; // the frame's type

/**
 * HTTP/2 requests, `streams` at once on each session; a session that says GOAWAY is followed by a new one. result also
 * has `unsent`: requests that nobody has seen, for they were asked between the arrival of GOAWAY and the event that tells
 * of it: the client itself sends no such HEADERS, or takes those back that are past the last stream of a GOAWAY.
 */
export function load2(t, url, target, { sessions = 2, streams = 4, expect, secure = {} } = {}) {
    const result = { answers: 0, sessions: 0, unsent: 0, refused: [], failures: [] };
    let running = true;
    const open = new Set();
    const one = (client) => new Promise((done) => {
        const stream = client.request({ ':path': target });
        let text = '', status, sent = true;
        stream.on('frameError', (type) => { sent &&= type !== HEADERS; }).on('response', (h) => { status = h[':status']; }).on('data', (part) => { text += part; }).on('error', () => {});
        stream.on('close', () => {
            if (status === 200 && text === expect) result.answers++;
            else if (client.gone && status === undefined && (!sent || stream.id > client.last)) result.unsent++;
            else result.failures.push({ port: client.port, why: `${status} ${text} code ${stream.rstCode}`, at: Date.now(), gone: client.gone });
            done();
        });
    });
    const oneSession = async () => {
        let client;
        try {
            client = await session(t, url, secure);
        } catch (error) {
            (error.code === 'ECONNREFUSED' ? result.refused : result.failures).push({ why: error.code, at: Date.now() });
            await sleep(20);
            return;
        }
        result.sessions++;
        open.add(client);
        client.port = client.socket.localPort;
        await Promise.all(Array.from({ length: streams }, async () => {
            while (running && !client.gone && !client.closed && !client.destroyed) await one(client);
        }));
        open.delete(client);
        client.close();
    };
    const all = Promise.all(Array.from({ length: sessions }, async () => { while (running) await oneSession(); }));
    const end = () => { running = false; open.forEach((client) => client.destroy()); };
    t.signal.addEventListener('abort', end);
    result.stop = async () => {
        running = false;
        await within(all, end);
        return result;
    };
    return result;
}
