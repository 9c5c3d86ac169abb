// Root and the setting user: the supervisor and the config child open, make and give away nothing by a path that this
// user can change, and what they make for it is its own. So an ordinary rotation is one, and a link leads nowhere.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { folder, run, start, tool, until, write } from './helper.mjs';
import { startUpgradable } from './upgrade.mjs';

const needsRoot = { skip: process.getuid() === 0 ? false : 'only root becomes another user' };
const nobody = 65534;
const hooks = { 'kept.lua': 'return function() return "n" .. kv.incr "n" end' };
const config = (file) => `return { user = "nobody", store = "sqlite:var/crescent.db", files = "var/files", log = { file = "${file}", access = "all" } }`;

/** A folder of root's, with a folder var that is the user's; `own`: others of the user's. */
function places(t, ...own) {
    const dir = folder(t);
    fs.chmodSync(dir, 0o755);
    for (const name of ['var', ...own]) {
        fs.mkdirSync(path.join(dir, name));
        fs.chownSync(path.join(dir, name), nobody, nobody);
    }
    return dir;
}
const as = (...command) => tool('setpriv', ['--reuid', 'nobody', '--regid', 'nogroup', '--clear-groups', ...command]);
const text = (file) => fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
const owner = (file) => fs.statSync(file).uid;

/** Renames the log, sends USR1, and waits until keeper and supervisor both have taken up the new file. */
async function rotate(server, file, number) {
    fs.renameSync(file, `${file}.${number}`);
    server.child.kill('SIGUSR1');
    await until(() => fs.existsSync(file), () => `a new file\n${server.tail()}`);
    await until(async () => { await server.get('/kept'); return /"request"/.test(text(file)); }, () => `records in it\n${server.tail()}`);
}

for (const [where, file, own] of [['the user\'s folder', 'lg/l', ['lg']], ['root\'s folder', 'l', []]])
    test(`a log in ${where} is the user's at the start and after USR1, and all lines go to it`, needsRoot, async (t) => {
        const dir = places(t, ...own), log = path.join(dir, file);
        const begin = () => start(t, { dir, hooks, config: config(file), logFile: file, workers: 1 });
        const server = await begin();
        assert.equal(owner(log), nobody);
        for (let i = 1; i <= 3; i++) {
            await rotate(server, log, i);
            assert.deepEqual([owner(log), fs.statSync(log).mode & 0o777], [nobody, 0o640 & ~process.umask()]);
        }
        const [keeper] = server.children('keeper');
        process.kill(keeper, 'SIGKILL');
        await until(() => /keeper died/.test(text(log)), () => `the supervisor's line in the new file\n${server.tail()}`);
        await until(async () => (await server.get('/kept')).status === 200, () => `the next keeper\n${server.tail()}`, 20000);
        await server.stop();
        assert.match(text(log), /"stopped"/);
        assert.equal(server.records((r) => /cannot start|stays the old one/.test(r.message)).length, 0);
        const next = await begin();
        assert.match((await next.get('/kept')).text, /^n\d+$/);
        assert.equal(owner(log), nobody);
    });

test('a link that the user puts in the place of the log leads root nowhere', needsRoot, async (t) => {
    const dir = places(t, 'lg', 'swap'), log = path.join(dir, 'lg/l'), roots = path.join(dir, 'roots');
    fs.mkdirSync(roots);
    const aim = path.join(roots, 'evil'), empty = path.join(roots, 'empty');
    fs.writeFileSync(empty, '', { mode: 0o600 });
    const server = await startUpgradable(t, { dir, hooks, config: config('lg/l'), logFile: 'lg/l', workers: 1 });
    const untouched = () => {
        assert.equal(fs.existsSync(aim), false, 'nothing is made there');
        assert.deepEqual([owner(empty), fs.statSync(empty).mode & 0o777, fs.statSync(empty).size], [0, 0o600, 0]);
        assert.deepEqual(fs.readdirSync(roots), ['empty']);
    };
    for (const to of [aim, empty]) {
        await as('mv', log, `${log}.${path.basename(to)}`);
        await as('ln', '-s', to, log);
        const said = server.records('the log file stays the old one').length;
        server.child.kill('SIGUSR1');
        await until(() => server.records('the log file stays the old one').length === said + 2, () => `keeper and supervisor say so\n${server.tail()}`);
        untouched();
        assert.match((await server.upgrade()).message, /^upgrade: refused: .*log\.file: cannot open the log file .*lg\/l as user nobody: Permission denied/);
        untouched();
        await as('rm', log);
        server.child.kill('SIGUSR1');
        await until(async () => { await server.get('/kept'); return /"request"/.test(text(log)); }, 'a file of its own again');
        const { request_id: last } = JSON.parse(text(log).split('\n').find((line) => line.includes('"request"')));
        await server.said((r) => r.request_id === last, 'who follows it has seen it');
        assert.equal(owner(log), nobody);
    }
    assert.equal((await server.upgrade()).message, 'upgrade: done', server.tail());
    await server.stop();
    const refused = async (file, words) => {
        write(dir, { 'crescent.lua': config(file) });
        const { code, stderr } = await run(['serve', '--listen', '127.0.0.1:0', '--admin', 'off'], { cwd: dir });
        assert.deepEqual([code, words.test(stderr)], [1, true], stderr);
        untouched();
    };
    await as('ln', '-sf', aim, log);
    await refused('lg/l', /as user nobody: Permission denied/);
    await as('ln', '-s', roots, path.join(dir, 'swap/in')); // a folder on the way
    await refused('swap/in/evil', /as user nobody: Permission denied; root makes no log where others can change .*\/swap/);
    await refused('swap/../swap/in/empty', /as user nobody: Permission denied/);
    fs.chmodSync(roots, 0o775);
    await refused('roots/evil', /root makes no log where others can change .*\/roots/);
    fs.chmodSync(roots, 0o755);
    await refused('roots/empty', /as user nobody: Permission denied/); // root's own, and nobody gives it away
    // Where the user may go, a link is as good as a file.
    await as('ln', '-sf', path.join(dir, 'swap/real'), log);
    const last = await start(t, { dir, hooks, config: config('lg/l'), logFile: 'lg/l', workers: 1 });
    assert.equal(owner(path.join(dir, 'swap/real')), nobody);
    await last.stop();
});
