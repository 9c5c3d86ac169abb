// What the honest clients of a soak do, and what each answer must be. What the server owes and the faults do not explain is
// told to the world as wrong.
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import zlib from 'node:zlib';
import { until } from '../../e2e/helper.mjs';
import { eventSource } from '../../e2e/streams.mjs';
import { Broken, Unsent } from './clients.mjs';
import { secret } from './scripts.mjs';
import { thing } from './upstream.mjs';

const sum = (bytes) => createHash('sha256').update(bytes).digest('hex');
const json = { 'content-type': 'application/json' };
/** A failure that a fault explains. */
class Excused extends Error {}

/** What a server keeps for an actor is under the actor's own names, so that it can be foretold. */
class Actor {
    constructor(name, client, r, world) { Object.assign(this, { name, client, r, world, turns: 0, kept: undefined }); }

    /** Of the request of that trace the log says that it met the ceiling of Lua's memory: another one had taken it all. */
    async starved(trace) {
        const said = (r) => r.trace_id === trace && /not enough memory/.test(r.error);
        return until(() => this.world.server.records(said).length > 0, 'a record', 500).catch(() => false);
    }
    /** One request. may: statuses of failure that are right; cut: whether an answer may be broken off. */
    async ask(target, { may = [], cut = () => false, headers, ...options } = {}) {
        const { faults } = this.world, began = Date.now(), trace = this.r.bytes(16).toString('hex');
        let answer;
        try {
            answer = await this.client.ask(target, { ...options, headers: { ...headers, traceparent: `00-${trace}-${trace.slice(0, 16)}-01` } });
        } catch (error) {
            if (error instanceof Unsent) throw new Excused('asked on a session at its end');
            if (!(error instanceof Broken)) throw error;
            const why = `${target}: ${error.why} after ${Date.now() - began} ms, port ${error.port}${error.answer ? `, ${error.answer.status} with ${error.answer.body.length} bytes` : ''}`;
            if (faults.held(error.port, began)) throw new Excused(`${target.replace(/\?.*/, '')} in the hands of a killed worker`);
            if (cut(began)) return error.answer;
            if (error.answer && await this.starved(trace)) throw new Excused('beside one that takes all memory');
            throw new Error(`${why}; ${faults.near(error.port, began)}`);
        }
        this.world.answered(answer.status);
        if (answer.status < 500 || may.includes(answer.status)) return answer;
        if (answer.status === 503 && /the store is not available/.test(answer.text)) {
            if (faults.during('store', began)) throw new Excused('kv without a store');
            // Between two keepers of an upgrade a call waits, but no longer than any: five seconds.
            const between = faults.during('upgrade', began) || faults.during('refused upgrade', began);
            if (between && Date.now() - began >= 5000) throw new Excused('kv for five seconds without a keeper');
        }
        if (answer.status === 500 && await this.starved(trace)) throw new Excused('beside one that takes all memory');
        throw new Error(`${target}: ${answer.status} ${answer.text.slice(0, 300)} after ${Date.now() - began} ms; ${faults.near(undefined, began)}`);
    }
    post(target, body, headers = {}, options = {}) { return this.ask(target, { method: 'POST', headers, body, ...options }); }
    async kv(call, bucket = 'honest') {
        const answer = await this.post('/kv', JSON.stringify({ bucket, ...call }), json);
        assert.equal(answer.status, 200, answer.text);
        return answer.json;
    }
    text(n) { return this.r.bytes(n).toString('base64').slice(0, n); }
}

