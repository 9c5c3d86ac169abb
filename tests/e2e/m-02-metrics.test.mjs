// /metrics: every line of it is Prometheus text format (0.0.4), histograms add up, and figures outlive their workers.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { certificate, folder, load, request, request2, session, sleep, start, until } from './helper.mjs';

const hooks = {
    'hello.lua': 'return function() return "hello" end',
    'slow.lua': 'return { methods = { "GET" }, handle = function() sleep "300ms" return "late" end }',
    'waits.lua': 'return { methods = { "GET" }, handle = function() sleep "2s" return "late" end }',
    'busy.lua': 'return { methods = { "GET" }, handle = function() local n = 0 for i = 1, 1e7 do n = n + i % 7 end return tostring(n) end }',
};

/** Parses the exposition format, strictly: {name: {type, samples: [{name, labels, value}]}}. */
function parse(text) {
    const families = {};
    let family;
    assert.ok(text.endsWith('\n'), 'the last line ends');
    for (const line of text.slice(0, -1).split('\n')) {
        const head = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (\S.*)$/.exec(line);
        if (head && head[1] === 'HELP') {
            assert.ok(!(head[2] in families), `${head[2]} stands twice`);
            family = families[head[2]] = { name: head[2], samples: [] };
            continue;
        }
        if (head) {
            assert.equal(head[2], family.name, line);
            assert.match(head[3], /^(counter|gauge|histogram)$/, line);
            assert.equal(family.type, undefined, line);
            family.type = head[3];
            continue;
        }
        const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{([^{}]*)\})? (-?(?:\d+(?:\.\d+)?(?:e[+-]\d+)?)|\+Inf|NaN)$/.exec(line);
        assert.ok(sample, `no sample: ${line}`);
        const labels = {};
        for (const pair of sample[2] ? sample[2].match(/[^,"]+="(?:[^"\\]|\\.)*"/g) : []) {
            const [, name, value] = /^([a-zA-Z_][a-zA-Z0-9_]*)="(.*)"$/.exec(pair);
            assert.ok(!(name in labels), line);
            labels[name] = value;
        }
        assert.equal(Object.entries(labels).map(([k, v]) => `${k}="${v}"`).join(','), sample[2] ?? '', line);
        assert.ok(family?.type, `${line}: before its TYPE`);
        const suffixes = family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
        assert.ok(suffixes.some((s) => sample[1] === family.name + s), `${line}: among ${family.name}`);
        if (family.type === 'counter') assert.match(family.name, /_total$/);
        const key = JSON.stringify([sample[1], labels]);
        assert.ok(!family.samples.some((s) => s.key === key), `${line}: twice`);
        family.samples.push({ key, name: sample[1], labels, value: Number(sample[3].replace('+Inf', 'Infinity')) });
    }
    for (const f of Object.values(families)) if (f.type === 'histogram') checkHistogram(f);
    return families;
}

function checkHistogram(f) {
    const groups = {};
    for (const s of f.samples) {
        const { le, ...rest } = s.labels;
        const group = groups[JSON.stringify(rest)] ??= { buckets: [] };
        if (s.name.endsWith('_bucket')) group.buckets.push([Number(le.replace('+Inf', 'Infinity')), s.value]);
        else group[s.name.slice(f.name.length)] = s.value;
    }
    for (const [labels, { buckets, _sum, _count }] of Object.entries(groups)) {
        assert.ok(buckets.length > 5 && _sum !== undefined && _count !== undefined, `${f.name}${labels}`);
        for (let i = 1; i < buckets.length; i++) assert.ok(buckets[i][0] > buckets[i - 1][0] && buckets[i][1] >= buckets[i - 1][1], `${f.name}${labels}: ${buckets}`);
        assert.deepEqual(buckets.at(-1), [Infinity, _count]);
    }
}

const scrape = async (server) => {
    const reply = await request(`${server.admin}/metrics`);
    assert.match(reply.headers['content-type'], /^text\/plain; version=0\.0\.4/);
    return parse(reply.text);
};
const value = (families, name, labels = {}) => {
    const family = Object.values(families).find((f) => f.samples.some((s) => s.name === name));
    return family?.samples.filter((s) => s.name === name && Object.entries(labels).every(([k, v]) => s.labels[k] === v)).reduce((sum, s) => sum + s.value, 0);
};

test('the text is valid, fresh and after use; latencies are counted where they belong', async (t) => {
    const server = await start(t, { hooks, workers: 2 });
    const fresh = await scrape(server);
    assert.equal(value(fresh, 'crescent_request_duration_seconds_count'), 0);
    assert.equal(value(fresh, 'crescent_build_info', { version: '0.1.0' }), 1);
    assert.ok(Math.abs(value(fresh, 'crescent_start_time_seconds') - Date.now() / 1000) < 60);
    for (let i = 0; i < 20; i++) await server.post('/hello');
    for (let i = 0; i < 3; i++) await server.get('/slow');
    await server.get('/nowhere');
    const used = await until(async () => { const f = await scrape(server); return value(f, 'crescent_request_duration_seconds_count') === 24 && f; }, '24 observations');
    const at = (suffix, labels) => value(used, `crescent_request_duration_seconds_${suffix}`, labels);
    assert.equal(at('count', { class: '2xx' }), 23);
    assert.equal(at('count', { class: '4xx' }), 1);
    assert.ok(at('sum', { class: '2xx' }) >= 0.9 && at('sum', { class: '2xx' }) < 10);
    assert.ok(at('bucket', { class: '2xx', le: '0.25' }) <= 20, 'those that waited 300 ms are above 250 ms');
    assert.equal(at('bucket', { class: '2xx', le: '10' }), 23);
    assert.ok(value(used, 'crescent_loop_lag_seconds_count') > 20);
    for (const process of ['supervisor', 'keeper']) assert.ok(value(used, 'crescent_open_descriptors', { process }) >= 5, process);
    await until(async () => value(await scrape(server), 'crescent_open_descriptors', { process: 'worker' }) >= 10, 'both have counted theirs');
});

test('what is open and under way now; a long stretch of Lua shows as lag', async (t) => {
    const dir = folder(t), tls = await certificate(dir);
    const server = await start(t, { dir, hooks, workers: 1, listen: ['http://127.0.0.1:0', 'https://127.0.0.1:0'], args: tls.args });
    const [plain, secure] = server.urls;
    const agent = new http.Agent({ keepAlive: true });
    t.after(() => agent.destroy());
    const waiting = [1, 2, 3].map(() => request(`${plain}/waits`, { agent }));
    const client = await session(t, secure, { rejectUnauthorized: false });
    waiting.push(request2(client, '/waits'));
    await until(async () => {
        const f = await scrape(server);
        return value(f, 'crescent_requests_under_way') === 4 && value(f, 'crescent_connections_open', { protocol: 'http' }) === 3 &&
            value(f, 'crescent_connections_open', { protocol: 'http2' }) === 1;
    }, 'four requests under way on four connections');
    await Promise.all(waiting);
    agent.destroy();
    await server.get('/busy');
    await until(async () => {
        const f = await scrape(server);
        return value(f, 'crescent_requests_under_way') === 0 && value(f, 'crescent_connections_open', { protocol: 'http' }) === 0 &&
            value(f, 'crescent_loop_lag_max_seconds') > 0.002 && value(f, 'crescent_lua_memory_bytes') > 50000;
    }, 'nothing under way, and the lag');
});

test('figures are the sum over dead lives, too; those of the moment are of the living', async (t) => {
    const server = await start(t, { hooks, workers: 2 });
    let answers = 0;
    for (let life = 0; life < 3; life++) {
        const running = load(`${server.url}/hello`, { connections: 4 });
        await sleep(150);
        answers += (await running.stop()).answers;
        const before = server.children('worker');
        await sleep(50);
        process.kill(before[0], 'SIGKILL');
        await until(() => server.children('worker').length === 2 && !server.children('worker').includes(before[0]), 'the next life');
        await until(async () => await server.metric('crescent_workers_serving') === 2, 'serving');
    }
    const families = await scrape(server);
    assert.equal(value(families, 'crescent_request_duration_seconds_count', { class: '2xx' }), answers);
    assert.equal(value(families, 'crescent_requests_total', { class: '2xx' }), answers);
    assert.equal(value(families, 'crescent_requests_under_way'), 0);
    assert.equal(families.crescent_lua_memory_bytes.samples.length, 2);
});
