import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertProblem, request, start } from './helper.mjs';

const say = (name) => `return function(req) return 200, { at = "${name}", params = req.params } end`;

test('files are routes; static beats parameter beats catch-all', async (t) => {
    const server = await start(t, {
        hooks: {
            'index.lua': say('index'), 'github.lua': say('github'), 'billing/index.lua': say('billing'), 'billing/stripe.lua': say('stripe'),
            'orders/[id].lua': say('order'), 'orders/new.lua': say('new'), 'orders/[id]/items/[item].lua': say('item'),
            'files/[...path].lua': say('files'), 'files/readme.lua': say('readme'), 'files/[one]/raw.lua': say('raw'),
            '_lib/secret.lua': say('lib'), '_hidden.lua': say('hidden'), '.dot.lua': say('dot'), 'notes.txt': 'no script',
        },
    });
    const at = async (path) => (await server.get(path)).json;
    const cases = {
        '/': ['index', {}], '/github': ['github', {}], '/github/': ['github', {}], '/billing': ['billing', {}], '/billing/': ['billing', {}],
        '/billing/stripe': ['stripe', {}], '/orders/17': ['order', { id: '17' }], '/orders/new': ['new', {}],
        '/orders/a%20b': ['order', { id: 'a b' }], '/orders/%C3%A9': ['order', { id: 'é' }], '/orders/7/items/9': ['item', { id: '7', item: '9' }],
        '/files/a': ['files', { path: 'a' }], '/files/a/b/c.txt': ['files', { path: 'a/b/c.txt' }], '/files/readme': ['readme', {}],
        '/files/x/raw': ['raw', { one: 'x' }], '/files/x/other': ['files', { path: 'x/other' }], '/github?x=1': ['github', {}],
    };
    for (const [path, [name, params]] of Object.entries(cases)) assert.deepEqual(await at(path), { at: name, params }, path);
    for (const path of ['/nowhere', '/GitHub', '/_hidden', '/_lib/secret', '/.dot', '/notes.txt', '/notes', '/github.lua', '/orders', '/index'])
        assertProblem(await server.get(path), 404);
});

test('dots and encoded slashes never leave the folder', async (t) => {
    const server = await start(t, { hooks: { 'a/b.lua': say('b'), '_lib/x.lua': say('x') } });
    for (const path of ['/a/../_lib/x', '/a/%2e%2e/_lib/x', '/..%2f..%2fetc/passwd', '//a/b/../../_lib/x']) {
        const reply = await request(server.url + '/' + path.slice(1), {});
        assert.ok(reply.status === 404 || reply.status === 400, `${path}: ${reply.status}`);
    }
});

test('malformed percent-encoding in the path is a 400 problem', async (t) => {
    const server = await start(t, { hooks: { 'orders/[id].lua': say('order') } });
    for (const path of ['/orders/%', '/orders/%zz', '/orders/%4', '/orders/a%00b']) assertProblem(await server.get(path), 400);
});

test('a file name that cannot be a route is a load error that says why', async (t) => {
    const server = await start(t, { hooks: { 'ok.lua': say('ok'), 'x/[.lua': say('bad'), 'y/[...rest]/z.lua': say('bad') } });
    assert.equal((await server.get('/ok')).json.at, 'ok');
    assert.ok(server.records((r) => r.level === 'error' || r.level === 'warn').length >= 2, server.tail());
});