/** [weight, name, what is done]. */
const scenarios = [
    [12, 'hello', async (a) => assert.equal((await a.ask('/hello')).text, 'hello')],
    [12, 'version', async (a) => {
        const { live, saved, faults } = a.world, seen = { ...live }, began = Date.now();
        const answer = (await a.ask('/v')).json, least = faults.leastLive(seen, began);
        for (const name of ['version', 'shared', 'turn']) {
            const value = Number(answer[name]);
            assert.ok(value >= least[name] && value <= saved[name], `${name} ${value}; ${least[name]} was live already, ${saved[name]} is the last saved; asked ${Date.now() - began} ms ago`);
            live[name] = Math.max(live[name], value);
        }
    }],
    [10, 'push', async (a) => {
        const n = a.r.below(1e6), commits = Array.from({ length: a.r.below(60) }, (_, i) => ({ id: sum(String(i)), message: a.text(a.r.below(500)) }));
        const body = Buffer.from(JSON.stringify({ ref: 'refs/heads/main', commits, n })), bad = a.r.below(6) === 0;
        const signature = createHmac('sha256', bad ? 'another' : secret).update(body).digest('hex');
        const answer = await a.post('/push', body, { ...json, 'x-hub-signature-256': `sha256=${signature}`, 'x-github-event': 'push' });
        assert.equal(answer.status, bad ? 401 : 200, answer.text);
        if (!bad) assert.deepEqual(answer.json, { ref: 'refs/heads/main', n, commits: commits.length, by: 'github', event: 'push' });
    }],
    [6, 'form', async (a) => {
        const fields = { one: a.text(a.r.below(100)), two: a.text(a.r.below(2000)), 'ü': '&=% ' };
        assert.deepEqual((await a.post('/form', new URLSearchParams(fields).toString(), { 'content-type': 'application/x-www-form-urlencoded' })).json, fields);
    }],
    [6, 'packed', async (a) => {
        const value = { all: [a.text(a.r.below(30000)), 1.5, null, true, { deep: [[]] }] };
        const answer = await a.post('/json', zlib.gzipSync(JSON.stringify(value.all)), { ...json, 'content-encoding': 'gzip' });
        assert.deepEqual(answer.json, value);
    }],
    [6, 'upload', async (a) => {
        const size = a.r.below(8) ? a.r.below(60000) : a.r.below(3 << 20), inside = Buffer.alloc(size, a.text(30) || '.');
        const content = Buffer.concat([Buffer.from(`${sum(inside)}\n`), inside]), boundary = `b${a.text(12).replaceAll(/[^a-z0-9]/gi, 'x')}`;
        const slot = a.r.below(3) ? undefined : `s-${a.r.below(10)}`;
        const part = (name, more, bytes) => [Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n`), bytes, Buffer.from('\r\n')];
        const body = Buffer.concat([...part('note', '', Buffer.from('kept')), ...part('one', '; filename="a.bin"', content), Buffer.from(`--${boundary}--\r\n`)]);
        const answer = await a.post(`/upload${slot ? `?slot=${slot}` : ''}`, body, { 'content-type': `multipart/form-data; boundary=${boundary}` });
        assert.equal(answer.status, 200, answer.text);
        const file = { name: 'one', filename: 'a.bin', size: content.length, sum: sum(content), ...(slot ? { saved: `uploads/${slot}` } : {}) };
        assert.deepEqual(answer.json, { files: [file], note: 'kept' });
        if (slot) a.world.slots.add(slot);
    }],
    [6, 'file', async (a) => {
        const slot = `s-${a.r.below(10)}`, was = a.world.slots.has(slot), seen = (a.seen ??= {});
        const answer = await a.ask(`/file/${slot}`, { headers: seen[slot] && a.r.below(2) ? { 'if-none-match': seen[slot] } : {} });
        if (answer.status === 404) return assert.ok(!was, `${slot} was saved, and is not there`);
        if (answer.status === 304) return undefined;
        assert.equal(answer.status, 200, answer.text.slice(0, 200));
        seen[slot] = answer.headers.etag;
        return assert.equal(answer.body.subarray(0, 64).toString(), sum(answer.body.subarray(65)), `${slot} is not whole`);
    }],
    [4, 'range', async (a) => {
        const from = a.r.below(250000), answer = await a.ask('/large', { headers: { range: `bytes=${from}-` } });
        assert.equal(answer.status, 206);
        assert.ok(answer.body.equals(a.world.large.subarray(from)));
    }],
    [10, 'count', async (a) => {
        const key = `c${a.r.below(6)}`, one = (a.world.counters[key] ??= { asked: 0, acknowledged: 0 }), least = one.acknowledged;
        one.asked++;
        const { value } = await a.kv({ call: 'incr', key });
        one.acknowledged++;
        assert.ok(value > least && value <= one.asked, `${key} is ${value}; ${least} were acknowledged before, ${one.asked} asked for`);
    }],
    [5, 'once', async (a) => {
        const key = `u-${a.name}-${a.turns++}`;
        assert.equal((await a.kv({ call: 'add', key, value: { by: a.name } })).value, true);
        a.world.unique.add(key);
        assert.equal((await a.kv({ call: 'add', key, value: 1 })).value, false);
    }],
    [6, 'own', async (a) => {
        const key = `own-${a.name}`, value = { turn: a.turns++, text: a.text(a.r.below(3000)) }, before = a.kept;
        a.kept = undefined; // whoever is cut short does not know
        await a.kv({ call: 'set', key, value, ttl: a.r.below(2) ? '1h' : undefined });
        const read = (await a.kv({ call: 'get', key })).value;
        assert.deepEqual(read, value, `before it was ${JSON.stringify(before)?.slice(0, 100)}`);
        a.kept = value;
    }],
    [6, 'fetch', async (a) => {
        const n = a.r.below(1000), size = a.r.below(5) ? a.r.below(5000) : a.r.below(1 << 20), mortal = a.r.below(2), began = Date.now();
        const got = (await a.ask(`/fetch?n=${n}&size=${size}${mortal ? '&mortal=1' : ''}`)).json;
        if (mortal && got.code && a.world.faults.during('upstream', began)) throw new Excused('asked of a dead upstream');
        assert.deepEqual(got, { status: 200, size, sum: sum(thing(n, size)) });
    }],
    [4, 'side', async (a) => {
        const n = a.r.below(1000), began = Date.now(), got = (await a.ask(`/side?n=${n}`)).json;
        if (got[2] === 'spawner_gone' && a.world.faults.during('spawner', began)) throw new Excused('exec of a dead spawner');
        assert.deepEqual(got, [200, n * 2, `${n}\n`, sum(String(n))]);
    }],
    [4, 'exec', async (a) => {
        const which = a.r.pick(['sum', 'sum', 'fail', 'late', 'much', 'left']), body = a.r.bytes(a.r.below(100000)), began = Date.now();
        const got = (await a.post(`/exec?which=${which}`, body)).json;
        if (got.code === 'spawner_gone' && a.world.faults.during('spawner', began)) throw new Excused('exec of a dead spawner');
        const wanted = { sum: { code: 0, stdout: `${sum(body)}  -\n` }, fail: { code: 3, stdout: 0, stderr: 3 }, late: { code: 'timeout', stdout: 0, stderr: 0 }, left: { code: 0, stdout: '' } }[which];
        if (which === 'much') assert.deepEqual([got.code, got.stdout], ['too_much_output', 65536]);
        else assert.deepEqual(got, wanted);
    }],
    [6, 'stream', async (a) => {
        const n = 1 + a.r.below(60), size = a.r.below(4) ? a.r.below(200) : a.r.below(20000);
        const answer = await a.ask(`/stream?n=${n}&size=${size}`);
        assert.equal(answer.text, Array.from({ length: n }, (_, i) => `${String(i + 1).padStart(6, '0')}${'x'.repeat(size)}\n`).join(''));
    }],
    [5, 'events', async (a) => {
        const n = 1 + a.r.below(40), began = Date.now(), leaving = (from) => ['upgrade', 'spawner'].some((kind) => a.world.faults.during(kind, from));
        const answer = await a.ask(`/sse?n=${n}`, { cut: leaving });
        const { events } = eventSource(answer?.text ?? '');
        assert.deepEqual(events, Array.from({ length: events.length }, (_, i) => ({ type: 'tick', data: JSON.stringify({ i: i + 1 }), id: String(i + 1) })));
        assert.ok(events.length === n || leaving(began), `${events.length} of ${n} events`);
    }],
    [6, 'proxied', async (a) => {
        const body = a.r.bytes(a.r.below(6) ? a.r.below(5000) : a.r.below(100000)), answer = await a.post('/proxy/echo', body);
        assert.deepEqual([answer.status, answer.headers['x-asked']], [200, 'POST'], answer.text.slice(0, 200));
        assert.ok(answer.body.equals(body));
    }],
    [6, 'either', async (a) => {
        const n = a.r.below(1000), size = a.r.below(5) ? a.r.below(5000) : a.r.below(2 << 20);
        const answer = await a.ask(`/either/thing?n=${n}&size=${size}`, { cut: (began) => a.world.faults.during('upstream', began) });
        const whole = thing(n, size);
        if (answer?.body.length < size) assert.ok(answer.body.equals(whole.subarray(0, answer.body.length)));
        else if (answer) assert.ok(answer.status === 200 && answer.body.equals(whole), answer.text.slice(0, 200));
    }],
    [4, 'nap', async (a) => assert.equal((await a.ask(`/nap?s=${a.r.below(50) / 100}`)).text, 'nap')],
    [4, 'mistakes', async (a) => {
        assert.equal((await a.ask('/nope')).status, 404);
        assert.equal((await a.ask('/json')).status, 405);
        assert.equal((await a.post('/json', '{"a":', json)).status, 400);
    }],
    [1, 'raises', async (a) => assert.equal((await a.ask('/raises', { may: [500] })).status, 500)],
    [1, 'runaway', async (a) => {
        const answer = await a.ask('/runaway', { may: [500, 503] });
        assert.ok(answer.status === 500 || answer.status === 503 && /quarantine/.test(answer.text), answer.text);
    }],
    [1, 'burst', async (a) => assert.equal((await a.ask('/burst', { may: [500] })).status, 500)],
];
const lots = scenarios.flatMap(([weight, name, run]) => Array(weight).fill({ name, run }));

/** An honest client: a step is one scenario. */
export function honest(name, client, r, world) {
    const actor = new Actor(name, client, r, world);
    return async () => {
        const scenario = r.pick(lots);
        try {
            await scenario.run(actor);
            world.done[scenario.name] = (world.done[scenario.name] ?? 0) + 1;
        } catch (error) {
            if (error instanceof Excused) world.excused[error.message] = (world.excused[error.message] ?? 0) + 1;
            else world.wrong(`${scenario.name}, ${name}: ${error.message}`);
        }
    };
}
