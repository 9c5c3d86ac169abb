-- Receives and hashes: a large body whose signature is verified, and nothing else.
return {
  verify = verify.github { secret = env.GITHUB_WEBHOOK_SECRET },
  max_body = "16MiB",
  handle = function() return 200 end,
}
