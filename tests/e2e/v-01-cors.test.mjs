// Cross-origin requests. The other side is jsdom, which sends preflights and keeps answers from pages as a browser
// does; and plain requests, for what no browser would send.
import { JSDOM, VirtualConsole } from 'jsdom';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { assertProblem, certificate, folder, raw, request, request2, run, session, start, until, write } from './helper.mjs';

const APP = 'https://app.example.com', EVIL = 'https://evil.example';

/** A page of that origin: xhr(method, url, {headers, body, credentials}) gives what its script may see. */
function page(t, origin) {
    const quiet = new VirtualConsole(); // what it keeps from the page it says there
    const { window } = new JSDOM('', { url: `${origin}/`, virtualConsole: quiet });
    t.after(() => window.close());
    const xhr = (method, url, { headers = {}, body, credentials = false } = {}) => new Promise((done) => {
        const x = new window.XMLHttpRequest();
        x.open(method, url);
        x.withCredentials = credentials;
        for (const [name, value] of Object.entries(headers)) x.setRequestHeader(name, value);
        x.onload = () => done({ status: x.status, text: x.responseText, exposed: (name) => x.getResponseHeader(name) });
        x.onerror = () => done('kept from the page');
        x.send(body);
    });
    return { window, xhr };
}

/** Starts a server with these hooks, on one worker; `ran` counts what scripts say they did. */
const setup = (t, hooks, options) => start(t, { hooks, workers: 1, ...options });
const COUNTED = 'local n = 0; local function count() n = n + 1 return n end\n';

test('pages of the listed origins read answers, other pages nothing; and their requests reach no script', async (t) => {
    const server = await setup(t, {
        'a.lua': `${COUNTED}return { methods = { "GET", "POST" }, cors = { "${APP}", "https://*.trusted.example:8443", "http://localhost:3000" },
            handle = function(req) count() return { n = n } end }`,
    });
    for (const origin of [APP, 'https://x.trusted.example:8443', 'https://a.b.trusted.example:8443', 'http://localhost:3000']) {
        const reply = await page(t, origin).xhr('GET', `${server.url}/a`);
        assert.equal(reply.status, 200, origin);
        assert.equal((await page(t, origin).xhr('POST', `${server.url}/a`, { body: 'x' })).status, 200, origin);
    }
    const before = (await server.get('/a')).json.n;
    assert.equal(before, 9);
    for (const origin of [EVIL, 'http://app.example.com', `${APP}:8443`, 'https://trusted.example:8443', 'https://eviltrusted.example:8443',
        'https://x.trusted.example', 'http://localhost:3001', 'https://app.example.com.evil.example']) {
        assert.equal(await page(t, origin).xhr('GET', `${server.url}/a`), 'kept from the page', origin);
        assert.equal(await page(t, origin).xhr('POST', `${server.url}/a`, { body: 'x' }), 'kept from the page', origin);
        assert.equal(await page(t, origin).xhr('POST', `${server.url}/a`, { body: '{}', headers: { 'content-type': 'application/json' } }), 'kept from the page', origin);
    }
    assert.equal((await server.get('/a')).json.n, before + 1, 'a script ran for an origin that is not allowed');
    assert.equal(await server.metric('crescent_refused_total', 'reason="origin_not_allowed"'), 24);
    await server.said((r) => r.message === 'request refused' && r.reason === 'origin_not_allowed' && r.status === 403);
});

