// What every end-to-end test uses: a server of its own on free ports, in a folder of its own, and ways to talk to it.
// The binary is $CRESCENT_BINARY, else the release build. $CRESCENT_TIME_FACTOR stretches every time bound.
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const binary = path.resolve(process.env.CRESCENT_BINARY ?? path.join(repository, 'build/release/crescent'));
if (!fs.existsSync(binary)) throw new Error(`no binary at ${binary}: build it (cmake --preset release), or set CRESCENT_BINARY`);
const factor = Number(process.env.CRESCENT_TIME_FACTOR ?? 1);
/** Built with the thread sanitizer: it holds a signal back until the next system call, so nothing ends a loop of Lua; and it multiplies memory. */
export const threadSanitizer = process.env.CRESCENT_SANITIZE === 'thread';
/** Milliseconds, stretched for slow (sanitized) builds. */
export const ms = (n) => n * factor;
export const sleep = (n) => new Promise((done) => setTimeout(done, n));

/** Polls until check() is truthy and returns that; after `limit` ms fails with `what`. */
export async function until(check, what, limit = 5000) {
    const end = Date.now() + ms(limit);
    for (;;) {
        const value = await check();
        if (value) return value;
        if (Date.now() > end) assert.fail(`${typeof what === 'function' ? what() : what}: not within ${ms(limit)} ms`);
        await sleep(5);
    }
}

const endings = new WeakMap();
/** At the test's end, what was set last first (its own hooks run in the order they were set): a server ends before its folder goes. */
function lastly(t, ending) {
    if (!endings.has(t)) {
        endings.set(t, []);
        t.after(async () => {
            const failed = [];
            for (let one; (one = endings.get(t).pop());) await Promise.resolve().then(one).catch((e) => failed.push(e));
            if (failed.length) throw failed[0];
        });
    }
    endings.get(t).push(ending);
}

/** A new folder; gone with the test. */
export function folder(t) {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'crescent-e2e-'));
    lastly(t, () => fs.rmSync(dir, { recursive: true, force: true, maxRetries: 10 }));
    return dir;
}

/** Writes {name: text} below dir. */
export function write(dir, files) {
    for (const [name, text] of Object.entries(files)) {
        const file = path.join(dir, name);
        fs.mkdirSync(path.dirname(file), { recursive: true });
        fs.writeFileSync(file, text);
    }
}

/** For an ordinary user, who may not look into the server's processes as tests do: see visible.c. Sanitized ones hide nothing. */
let visible;
function visibility() {
    if (process.getuid() === 0 || process.env.CRESCENT_SANITIZE) return {};
    if (!visible) {
        const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'crescent-visible-'));
        process.on('exit', () => fs.rmSync(dir, { recursive: true, force: true }));
        visible = path.join(dir, 'visible.so');
        execFileSync('cc', ['-O1', '-shared', '-fPIC', '-o', visible, path.join(repository, 'tests/e2e/visible.c')]);
    }
    return { LD_PRELOAD: visible };
}

/** The environment a server gets: nothing of ours but what it needs, and the sanitizers' options. */
export function environment(extra) {
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, LANG: 'C.UTF-8' };
    for (const name of Object.keys(process.env)) if (/^[A-Z]+SAN_OPTIONS$/.test(name)) env[name] = process.env[name];
    return { ...env, ...visibility(), ...extra };
}

/** Runs the binary to its end: {code, stdout, stderr}. prefix: a command that runs it. */
export function run(args, { cwd, env, limit = 20000, prefix = [] } = {}) {
    return new Promise((done) => {
        const options = { cwd, env: environment(env), timeout: ms(limit), maxBuffer: 1 << 24 };
        const command = [...prefix, binary, ...args];
        execFile(command[0], command.slice(1), options, (error, stdout, stderr) =>
            done({ code: error ? (error.code ?? error.signal) : 0, stdout, stderr }));
    });
}

/** Any other program (curl, h2load, openssl, git): its stdout; a failure fails the test. */
export function tool(program, args, { input, limit = 60000, ...options } = {}) {
    return new Promise((done, fail) => {
        const child = execFile(program, args, { encoding: 'utf8', timeout: ms(limit), maxBuffer: 1 << 26, ...options },
            (error, stdout, stderr) => error ? fail(new Error(`${program}: ${error.message}\n${stderr}`)) : done(stdout));
        if (input !== undefined) child.stdin.end(input);
    });
}

// The sanitizer's own line, no finding: the process that it looked through for leaks, at its end, was killed meanwhile.
const killedInItsLeakCheck = /^==\d+==Unable to get registers from thread \d+\.$/;

