// http.*: what is sent, what comes back, TLS, redirects, limits, retries, signatures, streams. The hosts are node's.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import zlib from 'node:zlib';
import { Webhook } from 'standardwebhooks';
import { authority } from './authority.mjs';
import { folder, ms, request, sleep, start, until } from './helper.mjs';
import { bare, lua, nobody, plain, replying, runner, secure } from './upstreams.mjs';

const serve = (t, options = {}) => start(t, { workers: 1, ...options, hooks: { 'run.lua': runner, ...options.hooks } });

test('methods, headers, query and bodies arrive as they were meant', async (t) => {
    const up = await plain(t);
    const server = await serve(t);
    const ask = async (text) => {
        const reply = await lua(server, text.replaceAll('URL', up.url));
        assert.equal(reply.status, 200, JSON.stringify(reply));
        return JSON.parse(reply.body);
    };
    for (const method of ['get', 'post', 'put', 'patch', 'delete'])
        assert.equal((await ask(`return http.${method}("URL/x")`)).method, method.toUpperCase());
    assert.equal((await ask('return http.request { method = "REPORT", url = "URL/x" }')).method, 'REPORT');
    assert.equal((await ask('return http.request { method = "options", url = "URL/x" }')).method, 'OPTIONS');
    assert.equal((await lua(server, `return http.head("${up.url}/x")`)).body, '');

    let seen = await ask(`return http.get("URL/x?a=1#gone", { query = { z = { 1, 2.5, true }, b = "ä &=+" }, headers = { ["X-One"] = "1", many = { "a", "b" }, empty = "", n = 7 } })`);
    assert.equal(seen.url, '/x?a=1&b=%C3%A4%20%26%3D%2B&z=1&z=2.5&z=true');
    assert.equal(seen.headers['x-one'], '1');
    assert.equal(seen.headers.many, 'a, b');
    assert.equal(seen.headers.empty, '');
    assert.equal(seen.headers.n, '7');
    assert.match(seen.headers['user-agent'], /^crescent\//);
    assert.equal(seen.headers['content-type'], undefined);
    assert.equal((await ask('return http.get("URL/x", { query = {} })')).url, '/x');
    for (const [given, sent] of [['?', '?b=1'], ['?a=1', '?a=1&b=1'], ['?a=1&', '?a=1&b=1'], ['?q=what?', '?q=what?&b=1'], ['??', '??&b=1']])
        assert.equal((await ask(`return http.get("URL/x${given}", { query = { b = 1 } })`)).url, `/x${sent}`);

    seen = await ask('return http.post("URL/x", { json = { a = { 1, 2 }, big = json.decode("9007199254740993") } })');
    assert.equal(seen.body, '{"a":[1,2],"big":9007199254740993}'.length === seen.body.length ? seen.body : '');
    assert.ok(seen.body.includes('9007199254740993'));
    assert.equal(seen.headers['content-type'], 'application/json');
    seen = await ask('return http.post("URL/x", { json = json.null, headers = { ["Content-Type"] = "application/merge-patch+json" } })');
    assert.equal(seen.body, 'null');
    assert.equal(seen.headers['content-type'], 'application/merge-patch+json');
    seen = await ask('return http.post("URL/x", { form = { b = "1 2", a = { "x", "y" } } })');
    assert.equal(seen.body, 'a=x&a=y&b=1%202');
    assert.equal(seen.headers['content-type'], 'application/x-www-form-urlencoded');
    seen = await ask('return http.post("URL/x", { body = "\\0\\255raw" })');
    assert.equal(Buffer.from(seen.body, 'latin1').toString('hex'), Buffer.from('\0\xffraw', 'latin1').toString('hex'));
    assert.equal(seen.headers['content-type'], undefined);
    seen = await ask('return http.post("URL/x")');
    assert.equal(seen.headers['content-length'], '0');
    seen = await ask('return http.put("URL/x", { body = ("x"):rep(3e6) })');
    assert.equal(seen.body.length, 3e6);
    assert.equal(seen.headers.expect, undefined);
    seen = await ask('return http.request { method = "GET", url = "URL/x", json = { q = 1 } }');
    assert.deepEqual([seen.method, seen.body], ['GET', '{"q":1}']);
    // after requests with bodies a kept handle sends none
    seen = await ask('return http.get("URL/x")');
    assert.deepEqual([seen.body, seen.headers['content-length'], seen.headers['content-type']], ['', undefined, undefined]);
    seen = await ask('return http.get((("URL/x"):gsub("://", "://na%%6de:p%%40ss@")))');
    assert.equal(seen.headers.authorization, `Basic ${Buffer.from('name:p@ss').toString('base64')}`);
});

test('a multipart body is read back by an independent reader', async (t) => {
    const server = await serve(t, { hooks: { 'up.lua': `return function(req)
        local out = { form = req:form(), files = {} }
        for i, f in ipairs(req:files()) do out.files[i] = { f.name, f.filename, f.type, f.size, f.data } end
        return out
    end` } });
    const up = await plain(t);
    let seen = JSON.parse((await lua(server, `return http.post("${up.url}/", { multipart = { { name = 'a"b', data = "1" }, { name = "f", data = "\\r\\n--x", filename = "ü\\"\\n.txt", type = "text/plain" } } })`)).body);
    const boundary = /boundary=(\S+)/.exec(seen.headers['content-type'])[1];
    assert.ok(seen.body.startsWith(`--${boundary}\r\n`) && seen.body.endsWith(`\r\n--${boundary}--\r\n`));
    // node 18 has a reader of forms in its fetch
    const form = await new Response(Buffer.from(seen.body, 'latin1'), { headers: { 'content-type': seen.headers['content-type'] } }).formData();
    assert.equal(form.get('a"b') ?? form.get('a%22b'), '1');
    assert.equal(await form.get('f').text(), '\r\n--x');
    assert.equal(form.get('f').type, 'text/plain');
    const reply = await lua(server, `return http.post("${server.url}/up", { multipart = { one = "1", two = { "a", "b" }, doc = { { data = "D1", filename = "d1" }, { data = "", filename = "d2", type = "a/b" } } } })`);
    assert.deepEqual(JSON.parse(reply.body).files, [['doc', 'd1', 'application/octet-stream', 2, 'D1'], ['doc', 'd2', 'a/b', 0, '']]);
    assert.equal(JSON.parse(reply.body).form.one, '1');
});

test('a reply: status, headers in any spelling, every one of several, body, url, json', async (t) => {
    const up = await plain(t, (req, res) => {
        if (req.url === '/many') {
            res.setHeader('Set-Cookie', ['a=1', 'b=2']);
            res.setHeader('X-Mixed-Case', ' v ');
            res.writeHead(418);
            res.end('\0\xff', 'latin1');
            return true;
        }
        if (req.url === '/bad') return res.end('{"a":\n  x}'), true;
        if (req.url === '/null') return res.end('null'), true;
    });
    const server = await serve(t);
    const value = async (text) => {
        const reply = await lua(server, text.replaceAll('URL', up.url));
        return reply.value ?? reply;
    };
    assert.deepEqual(await value(`local r = http.get("URL/many") return { r.status, r.headers["SET-cookie"], r:all_headers("Set-Cookie"), r.headers["x-mixed-case"],
        r:all_headers("x-mixed-case"), r:all_headers("none"), #r.body, r.url, tostring(r) }`),
    [418, 'a=1', ['a=1', 'b=2'], 'v', ['v'], {}, 2, `${up.url}/many`, 'response 418']);
    assert.deepEqual(await value('local r = http.get("URL/") return r:json().method'), 'GET');
    assert.equal(await value('return http.get("URL/null"):json() == json.null'), true);
    const fault = await value('return http.get("URL/bad"):json()');
    assert.equal(fault.code, 'bad_json');
    assert.match(fault.words, /line 2 column \d+/);
    assert.match((await value('return http.get("URL/").stats')).raised, /test:1: a response has no field 'stats'; did you mean 'status'\?/);
    assert.match((await value('return http.get("URL/").read')).raised, /not streamed/);
});

test('misuse is an error with its place, and names what is meant', async (t) => {
    const server = await serve(t);
    const cases = [
        ['http.get()', /test:1: http.get: expected a URL, got nothing/],
        ['http.get(1)', /http.get: expected a URL, got number/],
        ['http.get("http://a", 1)', /http.get: expected a table of options, got number/],
        ['http.get("http://a", {}, 1)', /expected a URL and options, got 3 values/],
        ['http.get("http://a", { heders = {} })', /unknown option 'heders' \(did you mean 'headers'\?\)/],
        ['http.get("http://a", { method = "POST" })', /unknown option 'method'/],
        ['http.get("http://a", { verify = false })', /unknown option 'verify'/],
        ['http.request { method = "GET" }', /http.request: expected a URL, got nothing/],
        ['http.request { method = "G T", url = "http://a" }', /method: expected a method/],
        ['http.request { method = "CONNECT", url = "http://a" }', /method: expected a method/],
        ['http.gett("http://a")', /there is no http.gett; did you mean http.get\?/],
        ['http.get("http://a", { headers = { ["a b"] = "1" } })', /'a b' is no name of a header/],
        ['http.get("http://a", { headers = { a = "1\\r\\nb: 2" } })', /'a' holds a control character/],
        ['http.get("http://a", { headers = { a = "x", ["Content-Length"] = "1" } })', /'Content-Length' is set by the client itself/],
        ['http.get("http://a", { headers = { a = true } })', /'a': expected a string, got boolean/],
        ['http.post("http://a", { json = {}, body = "" })', /a request has one body/],
        ['http.post("http://a", { json = print })', /function/],
        ['http.post("http://a", { body = {} })', /body: expected a string, got table/],
        ['http.post("http://a", { form = "a=1" })', /form: expected a table, got string/],
        ['http.post("http://a", { form = { a = print } })', /'a': expected a string, a number, true or false, got function/],
        ['http.post("http://a", { multipart = { a = { filename = "x" } } })', /data: expected a string, got nothing/],
        ['http.post("http://a", { multipart = { a = { data = "", file = "x" } } })', /unknown option 'file'/],
        ['http.head("http://a", { body = "x" })', /a HEAD request has no body/],
        ['http.get("http://a", { timeout = 0 })', /timeout: expected more than nothing/],
        ['http.get("http://a", { timeout = "2 moons" })', /timeout: expected a duration/],
        ['http.get("http://a", { max_body = -1 })', /max_body: expected a size/],
        ['http.get("http://a", { redirects = 51 })', /redirects: expected a whole number from 0 to 50/],
        ['http.get("http://a", { expect = "6xx" })', /expect: expected "2xx"/],
        ['http.get("http://a", { expect = {} })', /expect: expected "2xx"/],
        ['http.get("https://a", { cert = "x" })', /cert and key go together/],
        ['http.get("http://a", { sign = { secret = "x" } })', /sign: scheme: expected "standard", got nothing/],
        ['http.get("http://a", { sign = { scheme = "standart", secret = "x" } })', /did you mean 'standard'/],
        ['http.get("http://a", { sign = { scheme = "standard" } })', /secret: expected a string/],
        ['http.get("http://a", { sign = { scheme = "standard", secret = "whsec_!!" } })', /secret: expected base64/],
        ['http.get("http://a", { sign = { scheme = "standard", secret = "c2VjcmV0", id = "a.b" } })', /id: expected visible/],
        ['http.get("http://a", { retry = 0 })', /retry: expected 1 to 20 attempts/],
        ['http.get("http://a", { retry = { atempts = 2 } })', /unknown option 'atempts' \(did you mean 'attempts'\?\)/],
        ['http.get("http://a", { retry = { statuses = { 200 } } })', /statuses: expected whole numbers from 300 to 599/],
        ['http.get("http://a", { retry = true, stream = true })', /retry does not go with stream/],
        ['http.post("http://a", { multipart = { a = 1 }, headers = { ["Content-Type"] = "multipart/form-data" } })', /content-type.* is set by multipart/],
    ];
    for (const [text, words] of cases) {
        const reply = await lua(server, `local r = ${text} return r`);
        assert.match(reply.raised ?? JSON.stringify(reply), words, text);
        assert.doesNotMatch(reply.raised, /whsec_!!/);
    }
});

test('at load nothing goes out', async (t) => {
    const up = await plain(t);
    const server = await serve(t, { hooks: { 'early.lua': `local r = http.get("${up.url}/") return function() return 200 end` } });
    await until(async () => (await server.get('/early')).status === 503, 'a script that could not load');
    assert.equal(up.requests.length, 0);
    await server.said((r) => JSON.stringify(r).includes('http.get: cannot wait while the script loads'));
});

test('expect makes other statuses an error that has the reply', async (t) => {
    const up = await plain(t, (req, res) => (res.writeHead(Number(req.url.slice(1)) || 200), res.end(`body of ${req.url}`), true));
    const server = await serve(t);
    assert.equal((await lua(server, `return http.get("${up.url}/404")`)).status, 404);
    assert.equal((await lua(server, `return http.get("${up.url}/204", { expect = "2xx" })`)).status, 204);
    assert.equal((await lua(server, `return http.get("${up.url}/304", { expect = { "2xx", 304 } })`)).status, 304);
    const reply = await lua(server, `return http.get("${up.url}/500", { expect = "2xx" })`);
    assert.deepEqual(reply, { code: 'status', words: `GET ${up.url}: the reply has status 500`, err_status: 500, attempts: 1, err_body: 'body of /500' });
    assert.equal((await lua(server, `return http.get("${up.url}/201", { expect = 200 })`)).code, 'status');
});

test('connections are kept, and shared by all requests of a worker', async (t) => {
    const up = await plain(t);
    const server = await serve(t);
    for (let i = 0; i < 20; i++) await lua(server, `return http.get("${up.url}/")`);
    assert.equal(up.sockets.size, 1);
    // a connection that its host has closed meanwhile is not noticed by who asks
    for (const socket of up.sockets) socket.destroy();
    await sleep(50);
    for (let i = 0; i < 5; i++) assert.equal((await lua(server, `return http.post("${up.url}/", { body = "x" })`)).status, 200);
});

test('TLS: verified by the given authority, and the host name must be the certificate\'s', async (t) => {
    const dir = folder(t);
    const ca = await authority(dir), other = await authority(dir, 'other');
    const pair = await ca.issue('up', { names: ['localhost'] });
    const up = await secure(t, pair);
    const server = await serve(t, { config: 'return {}', dir });
    const ask = (url, options) => lua(server, `return http.get("${url}", { ${options} })`);
    assert.equal((await ask(up.url, `ca = "${ca.cert}"`)).status, 200);
    assert.equal((await ask(up.url, 'ca = "ca.crt"')).status, 200); // beside crescent.lua
    assert.equal((await ask(up.url, `ca = [[${fs.readFileSync(ca.cert, 'utf8')}]]`)).status, 200);
    for (const options of ['', `ca = "${other.cert}"`]) {
        const reply = await ask(up.url, options);
        assert.equal(reply.code, 'tls', JSON.stringify(reply));
        assert.match(reply.words, /certificate/);
    }
    // a connection that was verified by one authority serves nobody who trusts another
    assert.equal((await ask(up.url, `ca = "${ca.cert}"`)).status, 200);
    assert.equal((await ask(up.url, `ca = "${other.cert}"`)).code, 'tls');
    const wrong = await ask(up.url.replace('localhost', '127.0.0.1'), `ca = "${ca.cert}"`);
    assert.equal(wrong.code, 'tls');
    assert.match(wrong.words, /does not match target host name|no alternative certificate subject name/);
    assert.equal((await ask(up.url, 'ca = "none.pem"')).code, 'tls');
    assert.equal((await ask(up.url.replace('https', 'http'), '')).code, 'closed');
    const clear = await plain(t);
    assert.equal((await ask(clear.url.replace('http', 'https'), '')).code, 'tls');
});

test('TLS: client certificates', async (t) => {
    const dir = folder(t);
    const ca = await authority(dir);
    const pair = await ca.issue('up', { names: ['localhost'] });
    const mine = await ca.issue('client', { names: ['me'], subject: '/CN=me' });
    const up = await secure(t, pair, null, { ca: fs.readFileSync(ca.cert), requestCert: true, rejectUnauthorized: true });
    const elsewhere = await secure(t, pair, null, { ca: fs.readFileSync(ca.cert), requestCert: true, rejectUnauthorized: false });
    const back = await secure(t, pair, (req, res) => (res.writeHead(302, { location: `${elsewhere.url}/` }), res.end(), true),
        { ca: fs.readFileSync(ca.cert), requestCert: true, rejectUnauthorized: true });
    const server = await serve(t, { config: 'return {}', dir });
    const files = `ca = "${ca.cert}", cert = "${mine.cert}", key = "${mine.key}"`;
    let reply = await lua(server, `return http.get("${up.url}", { ${files} })`);
    assert.equal(JSON.parse(reply.body).peer, 'me', JSON.stringify(reply));
    reply = await lua(server, `return http.get("${up.url}", { ca = "${ca.cert}", cert = [[${fs.readFileSync(mine.cert)}]], key = [[${fs.readFileSync(mine.key)}]] })`);
    assert.equal(JSON.parse(reply.body).peer, 'me', JSON.stringify(reply));
    // its connection is for nobody without it
    reply = await lua(server, `return http.get("${up.url}", { ca = "${ca.cert}" })`);
    assert.notEqual(reply.code, undefined, JSON.stringify(reply));
    // nor is it shown to another origin
    reply = await lua(server, `return http.get("${back.url}", { ${files} })`);
    assert.equal(reply.status, 200, JSON.stringify(reply));
    assert.equal(JSON.parse(reply.body).peer, undefined);
});

test('redirects: followed for GET and HEAD, as browsers do where they are asked for, credentials stay at home', async (t) => {
    const other = await plain(t);
    const up = await plain(t, (req, res) => {
        const [, status, where] = /^\/(\d+)\/(.*)$/.exec(req.url) ?? [];
        if (!status) return;
        res.writeHead(Number(status), { location: where === 'other' ? `${other.url}/there` : where === 'rel' ? '../here?x=1#f' : where === 'ftp' ? 'ftp://x/' : where === 'bad' ? 'http://[x/' : where === 'loop' ? req.url : where === 'none' ? '' : `/${where}` });
        res.end('moved');
        return true;
    });
    const server = await serve(t);
    const ask = async (text) => lua(server, text.replaceAll('URL', up.url));
    let reply = await ask('return http.get("URL/302/rel")');
    assert.deepEqual([reply.status, reply.url, JSON.parse(reply.body).url], [200, `${up.url}/here?x=1`, '/here?x=1']);
    assert.equal((await ask('return http.get("URL/302/x", { redirects = 0 })')).status, 302);
    assert.equal((await ask('return http.post("URL/302/x", { body = "b" })')).status, 302);
    for (const [status, method, wanted, body] of [[301, 'post', 'GET', ''], [302, 'post', 'GET', ''], [303, 'post', 'GET', ''], [303, 'put', 'GET', ''],
        [307, 'post', 'POST', 'b'], [308, 'post', 'POST', 'b'], [301, 'put', 'PUT', 'b'], [302, 'put', 'PUT', 'b']]) {
        reply = await ask(`return http.${method}("URL/${status}/x", { body = "b", redirects = 3, headers = { ["Content-Type"] = "text/x" } })`);
        const seen = JSON.parse(reply.body);
        assert.deepEqual([seen.method, seen.body, seen.headers['content-type']], [wanted, body, body ? 'text/x' : undefined], `${status} ${method}`);
    }
    const secrets = 'headers = { Authorization = "Bearer t", Cookie = "c=1", ["X-Kept"] = "k", Host = "virtual" }';
    let seen = JSON.parse((await ask(`return http.get("URL/302/same", { ${secrets} })`)).body);
    assert.deepEqual([seen.headers.authorization, seen.headers.cookie, seen.headers['x-kept'], seen.headers.host], ['Bearer t', 'c=1', 'k', 'virtual']);
    reply = await ask(`return http.get("URL/302/other", { ${secrets} })`);
    seen = JSON.parse(reply.body);
    assert.equal(reply.url, `${other.url}/there`);
    assert.deepEqual([seen.headers.authorization, seen.headers.cookie, seen.headers['x-kept'], seen.headers.host], [undefined, undefined, 'k', `127.0.0.1:${other.port}`]);
    seen = JSON.parse((await ask('return http.get((("URL/302/other"):gsub("://", "://u:p@")))')).body);
    assert.equal(seen.headers.authorization, undefined);
    for (const [where, words] of [['loop', /more than 5 redirects/], ['ftp', /must begin with http/], ['bad', /malformed/]]) {
        reply = await ask(`return http.get("URL/302/${where}")`);
        assert.equal(reply.code, 'redirects', JSON.stringify(reply));
        assert.match(reply.words, words);
    }
    assert.equal((await ask('return http.get("URL/302/loop", { redirects = 50 })')).code, 'redirects');
    assert.equal(up.sockets.size <= 3, true);
});

test('compressed replies are unpacked, within max_body, and left alone on demand', async (t) => {
    const text = JSON.stringify({ hello: 'x'.repeat(5000) });
    const up = await plain(t, (req, res) => {
        const accepted = req.headers['accept-encoding'];
        const [coding, bytes] = { '/gzip': ['gzip', zlib.gzipSync(text)], '/deflate': ['deflate', zlib.deflateSync(text)], '/br': ['br', zlib.brotliCompressSync(text)],
            '/corrupt': ['gzip', Buffer.from('no gzip at all')], '/cut': ['gzip', zlib.gzipSync(text).subarray(0, 30)], '/odd': ['x-odd', Buffer.from('odd')],
            '/trailing': ['gzip', Buffer.concat([zlib.gzipSync(text), Buffer.from('more')])], '/drip': ['deflate', zlib.deflateSync(text)], '/members': ['gzip', Buffer.concat([zlib.gzipSync(text), zlib.gzipSync(text)])] }[req.url];
        if (req.url === '/drip') {
            res.writeHead(200, { 'content-encoding': coding });
            (async () => {
                for (const byte of bytes) {
                    res.write(Buffer.from([byte]));
                    await sleep(1);
                }
                res.end();
            })();
            return true;
        }
        res.writeHead(200, { 'content-encoding': coding, 'content-length': bytes.length, 'x-accepted': accepted ?? 'none' });
        res.end(bytes);
        return true;
    });
    const server = await serve(t);
    for (const coding of ['gzip', 'deflate']) {
        const reply = await lua(server, `return http.get("${up.url}/${coding}")`);
        assert.equal(reply.body, text);
        assert.match(reply.headers['x-accepted'], /gzip/);
        assert.deepEqual([reply.headers['content-encoding'], reply.headers['content-length']], [undefined, undefined]);
    }
    let reply = await lua(server, `local r = http.get("${up.url}/gzip", { decompress = false }) return { #r.body, r.headers["content-encoding"], r.headers["x-accepted"] }`);
    assert.deepEqual(reply.value, [zlib.gzipSync(text).length, 'gzip', 'none']);
    reply = await lua(server, `local r = http.get("${up.url}/gzip", { headers = { ["Accept-Encoding"] = "gzip" } }) return { #r.body, r.headers["content-encoding"] }`);
    assert.deepEqual(reply.value, [zlib.gzipSync(text).length, 'gzip']);
    assert.equal((await lua(server, `return http.get("${up.url}/corrupt")`)).code, 'bad_response');
    for (const coding of ['cut', 'trailing', 'br']) assert.equal((await lua(server, `return http.get("${up.url}/${coding}")`)).code, 'bad_response', coding);
    for (const coding of ['gzip', 'drip', 'members']) {
        reply = await lua(server, `local r = http.get("${up.url}/${coding}", { stream = true }) local out = {} for p in r:pieces() do out[#out + 1] = p end return { table.concat(out) }`);
        assert.equal(reply.value?.[0], coding === 'members' ? text + text : text, coding);
        assert.equal((await lua(server, `return http.get("${up.url}/${coding}")`)).body, coding === 'members' ? text + text : text, coding);
    }
    const twice = await replying(t, Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-encoding: gzip\r\n\r\n'), zlib.gzipSync(zlib.gzipSync(text))]));
    reply = await lua(server, `return http.get("${twice.url}/")`);
    assert.equal(reply.code, 'bad_response');
    assert.match(reply.words, /codings were not asked for/);
    assert.match((await lua(server, `local r = assert(http.get("${up.url}/cut", { stream = true })) for p in r:pieces() do end`)).raised, /ends too early/);
    assert.equal((await lua(server, `return http.head("${up.url}/gzip")`)).status, 200);
    assert.equal((await lua(server, `return http.get("${up.url}/odd")`)).code, 'bad_response');
});

test('the trace of a request is told on, unless the script says another', async (t) => {
    const up = await plain(t);
    const server = await serve(t);
    const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    let seen = JSON.parse((await lua(server, `return http.get("${up.url}/")`, { traceparent: trace })).body);
    assert.match(seen.headers.traceparent, /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/);
    assert.notEqual(seen.headers.traceparent, trace);
    seen = JSON.parse((await lua(server, `return http.get("${up.url}/", { headers = { Traceparent = "mine" } })`, { traceparent: trace })).body);
    assert.equal(seen.headers.traceparent, 'mine');
    seen = JSON.parse((await lua(server, `return http.get("${up.url}/")`)).body);
    assert.equal(seen.headers.traceparent, undefined);
});

test('sign: the specification\'s own library takes what is sent, at every attempt, with either of two secrets', async (t) => {
    const up = await plain(t, (req, res, body, me) => me.requests.length < 3 && (res.writeHead(503), res.end(), true));
    const server = await serve(t);
    const secrets = ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'];
    await lua(server, `return http.post("${up.url}/", { json = { type = "order.paid" }, sign = { scheme = "standard", secret = { "${secrets.join('","')}" } },
        retry = { attempts = 3, min = "10ms", idempotent = true } })`);
    assert.equal(up.requests.length, 3);
    for (const seen of up.requests)
        for (const secret of secrets)
            assert.deepEqual(new Webhook(secret).verify(seen.body, seen.headers), { type: 'order.paid' });
    assert.equal(new Set(up.requests.map((r) => r.headers['webhook-id'])).size, 1);
    assert.match(up.requests[0].headers['webhook-id'], /^msg_/);
    assert.throws(() => new Webhook('whsec_AAAA').verify(up.requests[0].body, up.requests[0].headers));
    await lua(server, `return http.post("${up.url}/", { body = "", sign = { scheme = "standard", secret = "${secrets[0].slice(6)}", id = "evt_1" } })`);
    const seen = up.requests.at(-1);
    assert.equal(seen.headers['webhook-id'], 'evt_1');
    assert.match(seen.headers['webhook-signature'], /^v1,[A-Za-z0-9+/]+=*$/);
    // and a receiver that is crescent
    const receiver = await serve(t, { hooks: { 'in.lua': `return { verify = verify.standard { secret = "${secrets[0]}" }, handle = function(req) return 200 end }` } });
    const reply = await lua(server, `return http.post("${receiver.url}/in", { json = { type = "x" }, sign = { scheme = "standard", secret = "${secrets[0]}" } })`);
    assert.equal(reply.status, 200);
});

test('retry: what failed on the way, and some statuses; Retry-After is honoured; what is not idempotent is not sent twice', async (t) => {
    const times = [];
    const up = await plain(t, (req, res, body, me) => {
        times.push(Date.now());
        if (req.url === '/after' && me.requests.length === 1) return res.writeHead(429, { 'retry-after': '1' }), res.end(), true;
        if (req.url === '/date' && me.requests.length === 1) return res.writeHead(503, { 'retry-after': new Date(Date.now() + 2000).toUTCString() }), res.end(), true;
        const far = { '/far': '3000', '/farther': '1000000001', '/farthest': '9'.repeat(40), '/never': 'Fri, 31 Dec 9999 23:59:59 GMT' }[req.url];
        if (far !== undefined) return res.writeHead(503, { 'retry-after': far }), res.end(), true;
        if (req.url === '/down') return res.writeHead(502), res.end('down'), true;
        if (req.url === '/break' && me.requests.length < 3) return res.socket.destroy(), true;
        if (req.url === '/slow') return true;
    });
    const server = await serve(t);
    const ask = async (text) => {
        up.requests.length = times.length = 0;
        return lua(server, text.replaceAll('URL', up.url));
    };
    let reply = await ask('return http.get("URL/after", { retry = { min = "10ms" } })');
    assert.equal(reply.status, 200);
    assert.ok(times[1] - times[0] >= 1000, `${times[1] - times[0]}`);
    reply = await ask('return http.get("URL/date", { retry = { min = "10ms" } })');
    assert.equal(reply.status, 200);
    assert.ok(times[1] - times[0] >= 900, `${times[1] - times[0]}`);
    for (const far of ['far', 'farther', 'farthest', 'never']) { // it cannot wait that long: the reply as it is, at once
        reply = await ask(`return http.get("URL/${far}", { retry = { min = "10ms" } })`);
        assert.deepEqual([far, reply.status, up.requests.length], [far, 503, 1]);
    }
    await sleep(10);
    reply = await ask('return http.get("URL/down", { retry = { attempts = 4, min = "1ms" }, timeout = "9s" })');
    assert.deepEqual([reply.status, reply.body, up.requests.length], [502, 'down', 4]);
    reply = await ask('return http.get("URL/down", { retry = { attempts = 2, min = "1ms" }, expect = "2xx" })');
    assert.deepEqual([reply.code, reply.err_status, reply.attempts, up.requests.length], ['status', 502, 2, 2]);
    assert.match(reply.words, /after 2 attempts/);
    reply = await ask('return http.post("URL/down", { retry = { attempts = 4, min = "1ms" } })');
    assert.deepEqual([reply.status, up.requests.length], [502, 1]);
    reply = await ask('return http.post("URL/down", { retry = { attempts = 4, min = "1ms", statuses = { 502 }, idempotent = true }, body = "same" })');
    assert.deepEqual([reply.status, up.requests.map((r) => r.body)], [502, ['same', 'same', 'same', 'same']]);
    reply = await ask('return http.get("URL/break", { retry = { attempts = 3, min = "1ms" } })');
    assert.deepEqual([reply.status, up.requests.length], [200, 3]);
    reply = await ask('return http.post("URL/break", { retry = { attempts = 3, min = "1ms" } })');
    assert.deepEqual([reply.code, up.requests.length], ['closed', 1]);
    reply = await ask('return http.get("URL/slow", { retry = { attempts = 3, min = "1ms", timeout = "150ms" } })');
    assert.deepEqual([reply.code, reply.attempts], ['timeout', 3]);
    const port = await nobody();
    reply = await lua(server, `return http.post("http://127.0.0.1:${port}/", { retry = { attempts = 3, min = "1ms" } })`); // nothing was sent
    assert.deepEqual([reply.code, reply.attempts], ['refused', 3]);
    // the whole is bounded by timeout
    const begun = Date.now();
    reply = await lua(server, `return http.get("http://127.0.0.1:${port}/", { retry = { attempts = 20, min = "100ms" }, timeout = "400ms" })`);
    assert.ok(reply.attempts < 8 && Date.now() - begun < ms(2000), JSON.stringify(reply));
});

test('retry: a Retry-After is for the call that gets it: no other one to that host waits', async (t) => {
    const up = await plain(t, (req, res) => req.url === '/busy' && (res.writeHead(429, { 'retry-after': '10' }), res.end(), true));
    const server = await serve(t);
    const get = (where, timeout) => lua(server, `return http.get("${up.url}${where}", { retry = { min = "1ms" }, timeout = "${timeout}" })`);
    assert.equal((await get('/busy', '8s')).status, 429); // that long it cannot wait
    const begun = Date.now();
    assert.equal((await get('/', '19s')).status, 200);
    assert.ok(Date.now() - begun < ms(5000), `${Date.now() - begun}`);
    assert.deepEqual(up.requests.map((r) => r.url), ['/busy', '/']);
});

test('a host that fails again and again is left alone, then tried again', async (t) => {
    const server = await serve(t);
    const port = await nobody();
    const codes = [];
    for (let i = 0; i < 12; i++) codes.push((await lua(server, `return http.get("http://127.0.0.1:${port}/")`)).code);
    assert.deepEqual(codes, [...Array(10).fill('refused'), 'circuit_open', 'circuit_open']);
    const up = await bare(t, (socket) => socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')));
    assert.equal((await lua(server, `return http.get("${up.url}")`)).status, 200); // another host has nothing to do with it
    await until(async () => (await lua(server, `return http.get("http://127.0.0.1:${port}/")`)).code === 'refused', 'a probe');
    assert.equal((await lua(server, `return http.get("http://127.0.0.1:${port}/")`)).code, 'circuit_open');
});

test('concurrency: at most so many at once, the others in turn', async (t) => {
    let now = 0, most = 0;
    const up = await plain(t, async (req, res) => {
        most = Math.max(most, ++now);
        await sleep(20);
        now--;
        res.end('x');
        return true;
    });
    const server = await serve(t, { hooks: { 'one.lua': `return function() return assert(http.get("${up.url}/", { concurrency = 3 })).body end` } });
    const replies = await Promise.all(Array.from({ length: 30 }, () => server.get('/one')));
    assert.ok(replies.every((r) => r.text === 'x'));
    assert.equal(most, 3);
    // who waits for a turn waits within its own time
    await lua(server, `return http.get("${up.url}/")`);
    const [slow, reply] = await Promise.all([lua(server, `return http.get("${up.url}/", { concurrency = 1 })`),
        sleep(5).then(() => lua(server, `return http.get("${up.url}/", { concurrency = 1, timeout = "5ms" })`))]);
    assert.equal(slow.status, 200);
    assert.equal(reply.code, 'timeout');
});

test('a streamed reply: piece by piece, with its failure', async (t) => {
    const up = await plain(t, async (req, res) => {
        if (req.url === '/pieces') {
            for (let i = 0; i < 5; i++) {
                res.write(`piece ${i}\n`);
                await sleep(30);
            }
            res.end();
            return true;
        }
        if (req.url === '/breaks') {
            res.writeHead(200, { 'content-length': 100 });
            res.write('half');
            setTimeout(() => res.socket.destroy(), 30);
            return true;
        }
        if (req.url === '/500') return res.writeHead(500), res.end('no'), true;
        if (req.url === '/drip') {
            res.write('first');
            return true;
        }
    });
    const server = await serve(t);
    const ask = async (text) => (await lua(server, text.replaceAll('URL', up.url)));
    let reply = await ask('local r = assert(http.get("URL/pieces", { stream = true })) local out = { r.status, r.headers["Transfer-Encoding"] } for p in r:pieces() do out[#out + 1] = p end return out');
    assert.equal(reply.value.slice(2).join(''), 'piece 0\npiece 1\npiece 2\npiece 3\npiece 4\n');
    assert.ok(reply.value.length > 4);
    reply = await ask('local r = assert(http.get("URL/pieces", { stream = true })) local n = 0 while true do local p, err = r:read() if not p then return { n, err == nil, r:read() == nil } end n = n + #p end');
    assert.deepEqual(reply.value, [40, true, true]);
    reply = await ask('local r = assert(http.get("URL/breaks", { stream = true })) r:read() return r:read()');
    assert.equal(reply.code, 'closed');
    reply = await ask('local r = assert(http.get("URL/breaks", { stream = true })) for p in r:pieces() do end');
    assert.match(reply.raised, /the connection ended before the reply did/);
    reply = await ask('return http.get("URL/500", { stream = true, expect = "2xx" })');
    assert.deepEqual([reply.code, reply.err_status], ['status', 500]);
    reply = await ask(`local r, err = http.get("URL/500", { stream = true, expect = "2xx" })
        local e = err.response
        local piece, why = e:read()
        return { e.status, e.url, e.headers["Connection"], #e:all_headers("connection"), tostring(piece), tostring(why), why.code }`);
    assert.deepEqual(reply.value, [500, `${up.url}/500`, 'keep-alive', 1, 'nil', 'GET the reply was not expected, so its transfer was ended', 'closed']);
    reply = await ask('for i = 1, 200 do local r, err = http.get("URL/500", { stream = true, expect = "2xx" }) if not err.response then return i end end return "all"');
    assert.equal(reply.value, 'all'); // none of them holds up those behind it
    reply = await ask('local r = http.get("URL/drip", { stream = true, timeout = "200ms" }) r:read() return r:read()');
    assert.equal(reply.code, 'timeout');
    reply = await ask('local r = http.get("URL/pieces", { stream = true }) r:close() return r:read()');
    assert.match(reply.raised, /has been closed/);
    reply = await ask('local r = http.get("URL/pieces", { stream = true }) return r.body');
    assert.match(reply.raised, /a streamed response has no body/);
    reply = await ask('local r = http.get("URL/pieces", { stream = true, max_body = 10 }) local n, p, err = 0 repeat p, err = r:read() until not p return nil, err');
    assert.equal(reply.code, 'too_large');
    assert.equal((await ask(`return http.get("http://127.0.0.1:${await nobody()}", { stream = true })`)).code, 'refused');
    await until(() => up.sockets.size <= 2, 'connections of streams that were left are closed');
});

test('a large reply goes through to a slow client in little memory', async (t) => {
    const size = 200 << 20;
    const chunk = Buffer.alloc(1 << 20, 'x');
    let sent = 0;
    const up = await plain(t, async (req, res) => {
        res.writeHead(200, { 'content-length': size, 'content-type': 'video/x' });
        const push = () => {
            while (sent < size) {
                sent += chunk.length;
                if (!res.write(chunk)) return res.once('drain', push);
            }
            res.end();
        };
        push();
        return true;
    });
    const server = await serve(t, { hooks: { 'through.lua': `return function()
        local r = assert(http.get("${up.url}/", { stream = true, expect = 200 }))
        return reply.stream(function(write) for piece in r:pieces() do write(piece) end end, { type = r.headers["content-type"], headers = { ["x-length"] = r.headers["content-length"] } })
    end` } });
    const worker = server.children('worker')[0];
    const rss = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${worker}/status`, 'utf8'))[1]) / 1024;
    await server.get('/through?warm').catch(() => {});
    sent = 0;
    const before = rss();
    let most = 0, got = 0;
    await new Promise((done, fail) => {
        import('node:http').then(({ default: http }) => http.get(`${server.url}/through`, (res) => {
            assert.equal(res.headers['content-type'], 'video/x');
            assert.equal(res.headers['x-length'], String(size));
            const timer = setInterval(() => { most = Math.max(most, rss()); }, 20);
            // slow at first: the host must be held back
            res.pause();
            setTimeout(() => {
                assert.ok(sent < 64 << 20, `${sent} bytes were taken from the host for a client that reads nothing`);
                res.resume();
            }, 500);
            res.on('data', (part) => { got += part.length; }).on('end', () => (clearInterval(timer), done())).on('error', fail);
        }).on('error', fail));
    });
    assert.equal(got, size);
    if (!process.env.CRESCENT_SANITIZE) assert.ok(most - before < 32, `${before} → ${most} MiB`);
});

test('who no longer waits ends the transfer: deadline, client gone, a failed stream', async (t) => {
    let closed = 0;
    const up = await plain(t, (req, res) => {
        req.socket.once('close', () => closed++);
        if (req.url === '/endless') {
            const timer = setInterval(() => res.write('x'.repeat(1000)), 5);
            res.on('close', () => clearInterval(timer));
        }
        return true;
    });
    const server = await serve(t, { hooks: {
        'late.lua': `return { methods = { "GET" }, timeout = "200ms", handle = function() http.get("${up.url}/silent", { timeout = "60s" }) return 200 end }`,
        'gone.lua': `return { methods = { "GET" }, on_disconnect = "cancel", handle = function() http.get("${up.url}/silent") return 200 end }`,
        'pipe.lua': `return function() local r = http.get("${up.url}/endless", { stream = true })
            return reply.stream(function(write) for p in r:pieces() do write(p) end end) end`,
        'fails.lua': `return function() local r = http.get("${up.url}/endless", { stream = true }) r:read() error "no" end`,
        'left.lua': `return function() local r = http.get("${up.url}/endless", { stream = true }) r:read() return 200 end`,
    } });
    assert.equal((await server.get('/late')).status, 504);
    await until(() => closed === 1, 'the host sees the end of the deadline');
    await assert.rejects(request(`${server.url}/gone`, { limit: 300 }));
    await until(() => closed === 2, 'the host sees that the client has gone');
    await new Promise((done) => import('node:http').then(({ default: http }) => {
        const req = http.get(`${server.url}/pipe`, (res) => res.once('data', () => (req.destroy(), done())));
        req.on('error', () => {});
    }));
    await until(() => closed === 3, 'the host sees that the stream\'s client has gone');
    assert.equal((await server.get('/fails')).status, 500);
    await until(() => closed === 4, 'the host sees that the script failed');
    assert.equal((await server.get('/left')).status, 200);
    await until(() => closed === 5, 'the host sees that nobody reads on', 30000);
});

test('a configuration can forbid private addresses', async (t) => {
    const up = await plain(t);
    const server = await serve(t, { config: 'return { http_private = false }' });
    assert.equal((await lua(server, `return http.get("${up.url}")`)).code, 'address_refused');
    assert.match((await lua(server, `return http.get("${up.url}", { private = true })`)).raised, /the setting http_private forbids it/);
    assert.equal(up.requests.length, 0);
    const open = await serve(t, { config: 'return { http_private = true }' });
    assert.equal((await lua(open, `return http.get("${up.url}", { private = true })`)).status, 200);
    assert.equal((await lua(open, `return http.get("${up.url}", { private = false })`)).code, 'address_refused');
});

test('paths of certificates start at the configuration\'s folder', async (t) => {
    const dir = folder(t);
    const ca = await authority(dir);
    const up = await secure(t, await ca.issue('up', { names: ['localhost'] }));
    fs.mkdirSync(path.join(dir, 'pki'));
    fs.copyFileSync(ca.cert, path.join(dir, 'pki/ca.pem'));
    const server = await serve(t, { dir });
    assert.equal((await lua(server, `return http.get("${up.url}", { ca = "pki/ca.pem" })`)).status, 200);
});
