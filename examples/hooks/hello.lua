-- /hello: the smallest script: a function that gets the request and returns the answer.
--
--   curl 'http://127.0.0.1:8080/hello?name=Ada'

return function(req)
  return "Hello, " .. (req.query.name or "world") .. "!\n"
end
