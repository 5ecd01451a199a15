"""Keeps each cart's state and says when a cart is abandoned, recovered or expired.

Consumes: enriched rows inside the stream. Emits: cart_abandoned, cart_recovered, cart_expired. Owns: `carts:*`,
`cart_journal:*`, `cart_due:*`.
"""
