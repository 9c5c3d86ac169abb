-- /ticker: live prices as server-sent events. In a browser:
--
--   const prices = new EventSource("/ticker?symbols=ADA,BOB")
--   prices.addEventListener("price", (e) => console.log(JSON.parse(e.data)))
--
--   curl -N 'http://127.0.0.1:8080/ticker?symbols=ADA,BOB&count=3'
--
-- A browser that lost its connection comes back by itself and says which event it saw last: the count goes on there.

local function price(symbol, tick)
  local base = 100 + (symbol:byte(1) * 7 + symbol:byte(-1)) % 400
  return math.floor((base + 10 * math.sin(tick / 5)) * 100) / 100
end

return {
  description = "live prices as server-sent events",
  methods = { "GET" },

  handle = function(req)
    local symbols = {}
    for symbol in (req.query.symbols or "ADA"):gmatch "[A-Z]+" do
      symbols[#symbols + 1] = symbol
    end
    local count = tonumber(req.query.count) or math.huge
    local tick = tonumber(req.headers["last-event-id"]) or 0

    return reply.sse(function(send) -- ends, and is cleaned up, when the browser leaves
      send { retry = "2s" }
      for _ = 1, count do
        tick = tick + 1
        for _, symbol in ipairs(symbols) do
          send { event = "price", id = tick, data = { symbol = symbol, price = price(symbol, tick) } }
        end
        sleep "250ms"
      end
    end)
  end,
}
