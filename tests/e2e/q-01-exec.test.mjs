// exec: a program runs without a shell, in clean surroundings, within its time and its output; what goes wrong is nil and
// an error with a code and words; nothing is left behind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fs from 'node:fs';
import path from 'node:path';
import { alive, assertProblem, binary, environment, folder, ms, request, run, sleep, start, tool, until, write } from './helper.mjs';
import { exec, gone, pidIn, runner, shell, noZombies, spawnerOf } from './exec.mjs';

const script = (text) => `return function(req) ${text} end`;

test('what a program gives', async (t) => {
    const server = await start(t, { hooks: { 'run.lua': runner } });
    assert.deepEqual(await shell(server, 'echo out; echo err >&2'), { ok: true, code: 0, stdout: 'out\n', stderr: 'err\n' });
    const seven = await shell(server, 'echo so far; echo "the reason" >&2; exit 7');
    assert.deepEqual(seven, { ok: false, code: 7, stdout: 'so far\n', stderr: 'the reason\n', words: 'sh: exit status 7: the reason' });
    const killed = await shell(server, 'kill -SEGV $$');
    assert.deepEqual([killed.code, killed.signal, killed.words], ['signal', 11, 'sh: ended by signal 11 (Segmentation fault)']);
    // No shell: what would mean something to one arrives as it is. Numbers become text.
    const odd = ['a b', '', '$(id)', '"; rm -rf x', '*', 'é€', "'", '\\', '-n'];
    assert.equal((await exec(server, ['printf', '%s|', ...odd, 3, 1e15, 0.5])).stdout, [...odd, '3', '1000000000000000', '0.5', ''].join('|'));
    // Other programs than sh agree.
    assert.equal((await exec(server, ['node', '-e', 'process.stdout.write(JSON.stringify(process.argv.slice(1)))', '--', ...odd])).stdout, JSON.stringify(odd));
});

test('stdin and output of any size', async (t) => {
    const server = await start(t, { hooks: { 'run.lua': runner }, config: 'return { limits = { lua_memory = "256MiB" } }' });
    const large = 'x'.repeat(65535) + 'y';
    const stdin = large.repeat(64); // 4 MiB: more than a pipe, and a socket, holds
    const both = await shell(server, 'tee /dev/stderr', { stdin, max_output: '8MiB' });
    assert.ok(both.ok && both.stdout === stdin && both.stderr === stdin);
    assert.equal((await exec(server, ['sha256sum'], { stdin })).stdout.split(' ')[0], (await tool('sha256sum', [], { input: stdin })).split(' ')[0]);
    assert.ok((await shell(server, 'exit 0', { stdin })).ok, 'a program need not read it');
    assert.deepEqual(await shell(server, 'cat'), { ok: true, code: 0, stdout: '', stderr: '' }, 'without one it is at its end');
    const much = await shell(server, 'head -c 1048577 /dev/zero | tr "\\0" z');
    assert.deepEqual([much.ok, much.code, much.stdout.length], [false, 'too_much_output', 1048576]);
    assert.ok((await shell(server, 'head -c 1048576 /dev/zero | tr "\\0" z')).ok);
    const endless = await shell(server, 'yes >&2', { max_output: 1000 });
    assert.deepEqual([endless.code, endless.stderr.length], ['too_much_output', 1000]);
    assert.match(endless.words, /more than 1000 bytes to stderr \(max_output\)/);
});

test('clean surroundings', async (t) => {
    const server = await start(t, { hooks: { 'run.lua': runner }, dotenv: 'TOKEN=secret', env: { CRESCENT_ADMIN_TOKEN: 'secret', API_KEY: 'secret', TZ: 'Europe/Berlin' } });
    const env = (await exec(server, ['env'], { env: { NAME: 'value', N: 5 } })).stdout.trim().split('\n').sort();
    assert.deepEqual(env, ['HOME=' + process.env.HOME, 'LANG=C.UTF-8', 'N=5', 'NAME=value', 'PATH=' + process.env.PATH, 'TZ=Europe/Berlin'].sort());
    assert.equal((await exec(server, ['env'], { env: { PATH: '/nowhere', HOME: '/x', LANG: 'C', TZ: '' } })).stdout.split('\n').sort().join(' '), ' HOME=/x LANG=C PATH=/nowhere TZ=');
    assert.equal((await shell(server, 'ls /proc/$$/fd')).stdout, '0\n1\n2\n');
    assert.equal((await shell(server, 'ulimit -Sn')).stdout, '1024\n');
    // Neither is the spawner's own environment a way to a secret.
    for (const worker of server.children('worker')) assert.doesNotMatch(fs.readFileSync(`/proc/${spawnerOf(worker)}/environ`, 'utf8'), /secret/);
});

