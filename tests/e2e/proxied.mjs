// Upstreams for tests of reply.proxy: node's servers that note what they were asked, and ones that answer with any bytes.
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';

const listening = (t, server, sockets) => new Promise((done) => {
    server.listen(0, '127.0.0.1', () => {
        const { port } = server.address();
        t.after(() => { for (const s of sockets) s.destroy(); server.close(); });
        done(Object.assign(server, { port, url: `http://127.0.0.1:${port}`, sockets, stop: () => { for (const s of sockets) s.destroy(); server.close(); } }));
    });
});
function tracked(server, event = 'connection') {
    const sockets = new Set();
    server.on(event, (socket) => {
        sockets.add(socket);
        server.connections = (server.connections ?? 0) + 1;
        socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    });
    return sockets;
}

/**
 * An HTTP server: answer(req, res, body) for each request; without it, what it was asked, as JSON. `asked`: all of
 * them {method, url, headers, rawHeaders, body}; tls: it speaks TLS with these options; port: where (after a stop).
 */
export async function upstream(t, answer = echo, { tls } = {}) {
    const asked = [];
    const on = (req, res) => {
        const parts = [];
        const one = { method: req.method, url: req.url, headers: req.headers, rawHeaders: req.rawHeaders, at: Date.now() };
        asked.push(one);
        res.on('close', () => { one.closed = Date.now(); one.finished = res.writableFinished; });
        req.on('error', () => {}).on('data', (part) => parts.push(part)).on('end', () => {
            one.body = Buffer.concat(parts);
            answer(req, res, one.body);
        });
    };
    const server = tls ? https.createServer(tls, on) : http.createServer(on);
    server.keepAliveTimeout = 60000;
    const sockets = tracked(server, tls ? 'secureConnection' : 'connection');
    await listening(t, server, sockets);
    if (tls) server.url = `https://localhost:${server.port}`;
    return Object.assign(server, { asked, last: () => asked[asked.length - 1] });
}
export function echo(req, res, body) {
    res.setHeader('content-type', 'application/json');
    res.end(JSON.stringify({ method: req.method, url: req.url, headers: req.headers, raw: req.rawHeaders, body: body.toString('latin1') }));
}

/** A TCP server: on(socket, text) once a request's header is there, for each connection. `asked`: the texts. */
export async function rawUpstream(t, on) {
    const asked = [];
    const server = net.createServer((socket) => {
        let text = '';
        socket.on('data', (part) => {
            text += part.toString('latin1');
            while (text.includes('\r\n\r\n')) {
                const end = text.indexOf('\r\n\r\n') + 4;
                asked.push(text.slice(0, end));
                const one = text.slice(0, end);
                text = text.slice(end);
                on(socket, one);
            }
        });
    });
    const sockets = tracked(server);
    return Object.assign(await listening(t, server, sockets), { asked });
}

/** A port that nobody listens on. */
export const nobody = () => new Promise((done) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
        const { port } = server.address();
        server.close(() => done(port));
    });
});
