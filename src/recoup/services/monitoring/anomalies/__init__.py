"""Anomalies: what is unusual about a store's own figures, and risks that one visitor or cart is.

Consumes: `cart-events-enriched`, `intervention-events`, `conversion-events`. Emits: `risk-signals`.
Owns: tables `reading`, `counted`, `buckets`, `clocks`, `watched`, `anomalies`.
"""
