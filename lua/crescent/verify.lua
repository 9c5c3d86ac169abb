-- verify.lua: evaluates verifiers that hold Lua functions. It is Lua because such a function may wait, and a wait passes
-- through Lua frames only. What C can decide, C decides (c.check); `c` is the table of bind_verify.c.
-- A node is a verifier object or a child of one; the object at the root stays on the stack, so children live as long.

local error, type, xpcall = error, type, xpcall

return function(c)
  local evaluate

  -- Calls a function of the script. An answer that it raised on purpose (error { status = … }) goes on upwards; anything
  -- else raised is our 500, with the traceback in the log.
  local function ask(node, req, ...)
    local ran, first, second = xpcall(c.script_function(node), c.traceback, ...)
    if ran then return true, first, second end
    if type(first) ~= "string" then error(first, 0) end
    c.log_failed(req, first)
    return false
  end

  local by_kind = {
    leaf = function(node, req) return c.check(node, req) end,

    ["function"] = function(node, req)
      local ran, passed, why = ask(node, req, req)
      if not ran then return false, "verifier_failed" end
      if passed == true then return true, c.found(node) end
      c.log_refused(req, why)
      return false, "verifier_refused"
    end,

    secrets = function(node, req)
      local ran, secrets = ask(node, req, req.params, req.headers, req.query)
      if not ran then return false, "verifier_failed" end
      return c.check_secrets(node, req, secrets)
    end,

    all = function(node, req)
      local found
      local i = 0
      local child = c.child(node, i)
      while child do
        local passed, result = evaluate(child, req)
        if not passed then return false, result end
        found = found and c.prefer(found, result) or result
        i = i + 1
        child = c.child(node, i)
      end
      return true, found
    end,

    any = function(node, req)
      local reason
      local i = 0
      local child = c.child(node, i)
      while child do
        local passed, result = evaluate(child, req)
        if passed then return true, result end
        reason = reason and c.further(reason, result) or result
        i = i + 1
        child = c.child(node, i)
      end
      return false, reason
    end,
  }

  -- true, what was found; or false, the reason's name.
  function evaluate(node, req) return by_kind[c.kind(node)](node, req) end

  -- What C can decide of the whole tree comes first, whatever its order: nothing that C refuses reaches a function.
  local function decide(root, req)
    local passed, result = c.check(root, req)
    if passed == nil then return evaluate(root, req) end
    return passed, result
  end

  return {
    -- The task of bind_verify_push_task.
    task = function(root, req)
      local passed, result = decide(root, req)
      if not passed then return false, result end
      c.keep(req, result)
      return true
    end,
    -- v(req) in a script.
    call = function(root, req)
      local passed, result = decide(root, req)
      if passed then return true end
      return false, result
    end,
  }
end
