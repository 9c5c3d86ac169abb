-- kv.lua: the global kv, over the functions of src/bind/bind_kv.c. Each of those is given the bucket first, waits, and gives a
-- problem to raise, or nil and its results: a C function cannot raise after a wait.
-- Returns make(functions, nearest, bucket_max) → kv. nearest(name, names) → the nearest of them, or nil.
return function(functions, nearest, bucket_max)
  local names = {}
  for name in pairs(functions) do
    names[#names + 1] = name
  end

  local function finish(problem, ...)
    if problem ~= nil then
      error(problem, 0)
    end
    return ...
  end

  local function missing(what, known)
    return function(_, name)
      local near = nearest(tostring(name), known)
      error(("%s has no '%s'%s"):format(what, tostring(name), near and (" (did you mean '%s'?)"):format(near) or ""), 2)
    end
  end

  local function functions_of(bucket, what, known)
    local made = {}
    for name, call in pairs(functions) do
      made[name] = function(...)
        return finish(call(bucket, ...))
      end
    end
    return setmetatable(made, { __index = missing(what, known), __metatable = false })
  end

  local all = { "bucket" }
  for _, name in ipairs(names) do
    all[#all + 1] = name
  end
  local kv = functions_of("", "kv", all)
  function kv.bucket(...)
    local bucket = ...
    if type(bucket) ~= "string" or select("#", ...) ~= 1 then
      error(("kv.bucket: expected a name, got %s"):format(select("#", ...) > 1 and "more" or type(bucket)), 2)
    elseif bucket == "" or #bucket > bucket_max then
      error(("kv.bucket: a name has 1 to %d bytes, not %d"):format(bucket_max, #bucket), 2)
    end
    return functions_of(bucket, "a bucket", names)
  end
  return kv
end
