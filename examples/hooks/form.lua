-- /form: a contact form, as a browser's <form method="post"> sends it.
--
--   curl -d 'name=Ada' -d 'email=ada@example.com' -d 'message=Hello' http://127.0.0.1:8080/form
--
-- Leave something out: the answer is a 422 that lists what is wrong.

local check = require "_lib.check"

return {
  description = "a contact form",
  verify = "none", -- anybody may write to us, and we say so
  max_body = "16KiB",
  rate_limit = "10/m", -- from one address

  handle = function(req)
    local form = req:form()
    local name, email, message = check.text(form.name), check.email(form.email), check.text(form.message)

    local problems = {}
    if not name then problems[#problems + 1] = "name: please say who you are" end
    if not email then problems[#problems + 1] = "email: this does not look like an address" end
    if not message then problems[#problems + 1] = "message: it is empty" end
    check.fail_if(problems)

    log.info("a message from the contact form", { name = name, length = #message })
    return 201, { thanks = name, characters = #message }
  end,
}
