// A server that is upgraded: a binary of its own that can be replaced by one of another version, and what a test asks of it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { binary, childrenOf, cmdline, folder, load, start, tool, until } from './helper.mjs';

/** The binary with other texts of the same length in it, under another name: renamed over `file`, as a package manager does. */
export function replaceBinary(file, replace = {}) {
    let bytes = fs.readFileSync(binary).toString('latin1');
    for (const [from, to] of Object.entries(replace)) {
        assert.equal(from.length, to.length);
        assert.ok(bytes.includes(from), `${JSON.stringify(from)} stands in the binary`);
        bytes = bytes.replaceAll(from, to);
    }
    fs.writeFileSync(`${file}.new`, Buffer.from(bytes, 'latin1'), { mode: 0o755 });
    fs.renameSync(`${file}.new`, file);
}
/** Another version: the same program, which says so. */
export const version = (n) => ({ '\x000.1.0\x00': `\x00${n}\x00` });

/** As helper.start; with `upgrade(limit)`: HUP, and the record of its end. */
export async function startUpgradable(t, options = {}) {
    const dir = options.dir ?? folder(t);
    const program = path.join(dir, 'crescent');
    fs.copyFileSync(binary, program);
    const server = await start(t, { ...options, dir, program });
    server.program = program;
    server.over = () => server.records((r) => /^upgrade: (done|refused)/.test(r.message));
    server.upgrade = async (limit = 20000) => {
        const before = server.over().length;
        process.kill(server.pid, 'SIGHUP');
        await until(() => server.over().length > before, () => `the end of an upgrade\n${server.tail()}`, limit);
        return server.over()[before];
    };
    return server;
}

/** How many descriptors the supervisor holds; its children. */
export const holds = (server) => ({
    descriptors: fs.readdirSync(`/proc/${server.pid}/fd`).length,
    children: childrenOf(server.pid).map((pid) => cmdline(pid).trim()).sort(),
});

/** HUP must be refused with these words; nobody notices, and nothing is left of it. */
export async function refused(server, words, limit) {
    // The keeper that came back after an earlier refusal may try the scripts still; a child that begins or ends has no name.
    await until(() => holds(server).children.every((name) => /^crescent (keeper|worker)/.test(name)), 'no trial runs');
    const before = holds(server), calm = load(`${server.url}/hello`, { connections: 2, pause: 5 });
    // One fewer is the snapshot before the live one, which is let go when somebody looks.
    const same = () => holds(server).descriptors <= before.descriptors && `${holds(server).children}` === `${before.children}`;
    const record = await server.upgrade(limit).finally(() => calm.stop());
    assert.match(record.message, words);
    assert.match(record.message, /^upgrade: refused: /);
    await until(same, () => `as before: ${JSON.stringify([before, holds(server)])}\n${links(server)}\n${server.tail()}`);
    assert.deepEqual(calm.failures, [], server.tail());
    assert.ok(calm.answers > 0);
    return record;
}

/** What the supervisor's descriptors lead to. */
function links(server) {
    return fs.readdirSync(`/proc/${server.pid}/fd`).map((fd) => fs.readlinkSync(`/proc/${server.pid}/fd/${fd}`)).sort().join('\n');
}

/** A program that is no crescent: C, in place of `file`, under another inode. */
export async function replaceProgram(file, text) {
    const source = `${file}.c`;
    fs.writeFileSync(source, text);
    await tool('cc', ['-O1', '-o', `${file}.new`, source]);
    fs.renameSync(`${file}.new`, file);
}