test('where paths begin', async (t) => {
    const server = await start(t, { hooks: { 'run.lua': runner }, config: 'return {}' });
    write(server.dir, { 'deploy.sh': '#!/bin/sh\npwd\n', 'deep/x': '', 'deep/deploy.sh': '#!/bin/sh\necho the wrong one\n' });
    for (const name of ['deploy.sh', 'deep/deploy.sh']) fs.chmodSync(path.join(server.dir, name), 0o755);
    const dir = fs.realpathSync(server.dir);
    assert.equal((await exec(server, ['./deploy.sh'])).stdout, `${dir}\n`);
    assert.equal((await exec(server, ['./deploy.sh'], { cwd: 'deep' })).stdout, `${dir}/deep\n`);
    assert.equal((await exec(server, ['pwd'], { cwd: '/' })).stdout, '/\n');
    const bad = await exec(server, ['pwd'], { cwd: 'nowhere' });
    assert.deepEqual([bad.code, bad.words], ['bad_cwd', `cwd ${dir}/nowhere: No such file or directory`]);
    const empty = await exec(server, ['./deploy.sh'], { cwd: '' }); // a variable that is set to nothing, say
    assert.deepEqual([empty.ok, empty.code, empty.words, empty.stdout], [false, 'bad_cwd', 'cwd: it is empty, which names no folder', '']);
    assert.equal((await exec(server, ['./deploy.sh'], { cwd: '.' })).stdout, `${dir}\n`);
    assert.equal((await exec(server, ['deploy.sh'])).code, 'not_found', 'a bare name is for PATH');
});

test('what the world does is nil and an error, what the script does wrong raises', async (t) => {
    const server = await start(t, { hooks: {
        'run.lua': runner,
        'nul.lua': script('local ok, err = exec { "echo", "a\\0b" } return { ok == nil, err.code, tostring(err), err.stdout == nil }'),
        'nulenv.lua': script('local ok, err = exec { "echo", env = { KEY = "hidden\\0b" } } return { ok == nil, err.code, tostring(err) }'),
        'nulcwd.lua': script('local ok, err = exec { "echo", cwd = "\\0" } return { ok == nil, err.code }'),
        'empty.lua': script('local ok, err = exec { "" } return { ok == nil, err.code }'),
        'bytes.lua': script('local r = assert(exec { "printf", "%s", "\\255\\254\\1" }) return { r.stdout == "\\255\\254\\1" }'),
        'large.lua': script('local ok, err = exec { "echo", ("x"):rep(200000) } return { ok == nil, err.code }'),
        'field.lua': script('local ok, err = exec { "false" } return err.stdot'),
        'nothing.lua': script('return exec {}'),
        'string.lua': script('return exec "true"'),
        'two.lua': script('return exec("git", "pull")'),
        'kind.lua': script('return exec { "echo", {} }'),
        'hole.lua': script('return exec { "echo", nil, "x" }'),
        'option.lua': script('return exec { "echo", timout = 1 }'),
        'envkind.lua': script('return exec { "echo", env = { X = {} } }'),
        'envname.lua': script('return exec { "echo", env = { ["A=B"] = 1 } }'),
        'timeout.lua': script('return exec { "echo", timeout = 0 }'),
        'passed.lua': script('return exec { "false" }'),
        'gsub.lua': script('return (("x"):gsub("x", function() exec { "true" } end))'),
    } });
    const get = async (name) => (await server.post(`/${name}`)).json;
    assert.deepEqual(await get('nul'), [true, 'bad_argument', 'exec: argument 2: it holds a NUL byte, which no program can be given', true]);
    assert.deepEqual(await get('nulenv'), [true, 'bad_argument', 'exec: env: KEY: it holds a NUL byte, which no program can be given']);
    assert.deepEqual(await get('nulcwd'), [true, 'bad_argument']);
    assert.deepEqual(await get('empty'), [true, 'bad_argument']);
    assert.deepEqual(await get('bytes'), [true]);
    assert.deepEqual(await get('large'), [true, 'too_long']);
    const missing = await exec(server, ['no-such-program', 'x']);
    assert.deepEqual(missing, { ok: false, code: 'not_found', words: 'no-such-program: there is no such program', stdout: '', stderr: '' });
    assert.equal((await exec(server, ['/etc/passwd'])).code, 'not_executable');
    for (const [name, words] of Object.entries({
        field: "an error has no field 'stdot'",
        nothing: "exec: expected a program's name at position 1",
        string: 'exec: expected a table of options, got string',
        two: 'exec: expected one table: exec { "program", "argument", … }',
        kind: 'exec: argument 2: expected a string or a number, got table',
        hole: /exec: (argument 2: expected a string or a number, got nil|a number is not a name of an option)/,
        option: "exec: unknown option 'timout' (did you mean 'timeout'?)",
        envkind: 'exec: env: X: expected a string or a number, got table',
        envname: 'exec: env: "A=B" can be no variable\'s name',
        timeout: 'exec: timeout: expected more than 0 and at most 24h',
        passed: 'handle returned nil, false: exit status 1',
        gsub: 'exec: cannot wait inside a callback',
    })) {
        const reply = await server.post(`/${name}`);
        assertProblem(reply, 500);
        const said = (r) => words instanceof RegExp ? words.test(JSON.stringify(r)) : JSON.stringify(r).includes(JSON.stringify(words).slice(1, -1));
        await server.said((r) => (r.script === name || r.endpoint === name) && said(r), `${name}: ${words}`);
    }
});

