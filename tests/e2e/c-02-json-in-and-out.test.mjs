import assert from 'node:assert/strict';
import { test } from 'node:test';
import fs from 'node:fs';
import { assertProblem, ms, start, threadSanitizer } from './helper.mjs';

const hooks = {
    'same.lua': 'return function(req) return reply.json(req:json()) end',
    'pick.lua': `return { handle = function(req)
  local a, b, c, d = req:pick("/a", "/list/1", "/deep/~1x~0y/z", "/none")
  return { a = a, b = b, c = c, d = d == nil }
end }`,
    'decode.lua': `return function(req)
  local value, err = json.decode(req.body)
  if value == nil then return 422, tostring(err) end
  return reply.text(json.encode(value))
end`,
    'null.lua': 'return function(req) local t = req:json(); return 200, { null = t.x == json.null, absent = t.y == nil, picked = req:pick "/x" == nil } end',
    'empty.lua': 'return function() return 200, { object = {}, array = json.array {}, forced = json.object {}, null = json.null } end',
    'cjson.lua': 'local cjson = require "cjson"\nreturn function(req) return reply.text(tostring(cjson.decode(req.body).a)) end',
};
const json = { 'content-type': 'application/json' };

test('what comes in goes out: big integers, null, empty arrays and objects, unusual Unicode', async (t) => {
    const server = await start(t, { hooks });
    for (const text of [
        '{"n":9007199254740993}', '{"n":18446744073709551615}', '{"n":-9223372036854775808}', '{"n":123456789012345678901234567890}', '[0.1,1e300,-2.5]',
        '{"a":[],"o":{},"n":null,"t":true,"f":false}', '[[],{},[[]],[{}]]', '{"s":"\\u0000\\u001f"}', '"\u{1F319}\u2028\u00e9 e\u0301 \ufeff"', '{"":{"":""}}', '[null,1,null]',
        '{"1":"a","2":"b"}', 'null', 'true', '12', '""',
    ]) {
        const reply = await server.post('/same', text, json);
        assert.equal(reply.status, 200, `${text}: ${reply.text}`);
        if (/\d{16}/.test(text)) assert.equal(reply.text, text);
        else assert.deepEqual(reply.json, JSON.parse(text), text);
    }
    const deep = (n) => '['.repeat(n) + ']'.repeat(n);
    assert.equal((await server.post('/same', deep(100), json)).text, deep(100));
    assertProblem(await server.post('/same', deep(1000), json), 400, /deep|nest/);
});

test('pick reads pointers; a missing value and null are nil', async (t) => {
    const server = await start(t, { hooks });
    assert.deepEqual((await server.post('/pick', '{"a":9007199254740993,"list":[1,"two"],"deep":{"/x~y":{"z":[]}}}')).text.replaceAll(' ', '').match(/"a":(\d+)/)[1], '9007199254740993');
    assert.deepEqual((await server.post('/pick', '{"a":null,"list":[1,"two"],"deep":{"/x~y":{"z":7}}}')).json, { b: 'two', c: 7, d: true });
    assert.deepEqual((await server.post('/null', '{"x":null}')).json, { null: true, absent: true, picked: true });
});

test('what cjson encodes is bounded, as json.encode is: its text, and the time', async (t) => {
    const call = (body) => `local cjson, safe = require "cjson", require "cjson.safe" return { methods = { "GET" }, max_run = "${threadSanitizer ? '3s' : '300ms'}", handle = function() ${body} end }`;
    const server = await start(t, {
        workers: 1,
        config: 'return { limits = { lua_memory = "64MiB" } }',
        hooks: {
            'many.lua': call('local s, l = ("x"):rep(10e6), {} for i = 1, 60 do l[i] = s end local f = cjson.new().encode local ok, words = pcall(f, l) local none, why = safe.encode(l) return 200, { words, none == nil, why, #f { l[1] } }'),
            'keys.lua': call('local s, t = ("x"):rep(1e6), {} for i = 1, 20 do t[s .. i] = {} end local a = {} for i = 1, 6 do a[i] = t end return (select(2, pcall(cjson.encode, a)))'),
            'sparse.lua': call('cjson.encode_sparse_array(false, 0) return (select(2, pcall(cjson.encode, { [2e9] = 1 })))'),
            'ids.lua': call('cjson.encode_sparse_array(true) return cjson.encode { [2000000000] = 1 } .. cjson.encode { 1, 2, [4] = 4 } .. tostring(safe.encode(print)) .. cjson.encode(cjson.null)'),
            'twice.lua': call('local t = {} for i = 1, 60 do t = { t, t } end return cjson.encode(t)'),
        },
    });
    const [worker] = server.children('worker');
    const words = 'cjson.encode: the text is larger than 64 MiB';
    const many = (await server.get('/many')).json;
    assert.match(many[0], new RegExp(`${words}$`));
    assert.deepEqual(many.slice(1), [true, words, 10000004]);
    for (const path of ['/keys', '/sparse']) assert.match((await server.get(path)).text, new RegExp(`${words}$`), path);
    assert.equal((await server.get('/ids')).text, '{"2000000000":1}[1,2,null,4]nilnull');
    const began = Date.now();
    if (!threadSanitizer) assertProblem(await server.get('/twice'), 500); // it holds signals back
    assert.ok(Date.now() - began < ms(3000));
    const peak = Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${worker}/status`, 'utf8'))[1]) / 1024;
    if (!process.env.CRESCENT_SANITIZE) assert.ok(peak < 200, `${peak} MiB`);
    assert.deepEqual(server.children('worker'), [worker]);
});

test('empty tables, arrays and null encode as what they are; cjson can be required', async (t) => {
    const server = await start(t, { hooks });
    assert.deepEqual((await server.post('/empty')).json, { object: {}, array: [], forced: {}, null: null });
    assert.equal((await server.post('/cjson', '{"a":3}')).text, '3');
});

test('JSON that does not parse is a 400 that says where; in json.decode it is nil, err', async (t) => {
    const server = await start(t, { hooks });
    for (const text of ['{"a":1,}', '{"a":', '', '[1,2', '{"a":1}x', "{'a':1}", '{"a":01}', '{"a":"\n"}', '{"a":"\\x"}', '\ufeff{}', '"\\ud800"', '[1e]', 'nul', '{"a" 1}', '['.repeat(100000)]) {
        const what = text.slice(0, 20);
        assertProblem(await server.post('/same', text, json), 400, /\b\d+\b/);
        const decoded = await server.post('/decode', text);
        assert.equal(decoded.status, 422, what);
        assert.match(decoded.text, /\d/, what);
    }
    for (const bytes of [[0x22, 0xff, 0x22], [0x22, 0xc0, 0x80, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22]]) assertProblem(await server.post('/same', Buffer.from(bytes)), 400);
    assertProblem(await server.post('/pick', '{"a":', json), 400, /\d/);
});

test('of duplicate names every reader takes the same one', async (t) => {
    const server = await start(t, { hooks: { 'dup.lua': 'return function(req) return 200, { req:json().a == req:pick "/a", json.decode(req.body).a == req:json().a } end' } });
    assert.deepEqual((await server.post('/dup', '{"a":1,"a":2}')).json, [true, true]);
    assert.deepEqual((await server.post('/dup', '{"a":1,"n":123456789012345678901234567890,"a":2}')).json, [true, true]);
});
