-- ?count=N&seconds=S: so many coroutines of one parallel, asleep at once; &fail=1: one more that ends them all once they
-- have begun. Then the answer is { begin, cancel }, in milliseconds.
return {
  methods = { "GET" },
  timeout = "1m",
  handle = function(req)
    local seconds, list = tonumber(req.query.seconds), {}
    for i = 1, tonumber(req.query.count) do
      list[i] = function()
        sleep(seconds)
        return i
      end
    end
    if not req.query.fail then
      return #parallel(list) .. "\n"
    end
    local first, last = time.monotonic(), nil
    list[#list + 1] = function()
      last = time.monotonic()
      error "on purpose"
    end
    assert(not pcall(parallel, list))
    return 200, { begin = (last - first) * 1000, cancel = (time.monotonic() - last) * 1000 }
  end,
}
