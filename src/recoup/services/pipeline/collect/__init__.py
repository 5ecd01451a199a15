"""Takes events in at the edge: reads, checks the envelope, makes them durable, and only then says so.

Consumes: requests and WebSocket frames. Emits: cart-events-raw, cart-events-dlq. Owns: the counts in
`event_stats:{store_id}`.
"""
