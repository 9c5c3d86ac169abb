// http.*: nothing that a script says of a request is ignored: it is sent, or it is an error that names it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start } from './helper.mjs';
import { bare, lua, plain, runner } from './upstreams.mjs';

const serve = (t) => start(t, { workers: 1, hooks: { 'run.lua': runner } });
const sign = 'sign = { scheme = "standard", secret = "c2VjcmV0" }';

test('a list has positions and nothing else; a status is a whole number', async (t) => {
    const server = await serve(t);
    const cases = [
        ['retry = { statuses = { 502, also = 503 } }', /retry: statuses: 'also' is no position of a list/],
        ['retry = { statuses = { [2] = 502 } }', /statuses: position 1 of the list is nil/],
        ['retry = { statuses = { 502, [1.5] = 503 } }', /statuses: 1.5 is no position of a list/],
        ['retry = { statuses = { first = 502 } }', /statuses: 'first' is no position of a list/],
        ['retry = { statuses = { 429.9 } }', /statuses: expected whole numbers from 300 to 599/],
        ['retry = { statuses = { "502" } }', /statuses: expected whole numbers/],
        ['retry = { statuses = 502 }', /statuses: expected a list of statuses, got number/],
        ['retry = 2.5', /retry: expected 1 to 20 attempts/],
        ['expect = 200.5', /expect: expected "2xx"/],
        ['expect = { 200.5 }', /expect: expected "2xx"/],
        ['expect = { "2xx", also = 404 }', /expect: 'also' is no position of a list/],
        ['expect = { "2xx", nil, 404 }', /expect: position 2 of the list is nil/],
        ['expect = { ok = 200 }', /expect: 'ok' is no position of a list/],
        ['headers = { a = {} }', /headers: 'a' has an empty list/],
        ['headers = { a = { "1", b = "2" } }', /headers: 'a': 'b' is no position of a list/],
        ['headers = { a = { nil, "2" } }', /headers: 'a': position 1 of the list is nil/],
        ['headers = { host = { "a", "b" } }', /headers: 'host' has two values: a request has one/],
        ['headers = { host = "a", Host = "b" }', /headers: '[hH]ost' has two values/],
        ['headers = { Authorization = "a", authorization = "b" }', /headers: '[aA]uthorization' has two values/],
        ['json = {}, headers = { ["content-type"] = { "a/b", "c/d" } }', /'content-type' has two values/],
        ['query = { a = { 1, b = 2 } }', /query: 'a': 'b' is no position of a list/],
        ['query = { a = { 1, nil, 3 } }', /query: 'a': position 2 of the list is nil/],
        ['form = { a = { "1", b = "2" } }', /form: 'a': 'b' is no position of a list/],
        ['form = { a = { b = "2" } }', /form: 'a': expected/],
        ['multipart = { { name = "a", data = "1" }, b = "2" }', /multipart: 'b' is no position of a list/],
        ['multipart = { { name = "a", data = "1" }, nil, { name = "b", data = "1" } }', /multipart: position 2 of the list is nil/],
        ['multipart = { a = { "1", data = "2" } }', /multipart: 'a': 'data' is no position of a list/],
        ['sign = { scheme = "standard", secret = { "c2VjcmV0", old = "c2VjcmV0" } }', /sign: secret: 'old' is no position of a list/],
        ['sign = { scheme = "standard", secret = { "c2VjcmV0", nil, "c2VjcmV0" } }', /sign: secret: position 2 of the list is nil/],
    ];
    for (const [options, words] of cases) {
        const reply = await lua(server, `local r = http.put("http://127.0.0.1:1/", { ${options} }) return r`);
        assert.match(reply.raised ?? JSON.stringify(reply), words, options);
        assert.match(reply.raised, /^test:1: http.put: /);
    }
    assert.equal((await lua(server, 'return (http.put("http://127.0.0.1:1/", { retry = { attempts = 2, min = "1ms", statuses = {} } }))')).value, undefined);
});

