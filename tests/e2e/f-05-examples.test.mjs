import { sign } from '@octokit/webhooks-methods';
import examples from './payloads.mjs';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import Stripe from 'stripe';
import { assertProblem, folder, repository, start, tool } from './helper.mjs';
import { eventSource, open1 } from './streams.mjs';

const env = { GITHUB_WEBHOOK_SECRET: 'gh-secret', STRIPE_WEBHOOK_SECRET: 'whsec_test', DEMO_API_KEY: 'demo-key' };
const setup = (t) => start(t, { hooks: path.join(repository, 'examples/hooks'), env });

test('github: what a push would deploy', async (t) => {
    const server = await setup(t);
    const send = async (event, payload) => {
        const body = JSON.stringify(payload);
        return server.post('/github', body, { 'x-github-event': event, 'x-hub-signature-256': await sign(env.GITHUB_WEBHOOK_SECRET, body) });
    };
    const [tag] = examples.find((e) => e.name === 'push').examples;
    const push = { ...tag, ref: 'refs/heads/main' };
    assert.deepEqual((await send('push', push)).json, { deploy: true, repository: push.repository.full_name, branch: 'main', commit: push.after, pusher: push.pusher.name });
    assert.equal((await send('push', tag)).json.deploy, false);
    assert.ok([200, 202, 204].includes((await send('ping', { zen: 'x' })).status));
    assertProblem(await server.post('/github', '{}', { 'x-github-event': 'push', 'x-hub-signature-256': `sha256=${'0'.repeat(64)}` }), 401);
});

test('stripe: the order\'s new state', async (t) => {
    const server = await setup(t);
    const stripe = new Stripe('sk_test_none');
    const send = (event) => {
        const payload = JSON.stringify(event);
        return server.post('/billing/stripe', payload, { 'stripe-signature': stripe.webhooks.generateTestHeaderString({ payload, secret: env.STRIPE_WEBHOOK_SECRET }) });
    };
    const event = { id: 'evt_1', type: 'payment_intent.succeeded', data: { object: { amount: 1999, currency: 'eur', metadata: { order_id: '1001' } } } };
    assert.deepEqual((await send(event)).json, { order: '1001', state: 'paid', amount: 1999, currency: 'eur', event: 'evt_1' });
    assertProblem(await send({ ...event, data: { object: {} } }), 422, /order_id/);
});

test('form, transform, orders, hello', async (t) => {
    const server = await setup(t);
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const sent = await server.post('/form', 'name=Ada&email=ada%40example.com&message=Hello', form);
    assert.deepEqual([sent.status, sent.json], [201, { thanks: 'Ada', characters: 5 }]);
    assert.equal(assertProblem(await server.post('/form', 'name=Ada', form), 422).problems.length, 2);
    const order = await server.post('/transform', '{"order":{"id":9007199254740993,"lines":[{"sku":"A1","quantity":2,"price":250}]}}');
    assert.match(order.text, /"reference":9007199254740993/);
    assert.deepEqual(order.json.picks, [{ article: 'A1', pieces: 2 }]);
    assertProblem(await server.post('/transform', '{"order":'), 400, /\d/);
    const key = { 'x-api-key': env.DEMO_API_KEY };
    assert.equal((await server.get('/orders/1001', key)).json.quantity, 1);
    assert.equal((await server.post('/orders/1002', '{"quantity":3}', key)).json.changed_by, 'demo');
    assertProblem(await server.get('/orders/9', key), 404);
    assertProblem(await server.get('/orders/1001', {}), 401);
    assert.equal((await server.get('/hello?name=Ada')).text, 'Hello, Ada!\n');
});

