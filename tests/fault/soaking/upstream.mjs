// What scripts of a soak ask and hand on to: GET /thing?n&size gives bytes that follow from these, POST /echo what it got.
import http from 'node:http';

/** `size` bytes that only that `n` gives. */
export const thing = (n, size) => Buffer.alloc(size, `${n} and `);

/** {url, down(), up()}: down is a death: each connection is reset, and nobody listens. */
export async function upstream(t) {
    const sockets = new Set();
    const make = () => {
        const server = http.createServer({ keepAliveTimeout: 60000 }, (req, res) => {
            const parts = [];
            res.on('error', () => {});
            req.on('error', () => {}).on('data', (part) => parts.push(part)).on('end', () => {
                const { pathname, searchParams: query } = new URL(req.url, 'http://x');
                const body = pathname === '/echo' ? Buffer.concat(parts) : thing(Number(query.get('n')), Math.min(Number(query.get('size')) || 0, 4 << 20));
                const answer = () => { res.setHeader('x-asked', req.method); res.end(body); };
                if (body.length % 3) answer();
                else setTimeout(answer, body.length % 20);
            });
        });
        server.on('connection', (socket) => {
            sockets.add(socket);
            socket.on('error', () => {}).on('close', () => sockets.delete(socket));
        });
        return server;
    };
    const listen = (server, port) => new Promise((done, fail) => { server.once('error', fail).listen(port, '127.0.0.1', () => done(server)); });
    const it = { server: await listen(make(), 0), sockets };
    const { port } = it.server.address();
    it.url = `http://127.0.0.1:${port}`;
    it.down = () => {
        it.server?.close();
        it.server = undefined;
        for (const socket of sockets) socket.resetAndDestroy();
    };
    it.up = async () => { it.server ??= await listen(make(), port); };
    t.after(it.down);
    return it;
}
