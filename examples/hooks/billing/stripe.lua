-- /billing/stripe: a payment notification; answers the new state of the order it is about.
--
-- In Stripe's dashboard: Developers, Webhooks, Add endpoint. Its signing secret (whsec_...) is STRIPE_WEBHOOK_SECRET in
-- .env. The order's number travels in the payment's metadata: { "order_id": "1001" }.

-- event type → what it means for the order
local states = {
  ["payment_intent.succeeded"] = "paid",
  ["payment_intent.payment_failed"] = "payment failed",
  ["payment_intent.canceled"] = "cancelled",
  ["charge.refunded"] = "refunded",
}

return {
  description = "payment notifications: the order's new state",
  verify = verify.stripe { secret = env.STRIPE_WEBHOOK_SECRET },
  events = { "payment_intent.*", "charge.refunded" },

  handle = function(req)
    local id, order, amount, currency = req:pick("/id", "/data/object/metadata/order_id", "/data/object/amount",
      "/data/object/currency")
    local state = states[req.event_type]

    if not order then
      -- a 4xx makes Stripe try again and show the delivery as failed: somebody should look at it
      error { status = 422, detail = "the payment carries no metadata.order_id", event = id }
    end
    if not state then
      return { order = order, state = "unchanged", event = id }
    end

    log.info("order changes", { order = order, state = state, event = id })
    return { order = order, state = state, amount = amount, currency = currency, event = id }
  end,
}
