-- verify + pick + JSON reply
return {
  verify = verify.github { secret = env.GITHUB_WEBHOOK_SECRET },
  handle = function(req)
    local ref, repository, by = req:pick("/ref", "/repository/full_name", "/pusher/name")
    return { deploy = ref == "refs/heads/main", repository = repository, by = by }
  end,
}
