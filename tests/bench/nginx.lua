-- What tests/bench/hooks do, for nginx: HMAC by OpenSSL through FFI, JSON by lua-cjson.
local ffi = require "ffi"
local cjson = require "cjson"

ffi.cdef [[
const void *EVP_sha256(void);
unsigned char *HMAC(const void *md, const void *key, int key_len, const unsigned char *data, size_t len,
                    unsigned char *out, unsigned int *out_len);
int CRYPTO_memcmp(const void *a, const void *b, size_t len);
]]
local C = ffi.C
local secret = os.getenv "GITHUB_WEBHOOK_SECRET"
local digest, digest_len = ffi.new "unsigned char[32]", ffi.new "unsigned int[1]"
local expected = ffi.new "unsigned char[71]"
local hex = ffi.new("unsigned char[16]", "0123456789abcdef")
local sha256 = C.EVP_sha256()
ffi.copy(expected, "sha256=", 7)

local function verified_body()
    ngx.req.read_body()
    local body = ngx.req.get_body_data()
    local signature = ngx.var.http_x_hub_signature_256
    if not body or not signature or #signature ~= 71 then return nil end
    C.HMAC(sha256, secret, #secret, body, #body, digest, digest_len)
    for i = 0, 31 do
        local byte = digest[i]
        expected[7 + 2 * i] = hex[bit.rshift(byte, 4)]
        expected[8 + 2 * i] = hex[bit.band(byte, 15)]
    end
    return C.CRYPTO_memcmp(expected, signature, 71) == 0 and body or nil
end

local function answer(value)
    local text = cjson.encode(value)
    ngx.header["Content-Type"] = "application/json"
    ngx.header["Content-Length"] = #text
    ngx.print(text)
end

local M = {}

function M.push()
    local body = verified_body()
    if not body then return ngx.exit(401) end
    local event = cjson.decode(body)
    answer { deploy = event.ref == "refs/heads/main", repository = event.repository.full_name, by = event.pusher.name }
end

function M.transform()
    local body = verified_body()
    if not body then return ngx.exit(401) end
    local event = cjson.decode(body)
    local commits = {}
    for i, commit in ipairs(event.commits) do
        commits[i] = { id = commit.id, title = commit.message:match "[^\n]*", files = #commit.added + #commit.modified }
    end
    answer {
        ref = event.ref, commits = commits,
        repository = { name = event.repository.full_name, stars = event.repository.stargazers_count, url = event.repository.html_url },
        owner = event.repository.owner.login, sender = event.sender.login, private = event.repository.private,
    }
end

function M.upload()
    return ngx.exit(verified_body() and 200 or 401)
end

function M.hello()
    ngx.header["Content-Type"] = "text/plain; charset=utf-8"
    ngx.header["Content-Length"] = 5
    ngx.print "hello"
end

return M
