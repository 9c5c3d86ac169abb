-- ?count=N&seconds=S: so many coroutines of one parallel, asleep at once
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
    return #parallel(list) .. "\n"
  end,
}
