// http.*: what is sent, what comes back, TLS, redirects, limits. The hosts are node's.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import zlib from 'node:zlib';
import { authority } from './authority.mjs';
import { folder, sleep, start, until } from './helper.mjs';
import { lua, nobody, plain, replying, runner, secure } from './upstreams.mjs';

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