test('what a table inherits is refused where it would not be read; headers that came, and what JSON was, are plain', async (t) => {
    const up = await plain(t);
    const server = await serve(t);
    const inherited = (value) => `setmetatable({}, { __index = ${value} })`;
    const cases = [
        [`http.get(u, ${inherited('{ expect = "5xx" }')})`, /^test:1: http.get: the table of options: its metatable has an __index/],
        [`http.get(u, ${inherited('function() return false end')})`, /http.get: the table of options: /],
        [`http.request(${inherited('{ url = u }')})`, /http.request: the table of options: /],
        [`http.get(u, { headers = ${inherited('{ a = "b" }')} })`, /http.get: headers: its metatable/],
        [`http.get(u, { headers = { a = ${inherited('{ "b" }')} } })`, /http.get: headers: 'a': its metatable/],
        [`http.get(u, { query = ${inherited('{ a = "b" }')} })`, /http.get: query: its metatable/],
        [`http.post(u, { form = ${inherited('{ a = "b" }')} })`, /http.post: form: its metatable/],
        [`http.post(u, { multipart = ${inherited('{ a = "b" }')} })`, /http.post: multipart: its metatable/],
        [`http.get(u, { retry = ${inherited('{ attempts = 3 }')} })`, /http.get: retry: the table of options: its metatable/],
        [`exec(setmetatable({ "env" }, { __index = { timeout = "1s" } }))`, /exec: the table of options: its metatable/],
        ['exec { "env", env = env }', /exec: env: its metatable/],
        [`reply.text("x", ${inherited('{ status = 201 }')})`, /reply.text: the table of options: its metatable/],
        [`reply.proxy(u, { headers = ${inherited('{ cookie = false }')} })`, /reply.proxy: headers: its metatable/],
        [`json.encode({}, ${inherited('{ pretty = true }')})`, /json.encode: the table of options: its metatable/],
        [`verify.api_key { header = "x", keys = ${inherited('{ a = "b" }')} }`, /verify.api_key: keys: its metatable/],
    ];
    for (const [call, words] of cases)
        assert.match((await lua(server, `local u = "${up.url}" ${call}`)).raised ?? '', words, call);
    const handed = JSON.parse((await lua(server, `
        local first = http.get("${up.url}")
        for _, name in ipairs { "connection", "keep-alive", "content-length", "transfer-encoding" } do first.headers[name] = nil end
        local options = json.decode '{ "headers": { "b": "2" }, "query": { "c": ["3"] } }'
        for name, value in pairs(options.headers) do first.headers[name] = value end
        return (http.post("${up.url}", { headers = first.headers, query = options.query, json = json.object() }))`)).body);
    assert.deepEqual([handed.url, handed.headers.b, handed.headers['content-type'], handed.body], ['/?c=3', '2', 'application/json', '{}']);
    assert.ok(handed.headers.date);
});

test('content-type without a body is sent; with a body that a redirect drops, it goes with it', async (t) => {
    const up = await plain(t, (req, res) => req.url === '/away' && (res.writeHead(303, { location: '/home' }).end(), true));
    const server = await serve(t);
    const headers = 'headers = { ["Content-Type"] = "application/json", ["content-language"] = "de" }';
    for (const call of [`http.get("${up.url}/x", { ${headers} })`, `http.delete("${up.url}/x", { ${headers} })`, `http.request { method = "REPORT", url = "${up.url}/x", ${headers} }`]) {
        const seen = JSON.parse((await lua(server, `return ${call}`)).body);
        assert.deepEqual([seen.headers['content-type'], seen.headers['content-language'], seen.body], ['application/json', 'de', ''], call);
    }
    let seen = JSON.parse((await lua(server, `return http.get("${up.url}/away", { ${headers} })`)).body);
    assert.deepEqual([seen.url, seen.headers['content-type']], ['/home', 'application/json']);
    seen = JSON.parse((await lua(server, `return http.post("${up.url}/away", { body = "{}", redirects = 1, ${headers} })`)).body);
    assert.deepEqual([seen.method, seen.url, seen.headers['content-type'], seen.body], ['GET', '/home', undefined, '']);
});

