// An endpoint whose stretches do not end three times in a minute is refused for ten seconds, whatever dies meanwhile;
// then one request is let through, and decides. Most of these tests wait for those ten seconds, side by side.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import http from 'node:http';
import { describe, test } from 'node:test';
import { assertProblem, ms, request, run, sleep, start, until } from './helper.mjs';
import { startUpgradable } from './upgrade.mjs';

/** Loops when it is asked to, else waits a little. (The thread sanitizer holds signals back until a call into the C library; a table makes one.) */
const flaky = 'return { methods = { "GET" }, max_run = "30ms", handle = function(req) if req.query.spin then while true do local _ = {} end end sleep "200ms" return "fine" end }';
const hooks = { 'flaky.lua': flaky, 'hello.lua': 'return function() return "hello" end' };
const spin = (server, target = '/flaky?spin=1') => server.get(target);

function assertQuarantined(reply, least = 1, most = 10) {
    assertProblem(reply, 503, /quarantine/);
    const after = Number(reply.headers['retry-after']);
    assert.ok(after >= least && after <= most, `Retry-After: ${after}`);
}
async function quarantine(server, target, method = 'GET') {
    for (let i = 0; i < 3; i++) assert.equal((await request(server.url + target, { method })).status, 500);
    assertQuarantined(await request(server.url + target, { method }), 5);
}