class Server {
    constructor(dir, child) {
        Object.assign(this, { dir, child, hooks: path.join(dir, 'hooks'), log: [], noise: [] });
        let rest = '';
        child.stderr.setEncoding('utf8').on('data', (text) => {
            const lines = (rest + text).split('\n');
            rest = lines.pop();
            for (const line of lines) this.#line(line);
        });
        this.exit = new Promise((done) => child.on('close', (code, signal) => {
            this.ended = { code, signal };
            if (rest) this.#line(rest);
            done(this.ended);
        }));
    }
    /** Reads the log from a file too, through its rotations: an old one is read to the end of what comes to it. */
    follow(file) {
        const files = [], chunk = Buffer.alloc(1 << 16);
        const read = () => {
            const newest = fs.existsSync(file) && fs.statSync(file).ino;
            if (newest && files.at(-1)?.ino !== newest) files.push({ ino: newest, fd: fs.openSync(file), rest: '' });
            for (const one of files) {
                for (let n; (n = fs.readSync(one.fd, chunk)) > 0;) one.rest += chunk.toString('latin1', 0, n);
                const lines = one.rest.split('\n');
                one.rest = lines.pop();
                for (const line of lines) this.#line(Buffer.from(line, 'latin1').toString('utf8'));
            }
            while (files.length > 3) fs.closeSync(files.shift().fd);
        };
        const timer = setInterval(read, 20);
        this.exit.then(() => { clearInterval(timer); read(); for (const one of files) fs.closeSync(one.fd); });
    }
    #line(line) {
        try {
            this.log.push(JSON.parse(line));
        } catch {
            if (!killedInItsLeakCheck.test(line)) this.noise.push(line);
        }
    }
    get pid() { return this.child.pid; }
    /** Records whose message contains the text, or that the function picks. */
    records(wanted) {
        return this.log.filter(typeof wanted === 'function' ? wanted : (r) => String(r.message).includes(wanted));
    }
    said(wanted, what = `log record ${wanted}`, limit = 5000) {
        return until(() => this.records(wanted)[0], () => `${what}\n${this.tail()}`, limit);
    }
    tail() { return [...this.log.slice(-15).map((r) => JSON.stringify(r)), ...this.noise.slice(-30)].join('\n'); }
    write(files) { write(this.hooks, files); }
    /** As editors save: a new file renamed over the old one. */
    replace(name, text) {
        const aside = path.join(this.hooks, path.dirname(name), `.${path.basename(name)}.new`);
        fs.writeFileSync(aside, text);
        fs.renameSync(aside, path.join(this.hooks, name));
    }
    remove(name) { fs.rmSync(path.join(this.hooks, name), { recursive: true }); }
    request(target, options) { return request(this.url + target, options); }
    get(target, headers) { return request(this.url + target, { method: 'GET', headers }); }
    post(target, body = '', headers = {}) { return request(this.url + target, { method: 'POST', headers, body }); }
    /** Process ids of the children of one kind ("worker", "keeper", "trial"). */
    children(kind) {
        return childrenOf(this.pid).filter((pid) => cmdline(pid).includes(` ${kind}`));
    }
    async metric(name, labels = '') {
        const text = (await request(`${this.admin}/metrics`)).text;
        const found = text.split('\n').filter((l) => l.startsWith(`${name}${labels ? `{${labels}}` : ''} `));
        return found.length ? Number(found[0].split(' ').pop()) : undefined;
    }
    async metricSum(name) {
        const text = (await request(`${this.admin}/metrics`)).text;
        return text.split('\n').filter((l) => l.startsWith(`${name}{`) || l.startsWith(`${name} `))
            .reduce((sum, l) => sum + Number(l.split(' ').pop()), 0);
    }
    /** TERM, then the promises every server keeps at its end: exit code 0, no child left, no panic, no sanitizer. */
    async stop({ limit = 15000 } = {}) {
        if (!this.ended) {
            const children = childrenOf(this.pid);
            this.child.kill('SIGTERM');
            await until(() => this.ended, () => `end after TERM\n${this.tail()}`, limit);
            assert.deepEqual(this.ended, { code: 0, signal: null }, this.tail());
            assert.deepEqual(children.filter(alive), [], 'children left behind');
        }
        this.checkNoise();
    }
    checkNoise() {
        const bad = this.noise.filter((l) => /Sanitizer|runtime error|panic|CHECK|assert/i.test(l));
        assert.deepEqual(bad, [], this.noise.join('\n'));
        // A child's last words come in a record of the supervisor.
        const words = this.log.map((r) => JSON.stringify(r)).filter((l) => /Sanitizer:|runtime error:|panic/i.test(l));
        assert.deepEqual(words, []);
    }
    async destroy() {
        if (!this.ended) {
            this.child.kill('SIGKILL');
            await this.exit;
        }
    }
}

