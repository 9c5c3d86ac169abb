import { Webhooks } from '@octokit/webhooks';
import { sign } from '@octokit/webhooks-methods';
import examples from './payloads.mjs';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertProblem, request, request2, session, start } from './helper.mjs';

const secret = 'It\'s a Secret to Everybody';
const hooks = {
    'github.lua': `return {
  verify = verify.github { secret = env.SECRET },
  handle = function(req)
    return 200, { by = req.auth.by, event = req.event_type, action = req:pick "/action", full = req:json().action, repository = req:pick "/repository/full_name" }
  end,
}`,
    'rotated.lua': 'return { verify = verify.github { secret = { "the new one", env.SECRET } }, handle = function(req) return tostring(req.auth.index) end }',
    'push.lua': 'return { verify = verify.github { secret = env.SECRET }, events = { "push" }, handle = function(req) return 201, req.event_type end }',
};
const setup = (t) => start(t, { hooks, dotenv: `SECRET="${secret}"\n` });
const headers = (event, signature) => ({ 'content-type': 'application/json', 'x-github-event': event, 'x-github-delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958',
    ...(signature ? { 'x-hub-signature-256': signature } : {}) });
const push = JSON.stringify(examples.find((e) => e.name === 'push').examples[0]);

test('every example payload of GitHub, signed by GitHub\'s own library, is verified, read and answered', async (t) => {
    const server = await setup(t);
    const webhooks = new Webhooks({ secret });
    const client = await session(t, server.url);
    let count = 0;
    for (const { name, examples: payloads } of examples) {
        for (const payload of payloads) {
            const body = JSON.stringify(payload);
            const signature = await webhooks.sign(body);
            const options = { method: 'POST', body, headers: headers(name, signature) };
            const reply = count % 2 ? await request2(client, '/github', options) : await request(`${server.url}/github`, options);
            assert.equal(reply.status, 200, `${name}: ${reply.text}`);
            assert.deepEqual(reply.json, JSON.parse(JSON.stringify({ by: 'github', event: name, action: payload.action, full: payload.action, repository: payload.repository?.full_name })));
            count++;
        }
    }
    assert.ok(count > 300, `${count} payloads`);
});

test('refused before Lua runs, as one 401: flipped byte, wrong secret, missing header, truncated signature', async (t) => {
    const server = await setup(t);
    const good = await sign(secret, push);
    const flipped = Buffer.from(push);
    flipped[100] ^= 1;
    const cases = [
        [flipped, good, 'bad_signature'], [push + '\n', good, 'bad_signature'], [push.slice(0, -1), good, 'bad_signature'], ['', good, 'bad_signature'],
        [push, await sign('another secret', push), 'bad_signature'], [push, undefined, 'missing_header'], [push, good.slice(0, -1), ''], [push, good.slice(0, -2), ''],
        [push, good.slice(7), ''], [push, `${good}0`, ''], [push, 'sha256=', ''], [push, good.replace('sha256', 'sha1'), ''], [push, `sha256=${'g'.repeat(64)}`, ''],
    ];
    const bodies = new Set();
    for (const [body, signature] of cases) {
        const reply = await server.post('/github', body, headers('push', signature));
        const { request_id, ...problem } = assertProblem(reply, 401);
        bodies.add(JSON.stringify(problem));
    }
    assert.equal(bodies.size, 1, 'no oracle: one answer for all');
    const { text } = await request(`${server.admin}/metrics`);
    assert.match(text, /reason="missing_header"\} 1\b/);
    assert.match(text, /reason="bad_signature"\} \d/);
    assert.equal((await server.post('/github', push, headers('push', good))).status, 200);
    assert.doesNotMatch(JSON.stringify(server.log), /a Secret to/);
});

test('rotation: a list of secrets, and which one matched', async (t) => {
    const server = await setup(t);
    assert.equal((await server.post('/rotated', push, headers('push', await sign(secret, push)))).text, '2');
    assert.equal((await server.post('/rotated', push, headers('push', await sign('the new one', push)))).text, '1');
    assertProblem(await server.post('/rotated', push, headers('push', await sign('a third', push))), 401);
});

test('events: only those listed are handled; others, verified, are acknowledged', async (t) => {
    const server = await setup(t);
    const signature = await sign(secret, push);
    assert.deepEqual([(await server.post('/push', push, headers('push', signature))).status], [201]);
    const ping = await server.post('/push', push, headers('ping', signature));
    assert.ok(ping.status >= 200 && ping.status < 300 && ping.status !== 201, `${ping.status}`);
    const { 'x-github-event': gone, ...untyped } = headers('x', signature);
    assert.equal((await server.post('/push', push, untyped)).status, ping.status);
    assertProblem(await server.post('/push', push, headers('ping', await sign('wrong', push))), 401);
    assert.equal(await server.metric('crescent_events_ignored_total'), 2);
});