test('a preflight is answered before the method step, and says what may follow', async (t) => {
    const server = await setup(t, {
        'open.lua': `return { cors = "${APP}", handle = { PUT = function(req) return req.headers["x-key"] end, GET = function() return "get" end } }`,
        'narrow.lua': `return { cors = { origins = { "${APP}" }, headers = { "content-type", "X-Key" }, max_age = "10m" }, methods = { "POST", "OPTIONS" },
            handle = function(req) return req.method end }`,
    });
    const app = page(t, APP);
    assert.equal((await app.xhr('PUT', `${server.url}/open`, { headers: { 'x-key': 'k1', 'content-type': 'application/json' }, body: '{}' })).text, 'k1');
    assert.equal((await app.xhr('POST', `${server.url}/narrow`, { headers: { 'x-key': 'k1' } })).text, 'POST');
    assert.equal(await app.xhr('POST', `${server.url}/narrow`, { headers: { 'x-other': 'k1' } }), 'kept from the page');

    const ask = (target, headers) => server.request(target, { method: 'OPTIONS', headers });
    let reply = await ask('/open', { origin: APP, 'access-control-request-method': 'PUT', 'access-control-request-headers': 'content-type,x-key' });
    assert.equal(reply.status, 204);
    assert.equal(reply.text, '');
    assert.equal(reply.headers['access-control-allow-origin'], APP);
    assert.equal(reply.headers['access-control-allow-methods'], 'GET, PUT, HEAD, OPTIONS');
    assert.equal(reply.headers['access-control-allow-headers'], 'content-type, x-key');
    assert.equal(reply.headers['access-control-max-age'], undefined);
    assert.equal(reply.headers['access-control-allow-credentials'], undefined);
    assert.deepEqual(reply.headers.vary.split(', ').sort(), ['Access-Control-Request-Headers', 'Access-Control-Request-Method', 'Origin']);
    // The script has OPTIONS among its methods: a preflight is none of those.
    reply = await ask('/narrow', { origin: APP, 'access-control-request-method': 'POST' });
    assert.equal(reply.status, 204);
    assert.equal(reply.headers['access-control-allow-headers'], 'content-type, X-Key');
    assert.equal(reply.headers['access-control-max-age'], '600');
    assert.equal((await ask('/narrow', { origin: APP })).text, 'OPTIONS');
    assert.equal((await ask('/narrow', {})).text, 'OPTIONS');
    reply = await ask('/open', {});
    assert.equal(reply.status, 204);
    assert.equal(reply.headers.allow, 'GET, PUT, HEAD, OPTIONS');
    assert.equal(reply.headers['access-control-allow-methods'], undefined);
    // Refused ones say nothing of what is allowed, and to whom.
    reply = await ask('/open', { origin: EVIL, 'access-control-request-method': 'PUT' });
    assertProblem(reply, 403, /origin/);
    assert.deepEqual(Object.keys(reply.headers).filter((name) => name.startsWith('access-control')), []);
    assert.equal(reply.headers.vary, 'Origin');
    assertProblem(await ask('/open', { origin: APP, 'access-control-request-method': 'PUT', 'access-control-request-headers': 'a b' }), 400, /header names/);
});

test('cookies come along where the endpoint says so', async (t) => {
    const hook = (credentials) => `return { methods = { "GET", "PUT" }, cors = { origins = { "${APP}" }${credentials} }, handle = function(req)
        return 200, req.cookies.who or "nobody", { ["set-cookie"] = "who=alice; Path=/" } end }`;
    const server = await setup(t, { 'with.lua': hook(', credentials = true'), 'without.lua': hook('') });
    const app = page(t, APP);
    assert.equal((await app.xhr('GET', `${server.url}/with`, { credentials: true })).text, 'nobody');
    assert.equal((await app.xhr('GET', `${server.url}/with`, { credentials: true })).text, 'alice');
    assert.equal((await app.xhr('PUT', `${server.url}/with`, { credentials: true })).text, 'alice');
    assert.equal((await app.xhr('GET', `${server.url}/with`)).text, 'nobody');
    assert.equal(await app.xhr('GET', `${server.url}/without`, { credentials: true }), 'kept from the page');
    assert.equal(await app.xhr('PUT', `${server.url}/without`, { credentials: true }), 'kept from the page');
    assert.equal((await app.xhr('GET', `${server.url}/without`)).status, 200);
    const bare = await server.get('/with', { origin: APP, cookie: 'who=alice' });
    assert.equal(bare.text, 'alice');
    assert.equal(bare.headers['access-control-allow-credentials'], 'true');
    assert.equal((await server.get('/with')).headers['access-control-allow-credentials'], undefined);
});

