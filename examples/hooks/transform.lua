-- /transform: JSON in, other JSON out: an order as a shop writes it becomes what a warehouse reads.
--
--   curl --json '{"order":{"id":9007199254740993,"lines":[{"sku":"A1","quantity":2,"price":250}]}}' \
--     http://127.0.0.1:8080/transform
--
-- A body that is no JSON is answered with a 400 that says where it breaks; nothing is needed here for that.

return {
  description = "a shop's order to a warehouse's picking list",
  verify = "none",

  handle = function(req)
    local body = req:json()
    local order = type(body) == "table" and body.order
    if type(order) ~= "table" or type(order.lines) ~= "table" then
      return reply.problem(422, "order.lines is missing")
    end

    local picks, total = json.array {}, 0 -- json.array: an order without lines is [], not {}
    for i, line in ipairs(order.lines) do
      if type(line) ~= "table" or type(line.quantity) ~= "number" or type(line.price) ~= "number" then
        return reply.problem(422, "line " .. i .. " needs a quantity and a price")
      end
      picks[i] = { article = line.sku, pieces = line.quantity }
      total = total + line.quantity * line.price
    end

    -- the id keeps every digit, also beyond 2^53
    return { reference = order.id, picks = picks, value = { cents = total, currency = order.currency or "EUR" } }
  end,
}
