// Clients of streamed answers: they see each piece as it comes, and know a clean end from one that was broken off.
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { ms, until } from './helper.mjs';

class Stream {
    constructor() {
        Object.assign(this, { text: '', bytes: 0, pieces: [], began: Date.now(), end: undefined });
    }
    take(part) {
        this.bytes += part.length;
        if (!this.counting) this.text += part.toString('latin1');
        this.pieces.push(Date.now());
    }
    over(end) { this.end ??= end; }
    /** Waits for a text; returns this. */
    async has(text, limit = 5000) {
        await until(() => this.text.includes(text), () => `"${text}" in ${JSON.stringify(this.text.slice(-300))} ${this.end}`, limit);
        return this;
    }
    /** "clean", or what broke it off. */
    async ended(limit = 10000) {
        await until(() => this.end, () => `the end after ${JSON.stringify(this.text.slice(-300))}`, limit);
        return this.end;
    }
}

/** HTTP/1.1 by node's client. counting: only counts the bytes. */
export function open1(url, { headers = {}, method = 'GET', counting = false, ...options } = {}) {
    const stream = new Stream();
    stream.counting = counting;
    stream.ready = new Promise((done, fail) => {
        const library = url.startsWith('https:') ? https : http;
        const req = library.request(url, { method, headers, agent: false, ...options }, (res) => {
            Object.assign(stream, { status: res.statusCode, headers: res.headers, res });
            res.on('data', (part) => stream.take(part)).on('end', () => stream.over('clean'));
            res.on('error', (error) => stream.over(error.code)).on('close', () => stream.over('closed'));
            done(stream);
        });
        req.on('error', (error) => { stream.over(error.code); fail(error); });
        req.end();
        stream.pause = () => stream.res.pause();
        stream.resume = () => stream.res.resume();
        stream.leave = () => req.destroy();
    });
    stream.ready.catch(() => {});
    return stream.ready;
}

/** HTTP/2 on a session of helper.mjs. */
export function open2(client, target, { headers = {}, method = 'GET', counting = false } = {}) {
    const stream = new Stream();
    stream.counting = counting;
    const req = client.request({ ':method': method, ':path': target, ...headers });
    stream.leave = () => req.close(8); // CANCEL
    stream.pause = () => req.pause();
    stream.resume = () => req.resume();
    req.on('data', (part) => stream.take(part)).on('error', (error) => stream.over(error.code));
    req.on('end', () => { stream.eof = true; });
    req.on('close', () => stream.over(req.rstCode === 0 && stream.eof ? 'clean' : `code ${req.rstCode}`));
    return new Promise((done, fail) => {
        req.on('response', (head) => done(Object.assign(stream, { status: head[':status'], headers: head })));
        req.on('error', fail);
    });
}

/** Any bytes over TCP (HTTP/1.0): the end of the connection, or its reset. */
export function open0(port, bytes) {
    const stream = new Stream();
    const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (part) => stream.take(part)).on('end', () => stream.over('clean'));
    socket.on('error', (error) => stream.over(error.code)).on('close', () => stream.over('closed'));
    Object.assign(stream, { socket, leave: () => socket.destroy(), pause: () => socket.pause(), resume: () => socket.resume() });
    return stream;
}

/** What an EventSource makes of the text (WHATWG HTML 9.2.6): events, the last id, the retry time, how many comments. */
export function eventSource(text) {
    const seen = { events: [], id: '', retry: undefined, comments: 0 };
    let data = [], event = '', id;
    const lines = text.split(/\r\n|\n|\r/);
    lines.pop(); // what no line break ends is no line yet
    for (const line of lines) {
        if (line === '') {
            if (id !== undefined) seen.id = id;
            if (data.length) seen.events.push({ type: event || 'message', data: data.join('\n'), id: seen.id });
            data = [];
            event = '';
            continue;
        }
        if (line.startsWith(':')) {
            seen.comments++;
            continue;
        }
        const colon = line.indexOf(':');
        const name = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
        if (name === 'data') data.push(value);
        if (name === 'event') event = value;
        if (name === 'id' && !value.includes('\0')) id = value;
        if (name === 'retry' && /^[0-9]+$/.test(value)) seen.retry = Number(value);
    }
    return seen;
}

/** The gauge of streams under way falls to n. */
export const streamsAre = (server, n, limit = 5000) =>
    until(async () => (await server.metricSum('crescent_streams')) === n, `${n} streams under way (${ms(limit)} ms)`, limit);
