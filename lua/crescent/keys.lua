-- keys.lua: asks a script's key functions (rate_limit.by) for the keys of a request. It is Lua because such a function
-- may wait, and a wait passes through Lua frames only. C gets texts and nil; what is no key is an error in words.

local error, floor, format, tostring, type = error, math.floor, string.format, tostring, type

local as_text = {
  string = function(value) return value end,
  -- A whole number with all its digits: tostring has 14 of them.
  number = function(value)
    if value == floor(value) and value > -2^63 and value < 2^63 then return format("%.0f", value + 0) end
    return tostring(value)
  end,
  boolean = tostring,
  ["nil"] = function() return nil end,
}

local function key(what, value)
  local convert = as_text[type(value)]
  if convert then return convert(value) end
  error(format("%s: its function must return a string, a number, a boolean or nil, it returned a %s", what, type(value)), 0)
end

-- what: the field, for errors; then req, and any number of functions: as many keys.
local function ask(what, req, f, ...)
  if f == nil then return end
  return key(what, (f(req))), ask(what, req, ...)
end

return ask
