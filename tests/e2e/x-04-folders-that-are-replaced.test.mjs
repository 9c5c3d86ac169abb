// The jail knows folders by their inodes: one that takes another's place (a restored backup, a swapped link) is found,
// and used, without a HUP and without a failed request.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { folder, load, sleep, start, tool, until } from './helper.mjs';

const needsRoot = { skip: process.getuid() === 0 ? false : 'only root becomes another user' };
const nobody = 65534;
const hooks = {
    'kept.lua': 'return function() return "n" .. kv.incr "n" end',
    'hello.lua': 'return function() return "hello" end',
    'saves.lua': 'return function(req) local _, err = req:save("a.bin", { overwrite = true }) return err and err.code or "saved" end',
    'sends.lua': 'return { methods = { "GET" }, handle = function() return reply.file("a.bin") end }',
};
const replaced = /was replaced by another, which the jail .* does not know/;
const serve = (t, options = {}) => start(t, { hooks, workers: 1, config: 'return { store = "sqlite:var/crescent.db", files = "up", log = { file = "lg/l", access = "all" } }', logFile: 'lg/l', ...options });
function places(t) {
    const dir = folder(t);
    for (const name of ['var', 'up', 'lg']) fs.mkdirSync(path.join(dir, name));
    return dir;
}
const kept = (server) => async () => { const answer = await server.post('/kept'); return answer.status === 200 && answer.text; };

test('the store\'s folder: a backup that takes its place is served', async (t) => {
    const dir = places(t), server = await serve(t, { dir }), at = (name) => path.join(dir, name);
    assert.equal((await server.post('/kept')).text, 'n1');
    const workers = server.children('worker');
    fs.renameSync(at('var'), at('var.old'));
    await tool('cp', ['-a', at('var.old'), at('var')]);
    assert.equal(await until(kept(server), () => `the store is back\n${server.tail()}`, 20000), 'n2');
    const said = await server.said((r) => replaced.test(r.message), 'why the keeper begins anew');
    assert.deepEqual([said.process, said.folder], ['keeper', at('var')]);
    const away = server.records('the store is away').length;
    await until(() => server.records('the store is back').length === away, () => `it is over\n${server.tail()}`);
    assert.deepEqual(server.children('worker'), workers);

    // One that is away while a keeper starts, and comes back.
    fs.renameSync(at('var'), at('away'));
    process.kill(server.children('keeper')[0], 'SIGKILL');
    await server.said('there is no store: what needs it is answered 503');
    fs.renameSync(at('away'), at('var'));
    assert.equal(await until(kept(server), () => `the store is back\n${server.tail()}`, 20000), 'n3');
    assert.deepEqual(server.children('worker'), workers);


    const keepers = server.records('keeper died').length;
    await sleep(2500);
    assert.equal(server.records('keeper died').length, keepers, 'it begins anew once');
});

test('a link to the store\'s folder that is swapped is followed; a folder within what the jail knows ends no keeper', async (t) => {
    const dir = places(t), at = (name) => path.join(dir, name);
    for (const name of ['one', 'two']) fs.mkdirSync(at(name));
    fs.symlinkSync('one', at('current'));
    const server = await serve(t, { dir, config: 'return { store = "sqlite:current/crescent.db" }', logFile: undefined });
    assert.equal((await server.post('/kept')).text, 'n1');
    await tool('cp', ['-a', at('one/crescent.db'), at('one/crescent.db-wal'), at('one/crescent.db-shm'), at('two')]);
    fs.symlinkSync('two', at('next'));
    fs.renameSync(at('next'), at('current'));
    await server.said((r) => replaced.test(r.message), 'why the keeper begins anew', 20000);
    assert.equal(await until(kept(server), () => `the store is back\n${server.tail()}`, 20000), 'n2');
    await server.stop();

    const inner = await serve(t, { dir, config: 'return { store = "sqlite:var/crescent.db", log = { file = "l" } }', logFile: 'l' });
    assert.equal((await inner.post('/kept')).text, 'n1');
    fs.renameSync(at('var'), at('var.old'));
    await tool('cp', ['-a', at('var.old'), at('var')]);
    assert.equal(await until(kept(inner), () => `the store is back\n${inner.tail()}`, 20000), 'n2');
    assert.equal(inner.records('keeper died').length, 0);
});

test('the log\'s folder: at USR1 the file is opened in the one that is there', async (t) => {
    const dir = places(t), server = await serve(t, { dir }), at = (name) => path.join(dir, name);
    fs.renameSync(at('lg'), at('lg.old'));
    fs.mkdirSync(at('lg'));
    await server.post('/hello');
    assert.deepEqual(fs.readdirSync(at('lg')), [], 'not before');
    server.child.kill('SIGUSR1');
    await until(async () => { await server.post('/hello'); return /"request"/.test(fs.existsSync(at('lg/l')) && fs.readFileSync(at('lg/l'), 'utf8')); }, () => `records in the new file\n${server.tail()}`, 20000);
    assert.match(fs.readFileSync(at('lg.old/l'), 'utf8'), replaced);
    assert.equal((await server.post('/kept')).status, 200);
    await server.stop();
    assert.match(fs.readFileSync(at('lg/l'), 'utf8'), /"stopped"/);
});

test('the folder of files: another one, and a link that leads to another, are saved to and sent from; no request is lost', async (t) => {
    const dir = places(t), at = (name) => path.join(dir, name), server = await serve(t, { dir, workers: 2 });
    const works = async (where) => {
        await until(async () => (await server.post('/saves', where)).text === 'saved' && (await server.post('/saves', where)).text === 'saved', () => `saves\n${server.tail()}`, 20000);
        await until(async () => (await server.get('/sends')).text === where, () => `what was saved is sent\n${server.tail()}`, 20000);
        assert.equal(fs.readFileSync(at(`${where}/a.bin`), 'utf8'), where);
    };
    await works('up');
    const running = load(`${server.url}/hello`, { connections: 2 });
    t.after(() => running.stop());
    fs.renameSync(at('up'), at('up.old'));
    fs.mkdirSync(at('up'));
    await until(() => server.records((r) => replaced.test(r.message) && r.folder === at('up')).length === 2, () => `both workers say so\n${server.tail()}`, 20000);
    await works('up');
    fs.renameSync(at('up'), at('up.older'));
    fs.mkdirSync(at('linked'));
    fs.symlinkSync('linked', at('up'));
    await until(() => server.records((r) => replaced.test(r.message) && r.folder === at('linked')).length === 2, () => `both workers say so\n${server.tail()}`, 20000);
    await works('linked');
    assert.deepEqual((await running.stop()).failures, []);
    await until(() => server.children('worker').length === 2, 'the worn ones have left', 20000);
    const workers = server.children('worker');
    await sleep(2500);
    assert.deepEqual(server.children('worker'), workers, 'it is over');
});

test('a folder of files that can only be read is sent from, also where another takes its place', needsRoot, async (t) => {
    const dir = places(t), at = (name) => path.join(dir, name);
    fs.chmodSync(dir, 0o755);
    fs.chownSync(at('var'), nobody, nobody);
    fs.writeFileSync(at('up/a.bin'), 'one');
    const server = await start(t, { dir, hooks, workers: 1, config: 'return { user = "nobody", store = "sqlite:var/crescent.db", files = "up" }' });
    assert.equal((await server.get('/sends')).text, 'one');
    fs.renameSync(at('up'), at('up.old'));
    fs.mkdirSync(at('up'));
    fs.writeFileSync(at('up/a.bin'), 'two');
    await until(async () => (await server.get('/sends')).text === 'two', () => server.tail(), 20000);
});
