// HTTP/2 by hand (RFC 9113 4.1, 6; RFC 7541 6): what no well-meaning client library sends. And the victim: the bench's
// plain libh2o server, without the guard.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { folder, ms, repository, request, tool, until } from '../helper.mjs';

export const DATA = 0, HEADERS = 1, PRIORITY = 2, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8, CONTINUATION = 9;
export const END_STREAM = 1, END_HEADERS = 4;
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export function frame(type, flags, stream, payload = Buffer.alloc(0)) {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = type;
    head[4] = flags;
    head.writeUInt32BE(stream, 5);
    return Buffer.concat([head, payload]);
}
export const u32 = (n) => {
    const b = Buffer.alloc(4);
    b.writeUInt32BE(n);
    return b;
};
export const setting = (id, value) => Buffer.concat([Buffer.from([0, id]), u32(value)]);
export const INITIAL_WINDOW = 4;

/** A header block without the dynamic table: GET or POST, http, the path, authority x, then what is given. */
export function block(target, { method = 'GET', more = Buffer.alloc(0) } = {}) {
    const name = Buffer.from(target);
    return Buffer.concat([Buffer.from([method === 'GET' ? 0x82 : 0x83, 0x86, 0x04, name.length]), name, Buffer.from([0x01, 1, 0x78]), more]);
}
export const get = (stream, target) => frame(HEADERS, END_STREAM | END_HEADERS, stream, block(target));
export const post = (stream, target) => frame(HEADERS, END_HEADERS, stream, block(target, { method: 'POST' }));
/** An integer of HPACK with an n-bit prefix. */
export function integer(value, bits, first) {
    const max = (1 << bits) - 1, out = [];
    if (value < max) return Buffer.from([first | value]);
    out.push(first | max);
    for (value -= max; value >= 128; value = Math.floor(value / 128)) out.push(value % 128 | 128);
    return Buffer.from([...out, value]);
}
/** A block of any length as HEADERS and CONTINUATION. */
export function headers(stream, bytes) {
    const parts = [];
    for (let at = 0; at < bytes.length; at += 16384) parts.push(bytes.subarray(at, at + 16384));
    return Buffer.concat(parts.map((part, i) => frame(i === 0 ? HEADERS : CONTINUATION,
        (i === 0 ? END_STREAM : 0) | (i === parts.length - 1 ? END_HEADERS : 0), stream, part)));
}

/** A frame at random, mostly valid, by a generator of fault.mjs; top: {stream}, the last one that was opened; paths: whom to ask. */
export function anyFrame(r, top, paths) {
    const stream = r.below(4) ? 1 + 2 * r.below(top.stream + 2) : r.below(10);
    switch (r.below(16)) {
    case 0: case 1: case 2: case 3: case 4: {
        const id = 1 + 2 * ++top.stream;
        return frame(1, END_HEADERS | (r.below(4) ? END_STREAM : 0), id, block(paths[r.below(paths.length)], { method: r.below(3) ? 'GET' : 'POST' }));
    }
    case 5: return frame(0, r.below(2), stream, r.bytes(r.below(40)));
    case 6: return frame(3, 0, stream, u32(r.below(14)));
    case 7: case 8: return frame(8, 0, r.below(3) ? stream : 0, u32([0, 1, 5, 65535, 0x7fffffff][r.below(5)]));
    case 9: return frame(4, 0, 0, setting(INITIAL_WINDOW, [0, 1, 5, 65535, 2 ** 30, 0x7fffffff][r.below(12) ? r.below(5) : 5]));
    case 10: return frame(6, r.below(2), 0, r.bytes(8));
    case 11: return frame(2, 0, stream || 1, Buffer.concat([u32(r.below(30)), r.bytes(1)]));
    case 12: return r.below(6) ? frame(6, 0, 0, Buffer.alloc(8)) : frame(1, r.below(64), 1 + 2 * ++top.stream, r.bytes(r.below(60)));
    case 13: return frame(1, r.below(2), 1 + 2 * ++top.stream, block(paths[0]).subarray(0, 1 + r.below(8)));
    case 14: return r.below(8) ? frame(9, 4, stream, r.bytes(r.below(4))) : frame(r.below(256), r.below(256), stream, r.bytes(r.below(100)));
    default: return frame(0x20 + r.below(200), 0, stream, r.bytes(r.below(9)));
    }
}

