-- /download/*: gives back what /upload has kept, and nothing else beneath the folder of the setting `files`.
--
--   curl -OJ http://127.0.0.1:8080/download/report.pdf
--   curl -C - -O http://127.0.0.1:8080/download/report.pdf     goes on where a broken download has stopped
--
-- Ranges, ETag and Last-Modified are the server's matter; so is a path that would lead out: it is a 404.

return {
  description = "downloads what was uploaded",
  verify = "none", -- anybody may read what was uploaded, and we say so

  handle = {
    GET = function(req)
      local path = req.params.path
      return reply.file("uploads/" .. path, {
        headers = {
          -- a browser keeps the file, and never shows it: what strangers have uploaded may be a page with scripts
          ["content-disposition"] = "attachment",
          ["cache-control"] = "private, no-cache", -- kept, and asked for again each time: mostly a 304
        },
      })
    end,
  },
}
