-- http.lua: response:pieces() over response:read(): for piece in response:pieces() do … end. What goes wrong is raised,
-- so that a loop that ends has seen all of it.
return function(read)
  return function(response)
    return function()
      local piece, err = read(response)
      if err then
        error(err, 0)
      end
      return piece
    end
  end
end
