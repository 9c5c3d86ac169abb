-- wrk -s wrk.lua URL -- BODY_FILE SIGNATURE DELAY_MS: the signed push where there is a body; anything but 200 is counted.
local wait = 0

function init(arguments)
  if arguments[1] and arguments[1] ~= "" then
    local file = assert(io.open(arguments[1], "rb"))
    wrk.method = "POST"
    wrk.body = file:read "*a"
    file:close()
    wrk.headers["content-type"] = "application/json"
    wrk.headers["x-github-event"] = "push"
    wrk.headers["x-github-delivery"] = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
    wrk.headers["x-hub-signature-256"] = arguments[2]
  end
  wait = tonumber(arguments[3] or 0)
  if wait == 0 then delay = nil end
end

function delay() return wait end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