test('"*" is everybody, without credentials', async (t) => {
    const server = await setup(t, { 'a.lua': 'return { methods = { "GET", "PUT" }, cors = "*", handle = function() return "all" end }' });
    for (const origin of [APP, EVIL, 'http://localhost:3000']) {
        const any = page(t, origin);
        assert.equal((await any.xhr('GET', `${server.url}/a`)).text, 'all');
        assert.equal((await any.xhr('PUT', `${server.url}/a`, { headers: { 'x-a': '1' } })).text, 'all');
        assert.equal(await any.xhr('GET', `${server.url}/a`, { credentials: true }), 'kept from the page');
    }
    for (const headers of [{}, { origin: 'null' }, { origin: EVIL }, { origin: 'nonsense' }]) {
        const reply = await server.get('/a', headers);
        assert.equal(reply.headers['access-control-allow-origin'], '*');
        assert.equal(reply.headers.vary, undefined);
    }
});

test('the origin null is allowed where it is listed', async (t) => {
    const server = await setup(t, {
        'with.lua': `return { methods = { "GET" }, cors = { "${APP}", "null" }, handle = function() return "x" end }`,
        'without.lua': `return { methods = { "GET" }, cors = { "${APP}" }, handle = function() return "x" end }`,
    });
    const reply = await server.get('/with', { origin: 'null' });
    assert.equal(reply.status, 200);
    assert.equal(reply.headers['access-control-allow-origin'], 'null');
    assertProblem(await server.get('/without', { origin: 'null' }), 403);
});

test('errors, streams, files and proxied answers can be read by pages, too', async (t) => {
    const dir = folder(t);
    fs.mkdirSync(path.join(dir, 'files'));
    write(path.join(dir, 'files'), { 'x.txt': 'from a file' });
    const upstream = http.createServer((req, res) => {
        res.setHeader('access-control-allow-origin', req.url.startsWith('/wild') ? '*' : EVIL);
        res.setHeader('access-control-allow-credentials', 'true');
        res.setHeader('access-control-expose-headers', 'x-up');
        res.setHeader('x-up', 'seen');
        res.setHeader('vary', 'accept');
        if (req.url.includes('/long')) res.write('a');
        res.end('from an upstream');
    });
    await new Promise((done) => upstream.listen(0, '127.0.0.1', done));
    t.after(() => upstream.close());
    const up = `http://127.0.0.1:${upstream.address().port}`;
    const cors = `cors = { "${APP}" }`;
    const server = await setup(t, {
        'a.lua': `return { ${cors}, max_body = 10, timeout = "300ms", methods = { "GET", "POST" }, handle = function(req)
            local what = req.query.what
            if what == "raise" then error("boom") end
            if what == "problem" then error { status = 422, detail = "no good" } end
            if what == "sleep" then sleep(30) end
            if what == "bad" then return false end
            if what == "stream" then return reply.stream(function(write) write("a") write("b") end) end
            if what == "sse" then return reply.sse(function(send) send "one" end) end
            if what == "file" then return reply.file("x.txt") end
            if what == "nofile" then return reply.file("y.txt") end
            if what == "proxy" then return reply.proxy("${up}/wild") end
            if what == "proxylong" then return reply.proxy("${up}/x/long") end
            if what == "noproxy" then return reply.proxy("http://127.0.0.1:1/") end
            return what or "fine" end }`,
        'locked.lua': `return { ${cors}, verify = verify.bearer { tokens = { a = "0123456789abcdef" } }, handle = function() return "in" end }`,
    }, { dir });
    const app = page(t, APP);
    const get = (what) => app.xhr('GET', `${server.url}/a?what=${what}`);
    assert.equal((await get('raise')).status, 500);
    assert.equal((await get('problem')).status, 422);
    assert.equal((await get('sleep')).status, 504);
    assert.equal((await get('bad')).status, 500);
    assert.equal((await get('stream')).text, 'ab');
    assert.match((await get('sse')).text, /^data: ?one\n\n/);
    assert.equal((await get('file')).text, 'from a file');
    assert.equal((await get('nofile')).status, 404);
    assert.equal((await get('noproxy')).status, 502);
    const proxied = await get('proxy');
    assert.equal(proxied.text, 'from an upstream');
    assert.equal(proxied.exposed('x-up'), 'seen');
    assert.equal((await get('proxylong')).text, 'afrom an upstream');
    assert.equal((await app.xhr('POST', `${server.url}/a`, { body: 'x'.repeat(11) })).status, 413);
    assert.equal((await app.xhr('POST', `${server.url}/locked`)).status, 401);
    assert.equal((await app.xhr('POST', `${server.url}/locked`, { headers: { authorization: 'Bearer 0123456789abcdef' } })).text, 'in');
    assert.equal((await request(`${server.url}/locked`, { method: 'PUT', headers: { origin: APP } })).headers['access-control-allow-origin'], APP); // 405

    // One set of headers, ours: never the upstream's beside it.
    const reply = await server.get('/a?what=proxy', { origin: APP });
    const names = reply.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
    assert.equal(names.filter((name) => name === 'access-control-allow-origin').length, 1);
    assert.equal(reply.headers['access-control-allow-origin'], APP);
    assert.equal(reply.headers['access-control-allow-credentials'], undefined);
    assert.equal(reply.headers.vary, 'accept, Origin');
    for (const what of ['', '?what=raise', '?what=stream', '?what=file', '?what=proxy', '?what=proxylong', '?what=noproxy', '?what=sleep']) {
        const alone = await server.get(`/a${what}`);
        assert.match(alone.headers.vary, /Origin$/, what);
        assert.equal(alone.headers['access-control-allow-origin'], undefined, what);
    }
});

