// Every process is killed under load, again and again. What was acknowledged is there; what was counted was counted once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alive, childrenOf, folder, load, ms, sleep, start, until } from './helper.mjs';
import { allKeys, ask, clients, hooks } from './kv.mjs';
import { startUpgradable } from './upgrade.mjs';

const kill = (pid, signal = 'SIGKILL') => process.kill(pid, signal);

/** Clients that set keys and clients that count, until check(): what was acknowledged must be what is there. */
function busy(server, connections = 12) {
    const sets = clients(server, (n) => `/set?key=set:${n}&value=${n}`, connections / 2);
    const counts = clients(server, () => '/incr?key=count', connections / 2);
    return {
        sets, counts,
        stop: () => Promise.all([sets.stop(), counts.stop()]),
        /** Of another server, perhaps, on the same file. lost: requests whose end nobody knows. */
        async check(other = server) {
            const keys = new Set(await allKeys(other, 'set:'));
            assert.deepEqual(sets.good.filter((n) => !keys.has(`set:${n}`)), [], 'acknowledged, and not there');
            const [count] = await ask(other, 'get', 'count'), known = counts.good.length;
            assert.ok(count >= known && count <= known + counts.bad.length, `${count} counted, ${known} acknowledged, ${counts.bad.length} unknown`);
            const numbers = [...counts.answers.values()].map(Number).filter(Number.isFinite);
            assert.equal(new Set(numbers).size, numbers.length, 'no number was given twice');
        },
    };
}

async function dies(server, kind, before = server.children(kind)) {
    const [victim] = before;
    kill(victim);
    await until(() => server.children(kind).some((pid) => !before.includes(pid)), `a new ${kind}`);
    return victim;
}

test('kill -9 of the keeper, again and again: no request fails, nothing acknowledged is lost, every count counts once', async (t) => {
    const server = await start(t, { hooks, workers: 3 });
    const running = busy(server, 24);
    for (let life = 0; life < 6; life++) {
        await sleep(ms(1200)); // a good run: what dies more often waits longer for its next life
        await dies(server, 'keeper');
        if (life % 2 === 1) await sleep(20 * life);
        if (life % 2 === 1) await dies(server, 'keeper'); // one that has just begun
    }
    await sleep(500);
    await running.stop();
    assert.deepEqual([...running.sets.bad, ...running.counts.bad], [], server.tail());
    assert.ok(running.counts.good.length > 100, `${running.counts.good.length}`);
    await running.check();
    assert.deepEqual(await ask(server, 'get', 'count'), [running.counts.good.length]);
});

test('kill -9 of the keeper under 128 coroutines that count: each count is given once, and none is left out', async (t) => {
    const server = await start(t, { hooks: { ...hooks, 'count.lua': `return { methods = { "GET" }, timeout = "5m", handle = function(req)
        local over, given, list = time.monotonic() + tonumber(req.query.seconds), json.array(), {}
        for i = 1, 64 do
            list[i] = function()
                while time.monotonic() < over do
                    local n = kv.incr "n"
                    given[#given + 1] = n
                    sleep "3ms"
                end
            end
        end
        parallel(list)
        return given
    end }` }, workers: 2 });
    const seconds = ms(8000) / 1000;
    const counting = [1, 2].map(() => server.get(`/count?seconds=${seconds}`, { limit: 300000 }));
    for (let life = 0; life < 5; life++) {
        await sleep(ms(1200));
        await dies(server, 'keeper');
    }
    const given = (await Promise.all(counting)).flatMap((reply) => {
        assert.equal(reply.status, 200, reply.text);
        return reply.json;
    });
    assert.ok(given.length > 500, `${given.length}`);
    given.sort((a, b) => a - b);
    assert.equal(given.findIndex((n, i) => n !== i + 1), -1, 'twice, or left out');
    assert.deepEqual(await ask(server, 'get', 'n'), [given.length]);
});

test('the store is back within two seconds of its keeper\'s death', async (t) => {
    const server = await start(t, { hooks, workers: 2 });
    await ask(server, 'set', 'a', 'x');
    for (let life = 0; life < 3; life++) {
        const began = Date.now();
        kill(server.children('keeper')[0]);
        assert.deepEqual(await ask(server, 'incr', 'n'), [life + 1]);
        assert.ok(Date.now() - began < ms(2000), `${Date.now() - began} ms`); // usual: 60
    }
});

