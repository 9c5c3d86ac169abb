-- As upload.lua, and the body becomes a Lua string.
return {
  verify = verify.github { secret = env.GITHUB_WEBHOOK_SECRET },
  max_body = "16MiB",
  handle = function(req) return #req.body == 8 * 1024 * 1024 and 200 or 500 end,
}