export function childrenOf(pid) {
    try {
        return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/).filter(Boolean).map(Number);
    } catch {
        return [];
    }
}
export function cmdline(pid) {
    try {
        return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
    } catch {
        return '';
    }
}
export function alive(pid) {
    try {
        return !/^State:\s+[ZX]/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
    } catch {
        return false;
    }
}

/**
 * Starts `crescent serve` on free ports and waits until it serves. hooks: {file: text}, or a folder to serve as it is.
 * config: text of crescent.lua; dotenv: text of .env; listen: addresses; workers; args and env: more of them;
 * prefix: a command that runs it (taskset); fds: descriptors it gets as 3, 4, …; program: another binary;
 * bare: nothing on the command line, all is in config; logFile: where the configuration has it log to.
 * The test's end stops it, and checks its end.
 */
export async function start(t, { hooks = {}, config, dotenv, listen = ['127.0.0.1:0'], admin = '127.0.0.1:0', workers = 2,
    args = [], env = {}, dir = folder(t), limit = 10000, prefix = [], fds = [], program = binary, bare = false, logFile } = {}) {
    const hooksFolder = typeof hooks === 'string' ? hooks : path.join(dir, 'hooks');
    if (typeof hooks === 'object') {
        fs.mkdirSync(hooksFolder, { recursive: true });
        write(hooksFolder, hooks);
    }
    if (config !== undefined) write(dir, { 'crescent.lua': config });
    if (dotenv !== undefined) write(dir, { '.env': dotenv });
    const argv = ['serve'];
    if (!bare) argv.push(hooksFolder, ...listen.flatMap((a) => ['--listen', a]));
    if (!bare && admin) argv.push('--admin', admin);
    if (!bare && workers) argv.push('--workers', String(workers));
    // A slow build or machine takes long over what is no lag to others; tests of that say their own, and benches measure what is
    // usual (scripts/bench says so).
    if (!process.env.BENCH && !/\blag\b/.test(config ?? '')) env = { CRESCENT_LIMITS_LAG: '60s', ...env };
    // And it multiplies the CPU time of what a script asks of C; nothing that runs for ever is tried there.
    if (threadSanitizer && !/\bmax_run\b/.test(config ?? '')) env = { CRESCENT_LIMITS_MAX_RUN: '5s', ...env };
    const command = [...prefix, program, ...argv, ...args];
    const child = spawn(command[0], command.slice(1), { cwd: dir, env: environment(env), stdio: ['ignore', 'pipe', 'pipe', ...fds] });
    child.stdout.resume();
    const server = new Server(dir, child);
    server.hooks = hooksFolder;
    if (logFile) server.follow(path.join(dir, logFile));
    lastly(t, async () => {
        try {
            await server.stop();
        } finally {
            await server.destroy();
        }
    });
    const serving = await until(() => server.records((r) => r.message === 'serving')[0] || server.ended,
        () => `the record "serving"\n${server.tail()}`, limit);
    assert.ok(serving.listen, `the server ended: ${JSON.stringify(server.ended)}\n${server.tail()}`);
    Object.assign(server, { urls: serving.listen, url: serving.listen[0], admin: serving.admin });
    server.port = Number(new URL(server.url).port);
    return server;
}

/** One request; redirects are not followed. {status, headers, rawHeaders, body, text, json} */
export function request(url, { method = 'GET', headers = {}, body, agent = false, limit = 20000, ...tls } = {}) {
    return new Promise((done, fail) => {
        const library = url.startsWith('https:') ? https : http;
        const req = library.request(url, { method, headers, agent, timeout: ms(limit), ...tls }, (res) => {
            const parts = [];
            res.on('data', (part) => parts.push(part)).on('error', fail).on('end', () => done(answer(res.statusCode, res.headers,
                Buffer.concat(parts), res.rawHeaders)));
        });
        req.on('timeout', () => req.destroy(new Error(`no answer within ${ms(limit)} ms`))).on('error', fail);
        if (body !== undefined && !('content-length' in headers) && !('transfer-encoding' in headers))
            req.setHeader('content-length', Buffer.byteLength(body));
        req.end(body);
    });
}
function answer(status, headers, body, rawHeaders) {
    return {
        status, headers, body, rawHeaders,
        get text() { return body.toString('utf8'); },
        get json() { return JSON.parse(body.toString('utf8')); },
    };
}

