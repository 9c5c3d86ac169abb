// Clients that come from where they say, for tests of addresses: other loopback addresses, PROXY headers, HAProxy, nginx.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { ms, until } from './helper.mjs';

export const hooks = {
    'see.lua': `return function(req)
  return { ip = req.ip, scheme = req.scheme, host = req.host, forwarded = req.headers["x-forwarded-for"] or "none" }
end`,
};

/** One request from another address of this machine: {status, text, json}. */
export function from(localAddress, url, headers = {}) {
    const { hostname, port, pathname } = new URL(url);
    return new Promise((done, fail) => {
        const req = http.request({ host: hostname.replace(/^\[|\]$/g, ''), port, path: pathname, headers, localAddress, agent: false, timeout: ms(20000) }, (res) => {
            let text = '';
            res.setEncoding('utf8').on('data', (part) => { text += part; }).on('error', fail)
                .on('end', () => done({ status: res.statusCode, text, get json() { return JSON.parse(text); } }));
        });
        req.on('timeout', () => req.destroy(new Error('no answer'))).on('error', fail);
        req.end();
    });
}

/** Version 2 of PROXY protocol, by its text: command 1 is PROXY, 0 LOCAL; family 0x11 TCP over IPv4, 0x21 over IPv6, 0x31 a unix socket. */
export function header2({ command = 1, family, source = '', rest = Buffer.alloc(0) } = {}) {
    const v6 = source.includes(':');
    family ??= source === '' ? 0 : v6 ? 0x21 : 0x11;
    let addresses = Buffer.alloc(0);
    if (source) {
        const bytes = v6 ? 16 : 4;
        addresses = Buffer.alloc(2 * bytes + 4);
        if (v6) expand6(source).copy(addresses);
        else Buffer.from(source.split('.').map(Number)).copy(addresses);
        addresses.writeUInt16BE(4711, 2 * bytes);
        addresses.writeUInt16BE(80, 2 * bytes + 2);
    }
    const head = Buffer.alloc(16);
    Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1').copy(head);
    head[12] = 0x20 | command;
    head[13] = family;
    head.writeUInt16BE(addresses.length + rest.length, 14);
    return Buffer.concat([head, addresses, rest]);
}
function expand6(text) {
    const [left, right] = text.split('::').map((half) => half ? half.split(':') : []);
    const groups = right ? [...left, ...Array(8 - left.length - right.length).fill('0'), ...right] : left;
    return Buffer.from(groups.flatMap((g) => { const n = parseInt(g, 16); return [n >> 8, n & 255]; }));
}
export const header1 = (source, v = source.includes(':') ? 6 : 4) =>
    Buffer.from(`PROXY TCP${v} ${source} ${v === 6 ? '::1' : '127.0.0.1'} 4711 80\r\n`);

/** A connection whose first bytes are these, written in pieces of `size` where that is given; over TLS with `secure`. */
export async function connect(port, bytes, { size, secure, pause = 2 } = {}) {
    const socket = net.connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    await new Promise((done, fail) => socket.once('connect', done).once('error', fail));
    for (let at = 0; at < bytes.length; at += size ?? bytes.length) {
        socket.write(bytes.subarray(at, at + (size ?? bytes.length)));
        if (size) await new Promise((done) => setTimeout(done, pause));
    }
    if (!secure) return socket;
    const over = tls.connect({ socket, rejectUnauthorized: false, ...secure });
    await new Promise((done, fail) => over.once('secureConnect', done).once('error', fail));
    return over;
}

/** What comes over a socket until it is closed. A reset counts as a close. */
export function readAll(socket, limit = 10000) {
    return new Promise((done, fail) => {
        let text = '';
        const timer = setTimeout(() => { socket.destroy(); fail(new Error(`open after ${ms(limit)} ms: ${text}`)); }, ms(limit));
        socket.on('data', (part) => { text += part.toString('latin1'); }).on('error', () => {}).on('close', () => {
            clearTimeout(timer);
            done(text);
        });
    });
}
/** One request over a socket: its answer's JSON; or the text of what came, where it is none. */
export async function see(socket, headers = '') {
    socket.write(`GET /see HTTP/1.1\r\nHost: a.example\r\n${headers}Connection: close\r\n\r\n`);
    const text = await readAll(socket);
    return text.startsWith('HTTP/1.1 200') ? JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)) : text;
}
/** The same over HTTP/2, twice on one connection. */
export async function see2(t, socket, url) {
    const client = http2.connect(url, { createConnection: () => socket });
    t.after(() => client.destroy());
    client.on('error', () => {});
    const one = () => new Promise((done, fail) => {
        const stream = client.request({ ':path': '/see', ':authority': 'a.example' });
        let text = '';
        stream.setTimeout(ms(20000), () => fail(new Error('no answer')));
        stream.on('data', (part) => { text += part; }).on('error', fail).on('end', () => done(JSON.parse(text)));
    });
    const answers = [await one(), await one()];
    client.destroy();
    return answers;
}

const free = () => new Promise((done) => {
    const s = net.createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => done(port)); });
});
/** A proxy's process that listens on the port; it ends with the test. */
async function proxy(t, port, program, args) {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => { said += part; });
    const ended = new Promise((done) => child.on('close', done));
    t.after(async () => { child.kill('SIGKILL'); await ended; });
    await until(() => new Promise((done, fail) => {
        if (child.exitCode !== null) fail(new Error(said));
        const probe = net.connect(port, '127.0.0.1', () => { probe.destroy(); done(true); }).on('error', () => done(false));
    }), () => `${program}: ${said}`, 10000);
    return port;
}
/** HAProxy with these lines of configuration behind its frontend's; its port. `mode`: "tcp" or "http". */
export async function haproxy(t, dir, mode, backend, more = '') {
    const port = await free(), file = path.join(dir, `haproxy-${port}.cfg`);
    fs.writeFileSync(file, `global
    maxconn 64
defaults
    mode ${mode}
    timeout connect 10s
    timeout client 30s
    timeout server 30s
listen one
    bind 127.0.0.1:${port}
    ${more}
    server here ${backend}
`);
    return proxy(t, port, 'haproxy', ['-db', '-f', file]);
}
/** nginx as one process, these lines of configuration within its location; its port. `backend`: what its proxy_pass names. */
export async function nginx(t, dir, backend, more = '') {
    const port = await free(), file = path.join(dir, `nginx-${port}.conf`), temps = path.join(dir, `nginx-${port}`);
    fs.mkdirSync(temps);
    fs.writeFileSync(file, `daemon off;
master_process off;
pid ${temps}/pid;
error_log stderr;
events { worker_connections 256; }
http {
    access_log off;
    ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${temps}/${name};`).join('\n    ')}
    server {
        listen 127.0.0.1:${port};
        location / {
            proxy_pass ${backend};
            ${more}
        }
    }
}
`);
    return proxy(t, port, 'nginx', ['-e', 'stderr', '-p', temps, '-c', file]);
}
