// Certificates for tests, made by openssl on the spot in the test's own folder; and s_client as a client.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { ms, tool } from './helper.mjs';

const kinds = {
    ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
    p384: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384'],
    rsa: ['-newkey', 'rsa:2048'],
    ed25519: ['-newkey', 'ed25519'],
};

/** An authority in dir: {cert, key, issue(name, options), ocsp(pair, options)}; issued by `by` where that is given. */
export async function authority(dir, name = 'ca', by = null) {
    const cert = path.join(dir, `${name}.crt`), key = path.join(dir, `${name}.key`);
    const self = ['req', '-x509', ...kinds.ec, '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-keyout', key, '-out', cert];
    if (by) await sign(dir, name, by, { subject: `/CN=${name}`, extensions: 'basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign' });
    else await tool('openssl', self);
    const me = { cert, key, dir };
    me.issue = (leaf, options) => issue(dir, leaf, me, options);
    me.ocsp = (pair, options) => ocsp(dir, pair, me, options);
    return me;
}

/** The line of a crescent.lua's tls list. */
export const entry = (pair, more = '') => `{ cert = "${pair.cert}", key = "${pair.key}"${more ? `, ${more}` : ''} }`;
export const config = (entries, more = '') => `return { tls = { ${entries.join(', ')} } ${more ? `, ${more}` : ''} }`;

const faketime = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu'].map((at) => `${at}/faketime/libfaketime.so.1`).find(fs.existsSync);
/** openssl, at another time where `when` says so: "-3d". */
function openssl(when, args) {
    if (when && !faketime) throw new Error('libfaketime is not installed: scripts/setup --test');
    return tool('openssl', args, when ? { env: { ...process.env, LD_PRELOAD: faketime, FAKETIME: when } } : {});
}

async function sign(dir, name, by, { subject, extensions, kind = 'ec', days = 2, when }) {
    const file = (end) => path.join(dir, `${name}.${end}`);
    fs.writeFileSync(file('ext'), extensions);
    await tool('openssl', ['req', '-new', ...kinds[kind], '-nodes', '-subj', subject, '-keyout', file('key'), '-out', file('csr')]);
    await openssl(when, ['x509', '-req', '-in', file('csr'), '-CA', by.cert, '-CAkey', by.key, '-CAcreateserial', '-extfile', file('ext'),
        '-out', file('crt'), '-days', String(days)]);
}

/** A certificate for names: {cert (with the issuer's behind it), key, leaf}. san: null for none at all. */
async function issue(dir, name, by, { names = [], san = names.map((n) => `DNS:${n}`).join(','), subject = `/CN=${name}`, kind = 'ec',
    usage, days, when } = {}) {
    const extensions = ['basicConstraints=CA:FALSE', san ? `subjectAltName=${san}` : '', usage ? `extendedKeyUsage=${usage}` : '']
        .filter(Boolean).join('\n');
    await sign(dir, name, by, { subject, extensions, kind, days, when });
    const leaf = path.join(dir, `${name}.crt`), key = path.join(dir, `${name}.key`), cert = path.join(dir, `${name}.pem`);
    fs.writeFileSync(cert, fs.readFileSync(leaf, 'utf8') + fs.readFileSync(by.cert, 'utf8'));
    return { cert, key, leaf };
}

/** An OCSP response about a pair, in a file: status V (good) or R (revoked). */
async function ocsp(dir, pair, by, { status = 'V', name = 'ocsp', when, signer = by } = {}) {
    const file = (end) => path.join(dir, `${name}.${end}`);
    const serial = (await tool('openssl', ['x509', '-in', pair.leaf, '-noout', '-serial'])).trim().replace('serial=', '');
    const revoked = status === 'R' ? '250101000000Z' : '';
    fs.writeFileSync(file('index'), `${status}\t351231235959Z\t${revoked}\t${serial}\tunknown\t/CN=x\n`);
    await tool('openssl', ['ocsp', '-issuer', by.cert, '-cert', pair.leaf, '-no_nonce', '-reqout', file('req')]);
    await openssl(when, ['ocsp', '-index', file('index'), '-CA', by.cert, '-rsigner', signer.cert, '-rkey', signer.key, '-reqin', file('req'),
        '-respout', file('der'), '-nmin', '60']);
    return file('der');
}

/**
 * `openssl s_client` to the port: {text, code}. input: what it sends, and then waits for the server to close;
 * without, it leaves after the handshake. commands: the input is s_client's own ("R": renegotiate), not the server's.
 */
export function sClient(port, args = [], input = null, commands = false) {
    return new Promise((done) => {
        const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...(input === null || commands ? [] : ['-ign_eof']), ...args]);
        let text = '';
        const timer = setTimeout(() => child.kill('SIGKILL'), ms(10000));
        child.stdout.on('data', (part) => { text += part; });
        child.stderr.on('data', (part) => { text += part; });
        child.stdin.on('error', () => {});
        if (commands) child.stdin.write(input);
        else child.stdin.end(input ?? '');
        child.on('close', (code) => {
            clearTimeout(timer);
            done({ text, code });
        });
    });
}
/** One request as bytes, after whose answer the server closes. */
export const ask = (host, target = '/hello') => `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