describe('quarantine', { concurrency: true }, () => {
    test('three strikes; it outlives workers, keeper and an upgrade; a probe that loops doubles it; the command ends it', async (t) => {
        const server = await startUpgradable(t, { hooks, workers: 3 });
        await quarantine(server, '/flaky?spin=1');
        const began = Date.now();
        const said = await server.said((r) => r.message === 'endpoint quarantined', 'its begin');
        assert.deepEqual([said.level, said.endpoint, said.for], ['warn', 'flaky', '10s']);
        assert.equal((await server.get('/hello')).text, 'hello');
        assert.equal(await server.metric('crescent_scripts_quarantined'), 1);
        assert.equal(await server.metric('crescent_quarantines_total'), 1);
        assert.ok(await server.metric('crescent_refused_total', 'reason="quarantined"') >= 1);

        for (const pid of server.children('worker')) process.kill(pid, 'SIGKILL');
        process.kill(server.children('keeper')[0], 'SIGKILL');
        await until(() => request(`${server.admin}/readyz`).then((r) => r.status === 200, () => false), 'all back');
        // On a slow machine one of them may be the probe already.
        const stands = async () => {
            const all = [];
            for (let i = 0; i < 9; i++) all.push((await spin(server)).status);
            assert.ok(all.filter((status) => status !== 503).length <= 1, all.join());
        };
        await stands();
        assert.equal(await server.metric('crescent_scripts_quarantined'), 1);
        const upgraded = await server.upgrade();
        assert.match(upgraded.message, /^upgrade: done/);
        await stands();

        await sleep(Math.max(0, began + 10050 - Date.now()));
        await spin(server); // the probe
        const doubled = await server.said((r) => /^endpoint stays quarantined/.test(r.message), 'the doubling');
        assert.deepEqual([doubled.level, doubled.endpoint, doubled.for], ['warn', 'flaky', '20s']);
        assertQuarantined(await server.get('/flaky'), 11, 20);

        const command = await run(['unquarantine', 'flaky', '--admin', server.admin]);
        assert.deepEqual(command, { code: 0, stdout: 'flaky is out of quarantine\n', stderr: '' });
        assert.equal((await server.get('/flaky')).text, 'fine');
        await server.said((r) => r.level === 'info' && r.message === 'endpoint out of quarantine' && r.because === 'an operator said so', 'its end');
        assert.equal(await server.metric('crescent_scripts_quarantined'), 0);
    });

    test('of many requests one is the probe; when it has passed, all are let through', async (t) => {
        const server = await start(t, { hooks, workers: 3 });
        await quarantine(server, '/flaky?spin=1');
        await sleep(10050);
        const replies = await Promise.all(Array.from({ length: 12 }, () => server.get('/flaky')));
        assert.equal(replies.filter((r) => r.text === 'fine').length, 1);
        replies.filter((r) => r.text !== 'fine').forEach((r) => assertQuarantined(r));
        await server.said((r) => r.message === 'endpoint out of quarantine' && r.because === 'its probe passed', 'its end');
        for (const r of await Promise.all(Array.from({ length: 12 }, () => server.get('/flaky')))) assert.equal(r.text, 'fine');
        await quarantine(server, '/flaky?spin=1'); // it may begin again, with ten seconds
    });

    test('a probe whose client leaves is given back; a stream passes with its first wait', async (t) => {
        const stream = `return { methods = { "GET" }, max_run = "30ms", handle = function(req)
            return reply.stream(function(write) if req.query.spin then while true do local _ = {} end end write "first" sleep "60s" end) end }`;
        const server = await start(t, { hooks: { ...hooks, 'stream.lua': stream }, workers: 2 });
        await quarantine(server, '/flaky?spin=1');
        for (let i = 0; i < 3; i++) await assert.rejects(server.get('/stream?spin=1'));
        assertQuarantined(await server.get('/stream'), 5);
        await sleep(10050);
        await assert.rejects(request(`${server.url}/flaky`, { limit: 50 / ms(1) }), /no answer/);
        await until(async () => (await server.get('/flaky')).text === 'fine', 'the next probe', 5000);
        const watch = request(`${server.url}/stream`, { limit: 3000 / ms(1) }).catch((e) => e.message);
        await server.said((r) => r.message === 'endpoint out of quarantine' && r.endpoint === 'stream', 'the end of the stream\'s', 2500);
        await watch;
    });

    test('a stranger who is not let in neither meets it nor takes its probe', async (t) => {
        const secret = 'It\'s a Secret to Everybody';
        const body = '{"spin":true}', calm = '{}';
        const sign = (text) => ({ 'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(text).digest('hex')}`, 'x-github-event': 'push', 'content-type': 'application/json' });
        const server = await start(t, {
            hooks: {
                'signed.lua': `return { verify = verify.github { secret = "${secret}" }, max_run = "30ms", handle = function(req) if req:pick "/spin" then while true do local _ = {} end end return "fine" end }`,
                'judge.lua': 'return { max_run = "30ms", verify = function(req) if req.query.spin then while true do local _ = {} end end return false end, handle = function() return "in" end }',
            },
            workers: 2,
        });
        for (let i = 0; i < 3; i++) assert.equal((await server.post('/signed', body, sign(body))).status, 500);
        assertQuarantined(await server.post('/signed', calm, sign(calm)));
        assert.equal((await server.post('/signed', calm, sign('other'))).status, 401);
        await quarantine(server, '/judge?spin=1', 'POST'); // where the verifier itself loops it comes before it
        assertQuarantined(await server.post('/judge'));
        await sleep(10050);
        for (let i = 0; i < 5; i++) assert.equal((await server.post('/signed', calm, sign('other'))).status, 401);
        assert.equal((await server.post('/signed', calm, sign(calm))).text, 'fine');
        assert.equal((await server.post('/judge')).status, 401); // refused by the verifier: nothing is proved
        await until(async () => (await server.post('/judge')).status === 401, 'the probe given back', 2000);
    });

    test('a change ends it at once, whatever changed; strikes of the old version do not count', async (t) => {
        const server = await start(t, { hooks: { ...hooks, '_lib/x.lua': 'return 1', 'user.lua': flaky.replace('return {', 'require "_lib.x" return {') }, workers: 2 });
        await quarantine(server, '/flaky?spin=1');
        server.replace('flaky.lua', `${flaky} -- mended`);
        await until(async () => (await server.get('/flaky')).text === 'fine', 'the new version');
        await server.said((r) => r.message === 'endpoint out of quarantine' && r.because === 'its script has changed', 'its end');
        assert.equal((await spin(server)).status, 500); // one of three
        assert.equal((await server.get('/flaky')).text, 'fine');
        await quarantine(server, '/user?spin=1');
        server.replace('_lib/x.lua', 'return 2');
        await until(async () => (await server.get('/user')).text === 'fine', 'the new module');
        await sleep(300);
        server.write({ 'flaky.lua': `${flaky} -- mended` }); // the same text is no change
        for (let i = 0; i < 2; i++) assert.equal((await spin(server)).status, 500);
        assertQuarantined(await server.get('/flaky'), 5);
    });

    test('unquarantine, and the API behind it: names, tokens, origins, exit codes', async (t) => {
        const server = await start(t, { hooks: { ...hooks, 'orders/[id].lua': flaky }, workers: 1, config: 'return { admin_token = "t0ken" }' });
        const env = { CRESCENT_ADMIN: server.admin, CRESCENT_TOKEN: 't0ken' };
        await quarantine(server, '/orders/7?spin=1');
        const authorization = 'Bearer t0ken';
        const list = async () => (await request(`${server.admin}/api/v1/quarantine`, { headers: { authorization } })).json;
        const [one, ...more] = (await list()).quarantined;
        assert.deepEqual([one.endpoint, one.file, one.period, one.probing, more.length], ['orders/[id]', 'orders/[id].lua', 10, false, 0]);
        assert.ok(one.seconds > 5 && one.seconds <= 10, JSON.stringify(one));

        const told = (args, extra = env) => run(['unquarantine', ...args], { env: extra });
        assert.deepEqual(await told(['orders/[od]']), { code: 1, stdout: '', stderr: 'crescent: no endpoint "orders/[od]" (did you mean "orders/[id]"?)\n' });
        const closed = await told(['orders/[id]'], { CRESCENT_ADMIN: server.admin });
        assert.equal(closed.code, 1);
        assert.match(closed.stderr, /CRESCENT_TOKEN/);
        assert.equal((await told(['orders/[id]'], { ...env, CRESCENT_TOKEN: 'wrong' })).code, 1);
        const json = await told(['--json', 'orders/[id]']);
        assert.deepEqual([json.code, JSON.parse(json.stdout)], [0, { endpoint: 'orders/[id]', was_quarantined: true }]);
        assert.deepEqual(await told(['orders/[id]']), { code: 0, stdout: 'orders/[id] is not in quarantine\n', stderr: '' });
        assert.deepEqual((await list()).quarantined, []);
        assert.equal((await server.get('/orders/7')).text, 'fine');

        for (const [args, words] of [[[], /which endpoint/], [[''], /unquarantine: an argument is empty/], [['a', 'b'], /too many/], [['a', '--adm', 'x'], /did you mean --admin/], [['a', '--admin', 'off'], /no admin listener/],
            [['a', '--admin', 'https://127.0.0.1:1'], /plain HTTP/], [['a', '--workers', '1'], /no flag/]]) {
            const { code, stderr } = await told(args);
            assert.equal(code, 2, stderr);
            assert.match(stderr, words);
        }
        const nobody = await told(['flaky', '--admin', '127.0.0.1:1']);
        assert.equal(nobody.code, 1);
        assert.match(nobody.stderr, /cannot ask the server at 127\.0\.0\.1:1/);
        const stranger = await told(['flaky', '--admin', server.url.replace('http://', '')]);
        assert.deepEqual([stranger.code, stranger.stderr], [1, `crescent: ${server.url.replace('http://', '')} is no crescent's admin listener: it answered with status 404\n`]);
        const fast = http.createServer((req, res) => res.writeHead(req.headers.authorization ? 404 : 401, { 'content-type': 'application/json' }).end('{"detail":"Not Found"}'));
        t.after(() => fast.close());
        const port = await new Promise((done) => fast.listen(0, '127.0.0.1', () => done(fast.address().port)));
        for (const [extra, status] of [[{}, 401], [env, 404]]) {
            const { code, stderr } = await told(['flaky', '--admin', `127.0.0.1:${port}`], extra);
            assert.deepEqual([code, stderr], [1, `crescent: 127.0.0.1:${port} is no crescent's admin listener: it answered with status ${status}\n`]);
        }
        for (const token of ['t0ken\r\nHost: evil.example', 't0ken\n', '\x7f', 'a\tb']) {
            const { code, stderr } = await told(['flaky'], { ...env, CRESCENT_TOKEN: token });
            assert.equal(code, 2);
            assert.match(stderr, /^crescent unquarantine: CRESCENT_TOKEN: it holds a control character/);
            assert.doesNotMatch(stderr, /t0ken/);
        }

        const order = (options) => request(`${server.admin}/api/v1/scripts/flaky/unquarantine`, { method: 'POST', headers: { authorization }, ...options });
        assert.equal((await order()).status, 200);
        assert.equal((await order({ headers: {} })).status, 401);
        assert.equal((await order({ method: 'GET' })).status, 405);
        assert.equal((await order({ headers: { authorization, origin: 'https://evil.example' } })).status, 403);
        assert.equal((await order({ headers: { authorization, origin: 'null' } })).status, 403);
        assert.equal((await order({ headers: { authorization, origin: server.admin } })).status, 200);
        assert.equal((await order({ headers: { authorization, host: 'evil.example' } })).status, 403);
        assert.equal((await request(`${server.admin}/api/v1/scripts//unquarantine`, { method: 'POST', headers: { authorization } })).status, 404);
        assert.equal((await run(['help', 'unquarantine'])).code, 0);
    });

    test('a unix socket for the admin listener', async (t) => {
        const server = await start(t, { hooks, workers: 1, admin: 'unix:admin.sock' });
        const { code, stdout, stderr } = await run(['unquarantine', 'hello', '--admin', `unix:${server.dir}/admin.sock`]);
        assert.deepEqual([code, stdout, stderr], [0, 'hello is not in quarantine\n', '']);
    });
});

// By themselves: these want most of a processor.
test('kills by the watchdog count as well', async (t) => {
    const pattern = 'return { methods = { "GET" }, max_run = "30ms", handle = function() return (("a"):rep(3e4)):find(".-.-.-.-b") end }';
    const server = await start(t, { hooks: { ...hooks, 'pattern.lua': pattern }, workers: 2 });
    for (let i = 0; i < 3; i++) await assert.rejects(server.get('/pattern'), /ECONNRESET|socket hang up/);
    await server.said((r) => r.message === 'endpoint quarantined' && r.endpoint === 'pattern' && r.process === 'supervisor', 'its begin');
    assertQuarantined(await server.get('/pattern'), 5);
});

test('a stretch of seconds on a busy machine is interrupted in its process, by its CPU time', async (t) => {
    const server = await start(t, { hooks: { ...hooks, 'long.lua': flaky.replace('30ms', '6s') }, workers: 1 });
    const [worker] = server.children('worker');
    let stopped = false;
    const half = setInterval(() => process.kill(worker, (stopped = !stopped) ? 'SIGSTOP' : 'SIGCONT'), 50);
    try {
        assertProblem(await request(`${server.url}/long?spin=1`, { limit: ms(60000) }), 500);
    } finally {
        clearInterval(half);
        process.kill(worker, 'SIGCONT');
    }
    assert.deepEqual(server.children('worker'), [worker]);
});