test('at load exec is an error that says so', async (t) => {
    const server = await start(t, { hooks: { 'ok.lua': script('return 200') } });
    write(server.dir, { 'bad/x.lua': 'exec { "true" } return function() end' });
    const checked = await run(['check', path.join(server.dir, 'bad')]);
    assert.equal(checked.code, 1);
    assert.match(checked.stderr, /x\.lua:1: exec: cannot wait while the script loads/);
});

test('timeout ends the group, a deaf one and a stopped one too', async (t) => {
    const server = await start(t, { hooks: { 'run.lua': runner } });
    const late = await shell(server, 'sleep 1000 & echo $! >child; (echo $$ >self); echo said; wait', { timeout: '300ms' });
    assert.deepEqual([late.code, late.stdout, late.words], ['timeout', 'said\n', 'sh: still running after 0.3 s (timeout)']);
    await gone([await pidIn(server, 'child'), await pidIn(server, 'self')], 'the group');
    const deaf = await shell(server, 'trap "" TERM; (trap "" TERM; sh -c \'echo $$ >deaf; while :; do sleep 1000; done\') & kill -STOP $$', { timeout: '300ms' });
    assert.deepEqual([deaf.code, deaf.signal], ['timeout', 9]);
    await gone([await pidIn(server, 'deaf')], 'the deaf one');
    // its leader has ended by then
    const left = await shell(server, '(trap "" TERM; sh -c \'echo $$ >left; while :; do sleep 1000; done\') & wait', { timeout: '300ms' });
    assert.equal(left.code, 'timeout');
    await gone([await pidIn(server, 'left')], 'the deaf one whose leader has ended');
});

test('a request that ends takes its program with it', async (t) => {
    const server = await start(t, { hooks: {
        'slow.lua': 'return { timeout = "300ms", handle = function() exec { "sh", "-c", "echo $$ >slow; exec sleep 1000" } end }',
        'left.lua': 'return { on_disconnect = "cancel", handle = function() exec { "sh", "-c", "echo $$ >left; exec sleep 1000" } end }',
    } });
    assertProblem(await server.post('/slow'), 504);
    await gone([await pidIn(server, 'slow')], 'the program of a request past its time', 3000);
    const leaving = request(`${server.url}/left`, { method: 'POST', limit: 300 }).catch((e) => e);
    const pid = await pidIn(server, 'left');
    await leaving;
    await gone([pid], 'the program of a request whose sender has left', 10000);
});

test('only what the setting allows', async (t) => {
    const hooks = { 'run.lua': runner };
    const server = await start(t, { hooks, config: 'return { exec = { "echo", "./deploy.sh", "/bin/true" } }' });
    write(server.dir, { 'deploy.sh': '#!/bin/sh\necho deployed\n', 'deep/deploy.sh': '#!/bin/sh\necho wrong\n', 'deep/echo': '#!/bin/sh\necho wrong\n' });
    for (const name of ['deploy.sh', 'deep/deploy.sh', 'deep/echo']) fs.chmodSync(path.join(server.dir, name), 0o755);
    assert.equal((await exec(server, ['echo', 'x'])).stdout, 'x\n');
    assert.equal((await exec(server, ['./deploy.sh'], { cwd: 'deep' })).stdout, 'deployed\n');
    assert.equal((await exec(server, ['echo', 'x'], { cwd: 'deep', env: { PATH: '.' } })).stdout, 'x\n', 'no PATH of a script, no folder of a script');
    assert.ok((await exec(server, ['/bin/true'])).ok);
    for (const name of ['sh', 'true', '/bin/echo', './deep/deploy.sh', 'deploy.sh', './deep/../deploy.sh', 'echo ', './echo']) {
        const refused = await exec(server, [name]);
        assert.equal(refused.code, 'not_allowed', name);
        assert.equal(refused.words, `${name}: the setting exec does not allow it`);
    }
    const none = await start(t, { hooks, config: 'return { exec = false }' });
    assert.deepEqual(await exec(none, ['true']).then((r) => [r.ok, r.code, r.words]), [false, 'not_allowed', 'exec: the setting exec allows no program']);
    assert.ok(none.children('worker').every((w) => spawnerOf(w) === undefined), 'and there is no spawner then');
    // The setting changes with HUP, the environment beats the file.
    write(none.dir, { 'crescent.lua': 'return { exec = true }' });
    none.child.kill('SIGHUP');
    await until(() => exec(none, ['true']).then((r) => r.ok), 'allowed after HUP', 15000);
    const given = await start(t, { hooks, config: 'return { exec = false }', env: { CRESCENT_EXEC: 'echo,true' } });
    assert.ok((await exec(given, ['true'])).ok);
    assert.equal((await exec(given, ['false'])).code, 'not_allowed');
});

