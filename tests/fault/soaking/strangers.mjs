// Those who mean no well, or have no luck: they leave at any moment, send what is no HTTP, or take and give nothing. What
// they get is not looked at (http-fuzz and e2e/attack do that): here the server must live, and forget them.
import net from 'node:net';
import tls from 'node:tls';
import { anyFrame, Attacker, INITIAL_WINDOW, setting } from '../../e2e/attack/frames.mjs';
import { ms, sleep } from '../../e2e/helper.mjs';
import { connection, requestOf } from '../hostile.mjs';
import { Two } from './clients.mjs';
import { secret } from './scripts.mjs';

const paths = ['/hello', '/v', '/nap?s=0.3', '/large', '/stream?n=40&size=5000', '/sse?n=100', '/fetch?n=1&size=300000', '/proxy/thing?n=1&size=300000', '/either/thing?n=2&size=100',
    '/side?n=1', '/file/s-1', '/nope', '/raises'];
const bodies = ['/json', '/form', '/data', '/upload', '/save', '/push', '/kv', '/exec?which=sum', '/proxy/echo', '/either/echo'];
export const targets = [...paths, ...bodies, '/exec?which=late', '/%00', '*', 'http://a/hello', '/proxy/../v'];
const strayKv = (r) => JSON.stringify({ bucket: 'stray', call: r.pick(['incr', 'incr', 'get', 'list']), key: `k${r.below(20)}` });

/** A connection that resolves on its end; quiet about errors. */
function connected(port, secure) {
    return new Promise((done) => {
        const socket = secure ? tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false }) : net.connect(port, '127.0.0.1');
        socket.on('error', () => done(socket)).once(secure ? 'secureConnect' : 'connect', () => done(socket));
    });
}
const leave = (r, socket) => {
    if (r.below(2) || !socket.resetAndDestroy || socket.encrypted) socket.destroy();
    else socket.resetAndDestroy();
};

/** A request that makes sense, cut at any byte, or left while it is answered. */
async function leaver(r, { ports }) {
    const secure = r.below(4) === 0, socket = await connected(secure ? ports[1] : ports[0], secure);
    const target = r.pick(bodies), body = target === '/kv' ? Buffer.from(strayKv(r)) : r.bytes(r.below(2) ? r.below(3000) : r.below(200000));
    const request = r.below(3) ? Buffer.from(`GET ${r.pick(paths)} HTTP/1.1\r\nHost: a\r\n\r\n`)
        : Buffer.concat([Buffer.from(`POST ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`), body]);
    socket.write(r.below(3) ? request : request.subarray(0, r.below(request.length)));
    if (r.below(2)) await new Promise((done) => { socket.once('data', done).once('close', done); setTimeout(done, 1 + r.below(300)); });
    else await sleep(r.below(40));
    leave(r, socket);
}

/** The same over HTTP/2: streams that are reset, sessions that are gone. */
async function leaver2(r, { urls }) {
    const client = new Two(r.pick(urls));
    const asked = Array.from({ length: 1 + r.below(8) }, () => {
        const post = r.below(3) === 0;
        return client.ask(r.pick(post ? bodies : paths), post ? { method: 'POST', body: r.bytes(r.below(50000)) } : {}).catch(() => {});
    });
    await sleep(r.below(150));
    client.session?.destroy();
    await Promise.all(asked);
}

/** What is no HTTP, or nearly, to both ports. */
async function talker(r, { ports }) {
    if (r.below(5)) return connection(r, ports[0], { targets, secret });
    const socket = await connected(ports[1], false); // no TLS either
    socket.write(r.below(2) ? r.bytes(1 + r.below(2000)) : Buffer.concat([Buffer.from([22, 3, 1, r.below(3), r.below(256), r.below(3)]), r.bytes(r.below(600))]));
    await sleep(r.below(50));
    return leave(r, socket);
}

async function framer(r, { ports }) {
    const top = { stream: 0 }, endings = [], own = { after: (end) => endings.push(end) };
    const a = await Attacker.open(own, ports[0], { deaf: r.below(3) === 0, settings: setting(INITIAL_WINDOW, r.pick([0, 5, 65535])) }).catch(() => null);
    for (let i = 0; a && i < 10 && !a.isClosed && !a.socket.destroyed; i++) {
        await a.send(Buffer.concat(Array.from({ length: 1 + r.below(30) }, () => anyFrame(r, top, ['/hello', '/large', '/stream?n=20', '/json', '/nap']))), 50);
        await sleep(r.below(8));
    }
    for (const end of endings) end();
}

/** Byte by byte, or not at all, in head, body or answer: until it is cut, or loses patience. */
async function dawdler(r, { ports }) {
    const secure = r.below(4) === 0, socket = await connected(secure ? ports[1] : ports[0], secure), patience = Date.now() + ms(1000 + r.below(3000));
    const over = () => socket.destroyed || Date.now() > patience;
    if (r.below(3) === 0) { // reads nothing of a long answer
        socket.pause();
        socket.write(`GET ${r.pick(['/large', '/stream?n=400&size=20000', '/proxy/thing?n=1&size=4000000'])} HTTP/1.1\r\nHost: a\r\n\r\n`);
        while (!over()) await sleep(50);
    } else {
        const bytes = r.below(2) ? requestOf(r, { targets, secret }) : Buffer.from('POST /json HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{');
        for (let at = 0; !over(); at++) {
            if (at < bytes.length && !socket.destroyed) socket.write(bytes.subarray(at, at + 1));
            await sleep(at < bytes.length - 20 ? 1 : 100);
        }
    }
    leave(r, socket);
}

/** One act of one of them. */
export const kinds = { leaver, leaver2, talker, framer, dawdler };
export const stranger = (kind, r, where, world) => async () => {
    await kinds[kind](r, where);
    world.done[kind] = (world.done[kind] ?? 0) + 1;
};
