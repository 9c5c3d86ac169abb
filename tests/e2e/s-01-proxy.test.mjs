// reply.proxy: what reaches the upstream, what comes back, and how fast: on each version, for any size.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import { test } from 'node:test';
import zlib from 'node:zlib';
import { authority } from './authority.mjs';
import { assertProblem, certificate, folder, ms, raw, request, request2, session, sleep, start, tool, until } from './helper.mjs';
import { open0, open1, open2, streamsAre } from './streams.mjs';
import { echo, upstream } from './proxied.mjs';

/** A script of every path (or another) whose answer is reply.proxy(…); made: before all requests, not at each. */
const proxying = (url, opts = '', { made = false, path = ['/', '/*rest'], fields = '' } = {}) => {
    const call = `reply.proxy(${typeof url === 'string' ? JSON.stringify(url) : `{ ${url.map((u) => JSON.stringify(u)).join(', ')} }`}${opts ? `, { ${opts} }` : ''})`;
    const at = `{ ${[path].flat().map((p) => JSON.stringify(p)).join(', ')} }`;
    return made ? `local up = ${call}\nreturn { path = ${at}, methods = { "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND" }, handle = function(req) return up end, ${fields} }`
        : `return { path = ${at}, methods = { "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND" }, handle = function(req) return ${call} end, ${fields} }`;
};
const memoryOf = (pid, name = 'VmRSS') => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

