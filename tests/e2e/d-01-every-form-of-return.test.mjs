import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertProblem, start } from './helper.mjs';

const handlers = {
    number: 'return 202', string: 'return "héllo"', table: 'return { a = 1 }', empty: 'return {}', list: 'return { 1, 2 }', nothing: 'return', nil: 'return nil',
    two: 'return 201, "made"', status_table: 'return 201, { id = 7 }', status_nil: 'return 404, nil',
    three: 'return 200, "x", { ["X-One"] = "1", ["Set-Cookie"] = { "a=1", "b=2" }, ["content-type"] = "text/csv" }',
    nil_err: 'return nil, "the disk is full at /secret/place"', no: 'return false', func: 'return print', yes: 'return true', bad_status: 'return 99', status_600: 'return 600, "x"',
    float: 'return 200.5', split: 'return 200, "x", { a = "b\\r\\nc: d" }', length: 'return 200, "x", { ["content-length"] = "5" }', hop: 'return 200, "x", { connection = "close" }',
    name: 'return 200, "x", { ["a b"] = "c" }', raised: 'error "boom at /secret/place"', raised_table: 'error { status = 422, detail = "no such size", sizes = { "s", "m" } }',
    raised_nil: 'error()', raised_odd: 'error(setmetatable({}, { __tostring = function() error "again" end }))', cycle: 'local t = {} t.t = t return t',
    binary: 'return "\\0\\1\\255"', function_inside: 'return { f = print }', nan: 'return { n = 0/0 }', invalid: 'return { s = "\\255" }',
    undeclared: 'load([[colour = "red"]])() return 200', nil_index: 'local t = nil return t.x',
};
const hooks = Object.fromEntries(Object.entries(handlers).map(([name, body]) => [`${name}.lua`, `return function(req) ${body} end`]));

test('plain return forms', async (t) => {
    const server = await start(t, { hooks });
    const get = (name) => server.get(`/${name}`);
    const check = async (name, status, text, type) => {
        const reply = await get(name);
        assert.deepEqual([reply.status, reply.text], [status, text], name);
        if (type) assert.match(reply.headers['content-type'], type, name);
    };
    await check('number', 202, '');
    await check('string', 200, 'héllo', /^text\/plain; charset=utf-8/);
    await check('table', 200, '{"a":1}', /^application\/json/);
    await check('empty', 200, '{}', /^application\/json/);
    await check('list', 200, '[1,2]');
    await check('nothing', 204, '');
    await check('nil', 204, '');
    await check('two', 201, 'made');
    await check('status_table', 201, '{"id":7}', /^application\/json/);
    await check('status_nil', 404, '');
    const three = await get('three');
    assert.deepEqual([three.headers['x-one'], three.headers['set-cookie'], three.headers['content-type']], ['1', ['a=1', 'b=2'], 'text/csv']);
    assert.deepEqual((await get('binary')).body, Buffer.from([0, 1, 255]));
});

test('what cannot be an answer is a 500 problem without a word of the inside, and a log record with it', async (t) => {
    const server = await start(t, { hooks });
    for (const name of ['nil_err', 'no', 'func', 'yes', 'bad_status', 'status_600', 'float', 'split', 'length', 'hop', 'name', 'raised', 'raised_nil', 'raised_odd', 'cycle',
        'function_inside', 'nan', 'invalid', 'undeclared', 'nil_index']) {
        const reply = await server.get(`/${name}`);
        const problem = assertProblem(reply, 500);
        assert.doesNotMatch(reply.text, /secret|boom|colour|\.lua/, name);
        const record = await server.said((r) => r.request_id === problem.request_id && r.level === 'error', `${name}: an error record of its request`);
        assert.ok(JSON.stringify(record).length > 50);
    }
    for (const words of [/boom/, /colour/, /the disk is full/, /content-length/, /nan|not a number/i])
        assert.match(JSON.stringify(server.log), words);
    assert.ok(await server.metric('crescent_script_errors_total') >= 5);
});

test('error { status, detail, ... } is that problem', async (t) => {
    const server = await start(t, { hooks });
    const problem = assertProblem(await server.get('/raised_table'), 422, /no such size/);
    assert.deepEqual(problem.sizes, ['s', 'm']);
});
