-- luajit is the language of everything here; scripts that Crescent serves see its globals as well.
std = "luajit"
max_line_length = 140
stds.crescent = { read_globals = { "verify", "crypto", "json", "log", "env", "reply", "sleep", "time", "uuid", "parallel", "http", "exec", "kv" } }
stds.nginx = { globals = { "ngx" } }
stds.wrk = { globals = { "wrk", "init", "delay", "done", "request", "response" } }

files["examples/hooks"] = { std = "luajit+crescent" }
files["tests/bench/hooks"] = { std = "luajit+crescent" }
files["tests/lua"] = { std = "luajit+crescent" }
files["tests/bench/nginx.lua"] = { std = "luajit+nginx" }
files["tests/bench/wrk.lua"] = { std = "luajit+wrk" }
-- It puts wrappers in the place of the library's functions.
files["lua/crescent/nested.lua"] = { globals = { "coroutine", "string", "table", "xpcall" } }
