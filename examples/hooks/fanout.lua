-- /fanout: hands an order on to two services at once, and answers when both have it.
--
--   curl --json '{"order":"1001","total":4200}' http://127.0.0.1:8080/fanout
--
-- WAREHOUSE_URL and LEDGER_URL in .env say where to; LEDGER_SECRET signs what goes to the ledger (Standard Webhooks).
-- Where one of them fails, the other request is given up, and the sender hears of it: it will send again.

local function forward(name, url, options)
  return function()
    if not url then
      error { status = 503, detail = name .. " is not set up" }
    end
    local reply, err = http.post(url, options)
    if not reply then
      log.warn("not forwarded", { to = name, code = err.code, why = tostring(err) })
      error { status = 502, detail = name .. " did not take it" }
    end
    return reply.status
  end
end

return {
  description = "an order to warehouse and ledger, side by side",
  verify = "none",

  handle = function(req)
    local order = req:json()
    local common = { json = order, expect = "2xx", timeout = "3s" }
    local signed = { json = order, expect = "2xx", timeout = "3s" }
    if env.LEDGER_SECRET then
      signed.sign = { scheme = "standard", secret = env.LEDGER_SECRET }
    end

    local warehouse, ledger = parallel(
      forward("the warehouse", env.WAREHOUSE_URL, common),
      forward("the ledger", env.LEDGER_URL, signed)
    )
    return { warehouse = warehouse, ledger = ledger }
  end,
}
