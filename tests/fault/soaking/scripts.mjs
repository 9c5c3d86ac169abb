// The scripts that a soak serves: each kind of reader, wait and answer that there is.

export const secret = 'the secret of the soak';
const post = (body, more = '') => `return { methods = { "POST" }, timeout = "60s", ${more} handle = function(req)\n${body}\nend }`;
const any = (body, more = '') => `return { methods = { "GET", "POST" }, timeout = "60s", ${more} handle = function(req)\n${body}\nend }`;

/** The script whose version says which save is live. */
export const version = (n) => `local shared = require "_lib.shared"\nreturn function() return { version = ${n}, shared = shared, turn = env.SOAK_TURN } end\n`;
export const shared = (n) => `return ${n}\n`;
/** What no save may make live: an error of its text, one when it runs, one of what it returns. */
export const broken = ['return function( end', 'error "broken"', 'return { handel = function() end }', 'return 5', 'local x = nil\nreturn x.y'];

const upload = `
  local files = {}
  for i, file in ipairs(req:files()) do
    local saved, err
    if req.query.slot then
      saved, err = file:save("uploads/" .. req.query.slot, { overwrite = true, mkdir = true })
      if not saved then error(err) end
    end
    files[i] = { name = file.name, filename = file.filename, size = file.size, sum = crypto.sha256(file.data, "hex"), saved = saved }
  end
  return { files = json.array(files), note = req:form().note }`;

const kvCalls = `
  local ask = req:json()
  local bucket = kv.bucket(tostring(ask.bucket))
  if ask.call == "incr" then return { value = bucket.incr(ask.key) } end
  if ask.call == "add" then return { value = bucket.add(ask.key, ask.value) } end
  if ask.call == "set" then return { value = bucket.set(ask.key, ask.value, { ttl = ask.ttl }) } end
  if ask.call == "get" then return { value = bucket.get(ask.key) } end
  if ask.call == "delete" then return { value = bucket.delete(ask.key) } end
  if ask.call == "list" then
    local keys, after = bucket.list(ask.key, { limit = 1000, after = ask.after })
    return { value = json.array(keys), after = after }
  end
  return reply.problem(422, "no such call")`;

const exec = `
  local which, answer, err = req.query.which
  if which == "sum" then answer, err = exec { "sha256sum", stdin = req.body, timeout = "30s" }
  elseif which == "fail" then answer, err = exec { "sh", "-c", "echo no >&2; exit 3", timeout = "30s" }
  elseif which == "late" then answer, err = exec { "sleep", "30", timeout = "100ms" }
  elseif which == "much" then answer, err = exec { "sh", "-c", "yes", timeout = "30s", max_output = "64KiB" }
  elseif which == "left" then answer, err = exec { "sh", "-c", "sleep 20 >/dev/null 2>&1 &", timeout = "30s" }
  else return reply.problem(422, "no such program") end
  if answer then return { code = answer.code, stdout = answer.stdout } end
  return { code = err.code, stdout = #(err.stdout or ""), stderr = #(err.stderr or "") } -- what did not run has written nothing`;

const fetch = `
  local from = req.query.mortal and env.SOAK_MORTAL or env.SOAK_STEADY
  local answer, err = http.get(from .. "/thing", { query = { n = req.query.n, size = req.query.size }, timeout = "30s" })
  if not answer then return { code = err.code } end
  return { status = answer.status, size = #answer.body, sum = crypto.sha256(answer.body, "hex") }`;

const side = `
  local n = tonumber(req.query.n)
  local a, b, c, d = parallel(
    function() return (http.get(env.SOAK_STEADY .. "/thing", { query = { n = n, size = 10 }, timeout = "30s" })) end,
    function() sleep(0.01) return n * 2 end,
    function()
      local said, err = exec { "echo", tostring(n), timeout = "30s" }
      return said and said.stdout or err.code
    end,
    function() return crypto.sha256(tostring(n), "hex") end)
  return { a.status, b, c, d }`;

const pieces = `
  local n, size = tonumber(req.query.n) or 5, tonumber(req.query.size) or 100
  return reply.stream(function(write)
    for i = 1, n do
      write(("%06d%s\\n"):format(i, ("x"):rep(size)))
      if i % 4 == 0 then sleep "5ms" end
    end
  end, { timeout = "60s" })`;

const events = `
  local n = tonumber(req.query.n) or 5
  return reply.sse(function(send)
    for i = 1, n do
      send { event = "tick", id = tostring(i), data = { i = i } }
      sleep "10ms"
    end
  end, { timeout = "60s" })`;

const push = `
  local ref, n = req:pick("/ref", "/n")
  return { ref = ref, n = n, commits = #req:json().commits, by = req.auth.by, event = req.event_type }`;

const slot = 'return reply.file("uploads/" .. req.params.path)';

export const hooks = {
    'hello.lua': 'return function() return "hello" end',
    'v.lua': version(0), '_lib/shared.lua': shared(0),
    'push.lua': `return { verify = verify.github { secret = env.SOAK_SECRET }, events = { "push" }, max_body = "2MiB", timeout = "60s", handle = function(req)${push}\nend }`,
    'form.lua': post('local fields = req:form() return fields'),
    'json.lua': post('return { all = req:json() }'),
    'data.lua': post('local d = req:data() return type(d) == "table" and d or { text = d }'),
    'upload.lua': post(upload, 'max_body = "8MiB",'),
    'file/[...path].lua': `return { methods = { "GET" }, timeout = "60s", handle = function(req) ${slot} end }`,
    'large.lua': 'return { methods = { "GET" }, timeout = "60s", handle = function() return reply.file "large" end }',
    'save.lua': post('return { saved = req:save("strangers/" .. #req.body % 50, { overwrite = true, mkdir = true }) }'),
    'kv.lua': post(kvCalls),
    'fetch.lua': any(fetch), 'side.lua': any(side), 'exec.lua': post(exec),
    'stream.lua': any(pieces), 'sse.lua': any(events),
    'nap.lua': any('sleep(math.min(tonumber(req.query.s) or 0.01, 3)) return "nap"'),
    'proxy/[...rest].lua': 'local to = reply.proxy(env.SOAK_STEADY, { strip = "/proxy", timeout = "60s" })\n'
        + 'return { methods = { "GET", "POST" }, timeout = "60s", max_body = "8MiB", handle = function() return to end }',
    'either/[...rest].lua': 'local to = reply.proxy({ env.SOAK_MORTAL, env.SOAK_STEADY }, { strip = "/either", timeout = "60s" })\n'
        + 'return { methods = { "GET", "POST" }, timeout = "60s", handle = function() return to end }',
    // Makes so much that Lua collects what others have left.
    'tidy.lua': any('local n = 0 for i = 1, 400 do n = n + #(("x"):rep(100000) .. i) end return "tidy"', 'max_run = "10s",'),
    // What goes wrong by design; each is told as a 500, the first also as a 503 once it is in quarantine.
    'runaway.lua': any('while true do end', 'max_run = "20ms",'),
    'raises.lua': any('error(req.query.what or "raised")'),
    'burst.lua': any('local t = {} for i = 1, 1e7 do t[i] = { i } end', 'max_run = "10s",'),
};
