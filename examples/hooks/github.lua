-- /github: says what a push to GitHub would deploy.
--
-- In the repository: Settings, Webhooks, Add webhook; the secret is that of GITHUB_WEBHOOK_SECRET in .env.
-- The signature is checked before any line of handle runs; other events than push are acknowledged and forgotten.

local deployed_branch = "main"

return {
  description = "answers what a push would deploy",
  verify = verify.github { secret = env.GITHUB_WEBHOOK_SECRET },
  events = { "push" },

  handle = function(req)
    -- pick reads single values out of the body without building tables of all the rest
    local ref, commit, deleted = req:pick("/ref", "/after", "/deleted")
    local repository, pusher = req:pick("/repository/full_name", "/pusher/name")

    local branch = ref and ref:match "^refs/heads/(.+)$"
    if not branch then
      return { deploy = false, why = "not a branch", ref = ref }
    end
    if deleted then
      return { deploy = false, why = "the branch is gone", repository = repository, branch = branch }
    end

    log.info("push", { repository = repository, branch = branch, commit = commit })
    return {
      deploy = branch == deployed_branch,
      repository = repository,
      branch = branch,
      commit = commit,
      pusher = pusher,
    }
  end,
}
