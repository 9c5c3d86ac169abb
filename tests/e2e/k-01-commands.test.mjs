import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { certificate, folder, repository, request, run, start, threadSanitizer, write } from './helper.mjs';

const hello = 'return function() return "hello" end';
function hooks(t, files) {
    const dir = folder(t);
    write(path.join(dir, 'hooks'), files);
    return dir;
}
/** One clear line on stderr that says why, and the exit code; nothing on stdout. */
function refused(result, code, words) {
    assert.equal(result.code, code, result.stderr);
    const lines = result.stderr.trim().split('\n');
    assert.equal(lines.length, 1, result.stderr);
    assert.match(lines[0], words);
}

test('version and help', async () => {
    const version = await run(['version']);
    assert.equal(version.code, 0);
    assert.match(version.stdout, /^crescent \d+\.\d+\.\d+/);
    const help = await run(['help']);
    assert.equal(help.code, 0);
    for (const name of ['serve', 'check', 'routes', 'version', 'help']) assert.match(help.stdout, new RegExp(`^ *(?:crescent )?${name}\\b`, 'm'));
    const serve = await run(['help', 'serve']);
    assert.equal(serve.code, 0);
    for (const flag of ['--listen', '--tls-cert', '--tls-key', '--workers', '--admin', '--config']) assert.ok(serve.stdout.includes(flag), flag);
});

test('wrong usage is exit 2 and names the nearest', async (t) => {
    const dir = hooks(t, { 'a.lua': hello });
    for (const [args, words] of [[['sreve'], /sreve.*serve/], [['serve', '--lisen', '127.0.0.1:0'], /--lisen.*--listen/], [['serve', '--workers', 'many'], /workers/], [['serve', '--workers', '0'], /workers/],
        [['serve', '--listen'], /--listen/], [['serve', '--listen', 'nonsense'], /nonsense/], [['serve', '--listen', '127.0.0.1:99999'], /99999/], [['serve', 'hooks', 'more'], /more/],
        [['serve', '--user', 'x'], /--user/], [['help', 'nothing'], /nothing/]])
        refused(await run(args, { cwd: dir }), 2, words);
    const bare = await run([], { cwd: dir });
    assert.equal(bare.code, 2);
});

