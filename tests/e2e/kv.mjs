// What the tests of kv share: a script that does what it is asked, and ways to ask.
import assert from 'node:assert/strict';
import http from 'node:http';
import { request, tool } from './helper.mjs';

/** POST /kv { call, args, bucket }: the results as a list, null for nil, and what an error value carries. */
export const script = `
local function plain(value)
  if value == nil then return json.null end
  if value == math.huge then return "forever" end
  if type(value) == "table" and value.code then return { code = value.code, words = tostring(value) } end
  return value
end
local function pack(...)
  local list = json.array()
  for i = 1, select("#", ...) do list[i] = plain((select(i, ...))) end
  return list
end
return function(req)
  local ask = req:json()
  local of = ask.bucket and kv.bucket(ask.bucket) or kv
  return pack(of[ask.call](unpack(ask.args)))
end
`;
export const hooks = {
    'kv.lua': script,
    'hello.lua': 'return function() return "hello" end',
    'incr.lua': 'return { methods = { "POST" }, handle = function(req) return tostring(kv.incr(req.query.key)) end }',
    'set.lua': 'return { methods = { "POST" }, handle = function(req) kv.set(req.query.key, req.query.value) return "set" end }',
};

/** Asks over a connection of its own, so any worker answers: the results. A problem is thrown as its status and detail. */
export async function ask(server, call, ...args) {
    return await askIn(server, undefined, call, ...args);
}
export async function askIn(server, bucket, call, ...args) {
    const reply = await request(`${server.url}/kv`, { method: 'POST', body: JSON.stringify({ call, args, bucket }), headers: { 'content-type': 'application/json' } });
    if (reply.status !== 200) throw Object.assign(new Error(`${reply.status} ${reply.text}\n${server.tail()}`), { status: reply.status, problem: reply.json });
    return reply.json;
}

/** `connections` clients that post to path(n), n counting up, until stop(): {good: [n], bad: [[n, status or code]]}. */
export function clients(server, path, connections = 16) {
    const result = { good: [], bad: [], answers: new Map() };
    let running = true, n = 0, inARow = 0; // failures; so many mean that the server is gone
    const one = async () => {
        const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
        while (running) {
            const mine = n++;
            try {
                const reply = await request(server.url + path(mine), { method: 'POST', agent, limit: 30000 });
                inARow = 0;
                if (reply.status === 200) result.good.push(mine);
                else result.bad.push([mine, `${reply.status} ${reply.text}`]);
                result.answers.set(mine, reply.text);
            } catch (error) {
                result.bad.push([mine, error.code ?? error.message]);
                running &&= ++inARow < 2000;
            }
        }
        agent.destroy();
    };
    const all = Promise.all(Array.from({ length: connections }, one));
    return Object.assign(result, {
        stop: async () => {
            running = false;
            await all;
            return result;
        },
    });
}

/** The store's file as the sqlite3 shell sees it. */
export const sql = async (file, text) => (await tool('sqlite3', [file, text])).trim();

/** All keys that begin with the prefix, page by page. */
export async function allKeys(server, prefix) {
    const keys = [];
    for (let after; ;) {
        const [some, next] = await ask(server, 'list', prefix, { limit: 1000, after });
        keys.push(...some);
        if (next === undefined || next === null) return keys;
        assert.equal(next, some.at(-1));
        after = next;
    }
}
