// Who works on the scripts of a soak while it runs: saves, breaks and mends them, as an editor or a tool writes files. Each
// step leaves a folder that loads.
import fs from 'node:fs';
import path from 'node:path';
import { request, sleep } from '../../e2e/helper.mjs';
import { broken, shared, version } from './scripts.mjs';

export const dotenv = (values) => Object.entries(values).map(([name, value]) => `${name}="${value}"\n`).join('');

export function saver(server, r, world, env) {
    const put = (name, text) => { // a rename over it, or written in place, in one piece or two
        if (world.faults.calm || r.below(2)) return server.replace(name, text);
        const fd = fs.openSync(path.join(server.hooks, name), 'w');
        const half = r.below(text.length);
        fs.writeSync(fd, text.slice(0, half));
        fs.writeSync(fd, text.slice(half));
        return fs.closeSync(fd);
    };
    const steps = {
        version: async () => put('v.lua', version(++world.saved.version)),
        shared: async () => put('_lib/shared.lua', shared(++world.saved.shared)),
        turn: async () => {
            const file = path.join(server.dir, '.env');
            fs.writeFileSync(`${file}.new`, dotenv({ ...env, SOAK_TURN: ++world.saved.turn }));
            fs.renameSync(`${file}.new`, file);
        },
        breakIt: async () => {
            put('v.lua', r.pick(broken));
            await sleep(r.below(1500));
            put('v.lua', version(++world.saved.version));
        },
        breakShared: async () => {
            put('_lib/shared.lua', r.pick(broken.slice(0, 2)));
            await sleep(r.below(1000));
            put('_lib/shared.lua', shared(++world.saved.shared));
        },
        comeAndGo: async () => {
            const name = `more/${r.below(20)}.lua`;
            server.write({ [name]: `return function() return "${name}" end` });
            await sleep(r.below(800));
            await request(`${server.url}/more/${r.below(20)}`).catch(() => {});
            server.remove(name);
        },
        many: async () => { for (let i = 0; i < 10; i++) server.write({ [`many/${i}.lua`]: `return function() return ${r.below(600) + 200} end` }); },
        touch: async () => fs.utimesSync(path.join(server.hooks, 'hello.lua'), new Date(), new Date()),
    };
    // An upgrade is refused, rightly, while a script is broken: during one nothing is, not for a moment.
    const sound = ['version', 'version', 'shared', 'turn', 'touch'];
    const lots = ['version', 'version', 'version', 'shared', 'turn', 'breakIt', 'breakShared', 'comeAndGo', 'many', 'touch'];
    return async () => {
        const { faults } = world, step = r.pick(faults.calm ? sound : lots);
        faults.saving = !faults.calm;
        await steps[step]().finally(() => { faults.saving = false; });
        world.done[`save: ${step}`] = (world.done[`save: ${step}`] ?? 0) + 1;
        await sleep(r.below(600));
    };
}