test('the request goes there as it came, but for what belongs to its connection and who it says it is from', async (t) => {
    const up = await upstream(t);
    const server = await start(t, { workers: 1, hooks: { 'a.lua': proxying(up.url), 'once.lua': proxying(up.url, 'strip = "/once"', { made: true, path: '/once/*rest' }) } });
    const h2 = await session(t, server.url);
    const headers = { 'X-Mine': 'a, b', Accept: 'text/css', Authorization: 'Bearer x', Cookie: 'a=1; b=2', 'User-Agent': 'me/1', 'If-None-Match': '"x"', Range: 'bytes=0-1' };
    const lies = { 'X-Forwarded-For': '1.2.3.4', 'X-Forwarded-Proto': 'gopher', 'X-Real-IP': '1.2.3.4', Forwarded: 'for=1.2.3.4', 'X-Request-Id': 'mine' };
    for (const [version, ask] of [['1.1', (m, b) => server.request('/x%2Fy//z?q=%20&r', { method: m, body: b, headers: { ...headers, ...lies, Connection: 'X-Gone, keep-alive', 'X-Gone': '1', TE: 'trailers', 'Keep-Alive': 'timeout=1' } })],
        ['2', (m, b) => request2(h2, '/x%2Fy//z?q=%20&r', { method: m, body: b, headers: { ...headers, ...lies } })]]) {
        for (const [method, body] of [['GET'], ['POST', 'hello'], ['PUT', ''], ['DELETE'], ['PATCH', '{}'], ['OPTIONS'], ['PROPFIND', '<x/>']]) {
            const answer = await ask(method, body);
            assert.equal(answer.status, 200, answer.text);
            const { headers: got, ...rest } = answer.json;
            assert.deepEqual([rest.method, rest.url, rest.body], [method, '/x%2Fy//z?q=%20&r', body ?? '']);
            for (const [name, value] of Object.entries(headers)) assert.equal(got[name.toLowerCase()], value, name);
            assert.deepEqual([got['x-forwarded-for'], got['x-forwarded-proto'], got['x-forwarded-host'], got.via], ['127.0.0.1', 'http', new URL(server.url).host, `${version} crescent`]);
            for (const name of ['x-real-ip', 'forwarded', 'x-gone', 'te', 'keep-alive', 'expect', 'transfer-encoding', 'traceparent']) assert.equal(got[name], undefined, name);
            assert.equal(got.host, `127.0.0.1:${up.port}`);
            assert.equal(got['content-length'], body === undefined ? undefined : String(body.length), method);
            const record = await server.said((r) => r.request_id === got['x-request-id'] && r.message === 'request');
            assert.equal(record.upstream, up.url);
            assert.ok(record.upstream_ms > 0 && record.upstream_ms <= record.duration_ms, JSON.stringify(record));
        }
    }
    // An upstream that takes '_' for '-' is not told that it is somebody else.
    const twins = await raw(server.port, 'GET /twins HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1.2.3.4\r\nx_real_ip: 1.2.3.4\r\nX_Mine: 1\r\nConnection: close\r\n\r\n');
    assert.match(twins.text, /^HTTP\/1\.1 200 /);
    assert.deepEqual(Object.keys(up.last().headers).filter((name) => name.includes('_')), ['x_mine']);
    // What the client does not say is not said for it.
    const bare = await raw(server.port, 'GET /bare HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.match(bare.text, /^HTTP\/1\.1 200 /);
    assert.deepEqual(Object.keys(up.last().headers).sort(), ['host', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-request-id']);
    const old = await raw(server.port, 'GET /old HTTP/1.0\r\n\r\n');
    assert.match(old.text, /^HTTP\/1\.[01] 200 /);
    assert.equal(up.last().headers.via, '1.0 crescent');
    const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const traced = (await server.get('/once/traced', { traceparent: parent, tracestate: 'a=b' })).json;
    assert.match(traced.headers.traceparent, /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/);
    assert.notEqual(traced.headers.traceparent, parent);
    assert.deepEqual([traced.headers.tracestate, traced.url], ['a=b', '/traced']);
    assert.ok(up.connections <= 3, `${up.connections} connections for ${up.asked.length} requests`);
    assert.equal(await server.metric('crescent_upstream_requests_total'), up.asked.length);
});

test('the reply comes back as it was: status, header, coding, ranges, and none where there is none', async (t) => {
    const zipped = zlib.gzipSync('x'.repeat(5000));
    const up = await upstream(t, (req, res) => {
        const { pathname, searchParams } = new URL(req.url, 'http://a');
        const status = Number(searchParams.get('status') ?? 200);
        if (pathname === '/cookies') res.setHeader('Set-Cookie', ['a=1; Path=/', 'b=2; HttpOnly']);
        if (pathname === '/gzip') res.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Length': zipped.length, 'X-Own': 'Mixed Case', ETag: 'W/"1"' }).end(zipped);
        else if (pathname === '/range') res.writeHead(206, { 'Content-Range': 'bytes 0-1/5', 'Content-Length': 2 }).end('ab');
        else if (pathname === '/hop') res.writeHead(200, { Connection: 'X-Secret', 'X-Secret': '1', 'Keep-Alive': 'timeout=9', 'Proxy-Authenticate': 'Basic', Server: 'theirs', Date: 'Thu, 01 Jan 1970 00:00:00 GMT', Upgrade: 'h2c' }).end('x');
        else if (pathname === '/length') res.writeHead(status, { 'Content-Length': 3 }).end([204, 304].includes(status) ? undefined : 'abc');
        else if (pathname === '/pieces') { res.writeHead(status); res.write('one,'); setTimeout(() => res.end('two'), ms(50)); }
        else if (pathname === '/early') { res.writeEarlyHints({ link: '</a.css>; rel=preload' }); res.end('late'); }
        else if (pathname === '/redirect') res.writeHead(302, { Location: `http://127.0.0.1:${up.port}/login?x` }).end();
        else res.end('');
    });
    const tls = await certificate(folder(t));
    const server = await start(t, { workers: 1, hooks: { 'a.lua': proxying(up.url) }, listen: ['http://127.0.0.1:0', 'https://127.0.0.1:0'], args: tls.args });
    const h2 = await session(t, server.urls[1], { rejectUnauthorized: false });
    for (const get of [(p, o) => server.request(p, o), (p, o) => request2(h2, p, o)]) {
        const cookies = await get('/cookies');
        assert.deepEqual(cookies.headers['set-cookie'], ['a=1; Path=/', 'b=2; HttpOnly']);
        const gzip = await get('/gzip', { headers: { 'accept-encoding': 'gzip' } });
        assert.deepEqual([gzip.headers['content-encoding'], gzip.headers['content-length'], gzip.headers['x-own'], gzip.headers.etag], ['gzip', String(zipped.length), 'Mixed Case', 'W/"1"']);
        assert.equal(zlib.gunzipSync(gzip.body).length, 5000);
        assert.equal(up.last().headers['accept-encoding'], 'gzip');
        const range = await get('/range', { headers: { range: 'bytes=0-1' } });
        assert.deepEqual([range.status, range.headers['content-range'], range.text], [206, 'bytes 0-1/5', 'ab']);
        assert.equal(up.last().headers.range, 'bytes=0-1');
        const hop = await get('/hop');
        assert.deepEqual(['x-secret', 'keep-alive', 'proxy-authenticate', 'upgrade'].map((n) => hop.headers[n]), [undefined, undefined, undefined, undefined]);
        assert.equal(hop.headers.server, 'crescent');
        assert.ok(Math.abs(Date.parse(hop.headers.date) - Date.now()) < 60000);
        for (const status of [200, 201, 205, 299, 301, 404, 500, 503, 599]) {
            const sized = await get(`/length?status=${status}`);
            assert.deepEqual([sized.status, sized.text, sized.headers['content-length']], [status, 'abc', '3']);
            const pieces = await get(`/pieces?status=${status}`);
            assert.deepEqual([pieces.status, pieces.text], [status, 'one,two']);
        }
        for (const status of [204, 304]) {
            const none = await get(`/length?status=${status}`);
            assert.deepEqual([none.status, none.text], [status, '']);
        }
        const head = await get('/length', { method: 'HEAD' });
        assert.deepEqual([head.status, head.body.length, head.headers['content-length']], [200, 0, '3']);
        assert.equal(up.last().method, 'HEAD');
        assert.equal((await get('/early')).text, 'late');
        assert.equal((await get('/redirect')).headers.location, '/login?x');
        assert.equal((await get('/nothing')).text, '');
    }
    // The framing is right for who reads several answers of one connection.
    const kept = await raw(server.port, ['HEAD /length', 'GET /length?status=304', 'GET /pieces', 'GET /length?status=204', 'GET /length', 'HEAD /pieces', 'GET /nothing']
        .map((line, i, all) => `${line} HTTP/1.1\r\nHost: a\r\n${i === all.length - 1 ? 'Connection: close\r\n' : ''}\r\n`).join(''));
    assert.deepEqual(kept.text.match(/HTTP\/1\.1 \d+/g).map((l) => l.slice(9)), ['200', '304', '200', '204', '200', '200', '200'], kept.text);
    const old = open0(server.port, 'GET /pieces HTTP/1.0\r\n\r\n');
    assert.equal(await old.ended(), 'clean');
    assert.ok(old.text.endsWith('one,two'), old.text);
    await streamsAre(server, 0);
});

test('options: host, method, body, strip, headers both ways, a query of its own; misuse is an error in words', async (t) => {
    const up = await upstream(t, (req, res, body) => {
        res.setHeader('x-theirs', 'secret');
        res.setHeader('cache-control', 'no-store');
        echo(req, res, body);
    });
    const server = await start(t, { workers: 1, hooks: {
        'a.lua': proxying(`${up.url}/v2`, 'strip = "/api", host = "pass", headers = { ["X-A"] = "1", cookie = false, ["x-list"] = { "a", 5 }, via = false, ["user-agent"] = "gate" }, response_headers = { ["x-theirs"] = false, ["Cache-Control"] = "public", ["set-cookie"] = { "a=1", "b=2" } }', { path: '/api/*rest' }),
        'b.lua': proxying(`${up.url}/fixed?own=1`, 'host = "inner.example", method = "PUT", body = "instead"', { path: '/b' }),
        'c.lua': proxying(up.url, 'body = false, method = "GET"', { path: '/c' }),
        'd.lua': proxying(up.url, 'strip = "/other"', { path: '/d' }),
        'e.lua': 'return function(req)\n  local r = reply.proxy("http://127.0.0.1:1", { hedaers = {} })\n  return r\nend',
        'f.lua': 'return { methods = { "GET" }, handle = function(req) sleep "10ms" return reply.proxy(req.query.url) end }',
    } });
    const a = await server.get('/api/x/%79?q', { 'x-a': 'old', cookie: 'a=b', host: 'public.example' });
    assert.deepEqual([a.json.url, a.json.headers.host, a.json.headers['x-a'], a.json.headers.cookie, a.json.headers['x-list'], a.json.headers.via, a.json.headers['user-agent']],
        ['/v2/x/%79?q', 'public.example', '1', undefined, 'a, 5', undefined, 'gate']);
    assert.deepEqual([a.headers['x-theirs'], a.headers['cache-control'], a.headers['set-cookie']], [undefined, 'public', ['a=1', 'b=2']]);
    const b = await server.post('/b?theirs=1', 'sent', { 'content-type': 'text/x' });
    assert.deepEqual([b.json.method, b.json.url, b.json.headers.host, b.json.body, b.json.headers['content-type']], ['PUT', '/fixed?own=1', 'inner.example', 'instead', 'text/x']);
    const c = await server.post('/c', 'sent', { 'content-type': 'text/x' });
    assert.deepEqual([c.json.method, c.json.body, c.json.headers['content-length'], c.json.headers['content-type']], ['GET', '', undefined, undefined]);
    assertProblem(await server.get('/d'), 500);
    await server.said((r) => String(r.error).includes('does not begin with what shall be stripped'));
    assertProblem(await server.get('/e'), 500);
    await server.said((r) => /e\.lua:2: reply\.proxy: unknown option 'hedaers' \(did you mean 'headers'\?\)/.test(String(r.error)));
    assert.equal((await server.get(`/f?url=${encodeURIComponent(up.url)}`)).json.url, `/f?url=${encodeURIComponent(up.url)}`);
    assertProblem(await server.get('/f?url=nonsense'), 500);
});

test('bodies of any size go there whole, raw, and without asking for leave first', async (t) => {
    const up = await upstream(t, (req, res, body) => res.end(`${body.length} ${crypto.createHash('sha256').update(body).digest('hex')}`));
    const server = await start(t, { workers: 1, config: 'return { limits = { body = "64MiB" } }', hooks: { 'a.lua': proxying(up.url, '', { fields: 'max_body = "64MiB"' }) } });
    const h2 = await session(t, server.url);
    const body = crypto.randomBytes(40 << 20);
    const expected = `${body.length} ${crypto.createHash('sha256').update(body).digest('hex')}`;
    assert.equal((await server.post('/', body)).text, expected);
    assert.equal((await request2(h2, '/', { method: 'POST', body })).text, expected);
    const chunked = await request(`${server.url}/`, { method: 'PUT', body: body.subarray(0, 100000), headers: { 'transfer-encoding': 'chunked' } });
    assert.equal(chunked.text.split(' ')[0], '100000');
    assert.deepEqual([up.last().headers['content-length'], up.last().headers['transfer-encoding']], ['100000', undefined]);
    const zipped = zlib.gzipSync(body.subarray(0, 50000));
    assert.equal((await server.post('/', zipped, { 'content-encoding': 'gzip' })).text.split(' ')[0], String(zipped.length));
    assert.equal(up.last().headers['content-encoding'], 'gzip');
    const expects = await tool('curl', ['-sS', '-H', 'Expect: 100-continue', '--data-binary', 'x'.repeat(3000), `${server.url}/`]);
    assert.equal(expects.split(' ')[0], '3000');
    assert.ok(up.asked.every((a) => a.headers.expect === undefined));
});

test('200 MiB come through whole and in little memory; a slow reader holds the upstream back', async (t) => {
    const block = Buffer.alloc(1 << 20, 'crescent'), blocks = 200;
    let written = 0;
    const up = await upstream(t, (req, res) => {
        if (req.url === '/sized') res.setHeader('content-length', blocks * block.length);
        let left = blocks;
        written = 0;
        const more = () => {
            while (left > 0) {
                left--;
                written += block.length;
                if (!res.write(block)) return res.once('drain', more);
            }
            return res.end();
        };
        more();
    });
    const server = await start(t, { workers: 1, hooks: { 'a.lua': proxying(up.url) } });
    const [worker] = server.children('worker');
    const whole = crypto.createHash('sha256');
    for (let i = 0; i < blocks; i++) whole.update(block);
    const expected = whole.digest('hex');
    await server.get('/warm');
    fs.writeFileSync(`/proc/${worker}/clear_refs`, '5');
    const before = memoryOf(worker);
    for (const path of ['/sized', '/chunked'])
        for (const version of ['--http1.1', '--http2-prior-knowledge'])
            assert.equal((await tool('sh', ['-c', `curl -sSf ${version} ${server.url}${path} | sha256sum | cut -c1-64`])).trim(), expected);
    const h2 = await session(t, server.url);
    for (const open of [() => open1(`${server.url}/sized`, { counting: true }), () => open1(`${server.url}/chunked`, { counting: true }), () => open2(h2, '/sized', { counting: true }), () => open2(h2, '/chunked', { counting: true })]) {
        const s = await open();
        for (let i = 0; i < 10; i++) { // about 100 KB/s
            s.resume();
            await sleep(5);
            s.pause();
            await sleep(100);
        }
        let last = -1;
        await until(async () => { const same = last === written; last = written; await sleep(200); return same && last === written; }, 'the upstream to wait');
        assert.ok(written < blocks * block.length, `the upstream has written ${written >> 20} MiB to a reader of ${s.bytes} bytes`);
        const one = up.last();
        s.leave();
        await until(() => one.closed, 'the upstream to hear that nobody reads any more');
    }
    const added = memoryOf(worker, 'VmHWM') - before;
    if (!process.env.CRESCENT_TIME_FACTOR) assert.ok(added < 12, `${added.toFixed(1)} MiB more`);
    await streamsAre(server, 0);
});

test('what the upstream writes is there at once: no piece waits for the next', async (t) => {
    const up = await upstream(t, (req, res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' });
        res.write('data: 0\n\n');
        let n = 1;
        const timer = setInterval(() => { res.write(`data: ${n}\n\n`); if (n++ === 4) { clearInterval(timer); res.end(); } }, 100);
    });
    const server = await start(t, { workers: 1, hooks: { 'a.lua': proxying(up.url) } });
    const h2 = await session(t, server.url);
    for (const s of [await open1(`${server.url}/`), await open2(h2, '/')]) {
        assert.equal(await s.ended(), 'clean');
        assert.equal(s.text, [0, 1, 2, 3, 4].map((n) => `data: ${n}\n\n`).join(''));
        assert.ok(s.pieces.length >= 4 && s.pieces.at(-1) - s.pieces[0] >= 200, String(s.pieces));
    }
});

test('a client that leaves ends the transfer at once: before the header, in silence, in the middle of the body', async (t) => {
    const up = await upstream(t, (req, res) => {
        if (req.url.startsWith('/silent')) { res.writeHead(200); res.write('x'); }
        if (req.url.startsWith('/flood')) { res.on('error', () => {}); const more = () => { while (res.write(Buffer.alloc(65536))); res.once('drain', more); }; more(); }
        if (req.url.startsWith('/late')) setTimeout(() => res.end('done'), ms(1500));
    });
    const server = await start(t, { workers: 1, hooks: { 'a.lua': proxying(up.url, 'timeout = "60s"') } });
    const h2 = await session(t, server.url);
    const gone = async (one, limit = 3000) => until(() => one.closed, 'the upstream to hear of it', limit);
    for (const [path, open] of [['/silent', () => open1(`${server.url}/silent`)], ['/silent', () => open2(h2, '/silent')], ['/flood', () => open1(`${server.url}/flood`, { counting: true })], ['/flood', () => open2(h2, '/flood', { counting: true })]]) {
        const s = await open();
        await until(() => s.bytes > 0, 'some of it');
        const one = up.last();
        assert.equal(one.url, path);
        assert.equal(one.closed, undefined);
        s.leave();
        await gone(one);
        assert.ok(!one.finished);
    }
    // Nothing of an answer yet: a GET ends, a POST is finished.
    const before = up.asked.length;
    const req = http.get(`${server.url}/never`, { agent: false });
    req.on('error', () => {});
    await until(() => up.asked.length === before + 1, 'the request');
    req.destroy();
    await gone(up.last());
    const stream = h2.request({ ':path': '/never' });
    stream.on('error', () => {});
    await until(() => up.asked.length === before + 2, 'the request');
    stream.close(8);
    await gone(up.last());
    for (const post of [
        () => { const r = http.request(`${server.url}/late`, { method: 'POST', agent: false }); r.on('error', () => {}).end('body'); return () => r.destroy(); },
        () => { const s = h2.request({ ':path': '/late', ':method': 'POST' }); s.on('error', () => {}).end('body'); return () => s.close(8); }]) {
        const count = up.asked.length;
        const leave = post();
        await until(() => up.asked.length === count + 1 && up.last().body, 'the request');
        leave();
        await gone(up.last(), 10000);
        assert.equal(up.last().finished, true);
        assert.equal(up.last().body.toString(), 'body');
    }
    await until(async () => await server.metric('crescent_requests_under_way') === 0, 'all to end', 10000);
    await streamsAre(server, 0);
});

test('an upstream of TLS is verified; a certificate of ours is shown to it', async (t) => {
    const dir = folder(t);
    const ca = await authority(dir), other = await authority(dir, 'other');
    const pair = await ca.issue('up', { names: ['localhost'] }), mine = await ca.issue('me', { names: ['gate'] });
    const tls = { cert: fs.readFileSync(pair.cert), key: fs.readFileSync(pair.key), ca: fs.readFileSync(ca.cert), requestCert: true, rejectUnauthorized: false };
    const up = await upstream(t, (req, res) => res.end(`${req.socket.authorized} ${req.socket.getPeerCertificate().subject?.CN} ${req.httpVersion}`), { tls });
    const server = await start(t, { workers: 1, dir, hooks: {
        'good.lua': proxying(up.url, `ca = "${ca.cert}"`, { path: '/good' }), 'bad.lua': proxying(up.url, `ca = "${other.cert}"`, { path: '/bad' }),
        'system.lua': proxying(up.url, '', { path: '/system' }), 'name.lua': proxying(`https://127.0.0.1:${up.port}`, `ca = "${ca.cert}"`, { path: '/name' }),
        'mutual.lua': proxying(up.url, `ca = "${ca.cert}", cert = "me.pem", key = "me.key"`, { path: '/mutual' }) } });
    for (let i = 0; i < 3; i++) {
        assert.equal((await server.get('/good')).text, 'false undefined 1.1');
        assert.equal((await server.get('/mutual')).text, 'true me 1.1');
        for (const path of ['/bad', '/system', '/name']) {
            const answer = await server.get(path);
            assertProblem(answer, 502);
            assert.equal(answer.json.detail, 'the upstream could not be reached');
        }
    }
    await server.said((r) => r.code === 'tls' && r.upstream === `https://localhost:${up.port}`);
    assert.ok(up.connections <= 2 + 3, `${up.connections} connections`); // a wrong name shows after the handshake
});

test('several upstreams share the work: each in turn, the busy ones less', async (t) => {
    const ups = [];
    for (let i = 0; i < 3; i++) ups.push(await upstream(t, (req, res) => setTimeout(() => res.end(String(i)), req.url === '/slow' && i === 0 ? ms(500) : 0)));
    const server = await start(t, { workers: 1, hooks: { 'a.lua': proxying(ups.map((u) => u.url)), 'b.lua': proxying(ups.map((u) => u.url), '', { made: true, path: '/made' }) } });
    const got = [];
    for (let i = 0; i < 9; i++) got.push((await server.get('/made')).text);
    assert.deepEqual([...got].sort(), ['0', '0', '0', '1', '1', '1', '2', '2', '2']);
    assert.equal(got.slice(0, 3).join() === got.slice(3, 6).join() && got.slice(0, 3).join() === got.slice(6).join(), true, got.join());
    let answered = 0;
    const slow = Array.from({ length: 3 }, () => server.get('/slow').then(() => answered++));
    await until(() => ups[0].asked.filter((a) => a.url === '/slow').length === 1 && answered === 2, 'the slow one alone');
    for (let i = 0; i < 6; i++) assert.notEqual((await server.get('/')).text, '0');
    await Promise.all(slow);
});

test('a drain waits for what is under way', async (t) => {
    const up = await upstream(t, (req, res) => {
        if (req.url === '/late') setTimeout(() => res.end('late'), ms(700));
        else { res.write('begin,'); setTimeout(() => res.end('end'), ms(700)); }
    });
    const server = await start(t, { workers: 1, hooks: { 'a.lua': proxying(up.url) } });
    const streamed = await open1(`${server.url}/streamed`), late = server.get('/late');
    await until(() => up.asked.length === 2, 'both to be asked');
    const stopped = server.stop();
    assert.equal(await streamed.ended(), 'clean');
    assert.equal(streamed.text, 'begin,end');
    assert.equal((await late).text, 'late');
    await stopped;
});
