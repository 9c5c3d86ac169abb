import assert from 'node:assert/strict';
import { test } from 'node:test';
import Stripe from 'stripe';
import { assertProblem, request, start } from './helper.mjs';

const secret = 'whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH', other = 'whsec_otherotherotherotherotherother1';
const stripe = new Stripe('sk_test_none');
const now = () => Math.floor(Date.now() / 1000);
const signed = (payload, options = {}) => stripe.webhooks.generateTestHeaderString({ payload, secret, ...options });
const event = JSON.stringify({ id: 'evt_1', object: 'event', type: 'payment_intent.succeeded', data: { object: { id: 'pi_1', amount: 1999, metadata: { order: '6735' } } } }, null, 2);
const hooks = {
    'stripe.lua': `return {
  verify = verify.stripe { secret = { env.OTHER, env.SECRET } },
  handle = function(req) return 200, { type = req.event_type, order = req:pick "/data/object/metadata/order", by = req.auth.by, index = req.auth.index } end,
}`,
    'tight.lua': 'return { verify = verify.stripe { secret = env.SECRET, tolerance = "10s" }, handle = function() return 200 end }',
};
const setup = (t) => start(t, { hooks, env: { SECRET: secret, OTHER: other } });

test('headers made by Stripe\'s own signer are accepted, rotation included', async (t) => {
    const server = await setup(t);
    const send = (header, path = '/stripe') => server.post(path, event, { 'stripe-signature': header, 'content-type': 'application/json' });
    const reply = await send(signed(event));
    assert.equal(reply.status, 200, reply.text);
    assert.deepEqual(reply.json, { type: 'payment_intent.succeeded', order: '6735', by: 'stripe', index: 2 });
    assert.equal((await send(signed(event, { secret: other }))).json.index, 1);
    const [time, v1] = signed(event).split(',');
    const rolled = `${time},v1=${'0'.repeat(64)},${v1},v0=${'1'.repeat(64)}`;
    assert.equal((await send(rolled)).status, 200, 'one of several v1 is enough');
    assert.equal((await send(signed(event, { timestamp: now() - 280 }))).status, 200, 'five minutes are tolerated');
    assert.equal((await send(signed(event, { timestamp: now() + 600 }))).status, 200, 'as with Stripe\'s library, a time ahead is no reason');
    assert.equal((await send(signed(event, { timestamp: now() - 5 }), '/tight')).status, 200);
});

test('refused: flipped byte, wrong secret, missing header, truncated signature, stale timestamp, other versions', async (t) => {
    const server = await setup(t);
    const good = signed(event), flipped = Buffer.from(event);
    flipped[50] ^= 4;
    const cases = [
        [flipped, good], [event, signed(event, { secret: 'whsec_wrong' })], [event, undefined], [event, good.slice(0, -1)], [event, good.slice(0, -8)],
        [event, signed(event, { timestamp: now() - 400 })], [event, good.replace('v1=', 'v0=')], [event, good.replace(/^t=\d+,/, '')],
        [event, good.replace(/^t=\d/, 't=9')], [event, 't=,v1='], [event, good.replace(/^t=/, 't=x')], [event, `${good.split(',')[0]}`], [event, `t=99999999999999999999,${good.split(',')[1]}`],
    ];
    for (const [body, header] of cases)
        assertProblem(await server.post('/stripe', body, header === undefined ? {} : { 'stripe-signature': header }), 401);
    assertProblem(await server.post('/tight', event, { 'stripe-signature': signed(event, { timestamp: now() - 20 }) }), 401);
    const { text } = await request(`${server.admin}/metrics`);
    assert.match(text, /reason="expired"\} [2-9]/);
});
