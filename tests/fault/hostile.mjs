// Requests over HTTP/1.1 that are well formed, nearly so, or not at all, sent in pieces and left at any moment. The same
// generator (fault.mjs) gives the same bytes. `to` says where: {targets, secret}, the latter of GitHub's signature.
import { createHmac } from 'node:crypto';
import net from 'node:net';
import zlib from 'node:zlib';
import { sleep } from '../e2e/helper.mjs';

const methods = ['GET', 'POST', 'POST', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'DELETE', 'TRACE', 'CONNECT', 'PATCH', 'get', 'PRI'];

/** A body with its type, as clients send it. */
function bodyOf(r) {
    const boundary = r.pick(['x', '----WebKitFormBoundaryABC', 'a b', "'()+_,-./:=?"]);
    const part = (n) => `--${boundary}\r\nContent-Disposition: form-data; name="f${n}"; filename="${r.pick(['a.txt', '../../x', 'C:\\y', '\u202Egnp.exe', ''])}"\r\nContent-Type: text/plain\r\n\r\n${'z'.repeat(r.below(300))}\r\n`;
    return r.pick([
        () => ['application/json', JSON.stringify({ a: { b: r.below(1000) }, ref: 'refs/heads/main', list: Array(r.below(20)).fill('x') })],
        () => ['application/json', '['.repeat(r.below(400)) + ']'.repeat(r.below(400))],
        () => ['application/x-www-form-urlencoded', `a=1&b=%${r.below(256).toString(16)}&payload=%7B%22a%22:1%7D`],
        () => [`multipart/form-data; boundary="${boundary}"`, Array.from({ length: r.below(6) }, (_, i) => part(i)).join('') + `--${boundary}--\r\n`],
        () => ['text/plain', r.bytes(r.below(3000))],
        () => ['application/octet-stream', ''],
    ])();
}

function chunked(r, body) {
    const parts = [];
    for (let at = 0; at < body.length;) {
        const size = Math.min(body.length - at, 1 + r.below(200));
        parts.push(Buffer.from(`${size.toString(16)}${r.below(10) ? '' : ';ext=1'}\r\n`), body.subarray(at, at + size), Buffer.from('\r\n'));
        at += size;
    }
    return Buffer.concat([...parts, Buffer.from(r.below(8) ? '0\r\n\r\n' : '0\r\nTrailer: x\r\n\r\n')]);
}

/** One request, mostly well formed. */
export function requestOf(r, to) {
    let [type, text] = bodyOf(r), body = Buffer.from(text);
    const head = [`${r.pick(methods)} ${r.pick(to.targets)} HTTP/1.${r.below(12) ? 1 : 0}`, 'Host: a'];
    if (r.below(5) === 0) {
        const coding = r.pick(['gzip', 'deflate', 'gzip, deflate', 'br', 'x-gzip']);
        if (/gzip/.test(coding)) body = zlib.gzipSync(body);
        else if (coding === 'deflate') body = zlib.deflateSync(body);
        head.push(`Content-Encoding: ${coding}`);
    }
    if (r.below(2)) head.push(`X-Hub-Signature-256: sha256=${createHmac('sha256', to.secret).update(body).digest('hex')}`, `X-GitHub-Event: ${r.pick(['push', 'ping', ''])}`);
    if (r.below(3) === 0) head.push(`Cookie: a=${r.below(100)}; b="${r.below(9)}`);
    if (r.below(12) === 0) head.push(...Array.from({ length: r.below(140) }, (_, i) => `x-${i}: ${'y'.repeat(r.below(300))}`));
    if (r.below(15) === 0) head.push('Expect: 100-continue');
    if (r.below(20) === 0) head.push('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__');
    if (r.below(20) === 0) head.push('traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
    if (r.below(4) === 0) head.push(`Range: bytes=${r.pick([`${r.below(10)}-${r.below(400000)}`, `-${r.below(10)}`, `${r.below(10)}-`, '0-0,2-3', '5-2', '9999999999999999999-'])}`);
    if (r.below(6) === 0) head.push(`${r.pick(['If-Match', 'If-None-Match', 'If-Range'])}: ${r.pick(['*', '"a"', 'W/"a", "b"', '"', 'Sun, 06 Nov 1994 08:49:37 GMT'])}`);
    if (r.below(6) === 0) head.push(`${r.pick(['If-Modified-Since', 'If-Unmodified-Since', 'If-Range'])}: ${r.pick(['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994', 'Sat, 99 Foo 2999 00:00:00 GMT', 'now'])}`);
    head.push(`Content-Type: ${type}`);
    if (r.below(3) === 0) {
        head.push('Transfer-Encoding: chunked');
        body = chunked(r, body);
    } else {
        head.push(`Content-Length: ${r.below(12) ? body.length : r.below(5000)}`);
    }
    return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]);
}

/** Bytes changed, cut, doubled, put in. */
export function spoil(r, bytes) {
    let b = Buffer.from(bytes);
    for (let n = r.below(4); n > 0 && b.length > 0; n--) {
        const at = r.below(b.length), len = r.below(20);
        switch (r.below(6)) {
        case 0: b[at] = r.below(256); break;
        case 1: b = Buffer.concat([b.subarray(0, at), b.subarray(at + len)]); break;
        case 2: b = Buffer.concat([b.subarray(0, at), r.bytes(len), b.subarray(at)]); break;
        case 3: b = Buffer.concat([b.subarray(0, at), b.subarray(at, at + len), b.subarray(at)]); break;
        case 4: b = b.subarray(0, at); break;
        default: b = Buffer.concat([b.subarray(0, at), Buffer.from(r.pick(['\r\n', '\0', ' ', ':', '\r\n\r\n', '%', '\u202e', '4294967296', '-1'])), b.subarray(at)]);
        }
    }
    return b;
}

/** One connection: some requests, in pieces, with or without a pause; then closed, half closed or reset. The text that came back. */
export function connection(r, port, to) {
    return new Promise((done) => {
        const socket = net.connect(port, '127.0.0.1');
        let heard = '';
        const end = () => { socket.destroy(); done(heard); };
        socket.on('data', (part) => { if (heard.length < 1000) heard += part.toString('latin1'); }).on('error', () => {}).on('close', end);
        socket.once('connect', async () => {
            const requests = Array.from({ length: 1 + r.below(4) }, () => r.below(3) ? spoil(r, requestOf(r, to)) : requestOf(r, to));
            let bytes = r.below(30) ? Buffer.concat(requests) : r.bytes(r.below(5000));
            while (bytes.length > 0 && !socket.destroyed) {
                const size = r.below(4) ? bytes.length : 1 + r.below(bytes.length);
                socket.write(bytes.subarray(0, size));
                bytes = bytes.subarray(size);
                if (r.below(4) === 0) await sleep(r.below(6));
            }
            if (r.below(3) === 0) socket.end();
            else if (r.below(3) === 0) socket.resetAndDestroy();
            else setTimeout(end, 5 + r.below(60));
        });
    });
}
