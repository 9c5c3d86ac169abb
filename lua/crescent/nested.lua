-- nested.lua: the library functions through which Lua code runs within Lua code, replaced in place.
-- A wait begun inside a script's own coroutine yields `mark` and the wait's number; resume and wrap hand them outwards,
-- to the task, and come back with what it completed with. Every other yield stays the script's. See script/nested.c for
-- what is given here.
return function(given)
  local mark, enter, leave, check, is_outermost = given.mark, given.enter, given.leave, given.check, given.is_outermost

  local raw_create, raw_resume, raw_yield = coroutine.create, coroutine.resume, coroutine.yield
  local raw_status, raw_running, raw_isyieldable = coroutine.status, coroutine.running, coroutine.isyieldable
  local raw_gsub, raw_sort, raw_time = string.gsub, table.sort, os.time
  local type, error, setmetatable, select = type, error, setmetatable, select
  local raw_xpcall, unwinds, waits = xpcall, given.unwinds, given.waits

  -- Each coroutine of a script's: false, or the number of the wait in which it stands. Nobody else may resume it then;
  -- and nobody at all once that wait was cancelled. An entry is there from the start, so that noting a wait needs no
  -- memory: a wait that is not noted could be ended by anyone.
  local waiting = setmetatable({}, { __mode = "k" })

  -- LuaJIT makes these two when they are needed, with a frame at hand that it has overwritten in part: without memory for
  -- them the process would end there. So they are in memory from the start.
  local DEAD, RUNNING = "cannot resume dead coroutine", "cannot resume running coroutine"

  local again

  local function pass(co, was, _, wait)
    waiting[co] = wait
    return again(co, was, raw_yield(mark, wait))
  end

  local function after(co, was, ok, ...)
    if (...) == mark then
      return pass(co, was, ...)
    end
    leave(was)
    return ok, ...
  end

  function again(co, was, ...)
    waiting[co] = false
    return after(co, was, raw_resume(co, ...))
  end

  -- Why one that stands in a wait cannot be resumed.
  local function refusal(wait)
    return waits(wait) and "cannot resume a coroutine that is waiting"
      or "cannot resume a coroutine whose wait was cancelled"
  end

  local function create(f, name)
    if type(f) ~= "function" then
      error("bad argument #1 to '" .. name .. "' (function expected, got " .. (f == nil and "nothing" or type(f)) .. ")", 3)
    end
    local co = raw_create(f)
    waiting[co] = false
    return co
  end

  function coroutine.create(f)
    local co = create(f, "create")
    return co
  end

  local function check_thread(co, name)
    if type(co) ~= "thread" then
      error("bad argument #1 to '" .. name .. "' (coroutine expected)", 3)
    end
  end

  function coroutine.resume(co, ...)
    check_thread(co, "resume")
    local wait = waiting[co]
    if wait then
      return false, refusal(wait)
    end
    return after(co, enter(), raw_resume(co, ...))
  end

  local function unwrap(ok, ...)
    if not ok then
      local err = ...
      error(err, (err == DEAD or err == RUNNING) and 2 or 0)
    end
    return ...
  end

  function coroutine.wrap(f)
    local co = create(f, "wrap")
    return function(...)
      local wait = waiting[co]
      if wait then
        error(refusal(wait), 2)
      end
      return unwrap(after(co, enter(), raw_resume(co, ...)))
    end
  end

  -- A task's own coroutine is no coroutine for the script: it is pooled, and must not be kept.
  function coroutine.yield(...)
    if is_outermost() then
      error("attempt to yield from outside a coroutine", 2)
    end
    return raw_yield(...)
  end

  function coroutine.running()
    if is_outermost() then
      return nil
    end
    return raw_running()
  end

  function coroutine.isyieldable()
    return not is_outermost() and raw_isyieldable()
  end

  function coroutine.status(co)
    check_thread(co, "status")
    local wait = waiting[co]
    if not wait then
      return raw_status(co)
    end
    return waits(wait) and "normal" or "dead"
  end

  -- What ends a stretch that has run for too long, and a task that is left, is raised where no hook fires: a handler of
  -- the script's would have no end there, so it is passed over.
  function xpcall(f, handler, ...) -- luacheck: ignore 121
    if type(handler) ~= "function" then
      return raw_xpcall(f, handler, ...)
    end
    return raw_xpcall(f, function(...)
      if unwinds() then
        return ...
      end
      check()
      return handler(...)
    end, ...)
  end

  -- These recurse in C with every callback that calls them again.
  function string.gsub(s, pattern, replacement, ...)
    if type(replacement) ~= "string" then
      check()
    end
    return raw_gsub(s, pattern, replacement, ...)
  end

  function table.sort(...)
    check()
    return raw_sort(...)
  end

  function os.time(t) -- luacheck: ignore 122
    if t ~= nil then
      check()
    end
    return raw_time(t)
  end

  -- Only a table has a __tostring of the script's: what else is formatted costs no call of check, and stays compiled. (A
  -- comparison with nil is cheaper than type.)
  local function guard(raw)
    return function(...)
      local _, a, b, c, d = ...
      if a ~= nil and type(a) == "table" or b ~= nil and type(b) == "table" or c ~= nil and type(c) == "table"
        or d ~= nil and type(d) == "table" or select("#", ...) > 5 then
        check()
      end
      return raw(...)
    end
  end

  local methods = debug.getmetatable(require("string.buffer").new()).__index
  string.format = guard(string.format)
  methods.put, methods.putf = guard(methods.put), guard(methods.putf)
end