test('upload, download', async (t) => {
    const dir = folder(t), files = path.join(dir, 'files');
    const server = await start(t, { dir, hooks: path.join(repository, 'examples/hooks'), env, config: 'return { files = "files" }' });
    const authorization = `Basic ${Buffer.from(`demo:${env.DEMO_API_KEY}`).toString('base64')}`;
    const report = Buffer.from('%PDF-1.7 and so on');
    const upload = async (parts, headers = { authorization }) => {
        const form = new FormData();
        for (const [name, filename, type = 'application/pdf'] of parts) form.append(name, new Blob([report], { type }), filename);
        const res = await fetch(`${server.url}/upload`, { method: 'POST', headers, body: form });
        const text = await res.text();
        return { status: res.status, headers: Object.fromEntries(res.headers), text, json: text.startsWith('{') ? JSON.parse(text) : undefined };
    };
    const sent = await upload([['file', '../a %\u00e9 report.pdf']]);
    assert.deepEqual([sent.status, sent.headers.location, sent.json], [201, '/download/a%20%25%C3%A9%20report.pdf', { saved: 'a %\u00e9 report.pdf', bytes: report.length }]);
    assert.deepEqual(fs.readdirSync(path.join(files, 'uploads')), ['a %\u00e9 report.pdf']);
    assertProblem(await upload([['file', 'a %\u00e9 report.pdf']]), 409);
    for (const parts of [[], [['other', 'b.pdf']], [['file', 'b.pdf'], ['file', 'c.pdf']], [['file', '..']]]) assertProblem(await upload(parts), 422);
    assertProblem(await server.post('/upload', report, { authorization }), 415);
    assertProblem(await upload([['file', 'b.pdf']], {}), 401);
    assert.equal(fs.readdirSync(path.join(files, 'uploads')).length, 1);
    const got = await server.get(sent.headers.location);
    assert.deepEqual([got.status, got.body.equals(report), got.headers['content-type']], [200, true, 'application/pdf']);
    assert.equal(got.headers['content-disposition'], 'attachment');
    assert.equal((await server.get(sent.headers.location, { 'if-none-match': got.headers.etag })).status, 304);
    for (const none of ['none.pdf', '%0a', '%ff', 'x'.repeat(1100), '..%2f..%2fcrescent.lua']) assertProblem(await server.get(`/download/${none}`), 404);
    assert.deepEqual(JSON.parse(await tool('curl', ['-sS', '-u', `demo:${env.DEMO_API_KEY}`, '-F', `file=@${path.join(repository, 'LICENSE')}`, `${server.url}/upload`])).saved, 'LICENSE');
});

test('ticker: events of a live stream, and on with the next after the one last seen', async (t) => {
    const server = await start(t, { hooks: path.join(repository, 'examples/hooks'), env });
    const seen = async (last) => {
        const s = await open1(`${server.url}/ticker?symbols=ADA,BOB&count=2`, { headers: last === undefined ? {} : { 'last-event-id': last } });
        assert.equal(await s.ended(), 'clean');
        const { events, retry } = eventSource(s.text);
        assert.equal(retry, 2000);
        assert.ok(events.every((e) => e.type === 'price' && JSON.parse(e.data).price > 0));
        return events.map((e) => [e.id, JSON.parse(e.data).symbol]);
    };
    assert.deepEqual(await seen('7.1'), [['7.2', 'BOB'], ['8.1', 'ADA'], ['8.2', 'BOB']], 'a client that left between two prices of a tick');
    assert.deepEqual((await seen('7.2'))[0], ['8.1', 'ADA']);
    for (const nothing of [undefined, 'nan', 'inf', '-1.1', '1e9.1', '99999999999.1', 'x']) assert.deepEqual((await seen(nothing))[0], ['1.1', 'ADA']);
    for (const [symbols, words] of [['ada', /"ada"/], ['ADA,X1', /"X1"/], ['', /""/], ['%0a', /there is no/]]) assertProblem(await server.get(`/ticker?symbols=${symbols}&count=1`), 422, words);
    assert.equal((await server.post('/ticker')).status, 405);
});

/** An upstream that answers with what answer(request, body) says; its URL, and the requests it got. */
async function upstream(t, answer) {
    const got = [];
    const server = http.createServer((request, response) => {
        const pieces = [];
        request.on('data', (piece) => pieces.push(piece)).on('end', () => {
            const body = Buffer.concat(pieces).toString();
            got.push({ method: request.method, url: request.url, headers: request.headers, body });
            const { status = 200, text = '' } = answer(request, body);
            response.writeHead(status).end(text);
        });
    });
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    const stop = () => new Promise((done) => {
        server.close(done);
        server.closeAllConnections();
    });
    t.after(stop);
    return { url: `http://127.0.0.1:${server.address().port}`, got, stop };
}

test('fanout: both have it, signed for one of them; or the sender hears that one has not', async (t) => {
    const secret = `whsec_${Buffer.from('a secret for the ledger').toString('base64')}`;
    let ledgerSays = 200;
    const warehouse = await upstream(t, () => ({ status: 202 })), ledger = await upstream(t, () => ({ status: ledgerSays }));
    const server = await start(t, { hooks: path.join(repository, 'examples/hooks'), env: { ...env, WAREHOUSE_URL: warehouse.url, LEDGER_URL: ledger.url, LEDGER_SECRET: secret } });
    const order = { order: '1001', total: 4200 };
    assert.deepEqual((await server.post('/fanout', JSON.stringify(order))).json, { warehouse: 202, ledger: 200 });
    assert.deepEqual(JSON.parse(warehouse.got[0].body), order);
    assert.deepEqual(new Webhook(secret).verify(ledger.got[0].body, ledger.got[0].headers), order);
    ledgerSays = 500;
    assertProblem(await server.post('/fanout', JSON.stringify(order)), 502, /the ledger/);
    assertProblem(await (await setup(t)).post('/fanout', JSON.stringify(order)), 503, /not set up/);
});