test('the start names allowed programs that cannot be started', async (t) => {
    const dir = folder(t);
    write(dir, { 'deploy.sh': '#!/bin/sh\n', 'notes.txt': '', 'bin/true': '' });
    fs.chmodSync(path.join(dir, 'deploy.sh'), 0o755);
    const config = 'return { exec = { "true", "./deploy.sh", "./deply.sh", "trew", "notes.txt", "./notes.txt", "bin", "./bin", "/bin/true" } }';
    const warnings = (server) => server.records('the setting exec allows a program').map((r) => [r.level, r.program, r.error.replace(`${dir}/`, '')]);
    const server = await start(t, { dir, hooks: { 'run.lua': runner }, config, workers: 1 });
    assert.deepEqual(warnings(server), [['warn', './deply.sh', 'deply.sh: there is no such program'], ['warn', 'trew', 'trew: there is no such program'],
        ['warn', 'notes.txt', 'notes.txt: there is no such program'], ['warn', './notes.txt', 'notes.txt: it is not executable'],
        ['warn', 'bin', 'bin: there is no such program'], ['warn', './bin', 'bin: Is a directory']]);
    assert.ok((await exec(server, ['./deploy.sh'])).ok);
    const calm = await start(t, { hooks: { 'run.lua': runner }, config: 'return { exec = true }', env: { CRESCENT_EXEC: 'true,nope' } });
    assert.deepEqual(warnings(calm), [['warn', 'nope', 'nope: there is no such program']]);
});

test('1,000 leave no process and no descriptor', async (t) => {
    const server = await start(t, { hooks: { 'run.lua': runner, 'many.lua': 'return { timeout = "60s", handle = function() for i = 1, 500 do assert(exec { "true" }) end return 200 end }' }, workers: 1 });
    await exec(server, ['true']);
    const [worker] = server.children('worker'), spawner = spawnerOf(worker);
    const descriptors = (pid) => fs.readdirSync(`/proc/${pid}/fd`).length;
    const before = [worker, spawner].map(descriptors), begun = Date.now();
    assert.equal((await server.post('/many')).status, 200);
    assert.equal((await server.post('/many')).status, 200);
    t.diagnostic(`1,000 × true in ${Date.now() - begun} ms`);
    // A connection of before may have been counted.
    await until(() => descriptors(worker) <= before[0] && descriptors(spawner) === before[1], () => `descriptors ${[worker, spawner].map(descriptors)}, before ${before}`);
    assert.equal(fs.readFileSync(`/proc/${spawner}/task/${spawner}/children`, 'utf8'), '');
    await noZombies(server);
    assert.equal(spawnerOf(worker), spawner);
    const memory = (pid) => Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]);
    t.diagnostic(`a spawner takes ${memory(spawner)} KiB (Pss)`);
});

test('many requests at once, each with its own program; others are served meanwhile', async (t) => {
    const server = await start(t, { hooks: { 'run.lua': runner, 'hello.lua': script('return "hello"') } });
    let most = 0, looking = true;
    const look = (async () => {
        while (looking) {
            const running = server.children('worker').map((w) => fs.readFileSync(`/proc/${spawnerOf(w)}/task/${spawnerOf(w)}/children`, 'utf8').split(' ').length - 1);
            most = Math.max(most, ...running);
            assert.ok(running.every((n) => n <= 64), String(running));
            await sleep(5);
        }
    })();
    const all = Array.from({ length: 300 }, (_, i) => shell(server, `sleep 0.0${i % 10}; echo ${i}; cat`, { stdin: `in ${i}` }));
    for (let i = 0; i < 20; i++) assert.equal((await server.get('/hello')).text, 'hello');
    for (const [i, result] of (await Promise.all(all)).entries()) assert.deepEqual(result, { ok: true, code: 0, stdout: `${i}\nin ${i}`, stderr: '' });
    looking = false;
    await look;
    t.diagnostic(`at most ${most} programs of a worker at once`);
    await noZombies(server);
});