test('one host reaches the wire', async (t) => {
    const heads = [];
    const up = await bare(t, (socket) => socket.once('data', (bytes) => {
        heads.push(String(bytes));
        socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
    }));
    const server = await serve(t);
    assert.equal((await lua(server, `return http.get("${up.url}", { headers = { Host = { "other.example" } } })`)).status, 200);
    assert.deepEqual(heads[0].match(/^host:.*$/gim), ['Host: other.example']);
});

test('what sign sets nobody else sets', async (t) => {
    const up = await plain(t);
    const server = await serve(t);
    for (const name of ['webhook-id', 'Webhook-Timestamp', 'WEBHOOK-SIGNATURE']) {
        const reply = await lua(server, `return http.post("${up.url}", { json = {}, headers = { ["${name}"] = "1" }, ${sign} })`);
        assert.match(reply.raised ?? JSON.stringify(reply), new RegExp(`http.post: headers: '${name.toLowerCase()}' is set by sign`));
        assert.equal(JSON.parse((await lua(server, `return http.post("${up.url}", { json = {}, headers = { ["${name}"] = "1" } })`)).body).headers[name.toLowerCase()], '1');
    }
    assert.equal(up.requests.length, 3);
});

test('ca, cert and key want TLS', async (t) => {
    const up = await plain(t);
    const server = await serve(t);
    for (const url of [up.url, up.url.replace('http', 'HTTP')])
        for (const [options, name] of [['ca = "ca.pem"', 'ca'], ['cert = "c.pem", key = "k.pem"', 'cert']]) {
            const reply = await lua(server, `return http.get("${url}", { ${options} })`);
            assert.match(reply.raised ?? JSON.stringify(reply), new RegExp(`http.get: ${name}: there is no TLS in which to use it: the URL begins with http://`));
        }
    assert.match((await lua(server, `return http.request { url = "${up.url}", ca = "ca.pem" }`)).raised, /http.request: ca: there is no TLS/);
    assert.equal((await lua(server, 'return http.get("nonsense", { ca = "ca.pem" })')).code, 'bad_url');
    assert.equal(up.requests.length, 0);
});

test('statuses for a request that is not sent twice are an error that says what to write', async (t) => {
    const up = await plain(t, (req, res) => (res.writeHead(409).end(), true));
    const server = await serve(t);
    const ask = (text) => lua(server, text.replaceAll('URL', up.url));
    for (const call of ['http.post("URL", { retry = { statuses = { 409 }, min = "1ms" } })', 'http.patch("URL", { retry = { statuses = { 409 }, min = "1ms", idempotent = false } })',
        'http.request { method = "REPORT", url = "URL", retry = { statuses = { 409 }, min = "1ms" } }']) {
        const reply = await ask(`return ${call}`);
        assert.match(reply.raised ?? JSON.stringify(reply), /retry: statuses: a (POST|PATCH|REPORT) that was answered is not sent again.*retry\.idempotent = true/, call);
    }
    assert.equal(up.requests.length, 0);
    for (const [call, times] of [['http.post("URL", { retry = { statuses = { 409 }, min = "1ms", idempotent = true } })', 3], ['http.put("URL", { retry = { statuses = { 409 }, min = "1ms" } })', 3],
        ['http.post("URL", { retry = { statuses = {}, min = "1ms" } })', 1], ['http.post("URL", { retry = true })', 1]]) {
        up.requests.length = 0;
        const reply = await ask(`return ${call}`);
        assert.deepEqual([reply.status, up.requests.length], [409, times], call);
    }
});
