-- /upload: keeps the file of a form beneath the folder of the setting `files`; /download gives it back.
--
--   curl -u demo:$DEMO_API_KEY -F file=@report.pdf http://127.0.0.1:8080/upload
--
-- In a page: <form action="/upload" method="post" enctype="multipart/form-data"><input type="file" name="file">
-- The file is there as a whole or not at all, and an answer of 201 means that it outlasts a crash.

local function escaped(name)
  return (name:gsub("[^%w._~-]", function(c)
    return ("%%%02X"):format(c:byte())
  end))
end

return {
  description = "keeps uploaded files",
  verify = verify.basic { users = { demo = env.DEMO_API_KEY } },
  max_body = "32MiB",
  timeout = "1m", -- a large file waits for the disk

  handle = {
    POST = function(req)
      local files = req:files()
      local file = files[1]
      if #files ~= 1 or file.name ~= "file" or not file.filename then
        return reply.problem(422, "expected one file, in the field `file`, with a name")
      end

      -- filename is a bare name, whatever was sent: no folder, no leading dot
      local saved, err = file:save("uploads/" .. file.filename, { mkdir = true })
      if not saved and err.code == "exists" then
        return reply.problem(409, "there is a file of this name already")
      elseif not saved then
        error(err) -- a 500; why is in the log
      end

      log.info("a file was uploaded", { file = saved, bytes = file.size, type = file.type })
      return reply.json(
        { saved = file.filename, bytes = file.size },
        { status = 201, headers = { location = "/download/" .. escaped(file.filename) } }
      )
    end,
  },
}
