"""Counts by the hour of what reached us from a store, and when each of it was last seen.

Consumes: nothing. Emits: nothing. Owns: `event_hours:*`, `event_last:*`.
"""