test('kill -9 of workers: their requests are broken, others not; what they had asked counts at most once', async (t) => {
    const server = await start(t, { hooks, workers: 3 });
    const running = busy(server);
    for (let life = 0; life < 6; life++) {
        await sleep(200);
        await dies(server, 'worker');
    }
    await running.stop();
    assert.ok([...running.sets.bad, ...running.counts.bad].every(([, why]) => /ECONNRESET|socket hang up|EPIPE|ECONNREFUSED/.test(why)),
        JSON.stringify(running.counts.bad));
    await running.check();
});

test('kill -9 of the supervisor: all is there in the next server, which gets the file at once', async (t) => {
    const dir = folder(t);
    const server = await start(t, { hooks, dir, workers: 2 });
    const running = busy(server);
    await sleep(600);
    const children = childrenOf(server.pid);
    kill(server.pid);
    await server.exit;
    await until(() => !children.some(alive), 'children gone');
    const again = await start(t, { hooks, dir, workers: 2 });
    await running.stop();
    assert.ok(running.counts.good.length > 10);
    await running.check(again);
});

test('TERM under load: what is under way is answered and is there', async (t) => {
    const dir = folder(t);
    const server = await start(t, { hooks, dir, workers: 2 });
    const running = busy(server);
    await sleep(500);
    await server.stop();
    await running.stop();
    const again = await start(t, { hooks, dir, workers: 2 });
    await running.check(again);
    assert.deepEqual(await ask(again, 'get', 'count'), [running.counts.good.length]);
});

test('a keeper that stands still: calls are a 503 after five seconds, what needs no store is served; then all is well again', async (t) => {
    const server = await start(t, { hooks, workers: 2 });
    await ask(server, 'set', 'a', 'x');
    const calm = load(`${server.url}/hello`, { connections: 2, pause: 5 });
    const [keeper] = server.children('keeper');
    kill(keeper, 'SIGSTOP');
    try {
        const began = Date.now();
        const replies = await Promise.all([server.post('/incr?key=n'), server.post('/set?key=b&value=y'), server.get('/hello')]);
        const took = Date.now() - began;
        assert.deepEqual(replies.map((r) => r.status), [503, 503, 200]);
        assert.deepEqual(replies.map((r) => r.headers['retry-after']), ['1', '1', undefined]);
        assert.match(replies[0].json.detail, /^the store is not available: whether what was asked of it was done is not known$/);
        assert.ok(took >= 4900 && took < ms(15000), `${took} ms`);
    } finally {
        kill(keeper, 'SIGCONT');
    }
    await until(() => ask(server, 'get', 'a').then(([v]) => v === 'x', () => false), 'the store again', 10000);
    assert.deepEqual((await calm.stop()).failures, []);
    // What was asked before it stood still is done when it goes on; nobody was told that it was not.
    await until(async () => (await ask(server, 'get', 'n'))[0] === 1, 'the call that was in its hands');
    assert.equal(server.children('keeper')[0], keeper);
});

test('HUP under load, again and again: no request fails, and every count counts once', async (t) => {
    const server = await startUpgradable(t, { hooks, workers: 2 });
    const running = busy(server);
    for (let i = 0; i < 3; i++) {
        await sleep(200);
        assert.match((await server.upgrade()).message, /^upgrade: done/);
    }
    await sleep(200);
    await running.stop();
    assert.deepEqual([...running.sets.bad, ...running.counts.bad].filter(([, why]) => !/ECONNRESET|socket hang up|EPIPE/.test(why)), [], server.tail());
    await running.check();
});

test('an old worker that still finishes after an upgrade has the store to its end', async (t) => {
    const server = await startUpgradable(t, { hooks: { ...hooks,
        'long.lua': 'return { methods = { "GET" }, timeout = "60s", handle = function() for i = 1, 60 do sleep "50ms" kv.incr "long" end return tostring(kv.get "long") end }' }, workers: 1 });
    const long = server.get('/long');
    await sleep(200);
    assert.match((await server.upgrade()).message, /^upgrade: done/);
    await dies(server, 'keeper'); // the new one: its successor is linked with the old worker, too
    assert.equal((await long).text, '60');
});
