"""Takes what waits on the raw topic through the named steps, and commits all effects of a batch together.

Consumes: cart-events-raw. Emits: cart-events-enriched, cart-events-dlq. Owns: `seen:*`, `store_clocks:*`.
"""
