"""How often callers may ask: limits by person, key, store and endpoint, counted here and settled through Valkey.

Consumes: nothing. Emits: nothing. Owns: Valkey keys of `RATE_WINDOWS`.
"""