test('deploy: a push to main is pulled', async (t) => {
    const dir = folder(t), origin = path.join(dir, 'origin'), clone = path.join(dir, 'clone');
    const git = async (...args) => (await tool('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args])).trim();
    await git('init', '-q', '-b', 'main', origin);
    await git('-C', origin, 'commit', '-q', '--allow-empty', '-m', 'one');
    await git('clone', '-q', origin, clone);
    await git('-C', origin, 'commit', '-q', '--allow-empty', '-m', 'two');
    const server = await start(t, { hooks: path.join(repository, 'examples/hooks'), env: { ...env, DEPLOY_FOLDER: clone }, config: 'return { exec = { "git" } }' });
    const push = async (ref) => {
        const body = JSON.stringify({ ref });
        return server.post('/deploy', body, { 'x-github-event': 'push', 'x-hub-signature-256': await sign(env.GITHUB_WEBHOOK_SECRET, body) });
    };
    assert.equal((await push('refs/heads/other')).json.deployed, false);
    const head = await git('-C', origin, 'rev-parse', 'HEAD');
    assert.deepEqual((await push('refs/heads/main')).json, { deployed: true, commit: head });
    assert.equal(await git('-C', clone, 'rev-parse', 'HEAD'), head);
    fs.rmSync(origin, { recursive: true });
    assertProblem(await push('refs/heads/main'), 502, /could not pull/);
    // The folder that the server stands in is a repository, too: without a name of another one it is left alone.
    for (const set of [{}, { DEPLOY_FOLDER: '' }]) {
        const unset = await start(t, { dir: clone, hooks: path.join(repository, 'examples/hooks'), env: { ...env, ...set }, config: 'return { exec = { "git" } }' });
        const body = JSON.stringify({ ref: 'refs/heads/main' });
        assertProblem(await unset.post('/deploy', body, { 'x-github-event': 'push', 'x-hub-signature-256': await sign(env.GITHUB_WEBHOOK_SECRET, body) }), 503, /DEPLOY_FOLDER is not set/);
        await unset.stop(); // it has the store
    }
});

test('counter: counts over all workers, and after a restart', async (t) => {
    const dir = folder(t), options = { dir, hooks: path.join(repository, 'examples/hooks'), env, workers: 2 };
    const first = await start(t, options);
    await Promise.all(Array.from({ length: 40 }, () => first.post('/counter?page=/welcome', '')));
    assert.deepEqual((await first.post('/counter?page=/about', '')).json, { page: '/about', views: 1 });
    for (const page of ['', '?page=', '?page=%ff', '?page=/a%00', '?page=nowhere', `?page=/${'x'.repeat(200)}`]) assertProblem(await first.post(`/counter${page}`, ''), 422);
    await first.stop();
    const second = await start(t, options);
    assert.deepEqual((await second.get('/counter')).json, { '/about': 1, '/welcome': 40 });
});

test('gateway: either upstream may go', async (t) => {
    const answer = (name) => () => ({ text: name });
    const one = await upstream(t, answer('one')), two = await upstream(t, answer('two'));
    const server = await start(t, { hooks: path.join(repository, 'examples/hooks'), env: { ...env, GATEWAY_UPSTREAMS: `${one.url} ${two.url}` } });
    const asked = await Promise.all(Array.from({ length: 20 }, () => server.get('/gateway/orders/7?full=1', { cookie: 'session=1' })));
    assert.deepEqual([...new Set(asked.map((r) => r.text))].sort(), ['one', 'two']);
    assert.equal(asked[0].headers['x-served-by'], 'crescent');
    assert.deepEqual([one.got[0].url, one.got[0].headers.cookie], ['/orders/7?full=1', undefined]);
    await one.stop();
    const rest = await Promise.all(Array.from({ length: 20 }, () => server.get('/gateway/orders/7')));
    assert.deepEqual([...new Set(rest.map((r) => `${r.status} ${r.text}`))], ['200 two']);
    await two.stop();
    assertProblem(await server.get('/gateway/orders/7'), 502);
});