test('check: every error as file:line: message, exit 1; PUBLIC endpoints are named', async (t) => {
    const dir = hooks(t, { 'good.lua': hello, 'shut.lua': 'return { verify = verify.api_key { header = "x-k", keys = { "k" } }, handle = function() end }' });
    const good = await run(['check'], { cwd: dir });
    assert.equal(good.code, 0, good.stderr);
    const said = good.stdout + good.stderr;
    assert.match(said, /good.*PUBLIC|PUBLIC.*good/);
    assert.doesNotMatch(said, /shut.*PUBLIC/);
    write(path.join(dir, 'hooks'), {
        'syntax.lua': 'return {\n  handle = function(\n}', 'field.lua': 'return {\n  handle = function() end,\n  verfy = "none",\n  timeout = "soon",\n}',
        'secret.lua': 'return {\n  verify = verify.github { secret = env.NOPE },\n  handle = function() end }', 'top/level.lua': '\n\nerror "no"', '_lib/m.lua': 'x = 1', 'uses.lua': 'require "_lib.m"\nreturn function() end',
        'clash.lua': 'return { path = "/good", handle = function() end }',
    });
    const bad = await run(['check'], { cwd: dir });
    assert.equal(bad.code, 1);
    for (const words of [/^(?:hooks\/)?syntax\.lua:\d: /m, /^(?:hooks\/)?field\.lua:3: .*verfy.*verify/m, /^(?:hooks\/)?field\.lua:4: timeout: /m, /^(?:hooks\/)?secret\.lua:2: .*secret/m,
        /^(?:hooks\/)?top\/level\.lua:3: no/m, /_lib\/m\.lua:1: .*x/m, /good\.lua.*clash\.lua|clash\.lua.*good\.lua/m])
        assert.match(bad.stderr, words);
    assert.doesNotMatch(bad.stderr, /traceback|\/tmp\//);
    fs.rmSync(path.join(dir, 'hooks'), { recursive: true });
    write(path.join(dir, 'hooks'), { 'secret.lua': 'return { verify = verify.github { secret = env.NOPE }, handle = function() end }' });
    assert.equal((await run(['check', '--no-secrets'], { cwd: dir })).code, 0);
    assert.equal((await run(['check'], { cwd: dir })).code, 1);
    assert.equal((await run(['check', 'hooks'], { cwd: dir, env: { NOPE: 'x' } })).code, 0);
});

test('what is no Lua is told in words; no bytes of it reach the terminal', async (t) => {
    const good = 'return { handle = function() end }', dir = hooks(t, { 'a.lua': good });
    const shown = /^[\n\x20-\x7e\ufffd]*$/;
    write(path.join(dir, 'hooks'), {
        'bytecode.lua': '\x1bLJ\x02', 'elf.lua': Buffer.from('\x7fELF\x02\x01\x01\0\0\0', 'latin1'), 'words.lua': Buffer.from('return \xff\xfe\x1b[31m', 'latin1'),
        'field.lua': Buffer.from('return { ["\xff\xc2\x9b31m\x7f"] = 1, handle = function() end }', 'latin1'),
    });
    for (const command of ['check', 'routes']) {
        const bad = await run([command], { cwd: dir });
        assert.equal(bad.code, 1);
        assert.match(bad.stderr, shown);
        assert.match(bad.stderr, /^hooks\/bytecode\.lua:1: not Lua text, but a binary file$/m);
        assert.match(bad.stderr, /^hooks\/elf\.lua:1: not Lua text, but a binary file$/m);
        assert.match(bad.stderr, /^hooks\/words\.lua:1: /m);
        assert.match(bad.stderr, /^hooks\/field\.lua:1: unknown field/m);
    }
    write(dir, { 'crescent.lua': Buffer.from('return { x \xff\x9b }', 'latin1'), 'binary': Buffer.from([0x7f, 0x45]) });
    for (const args of [['check'], ['serve'], ['check', '--config', 'binary'], ['check', 'binary', '--config', 'crescent.lua'], ['serve', '\x1b[31m']]) {
        const bad = await run(args, { cwd: dir });
        refused(bad, 1, /^crescent: /);
        assert.match(bad.stderr, shown);
    }
    fs.rmSync(path.join(dir, 'crescent.lua'));
    for (const command of ['check', 'serve', 'routes']) refused(await run([command, 'binary'], { cwd: dir }), 1, /\/binary \(HOOKS\): not a folder$/);
});

test('routes: the table, and --json', async (t) => {
    const env = { GITHUB_WEBHOOK_SECRET: 'a', STRIPE_WEBHOOK_SECRET: 'whsec_a', DEMO_API_KEY: 'a' };
    const table = await run(['routes', path.join(repository, 'examples/hooks')], { env });
    assert.equal(table.code, 0, table.stderr);
    for (const words of ['/github', '/billing/stripe', '/orders/:id', 'PUBLIC']) assert.ok(table.stdout.includes(words), words);
    assert.doesNotMatch(table.stdout, /\x1b/);
    const json = JSON.parse((await run(['routes', path.join(repository, 'examples/hooks'), '--json'], { env })).stdout);
    const github = (json.routes ?? json).find((r) => JSON.stringify(r).includes('"/github"'));
    assert.ok(github);
    assert.match(JSON.stringify(github), /push/);
});

test('what stops a start is one line, and nothing half-started', async (t) => {
    const dir = hooks(t, { 'a.lua': hello });
    const free = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
    refused(await run(['serve', 'nowhere', ...free], { cwd: dir }), 1, /nowhere/);
    refused(await run(['serve', 'hooks', ...free, '--tls-cert', 'no.crt', '--tls-key', 'no.key'], { cwd: dir }), 1, /no\.crt/);
    const tls = await certificate(dir), other = await certificate(dir, 'other');
    refused(await run(['serve', 'hooks', ...free, '--tls-cert', tls.cert, '--tls-key', other.key], { cwd: dir }), 1, /key/);
    write(dir, { 'bad.crt': 'not a certificate' });
    refused(await run(['serve', 'hooks', ...free, '--tls-cert', 'bad.crt', '--tls-key', tls.key], { cwd: dir }), 1, /bad\.crt/);
    const tlsOnly = await run(['serve', 'hooks', ...free, '--tls-cert', tls.cert], { cwd: dir });
    assert.ok([1, 2].includes(tlsOnly.code));
    refused(await run(['serve', 'hooks', '--listen', 'https://127.0.0.1:0', '--admin', 'off'], { cwd: dir }), 1, /tls|certificate/i);
    refused(await run(['serve', 'hooks', '--listen', '127.0.0.1:0', '--admin', '0.0.0.0:0'], { cwd: dir }), 1, /token/);
    refused(await run(['serve', 'hooks', ...free, '--config', 'none.lua'], { cwd: dir }), 1, /none\.lua/);
});

test('in a working directory that was removed: what begins elsewhere is found, what begins there is an error in words', async (t) => {
    const dir = hooks(t, { 'a.lua': hello });
    write(dir, { 'crescent.lua': 'return {}' });
    const config = path.join(dir, 'crescent.lua'), all = path.join(dir, 'hooks');
    const gone = (...args) => {
        const cwd = fs.mkdtempSync(path.join(dir, 'gone-'));
        return run(args, { cwd, prefix: ['sh', '-c', 'rmdir "$PWD" && exec "$@"', 'sh'] });
    };
    for (const args of [['check', '--config', config], ['check', all, '--config', config], ['routes', '--config', config]]) {
        const result = await gone(...args);
        assert.deepEqual([result.code, result.stderr], [0, ''], `${args}`);
        assert.match(result.stdout, /no errors|\/a\b/);
    }
    for (const [args, words] of [[['check'], /crescent\.lua.*working directory.*No such file/], [['routes', all], /crescent\.lua.*working directory/],
        [['check', '--config', 'crescent.lua'], /crescent\.lua.*working directory/], [['check', 'hooks', '--config', config], /HOOKS.*hooks.*working directory/],
        [['serve', '--listen', '127.0.0.1:0', '--admin', 'off'], /crescent\.lua.*working directory/]])
        refused(await gone(...args), 1, words);
});

test('a broken crescent.lua: its line; an unknown setting: the nearest name; one of a later version: its name', async (t) => {
    const dir = hooks(t, { 'a.lua': hello });
    for (const [text, words] of [['return {', /crescent\.lua:1/], ['return {\n  workrs = 2 }', /workrs.*workers/], ['return { limits = { bdy = 1 } }', /bdy.*body/], ['return { workers = "x" }', /crescent\.lua.*workers/], ['return 7', /crescent\.lua/],
        ['error "no"', /crescent\.lua:1: no/], ['return { spool = true }', /spool/], ['return { limits = { body = "1 parsec" } }', /body/], ['while true do end', /crescent\.lua/]]) {
        if (threadSanitizer && /while/.test(text)) continue;
        write(dir, { 'crescent.lua': text });
        const result = await run(['serve', '--listen', '127.0.0.1:0', '--admin', 'off'], { cwd: dir });
        assert.ok([1, 2].includes(result.code), `${text}: ${result.code}`);
        assert.match(result.stderr, words, text);
    }
});

test('a taken port is one clear line, also when the other server is a crescent', async (t) => {
    const dir = hooks(t, { 'a.lua': hello });
    const taken = await new Promise((done) => {
        const server = net.createServer().listen(0, '127.0.0.1', () => done(server));
    });
    t.after(() => taken.close());
    const address = `127.0.0.1:${taken.address().port}`;
    refused(await run(['serve', 'hooks', '--listen', address, '--admin', 'off'], { cwd: dir }), 1, new RegExp(address));
    refused(await run(['serve', 'hooks', '--listen', '127.0.0.1:0', '--admin', address], { cwd: dir }), 1, new RegExp(address));
    const first = await start(t, { hooks: { 'a.lua': hello } });
    refused(await run(['serve', 'hooks', '--listen', `127.0.0.1:${first.port}`, '--admin', 'off'], { cwd: dir }), 1, new RegExp(String(first.port)));
    assert.equal((await first.get('/a')).text, 'hello');
});

test('flags beat the environment, which beats crescent.lua; .env and paths start at the configuration\'s folder', async (t) => {
    const dir = folder(t);
    write(dir, { 'site/crescent.lua': 'return { hooks = "scripts", workers = 3, listen = "127.0.0.1:1" }', 'site/scripts/a.lua': 'return function() return env.WORD end', 'site/.env': 'WORD=here' });
    const server = await start(t, { dir, hooks: path.join(dir, 'site/scripts'), workers: 0, args: ['--config', 'site/crescent.lua'], env: { CRESCENT_WORKERS: '1' } });
    assert.equal((await server.get('/a')).text, 'here');
    assert.equal(server.children('worker').length, 1);
    const flag = await start(t, { dir, hooks: path.join(dir, 'site/scripts'), workers: 2, args: ['--config', 'site/crescent.lua', '--store', 'sqlite:other.db'], env: { CRESCENT_WORKERS: '1', CRESCENT_LISTEN: '127.0.0.1:1' } });
    assert.equal(flag.children('worker').length, 2);
    assert.equal((await request(`${flag.url}/a`)).text, 'here');
});

test('--store names the file, else it is crescent.db beside the configuration; the start says where it is; nobody else may read it', async (t) => {
    for (const [args, name] of [[[], 'crescent.db'], [['--store', 'sqlite:x.db'], 'x.db']]) {
        const server = await start(t, { hooks: { 'a.lua': hello }, args });
        assert.equal((await server.get('/a')).text, 'hello');
        const file = path.join(fs.realpathSync(server.dir), name);
        assert.equal(server.records('serving')[0].store, `sqlite:${file}`);
        assert.equal(fs.statSync(file).mode & 0o777, 0o600);
        assert.equal(fs.statSync(`${file}-wal`).mode & 0o777, 0o600);
        assert.deepEqual(fs.readdirSync(server.dir).filter((n) => n.includes('.db')).sort(), [name, `${name}-shm`, `${name}-wal`]);
        await server.stop();
        assert.deepEqual(fs.readdirSync(server.dir).filter((n) => n.includes('.db')), [name]);
    }
});

test('the start names PUBLIC endpoints', async (t) => {
    const server = await start(t, { hooks: { 'open.lua': hello } });
    assert.match(server.tail(), /PUBLIC/);
});
