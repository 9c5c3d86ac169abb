// Requests that scripts make: http.get of a small reply on kept connections, 64 at once from one worker, beside
// nginx-lua's cosockets doing the same. Client on core 0, the host that is asked on core 1. For bench.mjs.
import fs from 'node:fs';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { request, start, until, write } from '../e2e/helper.mjs';

const AT_ONCE = 64;
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

const script = (url) => `return { methods = { "GET" }, timeout = "60s", handle = function(req)
  local each = tonumber(req.query.n) / ${AT_ONCE}
  local function run()
    for _ = 1, each do
      local reply, err = http.get "${url}/hello"
      if not reply then error(err) end
      if reply.status ~= 200 or reply.body ~= "hello" then error "another reply" end
    end
    return true
  end
  local all = {}
  for i = 1, ${AT_ONCE} do all[i] = run end
  parallel(all)
  return "done"
end }`;

/** Cosockets as lua-resty-http and its like use them: a pool, line by line, then the body by its length. */
const nginx = (dir, port, upstream) => `load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
daemon off; master_process off; pid ${dir}/outgoing.pid; error_log ${dir}/outgoing.log warn;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 1000000000; lua_socket_log_errors off;
  client_body_temp_path ${dir}/ob; proxy_temp_path ${dir}/op; fastcgi_temp_path ${dir}/of; uwsgi_temp_path ${dir}/ou; scgi_temp_path ${dir}/os;
  server { listen 127.0.0.1:${port};
    location = /ready { return 200 "ready"; }
    location = /run { content_by_lua_block {
      local each = tonumber(ngx.var.arg_n) / ${AT_ONCE}
      local ask = "GET /hello HTTP/1.1\\r\\nHost: 127.0.0.1:${upstream}\\r\\nUser-Agent: nginx-lua\\r\\nAccept: */*\\r\\nAccept-Encoding: gzip, deflate\\r\\n\\r\\n"
      local function get()
        local sock = ngx.socket.tcp()
        sock:settimeout(10000)
        assert(sock:connect("127.0.0.1", ${upstream}, { pool_size = ${2 * AT_ONCE} }))
        assert(sock:send(ask))
        local line = assert(sock:receive "*l")
        local status = tonumber(line:sub(10, 12))
        local headers = {}
        while true do
          line = assert(sock:receive "*l")
          if line == "" then break end
          local name, value = line:match "^([^:]+):%s*(.-)%s*$"
          headers[name:lower()] = value
        end
        local body = assert(sock:receive(tonumber(headers["content-length"])))
        assert(sock:setkeepalive(60000, ${2 * AT_ONCE}))
        return status, headers, body
      end
      local function run()
        for _ = 1, each do
          local status, headers, body = get()
          if status ~= 200 or body ~= "hello" then error "another reply" end
        end
      end
      local threads = {}
      for i = 1, ${AT_ONCE} do threads[i] = ngx.thread.spawn(run) end
      for i = 1, ${AT_ONCE} do assert(ngx.thread.wait(threads[i])) end
      ngx.print "done"
    } }
  }
}`;

const host = (dir, port) => `daemon off; master_process off; pid ${dir}/upstream.pid; error_log ${dir}/upstream.log warn;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path ${dir}/hb; proxy_temp_path ${dir}/hp; fastcgi_temp_path ${dir}/hf; uwsgi_temp_path ${dir}/hu; scgi_temp_path ${dir}/hs;
  server { listen 127.0.0.1:${port} backlog=1024; location = /hello { default_type text/plain; return 200 "hello"; } }
}`;

/**
 * {crescent, nginx}: requests a second and µs of CPU time each, medians of the rounds. whole: what start() tidies up
 * through; cpu(pid): µs so far; freePort(): a port.
 */
export async function outgoing({ whole, dir, cpu, freePort, rounds = 5, count = 64000 }) {
    const onCore = (core) => ['taskset', '-c', String(core)];
    const upstreamPort = await freePort(), port = await freePort();
    const upstream = `http://127.0.0.1:${upstreamPort}`;
    const children = [];
    const run = (command) => {
        const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'ignore', 'inherit'] });
        children.push(child);
        return child;
    };
    const end = () => Promise.all(children.map((child) => new Promise((done) => {
        if (child.exitCode !== null || child.signalCode) return done();
        child.on('close', done);
        child.kill('SIGTERM');
    })));
    try {
        write(dir, { 'upstream.conf': host(dir, upstreamPort) });
        run([...onCore(1), '/usr/sbin/nginx', '-p', dir, '-c', path.join(dir, 'upstream.conf')]);
        await until(() => request(`${upstream}/hello`).then((r) => r.text === 'hello', () => false), 'the host to answer');
        write(dir, { 'outgoing.conf': nginx(dir, port, upstreamPort) });
        const results = { crescent: [], nginx: [] };
        for (let round = 0; round < rounds; round++) {
            const peer = run([...onCore(0), '/usr/sbin/nginx', '-p', dir, '-c', path.join(dir, 'outgoing.conf')]);
            await until(() => request(`http://127.0.0.1:${port}/ready`).then((r) => r.text === 'ready', () => false), 'nginx to answer');
            const hooks = path.join(dir, `outgoing-${round}`);
            fs.mkdirSync(hooks, { recursive: true });
            write(hooks, { 'run.lua': script(upstream) });
            const server = await start(whole, { hooks, workers: 1, prefix: onCore(0) });
            for (const [name, url, pid] of [['nginx', `http://127.0.0.1:${port}`, peer.pid], ['crescent', server.url, server.pid]]) {
                const ask = async (n) => {
                    const reply = await request(`${url}/run?n=${n}`, { limit: 120000 });
                    if (reply.text !== 'done') throw new Error(`${name}: ${reply.status} ${reply.text}\n${name === 'crescent' ? server.tail() : ''}`);
                };
                await ask(count / 4);
                const before = cpu(pid), begun = process.hrtime.bigint();
                await ask(count);
                results[name].push({ rate: count / (Number(process.hrtime.bigint() - begun) / 1e9), cost: (cpu(pid) - before) / count });
            }
            await server.stop();
            peer.kill('SIGTERM');
            await new Promise((done) => peer.exitCode !== null || peer.signalCode ? done() : peer.on('close', done));
        }
        return Object.fromEntries(Object.entries(results).map(([name, list]) => [name, { rate: median(list.map((r) => r.rate)), cost: median(list.map((r) => r.cost)) }]));
    } finally {
        await end();
    }
}