/** A connection that counts what it hears, or (deaf) never reads. secure: over TLS, with these options. */
export class Attacker {
    constructor(t, port, { deaf = false, secure } = {}) {
        this.bytes = 0;
        this.frames = [];
        this.rest = Buffer.alloc(0);
        this.socket = secure ? tls.connect({ port, host: '127.0.0.1', ALPNProtocols: ['h2'], ...secure }) : new net.Socket();
        if (deaf) this.socket.pause();
        else this.socket.on('data', (part) => this.#hear(part));
        this.closed = new Promise((done) => this.socket.on('close', () => {
            this.isClosed = true;
            done();
        }));
        this.socket.on('error', () => {});
        t.after(() => this.socket.destroy());
        this.ready = new Promise((done, fail) => {
            this.socket.once('error', fail);
            if (secure) this.socket.once('secureConnect', done);
            else this.socket.connect(port, '127.0.0.1', done);
        });
    }
    static async open(t, port, { before = Buffer.alloc(0), settings = Buffer.alloc(0), ...options } = {}) {
        const a = new Attacker(t, port, options);
        await a.ready;
        a.socket.setNoDelay(true);
        await a.send(Buffer.concat([before, PREFACE, frame(SETTINGS, 0, 0, settings)]));
        return a;
    }
    #hear(part) {
        this.bytes += part.length;
        this.rest = Buffer.concat([this.rest, part]);
        while (this.rest.length >= 9) {
            const length = this.rest.readUIntBE(0, 3);
            if (this.rest.length < 9 + length) return;
            this.frames.push({ type: this.rest[3], flags: this.rest[4], stream: this.rest.readUInt32BE(5), payload: this.rest.subarray(9, 9 + length) });
            this.rest = this.rest.subarray(9 + length);
        }
    }
    /** Resolves when the bytes are with the kernel, or the connection has ended, or nobody takes them for a while. */
    send(bytes, limit = 2000) {
        if (this.isClosed || this.socket.destroyed) return this.closed; // its event may be still to come
        return new Promise((done) => {
            const timer = setTimeout(end, ms(limit)); // left running, it would keep the whole test waiting at its end
            function end() {
                clearTimeout(timer);
                done();
            }
            this.socket.write(bytes, end);
            this.closed.then(end);
        });
    }
    /** The error code of the server's GOAWAY, if there was one. */
    get goaway() { return this.frames.find((f) => f.type === GOAWAY)?.payload.readUInt32BE(4); }
    ended(what, limit = 5000) { return until(() => this.isClosed, `${what}: the connection's end`, limit); }
}

/** A bound of memory, MiB: sanitized builds keep what was freed for a while. */
export const mib = (n) => n * Number(process.env.CRESCENT_TIME_FACTOR ?? 1);
/** Resident memory of a process, MiB. */
export function memory(pid) {
    return Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmRSS:\s+(\d+) kB/m)[1]) / 1024;
}

async function freePort() {
    const server = net.createServer().listen(0, '127.0.0.1');
    await new Promise((done) => server.once('listening', done));
    const { port } = server.address();
    await new Promise((done) => server.close(done));
    return port;
}

/** The same library with a plain handler and no guard: {port, pid, ended, stderrBytes}. It answers /hello with "hello". */
export async function victim(t) {
    const program = path.join(folder(t), 'victim');
    const flags = (await tool('pkg-config', ['--cflags', '--libs', 'libh2o-evloop', 'libssl', 'libcrypto'])).trim().split(/\s+/);
    await tool('cc', ['-O1', '-D_GNU_SOURCE', '-DH2O_USE_LIBUV=0', '-w', path.join(repository, 'tests/bench/floor.c'), '-o', program, ...flags]);
    const port = await freePort();
    const child = spawn(program, [String(port)], { env: { GITHUB_WEBHOOK_SECRET: 'x' }, stdio: ['ignore', 'ignore', 'pipe'] });
    const it = { port, pid: child.pid, ended: null, stderrBytes: 0 };
    child.stderr.on('data', (part) => { it.stderrBytes += part.length; });
    child.on('exit', (code, signal) => { it.ended = signal ?? code; });
    t.after(() => child.kill('SIGKILL'));
    it.serves = () => request(`http://127.0.0.1:${port}/hello`).then((r) => r.status === 200, () => false);
    await until(it.serves, 'the victim serves');
    return it;
}

/** Our server's workers, to see that none was replaced by a new one; and that it still answers. */
export async function unharmed(server, before, assert) {
    assert.deepEqual(server.children('worker'), before, `a worker died\n${server.tail()}`);
    assert.equal((await server.get('/hello')).text, 'hello');
}