test('a script cannot decide what its cors decides, and keeps the rest', async (t) => {
    const dir = folder(t);
    fs.mkdirSync(path.join(dir, 'files'));
    write(path.join(dir, 'files'), { 'x.txt': 'x' });
    const server = await setup(t, {
        'a.lua': `return { cors = "${APP}", methods = { "GET" }, handle = function(req)
            local h = { [req.query.name] = "*" }
            if req.query.how == "stream" then return reply.stream(function(write) write("x") end, { headers = h }) end
            if req.query.how == "file" then return reply.file("x.txt", { headers = h }) end
            if req.query.how == "proxy" then return reply.proxy("http://127.0.0.1:1/", { response_headers = h }) end
            return 200, "x", h end }`,
        'free.lua': 'return { methods = { "GET" }, handle = function(req) return 200, "x", { ["Access-Control-Allow-Origin"] = "*" } end }',
    }, { dir });
    for (const how of ['', 'stream', 'file', 'proxy']) {
        for (const name of ['Access-Control-Allow-Origin', 'access-control-allow-credentials', 'access-control-max-age']) {
            const reply = await server.get(`/a?how=${how}&name=${name}`, { origin: APP });
            assertProblem(reply, 500);
            assert.equal(reply.headers['access-control-allow-origin'], APP);
        }
    }
    await server.said((r) => /header access-control-allow-origin: the endpoint declares cors, which decides about it/.test(r.error ?? ''));
    const exposed = await server.get('/a?name=access-control-expose-headers', { origin: APP });
    assert.equal(exposed.status, 200);
    assert.equal(exposed.headers['access-control-expose-headers'], '*');
    assert.equal((await server.get('/free', { origin: EVIL })).headers['access-control-allow-origin'], '*');
    // As many headers as a script may have leave room.
    server.replace('a.lua', `local h = {} for i = 1, 127 do h["x-" .. i] = "1" end
        return { cors = { origins = "${APP}", credentials = true }, methods = { "GET" }, handle = function() return 200, "many", h end }`);
    const many = await until(async () => {
        const reply = await server.get('/a', { origin: APP, traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' });
        return reply.text === 'many' && reply;
    }, 'the new version');
    assert.equal(many.headers['access-control-allow-origin'], APP);
    assert.equal(many.headers['access-control-allow-credentials'], 'true');
    assert.match(many.headers.traceresponse, /^00-0af7651916cd43dd8448eb211c80319c-/);
});

test('a page that the endpoint itself serves may use it', async (t) => {
    const dir = folder(t), tls = await certificate(dir);
    const server = await setup(t, { 'a.lua': `return { cors = "${APP}", methods = { "GET", "POST" }, handle = function() return "x" end }` },
        { dir, listen: ['http://127.0.0.1:0', 'https://127.0.0.1:0'], args: tls.args });
    const [plain, secure] = server.urls;
    const post = (url, headers) => request(url + '/a', { method: 'POST', headers, body: '', rejectUnauthorized: false });
    const reply = await post(plain, { origin: plain });
    assert.equal(reply.status, 200);
    assert.equal(reply.headers['access-control-allow-origin'], undefined);
    assert.equal((await post(secure, { origin: secure })).status, 200);
    assert.equal((await post(secure, { origin: 'https://hooks.example', host: 'hooks.example' })).status, 200);
    assert.equal((await post(secure, { origin: 'http://hooks.example', host: 'hooks.example' })).status, 403);
    assert.equal((await post(plain, { origin: 'https://hooks.example', host: 'hooks.example' })).status, 403);
    assert.equal((await post(plain, { origin: plain, host: 'hooks.example' })).status, 403);
});

test('the own origin is what a trusted proxy says, or public_url; an address that is not allowed is a 403 that can be read', async (t) => {
    const hooks = { 'a.lua': `return { cors = "${APP}", handle = function() return "x" end }`,
        'b.lua': `return { cors = "${APP}", allow_ips = { "192.0.2.1" }, handle = function() return "x" end }` };
    const behind = await setup(t, hooks, { config: 'return { trusted_proxies = { "127.0.0.1" } }' });
    const named = await setup(t, hooks, { config: 'return { public_url = "https://hooks.example:8443/base" }' });
    const bare = await setup(t, hooks);
    const forwarded = { 'x-forwarded-for': '192.0.2.1', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'hooks.example:8443' };
    const origin = 'https://hooks.example:8443';
    assert.equal((await behind.post('/a', '', { ...forwarded, origin })).status, 200);
    assert.equal((await behind.post('/a', '', { ...forwarded, origin: 'https://hooks.example' })).status, 403);
    assert.equal((await behind.post('/a', '', { origin })).status, 403);
    assert.equal((await bare.post('/a', '', { ...forwarded, origin })).status, 403);
    assert.equal((await named.post('/a', '', { origin })).status, 200);
    assert.equal((await named.post('/a', '', { origin: 'https://hooks.example' })).status, 403);
    // a name that was made to lead here is not the one that is published, nor is the address
    assert.equal((await named.post('/a', '', { origin: 'http://evil.example', host: 'evil.example' })).status, 403);
    assert.equal((await named.post('/a', '', { origin: named.url })).status, 403);
    assert.equal((await named.post('/a', '', { origin, host: 'evil.example' })).status, 200);
    const reply = await bare.post('/b', '', { origin: APP });
    assert.equal(reply.status, 403);
    assert.equal(reply.headers['access-control-allow-origin'], APP);
    assert.equal(await bare.metric('crescent_refused_total', 'reason="address_not_allowed"'), 1);
});

test('what is refused before its route is looked up can be read by pages of the endpoint, too', async (t) => {
    const cors = `cors = { origins = { "${APP}" }, credentials = true }`;
    const server = await setup(t, {
        'a.lua': `${COUNTED}return { ${cors}, rate_limit = "2/d", methods = { "GET", "POST" }, handle = function() return { n = count() } end }`,
        'open.lua': 'return { cors = "*", methods = { "GET" }, handle = function() return "x" end }',
        'plain.lua': 'return { methods = { "GET" }, handle = function() return "x" end }',
        'in/[id].lua': `return { ${cors}, methods = { "GET" }, handle = function() return "x" end }`,
        'shut.lua': `return { ${cors}, allow_ips = "192.0.2.1", methods = { "GET" }, handle = function() return "x" end }`,
    }, { config: 'return { limits = { uri = "1KiB", headers = "2KiB", connection_rate = 3 } }' });
    const long = `?${'q'.repeat(1100)}`, large = { 'x-large': 'v'.repeat(2100) }, app = page(t, APP), evil = page(t, EVIL);
    assert.equal((await app.xhr('GET', `${server.url}/a${long}`)).status, 414);
    assert.equal((await app.xhr('GET', `${server.url}/in/7${long}`, { credentials: true })).status, 414);
    assert.equal((await app.xhr('GET', `${server.url}/a`, { headers: large })).status, 431);
    assert.equal((await app.xhr('GET', `${server.url}/open${long}`)).status, 414);
    assert.equal((await evil.xhr('GET', `${server.url}/open${long}`)).status, 414);
    for (const target of ['/a', '/plain', '/none', '/in/7/8']) assert.equal(await evil.xhr('GET', `${server.url}${target}${long}`), 'kept from the page', target);
    for (const target of ['/plain', '/none']) assert.equal(await app.xhr('GET', `${server.url}${target}${long}`), 'kept from the page', target);

    const told = ({ headers }) => [headers['access-control-allow-origin'], headers['access-control-allow-credentials'], headers.vary];
    const nothing = [undefined, undefined, undefined], varies = [undefined, undefined, 'Origin'], all = [APP, 'true', 'Origin'];
    for (const [target, origin, expected] of [['/a', APP, all], ['/in/7', APP, all], ['/shut', APP, all], ['/a', EVIL, varies], ['/a', server.url, varies], ['/a', undefined, varies],
        ['/plain', APP, nothing], ['/none', APP, nothing], ['/open', EVIL, ['*', undefined, undefined]]]) {
        const headers = origin === undefined ? {} : { origin };
        for (const [reply, status] of [[await server.get(`${target}${long}`, headers), 414], [await server.get(target, { ...headers, ...large }), 431]]) {
            assertProblem(reply, status);
            assert.deepEqual(told(reply), expected, `${status} ${target} ${origin}`);
            assert.equal(reply.headers.ratelimit, undefined);
        }
    }
    // the fourth of one connection comes too fast
    const four = async (target, origin) => {
        const { text } = await raw(server.port, `GET ${target} HTTP/1.1\r\nHost: h\r\nOrigin: ${origin}\r\n\r\n`.repeat(4),
            { enough: (so) => /429 [^]*\r\n\r\n\{[^]*\}$/.test(so) });
        const last = text.slice(text.lastIndexOf('HTTP/1.1 '));
        assert.match(last, /^HTTP\/1\.1 429 [^]*\r\nretry-after: 1\r\n/i);
        return last;
    };
    const fast = await four('/in/7', APP);
    assert.match(fast, new RegExp(`\r\naccess-control-allow-origin: ${APP}\r\n`, 'i'));
    assert.match(fast, /\r\naccess-control-allow-credentials: true\r\n/i);
    assert.match(fast, /\r\nvary: Origin\r\n/i);
    assert.doesNotMatch(await four('/in/7', EVIL), /access-control|evil/i);
    assert.doesNotMatch(await four('/plain', APP), /access-control|vary/i);
    const client = await session(t, server.url), replies = [];
    for (let i = 0; i < 4; i++) replies.push(await request2(client, '/in/7', { headers: { origin: APP } }));
    assert.deepEqual(replies.map((r) => r.status), [200, 200, 200, 429]);
    assert.deepEqual(told(replies[3]), all);
    for (const target of ['/in/7', '/open'])
        for (const [to, headers, status] of [[`${target}${long}`, {}, 414], [target, large, 431]]) {
            const gone = await request2(await session(t, server.url), to, { headers: { origin: APP, ...headers } });
            assert.equal(gone.status, status);
            assert.deepEqual(told(gone), nothing, to);
        }

    // what cannot be read has no place; what has been let go has no Origin
    const bad = await raw(server.port, `GET /in/%zz${long} HTTP/1.1\r\nHost: h\r\nOrigin: ${APP}\r\n\r\n`.repeat(5), { enough: (so) => so.includes(' 429 ') });
    assert.match(bad.text, /^HTTP\/1\.1 400 /);
    assert.doesNotMatch(bad.text, /access-control|vary/i);
    const crowd = await raw(server.port, `GET /in/7 HTTP/1.1\r\nHost: h\r\nOrigin: ${APP}\r\n${'x: y\r\n'.repeat(120)}\r\n`);
    assert.match(crowd.text, /^HTTP\/1\.1 431 /);
    assert.doesNotMatch(crowd.text, new RegExp(APP));
    // nothing else of the endpoint has acted
    assert.deepEqual((await server.get('/a')).json, { n: 1 });
    assert.match((await server.get('/a')).headers.ratelimit, /^"ip";r=0;/);
});

test('behind a proxy the place is what that says of it; where it has not been read, nothing is told', async (t) => {
    const server = await setup(t, {
        'named.lua': `return { cors = "${APP}", host = "hooks.example", path = "/a", methods = { "GET" }, handle = function() return "x" end }`,
        'a.lua': `return { cors = "${EVIL}", path = "/a", methods = { "GET" }, handle = function() return "x" end }`,
    }, { config: 'return { trusted_proxies = { "127.0.0.1" }, limits = { uri = "1KiB", connection_rate = 2 } }' });
    const named = { 'x-forwarded-host': 'hooks.example', 'x-forwarded-proto': 'https' }, long = `/a?${'q'.repeat(1100)}`;
    const allowed = async (target, headers) => (await server.get(target, headers)).headers['access-control-allow-origin'];
    assert.equal(await allowed(long, { ...named, origin: APP }), APP);
    assert.equal(await allowed(long, { ...named, origin: EVIL }), undefined);
    assert.equal(await allowed(long, { origin: EVIL }), EVIL);
    assert.equal(await allowed(long, { origin: APP }), undefined);
    assert.equal(await allowed('/a', { ...named, forwarded: 'host=hooks.example', origin: APP }), undefined); // forwarded_conflict: it could be either
    for (const origin of [APP, EVIL]) {
        const { text } = await raw(server.port, `GET /a HTTP/1.1\r\nHost: h\r\nX-Forwarded-Host: hooks.example\r\nOrigin: ${origin}\r\n\r\n`.repeat(3), { enough: (so) => /429 [^]*\}$/.test(so) });
        assert.doesNotMatch(text.slice(text.lastIndexOf('HTTP/1.1 429')), /access-control|vary/i);
    }
});

test('over HTTP/2 as well', async (t) => {
    const server = await setup(t, { 'a.lua': `return { cors = { origins = { "${APP}" }, credentials = true }, handle = function() return "x" end }` });
    const client = await session(t, server.url);
    let reply = await request2(client, '/a', { method: 'OPTIONS', headers: { origin: APP, 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-a' } });
    assert.equal(reply.status, 204);
    assert.equal(reply.headers['access-control-allow-headers'], 'x-a');
    reply = await request2(client, '/a', { method: 'POST', headers: { origin: APP }, body: '' });
    assert.equal(reply.text, 'x');
    assert.equal(reply.headers['access-control-allow-origin'], APP);
    assert.equal(reply.headers['access-control-allow-credentials'], 'true');
    assert.equal((await request2(client, '/a', { method: 'POST', headers: { origin: EVIL }, body: '' })).status, 403);
    const own = server.url;
    assert.equal((await request2(client, '/a', { method: 'POST', headers: { origin: own }, body: '' })).status, 200);
});

test('what no browser sends is refused, and ends no worker', async (t) => {
    const server = await setup(t, { 'a.lua': `return { cors = { "${APP}", "https://*.x.example" }, methods = { "GET" }, handle = function() return "x" end }` });
    const origins = ['', ' ', 'null', '*', 'https://', `${APP}/`, `${APP}, ${EVIL}`, `${APP} ${EVIL}`, `${EVIL} ${APP}`, `${EVIL}#.x.example`, 'https://evil.example\\.x.example',
        'https://a@b.x.example', 'https://x.example', 'https://.x.example', `https://${'a'.repeat(300)}.x.example/`, `https://${'a.'.repeat(3000)}x.example`,
        'https://%61.x.example', 'https://ä.x.example', 'https://[::1].x.example', 'data:text/plain,x', 'file://'];
    for (const origin of origins) {
        const { text } = await raw(server.port, `GET /a HTTP/1.1\r\nHost: h\r\nOrigin: ${origin}\r\nConnection: close\r\n\r\n`);
        assert.match(text, /^HTTP\/1.1 403 /, origin);
        assert.doesNotMatch(text, /access-control-allow/i, origin);
    }
    for (const pair of [`Origin: ${APP}\r\nOrigin: ${EVIL}`, `Origin: ${EVIL}\r\nOrigin: ${APP}`]) {
        const { text } = await raw(server.port, `GET /a HTTP/1.1\r\nHost: h\r\n${pair}\r\nConnection: close\r\n\r\n`);
        assert.match(text, /^HTTP\/1.1 403 /, pair);
    }
    const { text } = await raw(server.port, `OPTIONS /a HTTP/1.1\r\nHost: h\r\nOrigin: ${APP}\r\nAccess-Control-Request-Method: \r\nAccess-Control-Request-Headers: ${'x,'.repeat(10000)}y\r\nConnection: close\r\n\r\n`);
    assert.match(text, /^HTTP\/1.1 204 /);
    assert.equal((await server.get('/a', { origin: 'https://a.x.example' })).status, 200);
});

test('check, routes and --dev say it', async (t) => {
    const dir = folder(t);
    write(dir, {
        'hooks/a.lua': `return { cors = { origins = { "${APP}", "https://*.x.example" }, headers = { "x-a" }, max_age = 60 }, handle = function() end }`,
        'hooks/b.lua': 'return { handle = function() end }',
    });
    const table = await run(['routes', 'hooks'], { cwd: dir });
    assert.match(table.stdout, /CORS/);
    assert.match(table.stdout, new RegExp(`/a .*${APP}, https://\\*\\.x\\.example`));
    const json = JSON.parse((await run(['routes', 'hooks', '--json'], { cwd: dir })).stdout);
    assert.deepEqual(json.find((e) => e.name === 'a').cors, { origins: [APP, 'https://*.x.example'], headers: ['x-a'], credentials: false, max_age: 60 });
    assert.equal(json.find((e) => e.name === 'b').cors, null);
    write(dir, { 'hooks/c.lua': 'return {\n  handle = function() end,\n  cors = { origins = "*",\n    credentials = true },\n}' });
    const check = await run(['check', 'hooks'], { cwd: dir });
    assert.equal(check.code, 1);
    assert.match(check.stderr + check.stdout, /c\.lua:3: cors: credentials would go to every site with "\*"/);
    const server = await start(t, { hooks: { 'a.lua': `return { cors = "${APP}", methods = { "GET" }, handle = function() return "x" end }` }, args: ['--dev'], workers: 0, env: { CRESCENT_LOG_FORMAT: 'json' } });
    const told = await server.get('/a', { origin: EVIL });
    assert.equal(told.status, 403);
    assert.match(told.text, /Origin is "https:\/\/evil\.example"; cors allows https:\/\/app\.example\.com/);
});
