import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertProblem, start, tool } from './helper.mjs';

const hooks = {
    'form.lua': 'return function(req) local f = req:form(); return 200, { name = f.name, note = f.note, missing = f.none == nil } end',
    'payload.lua': 'return function(req) return 200, { action = req:json().action, picked = req:pick "/action" } end',
};
const form = { 'content-type': 'application/x-www-form-urlencoded' };

test('urlencoded forms', async (t) => {
    const server = await start(t, { hooks });
    assert.deepEqual((await server.post('/form', 'name=Zo%C3%AB+B%26C&note=&x=1', form)).json, { name: 'Zoë B&C', note: '', missing: true });
    const curl = await tool('curl', ['-sS', '--data-urlencode', 'name=a b=c&d', '--data-urlencode', 'note@-', `${server.url}/form`], { input: 'line\nline' });
    assert.deepEqual(JSON.parse(curl), { name: 'a b=c&d', note: 'line\nline', missing: true });
    assertProblem(await server.post('/form', 'name=%zz', form), 400);
    assertProblem(await server.post('/form', 'name=%F', form), 400);
});

test('JSON inside the payload field is what json and pick read', async (t) => {
    const server = await start(t, { hooks });
    const body = new URLSearchParams({ payload: JSON.stringify({ action: 'opened & "closed"' }) }).toString();
    assert.deepEqual((await server.post('/payload', body, form)).json, { action: 'opened & "closed"', picked: 'opened & "closed"' });
    assertProblem(await server.post('/payload', 'payload=%7B', form), 400);
});
