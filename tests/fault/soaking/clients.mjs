// Honest clients of a soak, over HTTP/1.1 with kept connections and over HTTP/2, in clear and in TLS. They tell a request
// that was not answered (with the port of its connection) from an answer.
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import { ms } from '../../e2e/helper.mjs';

const patience = 30000;

/** A request without its whole answer: why, on which connection, and what had come until then. */
export class Broken extends Error {
    constructor(why, port, answer) {
        super(why);
        Object.assign(this, { why, port, answer });
    }
}
/** Asked on a session that had been told to end: nobody has seen it, so it may be asked anew (as clients.mjs of e2e). */
export class Unsent extends Error {}

const answerOf = (status, headers, parts) => {
    const body = Buffer.concat(parts);
    return { status, headers, body, get text() { return body.toString('utf8'); }, get json() { return JSON.parse(body.toString('utf8')); } };
};

export class One {
    constructor(url) {
        Object.assign(this, { url, secure: url.startsWith('https:') });
        this.agent = new (this.secure ? https : http).Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
    }
    ask(target, { method = 'GET', headers = {}, body } = {}) {
        return new Promise((done, fail) => {
            const library = this.secure ? https : http, parts = [];
            let port, head;
            const broken = (why) => fail(new Broken(why, port, head && answerOf(head.statusCode, head.headers, parts)));
            const req = library.request(this.url + target, { method, headers, agent: this.agent, timeout: ms(patience), rejectUnauthorized: false }, (res) => {
                head = res;
                res.on('data', (part) => parts.push(part)).on('error', (error) => broken(error.code ?? error.message));
                res.on('end', () => res.complete ? done(answerOf(res.statusCode, res.headers, parts)) : broken('cut short'));
            });
            // Its port is known once it is connected; a socket of the agent's is connected already.
            req.on('socket', (socket) => {
                const note = () => { port = socket.localPort ?? port; };
                note();
                if (socket.connecting) socket.once('connect', note);
            });
            req.on('timeout', () => req.destroy(new Error('no answer'))).on('error', (error) => broken(error.code ?? error.message));
            if (body !== undefined) req.setHeader('content-length', Buffer.byteLength(body));
            req.end(body);
        });
    }
    leave() { this.agent.destroy(); }
}

export class Two {
    constructor(url) { Object.assign(this, { url, secure: url.startsWith('https:') }); }
    #session() {
        if (this.session && !this.session.gone && !this.session.closed && !this.session.destroyed) return this.session;
        const { port, hostname: host } = new URL(this.url);
        const socket = this.secure ? tls.connect({ port, host, ALPNProtocols: ['h2'], rejectUnauthorized: false }) : net.connect(port, host);
        const session = http2.connect(this.url, { createConnection: () => socket });
        socket.once('connect', () => { session.port = socket.localPort; });
        session.on('error', (error) => { session.why = error.code ?? error.message; });
        session.on('goaway', (code, last) => Object.assign(session, { gone: true, last }));
        this.session?.close();
        this.session = session;
        return session;
    }
    ask(target, { method = 'GET', headers = {}, body } = {}) {
        return new Promise((done, fail) => {
            const session = this.#session(), parts = [];
            const stream = session.request({ ':method': method, ':path': target, ...headers }, { endStream: body === undefined });
            let head, eof = false, sent = true, late = false;
            stream.setTimeout(ms(patience), () => { late = true; stream.close(8); });
            stream.on('frameError', (type) => { sent &&= type !== 1; }).on('error', () => {});
            stream.on('response', (h) => { head = h; }).on('data', (part) => parts.push(part)).on('end', () => { eof = true; });
            stream.on('close', () => {
                const answer = head && answerOf(head[':status'], head, parts);
                if (answer && eof && stream.rstCode === 0 && !session.why) return done(answer);
                if (!answer && session.gone && (!sent || stream.id === undefined || stream.id > session.last)) return fail(new Unsent());
                fail(new Broken(late ? 'no answer' : session.why ?? `code ${stream.rstCode}`, session.port, answer));
            });
            if (body !== undefined) stream.end(body);
        });
    }
    leave() {
        this.session?.close();
        this.session = undefined;
    }
}
