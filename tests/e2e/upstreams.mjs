// Servers that scripts ask: what they got is in their answer. Each is on a port of its own and gone with the test.
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { spawn } from 'node:child_process';
import fs from 'node:fs';

function listen(t, server) {
    const sockets = new Set();
    server.on('connection', (socket) => {
        sockets.add(socket);
        socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    });
    server.on('secureConnection', (socket) => socket.on('error', () => {}));
    t.after(() => new Promise((done) => {
        server.close(done);
        for (const socket of sockets) socket.destroy();
    }));
    return new Promise((done) => server.listen(0, '127.0.0.1', () => {
        done({ server, sockets, port: server.address().port, requests: [] });
    }));
}

/** Answers every request with what it was, as JSON, unless handler(req, res, body, upstream) returns true. */
function echo(upstream, handler) {
    return (req, res) => {
        const parts = [];
        req.on('error', () => {}).on('data', (part) => parts.push(part)).on('end', async () => {
            const body = Buffer.concat(parts);
            const seen = { method: req.method, url: req.url, headers: req.headers, body: body.toString('latin1'), version: req.httpVersion,
                peer: req.socket?.getPeerCertificate?.(false)?.subject?.CN };
            upstream().requests.push(seen);
            res.on('error', () => {});
            if (handler && await handler(req, res, body, upstream())) return;
            res.setHeader('content-type', 'application/json');
            res.end(JSON.stringify(seen));
        });
    };
}

export async function plain(t, handler) {
    let upstream;
    upstream = await listen(t, http.createServer({ keepAliveTimeout: 60000 }, echo(() => upstream, handler)));
    upstream.url = `http://127.0.0.1:${upstream.port}`;
    return upstream;
}

/** pair: {cert, key}; http2: offers h2 by ALPN too. options: node's TLS options. */
export async function secure(t, pair, handler, { http2: two = false, ...options } = {}) {
    let upstream;
    const settings = { cert: fs.readFileSync(pair.cert), key: fs.readFileSync(pair.key), allowHTTP1: true, ...options };
    const create = two ? http2.createSecureServer : https.createServer;
    upstream = await listen(t, create(settings, echo(() => upstream, handler)));
    upstream.url = `https://localhost:${upstream.port}`;
    return upstream;
}

/** A TCP server: serve(socket, n) for each connection. */
export async function bare(t, serve) {
    let count = 0;
    const upstream = await listen(t, net.createServer((socket) => serve(socket, ++count)));
    upstream.url = `http://127.0.0.1:${upstream.port}`;
    return upstream;
}

/** A bare server that reads a request's header and writes the bytes; keep: and leaves the connection open. */
export const replying = (t, bytes, keep = false) => bare(t, (socket) => socket.once('data', () => keep ? socket.write(bytes) : socket.end(bytes)));

/** A port where nobody listens. */
/** A host whose queue of connections is full: a further one is neither taken nor refused. */
export async function full(t) {
    const child = spawn('python3', ['-c', `import socket, sys
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(0)
others = [socket.socket() for _ in range(4)]
for o in others: o.setblocking(False); o.connect_ex(s.getsockname())
print(s.getsockname()[1], flush=True); sys.stdin.read()`], { stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(() => child.stdin.end());
    const port = await new Promise((done) => child.stdout.once('data', (text) => done(Number(text))));
    return { port, url: `http://127.0.0.1:${port}` };
}

export async function nobody() {
    const server = net.createServer();
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address();
    await new Promise((done) => server.close(done));
    return port;
}

/**
 * A script that calls what the request's body says, as Lua: `return http.get(…)` ends as JSON {status, headers, body, url},
 * or {code, words, err_status, attempts}; any other value as {value}.
 */
export const runner = `
local function outcome(ok, a, b)
  if not ok then return { raised = tostring(a) } end
  if a == nil and b ~= nil then
    return { code = b.code, words = tostring(b), err_status = rawget(b, "status"), attempts = rawget(b, "attempts"),
             err_body = rawget(b, "response") and rawget(b.response, "body") }
  end
  if type(a) == "table" and rawget(a, "status") and rawget(a, "headers") then
    local headers = {}
    for k, v in pairs(a.headers) do headers[k] = v end
    return { status = a.status, url = a.url, body = rawget(a, "body"), headers = json.object(headers) }
  end
  return { value = a }
end
return {
  timeout = "60s", max_run = nil,
  handle = function(req)
    local chunk = assert(loadstring(req.body, "=test"))
    return outcome(pcall(chunk))
  end,
}`.replace(' max_run = nil,', '');

/** Runs Lua in the server's script run.lua: what the runner gives. */
export async function lua(server, text, headers = {}) {
    const reply = await server.post('/run', text, headers);
    if (reply.status !== 200) throw new Error(`${reply.status} ${reply.text}\n${server.tail()}`);
    return reply.json;
}
