-- /upload: keeps a file beneath the folder of the setting `files`; /download gives it back.
--
--   curl -u demo:$DEMO_API_KEY --data-binary @report.pdf 'http://127.0.0.1:8080/upload?name=report.pdf'
--
-- The file is there as a whole or not at all, and an answer of 201 means that it outlasts a crash.

return {
  description = "keeps uploaded files",
  verify = verify.basic { users = { demo = env.DEMO_API_KEY } },
  max_body = "32MiB",
  timeout = "1m", -- a large file waits for the disk

  handle = {
    POST = function(req)
      local name = req.query.name
      if not name or not name:match "^[%w][%w ._-]*$" then
        return reply.problem(422, "name the file: ?name=report.pdf")
      end

      local saved, err = req:save("uploads/" .. name, { mkdir = true })
      if not saved and err.code == "exists" then
        return reply.problem(409, "there is a file of this name already")
      elseif not saved then
        error(err) -- a 500; why is in the log
      end

      log.info("a file was uploaded", { file = saved, bytes = #req.body })
      local location = "/download/" .. name:gsub(" ", "%%20")
      return reply.json({ saved = name, bytes = #req.body }, { status = 201, headers = { location = location } })
    end,
  },
}
