-- /deploy: GitHub says that main has moved: pull it, here and now.
--
-- DEPLOY_FOLDER in .env is a clone of the repository; GITHUB_WEBHOOK_SECRET the webhook's secret. `exec` in crescent.lua
-- lists what scripts may start: exec = { "git" }.

return {
  description = "pulls main where DEPLOY_FOLDER is",
  verify = verify.github { secret = env.GITHUB_WEBHOOK_SECRET },
  events = { "push" },
  timeout = "1m",

  handle = function(req)
    if req:pick "/ref" ~= "refs/heads/main" then
      return { deployed = false, why = "not main" }
    end
    if (env.DEPLOY_FOLDER or "") == "" then
      error { status = 503, detail = "DEPLOY_FOLDER is not set" }
    end

    local pulled, err = exec { "git", "pull", "--ff-only", "--quiet", cwd = env.DEPLOY_FOLDER, timeout = "50s" }
    if not pulled then
      log.error("not deployed", { why = tostring(err), stderr = err.stderr })
      error { status = 502, detail = "git could not pull" } -- GitHub shows it as failed, and can deliver it again
    end
    local head = assert(exec { "git", "rev-parse", "HEAD", cwd = env.DEPLOY_FOLDER })
    return { deployed = true, commit = (head.stdout:gsub("%s+$", "")) }
  end,
}
