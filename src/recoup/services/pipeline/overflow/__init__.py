"""Keeps a visitor who floods from slowing the others: his events wait in a lane of their own.

For: the collector (which counts, and sends rows into the lane) and the processor (which hands them back while it has
nothing better to do). Consumes: `cart-events-overflow`. Emits: `cart-events-raw`. Owns: `floods:*` in Valkey.
"""
