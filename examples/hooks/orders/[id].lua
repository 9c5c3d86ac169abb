-- /orders/:id: a small API behind a key; [id] in the file's name is req.params.id.
--
--   curl -H "x-api-key: $DEMO_API_KEY" http://127.0.0.1:8080/orders/1001
--   curl -H "x-api-key: $DEMO_API_KEY" --json '{"quantity":3}' http://127.0.0.1:8080/orders/1001
--
-- The key may also stand in a list of names, each with a key of its own; req.auth.subject is the name that matched.

local check = require "_lib.check"

-- Demo data: every worker has its own copy, and a reload brings these two back.
local orders = {
  ["1001"] = { article = "crescent moon lamp", quantity = 1 },
  ["1002"] = { article = "fish hook", quantity = 12 },
}

local function find(req)
  local order = orders[req.params.id]
  if not order then error { status = 404, detail = "there is no order " .. req.params.id } end
  return order
end

return {
  description = "orders: read one, change its quantity",
  verify = verify.api_key { header = "x-api-key", keys = { demo = env.DEMO_API_KEY } },

  handle = {
    GET = function(req)
      local order = find(req)
      return { id = req.params.id, article = order.article, quantity = order.quantity }
    end,

    POST = function(req)
      local order = find(req)
      local quantity = check.integer(req:pick "/quantity", 1, 1000)
      if not quantity then check.fail_if { "quantity: a whole number from 1 to 1000" } end
      order.quantity = quantity
      return { id = req.params.id, quantity = quantity, changed_by = req.auth.subject }
    end,
  },
}
