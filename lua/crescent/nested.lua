-- nested.lua: the library functions through which Lua code runs within Lua code, replaced in place.
-- A wait begun inside a script's own coroutine yields `mark`; resume and wrap hand it outwards, to the task, and come
-- back with what it completed with. Every other yield stays the script's. See script/nested.c for what is given here.
return function(given)
  local mark, enter, leave, check, is_outermost = given.mark, given.enter, given.leave, given.check, given.is_outermost

  local create, raw_resume, raw_yield = coroutine.create, coroutine.resume, coroutine.yield
  local raw_status, raw_running, raw_isyieldable = coroutine.status, coroutine.running, coroutine.isyieldable
  local raw_gsub, raw_sort = string.gsub, table.sort
  local type, error, setmetatable = type, error, setmetatable
  local raw_xpcall, interrupted = xpcall, given.interrupted

  -- Coroutines that stand in a wait, or stood in one that was cancelled: nobody else may resume them.
  local waiting = setmetatable({}, { __mode = "k" })
  local WAITS = "cannot resume a coroutine that is waiting"

  local again

  local function after(co, was, ok, first, ...)
    if first == mark then
      waiting[co] = true
      return again(co, was, raw_yield(mark))
    end
    leave(was)
    return ok, first, ...
  end

  function again(co, was, ...)
    waiting[co] = nil
    return after(co, was, raw_resume(co, ...))
  end

  local function check_thread(co, name)
    if type(co) ~= "thread" then
      error("bad argument #1 to '" .. name .. "' (coroutine expected)", 3)
    end
  end

  function coroutine.resume(co, ...)
    check_thread(co, "resume")
    if waiting[co] then
      return false, WAITS
    end
    return after(co, enter(), raw_resume(co, ...))
  end

  local function unwrap(ok, ...)
    if not ok then
      error((...), 0)
    end
    return ...
  end

  function coroutine.wrap(f)
    local co = create(f)
    return function(...)
      if waiting[co] then
        error(WAITS, 2)
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
    return waiting[co] and "normal" or raw_status(co)
  end

  -- What ends a stretch that has run for too long is raised where no hook fires: a handler of the script's would have no
  -- end there, so it is passed over.
  function xpcall(f, handler, ...)
    if type(handler) ~= "function" then
      return raw_xpcall(f, handler, ...)
    end
    return raw_xpcall(f, function(...)
      if interrupted() then
        return ...
      end
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
end
