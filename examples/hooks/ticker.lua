-- /ticker: live prices as server-sent events. In a browser:
--
--   const prices = new EventSource("/ticker?symbols=ADA,BOB")
--   prices.addEventListener("price", (e) => console.log(JSON.parse(e.data)))
--
--   curl -N 'http://127.0.0.1:8080/ticker?symbols=ADA,BOB&count=3'
--
-- A browser that lost its connection comes back by itself and says which event it saw last: the prices go on behind it.

local function price(symbol, tick)
  local base = 100 + (symbol:byte(1) * 7 + symbol:byte(-1)) % 400
  return math.floor((base + 10 * math.sin(tick / 5)) * 100) / 100
end

return {
  description = "live prices as server-sent events",
  methods = { "GET" },

  handle = function(req)
    local symbols = {}
    for symbol in ((req.query.symbols or "ADA") .. ","):gmatch "(.-)," do
      if not symbol:match "^[A-Z]+$" then
        error { status = 422, detail = ("symbols: there is no %q"):format(symbol) }
      end
      symbols[#symbols + 1] = symbol
    end
    local count = tonumber(req.query.count) or math.huge
    -- "7.2" is the second price of tick 7; anything else than what we have sent begins anew
    local tick, last = (req.headers["last-event-id"] or ""):match "^(%d%d?%d?%d?%d?%d?)%.(%d%d?)$"
    tick, last = tonumber(tick) or 1, tonumber(last) or 0

    return reply.sse(function(send) -- ends, and is cleaned up, when the browser leaves
      send { retry = "2s" }
      for _ = 1, count do
        for i = last + 1, #symbols do
          send { event = "price", id = tick .. "." .. i, data = { symbol = symbols[i], price = price(symbols[i], tick) } }
        end
        tick, last = tick + 1, 0
        sleep "250ms"
      end
    end)
  end,
}
