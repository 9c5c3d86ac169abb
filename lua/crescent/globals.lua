-- globals.lua: which globals does a text mention that its environment refuses? Read from the bytecode before it runs, so
-- that a misspelt name inside a handler is an error when the script loads, not when the first request meets it.
-- Returns check(chunk, env, file) → nil, or every fault as "file:line: message", one a line. LuaJIT only (jit.util).
local util, bit = require "jit.util", require "bit"
local funcbc, funck, funcinfo = util.funcbc, util.funck, util.funcinfo

-- The operations' numbers, read off code that is known to hold them.
local function operation(text, at)
  return bit.band(funcbc(loadstring(text), at), 0xff)
end
local get, set = operation("return x", 1), operation("local y = 1 x = y", 2)

local function read(env, name)
  return env[name]
end

local function write(env, name)
  env[name] = true
end

-- What the environment says of the name, without the place where we asked.
local function refused(use, env, name)
  local ok, message = pcall(use, env, name)
  if not ok then
    return (tostring(message):gsub("^[^:\n]*:%d+: ", ""))
  end
end

local function walk(chunk, visit)
  local pc = 1
  local instruction = funcbc(chunk, pc)
  while instruction do
    local kind = bit.band(instruction, 0xff)
    if kind == get or kind == set then
      visit(funck(chunk, -bit.rshift(instruction, 16) - 1), kind == set, funcinfo(chunk, pc).currentline)
    end
    pc = pc + 1
    instruction = funcbc(chunk, pc)
  end
  local at = -1
  local constant = funck(chunk, at)
  while constant do
    if type(constant) == "proto" then
      walk(constant, visit)
    end
    at = at - 1
    constant = funck(chunk, at)
  end
end

return function(chunk, env, file)
  local faults = {}
  walk(chunk, function(name, assigned, line)
    local message = refused(read, env, name)
    if message and assigned then
      message = refused(write, env, name)
    end
    if message then
      faults[#faults + 1] = { line = line, text = ("%s:%d: %s"):format(file, line, message) }
    end
  end)
  table.sort(faults, function(a, b)
    return a.line < b.line
  end)
  for i, fault in ipairs(faults) do
    faults[i] = fault.text
  end
  return faults[1] and table.concat(faults, "\n") or nil
end
