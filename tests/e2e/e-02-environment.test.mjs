import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { start, until, write } from './helper.mjs';

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
