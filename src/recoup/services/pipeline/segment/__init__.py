"""The Segment HTTP API, so that stock Segment and RudderStack clients can point here unchanged.

Consumes: requests. Emits: what the collector emits. Owns: the carts of visitors in `visitor_cart:{store_id}:{visitor}`.
Knows `foreign`.
"""
