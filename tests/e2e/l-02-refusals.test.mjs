// HUP that cannot be followed: the old configuration and binary serve on, the log says why, and nothing is left of it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { binary, certificate, folder, ms, request, sleep, threadSanitizer, tool, until, write } from './helper.mjs';
import { holds, refused, replaceBinary, replaceProgram, startUpgradable, version } from './upgrade.mjs';

const hooks = { 'hello.lua': 'return function() return "hello" end' };
const good = 'return { drain = "2s" }';

test('a configuration that is broken in any way changes nothing', async (t) => {
    const dir = folder(t), pair = await certificate(dir), busy = net.createServer();
    await new Promise((done) => busy.listen(0, '127.0.0.1', done));
    t.after(() => busy.close());
    const port = busy.address().port;
    // All of it stands in crescent.lua: what it says is what counts.
    const all = (text = '') => `return { hooks = "hooks", listen = "127.0.0.1:0", admin = "127.0.0.1:0", workers = 2, drain = "2s", ${text} }`;
    const server = await startUpgradable(t, { dir, hooks, bare: true, config: all() });
    const cases = [
        ['return {', /crescent\.lua/],
        [all('workesr = 3'), /unknown setting 'workesr' \(did you mean 'workers'\?\)/],
        [all('drain = "soon"'), /drain/],
        ['error "no way"', /no way/],
        ['local x while true do x = 1 end', /crescent\.lua.*(took|time|long)/],
        ['local t = {} while true do t[#t + 1] = ("x"):rep(1e6) .. #t end', /memory|took|time|long/],
        [all(`tls = { { cert = "gone.crt", key = "${pair.key}" } }`), /gone\.crt.*No such file/],
        [all(`tls = { { cert = "${pair.cert}", key = "noise" } }`), /noise/],
        [all('hooks = "nowhere"'), /nowhere/],
        [all('hooks = "crescent.lua"'), /crescent\.lua/],
        [all(`listen = "127.0.0.1:${port}"`), new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}: Address already in use`)],
        [all(`listen = { "127.0.0.1:0", "127.0.0.1:0", "unix:${dir}/new.sock", "127.0.0.1:${port}" }`), /Address already in use/],
        [all(`admin = "127.0.0.1:${port}"`), /Address already in use/],
        [all(`health = "127.0.0.1:${port}"`), /Address already in use/],
        [all('listen = "unix:/nowhere/at/all.sock"'), /nowhere/],
        [all('listen = "192.0.2.1:0"'), /192\.0\.2\.1/],
        [all('admin = "0.0.0.0:0"'), /token/],
        [all('log = { file = "/nowhere/log" }'), /nowhere/],
    ];
    write(dir, { noise: 'no key' });
    for (const [text, words] of cases) {
        if (threadSanitizer && /while true/.test(text)) continue;
        write(dir, { 'crescent.lua': text });
        await refused(server, words);
    }
    assert.ok(!fs.existsSync(path.join(dir, 'new.sock')), 'the file of a socket that was not needed');
    write(dir, { 'crescent.lua': all() });
    assert.equal((await server.upgrade()).message, 'upgrade: done');
});

test('an address that the server itself holds for another use is refused in words that say so', async (t) => {
    const ports = [];
    for (let i = 0; i < 2; i++) {
        const free = net.createServer();
        await new Promise((done) => free.listen(0, '127.0.0.1', done));
        ports.push(free.address().port);
        await new Promise((done) => free.close(done));
    }
    const [a, b] = ports;
    const all = (listen, admin) => `return { hooks = "hooks", workers = 2, drain = "2s", listen = "${listen}", admin = "${admin}" }`;
    const server = await startUpgradable(t, { hooks, bare: true, config: all(`127.0.0.1:${a}`, `127.0.0.1:${b}`) });
    const held = (port) => `this server itself holds 127\\.0\\.0\\.1:${port}: that needs a restart`;
    for (const [text, port] of [[all(`127.0.0.1:${b}`, `127.0.0.1:${a}`), b], [all(`0.0.0.0:${a}`, `127.0.0.1:${b}`), a]]) {
        write(server.dir, { 'crescent.lua': text });
        await refused(server, new RegExp(held(port)));
    }
});

test('a file at its path that is no crescent, or cannot be started, changes nothing', async (t) => {
    const server = await startUpgradable(t, { hooks, config: good });
    const put = (text, mode = 0o755) => {
        fs.writeFileSync(`${server.program}.new`, text, { mode });
        fs.renameSync(`${server.program}.new`, server.program);
    };
    fs.rmSync(server.program);
    await refused(server, /cannot open the binary .*crescent: No such file/);
    fs.mkdirSync(server.program);
    await refused(server, /not an executable file/);
    fs.rmdirSync(server.program);
    put('');
    await refused(server, /cannot start a child: exec: Exec format error/);
    put('#!/bin/sh\nexit 0\n');
    await refused(server, /no crescent|cannot start/);
    put('\x7fELF and nothing more');
    await refused(server, /Exec format error/);
    put('', 0o644);
    await refused(server, /not an executable file/);
    fs.symlinkSync('/nowhere', `${server.program}.new`);
    fs.renameSync(`${server.program}.new`, server.program);
    await refused(server, /No such file/);
    await replaceProgram(server.program, 'int main(void) { return 1; }');
    await refused(server, /ended: exit status 1/);
    await replaceProgram(server.program, 'int main(void) { return 0; }');
    await refused(server, /no crescent that this one can hand over to/);
    await replaceProgram(server.program, '#include <stdlib.h>\nint main(void) { abort(); }');
    await refused(server, /signal 6/);
    await replaceProgram(server.program, '#include <stdio.h>\nint main(void) { fputs("crescent: it is too late\\nfor all\\n", stderr); return 1; }');
    await refused(server, /refused: it is too late$/);
    // It writes without end, and to the end of its time.
    await replaceProgram(server.program, '#include <unistd.h>\nint main(void) { for (int i = 0; i < 1000000; i++) write(2, "words words words\\n", 18); return 1; }');
    await refused(server, /refused: words words words$/);
    replaceBinary(server.program, version('0.2.0'));
    assert.equal((await server.upgrade()).version, '0.2.0');
});
test('a binary that speaks another form, or answers garbage, is refused by what differs', async (t) => {
    const server = await startUpgradable(t, { hooks, config: good });
    // The config child of a stranger: descriptor 5 is where its answer goes.
    const answers = (head, rest = 'abc') => replaceProgram(server.program, `#include <unistd.h>
        #include <string.h>
        static char bytes[256]; static unsigned at;
        static void u32(unsigned v) { memcpy(bytes + at, &v, 4); at += 4; }
        static void text(const char *t) { u32(strlen(t)); memcpy(bytes + at, t, strlen(t)); at += strlen(t); }
        int main(void) { u32(${head[0]}u); text("7.8.9"); u32(${head[1]}u); u32(${head[2]}u); u32(${head[3]}u); u32(${head[4]}u); text("${rest}"); return write(5, bytes, at) != at; }`);
    const here = [0x316f7263, 4000, 4000, 4000, 4000];
    const what = [, 'the messages', 'the counters in shared memory', 'the start orders', 'the state'];
    for (let i = 1; i < here.length; i++) {
        await answers(here);
        const record = await refused(server, new RegExp(`refused: ${what[i]} of version 7\\.8\\.9 are of another form \\(4000, here \\d+\\): that needs a restart$`));
        here[i] = Number(/here (\d+)/.exec(record.message)[1]);
    }
    await answers(here);
    await refused(server, /the configuration of version 7\.8\.9 is of another form, that needs a restart/);
    await answers([1, ...here.slice(1)]);
    await refused(server, /no crescent that this one can hand over to/);
    await replaceProgram(server.program, '#include <unistd.h>\nint main(void) { static char a[1 << 20]; for (int i = 0; i < 40; i++) write(5, a, sizeof(a)); return 0; }');
    await refused(server, /./);
});
test('a binary one of whose processes does not come up is refused; the old ones serve on, and reload', async (t) => {
    const server = await startUpgradable(t, { hooks, config: good });
    const words = { config: /refused: not today$/, keeper: /the new keeper ended 3 times before it was ready/,
        worker: /the new worker [01] ended 3 times before it was ready/, 'worker 1': /the new worker 1 ended 3 times before it was ready/,
        serve: /the new supervisor cannot take over: exit status 2/, trial: /hello\.lua would no longer be served: .*could not be tried/ };
    for (const [role, why] of Object.entries(words)) {
        // It is the binary under test in every role but one.
        await replaceProgram(server.program, `#include <stdio.h>
            #include <string.h>
            #include <unistd.h>
            int main(int argc, char **argv) {
                char role[64];
                snprintf(role, sizeof(role), "%s %s", argc > 1 ? argv[1] : "", argc > 2 ? argv[2] : "");
                if (strncmp(role, "${role} ", strlen("${role}")) == 0) { fputs("crescent: not today\\n", stderr); return 2; }
                execv(${JSON.stringify(binary)}, argv);
                return 3;
            }`);
        await refused(server, why);
        server.replace('hello.lua', `return function() return "hello after ${role}" end`);
        await until(async () => (await server.get('/hello')).text === `hello after ${role}`, `a save after the refused ${role}`);
    }
    replaceBinary(server.program, version('0.2.0'));
    assert.equal((await server.upgrade()).version, '0.2.0');
});
test('a keeper that dies again and again once it is ready is refused by its name, and soon', async (t) => {
    const server = await startUpgradable(t, { hooks, config: good });
    // It ends 300 ms after its start; the trial that it waits for takes longer.
    await replaceProgram(server.program, `#include <string.h>
        #include <sys/prctl.h>
        #include <sys/time.h>
        #include <unistd.h>
        int main(int argc, char **argv) {
            struct itimerval soon = { .it_value = { .tv_usec = 300000 } };
            if (argc > 1 && strcmp(argv[1], "keeper") == 0) setitimer(ITIMER_REAL, &soon, NULL);
            if (argc > 1 && strcmp(argv[1], "trial") == 0) sleep(5);
            execv(${JSON.stringify(binary)}, argv);
            return 3;
        }`);
    await refused(server, /the new keeper ended 3 times before (it was|the workers were) ready/);
});
test('a supervisor that cannot follow says why, and the next HUP tries again', async (t) => {
    const server = await startUpgradable(t, { hooks, config: good });
    const exe = () => fs.readlinkSync(`/proc/${server.pid}/exe`), first = exe();
    const once = path.join(server.dir, 'once'), twice = path.join(server.dir, 'twice');
    fs.copyFileSync(binary, path.join(server.dir, 'next'));
    fs.writeFileSync(once, '');
    // As a supervisor it fails the second time: the first rehearsal is before anything has begun, the second the last step.
    await replaceProgram(server.program, `#include <stdio.h>
        #include <string.h>
        #include <unistd.h>
        int main(int argc, char **argv) {
            if (argc > 1 && strcmp(argv[1], "serve") == 0) {
                if (unlink("${twice}") == 0) return 4;
                rename("${once}", "${twice}");
            }
            execv("${server.dir}/next", argv);
            return 3;
        }`);
    assert.equal((await server.upgrade()).message, 'upgrade: done', server.tail());
    assert.match(server.records('the supervisor goes on as the old binary')[0].error, /cannot take over: exit status 4/);
    assert.equal(exe(), `${first} (deleted)`);
    assert.equal((await server.upgrade()).message, 'upgrade: done', server.tail());
    assert.equal(exe(), path.join(server.dir, 'next'));
    assert.equal(server.records('the supervisor goes on as the old binary').length, 1);
    assert.equal((await server.get('/hello')).text, 'hello');
});
test('what is served now would not be served under the new configuration: refused, with the script and why', async (t) => {
    const all = (text = '', from = 'hooks') => `return { hooks = "${from}", listen = "127.0.0.1:0", admin = "127.0.0.1:0", workers = 2, drain = "2s", ${text} }`;
    const env = { 'secret.lua': 'assert(env.SECRET) return function() return "hello" end' };
    const server = await startUpgradable(t, { hooks: { ...hooks, ...env }, bare: true, config: all(), dotenv: 'SECRET=x\n' });
    const configure = (text) => write(server.dir, { 'crescent.lua': text });
    configure(all('require_verify = true'));
    await refused(server, /hello\.lua would no longer be served: .*PUBLIC, and require_verify forbids that/);
    // A folder that lacks what is served is the operator's word; one that has it broken is not.
    write(server.dir, { 'next/hello.lua': 'return function(', 'next/other.lua': 'return function() return "other" end' });
    configure(all('', 'next'));
    await refused(server, /hello\.lua would no longer be served: next\/hello\.lua:1: /);
    fs.renameSync(path.join(server.dir, 'next/hello.lua'), path.join(server.dir, 'next/new.lua'));
    fs.rmSync(path.join(server.dir, 'next/other.lua'));
    await refused(server, /no script loads: new\.lua: next\/new\.lua:1: /);
    // What was broken before is no reason.
    configure(all());
    server.replace('hello.lua', 'return function(');
    await server.said((r) => r.message === 'script broken' && r.file === 'hello.lua' && r.serving === 'its last good version' && r.process === 'keeper'
        && r.error.startsWith('hooks/'), 'the break');
    await sleep(ms(500)); // the supervisor has been told, too
    assert.equal((await server.upgrade()).message, 'upgrade: done', server.tail());
    assert.equal((await server.get('/hello')).text, 'hello', 'its last good version');
    // And where nothing of the old folder is in the new one, which loads, that is served.
    write(server.dir, { 'next/new.lua': 'return function() return "new" end' });
    configure(all('', 'next'));
    assert.equal((await server.upgrade()).message, 'upgrade: done', server.tail());
    assert.equal((await server.get('/new')).text, 'new');
    assert.equal((await server.get('/hello')).status, 404);
});
test('many refusals in a row: the scripts that are live stay so for every worker that comes', async (t) => {
    const server = await startUpgradable(t, { hooks, config: good });
    write(server.dir, { 'crescent.lua': 'return { drain = "2s", require_verify = true }' });
    const before = holds(server);
    for (let i = 0; i < 20; i++) assert.match((await server.upgrade()).message, /refused: hello\.lua would no longer/, `refusal ${i}`);
    await until(() => holds(server).descriptors <= before.descriptors && `${holds(server).children}` === `${before.children}`, 'nothing is left of them');
    for (const pid of server.children('worker')) {
        process.kill(pid, 'SIGKILL');
        await until(() => server.children('worker').length === 2 && !server.children('worker').includes(pid), 'another worker');
        for (let i = 0; i < 10; i++) assert.equal((await server.get('/hello')).text, 'hello');
    }
    await until(() => server.records((r) => /^worker \d is back$/.test(r.message)).length === 2, 'both are back');
    write(server.dir, { 'crescent.lua': good });
    assert.equal((await server.upgrade()).message, 'upgrade: done');
});
test('without a free descriptor it is refused in words, and goes once there are some', async (t) => {
    const server = await startUpgradable(t, { hooks, config: good });
    const limit = (n) => tool('prlimit', ['--pid', String(server.pid), `--nofile=${n}:`]);
    const [soft] = (await tool('prlimit', ['--pid', String(server.pid), '--nofile', '--noheadings', '-o', 'SOFT'])).trim().split(/\s+/);
    /** The limit below which so many numbers are free: there are gaps between those that are open. */
    const leaving = (spare) => {
        const open = new Set(fs.readdirSync(`/proc/${server.pid}/fd`).map(Number));
        let n = 0;
        for (let free = 0; free < spare || open.has(n); n++) free += !open.has(n);
        return n;
    };
    const words = [];
    for (const spare of [0, 1, 2, 3, 4, 6, 8, 12, 16, 24]) {
        await limit(leaving(spare));
        words.push((await server.upgrade()).message);
        await limit(soft);
        assert.equal((await server.get('/hello')).text, 'hello');
        await until(() => server.children('keeper').length === 1 && server.children('worker').length === 2, () => `all are there\n${server.tail()}`, 10000);
        await until(async () => (await request(`${server.admin}/readyz`)).status === 200, 'ready', 10000);
    }
    assert.match(words[0], /refused: cannot open the binary .*: Too many open files$/, words.join('\n'));
    assert.ok(words.filter((w) => w.endsWith('Too many open files')).length >= 3, words.join('\n'));
    assert.ok(words.slice(0, 5).every((w) => w.startsWith('upgrade: refused: ')), words.join('\n'));
    assert.equal((await server.upgrade()).message, 'upgrade: done');
});
