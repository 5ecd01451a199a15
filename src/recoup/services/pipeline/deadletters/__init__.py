"""The workbench for events that cannot be used: keep, look, mend, send again.

Consumes: cart-events-dlq; samples of cart-events-enriched, to learn what a store's valid events look like. Emits: what
is sent again goes through the collector's own checks to cart-events-raw. Owns: tables `dead_letters`, `profiles` and
`stopped_stores` in the schema `pipeline`.
"""
