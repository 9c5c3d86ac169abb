-- providers.lua: the webhook providers that verify knows, one table each: data only, executed by C (policy/scheme.h).
-- A new provider is a new table. Every word that is not listed here is refused when the tables are read.
--
--   algorithm   "sha256" (default), "sha1", "sha384", "sha512"
--   signature   { header = NAME or a list of names, each of which may carry one,
--                 prefix = text before the encoded signature, encoding = "hex" (default) | "base64" | "base64url",
--                 list = " " or ",": the header holds several, parted by it; those without the prefix are passed over,
--                 pairs = "," or ";", field = NAME: the header (or each part of the list) holds name=value pairs; the
--                 signatures are those named field, the others can stand in payload as {field:NAME} }
--   payload     what is signed: text with {body} {method} {path} {query} {header:NAME} {field:NAME}
--   key         { form = "utf8" (default) | "base64" | "hex": what the secret's text is, prefix = cut off before that,
--                 bare = the form of a secret that lacks the prefix (default: as form) }
--   timestamp   { at = "header:NAME" or "field:NAME", which payload must hold; unit = "s" | "ms" | "rfc3339" | "any",
--                 past, future = how far it may lie from now (a side left out is open) }
--   delivery    where the delivery's id is: "header:NAME" or a JSON pointer into the body
--   event_type  where the event's type is, likewise
--   ack         the status that acknowledges an event nobody wants (default: 204)
--   max_body    the size that the provider promises not to pass

return {
  -- docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries. The body may be JSON or a form; signed is what
  -- was sent. Payloads are capped at 25 MB. The legacy SHA-1 header, sent beside this one, is not looked at.
  github = {
    signature = { header = "x-hub-signature-256", prefix = "sha256=" },
    payload = "{body}",
    delivery = "header:x-github-delivery",
    event_type = "header:x-github-event",
    max_body = "25MiB",
  },

  -- docs.stripe.com/webhooks/signature. The secret is used as it is written, whsec_ included. v0 is a test scheme, never
  -- accepted. The window is that of Stripe's own libraries: 300 s into the past; the future is open, so that a receiver
  -- whose clock lags does not lose events (a time in the future is signed too: nobody but Stripe can write one).
  stripe = {
    signature = { header = "stripe-signature", pairs = ",", field = "v1" },
    payload = "{field:t}.{body}",
    timestamp = { at = "field:t", unit = "s", past = "300s" },
    delivery = "/id",
    event_type = "/type",
  },

  -- github.com/standard-webhooks/standard-webhooks, spec 1.0, symmetric signatures (v1). Entries of other versions (v1a)
  -- are passed over.
  standard = {
    signature = { header = "webhook-signature", list = " ", prefix = "v1,", encoding = "base64" },
    payload = "{header:webhook-id}.{header:webhook-timestamp}.{body}",
    key = { form = "base64", prefix = "whsec_" },
    timestamp = { at = "header:webhook-timestamp", unit = "s", past = "300s", future = "300s" },
    delivery = "header:webhook-id",
    event_type = "/type",
  },
}
