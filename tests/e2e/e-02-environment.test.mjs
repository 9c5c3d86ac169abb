import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { assertProblem, folder, start, until, write } from './helper.mjs';

const hooks = { 'env.lua': 'return function() return 200, { a = env.ALPHA, b = env.BETA, none = env.NONE == nil } end' };

test('.env, the environment over it, and a change of .env is live', async (t) => {
    const server = await start(t, { hooks, dotenv: '# comment\nALPHA=one\nexport BETA="two words"\n', env: { ALPHA: 'outer' } });
    assert.deepEqual((await server.get('/env')).json, { a: 'outer', b: 'two words', none: true });
    write(server.dir, { '.env': 'ALPHA=x\nBETA=changed\n' });
    await until(async () => (await server.get('/env')).json.b === 'changed', 'the changed value');
    assert.equal((await server.get('/env')).json.a, 'outer');
    fs.writeFileSync(path.join(server.dir, '.env.tmp'), 'BETA=renamed\n');
    fs.renameSync(path.join(server.dir, '.env.tmp'), path.join(server.dir, '.env'));
    await until(async () => (await server.get('/env')).json.b === 'renamed', 'the value of a renamed file');
});

test('.env that appears later is read; values never reach the log', async (t) => {
    const server = await start(t, { hooks });
    assert.deepEqual((await server.get('/env')).json, { none: true });
    write(server.dir, { '.env': 'ALPHA=s3cr3t-value\n' });
    await until(async () => (await server.get('/env')).json.a === 's3cr3t-value', 'the new value');
    assert.doesNotMatch(server.tail(), /s3cr3t/);
});

test('credentials and NAME_FILE over the environment, a change of each is live, a swapped volume too', async (t) => {
    const dir = folder(t), creds = path.join(dir, 'creds'), secrets = path.join(dir, 'secrets');
    write(dir, { 'creds/BETA': 'credential\n', 'secrets/..1/alpha': 'file 1\n' });
    fs.symlinkSync('..1', path.join(secrets, '..data'));
    fs.symlinkSync('..data/alpha', path.join(secrets, 'alpha'));
    const server = await start(t, {
        dir, hooks: { ...hooks, 'keeps.lua': 'local n = 0 return function() n = n + 1 return tostring(n) end' }, dotenv: 'ALPHA=dotenv\nBETA=dotenv\n',
        env: { ALPHA: 'outer', BETA: 'outer', ALPHA_FILE: path.join(secrets, 'alpha'), CREDENTIALS_DIRECTORY: creds },
    });
    assert.deepEqual((await server.get('/env')).json, { a: 'file 1', b: 'credential', none: true });
    write(dir, { 'creds/BETA': 'credential 2' });
    await until(async () => (await server.get('/env')).json.b === 'credential 2', 'the changed credential');
    for (let n = 2; n <= 4; n++) {
        write(secrets, { [`..${n}/alpha`]: `file ${n}\n` });
        fs.symlinkSync(`..${n}`, path.join(secrets, '..tmp'));
        fs.renameSync(path.join(secrets, '..tmp'), path.join(secrets, '..data'));
        await until(async () => (await server.get('/env')).json.a === `file ${n}`, `the swapped volume ${n}`);
    }
    assert.doesNotMatch(server.tail(), /file 4|credential 2/);
});

test('a value that cannot be read is an error of the scripts that ask for it, and names variable and file; no value is logged', async (t) => {
    const dir = folder(t), at = path.join(dir, 'token');
    const server = await start(t, {
        dir, env: { TOKEN_FILE: at, OTHER_FILE: '/nonexistent/other' },
        hooks: {
            'asks.lua': 'local token = env.TOKEN\nreturn function() return token end', 'late.lua': 'return function() return env.TOKEN or "none" end',
            'other.lua': 'return function() return tostring(env.ANYTHING) end',
        },
    });
    const broken = await server.said((r) => r.message === 'script broken' && r.file === 'asks.lua');
    assert.match(broken.error, /asks\.lua:1: env\.TOKEN: of TOKEN_FILE: .*\/token: No such file/);
    assertProblem(await server.get('/asks'), 503);
    assertProblem(await server.get('/late'), 500);
    assert.equal((await server.get('/other')).text, 'nil');
    fs.writeFileSync(at, 'v3ry s3cret\n');
    await until(async () => (await server.get('/asks')).text === 'v3ry s3cret', 'the value is live');
    await until(async () => (await server.get('/late')).text === 'v3ry s3cret', 'the value is live');
    for (const [bad, words] of [[Buffer.from('v3ry\0s3cret'), /NUL/], [Buffer.alloc(70000, 'v3ry s3cret '), /65536/]]) {
        const seen = server.log.length;
        fs.writeFileSync(at, bad);
        await server.said((r) => server.log.indexOf(r) >= seen && r.file === 'asks.lua' && words.test(r.error), `${words}`);
        assert.equal((await server.get('/asks')).text, 'v3ry s3cret', 'the last good version');
    }
    assert.doesNotMatch(JSON.stringify(server.log), /v3ry/);
    assert.equal((await server.get('/other')).status, 200);
});

test('a folder of credentials that cannot be read is an error, not the values of weaker sources', async (t) => {
    const dir = folder(t), creds = path.join(dir, 'creds');
    write(dir, { 'creds/ALPHA': 'credential' });
    const server = await start(t, { dir, hooks, env: { ALPHA: 'outer', CREDENTIALS_DIRECTORY: creds } });
    assert.equal((await server.get('/env')).json.a, 'credential');
    fs.renameSync(creds, `${creds}-gone`);
    await server.said((r) => /the folder of \$CREDENTIALS_DIRECTORY, .*creds: No such file/.test(r.error ?? ''), 'the folder that is gone');
    assert.equal((await server.get('/env')).json.a, 'credential', 'the last good version');
    write(dir, { 'hooks/env.lua': `${hooks['env.lua']}\n-- saved meanwhile` });
    await server.said((r) => server.records((x) => /CREDENTIALS_DIRECTORY/.test(x.error ?? '')).length > 1, 'told again');
    assert.equal((await server.get('/env')).json.a, 'credential');
    write(dir, { 'creds-gone/ALPHA': 'back' });
    fs.renameSync(`${creds}-gone`, creds);
    await until(async () => (await server.get('/env')).json.a === 'back', 'the folder is read again');

    const without = await start(t, { hooks, env: { ALPHA: 'outer', CREDENTIALS_DIRECTORY: '/nonexistent' } });
    const broken = await without.said((r) => r.message === 'script broken');
    assert.match(broken.error, /CREDENTIALS_DIRECTORY, \/nonexistent: No such file/);
    assertProblem(await without.get('/env'), 503);
});

test('NAME_FILE in .env names no file, and who asks for NAME is told', async (t) => {
    const server = await start(t, {
        dotenv: 'ALPHA_FILE=./alpha\nBETA=here\nBETA_FILE=./beta\n',
        hooks: { 'asks.lua': 'local a = env.ALPHA\nreturn function() return a end', 'beta.lua': 'return function() return env.BETA .. env.ALPHA_FILE end' },
    });
    const broken = await server.said((r) => r.message === 'script broken' && r.file === 'asks.lua');
    assert.match(broken.error, /asks\.lua:1: env\.ALPHA: ALPHA_FILE stands in \.env, where it names no file/);
    assert.equal((await server.get('/beta')).text, 'here./alpha');
});
