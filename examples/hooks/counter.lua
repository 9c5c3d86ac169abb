-- /counter: how often each page was seen, over all workers, and still after a restart.
--
--   curl -d '' 'http://127.0.0.1:8080/counter?page=/welcome'
--   curl http://127.0.0.1:8080/counter

local seen = kv.bucket "page views"

return {
  description = "counts views of pages",

  handle = {
    POST = function(req)
      local page = req.query.page
      if not page or #page > 200 or not page:find("^/[%w/._~-]*$") then -- anybody may ask: so nothing but paths
        error { status = 422, detail = "which page? ?page=/welcome" }
      end
      return { page = page, views = seen.incr(page) }
    end,

    GET = function()
      local views, after = {}, nil
      repeat
        local pages
        pages, after = seen.list("", { limit = 100, after = after })
        for _, page in ipairs(pages) do
          views[page] = seen.get(page)
        end
      until not after
      return views
    end,
  },
}
