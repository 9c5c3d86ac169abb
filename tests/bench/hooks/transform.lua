-- verify + the whole body as tables + another shape back
return {
  verify = verify.github { secret = env.GITHUB_WEBHOOK_SECRET },
  handle = function(req)
    local event = req:json()
    local commits = {}
    for i, commit in ipairs(event.commits) do
      commits[i] = { id = commit.id, title = commit.message:match "[^\n]*", files = #commit.added + #commit.modified }
    end
    return {
      ref = event.ref, commits = json.array(commits),
      repository = { name = event.repository.full_name, stars = event.repository.stargazers_count, url = event.repository.html_url },
      owner = event.repository.owner.login, sender = event.sender.login, private = event.repository.private,
    }
  end,
}
