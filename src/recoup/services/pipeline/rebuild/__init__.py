"""Reads the stream's state back from the log where Valkey came back empty and the log did not.

Consumes: cart-events-enriched, for no group. Emits nothing. Owns: `rebuilding:*`, and writes what carts, sessions,
visitors' users, event clocks and recent ids own, in their formats.
"""
