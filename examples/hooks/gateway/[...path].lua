-- /gateway/…: one address for a service that runs twice: either may be stopped, updated and started again.
--
-- GATEWAY_UPSTREAMS in .env lists them: http://127.0.0.1:9001 http://127.0.0.1:9002
-- A request goes to the one with less to do; where that cannot be reached, to the other.

local upstreams = {}
for url in (env.GATEWAY_UPSTREAMS or ""):gmatch "%S+" do
  upstreams[#upstreams + 1] = url
end

local service = #upstreams > 0
  and reply.proxy(upstreams, {
    strip = "/gateway", -- /gateway/orders/1 is /orders/1 there
    timeout = "5s",
    headers = { cookie = false }, -- none of its business
    response_headers = { ["x-served-by"] = "crescent" },
  })

return {
  description = "hands requests on to two upstreams",
  verify = "none",
  methods = { "GET", "POST", "PUT", "PATCH", "DELETE" },

  handle = function()
    if not service then
      error { status = 503, detail = "GATEWAY_UPSTREAMS is not set" }
    end
    return service
  end,
}