/** An HTTP/2 session; closed with the test. After a GOAWAY, which may come with the first bytes: {gone: true, last: stream}. */
export async function session(t, url, options = {}) {
    const client = http2.connect(url, options);
    t.after(() => client.destroy());
    client.on('error', () => {}).on('goaway', (code, last) => { Object.assign(client, { gone: true, last }); });
    await new Promise((done, fail) => client.once('connect', done).once('error', fail));
    return client;
}
export function request2(client, target, { method = 'GET', headers = {}, body, limit = 20000 } = {}) {
    return new Promise((done, fail) => {
        const stream = client.request({ ':method': method, ':path': target, ...headers }, { endStream: body === undefined });
        const parts = [];
        let head;
        stream.setTimeout(ms(limit), () => stream.destroy(new Error('no answer')));
        stream.on('response', (h) => { head = h; }).on('data', (part) => parts.push(part)).on('error', fail);
        stream.on('close', () => head ? done(answer(head[':status'], head, Buffer.concat(parts)))
            : fail(new Error(`stream ended without an answer, code ${stream.rstCode}`)));
        if (body !== undefined) stream.end(body);
    });
}

/** Sends bytes over TCP and reads until the other side closes, `enough(text)`, or the limit: the text received. */
export function raw(port, bytes, { enough = () => false, limit = 3000, host = '127.0.0.1' } = {}) {
    return new Promise((done, fail) => {
        let text = '';
        const socket = net.connect(port, host, () => socket.write(bytes));
        const timer = setTimeout(() => end(false), ms(limit));
        const end = (closed) => {
            clearTimeout(timer);
            socket.destroy();
            done({ text, closed });
        };
        socket.on('data', (part) => {
            text += part.toString('latin1');
            if (enough(text)) end(false);
        }).on('close', () => end(true)).on('error', (error) => error.code === 'ECONNRESET' || error.code === 'EPIPE' ? end(true) : fail(error));
    });
}

/** A self-signed certificate for localhost in dir: {cert, key, args}. */
export async function certificate(dir, name = 'tls') {
    const cert = path.join(dir, `${name}.crt`), key = path.join(dir, `${name}.key`);
    await tool('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj',
        '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', key, '-out', cert]);
    return { cert, key, args: ['--tls-cert', cert, '--tls-key', key] };
}

/**
 * Steady requests over `connections` kept-alive connections until stop(), which returns {answers, failures, slowest}.
 * judge(answer) says whether an answer is as promised; a refused or broken connection is a failure too.
 */
export function load(url, { connections = 4, judge = (a) => a.status === 200, pause = 0, fresh = false, ...options } = {}) {
    const result = { answers: 0, failures: [], slowest: 0 };
    let running = true, inARow = 0; // failures; so many mean that the test has failed, and its server is gone for good
    const one = async () => {
        const agent = fresh ? false : new http.Agent({ keepAlive: true, maxSockets: 1 });
        while (running) {
            const begun = process.hrtime.bigint();
            try {
                const reply = await request(url, { agent, ...options });
                inARow = 0;
                if (!judge(reply)) result.failures.push(`${reply.status} ${reply.text.slice(0, 200)}`);
            } catch (error) {
                result.failures.push(error.code ?? error.message);
                running &&= ++inARow < 5000;
            }
            result.answers++;
            result.slowest = Math.max(result.slowest, Number(process.hrtime.bigint() - begun) / 1e6);
            if (pause) await sleep(pause);
        }
        if (agent) agent.destroy();
    };
    const all = Promise.all(Array.from({ length: connections }, one));
    result.stop = async () => {
        running = false;
        await all;
        return result;
    };
    return result;
}

/** Asserts a problem of RFC 9457, and that it leaks nothing of the machine. */
export function assertProblem(reply, status, detail) {
    assert.equal(reply.status, status, reply.text);
    assert.match(reply.headers['content-type'] ?? '', /^application\/problem\+json/);
    const problem = reply.json;
    assert.equal(problem.status, status);
    assert.equal(typeof problem.title, 'string');
    assert.match(problem.request_id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    assert.doesNotMatch(reply.text, /traceback|\/hooks\/|\/tmp\//);
    if (detail) assert.match(problem.detail ?? '', detail);
    return problem;
}
