-- parallel.lua: the global parallel, over script/parallel.c: a C function cannot raise after a wait.
-- Returns make(wait) → parallel. wait(...) gives true and what to raise, or false and the results.
return function(wait)
  local function finish(failed, ...)
    if failed then
      error((...), 0)
    end
    return ...
  end

  return function(...)
    return finish(wait(...))
  end
end
