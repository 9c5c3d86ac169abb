import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { assertProblem, start } from './helper.mjs';

const secret = `whsec_${Buffer.from('twenty-four bytes of key').toString('base64')}`;
const body = '{"type":"invoice.paid","data":{"id":"in_1","note":"é\u{1F319}"}}';
const hooks = {
    'std.lua': `return {
  verify = verify.standard { secret = env.SECRET },
  handle = function(req) return 200, { by = req.auth.by, id = req:pick "/data/id" } end,
}`,
};
const headers = (id, date, signature) => ({ 'webhook-id': id, 'webhook-timestamp': String(Math.floor(date / 1000)), 'webhook-signature': signature, 'content-type': 'application/json' });

test('deliveries signed by the standardwebhooks library are accepted', async (t) => {
    const server = await start(t, { hooks, env: { SECRET: secret } });
    const webhook = new Webhook(secret);
    for (const [id, text] of [['msg_1', body], ['msg_2', '{}'], ['msg_3', `{"data":{"id":"${'x'.repeat(50_000)}"}}`]]) {
        const date = new Date();
        const reply = await server.post('/std', text, headers(id, date, webhook.sign(id, date, text)));
        assert.equal(reply.status, 200, reply.text);
    }
    const date = new Date(), good = webhook.sign('m', date, body);
    const several = `v1,${Buffer.alloc(32).toString('base64')} ${good} v1a,abc`;
    assert.equal((await server.post('/std', body, headers('m', date, several))).status, 200);
});

test('refused: flipped byte, wrong secret, missing header, truncated signature, stale timestamp, another id', async (t) => {
    const server = await start(t, { hooks, env: { SECRET: secret } });
    const webhook = new Webhook(secret), date = new Date(), good = webhook.sign('m', date, body);
    const wrong = new Webhook(Buffer.from('another key of some length').toString('base64'));
    const old = new Date(Date.now() - 400_000), ahead = new Date(Date.now() + 400_000);
    const without = (name) => Object.fromEntries(Object.entries(headers('m', date, good)).filter(([n]) => n !== name));
    const cases = [
        [body.replace('in_1', 'in_2'), headers('m', date, good)], [body, headers('m', date, wrong.sign('m', date, body))], [body, headers('other', date, good)],
        [body, without('webhook-id')], [body, without('webhook-timestamp')], [body, without('webhook-signature')], [body, headers('m', date, good.slice(0, -1))],
        [body, headers('m', date, good.slice(0, -6))], [body, headers('m', old, webhook.sign('m', old, body))], [body, headers('m', ahead, webhook.sign('m', ahead, body))],
        [body, headers('m', date, good.replace('v1,', 'v2,'))], [body, headers('m', date, good.slice(3))], [body, headers('m', date, '')], [body, headers('m', date, 'v1,!!!')],
        [body, { ...headers('m', date, good), 'webhook-timestamp': `${headers('m', date, good)['webhook-timestamp']}.0` }],
    ];
    for (const [text, h] of cases) assertProblem(await server.post('/std', text, h), 401);
});
