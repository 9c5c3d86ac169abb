-- _lib/check.lua: small checks of what people send; used by form.lua and orders/[id].lua.
-- Files and folders that begin with _ are never routed: this is reached by require "_lib.check" only.

local check = {}

-- The text without blanks around it, or nil when nothing is left.
function check.text(value)
  if type(value) ~= "string" then return nil end
  value = value:match "^%s*(.-)%s*$"
  return value ~= "" and value or nil
end

function check.email(value)
  value = check.text(value)
  return value and value:match "^[^%s@]+@[^%s@]+%.[^%s@]+$"
end

-- Whole, and from min to max.
function check.integer(value, min, max)
  if type(value) ~= "number" or value ~= math.floor(value) then return nil end
  return value >= min and value <= max and value or nil
end

-- Ends the request with a 422 that names every problem at once; does nothing when there are none.
function check.fail_if(problems)
  if #problems > 0 then
    error { status = 422, detail = table.concat(problems, "; "), problems = problems }
  end
end

return check
