"""Tells a shop whether what it sends is enough to work with, what is wrong, and what to do next.

Consumes: nothing. Emits: nothing. Owns: nothing; it counts in `event_hours:*` what the processor has worked on.
"""
